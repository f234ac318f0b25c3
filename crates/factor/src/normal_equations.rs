//! The kernel of alternating least squares: one row's normal equations, from its ratings to its solution.
//!
//! Gathered for a rating `r`, a row of the other side becomes `z = [factors, 1, r - mean - bias]`; the sum of `z zᵀ` over
//! all of them then holds the matrix of the normal equations, the bias's row in it, the right-hand side and the squared
//! targets, in one symmetric update.

#![allow(unsafe_code)] // calls to functions compiled for instruction sets found at run time

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::ArrayView1;

use crate::conjugate_gradient::{Gathered, Walk, add_projections};
use crate::memory::{Aligned, try_vec};
use crate::packed::Packed;
use crate::products::{MARGIN, Sum, add_products};
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};
use crate::vector::{Portable, Vector};
use crate::{Error, cholesky, conjugate_gradient};

/// Rows gathered before they are multiplied: at 64 floats a row they fill half of a 32 KB L1 cache.
const GATHERED: usize = 64;
/// How many ratings ahead rows are asked for.
pub(crate) const AHEAD: usize = 64;
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
    pub others: &'a Packed,
    /// Which of its rows were rated.
    pub numbers: &'a [u32],
    /// As what.
    pub ratings: &'a [u8],
    /// Which will have to be at hand [`AHEAD`] ratings later, as many as are known.
    pub ahead: &'a [u32],
    /// The mean of all ratings.
    pub mean: f32,
    pub prior: &'a Prior,
    /// A symmetric matrix that is added to the system's: its upper triangle, in rows of [`Packed::stride`] numbers.
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

/// Room to work in, one a thread.
pub(crate) struct Scratch {
    gathered: Aligned<f32>,
    gram: Aligned<f32>,
    right: Aligned<f32>,
    solution: Aligned<f32>,
}

impl Scratch {
    pub fn new(factors: usize) -> Result<Scratch, Error> {
        let stride = Packed::stride(factors);
        Ok(Scratch {
            gathered: Aligned::zeros(GATHERED * stride + MARGIN)?,
            gram: Aligned::zeros(stride * stride + MARGIN)?,
            right: Aligned::zeros(stride)?,
            solution: Aligned::zeros(stride)?,
        })
    }

    /// Bytes that one takes.
    pub fn memory(factors: usize) -> usize {
        let stride = Packed::stride(factors);
        ((stride + GATHERED + 2) * stride + 2 * MARGIN) * size_of::<f32>()
    }
}

/// The instruction sets the kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Kernel {
    /// Those this machine has, the fastest first.
    pub fn available() -> Vec<Kernel> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                kernels.push(Kernel::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                kernels.push(Kernel::Avx2);
            }
        }
        kernels.push(Kernel::Portable);
        kernels
    }

    /// Solves for one row.
    ///
    /// `cancelled` is looked at as the ratings are summed up: the most popular movie's take long.
    pub fn solve_row<'a>(
        self,
        row: &Observed<'_>,
        scratch: &'a mut Scratch,
        cancelled: &AtomicBool,
    ) -> Result<Solved<'a>, Unsolved> {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` found the instruction set on this machine.
            Kernel::Avx512 => unsafe { solve_avx512(row, scratch, cancelled) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kernel::Avx2 => unsafe { solve_avx2(row, scratch, cancelled) },
            // SAFETY: every machine has this one.
            Kernel::Portable => unsafe { solve::<Portable>(row, scratch, cancelled) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn solve_avx512<'a>(
    row: &Observed<'_>,
    scratch: &'a mut Scratch,
    cancelled: &AtomicBool,
) -> Result<Solved<'a>, Unsolved> {
    // SAFETY: this function is compiled for the instruction set.
    unsafe { solve::<Avx512>(row, scratch, cancelled) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn solve_avx2<'a>(
    row: &Observed<'_>,
    scratch: &'a mut Scratch,
    cancelled: &AtomicBool,
) -> Result<Solved<'a>, Unsolved> {
    // SAFETY: this function is compiled for the instruction set.
    unsafe { solve::<Avx2>(row, scratch, cancelled) }
}

/// Solves for one row.
///
/// # Safety
///
/// The machine must have the instruction set of `V`.
#[inline(always)]
unsafe fn solve<'a, V: Vector>(
    row: &Observed<'_>,
    scratch: &'a mut Scratch,
    cancelled: &AtomicBool,
) -> Result<Solved<'a>, Unsolved> {
    let Observed { others, numbers, prior, precision, .. } = *row;
    let Packed { factors, stride, .. } = *others;
    let target = factors + 1;
    if row.steps > 0 {
        // SAFETY: as the caller promises.
        return unsafe { follow::<V>(row, scratch, cancelled) };
    }
    let Scratch { gathered, gram, right, solution } = scratch;
    let unknowns = factors + 1;
    let mut sum = Sum::Fresh;
    for from in (0..numbers.len()).step_by(GATHERED) {
        if cancelled.load(Ordering::Relaxed) {
            return Err(Unsolved::Cancelled);
        }
        let to = (from + GATHERED).min(numbers.len());
        // SAFETY: the caller promises the instruction set; both rooms are as large as `Scratch` makes them, whole tiles.
        unsafe {
            gather::<V>(row, from..to, gathered);
            let (z, matrix) = (gathered.as_ptr(), gram.as_mut_ptr());
            add_products::<V>(sum, z, to - from, stride, (0, target + 1), matrix);
        }
        sum = Sum::Add;
    }

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
    let Packed { factors, stride, .. } = *others;
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
    let mut rows = Rows { row, gathered, is_gathered: false, cancelled };
    // SAFETY: the caller promises the instruction set; all are `stride` numbers long.
    let Some(error) = (unsafe { conjugate_gradient::follow::<V>(row, walk, &mut rows) }) else {
        return Err(if cancelled.load(Ordering::Relaxed) { Unsolved::Cancelled } else { Unsolved::Singular });
    };
    Ok(Solved { factors: &solution[..factors], bias: solution[factors], squared_error: error.max(0.0) })
}

/// A row's ratings, gathered as many at a time as there is room for.
struct Rows<'a, 'b> {
    row: &'a Observed<'b>,
    gathered: &'a mut Aligned<f32>,
    /// Whether all of them are there: a few ratings' rows stay where they are from step to step.
    is_gathered: bool,
    cancelled: &'a AtomicBool,
}

impl<V: Vector> Gathered<V> for Rows<'_, '_> {
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

/// Copies the rows rated one behind the other, each rating's target in the bias's place.
///
/// # Safety
///
/// The machine has the instruction set of `V`; `gathered` has room for as many rows.
#[inline(always)]
unsafe fn gather<V: Vector>(row: &Observed<'_>, ratings: Range<usize>, gathered: &mut [f32]) {
    let Observed { others, numbers, .. } = *row;
    let Packed { factors, stride, .. } = *others;
    for (place, rating) in ratings.enumerate() {
        let other = others.row(numbers[rating] as usize);
        let z = &mut gathered[place * stride..][..stride];
        // SAFETY: rows of whole registers; the caller promises the instruction set.
        unsafe {
            if let Some(&ahead) = row.ahead.get(rating) {
                let ahead = others.data.as_ptr().wrapping_add(ahead as usize * stride);
                for line in (0..stride).step_by(Aligned::<u16>::LINE) {
                    V::prefetch(ahead.wrapping_add(line));
                }
            }
            for column in (0..stride).step_by(V::LANES) {
                V::load_bf16(other.as_ptr().add(column)).store(z.as_mut_ptr().add(column));
            }
        }
        z[factors + 1] = f32::from(row.ratings[rating]) - row.mean - others.bias(other);
        z[stride - 2..].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Side;
    use proptest::prelude::*;

    /// The same solution in double precision: Gauss-Jordan on equations summed up one product at a time.
    fn naive(others: &Side, row: &Observed<'_>) -> (Vec<f64>, f64) {
        let Observed { numbers, ratings, mean, prior, precision, .. } = *row;
        let n = others.factors.ncols() + 1;
        let stride = Packed::stride(n - 1);
        let mut a = vec![vec![0.0f64; n + 1]; n];
        let mut targets = Vec::new();
        for (&number, &rating) in numbers.iter().zip(ratings) {
            let (bias, factors) = others.row(number as usize).unwrap();
            let z = factors.iter().chain(&[1.0]).map(|&v| f64::from(v)).collect::<Vec<_>>();
            let target = f64::from(rating) - f64::from(mean) - f64::from(bias);
            for i in 0..n {
                for j in 0..n {
                    a[i][j] += z[i] * z[j];
                }
                a[i][n] += z[i] * target;
            }
            targets.push((z, target));
        }
        for (i, row) in a.iter_mut().enumerate() {
            row[i] += f64::from(if i < n - 1 { prior.ridge } else { prior.bias_ridge });
            row[n] += f64::from(prior.pull[i]);
            if let Some(precision) = precision {
                (0..n).for_each(|j| row[j] += f64::from(precision[i.min(j) * stride + i.max(j)]));
            }
        }
        for pivot in 0..n {
            let scaled = a[pivot].iter().map(|v| v / a[pivot][pivot]).collect::<Vec<_>>();
            for (i, row) in a.iter_mut().enumerate() {
                let factor = if i == pivot { 0.0 } else { row[pivot] };
                row.iter_mut().zip(&scaled).for_each(|(v, s)| *v -= factor * s);
            }
            a[pivot] = scaled;
        }
        let x = a.iter().map(|row| row[n]).collect::<Vec<_>>();
        let error = targets.iter().map(|(z, t)| {
            let predicted = z.iter().zip(&x).map(|(z, x)| z * x).sum::<f64>();
            (t - predicted).powi(2)
        });
        (x.clone(), error.sum())
    }

    proptest! {
        #[test]
        fn every_kernel_agrees_with_the_naive_solution(
            factors in prop_oneof![1usize..20, Just(30), Just(31)],
            entries in prop::collection::vec(-1.0f32..1.0, 40 * 32),
            picks in prop::collection::vec((0u32..40, 1u8..=5), 1..150),
            pull in prop::collection::vec(-2.0f32..2.0, 32),
            is_precise: bool,
        ) {
            let mut others = Side::zeros(40, factors).unwrap();
            for (row, values) in entries.chunks_exact(32).enumerate() {
                // Numbers that bfloat16 has, so that none is rounded.
                let number = |&value: &f32| (value * 64.0).round() / 64.0;
                others.factors.row_mut(row).iter_mut().zip(values).for_each(|(f, v)| *f = number(v));
                others.biases[row] = values[31];
            }
            let go = AtomicBool::new(false);
            let mut packed = Packed::zeros(40, factors).unwrap();
            packed.take(&mut others, &go).unwrap();
            let (numbers, ratings): (Vec<u32>, Vec<u8>) = picks.into_iter().unzip();
            let stride = packed.stride;
            let mut prior = Prior::none(factors).unwrap();
            (prior.ridge, prior.bias_ridge) = (2.0, 0.5);
            prior.pull.copy_from_slice(&pull[..factors + 1]);
            // Some products: positive semidefinite. Nothing below the diagonal may be looked at.
            let entry = |i: usize, j: usize| (0..3).map(|p| entries[p * 32 + i] * entries[p * 32 + j]).sum::<f32>();
            let precision = (0..stride * stride)
                .map(|at| (at / stride, at % stride))
                .map(|(i, j)| if i <= j && j <= factors { entry(i, j) } else { f32::NAN })
                .collect::<Vec<_>>();
            let precision = is_precise.then_some(&precision[..]);
            let zero = vec![0.0; factors];
            let start = (ArrayView1::from(&zero), 0.0);
            let row = Observed {
                others: &packed, numbers: &numbers, ratings: &ratings, ahead: &[], mean: 3.5, prior: &prior, precision, steps: 0, start,
            };
            let (expected, expected_error) = naive(&others, &row);
            let close = |solved: &Solved<'_>, tolerance: f64| {
                let difference = (solved.squared_error - expected_error).abs();
                let unknowns = solved.factors.iter().chain([&solved.bias]).zip(&expected);
                let worst = unknowns.map(|(&got, &want)| (f64::from(got) - want).abs()).fold(0.0, f64::max);
                difference < 10.0 * tolerance * (1.0 + expected_error) && worst < tolerance
            };
            for kernel in Kernel::available() {
                let mut scratch = Scratch::new(factors).unwrap();
                let stopped = kernel.solve_row(&row, &mut scratch, &AtomicBool::new(true));
                prop_assert_eq!(stopped, Err(Unsolved::Cancelled));
                let solved = kernel.solve_row(&row, &mut scratch, &go).unwrap();
                prop_assert!(close(&solved, 3e-4), "{:?}: {:?} for {:?}", kernel, solved, expected);
                // As many steps as unknowns, and some for rounding.
                let row = Observed { steps: factors + 10, ..row };
                let stopped = kernel.solve_row(&row, &mut scratch, &AtomicBool::new(true));
                prop_assert_eq!(stopped, Err(Unsolved::Cancelled));
                let followed = kernel.solve_row(&row, &mut scratch, &go).unwrap();
                prop_assert!(close(&followed, 3e-4), "{:?}: {:?} for {:?}", kernel, followed, expected);
            }
        }
    }

    #[test]
    fn samples_scatter_as_the_posterior_does() {
        let (factors, go) = (2, AtomicBool::new(false));
        let mut others = Side::zeros(3, factors).unwrap();
        others.factors.assign(&ndarray::array![[1.0, 0.5], [-0.5, 1.0], [0.25, -2.0]]);
        let mut packed = Packed::zeros(3, factors).unwrap();
        packed.take(&mut others, &go).unwrap();
        let mut prior = Prior::none(factors).unwrap();
        (prior.ridge, prior.bias_ridge) = (1.5, 0.75);
        // The matrix by hand: z = [factors, 1].
        let mut matrix = ndarray::Array2::from_diag(&ndarray::array![1.5f64, 1.5, 0.75]);
        for row in others.factors.rows() {
            let z = ndarray::array![f64::from(row[0]), f64::from(row[1]), 1.0];
            (0..3).for_each(|i| (0..3).for_each(|j| matrix[(i, j)] += z[i] * z[j]));
        }
        let mut rng = crate::training::generator(1);
        let zero = [0.0; 2];
        let solve = |prior: &Prior| {
            let start = (ArrayView1::from(&zero), 0.0);
            let row = Observed {
                others: &packed,
                numbers: &[0, 1, 2],
                ratings: &[5, 2, 3],
                ahead: &[],
                mean: 3.0,
                prior,
                precision: None,
                steps: 0,
                start,
            };
            let mut scratch = Scratch::new(factors).unwrap();
            let solved = Kernel::available()[0].solve_row(&row, &mut scratch, &go).unwrap();
            ndarray::array![
                f64::from(solved.factors[0]),
                f64::from(solved.factors[1]),
                f64::from(solved.bias)
            ]
        };
        let mean = solve(&prior);
        let mut covariance = ndarray::Array2::<f64>::zeros((3, 3));
        const SAMPLES: usize = 20_000;
        for _ in 0..SAMPLES {
            prior.noise.iter_mut().for_each(|noise| {
                *noise = rand_distr::Distribution::sample(&rand_distr::StandardNormal, &mut rng)
            });
            let off = solve(&prior) - &mean;
            (0..3).for_each(|i| (0..3).for_each(|j| covariance[(i, j)] += off[i] * off[j] / SAMPLES as f64));
        }
        // The covariance is the matrix's inverse.
        let identity = covariance.dot(&matrix);
        for ((i, j), value) in identity.indexed_iter() {
            assert!((value - f64::from(u8::from(i == j))).abs() < 0.05, "{identity}");
        }
    }
}
