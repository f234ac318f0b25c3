//! Symmetric positive definite systems in double precision, without allocations. Libraries allocate for a product, and abort the
//! process where that fails.
//!
//! A matrix is stored as its upper triangle, in rows of `n` entries. Entries below the diagonal are neither read nor defined.
//! Multiplications and additions are not fused, and all sums have a fixed order, so that every machine computes the same bits.

#![allow(unsafe_code)] // kernels compiled for instruction sets found at run time

use crate::error::Error;
use crate::simd::InstructionSet;

/// Vectors whose products are added together, so that each entry of the matrix is read and written once for all of them.
pub(crate) const PANEL: usize = 8;

/// Adds `scale · Σ v vᵀ` to the last rows of an `n x n` matrix. `matrix` holds these rows, `n` entries each. `panel` holds
/// [`PANEL`] vectors `v` of `n` entries.
pub(crate) fn add_products(matrix: &mut [f64], n: usize, panel: &[f64], scale: f64) {
    // Not a `Kernel`: as arguments of a function, the slices are known not to overlap, and the loops are vectorised.
    match InstructionSet::fastest() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `fastest` found the instruction set on this machine.
        InstructionSet::Avx512Bf16 | InstructionSet::Avx512 => unsafe {
            products_avx512(matrix, n, panel, scale)
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        InstructionSet::Avx2 => unsafe { products_avx2(matrix, n, panel, scale) },
        InstructionSet::Portable => products(matrix, n, panel, scale),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn products_avx512(matrix: &mut [f64], n: usize, panel: &[f64], scale: f64) {
    products(matrix, n, panel, scale);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn products_avx2(matrix: &mut [f64], n: usize, panel: &[f64], scale: f64) {
    products(matrix, n, panel, scale);
}

/// [`add_products`], compiled for the instruction set of the caller.
#[inline(always)]
fn products(matrix: &mut [f64], n: usize, panel: &[f64], scale: f64) {
    let first = n - matrix.len() / n;
    for (row, i) in matrix.chunks_exact_mut(n).zip(first..) {
        let weights: [f64; PANEL] = std::array::from_fn(|k| scale * panel[k * n + i]);
        let row = &mut row[i..];
        let vectors: [&[f64]; PANEL] = std::array::from_fn(|k| &panel[k * n + i..][..row.len()]);
        for (j, entry) in row.iter_mut().enumerate() {
            let mut sum = *entry;
            for k in 0..PANEL {
                sum += weights[k] * vectors[k][j];
            }
            *entry = sum;
        }
    }
}

/// Replaces a symmetric matrix by its Cholesky factor `U`, where the matrix is `UᵀU`. Returns `false` if the matrix is not positive
/// definite, as far as double precision can tell. `check` is called every few milliseconds, and its error ends the work.
pub(crate) fn factorise(
    matrix: &mut [f64],
    n: usize,
    check: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<bool, Error> {
    let tolerance = n as f64 * f64::EPSILON;
    for from in (0..n).step_by(PANEL) {
        check()?;
        let (head, tail) = matrix.split_at_mut((from + PANEL).min(n) * n);
        let panel = &mut head[from * n..];
        for k in 0..panel.len() / n {
            let column = from + k;
            let (above, row) = panel.split_at_mut(k * n);
            let row = &mut row[..n];
            let diagonal = row[column];
            for above in above.chunks_exact(n) {
                let weight = above[column];
                let entries = row[column..].iter_mut().zip(&above[column..]);
                entries.for_each(|(entry, &above)| *entry -= weight * above);
            }
            // If the row is a combination of the rows above, its pivot is only rounding error.
            let pivot = row[column];
            if !(pivot > tolerance * diagonal.abs() && pivot.is_finite()) {
                return Ok(false);
            }
            let scale = 1.0 / pivot.sqrt();
            row[column..].iter_mut().for_each(|entry| *entry *= scale);
        }
        if !tail.is_empty() {
            add_products(tail, n, panel, -1.0);
        }
    }
    Ok(true)
}

/// Replaces `b` by the solution `x` of `UᵀU x = b`. `upper` is `U`, from [`factorise`].
pub(crate) fn solve(upper: &[f64], b: &mut [f64]) {
    let n = b.len();
    for (k, row) in upper.chunks_exact(n).enumerate() {
        let (head, rest) = b.split_at_mut(k + 1);
        head[k] /= row[k];
        let entries = rest.iter_mut().zip(&row[k + 1..]);
        entries.for_each(|(entry, &above)| *entry -= head[k] * above);
    }
    for (k, row) in upper.chunks_exact(n).enumerate().rev() {
        let solved = row[k + 1..].iter().zip(&b[k + 1..]).map(|(&entry, &x)| entry * x);
        b[k] = (b[k] - solved.sum::<f64>()) / row[k];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The product of a full matrix and a vector.
    fn product(matrix: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
        matrix.iter().map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
    }

    proptest! {
        #[test]
        fn a_system_is_summed_factorised_and_solved(
            n in 1usize..40, vectors in 0usize..30, ridge in 0.1f64..3.0,
            entries in prop::collection::vec(-1.0f64..1.0, 40 * 31),
        ) {
            let entry = |row: usize, column: usize| entries[row * 40 + column];
            let mut naive = vec![vec![0.0; n]; n];
            for (i, row) in naive.iter_mut().enumerate() {
                row[i] = ridge;
                for (j, sum) in row.iter_mut().enumerate() {
                    *sum += (0..vectors).map(|v| entry(v, i) * entry(v, j)).sum::<f64>();
                }
            }
            let mut matrix = vec![0.0; n * n];
            (0..n).for_each(|i| matrix[i * n + i] = ridge);
            let mut panel = vec![0.0; PANEL * n];
            for from in (0..vectors).step_by(PANEL) {
                panel.fill(0.0);
                for v in from..(from + PANEL).min(vectors) {
                    (0..n).for_each(|i| panel[(v - from) * n + i] = entry(v, i));
                }
                add_products(&mut matrix, n, &panel, 1.0);
                // All instruction sets give the same bits.
                let (mut fastest, mut portable) = (matrix.clone(), matrix.clone());
                add_products(&mut fastest, n, &panel, -0.5);
                products(&mut portable, n, &panel, -0.5);
                prop_assert_eq!(fastest, portable);
            }
            for i in 0..n {
                for j in i..n {
                    prop_assert!((matrix[i * n + j] - naive[i][j]).abs() < 1e-12);
                }
            }
            let mut asked = 0;
            let factorised = factorise(&mut matrix, n, &mut || { asked += 1; Ok(()) });
            prop_assert_eq!((factorised, asked), (Ok(true), n.div_ceil(PANEL)));
            let b = (0..n).map(|i| entry(30, i)).collect::<Vec<_>>();
            let mut x = b.clone();
            solve(&matrix, &mut x);
            for (found, wanted) in product(&naive, &x).iter().zip(&b) {
                prop_assert!((found - wanted).abs() < 1e-9, "{} {}", found, wanted);
            }
        }
    }

    #[test]
    fn refuses_matrices_that_are_not_positive_definite() {
        let go_on = &mut || Ok(());
        for (mut matrix, n) in [
            (vec![1.0, 2.0, 0.0, 1.0], 2),
            (vec![0.0], 1),
            (vec![f64::NAN], 1),
            (vec![f64::INFINITY], 1),
            // The sum of the products of three vectors of five entries. Rounding may leave the last two pivots a little above 0.
            (
                (0..25)
                    .map(|at| {
                        [0.1, 0.7, 1.1]
                            .map(|v: f64| (v + 1.0).powi(at / 5) * (v + 1.0).powi(at % 5))
                            .iter()
                            .sum()
                    })
                    .collect(),
                5,
            ),
        ] {
            assert_eq!(factorise(&mut matrix, n, go_on), Ok(false), "{matrix:?}");
        }
        assert_eq!(factorise(&mut [1.0], 1, &mut || Err(Error::Cancelled)), Err(Error::Cancelled));
    }
}
