//! Estimates how long a training takes: trains for a moment on an artificial matrix, and scales the time by the work of both
//! trainings (see [`Trainer::work`]).

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::algorithm::cost::FETCH;
use crate::algorithm::trainer::Trainer;
use crate::algorithm::training::{Callbacks, Size, TrainingData};
use crate::error::Error;
use crate::random::hash;
use crate::ratings::Ratings;
use crate::ratings::builder::MatrixBuilder;
use crate::ratings::matrix::RatingMatrix;

/// The most ratings of the artificial matrix, for vectors of up to [`FEW_FACTORS`] factors. With longer vectors there are fewer
/// ratings, because a rating takes four times as long with twice the factors; but never fewer than [`FEWEST_RATINGS`].
const MOST_RATINGS: usize = 300_000;
const FEWEST_RATINGS: usize = 3000;
const FEW_FACTORS: f64 = 64.0;
/// How much slower a large matrix is because its rows are not in a cache.
const CACHE_MISSES: f64 = 1.3;

/// See [`crate::Algorithm::estimate`].
pub(super) fn training_time(
    trainer: &dyn Trainer,
    size: Size,
    cancelled: &AtomicBool,
) -> Result<Duration, Error> {
    if size.ratings == 0 {
        return Err(Error::NoRatings);
    }
    let longer = (trainer.factors() as f64 / FEW_FACTORS).max(1.0);
    let most = ((MOST_RATINGS as f64 / (longer * longer)) as usize).max(FEWEST_RATINGS);
    let matrix = artificial_matrix(size, most, cancelled)?;
    let (customers, movies) = (matrix.by_customer.rows(), matrix.by_movie.rows());
    let ratings = matrix.ratings();
    let artificial = Size { customers, movies, ratings, held_out: 0, threads: size.threads };
    let shortened = trainer.shortened(artificial);
    let held_out = Ratings::default();
    let callbacks = &mut Callbacks { cancelled, on_iteration: &mut |_| {} };
    let trained = shortened.train(TrainingData::new(&matrix, &held_out), callbacks)?;
    let scale = work(trainer, size) / work(&*shortened, artificial);
    let misses = if scale > 1.0 { CACHE_MISSES } else { 1.0 };
    Ok(trained.iteration.elapsed.mul_f64(scale * misses))
}

/// The work of a training and of the evaluation of the held-out ratings after each iteration.
fn work(trainer: &dyn Trainer, size: Size) -> f64 {
    let evaluation = size.held_out as f64 * (trainer.factors() as f64 + FETCH);
    trainer.work(size) + trainer.iterations() as f64 * evaluation
}

/// A smaller matrix than one of this size, with at most about `most` ratings. It has fewer customers and movies, but each of them
/// has about the same number of ratings.
fn artificial_matrix(size: Size, most: usize, cancelled: &AtomicBool) -> Result<RatingMatrix, Error> {
    let Size { customers, movies, ratings, .. } = size;
    let (customers, movies) = (customers.max(1), movies.max(1));
    let per_customer = (ratings / customers).clamp(1, movies);
    let customers = (most / per_customer).clamp(1, customers);
    let movies = (movies as f64 * (customers * per_customer) as f64 / ratings as f64) as usize;
    // No customer rates a movie twice.
    let movies = movies.max(per_customer);
    let mut builder = MatrixBuilder::default();
    for customer in 0..customers {
        // The ratings are noise. The first movies have most of them, as in real data. The movies of a customer's ratings
        // ascend, so that no movie comes twice.
        for rating in 0..per_customer {
            let place = hash((customer * per_customer + rating) as u64) as f64 / 2f64.powi(64);
            let place = (rating as f64 + place) / per_customer as f64;
            let movie = ((movies - per_customer) as f64 * place.powi(3)) as usize + rating;
            let value = 1 + hash((customer * movies + movie) as u64) % 5;
            builder.push(customer as u32, movie as u32, value as u8)?;
        }
    }
    builder.build(customers, movies, cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::Algorithm;
    use serde_json::json;

    #[test]
    fn more_work_takes_longer() {
        let go = AtomicBool::new(false);
        let seconds = |name: &str, iterations: usize, ratings: usize| {
            let params = json!({"factors": 10, "iterations": iterations});
            let algorithm = Algorithm::parse(name, &params).unwrap();
            let size = Size { customers: 50_000, movies: 2000, ratings, held_out: 0, threads: 1 };
            algorithm.estimate(size, &go).unwrap().as_secs_f64()
        };
        for name in ["als", "svd", "svdpp"] {
            // No time is exact, because other tests run at the same time.
            assert!(seconds(name, 10, 10_000_000) > seconds(name, 100, 10_000), "{name}");
        }
    }

    /// The factors by which the work grows if the number of factors, iterations, or rows is multiplied by `more`.
    fn growth(name: &str, params: serde_json::Value, factors: usize, more: usize) -> [f64; 3] {
        let iterations = if name == "bpmf" { "samples" } else { "iterations" };
        let work_of = |factors: usize, count: usize, rows: usize| {
            let mut params = params.clone();
            (params["factors"], params[iterations]) = (factors.into(), count.into());
            let size = Size {
                customers: 50_000 * rows,
                movies: 5000 * rows,
                ratings: 5_000_000 * rows,
                held_out: 0,
                threads: 1,
            };
            work(Algorithm::parse(name, &params).unwrap().trainer(), size)
        };
        let one = work_of(factors, 20, 1);
        [
            work_of(more * factors, 20, 1) / one,
            work_of(factors, 20 * more, 1) / one,
            work_of(factors, 20, more) / one,
        ]
    }

    #[test]
    fn the_work_grows_as_the_steps_do() {
        let cases = [
            // Most of the work grows with the square of the factors, and all of it with the iterations.
            ("als", json!({}), 100, 3.0..6.0, 1.9..2.0),
            ("als", json!({"implicit_weight": 1}), 100, 3.0..6.0, 1.9..2.0),
            ("als", json!({"cg_steps": 3}), 200, 1.7..2.0, 1.9..2.0),
            ("svd", json!({}), 100, 1.7..2.0, 2.0..2.01),
            ("svdpp", json!({}), 200, 3.0..6.0, 2.0..2.01),
            ("bpmf", json!({"burn_in": 0, "links": false}), 100, 3.0..6.0, 1.5..2.0),
            ("bpmf", json!({"burn_in": 0}), 100, 3.0..6.0, 1.5..2.0),
            ("truncated_svd", json!({"oversampling": 0}), 500, 3.0..8.0, 1.5..2.0),
        ];
        for (name, params, factors, of_factors, of_iterations) in cases {
            let [by_factors, by_iterations, by_rows] = growth(name, params.clone(), factors, 2);
            assert!(of_factors.contains(&by_factors), "{name} {params}: factors {by_factors}");
            assert!(of_iterations.contains(&by_iterations), "{name} {params}: iterations {by_iterations}");
            assert!((1.5..2.01).contains(&by_rows), "{name} {params}: rows {by_rows}");
        }
        // Factors that the small matrix cannot have count in the large one.
        let narrow = Size { customers: 15, movies: 200, ratings: 3000, held_out: 0, threads: 1 };
        let wide = Size { customers: 500_000, movies: 20_000, ratings: 100_000_000, held_out: 0, threads: 1 };
        let algorithm = Algorithm::parse("truncated_svd", &json!({"factors": 1000})).unwrap();
        let trainer = algorithm.trainer();
        assert!(work(trainer, wide) > 1e6 * work(&*trainer.shortened(narrow), narrow));
    }

    #[test]
    fn any_size_can_be_estimated() {
        let go = AtomicBool::new(false);
        for name in Algorithm::NAMES {
            let algorithm = Algorithm::parse(name, &json!({})).unwrap();
            for (customers, movies, ratings) in [(1, 1, 1), (1, 100, 100), (100, 1, 100), (60, 60, 3600)] {
                let size = Size { customers, movies, ratings, held_out: 0, threads: 1 };
                algorithm.estimate(size, &go).unwrap();
            }
            let none = Size { customers: 0, movies: 0, ratings: 0, held_out: 0, threads: 1 };
            assert_eq!(algorithm.estimate(none, &go), Err(Error::NoRatings));
        }
    }
}
