//! Randomised truncated singular value decomposition of the centred rating matrix, in which a missing rating is a zero
//! (Halko, Martinsson and Tropp 2011, "Finding structure with randomness", algorithms 4.4 and 5.1). scikit-learn's
//! `TruncatedSVD(algorithm="randomized")` computes the same.

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, s};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::algorithm::baseline;
use crate::algorithm::cost::{FETCH, SHORT_ITERATIONS, rated_rows};
use crate::algorithm::fold_in::FoldIn;
use crate::algorithm::fold_in::context::FoldInContext;
use crate::algorithm::fold_in::customer_ratings::{CustomerRatings, Targets};
use crate::algorithm::fold_in::folded_in::{FoldedIn, project};
use crate::algorithm::parameter::{ParameterType, parameters};
use crate::algorithm::trainer::Trainer;
use crate::algorithm::training::{Callbacks, Size, Trained, TrainingData, TrainingLoop};
use crate::error::{Error, check};
use crate::linear::jacobi::{Singular, singular_values};
use crate::linear::orthonormal::{multiply_tall, orthonormalize};
use crate::linear::sparse_product::multiply;
use crate::linear::{jacobi, orthonormal};
use crate::memory::{try_vec, zeros};
use crate::model::sample_layout::SampleLayout;
use crate::model::{Model, Side};
use crate::random::{generator, hash};
use crate::ratings::matrix::RatingMatrix;
use crate::rows::{RowChunks, sum};

#[cfg(test)]
mod tests;

/// Parts of the rows that threads search for the largest entries at the same time.
const FLIP_PARTS: usize = 32;

parameters! {
    /// Singular values kept, which is the length of each vector: at most the number of customers with ratings, and of movies with
    /// ratings.
    factors: usize = 50, 1..=1024;
    /// Power iterations; each multiplies by the matrix's transpose and by the matrix once more. scikit-learn's `n_iter`.
    iterations: usize = 5, 0..=100;
    /// Random directions beyond those kept. scikit-learn's `n_oversamples`.
    oversampling: usize = 10, 0..=1000;
    /// What is subtracted from each rating.
    center: Center = Center::Biases, ["biases", "mean", "none"];
    /// Seed of the random directions.
    seed: i64 = 42;
}

/// What is subtracted from each rating before the matrix is decomposed, and is added to each prediction.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Center {
    /// The mean of all ratings and the damped biases of [`baseline`].
    Biases,
    /// The mean of all ratings.
    Mean,
    /// Nothing.
    None,
}

impl ParameterType for Center {}

impl Trainer for Params {
    fn factors(&self) -> usize {
        self.factors
    }

    /// The whole decomposition is reported as one iteration.
    fn iterations(&self) -> usize {
        1
    }

    fn seed(&self) -> Option<i64> {
        Some(self.seed)
    }

    fn memory(&self, size: Size) -> usize {
        let Size { customers, movies, threads, .. } = size;
        let width = (self.factors + self.oversampling).min(customers).min(movies);
        let model = |rows: usize| rows * size_of::<f32>() * (self.factors + 1);
        let blocks = (customers + movies) * size_of::<f64>() * width;
        // R with what its decomposition takes, or what making a block orthonormal takes before that.
        let square = width * width * size_of::<f64>();
        let reducing = square + orthonormal::memory(customers.max(movies), width, threads);
        let decomposing = square + jacobi::memory(width);
        // Each thread has a copy of the rows that it multiplies.
        let multiplying =
            decomposing + model(customers + movies) + threads * 1024 * self.factors * size_of::<f64>();
        (customers + movies) * size_of::<f32>() + blocks + reducing.max(multiplying)
    }

    fn work(&self, size: Size) -> f64 {
        let (rows, ratings, factors) = (rated_rows(size), size.ratings as f64, self.factors as f64);
        let width = (factors + self.oversampling as f64).min(size.customers as f64).min(size.movies as f64);
        // Everything is in double precision, which takes twice as long.
        let products = 4.0 * ratings * (width + FETCH);
        let orthonormal = 8.0 * rows * width * (width + FETCH);
        let decomposition = 100.0 * width.powi(3);
        let last = 4.0 * rows * width * factors + ratings * (factors + FETCH);
        (1 + self.iterations) as f64 * (products + orthonormal) + decomposition + last
    }

    fn shortened(&self, size: Size) -> Box<dyn Trainer> {
        Box::new(Params {
            factors: self.factors.min(size.customers).min(size.movies),
            iterations: self.iterations.min(SHORT_ITERATIONS),
            ..self.clone()
        })
    }

    fn train(&self, data: TrainingData<'_>, callbacks: &mut Callbacks<'_>) -> Result<Trained, Error> {
        let (trained, singular_values) = decompose(data, self, callbacks)?;
        Ok(Trained { summary: serde_json::to_value(singular_values).ok(), ..trained })
    }
}

impl FoldIn for Params {
    fn context(&self, layout: SampleLayout, _prior: Option<&[f32]>) -> Result<FoldInContext, Error> {
        FoldInContext::squared_norms(layout.length())
    }

    fn fold_in(
        &self,
        mean: f32,
        ratings: &CustomerRatings,
        context: &FoldInContext,
        _check: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<FoldedIn, Error> {
        let damping = match self.center {
            Center::Biases => Some(baseline::Params::default().customer_damping),
            Center::Mean | Center::None => None,
        };
        let squared_norms = match context {
            FoldInContext::SquaredNorms(squared_norms) => &squared_norms[..],
            _ => &[],
        };
        project(ratings, Targets::of_mean(mean), damping, squared_norms)
    }
}

/// What the singular values say about the matrix, as scikit-learn's `TruncatedSVD` defines it. Each vector has one entry for
/// each factor.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SingularValues {
    /// The largest singular values, in descending order.
    pub singular_values: Vec<f64>,
    /// The variance over all customers of each column of `U Σ`, in squared stars.
    pub explained_variance: Vec<f64>,
    /// Each explained variance divided by the sum of the variances of all columns of the matrix, zeros included. 0 if that sum is
    /// 0.
    pub explained_variance_ratio: Vec<f64>,
}

/// Decomposes the centred matrix as `U Σ Vᵀ`, in rayon's current pool. Customers' factors are `U √Σ`, movies' factors are
/// `V √Σ`. In each column of V the entry of largest absolute value is positive (the first one of several), as in scikit-learn's
/// `svd_flip(u_based_decision=False)`.
///
/// [`Error::Parameter`] if fewer customers, or movies, have ratings than there are to be factors.
fn decompose(
    data: TrainingData<'_>,
    params: &Params,
    callbacks: &mut Callbacks<'_>,
) -> Result<(Trained, SingularValues), Error> {
    let (matrix, cancelled) = (data.matrix, callbacks.cancelled);
    let rank = matrix.by_customer.rated_rows().min(matrix.by_movie.rated_rows());
    if params.factors > rank {
        let range = format!("at most {rank} (the number of customers or movies with ratings)");
        return Err(Error::Parameter { name: "factors", value: params.factors.to_string(), range });
    }
    let mut training = TrainingLoop::new(data, callbacks, 1, 0.0)?;
    let mut model = center(matrix, params.center, cancelled)?;
    let centred = Centred { matrix, model: &model, cancelled };
    let width = (params.factors + params.oversampling).min(rank);
    let basis = centred.basis(width, params)?;
    let Decomposition { customers, movies, singular_values } = centred.decompose(basis, params.factors)?;
    (model.customers.factors, model.movies.factors) = (customers.factors, movies.factors);
    let squared_error = model.squared_error(matrix, cancelled)?;
    Ok((training.finish(&mut model, squared_error)?, singular_values))
}

/// What is subtracted from each rating, as a model without factors.
fn center(matrix: &RatingMatrix, center: Center, cancelled: &AtomicBool) -> Result<Model, Error> {
    let constant = |mean| {
        let (customers, movies) = (matrix.by_customer.rows(), matrix.by_movie.rows());
        Ok(Model {
            mean,
            customers: Side::zeros(customers, 0)?,
            movies: Side::zeros(movies, 0)?,
            samples: 1,
            links: None,
            prior: None,
        })
    };
    match center {
        Center::Biases => baseline::biases(matrix, cancelled),
        Center::Mean => constant(matrix.mean() as f32),
        Center::None => constant(0.0),
    }
}

/// The matrix S that is decomposed (customers × movies): each rating less the prediction of `model`, and zeros elsewhere.
struct Centred<'a> {
    matrix: &'a RatingMatrix,
    model: &'a Model,
    cancelled: &'a AtomicBool,
}

struct Decomposition {
    customers: Side,
    movies: Side,
    singular_values: SingularValues,
}

impl Centred<'_> {
    /// An orthonormal basis (movies × width) of nearly the same space as the right singular vectors of the largest singular values
    /// span (algorithm 4.4 for Sᵀ), and a block (customers × width) to compute in.
    ///
    /// The basis is on the movies' side, so that `S V = U Σ` holds exactly for the result of [`Centred::decompose`].
    /// scikit-learn's basis is on the longer side: the result is as good, but not the same.
    fn basis(&self, width: usize, params: &Params) -> Result<(Array2<f64>, Array2<f64>), Error> {
        let mut tall = zeros((self.matrix.by_customer.rows(), width))?;
        let mut basis = zeros((self.matrix.by_movie.rows(), width))?;
        // Each row has a generator of its own, so that it does not matter which thread draws.
        let chunks = RowChunks::of_length(width);
        chunks.for_each(chunks.split_mut(&mut tall), self.cancelled, |from, mut rows| {
            for (row, mut entries) in (from as u64..).zip(rows.rows_mut()) {
                let mut rng = generator(hash(params.seed as u64 ^ hash(row)) as i64);
                entries.iter_mut().for_each(|entry| *entry = StandardNormal.sample(&mut rng));
            }
            Ok(())
        })?;
        self.by_movie(&tall, &mut basis)?;
        orthonormalize(basis.view_mut(), self.cancelled)?;
        for _ in 0..params.iterations {
            self.by_customer(&basis, &mut tall)?;
            orthonormalize(tall.view_mut(), self.cancelled)?;
            self.by_movie(&tall, &mut basis)?;
            orthonormalize(basis.view_mut(), self.cancelled)?;
        }
        Ok((basis, tall))
    }

    /// The singular value decomposition of S, projected on the basis Q (algorithm 5.1 for Sᵀ): with `S Q = P R` and
    /// `R = W Σ Zᵀ`, it is `S Q Qᵀ = (P W) Σ (Q Z)ᵀ`.
    fn decompose(
        &self,
        (basis, mut tall): (Array2<f64>, Array2<f64>),
        factors: usize,
    ) -> Result<Decomposition, Error> {
        self.by_customer(&basis, &mut tall)?;
        let r = orthonormalize(tall.view_mut(), self.cancelled)?;
        let Singular { mut left, mut values, mut right } = singular_values(&r, self.cancelled)?;
        // A singular value this small is zero except for rounding. Its factors would be meaningless.
        let largest = values.first().copied().unwrap_or(0.0);
        let noise = largest * f64::EPSILON * tall.nrows().max(basis.nrows()) as f64;
        values.iter_mut().filter(|value| **value <= noise).for_each(|value| *value = 0.0);
        values.truncate(factors);
        let singular_values = self.explained_variances(&tall, &left, values)?;
        for (column, value) in singular_values.singular_values.iter().enumerate() {
            left.column_mut(column).mapv_inplace(|entry| entry * value.sqrt());
            right.column_mut(column).mapv_inplace(|entry| entry * value.sqrt());
        }
        let mut movies = Side::zeros(basis.nrows(), factors)?;
        multiply_tall(
            basis.view(),
            right.slice(s![.., ..factors]),
            movies.factors.view_mut(),
            self.cancelled,
        )?;
        let flips = self.flips(&movies.factors)?;
        let chunks = RowChunks::of_length(factors);
        chunks.for_each(chunks.split_mut(&mut movies.factors), self.cancelled, |_, mut rows| {
            for mut row in rows.rows_mut() {
                row.iter_mut().zip(&flips).for_each(|(entry, &flip)| *entry *= flip);
            }
            Ok(())
        })?;
        for mut row in left.rows_mut() {
            check(self.cancelled)?;
            row.iter_mut().zip(&flips).for_each(|(entry, &flip)| *entry *= f64::from(flip));
        }
        let mut customers = Side::zeros(tall.nrows(), factors)?;
        multiply_tall(
            tall.view(),
            left.slice(s![.., ..factors]),
            customers.factors.view_mut(),
            self.cancelled,
        )?;
        Ok(Decomposition { customers, movies, singular_values })
    }

    /// For each column, -1 if its entry of largest absolute value (the first one of several) is negative, and else 1.
    fn flips(&self, factors: &Array2<f32>) -> Result<Vec<f32>, Error> {
        let columns = factors.ncols();
        let chunks = RowChunks::of_length(columns);
        let larger = |largest: &mut f32, entry: f32| {
            if entry.abs() > largest.abs() {
                *largest = entry;
            }
        };
        let add = |largest: &mut Vec<f32>, rows| {
            for row in factors.slice(s![rows, ..]).rows() {
                largest.iter_mut().zip(row).for_each(|(largest, &entry)| larger(largest, entry));
            }
            Ok(())
        };
        let join = |all: &mut Vec<f32>, part: Vec<f32>| {
            all.iter_mut().zip(part).for_each(|(largest, entry)| larger(largest, entry));
        };
        let mut largest =
            chunks.sum(factors.nrows(), FLIP_PARTS, self.cancelled, || try_vec(columns), add, join)?;
        largest.iter_mut().for_each(|entry| *entry = if *entry < 0.0 { -1.0 } else { 1.0 });
        Ok(largest)
    }

    /// The variances that singular values explain. Their left singular vectors are the columns of `tall · left`.
    fn explained_variances(
        &self,
        tall: &Array2<f64>,
        left: &Array2<f64>,
        singular_values: Vec<f64>,
    ) -> Result<SingularValues, Error> {
        let chunks = RowChunks::of_length(tall.ncols());
        let sum = chunks.sum_columns(tall.dim(), self.cancelled, |sums, rows| {
            for row in tall.slice(s![rows, ..]).rows() {
                sums.iter_mut().zip(row).for_each(|(sum, entry)| *sum += entry);
            }
        })?;
        let sum = ndarray::ArrayView1::from(&sum);
        let customers = tall.nrows() as f64;
        // The squares of a left singular vector add up to 1.
        let variance = |(&value, sum): (&f64, &f64)| {
            value * value * (1.0 / customers - (sum / customers).powi(2)).max(0.0)
        };
        let explained_variance = singular_values.iter().zip(&sum.dot(left)).map(variance).collect::<Vec<_>>();
        let total = self.variance()?;
        let share = |&variance: &f64| if total > 0.0 { variance / total } else { 0.0 };
        let explained_variance_ratio = explained_variance.iter().map(share).collect();
        Ok(SingularValues { singular_values, explained_variance, explained_variance_ratio })
    }

    /// The sum of the variances of all columns.
    fn variance(&self) -> Result<f64, Error> {
        let Centred { matrix, cancelled, .. } = *self;
        let customers = matrix.by_customer.rows() as f64;
        let variances = (0..matrix.by_movie.rows()).into_par_iter().map(|movie| {
            check(cancelled)?;
            let (customers_of, values) = matrix.by_movie.row(movie);
            let (mut sum, mut squares) = (0.0, 0.0);
            for (&customer, &value) in customers_of.iter().zip(values) {
                let entry = self.entry(customer as usize, movie, value);
                sum += entry;
                squares += entry * entry;
            }
            Ok((squares / customers - (sum / customers).powi(2)).max(0.0))
        });
        sum(variances)
    }

    /// `out = S · dense`.
    fn by_customer(&self, dense: &Array2<f64>, out: &mut Array2<f64>) -> Result<(), Error> {
        let weight = |customer: usize, movie: u32, value: u8| self.entry(customer, movie as usize, value);
        multiply(&self.matrix.by_customer, weight, dense.view(), out.view_mut(), self.cancelled)
    }

    /// `out = Sᵀ · dense`.
    fn by_movie(&self, dense: &Array2<f64>, out: &mut Array2<f64>) -> Result<(), Error> {
        let weight = |movie: usize, customer: u32, value: u8| self.entry(customer as usize, movie, value);
        multiply(&self.matrix.by_movie, weight, dense.view(), out.view_mut(), self.cancelled)
    }

    /// A rating less what the model predicts without factors.
    fn entry(&self, customer: usize, movie: usize, value: u8) -> f64 {
        let Model { mean, customers, movies, .. } = self.model;
        let biases = f64::from(customers.biases[customer]) + f64::from(movies.biases[movie]);
        f64::from(value) - f64::from(*mean) - biases
    }
}
