//! A factor model: a mean, and for each customer and movie a bias and a vector.

use std::sync::atomic::AtomicBool;

use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use crate::error::check;
use crate::memory::try_vec;
use crate::{Error, Errors, Metrics, Ratings};

/// Ratings judged between two looks at the flag.
const RATINGS_A_TURN: usize = 16 * 1024;

/// Predicts customer `u`'s rating of movie `i` as `mean + b_u + b_i + p_u · q_i`
/// (Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems", equation 4).
#[derive(Clone, Debug)]
pub struct Model {
    /// The mean of the ratings trained on.
    pub mean: f32,
    /// Customers' biases and factors; zero where there was no rating to learn from.
    pub customers: Side,
    /// Movies' biases and factors; zero where there was no rating to learn from.
    pub movies: Side,
}

/// The biases (rows) and factors (rows × factors) of one side.
#[derive(Clone, Debug)]
pub struct Side {
    /// One a row.
    pub biases: Array1<f32>,
    /// One vector a row.
    pub factors: Array2<f32>,
}

/// The scale of ratings, to which predictions are cut.
pub const SCALE: (f32, f32) = (1.0, 5.0);

impl Side {
    /// As many rows of zeros, or [`Error::OutOfMemory`].
    pub fn zeros(rows: usize, factors: usize) -> Result<Side, Error> {
        Side::new(try_vec(rows)?, try_vec(rows * factors)?, factors)
    }

    /// Another one of the same, or [`Error::OutOfMemory`].
    pub(crate) fn try_clone(&self) -> Result<Side, Error> {
        let mut copy = Side::zeros(self.biases.len(), self.factors.ncols())?;
        copy.biases.assign(&self.biases);
        copy.factors.assign(&self.factors);
        Ok(copy)
    }

    /// Biases, and as many vectors of this length, one behind the other.
    pub(crate) fn new(biases: Vec<f32>, vectors: Vec<f32>, factors: usize) -> Result<Side, Error> {
        let bytes = vectors.len() * size_of::<f32>();
        let vectors = Array2::from_shape_vec((biases.len(), factors), vectors);
        // A matrix of more numbers than there are addresses is all that could fail.
        Ok(Side {
            biases: Array1::from_vec(biases),
            factors: vectors.map_err(|_| Error::OutOfMemory { bytes })?,
        })
    }

    /// A row's bias and factors, if there is such a row.
    pub fn row(&self, row: usize) -> Option<(f32, ArrayView1<'_, f32>)> {
        Some((*self.biases.get(row)?, self.factors.row(row)))
    }
}

impl Model {
    /// The rating predicted, from 1 to 5. A customer or movie beyond the model's adds nothing.
    pub fn predict(&self, customer: usize, movie: usize) -> f32 {
        predict(self.mean, &self.customers, &self.movies, customer, movie)
    }

    /// How well its predictions meet ratings, in rayon's current pool; none where there are no ratings.
    pub fn judge(&self, ratings: &Ratings, cancelled: &AtomicBool) -> Result<Option<Metrics>, Error> {
        judge(self.mean, &self.customers, &self.movies, ratings, cancelled)
    }
}

/// How well predictions meet ratings, in rayon's current pool; none where there are no ratings.
pub(crate) fn judge(
    mean: f32,
    customers: &Side,
    movies: &Side,
    ratings: &Ratings,
    cancelled: &AtomicBool,
) -> Result<Option<Metrics>, Error> {
    let numbers = (0..ratings.len()).into_par_iter().step_by(RATINGS_A_TURN);
    let errors = numbers.map(|from| {
        check(cancelled)?;
        let mut errors = Errors::default();
        for (customer, movie, value) in ratings.iter().skip(from).take(RATINGS_A_TURN) {
            errors.add(predict(mean, customers, movies, customer as usize, movie as usize), value);
        }
        Ok(errors)
    });
    let errors = errors.try_reduce(Errors::default, |one, other| Ok(one.plus(other)))?;
    Ok(errors.metrics())
}

fn predict(mean: f32, customers: &Side, movies: &Side, customer: usize, movie: usize) -> f32 {
    cut(match (customers.row(customer), movies.row(movie)) {
        (Some(customer), Some(movie)) => score(mean, customer, movie),
        (Some((bias, _)), None) | (None, Some((bias, _))) => mean + bias,
        (None, None) => mean,
    })
}

/// `mean + b_u + b_i + p_u · q_i`, not yet cut to the scale, of a customer's and a movie's bias and factors.
pub fn score(mean: f32, (b_u, p): (f32, ArrayView1<'_, f32>), (b_i, q): (f32, ArrayView1<'_, f32>)) -> f32 {
    mean + b_u + b_i + p.dot(&q)
}

/// Cuts a score to the scale of ratings.
pub fn cut(score: f32) -> f32 {
    score.clamp(SCALE.0, SCALE.1)
}
