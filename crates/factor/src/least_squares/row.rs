//! One row's least-squares system: what it is made of, and its solution.

use ndarray::ArrayView1;

use crate::error::Error;
use crate::least_squares::packed::PackedSide;
use crate::memory::try_vec;

/// What is held of a row's unknowns before its ratings are looked at: its factors and, behind them, its bias. Solved for is
/// the minimum of the squared errors, plus each unknown's square times its ridge, less twice its product with `pull`.
/// A prior mean `m` under a ridge `λ` pulls by `λ m`.
pub(crate) struct Prior {
    /// Weight of each factor's square.
    pub ridge: f32,
    /// Weight of the bias's square.
    pub bias_ridge: f32,
    /// One an unknown.
    pub pull: Vec<f32>,
    /// One an unknown: `U⁻¹ noise` is added to the solution, where `UᵀU` is the system's matrix. Of standard normal numbers
    /// that makes a sample of the posterior whose mean the solution is.
    pub noise: Vec<f32>,
}

impl Prior {
    /// None, for so many factors.
    pub fn none(factors: usize) -> Result<Prior, Error> {
        Ok(Prior { ridge: 0.0, bias_ridge: 0.0, pull: try_vec(factors + 1)?, noise: try_vec(factors + 1)? })
    }

    /// The weight of an unknown's square.
    pub fn ridge_of(&self, unknown: usize) -> f32 {
        if unknown + 1 < self.pull.len() { self.ridge } else { self.bias_ridge }
    }
}

/// A row's ratings, and what else its system is made of.
pub(crate) struct Observed<'a> {
    /// The other side.
    pub others: &'a PackedSide,
    /// Which of its rows were rated.
    pub numbers: &'a [u32],
    /// As what.
    pub ratings: &'a [u8],
    /// Which will have to be at hand [`super::gather::AHEAD`] ratings later, as many as are known.
    pub ahead: &'a [u32],
    /// The mean of all ratings.
    pub mean: f32,
    pub prior: &'a Prior,
    /// A symmetric matrix that is added to the system's: its upper triangle, in rows of [`PackedSide::stride`] numbers.
    pub precision: Option<&'a [f32]>,
    /// How often a conjugate gradient is followed from `start`; 0 to solve by Cholesky's method instead.
    pub steps: usize,
    /// The unknowns as they were.
    pub start: (ArrayView1<'a, f32>, f32),
}

/// A row's solution.
#[derive(Debug, PartialEq)]
pub(crate) struct Solved<'a> {
    pub factors: &'a [f32],
    pub bias: f32,
    /// Summed up over the row's ratings. (Not of a sample.)
    pub squared_error: f64,
}

/// Why a row has no solution.
#[derive(Debug, PartialEq)]
pub(crate) enum Unsolved {
    /// Its system is singular.
    Singular,
    /// The flag asked to stop.
    Cancelled,
}
