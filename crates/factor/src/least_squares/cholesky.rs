//! Solves one small symmetric positive definite system.

#![allow(unsafe_code)] // vector registers

use crate::least_squares::products::{MARGIN, ROWS, Subtracted, Sum, add_products};
use crate::simd::vector::Vector;

/// The share of a diagonal entry that must be left for its column to count as independent of those before it.
const SINGULAR: f32 = 1e-6;
/// Rows eliminated together before the rest of the matrix hears of it.
const PANEL: usize = ROWS;

/// The first half of solving `A x = b` for `A` of `n` by `n`, in place: `A` becomes `U`, where `A = UᵀU`, and `b` becomes
/// `U⁻ᵀ b`, which leaves [`substitute`] to do.
///
/// `system` holds the upper triangle of `A` in rows of `stride` numbers, and `b` as column `n`, which is eliminated along. (Rows
/// from `n` to the next multiple of [`ROWS`] are overwritten.)
/// `x` is at least `stride` numbers long, and has the reciprocals of U's diagonal then. Returns whether `A` was positive
/// definite, so far as single precision can tell.
///
/// # Safety
///
/// The machine has the instruction set of `V`; `system` has `stride` rows and [`MARGIN`] more numbers; `n` is less than
/// `stride`, which is a multiple of [`ROWS`] and of the register's lanes.
#[inline(always)]
pub(crate) unsafe fn eliminate<V: Vector>(
    system: &mut [f32],
    stride: usize,
    n: usize,
    x: &mut [f32],
) -> bool {
    debug_assert!(n < stride && system.len() >= stride * stride + MARGIN && x.len() >= stride);
    // What each diagonal entry was, until its row is eliminated; then the reciprocal of what it became.
    for row in 0..n {
        x[row] = system[row * stride + row];
    }
    for panel in (0..n).step_by(PANEL) {
        let behind = panel + PANEL;
        let Some(square) = Square::factorise(system, stride, panel, &x[panel..behind.min(n)]) else {
            return false;
        };
        x[panel..behind.min(n)].iter_mut().zip(square.scale).for_each(|(was, scale)| *was = scale);
        // SAFETY: whole registers of rows that the system has: the panel's are written to, then read, those behind them
        // written to.
        unsafe {
            let rows = system.as_mut_ptr();
            let z = rows.add(panel * stride);
            for column in (panel / V::LANES * V::LANES..=n).step_by(V::LANES) {
                square.eliminate::<V>(z.add(column), stride);
            }
            if behind < n {
                add_products::<V, Subtracted>(Sum::Kept, z, PANEL, stride, (behind, n + 1), rows);
            }
        }
    }
    true
}

/// Where a panel's rows cross its columns, factorised ahead of the rest of its columns, which then pass through registers once.
struct Square {
    /// Its part of `U`, from the diagonal on.
    upper: [[f32; PANEL]; PANEL],
    /// The reciprocals of its diagonal.
    scale: [f32; PANEL],
}

impl Square {
    /// None if it is not positive definite. `was` is the diagonal before any elimination. Rows beyond its length, which are
    /// behind the system's last, may hold anything; what is computed from them is not used.
    #[inline(always)]
    fn factorise(system: &[f32], stride: usize, panel: usize, was: &[f32]) -> Option<Square> {
        let mut left: [[f32; PANEL]; PANEL] = std::array::from_fn(|row| {
            let from = (panel + row) * stride + panel;
            std::array::from_fn(|column| system[from + column])
        });
        // As `LDLᵀ` first, so that the roots are taken together at the end instead of each waiting for the one before.
        // `pivot` is compiled once a row, so that everything stays in registers.
        let reciprocals = [
            Square::pivot::<0>(&mut left),
            Square::pivot::<1>(&mut left),
            Square::pivot::<2>(&mut left),
            Square::pivot::<3>(&mut left),
            Square::pivot::<4>(&mut left),
            Square::pivot::<5>(&mut left),
            Square::pivot::<6>(&mut left),
            Square::pivot::<7>(&mut left),
        ];
        // What is left of the diagonal is rounding errors, or there is none left. Also false for NaN, and for what has no
        // reciprocal.
        let is_positive =
            |(row, &was): (usize, &f32)| left[row][row] > SINGULAR * was && left[row][row].is_normal();
        if !was.iter().enumerate().all(is_positive) {
            return None;
        }
        let scale = reciprocals.map(f32::sqrt);
        Some(Square { upper: std::array::from_fn(|row| left[row].map(|left| left * scale[row])), scale })
    }

    /// Takes a row away from those below it, as often as makes their entry in its column zero. Returns the reciprocal of its
    /// diagonal.
    #[inline(always)]
    fn pivot<const ROW: usize>(left: &mut [[f32; PANEL]; PANEL]) -> f32 {
        let row = left[ROW];
        let reciprocal = 1.0 / row[ROW];
        for below in ROW + 1..PANEL {
            let factor = row[below] * reciprocal;
            left[below].iter_mut().zip(row).for_each(|(left, number)| *left -= factor * number);
        }
        reciprocal
    }

    /// Eliminates a register's columns of the panel's rows.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set of `V`; there are [`PANEL`] rows of registers, `stride` numbers apart.
    #[inline(always)]
    unsafe fn eliminate<V: Vector>(&self, columns: *mut f32, stride: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            let mut rows = [V::splat(0.0); PANEL];
            for row in 0..PANEL {
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

/// The second half: `x`, which [`eliminate`] has left reciprocals in, becomes the solution of `U x = c`, where `c` is the
/// system's column `n`.
#[inline(always)]
pub(crate) fn substitute(system: &[f32], stride: usize, n: usize, x: &mut [f32]) {
    // By panels, too: what the unknowns behind it contribute to its rows does not have to be waited for.
    for panel in (0..n).step_by(PANEL).rev() {
        let end = (panel + PANEL).min(n);
        let mut rest = [0.0; PANEL];
        for (row, rest) in (panel..end).zip(&mut rest) {
            let upper = &system[row * stride..][..stride];
            *rest = upper[n] - dot(&upper[end..n], &x[end..n]);
        }
        for row in (panel..end).rev() {
            let value = rest[row - panel] * x[row];
            x[row] = value;
            for above in panel..row {
                rest[above - panel] -= system[above * stride + row] * value;
            }
        }
    }
}

/// A scalar product in eight sums, which a compiler may not make of one.
#[inline(always)]
fn dot(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (one, other) = (one.chunks_exact(8), other.chunks_exact(8));
    let rest = one.remainder().iter().zip(other.remainder()).map(|(a, b)| a * b).sum::<f32>();
    for (one, other) in one.zip(other) {
        for lane in 0..8 {
            sums[lane] += one[lane] * other[lane];
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
        // SAFETY: every machine has this instruction set; the systems below are as large as they have to be.
        let is_regular = unsafe { eliminate::<Portable>(system, stride, n, x) };
        substitute(system, stride, n, x);
        is_regular
    }

    proptest! {
        #[test]
        fn solves_what_was_multiplied(
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
    fn says_when_there_is_no_single_solution() {
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
