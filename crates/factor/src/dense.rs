//! Small dense matrices out of tall ones.

use std::sync::atomic::AtomicBool;

use faer::linalg::solvers::DenseSolveCore;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::Error;
use crate::error::check;

/// Rows multiplied at a time.
const ROWS_A_TURN: usize = 1024;

/// `XᵀX` of a tall matrix, in rayon's current pool, summed up in an order that no number of threads changes.
pub(crate) fn gram(tall: ArrayView2<'_, f32>, cancelled: &AtomicBool) -> Result<Array2<f64>, Error> {
    let chunks = tall.axis_chunks_iter(Axis(0), ROWS_A_TURN).into_par_iter().map(|rows| {
        check(cancelled)?;
        Ok(rows.t().dot(&rows).mapv(f64::from))
    });
    let mut sum = Array2::zeros((tall.ncols(), tall.ncols()));
    for product in chunks.collect::<Result<Vec<_>, Error>>()? {
        sum += &product;
    }
    Ok(sum)
}

/// The inverse of a symmetric positive definite matrix; none where it is not, so far as double precision can tell.
pub(crate) fn inverse(matrix: &Array2<f64>) -> Option<Array2<f64>> {
    let inverse = to_faer(matrix).llt(faer::Side::Lower).ok()?.inverse();
    Some(Array2::from_shape_fn(matrix.dim(), |(row, column)| inverse[(row, column)]))
}

/// `L` of a symmetric positive definite matrix `LLᵀ`; none where it is not, so far as double precision can tell.
pub(crate) fn cholesky(matrix: &Array2<f64>) -> Option<Array2<f64>> {
    let factorised = to_faer(matrix).llt(faer::Side::Lower).ok()?;
    let lower = factorised.L();
    Some(Array2::from_shape_fn(
        matrix.dim(),
        |(row, column)| if row < column { 0.0 } else { lower[(row, column)] },
    ))
}

fn to_faer(matrix: &Array2<f64>) -> faer::Mat<f64> {
    faer::Mat::from_fn(matrix.nrows(), matrix.ncols(), |row, column| matrix[(row, column)])
}

/// The upper triangle of a matrix in rows of `stride` numbers, times `scale`, as the kernel adds it to its systems.
pub(crate) fn strided(matrix: &Array2<f64>, stride: usize, scale: f64) -> Vec<f32> {
    let mut strided = vec![0.0; stride * stride];
    for ((row, column), &value) in matrix.indexed_iter().filter(|((row, column), _)| row <= column) {
        strided[row * stride + column] = (value * scale) as f32;
    }
    strided
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agree_with_what_they_are_defined_by(
            rows in 1usize..3000, columns in 1usize..8, seed in 1u32..1000,
        ) {
            let number = |row: usize, column: usize| {
                let hash = (row as u32 * 31 + column as u32 * 7 + seed).wrapping_mul(0x9e37_79b9);
                (hash >> 16) as f32 / 65536.0 - 0.5
            };
            let tall = Array2::from_shape_fn((rows, columns), |(row, column)| number(row, column));
            let mut gram = gram(tall.view(), &AtomicBool::new(false)).unwrap();
            for ((i, j), value) in gram.indexed_iter() {
                let naive = (0..rows).map(|row| f64::from(number(row, i) * number(row, j))).sum::<f64>();
                prop_assert!((value - naive).abs() < 1e-4 * (1.0 + rows as f64), "{} {}", value, naive);
            }
            (0..columns).for_each(|n| gram[(n, n)] += 1.0);
            let identity = gram.dot(&inverse(&gram).unwrap());
            let lower = cholesky(&gram).unwrap();
            let off = (identity - Array2::<f64>::eye(columns)).iter().chain(&(lower.dot(&lower.t()) - &gram)).fold(0.0f64, |worst, off| worst.max(off.abs()));
            prop_assert!(off < 1e-9 * (1.0 + rows as f64), "{}", off);
        }
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        let matrix = ndarray::array![[1.0, 2.0], [2.0, 1.0]];
        assert!(inverse(&matrix).is_none() && cholesky(&matrix).is_none());
    }
}
