//! The kernel of alternating least squares: one row's normal equations, from its ratings to its solution.
//!
//! A row of the other side is held as `[factors, 1, bias, padding]`. Gathered for a rating `r`, its bias is
//! replaced by the target `r - mean - bias`; the sum of `z zᵀ` over all gathered `z` then holds the matrix of the
//! normal equations, the bias's row in it, the right-hand side and the squared targets, in one symmetric update.

#![allow(unsafe_code)] // calls to functions compiled for instruction sets found at run time

use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::ArrayView1;

use crate::error::try_vec;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};
use crate::vector::{Portable, Vector};
use crate::{Error, cholesky};

/// Rows are padded to the widest register.
const PADDING: usize = 16;
/// Rows gathered before they are multiplied: at 64 floats a row they fill half of a 32 KB L1 cache.
const GATHERED: usize = 64;

/// One side's factors and biases, as the kernel reads them.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub factors: usize,
    pub stride: usize,
    pub data: Vec<f32>,
}

impl Rows {
    /// Floats a row takes: factors, constant and bias, padded to whole registers.
    pub fn stride(factors: usize) -> usize {
        (factors + 2).next_multiple_of(PADDING)
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.stride..][..self.stride]
    }

    /// A row's bias and factors.
    pub fn learned(&self, row: usize) -> (f32, ArrayView1<'_, f32>) {
        let row = self.row(row);
        (row[self.factors + 1], ArrayView1::from(&row[..self.factors]))
    }
}

/// What a row's unknowns are regularised by: factors and bias.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ridge {
    pub factors: f32,
    pub bias: f32,
}

/// A row's ratings, and what else its system is made of.
pub(crate) struct Observed<'a> {
    /// The other side.
    pub others: &'a Rows,
    /// Which of its rows were rated.
    pub numbers: &'a [u32],
    /// As what.
    pub ratings: &'a [u8],
    /// The mean of all ratings.
    pub mean: f32,
    pub ridge: Ridge,
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
    gathered: Vec<f32>,
    gram: Vec<f32>,
    column: Vec<f32>,
    solution: Vec<f32>,
}

impl Scratch {
    pub fn new(factors: usize) -> Result<Scratch, Error> {
        let stride = Rows::stride(factors);
        Ok(Scratch {
            gathered: try_vec(GATHERED * stride)?,
            gram: try_vec(stride * stride)?,
            column: try_vec(stride)?,
            solution: try_vec(stride)?,
        })
    }

    /// Bytes that one takes.
    pub fn memory(factors: usize) -> usize {
        let stride = Rows::stride(factors);
        (stride + GATHERED + 2) * stride * size_of::<f32>()
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

    /// Solves for one row: writes `[factors, 1, bias]` into `out`, and gives the row's squared error then.
    ///
    /// `cancelled` is looked at as the ratings are summed up: the most popular movie's take long.
    pub fn solve_row(
        self,
        row: &Observed<'_>,
        scratch: &mut Scratch,
        cancelled: &AtomicBool,
        out: &mut [f32],
    ) -> Result<f64, Unsolved> {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` found the instruction set on this machine.
            Kernel::Avx512 => unsafe { solve_avx512(row, scratch, cancelled, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kernel::Avx2 => unsafe { solve_avx2(row, scratch, cancelled, out) },
            // SAFETY: every machine has this one.
            Kernel::Portable => unsafe { solve::<Portable, 2>(row, scratch, cancelled, out) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn solve_avx512(
    row: &Observed<'_>,
    scratch: &mut Scratch,
    cancelled: &AtomicBool,
    out: &mut [f32],
) -> Result<f64, Unsolved> {
    // SAFETY: this function is compiled for the instruction set.
    unsafe { solve::<Avx512, 16>(row, scratch, cancelled, out) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn solve_avx2(
    row: &Observed<'_>,
    scratch: &mut Scratch,
    cancelled: &AtomicBool,
    out: &mut [f32],
) -> Result<f64, Unsolved> {
    // SAFETY: this function is compiled for the instruction set.
    unsafe { solve::<Avx2, 8>(row, scratch, cancelled, out) }
}

/// Solves for one row, with products summed up in tiles of `HEIGHT` registers.
///
/// # Safety
///
/// The machine must have the instruction set of `V`.
#[inline(always)]
unsafe fn solve<V: Vector, const HEIGHT: usize>(
    row: &Observed<'_>,
    scratch: &mut Scratch,
    cancelled: &AtomicBool,
    out: &mut [f32],
) -> Result<f64, Unsolved> {
    let Observed { others, numbers, ratings, mean, ridge } = *row;
    let Rows { factors, stride, .. } = *others;
    let target = factors + 1;
    let Scratch { gathered, gram, column, solution } = scratch;
    gram.fill(0.0);
    for (numbers, ratings) in numbers.chunks(GATHERED).zip(ratings.chunks(GATHERED)) {
        if cancelled.load(Ordering::Relaxed) {
            return Err(Unsolved::Cancelled);
        }
        let gathered = &mut gathered[..numbers.len() * stride];
        for ((z, &number), &rating) in gathered.chunks_exact_mut(stride).zip(numbers).zip(ratings) {
            z.copy_from_slice(others.row(number as usize));
            z[target] = f32::from(rating) - mean - z[target];
        }
        // SAFETY: the caller promises the instruction set.
        unsafe { add_products::<V, HEIGHT>(gathered, stride, gram) };
    }

    let squared_targets = gram[target * stride + target];
    let unknowns = factors + 1;
    for row in 0..factors {
        gram[row * stride + row] += ridge.factors;
    }
    gram[factors * stride + factors] += ridge.bias;
    // The factorisation overwrites the right-hand side, which the error needs once more.
    column[..unknowns].copy_from_slice(&gram[target * stride..][..unknowns]);
    out[..unknowns].copy_from_slice(&column[..unknowns]);
    if !cholesky::solve(gram, stride, unknowns, column, solution) {
        return Err(Unsolved::Singular);
    }

    // With (A + Λ) x = b, the squared error tᵀt - 2 xᵀb + xᵀA x is tᵀt - xᵀb - xᵀΛ x.
    let mut error = f64::from(squared_targets);
    for (row, (&x, &b)) in solution[..unknowns].iter().zip(&out[..unknowns]).enumerate() {
        let lambda = if row < factors { ridge.factors } else { ridge.bias };
        error -= f64::from(x) * (f64::from(b) + f64::from(lambda) * f64::from(x));
    }
    out[..factors].copy_from_slice(&solution[..factors]);
    out[factors] = 1.0;
    out[target] = solution[factors];
    Ok(error.max(0.0))
}

/// Adds the gathered rows' products `z zᵀ` to the lower triangle of `gram`, tile by tile.
///
/// # Safety
///
/// The machine must have the instruction set of `V`.
#[inline(always)]
unsafe fn add_products<V: Vector, const HEIGHT: usize>(gathered: &[f32], stride: usize, gram: &mut [f32]) {
    for left in (0..stride).step_by(V::LANES) {
        // Above the diagonal nothing is read: the tiles of a column start where it crosses them.
        for top in (left / HEIGHT * HEIGHT..stride).step_by(HEIGHT) {
            // SAFETY: the caller promises the instruction set; a row of `stride` numbers holds each tile whole.
            unsafe {
                let mut sums = [V::zero(); HEIGHT];
                for z in gathered.chunks_exact(stride) {
                    let across = V::load(&z[left..left + V::LANES]);
                    let down = &z[top..top + HEIGHT];
                    for row in 0..HEIGHT {
                        sums[row] = sums[row].add_product(down[row], across);
                    }
                }
                for (row, sum) in sums.into_iter().enumerate() {
                    sum.add_to(&mut gram[(top + row) * stride + left..][..V::LANES]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same solution in double precision: Gauss-Jordan on equations summed up one product at a time.
    fn naive(others: &Rows, numbers: &[u32], ratings: &[u8], mean: f32, ridge: Ridge) -> (Vec<f64>, f64) {
        let n = others.factors + 1;
        let mut a = vec![vec![0.0f64; n + 1]; n];
        let mut targets = Vec::new();
        for (&number, &rating) in numbers.iter().zip(ratings) {
            let z = others.row(number as usize).iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
            let target = f64::from(rating) - f64::from(mean) - z[n];
            for i in 0..n {
                for j in 0..n {
                    a[i][j] += z[i] * z[j];
                }
                a[i][n] += z[i] * target;
            }
            targets.push((z, target));
        }
        for (i, row) in a.iter_mut().enumerate() {
            row[i] += f64::from(if i < n - 1 { ridge.factors } else { ridge.bias });
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
        ) {
            let stride = Rows::stride(factors);
            let mut others = Rows { factors, stride, data: vec![0.0; 40 * stride] };
            for (row, values) in others.data.chunks_exact_mut(stride).zip(entries.chunks_exact(32)) {
                row[..factors].copy_from_slice(&values[..factors]);
                row[factors] = 1.0;
                row[factors + 1] = values[31];
            }
            let (numbers, ratings): (Vec<u32>, Vec<u8>) = picks.into_iter().unzip();
            let ridge = Ridge { factors: 2.0, bias: 0.5 };
            let (expected, expected_error) = naive(&others, &numbers, &ratings, 3.5, ridge);
            let row = Observed { others: &others, numbers: &numbers, ratings: &ratings, mean: 3.5, ridge };
            for kernel in Kernel::available() {
                let mut out = vec![f32::NAN; stride];
                let mut scratch = Scratch::new(factors).unwrap();
                let stopped = kernel.solve_row(&row, &mut scratch, &AtomicBool::new(true), &mut out);
                prop_assert_eq!(stopped, Err(Unsolved::Cancelled));
                let error = kernel.solve_row(&row, &mut scratch, &AtomicBool::new(false), &mut out);
                let error = error.unwrap();
                prop_assert!((error - expected_error).abs() < 1e-3 * (1.0 + expected_error), "{:?}", kernel);
                let mut solved = out[..factors].to_vec();
                solved.push(out[factors + 1]);
                for (got, want) in solved.iter().zip(&expected) {
                    prop_assert!((f64::from(*got) - want).abs() < 2e-4, "{:?}: {} for {}", kernel, got, want);
                }
                prop_assert_eq!(out[factors], 1.0);
            }
        }
    }
}
