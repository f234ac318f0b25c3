//! What a row's ratings say of its factors before their values are looked at: which they are.
//!
//! The factors of a row that meets the set N of the other side are expected at `Σ y_j / √|N|` over that set, a vector `y` for
//! each of the other side's rows: the implicit term of SVD++ (Koren 2008, "Factorization meets the neighborhood", equation
//! 15), taken as the mean of a prior. Given the factors, the vectors are a ridge regression.

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};
use rayon::prelude::*;

use crate::error::Error;
use crate::linear::sparse_product::multiply;
use crate::memory::{try_vec, zeros};
use crate::ratings::sparse::Sparse;
use crate::rows::Turns;

/// The length of a column's residual, as a share of its right-hand side's, at which the regression is solved; and after how
/// many steps it has to do, solved or not: the next sweep goes on from there.
const SOLVED: f64 = 0.03;
const STEPS: usize = 20;
/// A vector for each row of the other side.
pub(crate) struct Link {
    pub vectors: Array2<f32>,
}

impl Link {
    /// Of zeros, for so many rows and unknowns.
    pub fn new(rows: usize, unknowns: usize) -> Result<Link, Error> {
        Ok(Link { vectors: zeros((rows, unknowns))? })
    }

    /// Bytes that one takes.
    pub fn memory(rows: usize, unknowns: usize) -> usize {
        rows * unknowns * size_of::<f32>()
    }

    /// Bytes that learning one of `others` takes beside it, from a side of `rows`.
    pub fn learning(rows: usize, others: usize, unknowns: usize) -> usize {
        (4 * others + rows) * unknowns * size_of::<f32>() + others * size_of::<f32>()
    }

    /// Writes where a row's factors are expected.
    pub fn expect(&self, numbers: &[u32], expected: &mut [f32]) {
        expected.fill(0.0);
        // They are in standard order, as `zeros` makes them.
        let vectors = self.vectors.as_slice().unwrap_or(&[]);
        for &number in numbers {
            let vector = &vectors[number as usize * expected.len()..][..expected.len()];
            expected.iter_mut().zip(vector).for_each(|(sum, &entry)| *sum += entry);
        }
        let scale = share(numbers.len());
        expected.iter_mut().for_each(|sum| *sum *= scale);
    }

    /// Solves `(WᵀDW + λ) Y = WᵀDX + E` for the vectors Y by conjugate gradients, column by column, from what they were. W is
    /// what [`Link::expect`] multiplies by; X, one row for each of `sparse`, are the factors to be explained; `transpose` is
    /// `sparse` by the other side; D is diagonal, `weight` of a row's number of ratings; E is an extra that is added, for the
    /// sampler's sake.
    ///
    /// A vector that no row meets is zero, or what λ makes of E.
    pub fn learn(
        &mut self,
        (sparse, transpose): (&Sparse, &Sparse),
        factors: ArrayView2<'_, f32>,
        weight: impl Fn(usize) -> f32 + Sync,
        regularization: f64,
        extra: Option<ArrayView2<'_, f32>>,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let (others, unknowns) = self.vectors.dim();
        let turns = Turns::of_length(unknowns);
        let weighted = |ratings: usize| weight(ratings) * share(ratings);
        let back = |tall: ArrayView2<'_, f32>, out: ArrayViewMut2<'_, f32>| {
            multiply(transpose, |_, row, _| weighted(sparse.count(row as usize)), tall, out, cancelled)
        };
        let mut tall = zeros((sparse.rows(), unknowns))?;
        let mut apply = |vectors: ArrayView2<'_, f32>, out: &mut Array2<f32>| {
            multiply(sparse, |row, _, _| share(sparse.count(row)), vectors, tall.view_mut(), cancelled)?;
            back(tall.view(), out.view_mut())?;
            combine(out, vectors, &vec![regularization; unknowns], cancelled)
        };
        let mut residual = zeros((others, unknowns))?;
        back(factors, residual.view_mut())?;
        if let Some(extra) = extra {
            combine(&mut residual, extra, &vec![1.0; unknowns], cancelled)?;
        }
        let right_norms = products(residual.view(), residual.view(), cancelled)?;
        let mut product = zeros((others, unknowns))?;
        apply(self.vectors.view(), &mut product)?;
        combine(&mut residual, product.view(), &vec![-1.0; unknowns], cancelled)?;
        // Jacobi's preconditioner: one over the diagonal, which differs most by popularity. Where it is 0, there is nothing to
        // solve for.
        let mut preconditioner: Vec<f32> = try_vec(others)?;
        turns.visit(turns.of_slice_mut(&mut preconditioner, 1), cancelled, |from, scales| {
            for (row, scale) in (from..).zip(scales) {
                let entry = |&other: &u32| {
                    let ratings = sparse.count(other as usize);
                    f64::from(weighted(ratings) * share(ratings))
                };
                let diagonal = transpose.row(row).0.iter().map(entry).sum::<f64>() + regularization;
                *scale = ratio(1.0, diagonal) as f32;
            }
            Ok(())
        })?;
        let precondition = |residual: &Array2<f32>, to: &mut Array2<f32>| {
            let rows = turns.of_mut(to).zip(turns.of(residual)).zip(turns.of_slice(&preconditioner, 1));
            turns.visit(rows, cancelled, |_, ((mut to, from), scales)| {
                for ((mut to, from), &scale) in to.rows_mut().into_iter().zip(from.rows()).zip(scales) {
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to = scale * from);
                }
                Ok(())
            })
        };
        let mut direction = zeros((others, unknowns))?;
        precondition(&residual, &mut direction)?;
        let mut norms = products(residual.view(), direction.view(), cancelled)?;
        let mut preconditioned = zeros((others, unknowns))?;
        for _ in 0..STEPS {
            let residual_norms = products(residual.view(), residual.view(), cancelled)?;
            let mut solved = residual_norms.iter().zip(&right_norms);
            if solved.all(|(norm, right)| *norm <= SOLVED * SOLVED * right) {
                break;
            }
            apply(direction.view(), &mut product)?;
            let curvatures = products(direction.view(), product.view(), cancelled)?;
            let alphas = norms.iter().zip(&curvatures).map(|(&norm, &curvature)| ratio(norm, curvature));
            let alphas = alphas.collect::<Vec<_>>();
            combine(&mut self.vectors, direction.view(), &alphas, cancelled)?;
            let backwards = alphas.iter().map(|alpha| -alpha).collect::<Vec<_>>();
            combine(&mut residual, product.view(), &backwards, cancelled)?;
            precondition(&residual, &mut preconditioned)?;
            let new_norms = products(residual.view(), preconditioned.view(), cancelled)?;
            let betas = new_norms.iter().zip(&norms).map(|(&new, &old)| ratio(new, old)).collect::<Vec<_>>();
            norms = new_norms;
            combine(&mut preconditioned, direction.view(), &betas, cancelled)?;
            std::mem::swap(&mut direction, &mut preconditioned);
        }
        Ok(())
    }
}

/// Each rating's share in a row of so many: `1/√n`.
fn share(ratings: usize) -> f32 {
    1.0 / (ratings as f32).sqrt().max(1.0)
}

/// A quotient that is 0 where there is nothing left to divide by.
fn ratio(of: f64, by: f64) -> f64 {
    if by > f64::MIN_POSITIVE { of / by } else { 0.0 }
}

/// `to += from · scales`, a scale a column.
fn combine(
    to: &mut Array2<f32>,
    from: ArrayView2<'_, f32>,
    scales: &[f64],
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    let turns = Turns::of_length(scales.len());
    turns.visit(turns.of_mut(to).zip(turns.of(&from)), cancelled, |_, (mut to, from)| {
        for (mut to, from) in to.rows_mut().into_iter().zip(from.rows()) {
            let entries = to.iter_mut().zip(from).zip(scales);
            entries.for_each(|((to, &from), &scale)| *to += scale as f32 * from);
        }
        Ok(())
    })
}

/// The scalar product of each column with the other matrix's, summed up in an order that no number of threads changes.
fn products(
    one: ArrayView2<'_, f32>,
    other: ArrayView2<'_, f32>,
    cancelled: &AtomicBool,
) -> Result<Vec<f64>, Error> {
    Turns::of_length(one.ncols()).sum_columns(one.dim(), cancelled, |sums, rows| {
        let (one, other) = (one.slice(s![rows.clone(), ..]), other.slice(s![rows, ..]));
        for (one, other) in one.rows().into_iter().zip(other.rows()) {
            let entries = sums.iter_mut().zip(one).zip(other);
            entries.for_each(|((sum, &one), &other)| *sum += f64::from(one) * f64::from(other));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratings::Ratings;
    use crate::ratings::matrix::RatingMatrix;
    use proptest::prelude::*;

    /// The exact solution.
    fn solved(system: &Array2<f64>, right: &Array2<f64>) -> Array2<f64> {
        use faer::linalg::solvers::Solve;
        let faer =
            |matrix: &Array2<f64>| faer::Mat::from_fn(matrix.nrows(), matrix.ncols(), |r, c| matrix[(r, c)]);
        let solution = faer(system).llt(faer::Side::Lower).unwrap().solve(faer(right));
        Array2::from_shape_fn(right.dim(), |(row, column)| solution[(row, column)])
    }

    proptest! {
        #[test]
        fn learns_what_the_closed_form_gives(
            ratings in prop::collection::btree_set((0u32..30, 0u32..12), 1..200),
            factors in prop::collection::vec(-1.0f32..1.0, 30 * 3),
            extra in prop::collection::vec(-1.0f32..1.0, 12 * 3),
            prior in prop_oneof![Just(None), Just(Some(0.0f32)), Just(Some(5.0f32))],
        ) {
            let weight = |ratings: usize| prior.map_or(1.0, |prior| 0.1 * (ratings as f32 + prior));
            let go = AtomicBool::new(false);
            let mut list = Ratings::default();
            ratings.iter().for_each(|&(c, m)| list.push(c, m, 3));
            let matrix = RatingMatrix::new(30, 12, &list, &go).unwrap();
            let factors = Array2::from_shape_vec((30, 3), factors).unwrap();
            let extra = Array2::from_shape_vec((12, 3), extra).unwrap();
            let mut link = Link::new(12, 3).unwrap();
            let sides = (&matrix.by_customer, &matrix.by_movie);
            link.learn(sides, factors.view(), weight, 0.5, Some(extra.view()), &go).unwrap();
            let mut w = Array2::<f64>::zeros((30, 12));
            for (c, m, _) in list.iter() {
                w[(c as usize, m as usize)] = 1.0 / (matrix.by_customer.count(c as usize) as f64).sqrt();
            }
            let mut weighted = w.clone();
            for (customer, mut row) in weighted.rows_mut().into_iter().enumerate() {
                row *= f64::from(weight(matrix.by_customer.count(customer)));
            }
            let system = weighted.t().dot(&w) + Array2::<f64>::eye(12) * 0.5;
            let right = weighted.t().dot(&factors.mapv(f64::from)) + extra.mapv(f64::from);
            let vectors = link.vectors.mapv(f64::from);
            let left = &right - &system.dot(&vectors);
            let length = |matrix: &Array2<f64>, column| matrix.column(column).dot(&matrix.column(column)).sqrt();
            for column in 0..3 {
                let (left, right) = (length(&left, column), length(&right, column));
                prop_assert!(left <= 1.01 * SOLVED * right + 1e-5, "{} of {}", left, right);
            }
            let exact = solved(&system, &right);
            let off = &vectors - &exact;
            prop_assert!(off.iter().all(|off| off.abs() < 0.1 * (1.0 + exact.iter().fold(0.0f64, |most, entry| most.max(entry.abs())))), "{off} of {exact}");
            let mut expected = [9.0; 3];
            let row = ratings.iter().next().unwrap().0 as usize;
            link.expect(matrix.by_customer.row(row).0, &mut expected);
            let vectors = link.vectors.mapv(f64::from);
            let product = w.row(row).dot(&vectors);
            prop_assert!(product.iter().zip(expected).all(|(want, got)| (want - f64::from(got)).abs() < 1e-5));
        }
    }
    #[test]
    fn without_regularization_what_nobody_met_has_no_vector() {
        let go = AtomicBool::new(false);
        let mut list = Ratings::default();
        (0..20u32).for_each(|customer| (0..4).for_each(|n| list.push(customer, (customer + n * n) % 7, 3)));
        // Movies from 7 on have no ratings.
        let matrix = RatingMatrix::new(20, 9, &list, &go).unwrap();
        let factors =
            Array2::from_shape_fn((20, 2), |(row, column)| ((row * 5 + column * 3) % 7) as f32 - 3.0);
        let mut link = Link::new(9, 2).unwrap();
        let sides = (&matrix.by_customer, &matrix.by_movie);
        link.learn(sides, factors.view(), |_| 1.0, 0.0, None, &go).unwrap();
        assert!(link.vectors.iter().all(|entry| entry.is_finite()));
        assert!(link.vectors.slice(s![7.., ..]).iter().all(|&entry| entry == 0.0));
        assert!(link.vectors.slice(s![..7, ..]).iter().all(|&entry| entry != 0.0));
    }
}
