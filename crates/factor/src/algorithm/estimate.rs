//! How long a training will take: a short one on a made-up matrix, scaled up by the operations of both.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::algorithm::run::{Run, Size};
use crate::algorithm::{Algorithm, als, bpmf, svdpp, truncated_svd};
use crate::error::Error;
use crate::random::hash;
use crate::ratings::Ratings;
use crate::ratings::builder::MatrixBuilder;
use crate::ratings::matrix::RatingMatrix;

/// Ratings of the made-up matrix, at the most, where vectors are short; and at the least, where a rating of vectors twice as
/// long takes four times as long.
const RATINGS: usize = 300_000;
const FEWEST_RATINGS: usize = 3000;
/// Factors up to which a vector is short.
const FEW_FACTORS: f64 = 64.0;
/// Iterations gone through.
const ITERATIONS: usize = 3;
/// By how much rows that no cache holds make a large matrix slower.
const MISSES: f64 = 1.3;

impl Algorithm {
    /// How long training will take, in rayon's current pool, without the making of the matrix: some tenths of a second's work
    /// for most algorithms, and within a factor of four of the truth.
    pub fn estimate(&self, size: Size, cancelled: &AtomicBool) -> Result<Duration, Error> {
        if size.ratings == 0 {
            return Err(Error::NoRatings);
        }
        let longer = (self.factors() as f64 / FEW_FACTORS).max(1.0);
        let most = ((RATINGS as f64 / (longer * longer)) as usize).max(FEWEST_RATINGS);
        let matrix = made_up(size, most, cancelled)?;
        let (customers, movies) = (matrix.by_customer.rows(), matrix.by_movie.rows());
        let made_up =
            Size { customers, movies, ratings: matrix.ratings(), held_out: 0, threads: size.threads };
        let short = self.short(made_up);
        let held_out = Ratings::default();
        let run = &mut Run { held_out: &held_out, cancelled, on_iteration: &mut |_| {} };
        let (trained, _) = short.train(&matrix, run)?;
        let scale = self.work(size) / short.work(made_up);
        let misses = if scale > 1.0 { MISSES } else { 1.0 };
        Ok(trained.iteration.elapsed.mul_f64(scale * misses))
    }

    /// The same, but for fewer iterations, and no more factors than a small matrix has.
    fn short(&self, size: Size) -> Algorithm {
        let mut short = self.clone();
        match &mut short {
            Algorithm::Als(params) => params.iterations = ITERATIONS,
            Algorithm::Svd(params) => params.iterations = ITERATIONS,
            Algorithm::Svdpp(params) => params.iterations = ITERATIONS,
            Algorithm::Bpmf(params) => (params.burn_in, params.samples) = (1, ITERATIONS - 1),
            Algorithm::TruncatedSvd(params) => {
                params.factors = params.factors.min(size.customers).min(size.movies);
                params.iterations = params.iterations.min(ITERATIONS);
            }
            Algorithm::Baseline(_) => {}
        }
        short
    }

    /// Multiplications that training takes, as fast ones are counted: those that go on slowly count for several.
    fn work(&self, size: Size) -> f64 {
        let Size { customers, movies, ratings, held_out, .. } = size;
        // Rows without ratings are not solved for.
        let rows = (customers.min(ratings) + movies.min(ratings)) as f64;
        let ratings = ratings as f64;
        let factors = self.factors() as f64;
        let judging = held_out as f64 * (factors + FETCHED);
        let iterations = self.iterations() as f64;
        match self {
            Algorithm::Als(params) => als_work(params, rows, ratings) + iterations * judging,
            Algorithm::Svd(_) => {
                iterations * (ratings * 4.0 * (factors + FETCHED) + 4.0 * rows * factors + judging)
            }
            Algorithm::Svdpp(svdpp::Params { link_movies, .. }) => {
                let linked = if *link_movies { 2.0 } else { 1.0 };
                let sweep = exact_sweep(factors, rows, ratings) + linked * link_work(factors, rows, ratings);
                iterations * (sweep + judging)
            }
            Algorithm::Bpmf(params) => {
                let bpmf::Params { links, samples, .. } = *params;
                let linked = if links { 2.0 * link_work(factors, rows, ratings) } else { 0.0 };
                // Noise, moments, the small matrices that are decomposed by one thread, and two times the errors.
                let noise = rows * factors * 2.0 * FETCHED;
                let moments = if links { 4.0 } else { 2.0 } * rows * factors * factors;
                let small = if links { 200.0 } else { 120.0 } * factors.powi(3);
                let errors = ratings * (factors + FETCHED);
                let sweep = exact_sweep(factors, rows, ratings) + linked + noise + moments + small + errors;
                let kept = samples as f64 * rows * (factors + FETCHED);
                let all_errors = (ratings + held_out as f64) * (samples as f64 * factors + FETCHED);
                als_work(&params.start(), rows, ratings) + iterations * (sweep + judging) + kept + all_errors
            }
            Algorithm::TruncatedSvd(truncated_svd::Params { oversampling, iterations, .. }) => {
                let width = (factors + *oversampling as f64).min(customers as f64).min(movies as f64);
                // In double precision everything takes twice as long.
                let products = 4.0 * ratings * (width + FETCHED);
                let orthonormal = 8.0 * rows * width * (width + FETCHED);
                let decomposition = 100.0 * width.powi(3);
                let last = 4.0 * rows * width * factors + ratings * (factors + FETCHED);
                (1 + *iterations) as f64 * (products + orthonormal) + decomposition + last + judging
            }
            Algorithm::Baseline(_) => ratings * FETCHED + judging,
        }
    }
}

/// As many multiplications as fetching a row takes, that no cache holds.
const FETCHED: f64 = 30.0;
/// Steps of a link's conjugate gradient.
const LINK_STEPS: f64 = 8.0;

/// Half of the products of each rating's row with itself, on both sides; and the systems of all rows.
fn exact_sweep(factors: f64, rows: f64, ratings: f64) -> f64 {
    let unknowns = factors + 1.0;
    ratings * (unknowns * unknowns + 2.0 * (unknowns + FETCHED))
        + rows * (unknowns.powi(3) / 3.0 + FETCHED * unknowns)
}

fn als_work(params: &als::Params, rows: f64, ratings: f64) -> f64 {
    let als::Params { factors, iterations, implicit_weight, cg_steps, .. } = *params;
    let factors = factors as f64;
    let mut sweep = match cg_steps {
        0 => exact_sweep(factors, rows, ratings),
        steps => (1 + steps) as f64 * 4.0 * ratings * (factors + FETCHED),
    };
    if implicit_weight > 0.0 {
        // Their sums over all rows, inverses and products; and the sparse products before, and for each row.
        let own = if cg_steps > 0 { cg_steps as f64 * rows * factors * factors * 4.0 } else { 0.0 };
        sweep += 8.0 * rows * factors * factors
            + 16.0 * factors.powi(3)
            + 4.0 * ratings * (factors + FETCHED)
            + own;
    }
    (iterations as f64 + als::start_sweeps(ratings as usize)) * sweep
}

fn link_work(factors: f64, rows: f64, ratings: f64) -> f64 {
    LINK_STEPS * (2.0 * ratings * (factors + FETCHED) + 4.0 * rows * factors)
}

/// A matrix of as many ratings a customer, and about as many a movie, but fewer of both.
fn made_up(size: Size, most: usize, cancelled: &AtomicBool) -> Result<RatingMatrix, Error> {
    let Size { customers, movies, ratings, .. } = size;
    let (customers, movies) = (customers.max(1), movies.max(1));
    let each = (ratings / customers).clamp(1, movies);
    let customers = (most / each).clamp(1, customers);
    let movies = (movies as f64 * (customers * each) as f64 / ratings as f64) as usize;
    // No customer rates a movie twice.
    let movies = movies.max(each);
    let mut builder = MatrixBuilder::default();
    for customer in 0..customers {
        // The first movies have most of the ratings, as in all such data; no pair comes twice. The ratings are noise.
        for number in 0..each {
            let place = hash((customer * each + number) as u64) as f64 / 2f64.powi(64);
            let place = (number as f64 + place) / each as f64;
            let movie = ((movies - each) as f64 * place.powi(3)) as usize + number;
            let value = 1 + hash((customer * movies + movie) as u64) % 5;
            builder.push(customer as u32, movie as u32, value as u8)?;
        }
    }
    builder.build(customers, movies, cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;
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
            // Other tests run beside this one: no figure is exact.
            assert!(seconds(name, 10, 10_000_000) > seconds(name, 100, 10_000), "{name}");
        }
    }

    /// How many times the work of one of so many factors another takes of as many times the factors, iterations and rows.
    fn times(name: &str, params: serde_json::Value, factors: usize, more: usize) -> [f64; 3] {
        let iterations = if name == "bpmf" { "samples" } else { "iterations" };
        let work = |factors: usize, count: usize, rows: usize| {
            let mut params = params.clone();
            (params["factors"], params[iterations]) = (factors.into(), count.into());
            let size = Size {
                customers: 50_000 * rows,
                movies: 5000 * rows,
                ratings: 5_000_000 * rows,
                held_out: 0,
                threads: 1,
            };
            Algorithm::parse(name, &params).unwrap().work(size)
        };
        let one = work(factors, 20, 1);
        [work(more * factors, 20, 1) / one, work(factors, 20 * more, 1) / one, work(factors, 20, more) / one]
    }

    #[test]
    fn the_work_is_what_the_steps_are() {
        let cases = [
            // Most of it goes with the square of the factors, and all of it with the iterations.
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
            let [by_factors, by_iterations, by_rows] = times(name, params.clone(), factors, 2);
            assert!(of_factors.contains(&by_factors), "{name} {params}: factors {by_factors}");
            assert!(of_iterations.contains(&by_iterations), "{name} {params}: iterations {by_iterations}");
            assert!((1.5..2.01).contains(&by_rows), "{name} {params}: rows {by_rows}");
        }
        // What a small matrix has no room for is counted all the same.
        let narrow = Size { customers: 15, movies: 200, ratings: 3000, held_out: 0, threads: 1 };
        let wide = Size { customers: 500_000, movies: 20_000, ratings: 100_000_000, held_out: 0, threads: 1 };
        let algorithm = Algorithm::parse("truncated_svd", &json!({"factors": 1000})).unwrap();
        assert!(algorithm.work(wide) > 1e6 * algorithm.short(narrow).work(narrow));
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
