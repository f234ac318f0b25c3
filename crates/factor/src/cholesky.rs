//! Solves one small symmetric positive definite system.

#![allow(unsafe_code)] // vector registers

use crate::products::{MARGIN, ROWS, Subtracted, Sum, add_products};
use crate::vector::Vector;

/// The share of a diagonal entry that must be left for its column to count as independent of those before it.
const SINGULAR: f32 = 1e-6;
/// Rows eliminated together before the rest of the matrix hears of it.
const PANEL: usize = 2 * ROWS;

/// The first half of solving `A x = b` for `A` of `n` by `n`, in place: `A` becomes `U`, where `A = UᵀU`, and `b` becomes
/// `U⁻ᵀ b`, which leaves [`substitute`] to do.
///
/// `system` holds the upper triangle of `A` in rows of `stride` numbers, and `b` as column `n`, which is eliminated along.
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
        let end = (panel + PANEL).min(n);
        for pivot in panel..end {
            let diagonal = system[pivot * stride + pivot];
            // What is left of the diagonal is rounding errors, or there is none left. Also false for NaN.
            if !(diagonal > SINGULAR * x[pivot] && diagonal < f32::INFINITY) {
                return false;
            }
            let scale = 1.0 / diagonal.sqrt();
            x[pivot] = scale;
            // SAFETY: whole registers of rows that the system has.
            unsafe {
                let rows = system.as_mut_ptr();
                let first = pivot / V::LANES * V::LANES;
                let upper = rows.add(pivot * stride);
                for column in (first..=n).step_by(V::LANES) {
                    V::load(upper.add(column)).mul(V::splat(scale)).store(upper.add(column));
                }
                for row in pivot + 1..end {
                    let lower = rows.add(row * stride);
                    let factor = V::splat(*upper.add(row));
                    for column in (row / V::LANES * V::LANES..=n).step_by(V::LANES) {
                        let rest = V::load(lower.add(column)).sub_product(factor, V::load(upper.add(column)));
                        rest.store(lower.add(column));
                    }
                }
            }
        }
        // SAFETY: the panel's rows are read, those behind them written to.
        unsafe {
            let rows = system.as_mut_ptr();
            let z = rows.add(panel * stride);
            if end < n {
                add_products::<V, Subtracted>(Sum::Kept, z, end - panel, stride, (end, n + 1), rows);
            }
        }
    }
    true
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
    use crate::vector::Portable;
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
