//! A factor model: a mean, and for each customer and movie a bias and a vector.

pub(crate) mod catalogue;
pub(crate) mod customer_prior;
pub(crate) mod metrics;
pub(crate) mod samples;
pub(crate) mod top_n;

use std::sync::atomic::AtomicBool;

use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::memory::{try_vec, zeros};
use crate::model::metrics::{Errors, Metrics};
use crate::model::samples::Samples;
use crate::ratings::Ratings;
use crate::ratings::matrix::RatingMatrix;
use crate::rows::{RowChunks, sum};

/// Ratings whose squared errors are summed up by one thread before the sums are added: the size decides the rounding.
const RATINGS_PER_ERROR_SUM: usize = 16 * 1024;

/// Predicts customer `u`'s rating of movie `i` as `mean + b_u + b_i + p_u · q_i`
/// (Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems", equation 4).
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The mean of the ratings trained on.
    pub mean: f32,
    /// Customers' biases and factors; zero where there was no rating to learn from.
    pub customers: Side,
    /// Movies' biases and factors; zero where there was no rating to learn from.
    pub movies: Side,
    /// How many samples of a Bayesian model stand side by side in the factors; 1 of any other model. See [`Samples`].
    pub samples: usize,
    /// What each movie tells of those who rated it, whatever their ratings (movies × factors): of models that learn from who
    /// rated what, where customers are to be found by [`crate::Algorithm::fold_in`]. Of a Bayesian model, each sample has the
    /// part of a row that its factors have in [`Side::factors`]: the vector that goes to the customer's factors, what goes to
    /// the bias, and a 0.
    pub links: Option<Array2<f32>>,
    /// Of a Bayesian model, what it expects of every customer in each sample: for each, the mean of factors and bias
    /// (factors + 1 numbers), and the upper triangle of their precision matrix, row by row, divided by the precision of
    /// ratings. Where customers are to be found by [`crate::Algorithm::fold_in`].
    pub prior: Option<Vec<f32>>,
}

/// The biases (rows) and factors (rows × factors) of one side.
#[derive(Clone, Debug, Default)]
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
        // Of more numbers than there are addresses, nobody has the memory.
        Side::new(try_vec(rows)?, try_vec(rows.saturating_mul(factors))?, factors)
    }

    /// Takes over all numbers of another one of the same size.
    fn copy_from(&mut self, from: &Side, cancelled: &AtomicBool) -> Result<(), Error> {
        copy(&from.factors, &mut self.factors, cancelled)?;
        let chunks = RowChunks::of_length(1);
        chunks.for_each(
            chunks.split_mut(&mut self.biases).zip(chunks.split(&from.biases)),
            cancelled,
            |_, (mut to, from)| {
                to.assign(&from);
                Ok(())
            },
        )
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
        cut(match (self.customers.row(customer), self.movies.row(movie)) {
            (Some(customer), Some(movie)) => score(self.mean, customer, movie),
            (Some((bias, _)), None) | (None, Some((bias, _))) => self.mean + bias,
            (None, None) => self.mean,
        })
    }

    /// The score of a customer and a movie that the model has rows for, not cut to the scale.
    pub(crate) fn score(&self, customer: usize, movie: usize) -> f32 {
        let (b_u, p) = (self.customers.biases[customer], self.customers.factors.row(customer));
        let (b_i, q) = (self.movies.biases[movie], self.movies.factors.row(movie));
        score(self.mean, (b_u, p), (b_i, q))
    }

    /// How far the samples of a Bayesian model scatter about their mean in what they predict, before that is cut to the
    /// scale: their standard deviation, in stars. None of a model without samples, and where it knows nothing of the customer
    /// or the movie.
    pub fn deviation(&self, customer: usize, movie: usize) -> Option<f32> {
        let (customer, movie) = (self.customers.row(customer)?.1, self.movies.row(movie)?.1);
        Samples::of_rows(self.samples, customer.len()).deviation(customer, movie)
    }

    /// The sum of squared errors over a matrix, of predictions not cut to the scale; in rayon's current pool.
    pub(crate) fn squared_error(&self, matrix: &RatingMatrix, cancelled: &AtomicBool) -> Result<f64, Error> {
        let sparse = &matrix.by_customer;
        // Summed up in the blocks' order, which no number of threads changes.
        sum(sparse.blocks(RATINGS_PER_ERROR_SUM)?.into_par_iter().map(|rows| {
            let mut sum = 0.0;
            for row in rows {
                check(cancelled)?;
                let (movies, values) = sparse.row(row);
                for (&movie, &value) in movies.iter().zip(values) {
                    let error = f64::from(self.score(row, movie as usize)) - f64::from(value);
                    sum += error * error;
                }
            }
            Ok(sum)
        }))
    }

    /// How well its predictions meet ratings, in rayon's current pool; none where there are no ratings.
    pub fn judge(&self, ratings: &Ratings, cancelled: &AtomicBool) -> Result<Option<Metrics>, Error> {
        let chunks = RowChunks::of_length(self.movies.factors.ncols());
        let columns = (chunks.split_slice(&ratings.customers, 1), chunks.split_slice(&ratings.movies, 1));
        let columns = columns.0.zip(columns.1).zip(chunks.split_slice(&ratings.values, 1));
        let judge = |_, ((customers, movies), values): ((&[u32], &[u32]), &[u8])| {
            let mut errors = Errors::default();
            for ((&customer, &movie), &value) in customers.iter().zip(movies).zip(values) {
                errors.add(self.predict(customer as usize, movie as usize), value);
            }
            errors
        };
        let errors = chunks.reduce(columns, cancelled, Errors::default, judge, Errors::plus)?;
        Ok(errors.metrics())
    }

    /// Zeros of the same size, or [`Error::OutOfMemory`].
    pub(crate) fn zeros_like(&self) -> Result<Model, Error> {
        let side = |side: &Side| Side::zeros(side.biases.len(), side.factors.ncols());
        let links = self.links.as_ref().map(|links| zeros(links.dim())).transpose()?;
        let (customers, movies) = (side(&self.customers)?, side(&self.movies)?);
        // No algorithm that has a prior goes back to an iteration before.
        Ok(Model { mean: self.mean, customers, movies, samples: self.samples, links, prior: None })
    }

    /// Takes over all numbers of another one of the same size.
    pub(crate) fn copy_from(&mut self, from: &Model, cancelled: &AtomicBool) -> Result<(), Error> {
        (self.mean, self.samples) = (from.mean, from.samples);
        self.customers.copy_from(&from.customers, cancelled)?;
        self.movies.copy_from(&from.movies, cancelled)?;
        match (&mut self.links, &from.links) {
            (Some(to), Some(from)) => copy(from, to, cancelled),
            _ => Ok(()),
        }
    }
}

/// Makes `links` a copy of a model's.
pub(crate) fn copy_links(
    from: &Array2<f32>,
    links: &mut Option<Array2<f32>>,
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    let mut to = links.take().map_or_else(|| zeros(from.dim()), Ok)?;
    copy(from, &mut to, cancelled)?;
    *links = Some(to);
    Ok(())
}

/// Copies a matrix to another one of the same size, in rayon's current pool.
fn copy(from: &Array2<f32>, to: &mut Array2<f32>, cancelled: &AtomicBool) -> Result<(), Error> {
    let chunks = RowChunks::of_length(from.ncols());
    chunks.for_each(chunks.split_mut(to).zip(chunks.split(from)), cancelled, |_, (mut to, from)| {
        to.assign(&from);
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    static GO: AtomicBool = AtomicBool::new(false);

    #[test]
    fn judging_takes_as_long_as_there_are_ratings() {
        let sides = (Side::zeros(1000, 0).unwrap(), Side::zeros(1000, 0).unwrap());
        let model =
            Model { mean: 3.0, customers: sides.0, movies: sides.1, samples: 1, links: None, prior: None };
        let fastest = |count: usize| {
            let ids = (0..count as u32).map(|number| number % 1000).collect::<Vec<_>>();
            let ratings = Ratings { customers: ids.clone(), movies: ids, values: vec![4; count] };
            let judge = || {
                let started = Instant::now();
                assert_eq!(model.judge(&ratings, &GO).unwrap().unwrap().n, count as u64);
                started.elapsed()
            };
            (0..5).map(|_| judge()).min().unwrap_or(Duration::MAX).as_secs_f64()
        };
        // Eight times as many; what is quadratic takes 64 times as long.
        let (few, many) = (fastest(1 << 20), fastest(1 << 23));
        assert!(many < 24.0 * few, "{few} s, {many} s");
    }

    #[test]
    fn more_rows_than_addresses_are_no_memory() {
        assert!(matches!(Side::zeros(1 << 40, 1 << 40), Err(Error::OutOfMemory { .. })));
    }
}
