//! A factor model: a mean, and for each customer and movie a bias and a vector of factors.

pub(crate) mod catalogue;
pub(crate) mod customer_prior;
pub(crate) mod metrics;
pub(crate) mod principal_axes;
pub(crate) mod sample_layout;
pub(crate) mod scoring;
pub(crate) mod top_n;

use std::sync::atomic::AtomicBool;

use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::memory::{try_vec, zeros};
use crate::model::metrics::{ErrorSums, Metrics};
use crate::model::sample_layout::SampleLayout;
use crate::ratings::Ratings;
use crate::ratings::matrix::RatingMatrix;
use crate::rows::{RowChunks, sum};

/// One thread adds up the squared errors of blocks of about this many ratings; then the sums of the blocks are added. The size
/// decides the rounding.
const RATINGS_PER_ERROR_SUM: usize = 16 * 1024;

/// Predicts customer `u`'s rating of movie `i` as `mean + b_u + b_i + p_u · q_i`
/// (Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems", equation 4).
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The mean of the ratings trained on.
    pub mean: f32,
    /// Customers' biases and factors. Zero for customers without a training rating.
    pub customers: Side,
    /// Movies' biases and factors. Zero for movies without a training rating.
    pub movies: Side,
    /// How many posterior samples are side by side in the factors of a Bayesian model (see [`SampleLayout`]). 1 in any other
    /// model.
    pub samples: usize,
    /// The links of movies (movies × row length of [`Side::factors`]), which [`crate::Algorithm::fold_in`] needs. A movie's link is
    /// what the model learns about a customer from the fact that the customer rated the movie. `None` if the model does not learn
    /// from who rated what. In a Bayesian model, a row has the layout of [`Side::factors`]: each sample has the vector that is added
    /// to the customer's factors, the number that is added to the bias, and a 0.
    pub links: Option<Array2<f32>>,
    /// The prior of all customers in each sample of a Bayesian model, which [`crate::Algorithm::fold_in`] needs. For each sample:
    /// the mean of the factors and the bias (factors + 1 numbers), and the upper triangle of their precision matrix, row by row,
    /// divided by the precision of the ratings. `None` in any other model.
    pub prior: Option<Vec<f32>>,
}

/// The biases (rows) and factors (rows × factors) of one side.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// One bias per row, in stars.
    pub biases: Array1<f32>,
    /// One vector per row.
    pub factors: Array2<f32>,
}

/// The lowest and the highest rating. Predictions are clamped to this range.
pub const SCALE: (f32, f32) = (1.0, 5.0);

impl Side {
    /// `rows` rows of zeros, with `factors` factors each. [`Error::OutOfMemory`] if the system refuses the memory.
    pub fn zeros(rows: usize, factors: usize) -> Result<Side, Error> {
        // If the product saturates, no machine has that much memory.
        Side::new(try_vec(rows)?, try_vec(rows.saturating_mul(factors))?, factors)
    }

    /// Copies all values of another side of the same size.
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

    /// Makes a side from biases, and from the vectors of all rows one after the other, of `factors` entries each.
    pub(crate) fn new(biases: Vec<f32>, vectors: Vec<f32>, factors: usize) -> Result<Side, Error> {
        let bytes = vectors.len() * size_of::<f32>();
        let vectors = Array2::from_shape_vec((biases.len(), factors), vectors);
        // This fails only if the matrix has more entries than there are addresses.
        Ok(Side {
            biases: Array1::from_vec(biases),
            factors: vectors.map_err(|_| Error::OutOfMemory { bytes })?,
        })
    }

    /// A row's bias and factors. `None` if there is no such row.
    pub fn row(&self, row: usize) -> Option<(f32, ArrayView1<'_, f32>)> {
        Some((*self.biases.get(row)?, self.factors.row(row)))
    }
}

impl Model {
    /// The predicted rating, from 1 to 5. A customer or movie that the model has no row for counts as average.
    pub fn predict(&self, customer: usize, movie: usize) -> f32 {
        clamp(self.predict_unclamped(customer, movie))
    }

    /// As [`Model::predict`], but not clamped to the scale.
    pub fn predict_unclamped(&self, customer: usize, movie: usize) -> f32 {
        match (self.customers.row(customer), self.movies.row(movie)) {
            (Some(customer), Some(movie)) => score(self.mean, customer, movie),
            (Some((bias, _)), None) | (None, Some((bias, _))) => self.mean + bias,
            (None, None) => self.mean,
        }
    }

    /// The predicted rating of a customer and a movie that the model has rows for, not clamped to the scale.
    pub(crate) fn score(&self, customer: usize, movie: usize) -> f32 {
        let (b_u, p) = (self.customers.biases[customer], self.customers.factors.row(customer));
        let (b_i, q) = (self.movies.biases[movie], self.movies.factors.row(movie));
        score(self.mean, (b_u, p), (b_i, q))
    }

    /// The standard deviation of the predictions of a Bayesian model's samples, in stars, before predictions are clamped to the
    /// scale. `None` in any other model, and for a customer or movie without training ratings.
    pub fn deviation(&self, customer: usize, movie: usize) -> Option<f32> {
        let (customer, movie) = (self.customers.row(customer)?.1, self.movies.row(movie)?.1);
        SampleLayout::of_row_length(self.samples, customer.len()).deviation(customer, movie)
    }

    /// The sum of squared errors over a matrix, of predictions that are not clamped to the scale. Runs in rayon's current pool.
    pub(crate) fn squared_error(&self, matrix: &RatingMatrix, cancelled: &AtomicBool) -> Result<f64, Error> {
        let sparse = &matrix.by_customer;
        // The sums are added in the order of the blocks, so that the number of threads does not change the result.
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

    /// The errors of its predictions on these ratings. `None` if there are no ratings. Runs in rayon's current pool.
    pub fn evaluate(&self, ratings: &Ratings, cancelled: &AtomicBool) -> Result<Option<Metrics>, Error> {
        let chunks = RowChunks::of_length(self.movies.factors.ncols());
        let columns = (chunks.split_slice(&ratings.customers, 1), chunks.split_slice(&ratings.movies, 1));
        let columns = columns.0.zip(columns.1).zip(chunks.split_slice(&ratings.values, 1));
        let evaluate = |_, ((customers, movies), values): ((&[u32], &[u32]), &[u8])| {
            let mut errors = ErrorSums::default();
            for ((&customer, &movie), &value) in customers.iter().zip(movies).zip(values) {
                errors.add(self.predict(customer as usize, movie as usize), value);
            }
            errors
        };
        let errors = chunks.reduce(columns, cancelled, ErrorSums::default, evaluate, ErrorSums::plus)?;
        Ok(errors.metrics())
    }

    /// The errors of its predictions on all ratings of a matrix. [`Error::NoRatings`] if there are none. Runs in rayon's current pool.
    pub fn evaluate_matrix(&self, matrix: &RatingMatrix, cancelled: &AtomicBool) -> Result<Metrics, Error> {
        let sparse = &matrix.by_customer;
        let blocks = sparse.blocks(RATINGS_PER_ERROR_SUM)?.into_par_iter().map(|rows| {
            let mut errors = ErrorSums::default();
            for row in rows {
                check(cancelled)?;
                let (movies, values) = sparse.row(row);
                for (&movie, &value) in movies.iter().zip(values) {
                    errors.add(self.predict(row, movie as usize), value);
                }
            }
            Ok(errors)
        });
        // The sums are whole numbers, so their order makes no difference.
        let errors = blocks.try_reduce(ErrorSums::default, |one, other| Ok(one.plus(other)))?;
        errors.metrics().ok_or(Error::NoRatings)
    }

    /// A model of the same size whose biases, factors and links are zero.
    pub(crate) fn zeros_like(&self) -> Result<Model, Error> {
        let side = |side: &Side| Side::zeros(side.biases.len(), side.factors.ncols());
        let links = self.links.as_ref().map(|links| zeros(links.dim())).transpose()?;
        let (customers, movies) = (side(&self.customers)?, side(&self.movies)?);
        // Only training loops with a tolerance use this, and no Bayesian training has one.
        Ok(Model { mean: self.mean, customers, movies, samples: self.samples, links, prior: None })
    }

    /// Copies all values of another model of the same size.
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

/// Copies `from` to `links`, and reuses the memory of `links` if it is not `None`.
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

/// Copies a matrix to another one of the same size. Runs in rayon's current pool.
fn copy(from: &Array2<f32>, to: &mut Array2<f32>, cancelled: &AtomicBool) -> Result<(), Error> {
    let chunks = RowChunks::of_length(from.ncols());
    chunks.for_each(chunks.split_mut(to).zip(chunks.split(from)), cancelled, |_, (mut to, from)| {
        to.assign(&from);
        Ok(())
    })
}

/// The predicted rating `mean + b_u + b_i + p_u · q_i`, not yet clamped to the scale, from the bias and the factors of a customer
/// and of a movie. Panics if their lengths differ.
pub fn score(mean: f32, (b_u, p): (f32, ArrayView1<'_, f32>), (b_i, q): (f32, ArrayView1<'_, f32>)) -> f32 {
    mean + b_u + b_i + p.dot(&q)
}

/// Clamps a predicted rating to the scale of ratings, [`SCALE`].
pub fn clamp(score: f32) -> f32 {
    score.clamp(SCALE.0, SCALE.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    static GO: AtomicBool = AtomicBool::new(false);

    #[test]
    fn evaluation_takes_time_in_proportion_to_the_ratings() {
        let sides = (Side::zeros(1000, 0).unwrap(), Side::zeros(1000, 0).unwrap());
        let model =
            Model { mean: 3.0, customers: sides.0, movies: sides.1, samples: 1, links: None, prior: None };
        let fastest = |count: usize| {
            let ids = (0..count as u32).map(|id| id % 1000).collect::<Vec<_>>();
            let ratings = Ratings { customers: ids.clone(), movies: ids, values: vec![4; count] };
            let evaluate = || {
                let started = Instant::now();
                assert_eq!(model.evaluate(&ratings, &GO).unwrap().unwrap().n, count as u64);
                started.elapsed()
            };
            (0..5).map(|_| evaluate()).min().unwrap_or(Duration::MAX).as_secs_f64()
        };
        // Eight times as many ratings; if the time were quadratic, it would be 64 times as long.
        let (few, many) = (fastest(1 << 20), fastest(1 << 23));
        assert!(many < 24.0 * few, "{few} s, {many} s");
    }

    #[test]
    fn more_entries_than_addresses_are_refused() {
        assert!(matches!(Side::zeros(1 << 40, 1 << 40), Err(Error::OutOfMemory { .. })));
    }
}
