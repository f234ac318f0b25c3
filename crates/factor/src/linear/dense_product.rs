//! Products of dense matrices, by one thread and without memory of their own: what a library would allocate for them, it
//! could not be refused without an abort.

#![allow(unsafe_code)] // functions compiled for instruction sets found at run time, and rows without bounds checks

use std::ops::{AddAssign, Mul};

use ndarray::{ArrayView2, ArrayViewMut2};

/// A number that can be multiplied and added in one instruction, where `FUSED`.
pub(crate) trait Number: Copy + Default + AddAssign + Mul<Output = Self> + Send + Sync {
    /// `sum + one · other`.
    fn add_product<const FUSED: bool>(sum: Self, one: Self, other: Self) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn add_product<const FUSED: bool>(sum: f32, one: f32, other: f32) -> f32 {
        if FUSED { one.mul_add(other, sum) } else { sum + one * other }
    }
}

impl Number for f64 {
    #[inline(always)]
    fn add_product<const FUSED: bool>(sum: f64, one: f64, other: f64) -> f64 {
        if FUSED { one.mul_add(other, sum) } else { sum + one * other }
    }
}

/// Rows and columns of a tile, whose sums stay in registers; and products that are summed up in it before it is stored. The
/// right matrix's part of that, 16 KB of doubles, stays in the first cache while all rows pass.
const HEIGHT: usize = 3;
const WIDTH: usize = 16;
const DEPTH: usize = 128;

/// `out += scale · one · other`. `one` may be a transposed view; the others' rows have their numbers side by side.
pub(crate) fn add_product<T: Number>(
    scale: T,
    one: ArrayView2<'_, T>,
    other: ArrayView2<'_, T>,
    out: ArrayViewMut2<'_, T>,
) {
    let (rows, inner) = one.dim();
    let columns = other.ncols();
    assert!(other.nrows() == inner && out.dim() == (rows, columns), "matrices that do not fit together");
    let is_plain = |strides: &[isize], columns: usize| columns < 2 || strides[1] == 1;
    assert!(
        is_plain(other.strides(), columns) && is_plain(out.strides(), columns),
        "rows that are scattered"
    );
    let product = Product { scale, one, other, out };
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: found on this machine.
            return unsafe { add_avx512(product) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            return unsafe { add_avx2(product) };
        }
    }
    product.add::<false>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn add_avx512<T: Number>(product: Product<'_, T>) {
    product.add::<true>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn add_avx2<T: Number>(product: Product<'_, T>) {
    product.add::<true>();
}

struct Product<'a, T> {
    scale: T,
    one: ArrayView2<'a, T>,
    other: ArrayView2<'a, T>,
    out: ArrayViewMut2<'a, T>,
}

impl<T: Number> Product<'_, T> {
    #[inline(always)]
    fn add<const FUSED: bool>(mut self) {
        let (rows, inner) = self.one.dim();
        let mut panel = [[T::default(); WIDTH]; DEPTH];
        for left in (0..self.other.ncols()).step_by(WIDTH) {
            let width = WIDTH.min(self.other.ncols() - left);
            for from in (0..inner).step_by(DEPTH) {
                let depth = DEPTH.min(inner - from);
                for (place, line) in panel[..depth].iter_mut().enumerate() {
                    line[width..].fill(T::default());
                    for (column, number) in line[..width].iter_mut().enumerate() {
                        *number = self.scale * self.other[(from + place, left + column)];
                    }
                }
                let mut top = 0;
                while top + HEIGHT <= rows {
                    self.tile::<FUSED, HEIGHT>(top, from, (left, width), &panel[..depth]);
                    top += HEIGHT;
                }
                (top..rows).for_each(|top| self.tile::<FUSED, 1>(top, from, (left, width), &panel[..depth]));
            }
        }
    }

    /// Adds to the tile below `top` what some columns of the left matrix, from `from` on, and the panel give.
    #[inline(always)]
    fn tile<const FUSED: bool, const ROWS: usize>(
        &mut self,
        top: usize,
        from: usize,
        (left, width): (usize, usize),
        panel: &[[T; WIDTH]],
    ) {
        let (down, right) = (self.one.strides()[0], self.one.strides()[1]);
        debug_assert!(top + ROWS <= self.one.nrows() && from + panel.len() <= self.one.ncols());
        let start = self.one.as_ptr().wrapping_offset(top as isize * down + from as isize * right);
        let mut sums = [[T::default(); WIDTH]; ROWS];
        for (place, line) in panel.iter().enumerate() {
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: a row and a column that the left matrix has, as its caller's loops count.
                let number = unsafe { *start.offset(row as isize * down + place as isize * right) };
                for (sum, &other) in sums.iter_mut().zip(line) {
                    *sum = T::add_product::<FUSED>(*sum, number, other);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (column, &sum) in sums.iter().enumerate().take(width) {
                self.out[(top + row, left + column)] += sum;
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
        fn agrees_with_the_plain_product(
            rows in 1usize..40, inner in 1usize..300, columns in 1usize..40, seed: u32, is_transposed: bool,
        ) {
            let number = |at: (usize, usize)| {
                let hash = (at.0 as u32 * 31 + at.1 as u32 * 7 + seed).wrapping_mul(0x9e37_79b9);
                f64::from(hash >> 16) / 65536.0 - 0.5
            };
            let one = Array2::from_shape_fn(if is_transposed { (inner, rows) } else { (rows, inner) }, number);
            let one = if is_transposed { one.t() } else { one.view() };
            // Parts of wider matrices.
            let other = Array2::from_shape_fn((inner + 1, columns + 5), number);
            let mut out = Array2::from_shape_fn((rows, columns + 3), number);
            let expected = one.dot(&other.slice(s![1.., 2..columns + 2])) * -0.5 + out.slice(s![.., 1..=columns]);
            let border = out.column(0).to_owned();
            let single = |view: ArrayView2<'_, f64>| view.mapv(|number| number as f32);
            let mut in_single = single(out.slice(s![.., 1..=columns]));
            add_product(-0.5, single(one).view(), single(other.slice(s![1.., 2..columns + 2])).view(), in_single.view_mut());
            add_product(-0.5, one, other.slice(s![1.., 2..columns + 2]), out.slice_mut(s![.., 1..=columns]));
            prop_assert!((&out.slice(s![.., 1..=columns]) - &expected).iter().all(|off| off.abs() < 1e-12));
            prop_assert!((in_single.mapv(f64::from) - expected).iter().all(|off| off.abs() < 1e-4));
            prop_assert_eq!(out.column(0), border);
        }
    }
}
