//! How long a training will take: a short one on a made-up matrix, scaled up.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::split::hash;
use crate::{Algorithm, Error, MatrixBuilder, RatingMatrix, Ratings, Run, Size};

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
    /// How long training will take, in rayon's current pool, without the making of the matrix: a tenth of a second's work
    /// for most algorithms, and within a factor of two of the truth up to some hundreds of factors; too long beyond.
    pub fn estimate(&self, size: Size, cancelled: &AtomicBool) -> Result<Duration, Error> {
        if size.ratings == 0 {
            return Err(Error::NoRatings);
        }
        let longer = (self.factors() as f64 / FEW_FACTORS).max(1.0);
        let most = ((RATINGS as f64 / (longer * longer)) as usize).max(FEWEST_RATINGS);
        let matrix = made_up(size, most, cancelled)?;
        let (mut ended, held_out) = (Vec::new(), Ratings::default());
        let hear = &mut |iteration: crate::Iteration| ended.push(iteration.elapsed);
        let run = &mut Run { held_out: &held_out, cancelled, on_iteration: hear };
        let (trained, _) = self.short(&matrix).train(&matrix, run)?;
        let each = ended.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(trained.iteration.elapsed);
        let scale = size.ratings as f64 / matrix.ratings() as f64;
        let misses = if scale > 1.0 { MISSES } else { 1.0 };
        Ok(each.mul_f64(scale * misses * self.iterations() as f64))
    }

    /// The same, but for fewer iterations, and no more factors than a small matrix has.
    fn short(&self, matrix: &RatingMatrix) -> Algorithm {
        let mut short = self.clone();
        match &mut short {
            Algorithm::Als(params) => params.iterations = ITERATIONS,
            Algorithm::Svd(params) => params.iterations = ITERATIONS,
            Algorithm::Svdpp(params) => params.iterations = ITERATIONS,
            Algorithm::Bpmf(params) => (params.burn_in, params.samples) = (1, ITERATIONS - 1),
            Algorithm::TruncatedSvd(params) => {
                params.factors = params.factors.min(matrix.by_customer.rows()).min(matrix.by_movie.rows());
            }
            Algorithm::Baseline(_) => {}
        }
        short
    }
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
        // Evenly apart, from somewhere on, so that no pair comes twice; the ratings are noise.
        let from = hash(customer as u64) as usize % movies;
        for number in 0..each {
            let movie = (from + number * movies / each) % movies;
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
