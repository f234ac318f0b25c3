//! Half a sweep of alternating least squares: solves for every row of one side while the other side stays fixed.
//!
//! `row` describes a row's system. `reference` computes its solution in the plainest code.

mod cholesky;
mod conjugate_gradient;
mod gather;
pub(crate) mod normal_equations;
pub(crate) mod packed;
mod products;
#[cfg(test)]
mod reference;
pub(crate) mod row;

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use ndarray::{ArrayViewMut1, ArrayViewMut2, Axis};
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::least_squares::gather::PREFETCH_DISTANCE;
use crate::least_squares::normal_equations::{Scratch, solve_row};
use crate::least_squares::packed::PackedSide;
use crate::least_squares::row::{Prior, RowError, RowSystem};
use crate::memory::try_with_capacity;
use crate::model::Side;
use crate::ratings::sparse::Sparse;
use crate::rows::sum;
use crate::simd::InstructionSet;

/// Ratings of the block of rows that a thread solves before it takes the next block: some milliseconds of work.
pub(crate) const RATINGS_PER_ROW_BLOCK: usize = 8192;

/// What the systems of all rows of a side have in common.
#[derive(Clone, Copy)]
pub(crate) struct HalfSweep<'a> {
    /// The side that is solved for, `customer` or `movie`, for error messages.
    pub side: &'static str,
    /// The ratings of its rows.
    pub sparse: &'a Sparse,
    /// The other side's factors and biases.
    pub others: &'a PackedSide,
    /// The mean of all ratings.
    pub mean: f32,
    /// See [`RowSystem::precision`].
    pub precision: Option<&'a [f32]>,
    /// See [`RowSystem::cg_steps`].
    pub cg_steps: usize,
    pub cancelled: &'a AtomicBool,
}

impl HalfSweep<'_> {
    /// Solves for every row of a side, in rayon's current pool, and returns the sum of squared errors on the training ratings.
    ///
    /// `prior` is called once for each row that has ratings, with the row's index, and must fill in the row's prior. Rows
    /// without ratings are set to zero. Returns [`Error::Singular`] if a row has no single solution. Each row is solved by one
    /// thread, so that the number of threads changes no bit.
    pub fn solve(&self, rows: &mut Side, prior: impl Fn(usize, &mut Prior) + Sync) -> Result<f64, Error> {
        let HalfSweep { sparse, others, .. } = *self;
        let instructions = InstructionSet::fastest();
        let (mut vectors, mut biases) = (rows.factors.view_mut(), rows.biases.view_mut());
        let ranges = sparse.blocks(RATINGS_PER_ROW_BLOCK)?;
        let mut blocks = try_with_capacity(ranges.len())?;
        for range in ranges {
            let (block_vectors, later_vectors) = vectors.split_at(Axis(0), range.len());
            let (block_biases, later_biases) = biases.split_at(Axis(0), range.len());
            (vectors, biases) = (later_vectors, later_biases);
            blocks.push((range, block_vectors, block_biases));
        }
        let workspace = || Ok((Scratch::new(others.factors)?, Prior::none(others.factors)?));
        let solve_block = |workspace: &mut Result<(Scratch, Prior), Error>,
                           (range, vectors, biases): RowBlock<'_>| {
            let (scratch, row_prior) = workspace.as_mut().map_err(|error| error.clone())?;
            self.solve_block(instructions, range, vectors, biases, &prior, (scratch, row_prior))
        };
        // Errors are added in the order of blocks, and the first of several failures is returned, on any number of threads.
        sum(blocks.into_par_iter().map_init(workspace, solve_block))
    }

    fn solve_block(
        &self,
        instructions: InstructionSet,
        rows: Range<usize>,
        mut vectors: ArrayViewMut2<'_, f32>,
        mut biases: ArrayViewMut1<'_, f32>,
        prior: impl Fn(usize, &mut Prior),
        (scratch, row_prior): (&mut Scratch, &mut Prior),
    ) -> Result<f64, Error> {
        let HalfSweep { side, sparse, others, mean, precision, cg_steps, cancelled } = *self;
        let mut error = 0.0;
        for (row, (mut vector, bias)) in rows.zip(vectors.rows_mut().into_iter().zip(&mut biases)) {
            check(cancelled)?;
            let (columns, ratings) = sparse.row(row);
            if columns.is_empty() {
                vector.fill(0.0);
                *bias = 0.0;
                continue;
            }
            prior(row, row_prior);
            let prefetch = sparse.columns_from(row, PREFETCH_DISTANCE);
            let start = (vector.view(), *bias);
            let system = RowSystem {
                others,
                columns,
                ratings,
                prefetch,
                mean,
                prior: row_prior,
                precision,
                cg_steps,
                start,
                cancelled,
            };
            let solution = solve_row(instructions, &system, scratch).map_err(|why| match why {
                RowError::Singular => Error::Singular { side, row },
                RowError::Cancelled => Error::Cancelled,
            })?;
            vector.iter_mut().zip(solution.factors).for_each(|(to, &factor)| *to = factor);
            *bias = solution.bias;
            error += solution.squared_error;
        }
        Ok(error)
    }
}

/// A range of rows, with their factors and biases.
type RowBlock<'a> = (Range<usize>, ArrayViewMut2<'a, f32>, ArrayViewMut1<'a, f32>);
