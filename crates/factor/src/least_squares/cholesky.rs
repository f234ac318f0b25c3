//! Solves one small symmetric positive definite system `A x = b` in single precision, by a Cholesky factorisation.
//!
//! `A = UᵀU` with `U` upper triangular. [`factorise`] computes `U` and `c = U⁻ᵀ b`, and [`back_substitute`] solves `U x = c`.

#![allow(unsafe_code)] // vector registers

use crate::least_squares::products::{Initial, MARGIN, Subtracted, TILE_ROWS, add_products};
use crate::simd::vector::Vector;

/// A pivot must be larger than this share of the original diagonal entry of `A`. Otherwise its column counts as a combination of
/// the columns before it.
const SINGULAR: f32 = 1e-6;
/// Rows that are eliminated together, before the rows below are updated.
const PANEL_ROWS: usize = TILE_ROWS;

/// Replaces `A`, `n x n`, by `U` where `A = UᵀU`, and `b` by `c = U⁻ᵀ b`. Returns whether `A` is positive definite, as far as
/// single precision can tell.
///
/// `system` holds rows of `stride` values: the upper triangle of `A`, and `b` as column `n`. Rows from `n` to the next multiple
/// of [`TILE_ROWS`] are overwritten. `x` has at least `stride` values; its first `n` become the reciprocals of U's diagonal,
/// which [`back_substitute`] needs.
///
/// # Safety
///
/// The machine has the instruction set of `V`; `system` has `stride` rows and [`MARGIN`] more values; `n` is less than
/// `stride`, which is a multiple of [`TILE_ROWS`] and of the register's lanes.
#[inline(always)]
pub(crate) unsafe fn factorise<V: Vector>(
    system: &mut [f32],
    stride: usize,
    n: usize,
    x: &mut [f32],
) -> bool {
    debug_assert!(n < stride && system.len() >= stride * stride + MARGIN && x.len() >= stride);
    // The original diagonal of A. The reciprocal of U's diagonal replaces it, row by row.
    for row in 0..n {
        x[row] = system[row * stride + row];
    }
    for panel in (0..n).step_by(PANEL_ROWS) {
        let end = panel + PANEL_ROWS;
        let Some(block) = DiagonalBlock::factorise(system, stride, panel, &x[panel..end.min(n)]) else {
            return false;
        };
        x[panel..end.min(n)].iter_mut().zip(block.scale).for_each(|(diagonal, scale)| *diagonal = scale);
        // SAFETY: these are whole registers of rows that the system has. The panel's rows are written, then only read. The
        // rows below them are written.
        unsafe {
            let rows = system.as_mut_ptr();
            let z = rows.add(panel * stride);
            for column in (panel / V::LANES * V::LANES..=n).step_by(V::LANES) {
                block.eliminate::<V>(z.add(column), stride);
            }
            if end < n {
                add_products::<V, Subtracted>(Initial::Current, z, PANEL_ROWS, stride, (end, n + 1), rows);
            }
        }
    }
    true
}

/// The factor of the square block of a panel on the diagonal. It is computed first, so that each other column of the panel
/// passes through registers only once.
struct DiagonalBlock {
    /// The block of `U`, of which the upper triangle is valid.
    upper: [[f32; PANEL_ROWS]; PANEL_ROWS],
    /// The reciprocals of U's diagonal.
    scale: [f32; PANEL_ROWS],
}

impl DiagonalBlock {
    /// Factorises the block. Returns `None` if it is not positive definite. `diagonal` is the original diagonal of `A` there.
    ///
    /// The last panel of a system may have fewer rows than [`PANEL_ROWS`], as many as `diagonal` has values. What is computed
    /// from the other rows, which may hold anything, is not used.
    #[inline(always)]
    fn factorise(system: &[f32], stride: usize, panel: usize, diagonal: &[f32]) -> Option<DiagonalBlock> {
        let mut block: [[f32; PANEL_ROWS]; PANEL_ROWS] = std::array::from_fn(|row| {
            let from = (panel + row) * stride + panel;
            std::array::from_fn(|column| system[from + column])
        });
        // LDLᵀ first, so that all square roots are taken together at the end. Otherwise each would wait for the one before.
        // The row is a constant of each call, so that the compiler keeps the block in registers.
        let reciprocals = [
            DiagonalBlock::pivot::<0>(&mut block),
            DiagonalBlock::pivot::<1>(&mut block),
            DiagonalBlock::pivot::<2>(&mut block),
            DiagonalBlock::pivot::<3>(&mut block),
            DiagonalBlock::pivot::<4>(&mut block),
            DiagonalBlock::pivot::<5>(&mut block),
            DiagonalBlock::pivot::<6>(&mut block),
            DiagonalBlock::pivot::<7>(&mut block),
        ];
        // False if the pivot is only rounding error, negative or NaN, or has no finite reciprocal.
        let is_positive = |(row, &diagonal): (usize, &f32)| {
            block[row][row] > SINGULAR * diagonal && block[row][row].is_normal()
        };
        if !diagonal.iter().enumerate().all(is_positive) {
            return None;
        }
        let scale = reciprocals.map(f32::sqrt);
        let upper = std::array::from_fn(|row| block[row].map(|entry| entry * scale[row]));
        Some(DiagonalBlock { upper, scale })
    }

    /// Subtracts multiples of row `ROW` from the rows below, so that column `ROW` becomes zero there. Returns the reciprocal of
    /// the pivot.
    #[inline(always)]
    fn pivot<const ROW: usize>(block: &mut [[f32; PANEL_ROWS]; PANEL_ROWS]) -> f32 {
        let row = block[ROW];
        let reciprocal = 1.0 / row[ROW];
        for below in ROW + 1..PANEL_ROWS {
            let factor = row[below] * reciprocal;
            block[below].iter_mut().zip(row).for_each(|(entry, pivot)| *entry -= factor * pivot);
        }
        reciprocal
    }

    /// Computes the panel's rows of `U` in the columns of one register: solves `blockᵀ · new = old`.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set of `V`; there are [`PANEL_ROWS`] rows of registers, `stride` values apart.
    #[inline(always)]
    unsafe fn eliminate<V: Vector>(&self, columns: *mut f32, stride: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            let mut rows = [V::splat(0.0); PANEL_ROWS];
            for row in 0..PANEL_ROWS {
                rows[row] = V::load(columns.add(row * stride));
                for above in 0..row {
                    rows[row] = rows[row].sub_product(V::splat(self.upper[above][row]), rows[above]);
                }
                rows[row] = rows[row].mul(V::splat(self.scale[row]));
                rows[row].store(columns.add(row * stride));
            }
        }
    }
}

/// Solves `U x = c`, where [`factorise`] has made `U`, `c` as column `n` of the system, and the reciprocals in `x`.
#[inline(always)]
pub(crate) fn back_substitute(system: &[f32], stride: usize, n: usize, x: &mut [f32]) {
    // By panels here, too: the contributions of all unknowns behind a panel are then independent of each other.
    for panel in (0..n).step_by(PANEL_ROWS).rev() {
        let end = (panel + PANEL_ROWS).min(n);
        let mut remainder = [0.0; PANEL_ROWS];
        for (row, remainder) in (panel..end).zip(&mut remainder) {
            let upper = &system[row * stride..][..stride];
            *remainder = upper[n] - dot(&upper[end..n], &x[end..n]);
        }
        for row in (panel..end).rev() {
            let value = remainder[row - panel] * x[row];
            x[row] = value;
            for above in panel..row {
                remainder[above - panel] -= system[above * stride + row] * value;
            }
        }
    }
}

/// A scalar product in eight sums, which the compiler can vectorise. It may not do that by itself, because it would change the
/// rounding.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum::<f32>();
    for (a, b) in a.zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    rest + sums.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::vector::Portable;
    use proptest::prelude::*;

    fn solve_portably(system: &mut [f32], stride: usize, n: usize, x: &mut [f32]) -> bool {
        // SAFETY: every machine has this instruction set; the systems of the tests are large enough.
        let is_regular = unsafe { factorise::<Portable>(system, stride, n, x) };
        back_substitute(system, stride, n, x);
        is_regular
    }

    proptest! {
        #[test]
        fn solves_a_system_of_known_solution(
            n in 1usize..40,
            entries in prop::collection::vec(-1.0f32..1.0, 1600),
            wanted in prop::collection::vec(-3.0f32..3.0, 40),
        ) {
            // A = B Bᵀ + I is positive definite.
            let stride = (n + 1).next_multiple_of(8);
            let b = |row: usize, column: usize| entries[row * 40 + column];
            let full = |i: usize, j: usize| {
                (0..n).map(|p| b(i, p) * b(j, p)).sum::<f32>() + f32::from(u8::from(i == j))
            };
            let mut system = vec![f32::NAN; stride * stride + MARGIN];
            for i in 0..n {
                (i..n).for_each(|j| system[i * stride + j] = full(i, j));
                system[i * stride + n] = (0..n).map(|j| full(i, j) * wanted[j]).sum();
            }
            let mut x = vec![f32::NAN; stride];
            prop_assert!(solve_portably(&mut system, stride, n, &mut x));
            for i in 0..n {
                prop_assert!((x[i] - wanted[i]).abs() < 2e-2, "{:?} {:?}", &x[..n], &wanted[..n]);
            }
        }
    }

    #[test]
    fn refuses_systems_that_are_not_positive_definite() {
        let solved = |a: [f32; 4]| {
            let mut system = [0.0; 64 + MARGIN];
            system[..3].copy_from_slice(&[a[0], a[1], 1.0]);
            system[8..11].copy_from_slice(&[a[2], a[3], 1.0]);
            solve_portably(&mut system, 8, 2, &mut [0.0; 8])
        };
        assert!(solved([1.0, 0.0, 0.0, 1.0]));
        assert!(!solved([3.0, 3.0, 3.0, 3.0]));
        for diagonal in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(!solved([diagonal, 0.0, 0.0, 1.0]));
            assert!(!solved([1.0, 0.0, 0.0, diagonal]));
        }
    }
}
