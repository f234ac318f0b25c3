//! Products of the sparse matrix of ratings with a dense matrix.

use std::ops::{AddAssign, Mul};
use std::sync::atomic::AtomicBool;

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::memory::try_with_capacity;
use crate::ratings::sparse::Sparse;

/// Ratings of the block of rows that a thread multiplies before it takes the next block.
const RATINGS_PER_PRODUCT_BLOCK: usize = 8192;

/// `out = S · dense`, where `S` has the pattern of `sparse`, and `weight` gives an entry of `S` from its row, its column and its
/// rating.
///
/// `dense` has a row for each column of `S`, and `out` has a row for each row of `S`. Both must be in standard order (row by row).
/// One thread sums up each row, in the order of its entries, so that the number of threads changes no bit.
pub(crate) fn multiply<T>(
    sparse: &Sparse,
    weight: impl Fn(usize, u32, u8) -> T + Sync,
    dense: ArrayView2<'_, T>,
    mut out: ArrayViewMut2<'_, T>,
    cancelled: &AtomicBool,
) -> Result<(), Error>
where
    T: Copy + Default + AddAssign + Mul<Output = T> + Send + Sync,
{
    debug_assert!(dense.is_standard_layout() && out.is_standard_layout());
    let dense = dense.to_slice().unwrap_or_default();
    let ranges = sparse.blocks(RATINGS_PER_PRODUCT_BLOCK)?;
    let mut blocks = try_with_capacity(ranges.len())?;
    let mut remaining = out.view_mut();
    for rows in ranges {
        let (block, later) = remaining.split_at(Axis(0), rows.len());
        remaining = later;
        blocks.push((rows, block));
    }
    blocks.into_par_iter().try_for_each(|(rows, mut out)| {
        for (row, mut sum) in rows.zip(out.rows_mut()) {
            check(cancelled)?;
            sum.fill(T::default());
            // Slices, because the compiler vectorises the sum over them, and not over views with a stride.
            let sum = sum.as_slice_mut().unwrap_or_default();
            let (columns, values) = sparse.row(row);
            for (&column, &value) in columns.iter().zip(values) {
                let weight = weight(row, column, value);
                let addend = &dense[column as usize * sum.len()..][..sum.len()];
                sum.iter_mut().zip(addend).for_each(|(sum, &addend)| *sum += weight * addend);
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratings::Ratings;
    use crate::ratings::matrix::RatingMatrix;
    use ndarray::Array2;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_the_dense_product(
            ratings in prop::collection::btree_map((0u32..30, 0u32..20), 1u8..=5, 1..200),
            dense in prop::collection::vec(-1.0f64..1.0, 20 * 7),
        ) {
            let go = AtomicBool::new(false);
            let mut list = Ratings::default();
            ratings.iter().for_each(|(&(c, m), &v)| list.push(c, m, v));
            let matrix = RatingMatrix::new(30, 20, &list, &go).unwrap();
            let weight = |c: usize, m: u32, v: u8| f64::from(v) - 3.5 + c as f64 / (1.0 + f64::from(m));
            let mut whole = Array2::<f64>::zeros((30, 20));
            list.iter().for_each(|(c, m, v)| whole[(c as usize, m as usize)] = weight(c as usize, m, v));
            let dense = Array2::from_shape_vec((20, 7), dense).unwrap();
            let mut product = Array2::from_elem((30, 7), 9.0);
            multiply(&matrix.by_customer, weight, dense.view(), product.view_mut(), &go).unwrap();
            prop_assert!((product - whole.dot(&dense)).iter().all(|difference| difference.abs() < 1e-12));
            let mut transpose_product = Array2::zeros((20, 3));
            let tall = Array2::from_shape_fn((30, 3), |(row, column)| (row * 3 + column) as f64);
            let transposed = |m: usize, c: u32, v: u8| weight(c as usize, m as u32, v);
            multiply(&matrix.by_movie, transposed, tall.view(), transpose_product.view_mut(), &go).unwrap();
            prop_assert!((transpose_product - whole.t().dot(&tall)).iter().all(|difference| difference.abs() < 1e-9));
        }
    }

    #[test]
    fn a_cancel_stops_the_product() {
        let mut list = Ratings::default();
        list.push(0, 0, 3);
        let matrix = RatingMatrix::new(1, 1, &list, &AtomicBool::new(false)).unwrap();
        let (dense, mut out) = (Array2::<f32>::zeros((1, 1)), Array2::zeros((1, 1)));
        let stopped = multiply(
            &matrix.by_customer,
            |_, _, _| 1.0,
            dense.view(),
            out.view_mut(),
            &AtomicBool::new(true),
        );
        assert_eq!(stopped, Err(Error::Cancelled));
    }
}
