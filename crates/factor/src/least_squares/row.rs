//! One row's least-squares system: its ratings, its prior, and its solution.
//!
//! A row is a customer or a movie. Its unknowns are `x = [factors, bias]`. Each of the row's ratings `r`, of one row of the other
//! side, gives an equation `zᵀx ≈ t` with `z = [the other row's factors, 1]` and the target `t = r - mean - the other row's
//! bias`.

use std::sync::atomic::AtomicBool;

use ndarray::ArrayView1;

use crate::error::Error;
use crate::least_squares::packed::PackedSide;
use crate::memory::try_vec;

/// The Gaussian prior of one row's factors and bias: ridge weights (its precision) and the linear term `precision · mean`.
///
/// The row's solution minimises `Σ (t - zᵀx)² + xᵀΛx - 2 hᵀx`, where `Λ` is the diagonal matrix of the ridge weights, plus
/// [`RowSystem::precision`] if there is one, and `h` is the linear term. A prior mean `m` needs `h = Λm`.
pub(crate) struct Prior {
    /// Λ of each factor.
    pub ridge: f32,
    /// Λ of the bias.
    pub bias_ridge: f32,
    /// `h`, one value for each unknown.
    pub linear: Vec<f32>,
    /// One value for each unknown. `U⁻¹ noise` is added to the solution, where `UᵀU` is the system's matrix. With standard
    /// normal values, the result is a sample of the Gaussian posterior whose mean is the solution. Conjugate gradients
    /// ignore it.
    pub noise: Vec<f32>,
}

impl Prior {
    /// No prior and no noise, for `factors` factors and a bias.
    pub fn none(factors: usize) -> Result<Prior, Error> {
        Ok(Prior { ridge: 0.0, bias_ridge: 0.0, linear: try_vec(factors + 1)?, noise: try_vec(factors + 1)? })
    }

    /// Λ of an unknown. The bias is the last one.
    pub fn ridge_of(&self, unknown: usize) -> f32 {
        if unknown + 1 < self.linear.len() { self.ridge } else { self.bias_ridge }
    }
}

/// All that one row's system is made of.
pub(crate) struct RowSystem<'a> {
    /// Factors and biases of the other side.
    pub others: &'a PackedSide,
    /// The rows of the other side that this row has ratings of: its column indices in the rating matrix.
    pub columns: &'a [u32],
    /// The ratings, in stars, one for each of `columns`.
    pub ratings: &'a [u8],
    /// The column index that will be needed [`super::gather::PREFETCH_DISTANCE`] ratings later, for each rating, as far as it
    /// is known.
    pub prefetch: &'a [u32],
    /// The mean of all ratings.
    pub mean: f32,
    pub prior: &'a Prior,
    /// A symmetric matrix that is added to Λ. Only its upper triangle is read, in rows of [`PackedSide::stride`] values.
    pub precision: Option<&'a [f32]>,
    /// Steps of a conjugate gradient, which begins at `start`. With 0, the system is solved exactly, by a Cholesky
    /// factorisation.
    pub cg_steps: usize,
    /// The row's factors and bias before.
    pub start: (ArrayView1<'a, f32>, f32),
    /// The cancel flag. It is checked between batches of ratings, because a popular movie's ratings take long.
    pub cancelled: &'a AtomicBool,
}

impl RowSystem<'_> {
    /// The target `t` of a rating: what is left of it for this row's unknowns to explain. `other` is the packed row of the
    /// other side.
    ///
    /// The least-squares kernels (als, svdpp, bpmf) take their targets from here. To train on something else than plain ratings,
    /// change this function, `equations` in `reference.rs`, `Targets::of` in `algorithm/fold_in/customer_ratings.rs` and `gather`
    /// in `algorithm/fold_in/bayesian.rs`. Predictions and errors are in `model/mod.rs`.
    #[inline(always)]
    pub fn target(&self, rating: usize, other: &[u16]) -> f32 {
        f32::from(self.ratings[rating]) - self.mean - self.others.bias(other)
    }
}

/// A row's solution.
#[derive(Debug, PartialEq)]
pub(crate) struct RowSolution<'a> {
    pub factors: &'a [f32],
    pub bias: f32,
    /// `Σ (t - zᵀx)²` over the row's ratings. Meaningless if there was noise.
    pub squared_error: f64,
}

/// Why a row was not solved.
#[derive(Debug, PartialEq)]
pub(crate) enum RowError {
    /// Its system is singular.
    Singular,
    /// The cancel flag is set.
    Cancelled,
}
