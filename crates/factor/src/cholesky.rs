//! Solves one small symmetric positive definite system.

/// The share of a diagonal entry that must be left for its column to count as independent of those before it.
const SINGULAR: f32 = 1e-6;

/// Solves `A x = b` for `A` of `n` by `n`, in place.
///
/// `system` holds the lower triangles of rows of `stride` numbers each: rows `0..n` those of `A`, row `n` `bᵀ`. As a
/// further row of the factor, `b` comes out as `L⁻¹ b`, which leaves the backward substitution alone to do. `column`
/// is room for `n + 1` numbers; `x` takes the solution. Returns whether `A` was positive definite, so far as single
/// precision can tell.
#[inline(always)]
pub(crate) fn solve(system: &mut [f32], stride: usize, n: usize, column: &mut [f32], x: &mut [f32]) -> bool {
    for row in 0..n {
        x[row] = system[row * stride + row];
    }
    for pivot in 0..n {
        let diagonal = system[pivot * stride + pivot];
        // What is left of the diagonal is rounding errors, or there is none left. Also false for NaN.
        if !(diagonal > SINGULAR * x[pivot] && diagonal < f32::INFINITY) {
            return false;
        }
        let scale = 1.0 / diagonal.sqrt();
        for row in pivot..=n {
            let entry = &mut system[row * stride + pivot];
            *entry *= scale;
            column[row] = *entry;
        }
        for row in pivot + 1..=n {
            let factor = column[row];
            let end = (row + 1).min(n);
            let target = &mut system[row * stride..][pivot + 1..end];
            for (entry, &other) in target.iter_mut().zip(&column[pivot + 1..end]) {
                *entry -= factor * other;
            }
        }
    }
    x[..n].copy_from_slice(&system[n * stride..][..n]);
    for row in (0..n).rev() {
        let lower = &system[row * stride..][..=row];
        let value = x[row] / lower[row];
        x[row] = value;
        for (entry, &coefficient) in x[..row].iter_mut().zip(lower) {
            *entry -= value * coefficient;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn solves_what_was_multiplied(
            n in 1usize..20,
            entries in prop::collection::vec(-1.0f32..1.0, 400),
            wanted in prop::collection::vec(-3.0f32..3.0, 20),
        ) {
            // A = B Bᵀ + I is positive definite.
            let stride = n + 3;
            let b = |row: usize, column: usize| entries[row * 20 + column];
            let mut full = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..n {
                    full[i * n + j] = (0..n).map(|p| b(i, p) * b(j, p)).sum::<f32>() + f32::from(i == j);
                }
            }
            let mut system = vec![f32::NAN; (n + 1) * stride];
            for i in 0..n {
                system[i * stride..][..=i].copy_from_slice(&full[i * n..][..=i]);
                system[n * stride + i] = (0..n).map(|j| full[i * n + j] * wanted[j]).sum();
            }
            let (mut column, mut x) = (vec![0.0; n + 1], vec![0.0; n]);
            prop_assert!(solve(&mut system, stride, n, &mut column, &mut x));
            for i in 0..n {
                prop_assert!((x[i] - wanted[i]).abs() < 1e-2, "{:?} {:?}", &x, &wanted[..n]);
            }
        }
    }

    #[test]
    fn says_when_there_is_no_single_solution() {
        let solved = |diagonal: f32| solve(&mut [diagonal, 1.0], 1, 1, &mut [0.0; 2], &mut [0.0]);
        assert!(solved(1.0));
        let twice_the_same = &mut [3.0, 0.0, 3.0, 3.0, 1.0, 1.0];
        assert!(!solve(twice_the_same, 2, 2, &mut [0.0; 3], &mut [0.0; 2]));
        for diagonal in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(!solved(diagonal));
        }
    }
}
