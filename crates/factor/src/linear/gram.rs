//! Gram matrices of tall matrices, in the forms that other code needs.

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, ArrayView2, s};

use crate::error::{Error, check};
use crate::linear::dense_product::add_product;
use crate::memory::{try_vec, zeros};
use crate::rows::RowChunks;

/// Partial sums of a Gram matrix that are computed in parallel.
const GRAM_PARTS: usize = 16;
/// Rows of the Gram matrix that are computed between two checks of the cancel flag.
const GRAM_ROWS_PER_CHECK: usize = 128;

/// Bytes that [`gram`] takes for a matrix of this shape, its result included.
pub(crate) fn gram_memory(rows: usize, columns: usize) -> usize {
    let sum =
        columns * columns * size_of::<f64>() + columns.min(GRAM_ROWS_PER_CHECK) * columns * size_of::<f32>();
    RowChunks::of_length(columns).parts(rows, GRAM_PARTS).max(1) * sum
}

/// The Gram matrix `XᵀX`, columns x columns, of a tall matrix `X`, rows x columns.
///
/// Products are summed in single precision within a chunk of rows, and in double precision beyond it, in a fixed order.
pub(crate) fn gram(tall: ArrayView2<'_, f32>, cancelled: &AtomicBool) -> Result<Array2<f64>, Error> {
    let (rows, columns) = tall.dim();
    let zero = || Ok((zeros((columns, columns))?, zeros((columns.min(GRAM_ROWS_PER_CHECK), columns))?));
    let add = |(sum, product): &mut (Array2<f64>, Array2<f32>), rows| {
        let rows = tall.slice(s![rows, ..]);
        // Only the upper triangle, in strips of rows.
        for from in (0..columns).step_by(GRAM_ROWS_PER_CHECK) {
            check(cancelled)?;
            let strip = from..(from + GRAM_ROWS_PER_CHECK).min(columns);
            let mut product = product.slice_mut(s![..strip.len(), from..]);
            product.fill(0.0);
            let left = rows.slice(s![.., strip.clone()]);
            add_product(1.0, left.t(), rows.slice(s![.., from..]), product.view_mut());
            sum.slice_mut(s![strip, from..])
                .zip_mut_with(&product, |sum, &product| *sum += f64::from(product));
        }
        Ok(())
    };
    let chunks = RowChunks::of_length(columns);
    let (mut sum, _) =
        chunks.sum(rows, GRAM_PARTS, cancelled, zero, add, |total, part| total.0 += &part.0)?;
    for row in 0..columns {
        for column in 0..row {
            sum[(row, column)] = sum[(column, row)];
        }
    }
    Ok(sum)
}

/// The share of each diagonal entry that [`add_relative_ridge`] adds to it. The least-squares kernel takes a system for singular
/// if a pivot falls below 1e-6 of its diagonal entry (`SINGULAR`); this is ten times that.
pub(crate) const RIDGE: f64 = 1e-5;

/// Increases each diagonal entry of a positive semidefinite matrix by a small share of itself. The matrix is then positive
/// definite in single precision, even if its entries are much larger than everything else in a system.
pub(crate) fn add_relative_ridge(matrix: &mut Array2<f64>) {
    matrix.diag_mut().iter_mut().for_each(|entry| *entry *= 1.0 + RIDGE);
}

/// The upper triangle of a matrix, times `scale`, in rows of `stride` values, as the least-squares kernel adds it to its systems.
pub(crate) fn strided_upper(matrix: &Array2<f64>, stride: usize, scale: f64) -> Result<Vec<f32>, Error> {
    let mut upper = try_vec(stride * stride)?;
    for ((row, column), &value) in matrix.indexed_iter().filter(|((row, column), _)| row <= column) {
        upper[row * stride + column] = (value * scale) as f32;
    }
    Ok(upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_gram_matrix_agrees_with_its_definition(
            rows in 1usize..9000, columns in prop_oneof![1usize..8, Just(140)], seed in 1u32..1000,
        ) {
            let entry = |row: usize, column: usize| {
                let hash = (row as u32 * 31 + column as u32 * 7 + seed).wrapping_mul(0x9e37_79b9);
                (hash >> 16) as f32 / 65536.0 - 0.5
            };
            let tall = Array2::from_shape_fn((rows, columns), |(row, column)| entry(row, column));
            let gram = gram(tall.view(), &AtomicBool::new(false)).unwrap();
            for ((i, j), value) in gram.indexed_iter() {
                let naive = (0..rows).map(|row| f64::from(entry(row, i) * entry(row, j))).sum::<f64>();
                prop_assert!((value - naive).abs() < 1e-4 * (1.0 + rows as f64), "{} {}", value, naive);
            }
        }
    }
}
