//! Products of dense matrices, by one thread and without allocations. Libraries allocate for a product, and abort the process
//! where that fails.

#![allow(unsafe_code)] // kernels compiled for instruction sets found at run time, and reads without bounds checks

use std::ops::{AddAssign, Mul};

use ndarray::{ArrayView2, ArrayViewMut2};

use crate::simd::vector::Vector;
use crate::simd::{InstructionSet, Kernel};

/// `f32` or `f64`.
pub(crate) trait Float: Copy + Default + AddAssign + Mul<Output = Self> + Send + Sync {
    /// `self + a · b`, in one instruction if the instruction set of `V` has it.
    fn add_product<V: Vector>(self, a: Self, b: Self) -> Self;
}

impl Float for f32 {
    #[inline(always)]
    fn add_product<V: Vector>(self, a: f32, b: f32) -> f32 {
        if V::IS_FUSED { a.mul_add(b, self) } else { self + a * b }
    }
}

impl Float for f64 {
    #[inline(always)]
    fn add_product<V: Vector>(self, a: f64, b: f64) -> f64 {
        if V::IS_FUSED { a.mul_add(b, self) } else { self + a * b }
    }
}

/// Rows of a tile of the result, whose sums stay in registers.
const TILE_HEIGHT: usize = 3;
/// Columns of a tile.
const TILE_WIDTH: usize = 16;
/// Products that are summed up in a tile before its sums are added to the result. The part of the right matrix that a tile reads,
/// 16 KB of doubles, stays in the first-level cache while all rows pass.
const DEPTH: usize = 128;

/// `out += scale · left · right`, for matrices of rows x inner, inner x columns and rows x columns.
///
/// `left` may be a transposed view. The rows of the other two must be contiguous.
///
/// # Panics
///
/// If the shapes do not fit together, or rows are not contiguous.
pub(crate) fn add_product<T: Float>(
    scale: T,
    left: ArrayView2<'_, T>,
    right: ArrayView2<'_, T>,
    out: ArrayViewMut2<'_, T>,
) {
    let (rows, inner) = left.dim();
    let columns = right.ncols();
    assert!(right.nrows() == inner && out.dim() == (rows, columns), "shapes that do not fit together");
    let is_contiguous = |strides: &[isize], columns: usize| columns < 2 || strides[1] == 1;
    assert!(
        is_contiguous(right.strides(), columns) && is_contiguous(out.strides(), columns),
        "rows that are not contiguous"
    );
    InstructionSet::fastest().run(Product { scale, left, right, out });
}

/// The arguments of [`add_product`].
struct Product<'a, T> {
    scale: T,
    left: ArrayView2<'a, T>,
    right: ArrayView2<'a, T>,
    out: ArrayViewMut2<'a, T>,
}

impl<T: Float> Kernel for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let (rows, inner) = self.left.dim();
        let mut panel = [[T::default(); TILE_WIDTH]; DEPTH];
        for column in (0..self.right.ncols()).step_by(TILE_WIDTH) {
            let width = TILE_WIDTH.min(self.right.ncols() - column);
            for from in (0..inner).step_by(DEPTH) {
                let depth = DEPTH.min(inner - from);
                for (row, line) in panel[..depth].iter_mut().enumerate() {
                    line[width..].fill(T::default());
                    for (offset, value) in line[..width].iter_mut().enumerate() {
                        *value = self.scale * self.right[(from + row, column + offset)];
                    }
                }
                let mut row = 0;
                while row + TILE_HEIGHT <= rows {
                    self.add_tile::<V, TILE_HEIGHT>(row, from, (column, width), &panel[..depth]);
                    row += TILE_HEIGHT;
                }
                for row in row..rows {
                    self.add_tile::<V, 1>(row, from, (column, width), &panel[..depth]);
                }
            }
        }
    }
}

impl<T: Float> Product<'_, T> {
    /// Adds to the tile of `ROWS` rows from `row` and `width` columns from `column`: columns of `left` from `from` on, as many as
    /// the panel has rows, times the panel.
    #[inline(always)]
    fn add_tile<V: Vector, const ROWS: usize>(
        &mut self,
        row: usize,
        from: usize,
        (column, width): (usize, usize),
        panel: &[[T; TILE_WIDTH]],
    ) {
        let (row_stride, column_stride) = (self.left.strides()[0], self.left.strides()[1]);
        debug_assert!(row + ROWS <= self.left.nrows() && from + panel.len() <= self.left.ncols());
        let start =
            self.left.as_ptr().wrapping_offset(row as isize * row_stride + from as isize * column_stride);
        let mut sums = [[T::default(); TILE_WIDTH]; ROWS];
        for (inner, line) in panel.iter().enumerate() {
            for (offset, sums) in sums.iter_mut().enumerate() {
                // SAFETY: `row + offset` is a row, and `from + inner` a column, of the left matrix, as the loops of `run` count.
                let value =
                    unsafe { *start.offset(offset as isize * row_stride + inner as isize * column_stride) };
                for (sum, &right) in sums.iter_mut().zip(line) {
                    *sum = sum.add_product::<V>(value, right);
                }
            }
        }
        for (offset, sums) in sums.iter().enumerate() {
            for (out_column, &sum) in (column..column + width).zip(sums) {
                self.out[(row + offset, out_column)] += sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, s};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_the_product_of_ndarray(
            rows in 1usize..40, inner in 1usize..300, columns in 1usize..40, seed: u32, is_transposed: bool,
        ) {
            let entry = |at: (usize, usize)| {
                let hash = (at.0 as u32 * 31 + at.1 as u32 * 7 + seed).wrapping_mul(0x9e37_79b9);
                f64::from(hash >> 16) / 65536.0 - 0.5
            };
            let left = Array2::from_shape_fn(if is_transposed { (inner, rows) } else { (rows, inner) }, entry);
            let left = if is_transposed { left.t() } else { left.view() };
            // Views of parts of wider matrices.
            let right = Array2::from_shape_fn((inner + 1, columns + 5), entry);
            let mut out = Array2::from_shape_fn((rows, columns + 3), entry);
            let expected = left.dot(&right.slice(s![1.., 2..columns + 2])) * -0.5 + out.slice(s![.., 1..=columns]);
            let border = out.column(0).to_owned();
            let single = |view: ArrayView2<'_, f64>| view.mapv(|entry| entry as f32);
            let mut in_single = single(out.slice(s![.., 1..=columns]));
            add_product(-0.5, single(left).view(), single(right.slice(s![1.., 2..columns + 2])).view(), in_single.view_mut());
            add_product(-0.5, left, right.slice(s![1.., 2..columns + 2]), out.slice_mut(s![.., 1..=columns]));
            prop_assert!((&out.slice(s![.., 1..=columns]) - &expected).iter().all(|off| off.abs() < 1e-12));
            prop_assert!((in_single.mapv(f64::from) - expected).iter().all(|off| off.abs() < 1e-4));
            prop_assert_eq!(out.column(0), border);
        }
    }
}
