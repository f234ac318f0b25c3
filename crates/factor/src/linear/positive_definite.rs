//! Inverses and Cholesky factors of symmetric positive definite matrices, in double precision.

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::linear::dense_product::add_product;
use crate::memory::zeros;

/// Columns that are eliminated together.
const INVERSE_PANEL: usize = 32;
/// Rows that these columns are eliminated from between two checks of the cancel flag.
const ELIMINATED_ROWS_PER_CHECK: usize = 64;

/// Bytes that [`invert`] takes besides its matrix, `size x size`.
pub(crate) fn memory(size: usize) -> usize {
    (2 * size + INVERSE_PANEL) * INVERSE_PANEL * size_of::<f64>()
}

/// Replaces a symmetric positive definite matrix by its inverse, by Gauss-Jordan elimination in panels of columns, in rayon's
/// current pool. The number of threads changes no bit.
///
/// Returns `false` if the matrix is not positive definite, as far as double precision can tell. What it then holds is
/// undefined.
pub(crate) fn invert(matrix: &mut Array2<f64>, cancelled: &AtomicBool) -> Result<bool, Error> {
    let size = matrix.nrows();
    let mut panel_rows: Array2<f64> = zeros((INVERSE_PANEL, size))?;
    let mut panel_columns: Array2<f64> = zeros((size, INVERSE_PANEL))?;
    let mut square: Array2<f64> = zeros((INVERSE_PANEL, INVERSE_PANEL))?;
    for from in (0..size).step_by(INVERSE_PANEL) {
        check(cancelled)?;
        let panel = from..(from + INVERSE_PANEL).min(size);
        let width = panel.len();
        let mut square = square.slice_mut(s![..width, ..width]);
        square.assign(&matrix.slice(s![panel.clone(), panel.clone()]));
        if !invert_small(&mut square) {
            return Ok(false);
        }
        // With P the inverse of the panel's diagonal block: the panel's rows become P · rows; the other rows lose their entries in
        // the panel's columns times P · rows; and the panel's columns become -columns · P.
        let mut rows = panel_rows.slice_mut(s![..width, ..]);
        rows.fill(0.0);
        add_product(1.0, square.view(), matrix.slice(s![panel.clone(), ..]), rows.view_mut());
        rows.slice_mut(s![.., panel.clone()]).assign(&square);
        let mut columns = panel_columns.slice_mut(s![.., ..width]);
        columns.assign(&matrix.slice(s![.., panel.clone()]));
        columns.slice_mut(s![panel.clone(), ..]).fill(0.0);
        matrix.slice_mut(s![.., panel.clone()]).fill(0.0);
        let chunks = matrix.axis_chunks_iter_mut(Axis(0), ELIMINATED_ROWS_PER_CHECK).into_par_iter();
        chunks.zip(columns.axis_chunks_iter(Axis(0), ELIMINATED_ROWS_PER_CHECK)).try_for_each(
            |(out, columns)| {
                check(cancelled)?;
                add_product(-1.0, columns, rows.view(), out);
                Ok(())
            },
        )?;
        matrix.slice_mut(s![panel, ..]).assign(&rows);
    }
    Ok(true)
}

/// [`invert`] for a small matrix, column by column.
fn invert_small(matrix: &mut ndarray::ArrayViewMut2<'_, f64>) -> bool {
    let size = matrix.nrows();
    for pivot in 0..size {
        let diagonal = matrix[(pivot, pivot)];
        // This condition also catches NaN.
        if !(diagonal > 0.0 && diagonal.is_finite()) {
            return false;
        }
        for row in (0..size).filter(|&row| row != pivot) {
            let factor = matrix[(row, pivot)] / diagonal;
            for column in (0..size).filter(|&column| column != pivot) {
                let product = factor * matrix[(pivot, column)];
                matrix[(row, column)] -= product;
            }
            matrix[(row, pivot)] = -factor;
        }
        matrix.row_mut(pivot).iter_mut().for_each(|entry| *entry /= diagonal);
        matrix[(pivot, pivot)] = 1.0 / diagonal;
    }
    true
}

/// The Cholesky factor `L` of a symmetric positive definite matrix `LLᵀ`, with zeros above the diagonal. Returns `None` if the
/// matrix is not positive definite, as far as double precision can tell. It uses one thread, which is enough for some hundreds
/// of rows.
pub(crate) fn cholesky(
    matrix: ArrayView2<'_, f64>,
    cancelled: &AtomicBool,
) -> Result<Option<Array2<f64>>, Error> {
    let size = matrix.nrows();
    let mut lower: Array2<f64> = zeros((size, size))?;
    for row in 0..size {
        check(cancelled)?;
        for column in 0..=row {
            let (a, b) = (lower.row(row), lower.row(column));
            let products = a.iter().zip(b).take(column).map(|(a, b)| a * b);
            let remainder = matrix[(row, column)] - products.sum::<f64>();
            lower[(row, column)] = if column < row {
                remainder / lower[(column, column)]
            } else if remainder > 0.0 && remainder.is_finite() {
                remainder.sqrt()
            } else {
                return Ok(None);
            };
        }
    }
    Ok(Some(lower))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::generator;
    use proptest::prelude::*;
    use rand_distr::{Distribution, StandardNormal};

    static GO: AtomicBool = AtomicBool::new(false);

    proptest! {
        #[test]
        fn an_inverse_and_a_factor_give_the_matrix_again(size in 1usize..150, seed: i64) {
            let mut rng = generator(seed);
            let tall = Array2::<f64>::from_shape_simple_fn((size + 50, size), || StandardNormal.sample(&mut rng));
            let matrix = tall.t().dot(&tall) + Array2::<f64>::eye(size);
            let mut inverse = matrix.clone();
            prop_assert_eq!(invert(&mut inverse, &GO), Ok(true));
            let lower = cholesky(matrix.view(), &GO).unwrap().unwrap();
            let off = |product: Array2<f64>, of: &Array2<f64>| (product - of).iter().fold(0.0f64, |most, off| most.max(off.abs()));
            prop_assert!(off(matrix.dot(&inverse), &Array2::eye(size)) < 1e-9);
            prop_assert!(off(lower.dot(&lower.t()), &matrix) < 1e-9);
            prop_assert!(lower.indexed_iter().all(|((row, column), &entry)| row >= column || entry == 0.0));
        }
    }

    #[test]
    fn refuses_matrices_that_are_not_positive_definite() {
        let matrix = ndarray::array![[1.0, 2.0], [2.0, 1.0]];
        assert_eq!(invert(&mut matrix.clone(), &GO), Ok(false));
        assert_eq!(cholesky(matrix.view(), &GO), Ok(None));
        // The negative entry is in a later panel.
        let mut large = Array2::<f64>::eye(100);
        large[(90, 90)] = -1.0;
        assert_eq!(invert(&mut large, &GO), Ok(false));
        assert_eq!(invert(&mut Array2::eye(3), &AtomicBool::new(true)), Err(Error::Cancelled));
    }
}
