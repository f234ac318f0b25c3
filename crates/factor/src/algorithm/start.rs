//! The start of factorisations: movies with damped biases and small random factors. Customers start from zero.

use std::sync::atomic::AtomicBool;

use rand_distr::{Distribution, StandardNormal};

use crate::error::{Error, check};
use crate::model::Side;
use crate::random::generator;
use crate::ratings::matrix::RatingMatrix;
use crate::rows::ROWS_PER_CHECK;

/// Ratings equal to the mean that each movie is assumed to have beside its own, when its bias is computed.
const MOVIE_DAMPING: f64 = 25.0;
/// Standard deviation of the random factors.
const DEVIATION: f32 = 0.03;

/// The movies that training starts from. Movies without ratings are zero.
pub(crate) fn start(
    matrix: &RatingMatrix,
    factors: usize,
    seed: i64,
    cancelled: &AtomicBool,
) -> Result<Side, Error> {
    let mut movies = Side::zeros(matrix.by_movie.rows(), factors)?;
    let mut rng = generator(seed);
    for (movie, mut vector) in movies.factors.rows_mut().into_iter().enumerate() {
        if movie.is_multiple_of(ROWS_PER_CHECK) {
            check(cancelled)?;
        }
        if matrix.by_movie.count(movie) > 0 {
            let normal = |factor: &mut f32| {
                *factor = DEVIATION * Distribution::<f32>::sample(&StandardNormal, &mut rng);
            };
            vector.iter_mut().for_each(normal);
            movies.biases[movie] = movie_bias(matrix, movie, MOVIE_DAMPING);
        }
    }
    Ok(movies)
}

/// A movie's damped bias, in stars: `Σ (rating - mean) / (count + damping)`.
pub(crate) fn movie_bias(matrix: &RatingMatrix, movie: usize, damping: f64) -> f32 {
    let (_, values) = matrix.by_movie.row(movie);
    let (count, total) = (values.len() as f64, values.iter().map(|&value| u64::from(value)).sum::<u64>());
    ratio(total as f64 - count * matrix.mean(), count + damping)
}

/// A quotient, or 0 if the divisor is 0: then there are neither ratings nor a damping.
pub(crate) fn ratio(dividend: f64, divisor: f64) -> f32 {
    if divisor > 0.0 { (dividend / divisor) as f32 } else { 0.0 }
}
