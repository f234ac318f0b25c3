//! The hyperparameters of one side of a Bayesian factor model, and their samples given the side's rows.
//!
//! A row `u_i = [factors, bias]` has the prior `N(μ + m_i, Λ⁻¹)`, where `m_i` is the prior mean that the link gives (see
//! `implicit/link`), if there is one. The hyperparameters are sampled from their conditional posteriors:
//!
//! - `μ` and `Λ`: Normal-Wishart (Salakhutdinov and Mnih 2008, "Bayesian probabilistic matrix factorization using Markov chain
//!   Monte Carlo", equation 14);
//! - the link's vectors `Y` and their relative precision `λ`: the link matrix of Macau (Simm et al. 2015, "Macau: scalable
//!   Bayesian multi-relational factorization with side information using MCMC", section 2.2). A vector has the prior `N(0,
//!   (λΛ)⁻¹)`.

use std::sync::atomic::AtomicBool;

use ndarray::{Array1, Array2, ArrayView2, s};
use rand_distr::{ChiSquared, Distribution};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use crate::error::Error;
use crate::gibbs::noise::{LINK_ROWS, LINK_VECTORS, gamma, hyperparameter_generator, normal, row_generator};
use crate::implicit::link::Link;
use crate::linear::dense_product::add_product;
use crate::linear::gram::gram;
use crate::linear::positive_definite::{cholesky, invert};
use crate::memory::zeros;
use crate::model::Side;
use crate::random::hash;
use crate::ratings::sparse::Sparse;
use crate::rows::RowChunks;

/// β₀ of the Normal-Wishart prior: the prior mean 0 of μ counts as much as this many rows.
const BETA_0: f64 = 2.0;
/// The gamma priors of α (the precision of ratings) and of λ have half of this as shape and half of this as rate.
pub(super) const GAMMA_PRIOR: f64 = 2.0;

/// The hyperparameters of one side.
pub(super) struct Hyperparameters {
    /// `customer` or `movie`, for error messages.
    pub side: &'static str,
    /// N: rows that have ratings.
    pub rated_rows: usize,
    /// μ: factors and, last, the bias.
    pub mean: Array1<f64>,
    /// Λ, unknowns x unknowns.
    pub precision: Array2<f64>,
    /// The vectors `Y`, and λ.
    pub link: Option<(Link, f64)>,
}

impl Hyperparameters {
    /// Begins with `μ = 0` and `Λ = I` for rows of `unknowns` values: the factors and a bias.
    pub fn new(
        side: &'static str,
        rated_rows: usize,
        unknowns: usize,
        link: Option<(Link, f64)>,
    ) -> Result<Hyperparameters, Error> {
        let mut precision: Array2<f64> = zeros((unknowns, unknowns))?;
        precision.diag_mut().fill(1.0);
        Ok(Hyperparameters { side, rated_rows, mean: Array1::zeros(unknowns), precision, link })
    }

    /// Samples μ and Λ, and then the link, given the rows of `side`.
    pub fn sample(
        &mut self,
        (sparse, transpose): (&Sparse, &Sparse),
        side: &Side,
        stream: u64,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let mut rng = hyperparameter_generator(stream);
        let mut rows = zeros((side.factors.nrows(), side.factors.ncols() + 1))?;
        let chunks = RowChunks::of_length(rows.ncols());
        copy_rows(side, &mut rows, cancelled)?;
        if let Some((link, _)) = &self.link {
            chunks.for_each(chunks.split_mut(&mut rows), cancelled, |from, mut rows| {
                let mut mean = vec![0.0; link.vectors.ncols()];
                for (row, mut entries) in (from..).zip(rows.rows_mut()) {
                    link.prior_mean(sparse.row(row).0, &mut mean);
                    entries.iter_mut().zip(&mean).for_each(|(entry, &mean)| *entry -= mean);
                }
                Ok(())
            })?;
        }
        self.sample_normal_wishart(rows.view(), &mut rng, cancelled)?;
        if self.link.is_some() {
            copy_rows(side, &mut rows, cancelled)?;
            self.sample_link((sparse, transpose), rows, stream, &mut rng, cancelled)?;
        }
        Ok(())
    }

    /// Samples μ and Λ, given `deviations`, the rows `u_i - m_i`. With their mean `ū`, and with μ₀ = 0, W₀ = I and ν₀ = unknowns:
    ///
    /// ```text
    /// W*⁻¹ = W₀⁻¹ + Σ u uᵀ - N ū ūᵀ + β₀ N / (β₀ + N) ū ūᵀ,   ν* = ν₀ + N,   Λ ~ Wishart(W*, ν*)
    /// μ* = N ū / (β₀ + N),   β* = β₀ + N,   μ ~ N(μ*, (β* Λ)⁻¹)
    /// ```
    ///
    /// A link adds `λ YᵀY` to `W*⁻¹` and the number of its vectors to `ν*`.
    fn sample_normal_wishart(
        &mut self,
        deviations: ArrayView2<'_, f32>,
        rng: &mut Xoshiro256PlusPlus,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let unknowns = deviations.ncols();
        let n = self.rated_rows as f64;
        // Rows without ratings are zeros and add nothing. N does not count them.
        let chunks = RowChunks::of_length(unknowns);
        let mut mean = chunks.sum_columns(deviations.dim(), cancelled, |sums, rows| {
            for row in deviations.slice(s![rows, ..]).rows() {
                sums.iter_mut().zip(row).for_each(|(sum, &entry)| *sum += f64::from(entry));
            }
        })?;
        mean.iter_mut().for_each(|sum| *sum /= n);
        let mut w_inverse = gram(deviations, cancelled)?;
        let outer = BETA_0 * n / (BETA_0 + n) - n;
        for ((row, column), entry) in w_inverse.indexed_iter_mut() {
            *entry += outer * mean[row] * mean[column] + if row == column { 1.0 } else { 0.0 };
        }
        let mut nu = unknowns as f64 + n;
        if let Some((link, lambda)) = &self.link {
            let products = gram(link.vectors.view(), cancelled)?;
            w_inverse.zip_mut_with(&products, |entry, product| *entry += lambda * product);
            nu += link.vectors.nrows() as f64;
        }
        let w_root = root_of_inverse(w_inverse, cancelled)?;
        // Bartlett's decomposition: Λ = L A Aᵀ Lᵀ with W = LLᵀ. A is lower triangular, with standard normal values below the
        // diagonal and roots of chi-squared values on it.
        let mut bartlett = zeros((unknowns, unknowns))?;
        for row in 0..unknowns {
            for column in 0..row {
                bartlett[(row, column)] = f64::from(normal(rng));
            }
            let squares = ChiSquared::new(nu - row as f64).map_err(|_| Error::NoConvergence)?;
            bartlett[(row, row)] = squares.sample(rng).sqrt();
        }
        let mut root: Array2<f64> = zeros((unknowns, unknowns))?;
        add_product(1.0, w_root.view(), bartlett.view(), root.view_mut());
        let mut root_transpose = bartlett;
        root_transpose.assign(&root.t());
        self.precision.fill(0.0);
        add_product(1.0, root.view(), root_transpose.view(), self.precision.view_mut());
        let covariance_root = root_of_inverse(copy(&self.precision)?, cancelled)?;
        let noise = Array1::from_shape_fn(unknowns, |_| f64::from(normal(rng)));
        let shrinkage = n / (BETA_0 + n);
        for ((to, mean), row) in self.mean.iter_mut().zip(&mean).zip(covariance_root.rows()) {
            let noise = row.iter().zip(&noise).map(|(entry, noise)| entry * noise).sum::<f64>();
            *to = mean * shrinkage + noise / (BETA_0 + n).sqrt();
        }
        Ok(())
    }

    /// Samples the link's vectors `Y` and then λ, given `rows`, the `u_i`, and μ and Λ.
    ///
    /// `Y` is the solution of a ridge regression with noise: `(WᵀW + λ) Y = Wᵀ (U - μ + E₁) + √λ E₂`, where the rows of E₁ and E₂
    /// are samples of `N(0, Λ⁻¹)`. λ has a gamma distribution, with the shape `(2 + entries of Y) / 2` and the rate
    /// `(2 + tr(YᵀY Λ)) / 2`.
    fn sample_link(
        &mut self,
        sides: (&Sparse, &Sparse),
        mut rows: Array2<f32>,
        stream: u64,
        rng: &mut Xoshiro256PlusPlus,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let Some((link, lambda)) = &mut self.link else { return Ok(()) };
        let root = root_of_inverse(copy(&self.precision)?, cancelled)?;
        let mut root_transpose: Array2<f32> = zeros(root.dim())?;
        root_transpose.zip_mut_with(&root.t(), |to, &entry| *to = entry as f32);
        let mean = self.mean.mapv(|entry| entry as f32);
        // Subtracts the mean, if there is one, and adds `scale` times a sample of N(0, Λ⁻¹) to each row.
        let add_noise = |to: &mut Array2<f32>, mean: Option<&Array1<f32>>, scale: f32, stream: u64| {
            let chunks = RowChunks::of_products(root_transpose.dim());
            chunks.for_each(chunks.split_mut(to), cancelled, |from, mut rows| {
                let mut noise = zeros(rows.dim())?;
                for (row, mut entries) in (from..).zip(noise.rows_mut()) {
                    let mut rng = row_generator(stream, row);
                    entries.iter_mut().for_each(|entry| *entry = scale * normal(&mut rng));
                }
                if let Some(mean) = mean {
                    rows.rows_mut().into_iter().for_each(|mut row| row -= mean);
                }
                add_product(1.0, noise.view(), root_transpose.view(), rows);
                Ok(())
            })
        };
        add_noise(&mut rows, Some(&mean), 1.0, hash(stream ^ LINK_ROWS))?;
        let mut noise = zeros(link.vectors.dim())?;
        add_noise(&mut noise, None, lambda.sqrt() as f32, hash(stream ^ LINK_VECTORS))?;
        link.fit(sides, rows.view(), |_| 1.0, *lambda, Some(noise.view()), cancelled)?;
        let (vectors, unknowns) = link.vectors.dim();
        let products = gram(link.vectors.view(), cancelled)?;
        let trace = products.iter().zip(&self.precision).map(|(product, entry)| product * entry).sum::<f64>();
        let shape = (GAMMA_PRIOR + (vectors * unknowns) as f64) / 2.0;
        *lambda = gamma(shape, (GAMMA_PRIOR + trace) / 2.0, rng);
        Ok(())
    }
}

/// `L`, lower triangular, where `LLᵀ` is the inverse of a symmetric positive definite matrix. [`Error::NoConvergence`] if the
/// matrix is not positive definite.
fn root_of_inverse(mut matrix: Array2<f64>, cancelled: &AtomicBool) -> Result<Array2<f64>, Error> {
    if !invert(&mut matrix, cancelled)? {
        return Err(Error::NoConvergence);
    }
    cholesky(matrix.view(), cancelled)?.ok_or(Error::NoConvergence)
}

/// A copy of a matrix, or [`Error::OutOfMemory`].
pub(super) fn copy(matrix: &Array2<f64>) -> Result<Array2<f64>, Error> {
    let mut copy = zeros(matrix.dim())?;
    copy.assign(matrix);
    Ok(copy)
}

/// Copies each row's factors and, behind them, its bias into a row of `rows`.
fn copy_rows(side: &Side, rows: &mut Array2<f32>, cancelled: &AtomicBool) -> Result<(), Error> {
    let factors = side.factors.ncols();
    let chunks = RowChunks::of_length(factors + 1);
    let sides = chunks.split(&side.factors).zip(chunks.split(&side.biases));
    chunks.for_each(chunks.split_mut(rows).zip(sides), cancelled, |_, (mut rows, (vectors, biases))| {
        rows.slice_mut(s![.., ..factors]).assign(&vectors);
        rows.column_mut(factors).assign(&biases);
        Ok(())
    })
}
