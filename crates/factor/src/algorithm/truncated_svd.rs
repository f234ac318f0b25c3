//! Randomised truncated singular value decomposition of the centred rating matrix, whose missing ratings count as
//! zeros (Halko, Martinsson and Tropp 2011, "Finding structure with randomness", algorithms 4.4 and 5.1), as
//! scikit-learn's `TruncatedSVD(algorithm="randomized")` computes it.

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, s};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::algorithm::baseline;
use crate::algorithm::parameter::{count, seed, whole};
use crate::algorithm::run::{Course, Run, Size, Trained};
use crate::error::{Error, check};
use crate::linear::jacobi::{Singular, singular_values};
use crate::linear::orthonormal::{multiply_tall, orthonormalize};
use crate::linear::sparse_product::multiply;
use crate::linear::{jacobi, orthonormal};
use crate::memory::{try_vec, zeros};
use crate::model::{Model, Side};
use crate::random::{generator, hash};
use crate::ratings::Ratings;
use crate::ratings::builder::MatrixBuilder;
use crate::ratings::matrix::RatingMatrix;
use crate::ratings::sparse::Sparse;
use crate::rows::{RowChunks, sum};

#[cfg(test)]
mod tests;

/// Runs of rows that are gone through at the same time for their largest entries.
const FLIP_PARTS: usize = 32;

/// How to decompose.
///
/// | parameter | default | range | meaning |
/// | --- | --- | --- | --- |
/// | `factors` | 50 | 1 to 1024 | singular values kept: at most as many as customers, and movies, have ratings |
/// | `iterations` | 5 | 0 to 100 | power iterations, each a product with the matrix's transpose and the matrix more |
/// | `oversampling` | 10 | 0 to 1000 | directions searched beside those kept |
/// | `center` | `biases` | `biases`, `mean`, `none` | what is taken off each rating |
/// | `seed` | 42 | any | where the search starts |
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Singular values kept, and so the length of each vector.
    #[serde(deserialize_with = "count")]
    pub factors: usize,
    /// Power iterations: scikit-learn's `n_iter`.
    #[serde(deserialize_with = "count")]
    pub iterations: usize,
    /// Directions searched beside those kept: scikit-learn's `n_oversamples`.
    #[serde(deserialize_with = "count")]
    pub oversampling: usize,
    /// What is taken off each rating.
    pub center: Center,
    /// Where the search starts.
    #[serde(deserialize_with = "seed")]
    pub seed: i64,
}

/// What is taken off each rating before its matrix is decomposed, and is part of each prediction.
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

impl Default for Params {
    fn default() -> Params {
        Params { factors: 50, iterations: 5, oversampling: 10, center: Center::Biases, seed: 42 }
    }
}

impl Params {
    /// Checks each parameter's range.
    pub fn check(&self) -> Result<(), Error> {
        whole("factors", self.factors, 1..=1024)?;
        whole("iterations", self.iterations, 0..=100)?;
        whole("oversampling", self.oversampling, 0..=1000)
    }

    /// Bytes that training takes at its height, the matrix and its making included.
    pub fn memory(&self, size: Size) -> usize {
        let Size { customers, movies, ratings, held_out, threads } = size;
        let width = (self.factors + self.oversampling).min(customers).min(movies);
        let model = |rows: usize| rows * size_of::<f32>() * (self.factors + 1);
        let blocks = (customers + movies) * size_of::<f64>() * width;
        // R, and its decomposition with what that takes; or what makes a block orthonormal, before.
        let square = width * width * size_of::<f64>();
        let reducing = square + orthonormal::memory(customers.max(movies), width, threads);
        let decomposing = square + jacobi::memory(width);
        // Of a product's turn, each thread has a copy.
        let multiplying =
            decomposing + model(customers + movies) + threads * 1024 * self.factors * size_of::<f64>();
        let training = RatingMatrix::memory(customers, movies, ratings)
            + (customers + movies) * size_of::<f32>()
            + blocks
            + reducing.max(multiplying);
        MatrixBuilder::memory(customers, movies, ratings, threads).max(training) + Ratings::memory(held_out)
    }
}

/// What the singular values tell of the matrix, as scikit-learn's `TruncatedSVD` defines it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Spectrum {
    /// The largest ones, descending.
    pub singular_values: Vec<f64>,
    /// The variance over all customers of each column of `U Σ`; in squared stars.
    pub explained_variance: Vec<f64>,
    /// Each one as a share of the variances of all the matrix's columns, its zeros included; 0 where these are 0.
    pub explained_variance_ratio: Vec<f64>,
}

/// Decomposes the centred matrix as `U Σ Vᵀ`, in rayon's current pool; customers' factors are `U √Σ`, movies' `V √Σ`. In
/// each column of V the entry of largest size is positive, the first one of several: scikit-learn's
/// `svd_flip(u_based_decision=False)`. The same matrix, parameters and seed give the same bits whatever the number of
/// threads.
///
/// One iteration is reported, at the end. [`Error::Parameter`] where there are not as many customers, or movies, with
/// ratings as there are to be factors.
pub fn train(
    matrix: &RatingMatrix,
    params: &Params,
    run: &mut Run<'_>,
) -> Result<(Trained, Spectrum), Error> {
    params.check()?;
    let rank = rated(&matrix.by_customer).min(rated(&matrix.by_movie));
    if params.factors > rank {
        let range = format!("at most {rank}, as so many customers or movies have ratings");
        return Err(Error::Parameter { name: "factors", value: params.factors.to_string(), range });
    }
    let cancelled = run.cancelled;
    let mut course = Course::new(matrix, run, 1, 0.0)?;
    let mut model = centre(matrix, params.center, cancelled)?;
    let centred = Centred { matrix, model: &model, cancelled };
    let width = (params.factors + params.oversampling).min(rank);
    let basis = centred.basis(width, params)?;
    let Decomposed { customers, movies, spectrum } = centred.decompose(basis, params.factors)?;
    (model.customers.factors, model.movies.factors) = (customers.factors, movies.factors);
    let error = model.squared_error(matrix, cancelled)?;
    let train_rmse = (error / matrix.ratings() as f64).sqrt();
    Ok((course.finish(&mut model, train_rmse)?, spectrum))
}

/// How many rows have ratings.
fn rated(sparse: &Sparse) -> usize {
    (0..sparse.rows()).filter(|&row| sparse.count(row) > 0).count()
}

/// What is taken off each rating, as a model of no factors.
fn centre(matrix: &RatingMatrix, center: Center, cancelled: &AtomicBool) -> Result<Model, Error> {
    let none = |mean| {
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
        Center::Biases => baseline::biases(matrix, &baseline::Params::default(), cancelled),
        Center::Mean => none(matrix.mean() as f32),
        Center::None => none(0.0),
    }
}

/// The matrix S that is decomposed, customers by movies: of each rating, what the model leaves of it; zeros elsewhere.
struct Centred<'a> {
    matrix: &'a RatingMatrix,
    model: &'a Model,
    cancelled: &'a AtomicBool,
}

struct Decomposed {
    customers: Side,
    movies: Side,
    spectrum: Spectrum,
}

impl Centred<'_> {
    /// An orthonormal basis (movies × width) of what the movies' largest singular vectors span, nearly (algorithm 4.4, of
    /// Sᵀ), and a block for customers.
    ///
    /// It is of the movies' side, so that `S · V = U Σ` holds exactly for what [`Centred::decompose`] makes of it, and
    /// either may be called the transformed matrix. scikit-learn's is of the longer side, as good and not the same.
    fn basis(&self, width: usize, params: &Params) -> Result<(Array2<f64>, Array2<f64>), Error> {
        let mut tall = zeros((self.matrix.by_customer.rows(), width))?;
        let mut basis = zeros((self.matrix.by_movie.rows(), width))?;
        // A row's numbers are its own, whichever thread draws them.
        let chunks = RowChunks::of_length(width);
        chunks.for_each(chunks.split_mut(&mut tall), self.cancelled, |from, mut rows| {
            for (row, mut numbers) in (from as u64..).zip(rows.rows_mut()) {
                let mut rng = generator(hash(params.seed as u64 ^ hash(row)) as i64);
                numbers.iter_mut().for_each(|number| *number = StandardNormal.sample(&mut rng));
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

    /// The singular value decomposition of S within the basis (algorithm 5.1, of Sᵀ): `S Q = P R` and
    /// `R = W Σ Zᵀ`, thus `S Q Qᵀ = (P W) Σ (Q Z)ᵀ`.
    fn decompose(
        &self,
        (basis, mut tall): (Array2<f64>, Array2<f64>),
        factors: usize,
    ) -> Result<Decomposed, Error> {
        self.by_customer(&basis, &mut tall)?;
        let r = orthonormalize(tall.view_mut(), self.cancelled)?;
        let Singular { mut left, mut values, mut right } = singular_values(&r, self.cancelled)?;
        // What rounding leaves of a singular value that is zero would be scaled to factors that mean nothing.
        let largest = values.first().copied().unwrap_or(0.0);
        let noise = largest * f64::EPSILON * tall.nrows().max(basis.nrows()) as f64;
        values.iter_mut().filter(|value| **value <= noise).for_each(|value| *value = 0.0);
        values.truncate(factors);
        let spectrum = self.spectrum(&tall, &left, values)?;
        for (column, value) in spectrum.singular_values.iter().enumerate() {
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
        Ok(Decomposed { customers, movies, spectrum })
    }

    /// Of each column -1 where its entry of largest size, the first one of several, is negative, and 1 elsewhere.
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

    /// Of singular values, whose left vectors are the columns of `tall · left`.
    fn spectrum(
        &self,
        tall: &Array2<f64>,
        left: &Array2<f64>,
        singular_values: Vec<f64>,
    ) -> Result<Spectrum, Error> {
        let chunks = RowChunks::of_length(tall.ncols());
        let sum = chunks.sum_columns(tall.dim(), self.cancelled, |sums, rows| {
            for row in tall.slice(s![rows, ..]).rows() {
                sums.iter_mut().zip(row).for_each(|(sum, entry)| *sum += entry);
            }
        })?;
        let sum = ndarray::ArrayView1::from(&sum);
        let customers = tall.nrows() as f64;
        // A left vector's squares sum up to 1.
        let variance = |(&value, sum): (&f64, &f64)| {
            value * value * (1.0 / customers - (sum / customers).powi(2)).max(0.0)
        };
        let explained_variance = singular_values.iter().zip(&sum.dot(left)).map(variance).collect::<Vec<_>>();
        let total = self.variance()?;
        let share = |&variance: &f64| if total > 0.0 { variance / total } else { 0.0 };
        let explained_variance_ratio = explained_variance.iter().map(share).collect();
        Ok(Spectrum { singular_values, explained_variance, explained_variance_ratio })
    }

    /// The variances of all columns, summed up.
    fn variance(&self) -> Result<f64, Error> {
        let Centred { matrix, cancelled, .. } = *self;
        let customers = matrix.by_customer.rows() as f64;
        let variances = (0..matrix.by_movie.rows()).into_par_iter().map(|movie| {
            check(cancelled)?;
            let (numbers, values) = matrix.by_movie.row(movie);
            let (mut sum, mut squares) = (0.0, 0.0);
            for (&customer, &value) in numbers.iter().zip(values) {
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

    fn entry(&self, customer: usize, movie: usize, value: u8) -> f64 {
        let Model { mean, customers, movies, .. } = self.model;
        let biases = f64::from(customers.biases[customer]) + f64::from(movies.biases[movie]);
        f64::from(value) - f64::from(*mean) - biases
    }
}
