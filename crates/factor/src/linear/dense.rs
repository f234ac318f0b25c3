//! Small dense matrices out of tall ones.

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, ArrayView2, s};

use crate::error::{Error, check};
use crate::linear::dense_product::add_product;
use crate::memory::{try_vec, zeros};
use crate::rows::Turns;

/// Runs of rows whose products are summed up at the same time.
const GRAM_PARTS: usize = 16;
/// Columns that are multiplied with the others between two checks of the cancel flag.
const GRAM_COLUMNS_PER_CHECK: usize = 128;

/// Bytes that [`gram`] takes, with what it gives.
pub(crate) fn gram_memory(rows: usize, columns: usize) -> usize {
    let sum = columns * columns * size_of::<f64>()
        + columns.min(GRAM_COLUMNS_PER_CHECK) * columns * size_of::<f32>();
    Turns::of_length(columns).parts(rows, GRAM_PARTS).max(1) * sum
}

/// `XᵀX` of a tall matrix, in rayon's current pool, summed up in an order that no number of threads changes.
pub(crate) fn gram(tall: ArrayView2<'_, f32>, cancelled: &AtomicBool) -> Result<Array2<f64>, Error> {
    let (rows, columns) = tall.dim();
    let zero = || Ok((zeros((columns, columns))?, zeros((columns.min(GRAM_COLUMNS_PER_CHECK), columns))?));
    let add = |(sum, product): &mut (Array2<f64>, Array2<f32>), rows| {
        let rows = tall.slice(s![rows, ..]);
        for left in (0..columns).step_by(GRAM_COLUMNS_PER_CHECK) {
            check(cancelled)?;
            let these = left..(left + GRAM_COLUMNS_PER_CHECK).min(columns);
            let mut product = product.slice_mut(s![..these.len(), left..]);
            product.fill(0.0);
            let turn = rows.slice(s![.., these.clone()]);
            add_product(1.0, turn.t(), rows.slice(s![.., left..]), product.view_mut());
            sum.slice_mut(s![these, left..])
                .zip_mut_with(&product, |sum, &product| *sum += f64::from(product));
        }
        Ok(())
    };
    let turns = Turns::of_length(columns);
    let (mut sum, _) = turns.sum(rows, GRAM_PARTS, cancelled, zero, add, |total, part| total.0 += &part.0)?;
    for row in 0..columns {
        for column in 0..row {
            sum[(row, column)] = sum[(column, row)];
        }
    }
    Ok(sum)
}

/// The share of each diagonal entry that [`strengthen`] adds to it: ten times what the kernel takes for nothing left.
pub(crate) const RIDGE: f64 = 1e-5;

/// Adds to each diagonal entry of a positive semidefinite matrix a small share of it, so that single precision, too, finds the
/// matrix positive definite, however large it is beside what else a system holds.
pub(crate) fn strengthen(matrix: &mut Array2<f64>) {
    matrix.diag_mut().iter_mut().for_each(|entry| *entry *= 1.0 + RIDGE);
}

/// The upper triangle of a matrix in rows of `stride` numbers, times `scale`, as the kernel adds it to its systems.
pub(crate) fn strided(matrix: &Array2<f64>, stride: usize, scale: f64) -> Result<Vec<f32>, Error> {
    let mut strided = try_vec(stride * stride)?;
    for ((row, column), &value) in matrix.indexed_iter().filter(|((row, column), _)| row <= column) {
        strided[row * stride + column] = (value * scale) as f32;
    }
    Ok(strided)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn agree_with_what_they_are_defined_by(
            rows in 1usize..9000, columns in prop_oneof![1usize..8, Just(140)], seed in 1u32..1000,
        ) {
            let number = |row: usize, column: usize| {
                let hash = (row as u32 * 31 + column as u32 * 7 + seed).wrapping_mul(0x9e37_79b9);
                (hash >> 16) as f32 / 65536.0 - 0.5
            };
            let tall = Array2::from_shape_fn((rows, columns), |(row, column)| number(row, column));
            let gram = gram(tall.view(), &AtomicBool::new(false)).unwrap();
            for ((i, j), value) in gram.indexed_iter() {
                let naive = (0..rows).map(|row| f64::from(number(row, i) * number(row, j))).sum::<f64>();
                prop_assert!((value - naive).abs() < 1e-4 * (1.0 + rows as f64), "{} {}", value, naive);
            }
        }
    }
}
