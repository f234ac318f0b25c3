//! The kernel of alternating least squares: one row's normal equations, from its ratings to its solution.
//!
//! The row's ratings give vectors `z = [factors, 1]` and targets `t` (see `row`). With `A = Σ z zᵀ`, `b = Σ t z` and the prior's
//! `Λ` and `h`, the solution is `x = (A + Λ)⁻¹ (b + h)`, the row's factors and, last, its bias.
//!
//! Gathered vectors hold the target, too: `z = [factors, 1, t]`. One symmetric sum `Σ z zᵀ` then holds `A`, `b` as its last
//! column, and the squared targets `Σ t²` as its last entry.

#![allow(unsafe_code)] // kernels compiled for instruction sets found at run time

use std::sync::atomic::Ordering;

use crate::error::Error;
use crate::least_squares::conjugate_gradient::{RatingVectors, Workspace, add_projections};
use crate::least_squares::gather::{BATCH, BatchFormat, Floats, Pairs, gather};
use crate::least_squares::packed::PackedSide;
use crate::least_squares::products::{Initial, MARGIN};
use crate::least_squares::row::{RowError, RowSolution, RowSystem};
use crate::least_squares::{cholesky, conjugate_gradient};
use crate::memory::Aligned;
use crate::simd::vector::{PairVector, Vector};
use crate::simd::{InstructionSet, Kernel};

/// Buffers of one thread, with [`PackedSide::stride`] values a row.
pub(crate) struct Scratch {
    /// A batch of vectors `z`.
    gathered: Aligned<f32>,
    /// `Σ z zᵀ`, then the system and its factorisation.
    gram: Aligned<f32>,
    /// The right-hand side `b`.
    right: Aligned<f32>,
    solution: Aligned<f32>,
}

impl Scratch {
    pub fn new(factors: usize) -> Result<Scratch, Error> {
        let stride = PackedSide::stride(factors);
        Ok(Scratch {
            gathered: Aligned::zeros(BATCH * stride + MARGIN)?,
            gram: Aligned::zeros(stride * stride + MARGIN)?,
            right: Aligned::zeros(stride)?,
            solution: Aligned::zeros(stride)?,
        })
    }

    /// Bytes of the buffers of one thread.
    pub fn memory(factors: usize) -> usize {
        let stride = PackedSide::stride(factors);
        ((stride + BATCH + 2) * stride + 2 * MARGIN) * size_of::<f32>()
    }
}

/// Solves one row's system.
pub(crate) fn solve_row<'a>(
    instructions: InstructionSet,
    system: &RowSystem<'_>,
    scratch: &'a mut Scratch,
) -> Result<RowSolution<'a>, RowError> {
    instructions.run(SolveRow { system, scratch })
}

/// The arguments of [`solve_row`].
struct SolveRow<'a, 'b, 'c> {
    system: &'b RowSystem<'c>,
    scratch: &'a mut Scratch,
}

impl<'a> Kernel for SolveRow<'a, '_, '_> {
    type Output = Result<RowSolution<'a>, RowError>;

    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> Self::Output {
        // SAFETY: as the caller promises.
        unsafe { solve_with::<V, Floats>(self.system, self.scratch) }
    }

    #[inline(always)]
    unsafe fn run_with_pairs<V: PairVector>(self) -> Self::Output {
        // SAFETY: as the caller promises.
        unsafe { solve_with::<V, Pairs>(self.system, self.scratch) }
    }
}

/// Solves one row's system exactly, or by conjugate gradients if it asks for them.
///
/// # Safety
///
/// The machine has the instruction set of `V`, with the products of pairs if the format needs them.
#[inline(always)]
unsafe fn solve_with<'a, V: Vector, F: BatchFormat<V>>(
    system: &RowSystem<'_>,
    scratch: &'a mut Scratch,
) -> Result<RowSolution<'a>, RowError> {
    let RowSystem { others, columns, prior, precision, cancelled, .. } = *system;
    let PackedSide { factors, stride, .. } = *others;
    let target = factors + 1;
    if system.cg_steps > 0 {
        // SAFETY: as the caller promises.
        return unsafe { solve_by_cg::<V>(system, scratch) };
    }
    let Scratch { gathered, gram, right, solution } = scratch;
    let unknowns = factors + 1;
    let mut initial = Initial::Zero;
    for from in (0..columns.len()).step_by(F::BATCH) {
        if cancelled.load(Ordering::Relaxed) {
            return Err(RowError::Cancelled);
        }
        let to = (from + F::BATCH).min(columns.len());
        // SAFETY: the caller promises the instruction set. The buffers are as large as `Scratch` makes them.
        unsafe { F::add_products(system, from..to, gathered, initial, gram) };
        initial = Initial::Current;
    }
    F::merge_targets(gram, stride, target);

    let squared_targets = gram[target * stride + target];
    for row in 0..unknowns {
        if let Some(precision) = precision {
            let (to, from) = (row * stride + row, row * stride + unknowns);
            gram[to..from].iter_mut().zip(&precision[to..from]).for_each(|(sum, &lambda)| *sum += lambda);
        }
        gram[row * stride + row] += prior.ridge_of(row);
        // A copy of b, because the factorisation overwrites it, and the error needs it at the end.
        right[row] = gram[row * stride + target];
        gram[row * stride + target] += prior.linear[row];
    }
    // SAFETY: the caller promises the instruction set. The matrix has `stride` rows.
    if !unsafe { cholesky::factorise::<V>(gram, stride, unknowns, solution) } {
        return Err(RowError::Singular);
    }
    for row in 0..unknowns {
        gram[row * stride + target] += prior.noise[row];
    }
    cholesky::back_substitute(gram, stride, unknowns, solution);

    // The squared error is Σ t² - 2 xᵀb + xᵀA x. With (A + Λ) x = b + h, that is Σ t² - xᵀb + xᵀh - xᵀΛ x.
    let mut error = f64::from(squared_targets);
    for (row, (&x, &b)) in solution[..unknowns].iter().zip(&right[..unknowns]).enumerate() {
        let mut rest = f64::from(prior.linear[row]) - f64::from(b) - f64::from(prior.ridge_of(row) * x);
        if let Some(precision) = precision {
            rest -= f64::from(precision[row * stride + row] * x);
            let behind = row + 1..unknowns;
            let products = precision[row * stride..][behind.clone()].iter().zip(&solution[behind]);
            rest -= 2.0 * products.map(|(&lambda, &other)| f64::from(lambda * other)).sum::<f64>();
        }
        error += f64::from(x) * rest;
    }
    Ok(RowSolution { factors: &solution[..factors], bias: solution[factors], squared_error: error.max(0.0) })
}

/// Solves one row's system approximately, by conjugate gradients.
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[inline(always)]
unsafe fn solve_by_cg<'a, V: Vector>(
    system: &RowSystem<'_>,
    scratch: &'a mut Scratch,
) -> Result<RowSolution<'a>, RowError> {
    let RowSystem { others, start, cancelled, .. } = *system;
    let PackedSide { factors, stride, .. } = *others;
    let Scratch { gathered, gram, right, solution } = scratch;
    solution.fill(0.0);
    solution.iter_mut().zip(start.0).for_each(|(to, &factor)| *to = factor);
    solution[factors] = start.1;
    let (direction, rest) = gram.split_at_mut(stride);
    let (product, rest) = rest.split_at_mut(stride);
    let workspace = Workspace {
        x: &mut solution[..stride],
        residual: &mut right[..stride],
        direction,
        product,
        gradient: &mut rest[..stride],
    };
    let mut vectors = GatheredVectors { system, gathered, all_gathered: false };
    // SAFETY: the caller promises the instruction set. All vectors have `stride` values.
    let Some(error) = (unsafe { conjugate_gradient::solve::<V>(system, workspace, &mut vectors) }) else {
        return Err(if cancelled.load(Ordering::Relaxed) { RowError::Cancelled } else { RowError::Singular });
    };
    Ok(RowSolution { factors: &solution[..factors], bias: solution[factors], squared_error: error.max(0.0) })
}

/// The vectors of a row's ratings, gathered in batches each time they are needed.
struct GatheredVectors<'a, 'b> {
    system: &'a RowSystem<'b>,
    gathered: &'a mut Aligned<f32>,
    /// Whether the buffer holds all vectors of the row. If one batch is enough, it is gathered only once.
    all_gathered: bool,
}

impl<V: Vector> RatingVectors<V> for GatheredVectors<'_, '_> {
    #[inline(always)]
    unsafe fn multiply(&mut self, d: &[f32], out: &mut [f32]) -> Option<f64> {
        let (columns, stride) = (self.system.columns, self.system.others.stride);
        out.fill(0.0);
        let mut squares = 0.0;
        for from in (0..columns.len()).step_by(BATCH) {
            if self.system.cancelled.load(Ordering::Relaxed) {
                return None;
            }
            let to = (from + BATCH).min(columns.len());
            // SAFETY: the caller promises the instruction set. The buffer is as large as `Scratch` makes it.
            unsafe {
                if !self.all_gathered {
                    gather::<V>(self.system, from..to, self.gathered);
                    self.all_gathered = to - from == columns.len();
                }
                squares += add_projections::<V>(self.gathered.as_ptr(), to - from, stride, d, out);
            }
        }
        Some(squares)
    }
}

#[cfg(test)]
mod tests;
