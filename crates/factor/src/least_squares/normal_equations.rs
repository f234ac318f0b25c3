//! The kernel of alternating least squares: one row's normal equations, from its ratings to its solution.
//!
//! Gathered for a rating `r`, a row of the other side becomes `z = [factors, 1, r - mean - bias]`; the sum of `z zᵀ` over
//! all of them then holds the matrix of the normal equations, the bias's row in it, the right-hand side and the squared
//! targets, in one symmetric update.

#![allow(unsafe_code)] // calls to functions compiled for instruction sets found at run time

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;
use crate::least_squares::conjugate_gradient::{Gathered, Walk, add_projections};
use crate::least_squares::gather::{Floats, Form, GATHERED, Pairs, gather};
use crate::least_squares::packed::PackedSide;
use crate::least_squares::products::{MARGIN, Sum};
use crate::least_squares::row::{Observed, Solved, Unsolved};
use crate::least_squares::{cholesky, conjugate_gradient};
use crate::memory::Aligned;
use crate::simd::InstructionSet;
#[cfg(target_arch = "x86_64")]
use crate::simd::vector::{Avx2, Avx512};
use crate::simd::vector::{Portable, Vector};

/// Room to work in, one a thread.
pub(crate) struct Scratch {
    gathered: Aligned<f32>,
    gram: Aligned<f32>,
    right: Aligned<f32>,
    solution: Aligned<f32>,
}

impl Scratch {
    pub fn new(factors: usize) -> Result<Scratch, Error> {
        let stride = PackedSide::stride(factors);
        Ok(Scratch {
            gathered: Aligned::zeros(GATHERED * stride + MARGIN)?,
            gram: Aligned::zeros(stride * stride + MARGIN)?,
            right: Aligned::zeros(stride)?,
            solution: Aligned::zeros(stride)?,
        })
    }

    /// Bytes that one takes.
    pub fn memory(factors: usize) -> usize {
        let stride = PackedSide::stride(factors);
        ((stride + GATHERED + 2) * stride + 2 * MARGIN) * size_of::<f32>()
    }
}

/// Solves for one row.
///
/// `cancelled` is looked at as the ratings are summed up: the most popular movie's take long.
pub(crate) fn solve_row<'a>(
    instructions: InstructionSet,
    row: &Observed<'_>,
    scratch: &'a mut Scratch,
    cancelled: &AtomicBool,
) -> Result<Solved<'a>, Unsolved> {
    match instructions {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` found the instruction set on this machine.
        InstructionSet::Avx512Bf16 => unsafe { solve_avx512_bf16(row, scratch, cancelled) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        InstructionSet::Avx512 => unsafe { solve_avx512(row, scratch, cancelled) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        InstructionSet::Avx2 => unsafe { solve_avx2(row, scratch, cancelled) },
        // SAFETY: every machine has this one.
        InstructionSet::Portable => unsafe { solve_with::<Portable, Floats>(row, scratch, cancelled) },
    }
}
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
fn solve_avx512_bf16<'a>(
    row: &Observed<'_>,
    scratch: &'a mut Scratch,
    cancelled: &AtomicBool,
) -> Result<Solved<'a>, Unsolved> {
    // SAFETY: this function is compiled for the instruction set.
    unsafe { solve_with::<Avx512, Pairs>(row, scratch, cancelled) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn solve_avx512<'a>(
    row: &Observed<'_>,
    scratch: &'a mut Scratch,
    cancelled: &AtomicBool,
) -> Result<Solved<'a>, Unsolved> {
    // SAFETY: this function is compiled for the instruction set.
    unsafe { solve_with::<Avx512, Floats>(row, scratch, cancelled) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn solve_avx2<'a>(
    row: &Observed<'_>,
    scratch: &'a mut Scratch,
    cancelled: &AtomicBool,
) -> Result<Solved<'a>, Unsolved> {
    // SAFETY: this function is compiled for the instruction set.
    unsafe { solve_with::<Avx2, Floats>(row, scratch, cancelled) }
}

/// Solves for one row.
///
/// # Safety
///
/// The machine must have the instruction set of `V`.
#[inline(always)]
unsafe fn solve_with<'a, V: Vector, F: Form<V>>(
    row: &Observed<'_>,
    scratch: &'a mut Scratch,
    cancelled: &AtomicBool,
) -> Result<Solved<'a>, Unsolved> {
    let Observed { others, numbers, prior, precision, .. } = *row;
    let PackedSide { factors, stride, .. } = *others;
    let target = factors + 1;
    if row.steps > 0 {
        // SAFETY: as the caller promises.
        return unsafe { follow::<V>(row, scratch, cancelled) };
    }
    let Scratch { gathered, gram, right, solution } = scratch;
    let unknowns = factors + 1;
    let mut sum = Sum::Fresh;
    for from in (0..numbers.len()).step_by(F::GATHERED) {
        if cancelled.load(Ordering::Relaxed) {
            return Err(Unsolved::Cancelled);
        }
        let to = (from + F::GATHERED).min(numbers.len());
        // SAFETY: the caller promises the instruction set; both rooms are as large as `Scratch` makes them, whole tiles.
        unsafe { F::add_products(row, from..to, gathered, sum, gram) };
        sum = Sum::Kept;
    }
    F::join_targets(gram, stride, target);

    let squared_targets = gram[target * stride + target];
    for row in 0..unknowns {
        if let Some(precision) = precision {
            let (to, from) = (row * stride + row, row * stride + unknowns);
            gram[to..from].iter_mut().zip(&precision[to..from]).for_each(|(sum, &more)| *sum += more);
        }
        gram[row * stride + row] += prior.ridge_of(row);
        // The factorisation overwrites the right-hand side, which the error needs once more.
        right[row] = gram[row * stride + target];
        gram[row * stride + target] += prior.pull[row];
    }
    // SAFETY: the caller promises the instruction set; the matrix has `stride` rows.
    if !unsafe { cholesky::eliminate::<V>(gram, stride, unknowns, solution) } {
        return Err(Unsolved::Singular);
    }
    for row in 0..unknowns {
        gram[row * stride + target] += prior.noise[row];
    }
    cholesky::substitute(gram, stride, unknowns, solution);

    // With (A + Λ) x = b + h, the squared error tᵀt - 2 xᵀb + xᵀA x is tᵀt - xᵀb + xᵀh - xᵀΛ x.
    let mut error = f64::from(squared_targets);
    for (row, (&x, &b)) in solution[..unknowns].iter().zip(&right[..unknowns]).enumerate() {
        let mut rest = f64::from(prior.pull[row]) - f64::from(b) - f64::from(prior.ridge_of(row) * x);
        if let Some(precision) = precision {
            rest -= f64::from(precision[row * stride + row] * x);
            let beyond = row + 1..unknowns;
            let products = precision[row * stride..][beyond.clone()].iter().zip(&solution[beyond]);
            rest -= 2.0 * products.map(|(&weight, &other)| f64::from(weight * other)).sum::<f64>();
        }
        error += f64::from(x) * rest;
    }
    Ok(Solved { factors: &solution[..factors], bias: solution[factors], squared_error: error.max(0.0) })
}

/// Follows a conjugate gradient for one row.
///
/// # Safety
///
/// The machine must have the instruction set of `V`.
#[inline(always)]
unsafe fn follow<'a, V: Vector>(
    row: &Observed<'_>,
    scratch: &'a mut Scratch,
    cancelled: &AtomicBool,
) -> Result<Solved<'a>, Unsolved> {
    let Observed { others, start, .. } = *row;
    let PackedSide { factors, stride, .. } = *others;
    let Scratch { gathered, gram, right, solution } = scratch;
    solution.fill(0.0);
    solution.iter_mut().zip(start.0).for_each(|(to, &factor)| *to = factor);
    solution[factors] = start.1;
    let (direction, rest) = gram.split_at_mut(stride);
    let (product, rest) = rest.split_at_mut(stride);
    let walk = Walk {
        x: &mut solution[..stride],
        residual: &mut right[..stride],
        direction,
        product,
        gradient: &mut rest[..stride],
    };
    let mut rows = GatheredRatings { row, gathered, is_gathered: false, cancelled };
    // SAFETY: the caller promises the instruction set; all are `stride` numbers long.
    let Some(error) = (unsafe { conjugate_gradient::follow::<V>(row, walk, &mut rows) }) else {
        return Err(if cancelled.load(Ordering::Relaxed) { Unsolved::Cancelled } else { Unsolved::Singular });
    };
    Ok(Solved { factors: &solution[..factors], bias: solution[factors], squared_error: error.max(0.0) })
}

/// A row's ratings, gathered as many at a time as there is room for.
struct GatheredRatings<'a, 'b> {
    row: &'a Observed<'b>,
    gathered: &'a mut Aligned<f32>,
    /// Whether all of them are there: a few ratings' rows stay where they are from step to step.
    is_gathered: bool,
    cancelled: &'a AtomicBool,
}

impl<V: Vector> Gathered<V> for GatheredRatings<'_, '_> {
    #[inline(always)]
    unsafe fn project(&mut self, d: &[f32], out: &mut [f32]) -> Option<f64> {
        let (numbers, stride) = (self.row.numbers, self.row.others.stride);
        out.fill(0.0);
        let mut squares = 0.0;
        for from in (0..numbers.len()).step_by(GATHERED) {
            if self.cancelled.load(Ordering::Relaxed) {
                return None;
            }
            let to = (from + GATHERED).min(numbers.len());
            // SAFETY: the caller promises the instruction set; the room is as large as `Scratch` makes it.
            unsafe {
                if !self.is_gathered {
                    gather::<V>(self.row, from..to, self.gathered);
                    self.is_gathered = to - from == numbers.len();
                }
                squares += add_projections::<V>(self.gathered.as_ptr(), to - from, stride, d, out);
            }
        }
        Some(squares)
    }
}

#[cfg(test)]
mod tests;
