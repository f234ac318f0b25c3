//! What a row's ratings say of its factors before their values are looked at: which they are.
//!
//! The factors of a row that meets the set N of the other side are expected at `Σ y_j / √|N|` over that set, a vector `y` for
//! each of the other side's rows: the implicit term of SVD++ (Koren 2008, "Factorization meets the neighborhood", equation
//! 15), taken as the mean of a prior. Given the factors, the vectors are a ridge regression.

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use crate::error::check;
use crate::memory::zeros;
use crate::sparse_product::multiply;
use crate::{Error, Sparse};

/// The length of a column's residual, as a share of its right-hand side's, at which the regression is solved; and after how
/// many steps it has to do, solved or not: the next sweep goes on from there.
const SOLVED: f64 = 0.03;
const STEPS: usize = 20;
/// Rows in a unit of work.
const ROWS_A_TURN: usize = 1024;

/// A vector for each row of the other side.
pub(crate) struct Link {
    pub vectors: Array2<f32>,
}

impl Link {
    /// Of zeros, for so many rows and unknowns.
    pub fn new(rows: usize, unknowns: usize) -> Result<Link, Error> {
        Ok(Link { vectors: zeros((rows, unknowns))? })
    }

    /// Bytes that learning one takes, of a side of `rows`.
    pub fn memory(rows: usize, others: usize, unknowns: usize) -> usize {
        (5 * others + rows) * unknowns * size_of::<f32>()
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

    /// Solves `(WᵀW + λ) Y = WᵀX + E` for the vectors Y by conjugate gradients, column by column, from what they were. W is
    /// what [`Link::expect`] multiplies by; X, one row for each of `sparse`, are the factors to be explained; `turned` is
    /// `sparse` by the other side; E is an extra that is added, for the sampler's sake.
    pub fn learn(
        &mut self,
        (sparse, turned): (&Sparse, &Sparse),
        factors: ArrayView2<'_, f32>,
        regularization: f64,
        extra: Option<ArrayView2<'_, f32>>,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let (others, unknowns) = self.vectors.dim();
        let back = |tall: ArrayView2<'_, f32>, out: ArrayViewMut2<'_, f32>| {
            multiply(turned, |_, row, _| share(sparse.count(row as usize)), tall, out, cancelled)
        };
        let mut tall = zeros((sparse.rows(), unknowns))?;
        let mut apply = |vectors: ArrayView2<'_, f32>, out: &mut Array2<f32>| {
            multiply(sparse, |row, _, _| share(sparse.count(row)), vectors, tall.view_mut(), cancelled)?;
            back(tall.view(), out.view_mut())?;
            combine(out, vectors, &vec![regularization; unknowns], cancelled)
        };
        let mut residual = zeros((others, unknowns))?;
        back(factors, residual.view_mut())?;
        let ones = vec![1.0; unknowns];
        if let Some(extra) = extra {
            combine(&mut residual, extra, &ones, cancelled)?;
        }
        let wanted = products(residual.view(), residual.view(), cancelled)?;
        let mut product = zeros((others, unknowns))?;
        apply(self.vectors.view(), &mut product)?;
        combine(&mut residual, product.view(), &vec![-1.0; unknowns], cancelled)?;
        // How much of each vector's diagonal is left to others: popular rows have most.
        let scales = (0..others).into_par_iter().map(|row| {
            check(cancelled)?;
            let met = turned.row(row).0.iter().map(|&other| 1.0 / sparse.count(other as usize) as f64);
            Ok((1.0 / (met.sum::<f64>() + regularization).max(f64::MIN_POSITIVE)) as f32)
        });
        let scales = scales.collect::<Result<Vec<_>, Error>>()?;
        let scaled = |residual: &Array2<f32>, to: &mut Array2<f32>| {
            for ((mut to, from), &scale) in to.rows_mut().into_iter().zip(residual.rows()).zip(&scales) {
                to.iter_mut().zip(from).for_each(|(to, &from)| *to = scale * from);
            }
        };
        let mut direction = zeros((others, unknowns))?;
        scaled(&residual, &mut direction);
        let mut lengths = products(residual.view(), direction.view(), cancelled)?;
        let mut turned_to = zeros((others, unknowns))?;
        for _ in 0..STEPS {
            let left = products(residual.view(), residual.view(), cancelled)?;
            if left.iter().zip(&wanted).all(|(left, wanted)| *left <= SOLVED * SOLVED * wanted) {
                break;
            }
            apply(direction.view(), &mut product)?;
            let curvatures = products(direction.view(), product.view(), cancelled)?;
            let steps = lengths.iter().zip(&curvatures).map(|(&length, &curvature)| ratio(length, curvature));
            let steps = steps.collect::<Vec<_>>();
            combine(&mut self.vectors, direction.view(), &steps, cancelled)?;
            let backwards = steps.iter().map(|step| -step).collect::<Vec<_>>();
            combine(&mut residual, product.view(), &backwards, cancelled)?;
            scaled(&residual, &mut turned_to);
            let shorter = products(residual.view(), turned_to.view(), cancelled)?;
            let turns = shorter.iter().zip(&lengths).map(|(&shorter, &length)| ratio(shorter, length));
            let turns = turns.collect::<Vec<_>>();
            lengths = shorter;
            combine(&mut turned_to, direction.view(), &turns, cancelled)?;
            std::mem::swap(&mut direction, &mut turned_to);
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
    let chunks = to.axis_chunks_iter_mut(Axis(0), ROWS_A_TURN).into_par_iter();
    chunks.zip(from.axis_chunks_iter(Axis(0), ROWS_A_TURN)).try_for_each(|(mut to, from)| {
        check(cancelled)?;
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
    let chunks = one.axis_chunks_iter(Axis(0), ROWS_A_TURN).into_par_iter();
    let sums = chunks.zip(other.axis_chunks_iter(Axis(0), ROWS_A_TURN)).map(|(one, other)| {
        check(cancelled)?;
        let mut sums = vec![0.0; one.ncols()];
        for (one, other) in one.rows().into_iter().zip(other.rows()) {
            let entries = sums.iter_mut().zip(one).zip(other);
            entries.for_each(|((sum, &one), &other)| *sum += f64::from(one) * f64::from(other));
        }
        Ok(sums)
    });
    let mut total = vec![0.0; one.ncols()];
    for sums in sums.collect::<Result<Vec<_>, Error>>()? {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dense::inverse;
    use crate::{RatingMatrix, Ratings};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn learns_what_the_closed_form_gives(
            ratings in prop::collection::btree_set((0u32..30, 0u32..12), 1..200),
            factors in prop::collection::vec(-1.0f32..1.0, 30 * 3),
            extra in prop::collection::vec(-1.0f32..1.0, 12 * 3),
        ) {
            let go = AtomicBool::new(false);
            let mut list = Ratings::default();
            ratings.iter().for_each(|&(c, m)| list.push(c, m, 3));
            let matrix = RatingMatrix::new(30, 12, &list, &go).unwrap();
            let factors = Array2::from_shape_vec((30, 3), factors).unwrap();
            let extra = Array2::from_shape_vec((12, 3), extra).unwrap();
            let mut link = Link::new(12, 3).unwrap();
            let sides = (&matrix.by_customer, &matrix.by_movie);
            link.learn(sides, factors.view(), 0.5, Some(extra.view()), &go).unwrap();
            let mut w = Array2::<f64>::zeros((30, 12));
            for (c, m, _) in list.iter() {
                w[(c as usize, m as usize)] = 1.0 / (matrix.by_customer.count(c as usize) as f64).sqrt();
            }
            let system = w.t().dot(&w) + Array2::<f64>::eye(12) * 0.5;
            let right = w.t().dot(&factors.mapv(f64::from)) + extra.mapv(f64::from);
            let vectors = link.vectors.mapv(f64::from);
            let left = &right - &system.dot(&vectors);
            let length = |matrix: &Array2<f64>, column| matrix.column(column).dot(&matrix.column(column)).sqrt();
            for column in 0..3 {
                let (left, right) = (length(&left, column), length(&right, column));
                prop_assert!(left <= 1.01 * SOLVED * right + 1e-5, "{} of {}", left, right);
            }
            let exact = inverse(&system).unwrap().dot(&right);
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
}
