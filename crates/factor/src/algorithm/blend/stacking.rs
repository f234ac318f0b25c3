//! Learns the weights of a blend: ridge regression of ratings on the predictions of the parts (Breiman 1996, "Stacked regressions").

use crate::algorithm::blend::{Weights, log_count};
use crate::error::Error;
use crate::linear::symmetric::{factorise, solve};
use crate::memory::try_vec;

/// The sums of the regression.
///
/// The features of a rating are the predictions of the parts, not clamped to the scale. If the weights depend on numbers of ratings,
/// they are also these predictions times each of the two logarithms, and the logarithms themselves.
#[derive(Clone, Debug)]
pub struct Stacking {
    parts: usize,
    counts: bool,
    ratings: u64,
    /// Sums of the features and, last, of the ratings.
    sums: Vec<f64>,
    /// The upper triangle of the sums of their products, row by row.
    products: Vec<f64>,
    /// The features of one rating, and the rating.
    row: Vec<f64>,
}

/// What is subtracted from predictions and ratings before they are multiplied, so that the sums of products lose fewer digits.
const MIDDLE: f64 = 3.0;

impl Stacking {
    /// A regression on so many parts. `counts` says that weights depend on numbers of ratings.
    pub fn new(parts: usize, counts: bool) -> Result<Stacking, Error> {
        let features = if counts { 3 * parts + 2 } else { parts };
        let n = features + 1;
        let (sums, products, row) = (try_vec(n)?, try_vec(n * n)?, try_vec(n)?);
        Ok(Stacking { parts, counts, ratings: 0, sums, products, row })
    }

    /// Adds a rating, with the parts' predictions and the numbers of ratings of its customer and movie.
    pub fn add(&mut self, predictions: &[f32], customer_ratings: u32, movie_ratings: u32, rating: u8) {
        let (g, h) = (log_count(customer_ratings), log_count(movie_ratings));
        let Stacking { parts, counts, ratings, sums, products, row } = self;
        *ratings += 1;
        for (part, &prediction) in predictions.iter().enumerate().take(*parts) {
            let prediction = f64::from(prediction) - MIDDLE;
            row[part] = prediction;
            if *counts {
                row[*parts + part] = prediction * g;
                row[2 * *parts + part] = prediction * h;
            }
        }
        let n = row.len();
        if *counts {
            (row[n - 3], row[n - 2]) = (g, h);
        }
        row[n - 1] = f64::from(rating) - MIDDLE;
        sums.iter_mut().zip(&*row).for_each(|(sum, &value)| *sum += value);
        for (at, to) in products.chunks_exact_mut(n).enumerate() {
            let value = row[at];
            to[at..].iter_mut().zip(&row[at..]).for_each(|(sum, &other)| *sum += value * other);
        }
    }

    /// The intercept and the weights of the parts. They minimise the squared errors and, for each weight, its square times
    /// `regularization` times the variance of its feature. This acts like that many additional ratings that are uncorrelated with
    /// every feature.
    ///
    /// [`Error::NoRatings`] if none was added. [`Error::Undetermined`] if the predictions of one part are a combination of others' and
    /// there is no regularization.
    pub fn solve(&self, regularization: f64) -> Result<(Weights, Vec<Weights>), Error> {
        if self.ratings == 0 {
            return Err(Error::NoRatings);
        }
        let (n, count) = (self.row.len(), self.ratings as f64);
        let features = n - 1;
        let mean = |at: usize| self.sums[at] / count;
        let covariance = |i: usize, j: usize| self.products[i * n + j] / count - mean(i) * mean(j);
        let mut matrix: Vec<f64> = try_vec(features * features)?;
        let mut right: Vec<f64> = try_vec(features)?;
        for i in 0..features {
            for j in i..features {
                matrix[i * features + j] = covariance(i, j);
            }
            right[i] = covariance(i, features);
            let variance = matrix[i * features + i];
            // A constant has no weight: that of the intercept is enough.
            let is_constant = variance <= 1e-12 * (1.0 + mean(i) * mean(i));
            let row = i * features;
            if is_constant {
                (0..i).for_each(|above| matrix[above * features + i] = 0.0);
                matrix[row + i..row + features].fill(0.0);
                matrix[row + i] = 1.0;
                right[i] = 0.0;
            } else {
                matrix[row + i] += regularization / count * variance;
            }
        }
        if !factorise(&mut matrix, features, &mut || Ok(()))? {
            return Err(Error::Undetermined { ratings: self.ratings as usize });
        }
        solve(&matrix, &mut right);
        let fitted = (0..features).map(|at| right[at] * mean(at)).sum::<f64>();
        let constant = mean(features) - fitted + MIDDLE;
        let mut intercept = Weights { constant, ..Weights::default() };
        let mut weights = vec![Weights::default(); self.parts];
        for (part, weight) in weights.iter_mut().enumerate() {
            weight.constant = right[part];
            if self.counts {
                weight.by_customer = right[self.parts + part];
                weight.by_movie = right[2 * self.parts + part];
            }
            // The features are differences from the middle.
            intercept.constant -= MIDDLE * weight.constant;
            intercept.by_customer -= MIDDLE * weight.by_customer;
            intercept.by_movie -= MIDDLE * weight.by_movie;
        }
        if self.counts {
            intercept.by_customer += right[features - 2];
            intercept.by_movie += right[features - 1];
        }
        Ok((intercept, weights))
    }
}
