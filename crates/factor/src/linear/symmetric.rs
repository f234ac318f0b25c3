//! Symmetric positive definite systems in double precision, whose memory is the caller's: libraries allocate while they
//! multiply, and where the system refuses that, the process ends.
//!
//! A matrix is its upper triangle, row by row in rows of `n` entries; what is below the diagonal is not looked at. No products
//! are fused with sums, and all sums have a fixed order: every machine gives the same bits.

#![allow(unsafe_code)] // calls to functions compiled for instruction sets found at run time

use crate::error::Error;

/// Vectors whose products are added together: each entry of the matrix is then read and written once for all of them.
pub(crate) const PANEL: usize = 8;

/// Adds `scale · Σ vᵀv` to a matrix of rows of `n` entries, of which `matrix` has the last ones. `panel` has [`PANEL`] vectors
/// `v` of `n` entries.
pub(crate) fn add_products(matrix: &mut [f64], n: usize, panel: &[f64], scale: f64) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine has the instruction set.
            return unsafe { products_avx512(matrix, n, panel, scale) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { products_avx2(matrix, n, panel, scale) };
        }
    }
    products(matrix, n, panel, scale);
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

/// Replaces a symmetric matrix by `U`, where it is `UᵀU` (Cholesky). False where it is not positive definite, so far as double
/// precision can tell. `check` is asked every few milliseconds whether to go on.
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
            let (done, row) = panel.split_at_mut(k * n);
            let row = &mut row[..n];
            let diagonal = row[column];
            for done in done.chunks_exact(n) {
                let weight = done[column];
                let entries = row[column..].iter_mut().zip(&done[column..]);
                entries.for_each(|(entry, &above)| *entry -= weight * above);
            }
            // What the rows before it leave of a diagonal entry is rounding, where the row is a combination of them.
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

/// Replaces `b` by the solution `x` of `UᵀU x = b`, where `upper` is what [`factorise`] made.
pub(crate) fn solve(upper: &[f64], b: &mut [f64]) {
    let n = b.len();
    for (k, row) in upper.chunks_exact(n).enumerate() {
        let (head, rest) = b.split_at_mut(k + 1);
        head[k] /= row[k];
        let entries = rest.iter_mut().zip(&row[k + 1..]);
        entries.for_each(|(entry, &above)| *entry -= head[k] * above);
    }
    for (k, row) in upper.chunks_exact(n).enumerate().rev() {
        let known = row[k + 1..].iter().zip(&b[k + 1..]).map(|(&entry, &x)| entry * x);
        b[k] = (b[k] - known.sum::<f64>()) / row[k];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A matrix times a vector, whole.
    fn product(matrix: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
        matrix.iter().map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
    }

    proptest! {
        #[test]
        fn agree_with_what_they_are_defined_by(
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
                let (mut one, mut other) = (matrix.clone(), matrix.clone());
                add_products(&mut one, n, &panel, -0.5);
                products(&mut other, n, &panel, -0.5);
                prop_assert_eq!(one, other);
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
    fn what_is_not_positive_definite_is_told() {
        let go_on = &mut || Ok(());
        for (mut matrix, n) in [
            (vec![1.0, 2.0, 0.0, 1.0], 2),
            (vec![0.0], 1),
            (vec![f64::NAN], 1),
            (vec![f64::INFINITY], 1),
            // Three vectors of five entries: rounding may leave a little more than nothing of the last two pivots.
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
