//! Half a sweep of alternating least squares: every row of one side is solved for, the other side held fixed.

mod cholesky;
mod conjugate_gradient;
mod gather;
pub(crate) mod normal_equations;
pub(crate) mod packed;
mod products;
pub(crate) mod row;

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use ndarray::{ArrayViewMut1, ArrayViewMut2, Axis};
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::least_squares::gather::AHEAD;
use crate::least_squares::normal_equations::{Scratch, solve_row};
use crate::least_squares::packed::PackedSide;
use crate::least_squares::row::{Observed, Prior, Unsolved};
use crate::memory::try_room;
use crate::model::Side;
use crate::ratings::sparse::Sparse;
use crate::rows::sum;
use crate::simd::InstructionSet;

/// Ratings of the rows that one thread solves before it takes the next block: some milliseconds' work.
pub(crate) const RATINGS_PER_ROW_BLOCK: usize = 8192;

/// What the systems of all rows have in common.
#[derive(Clone, Copy)]
pub(crate) struct HalfSweep<'a> {
    /// `customer` or `movie`, whichever is solved for.
    pub side: &'static str,
    /// Its rows' ratings.
    pub sparse: &'a Sparse,
    /// What they are explained by.
    pub others: &'a PackedSide,
    /// The mean of all ratings.
    pub mean: f32,
    /// As [`Observed::precision`].
    pub precision: Option<&'a [f32]>,
    /// As [`Observed::steps`].
    pub steps: usize,
    pub cancelled: &'a AtomicBool,
}

impl HalfSweep<'_> {
    /// Solves for every row of a side, in rayon's current pool, each by one thread; gives the sum of squared errors. `prior`
    /// fills in what is held of a row beforehand. Rows without ratings become zero.
    pub fn solve(&self, rows: &mut Side, prior: impl Fn(usize, &mut Prior) + Sync) -> Result<f64, Error> {
        let HalfSweep { sparse, others, .. } = *self;
        let instructions = InstructionSet::available()[0];
        let (mut vectors, mut biases) = (rows.factors.view_mut(), rows.biases.view_mut());
        let ranges = sparse.blocks(RATINGS_PER_ROW_BLOCK)?;
        let mut blocks = try_room(ranges.len())?;
        for block in ranges {
            let (these, later) = vectors.split_at(Axis(0), block.len());
            let (their_biases, later_biases) = biases.split_at(Axis(0), block.len());
            (vectors, biases) = (later, later_biases);
            blocks.push((block, these, their_biases));
        }
        let room = || Ok((Scratch::new(others.factors)?, Prior::none(others.factors)?));
        let solve_block = |room: &mut Result<(Scratch, Prior), Error>,
                           (block, vectors, biases): RowBlock<'_>| {
            let (scratch, known) = room.as_mut().map_err(|error| error.clone())?;
            self.solve_block(instructions, block, vectors, biases, &prior, (scratch, known))
        };
        // Summed up in the blocks' order, which no number of threads changes; so is the first of several failures.
        sum(blocks.into_par_iter().map_init(room, solve_block))
    }

    fn solve_block(
        &self,
        instructions: InstructionSet,
        block: Range<usize>,
        mut vectors: ArrayViewMut2<'_, f32>,
        mut biases: ArrayViewMut1<'_, f32>,
        prior: impl Fn(usize, &mut Prior),
        (scratch, known): (&mut Scratch, &mut Prior),
    ) -> Result<f64, Error> {
        let HalfSweep { side, sparse, others, mean, precision, steps, cancelled } = *self;
        let mut error = 0.0;
        for (row, (mut vector, bias)) in block.zip(vectors.rows_mut().into_iter().zip(&mut biases)) {
            check(cancelled)?;
            let (numbers, ratings) = sparse.row(row);
            if numbers.is_empty() {
                vector.fill(0.0);
                *bias = 0.0;
                continue;
            }
            prior(row, known);
            let (ahead, start) = (sparse.ahead(row, AHEAD), (vector.view(), *bias));
            let observed =
                Observed { others, numbers, ratings, ahead, mean, prior: known, precision, steps, start };
            let solved = solve_row(instructions, &observed, scratch, cancelled).map_err(|why| match why {
                Unsolved::Singular => Error::Singular { side, row },
                Unsolved::Cancelled => Error::Cancelled,
            })?;
            vector.iter_mut().zip(solved.factors).for_each(|(to, &factor)| *to = factor);
            *bias = solved.bias;
            error += solved.squared_error;
        }
        Ok(error)
    }
}

/// Rows, their factors and their biases.
type RowBlock<'a> = (Range<usize>, ArrayViewMut2<'a, f32>, ArrayViewMut1<'a, f32>);
