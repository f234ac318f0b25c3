//! The scores of a block of movies for some customers, in vector registers.

#![allow(unsafe_code)] // vector registers

use crate::simd::vector::Vector;
use crate::simd::{InstructionSet, Kernel};

/// Movies of a block: a multiple of two registers of any instruction set.
pub(super) const BLOCK: usize = 32;

/// A customer whom movies are scored for.
#[derive(Clone, Copy, Debug)]
pub struct CustomerQuery<'a> {
    /// The mean of all ratings plus the customer's bias. It is added to each movie's bias.
    pub base: f32,
    /// The customer's vector, of the same length as the movies' vectors.
    pub factors: &'a [f32],
}

/// Scores the movies of a block for at most `ROWS` customers, and writes the scores to `sums`. `movies` has [`BLOCK`] biases, and then
/// [`BLOCK`] entries for each factor. Returns for each customer a bit mask of the movies whose score is above the customer's
/// threshold; the lowest bit is that of the first movie.
pub(super) fn score_block<const ROWS: usize>(
    instructions: InstructionSet,
    movies: &[f32],
    queries: &[CustomerQuery<'_>],
    thresholds: &[f32],
    sums: &mut [[f32; BLOCK]; ROWS],
) -> [u32; ROWS] {
    // The last customer is repeated in place of those that are missing.
    let Some(last) = queries.len().checked_sub(1) else { return [0; ROWS] };
    let queries: [CustomerQuery<'_>; ROWS] = std::array::from_fn(|row| queries[row.min(last)]);
    let thresholds: [f32; ROWS] = std::array::from_fn(|row| thresholds[row.min(last)]);
    assert!(queries.iter().all(|query| BLOCK * (query.factors.len() + 1) == movies.len()));
    instructions.run(ScoreBlock { movies, queries, thresholds, sums })
}

/// The arguments of [`score_block`]. `movies` is a whole block, with as many factors as each query has.
struct ScoreBlock<'a, 'b, const ROWS: usize> {
    movies: &'a [f32],
    queries: [CustomerQuery<'b>; ROWS],
    thresholds: [f32; ROWS],
    sums: &'a mut [[f32; BLOCK]; ROWS],
}

impl<const ROWS: usize> Kernel for ScoreBlock<'_, '_, ROWS> {
    type Output = [u32; ROWS];

    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // so that the compiler keeps each sum in a register
    unsafe fn run<V: Vector>(self) -> [u32; ROWS] {
        let ScoreBlock { movies, queries, thresholds, sums } = self;
        let factors = movies.len() / BLOCK - 1;
        let mut above = [0; ROWS];
        for left in (0..BLOCK).step_by(2 * V::LANES) {
            // SAFETY: the machine has the instruction set of `V`. Two registers from `left` on are within the width of the block, and
            // each query has as many factors as the block.
            unsafe {
                let mut at = movies.as_ptr().add(left);
                let biases = [V::load(at), V::load(at.add(V::LANES))];
                let mut registers = [[V::splat(0.0); 2]; ROWS];
                for row in 0..ROWS {
                    let base = V::splat(queries[row].base);
                    registers[row] = [biases[0].add(base), biases[1].add(base)];
                }
                for factor in 0..factors {
                    at = at.add(BLOCK);
                    let entries = [V::load(at), V::load(at.add(V::LANES))];
                    for row in 0..ROWS {
                        let entry = V::splat(*queries[row].factors.as_ptr().add(factor));
                        for half in 0..2 {
                            registers[row][half] = registers[row][half].add_product(entry, entries[half]);
                        }
                    }
                }
                for row in 0..ROWS {
                    let threshold = V::splat(thresholds[row]);
                    for half in 0..2 {
                        let first = left + half * V::LANES;
                        above[row] |= registers[row][half].above(threshold) << first;
                        registers[row][half].store(sums[row].as_mut_ptr().add(first));
                    }
                }
            }
        }
        above
    }
}
