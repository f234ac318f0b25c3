//! The implicit term of SVD++.
//!
//! Even without the rating values, the *set* `N(u)` of movies that a customer rated says something about the customer's factors.
//! It gives their prior mean, `Σ_{j ∈ N(u)} y_j / √|N(u)|`, with a vector `y_j` for each movie (Koren 2008, "Factorization meets
//! the neighborhood", equation 15). Movies can have such a prior mean, too, from the customers who rated them.
//!
//! With `W_uj = 1/√|N(u)|` where `u` rated `j` and 0 elsewhere, the prior means of all rows are `W Y`. Given the factors `X`, the
//! vectors `Y` are fitted by ridge regression.

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};
use rayon::prelude::*;

use crate::error::Error;
use crate::linear::sparse_product::multiply;
use crate::memory::{try_vec, zeros};
use crate::ratings::sparse::Sparse;
use crate::rows::RowChunks;

/// The regression of a column is solved when the length of its residual is at most this share of its right-hand side's.
const TOLERANCE: f64 = 0.03;
/// Most steps of conjugate gradients. If they are not enough, the next sweep goes on from where they ended.
const MAX_STEPS: usize = 20;

/// The vectors `y_j` of one side, which give the rows of the other side their prior means.
pub(crate) struct Link {
    /// `Y`, rows of this side x unknowns of a row of the other side.
    pub vectors: Array2<f32>,
}

impl Link {
    /// Vectors of zeros.
    pub fn new(rows: usize, unknowns: usize) -> Result<Link, Error> {
        Ok(Link { vectors: zeros((rows, unknowns))? })
    }

    /// Bytes of the vectors of so many rows.
    pub fn memory(rows: usize, unknowns: usize) -> usize {
        rows * unknowns * size_of::<f32>()
    }

    /// Bytes that [`Link::fit`] needs besides, for `vectors` vectors and factors of `rows` rows.
    pub fn fit_memory(rows: usize, vectors: usize, unknowns: usize) -> usize {
        (4 * vectors + rows) * unknowns * size_of::<f32>() + vectors * size_of::<f32>()
    }

    /// Writes the prior mean of a row whose ratings have these column indices.
    pub fn prior_mean(&self, columns: &[u32], mean: &mut [f32]) {
        mean.fill(0.0);
        // A slice, because the compiler vectorises the sum over it. The array is in standard order, as `zeros` makes it.
        let vectors = self.vectors.as_slice().unwrap_or(&[]);
        for &column in columns {
            let vector = &vectors[column as usize * mean.len()..][..mean.len()];
            mean.iter_mut().zip(vector).for_each(|(sum, &entry)| *sum += entry);
        }
        let scale = w_entry(columns.len());
        mean.iter_mut().for_each(|sum| *sum *= scale);
    }

    /// Fits the vectors: solves `(WᵀDW + λ) Y = WᵀDX + E` by conjugate gradients, beginning with the present vectors. Each column
    /// of `Y` is a system of its own, and all columns make their steps together.
    ///
    /// - `sparse` has the pattern of `W`, and `transpose` is its transpose.
    /// - `factors` are `X`, one row for each row of `sparse`.
    /// - `D` is diagonal: `weight` of the row's number of ratings.
    /// - `regularization` is λ.
    /// - `noise` is `E`, of the same shape as the vectors. The Gibbs sampler needs it; it is zero if absent.
    ///
    /// The vector of a column of `W` without entries becomes `E/λ`. If λ is 0, it does not change.
    pub fn fit(
        &mut self,
        (sparse, transpose): (&Sparse, &Sparse),
        factors: ArrayView2<'_, f32>,
        weight: impl Fn(usize) -> f32 + Sync,
        regularization: f64,
        noise: Option<ArrayView2<'_, f32>>,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let (rows, unknowns) = self.vectors.dim();
        let chunks = RowChunks::of_length(unknowns);
        // An entry of DW.
        let dw_entry = |ratings: usize| weight(ratings) * w_entry(ratings);
        // WᵀD times a matrix.
        let multiply_transpose = |x: ArrayView2<'_, f32>, out: ArrayViewMut2<'_, f32>| {
            multiply(transpose, |_, row, _| dw_entry(sparse.count(row as usize)), x, out, cancelled)
        };
        let mut means = zeros((sparse.rows(), unknowns))?;
        // (WᵀDW + λ) times a matrix.
        let mut multiply_system = |vectors: ArrayView2<'_, f32>, out: &mut Array2<f32>| {
            multiply(sparse, |row, _, _| w_entry(sparse.count(row)), vectors, means.view_mut(), cancelled)?;
            multiply_transpose(means.view(), out.view_mut())?;
            add_scaled(out, vectors, &vec![regularization; unknowns], cancelled)
        };
        let mut residual = zeros((rows, unknowns))?;
        multiply_transpose(factors, residual.view_mut())?;
        if let Some(noise) = noise {
            add_scaled(&mut residual, noise, &vec![1.0; unknowns], cancelled)?;
        }
        let right_norms = column_products(residual.view(), residual.view(), cancelled)?;
        let mut product = zeros((rows, unknowns))?;
        multiply_system(self.vectors.view(), &mut product)?;
        add_scaled(&mut residual, product.view(), &vec![-1.0; unknowns], cancelled)?;
        // Jacobi's preconditioner, one over the diagonal. Diagonal entries differ most, by popularity. Where an entry is 0, there
        // is nothing to solve for.
        let mut preconditioner: Vec<f32> = try_vec(rows)?;
        chunks.for_each(chunks.split_slice_mut(&mut preconditioner, 1), cancelled, |from, scales| {
            for (row, scale) in (from..).zip(scales) {
                let entry = |&column: &u32| {
                    let ratings = sparse.count(column as usize);
                    f64::from(dw_entry(ratings) * w_entry(ratings))
                };
                let diagonal = transpose.row(row).0.iter().map(entry).sum::<f64>() + regularization;
                *scale = ratio(1.0, diagonal) as f32;
            }
            Ok(())
        })?;
        let precondition = |residual: &Array2<f32>, to: &mut Array2<f32>| {
            let rows =
                chunks.split_mut(to).zip(chunks.split(residual)).zip(chunks.split_slice(&preconditioner, 1));
            chunks.for_each(rows, cancelled, |_, ((mut to, from), scales)| {
                for ((mut to, from), &scale) in to.rows_mut().into_iter().zip(from.rows()).zip(scales) {
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to = scale * from);
                }
                Ok(())
            })
        };
        let mut direction = zeros((rows, unknowns))?;
        precondition(&residual, &mut direction)?;
        // residualᵀ · preconditioned residual, of each column.
        let mut norms = column_products(residual.view(), direction.view(), cancelled)?;
        let mut preconditioned = zeros((rows, unknowns))?;
        for _ in 0..MAX_STEPS {
            let residual_norms = column_products(residual.view(), residual.view(), cancelled)?;
            let mut columns = residual_norms.iter().zip(&right_norms);
            if columns.all(|(residual, right)| *residual <= TOLERANCE * TOLERANCE * right) {
                break;
            }
            multiply_system(direction.view(), &mut product)?;
            let curvatures = column_products(direction.view(), product.view(), cancelled)?;
            let alphas = norms.iter().zip(&curvatures).map(|(&norm, &curvature)| ratio(norm, curvature));
            let alphas = alphas.collect::<Vec<_>>();
            add_scaled(&mut self.vectors, direction.view(), &alphas, cancelled)?;
            let minus_alphas = alphas.iter().map(|alpha| -alpha).collect::<Vec<_>>();
            add_scaled(&mut residual, product.view(), &minus_alphas, cancelled)?;
            precondition(&residual, &mut preconditioned)?;
            let new_norms = column_products(residual.view(), preconditioned.view(), cancelled)?;
            let betas = new_norms.iter().zip(&norms).map(|(&new, &old)| ratio(new, old)).collect::<Vec<_>>();
            norms = new_norms;
            add_scaled(&mut preconditioned, direction.view(), &betas, cancelled)?;
            std::mem::swap(&mut direction, &mut preconditioned);
        }
        Ok(())
    }
}

/// An entry of `W` in a row of `n` ratings: `1/√n`.
fn w_entry(ratings: usize) -> f32 {
    1.0 / (ratings as f32).sqrt().max(1.0)
}

/// `a / b`, or 0 where `b` is 0.
fn ratio(a: f64, b: f64) -> f64 {
    if b > f64::MIN_POSITIVE { a / b } else { 0.0 }
}

/// `to += from · scales`, with one scale for each column.
fn add_scaled(
    to: &mut Array2<f32>,
    from: ArrayView2<'_, f32>,
    scales: &[f64],
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    let chunks = RowChunks::of_length(scales.len());
    chunks.for_each(chunks.split_mut(to).zip(chunks.split(&from)), cancelled, |_, (mut to, from)| {
        for (mut to, from) in to.rows_mut().into_iter().zip(from.rows()) {
            let entries = to.iter_mut().zip(from).zip(scales);
            entries.for_each(|((to, &from), &scale)| *to += scale as f32 * from);
        }
        Ok(())
    })
}

/// The scalar product of each column of `a` with the same column of `b`, summed up in a fixed order.
fn column_products(
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    cancelled: &AtomicBool,
) -> Result<Vec<f64>, Error> {
    RowChunks::of_length(a.ncols()).sum_columns(a.dim(), cancelled, |sums, rows| {
        let (a, b) = (a.slice(s![rows.clone(), ..]), b.slice(s![rows, ..]));
        for (a, b) in a.rows().into_iter().zip(b.rows()) {
            let entries = sums.iter_mut().zip(a).zip(b);
            entries.for_each(|((sum, &a), &b)| *sum += f64::from(a) * f64::from(b));
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
        fn fits_what_the_closed_form_gives(
            ratings in prop::collection::btree_set((0u32..30, 0u32..12), 1..200),
            factors in prop::collection::vec(-1.0f32..1.0, 30 * 3),
            noise in prop::collection::vec(-1.0f32..1.0, 12 * 3),
            prior in prop_oneof![Just(None), Just(Some(0.0f32)), Just(Some(5.0f32))],
        ) {
            let weight = |ratings: usize| prior.map_or(1.0, |prior| 0.1 * (ratings as f32 + prior));
            let go = AtomicBool::new(false);
            let mut list = Ratings::default();
            ratings.iter().for_each(|&(c, m)| list.push(c, m, 3));
            let matrix = RatingMatrix::new(30, 12, &list, &go).unwrap();
            let factors = Array2::from_shape_vec((30, 3), factors).unwrap();
            let noise = Array2::from_shape_vec((12, 3), noise).unwrap();
            let mut link = Link::new(12, 3).unwrap();
            let sides = (&matrix.by_customer, &matrix.by_movie);
            link.fit(sides, factors.view(), weight, 0.5, Some(noise.view()), &go).unwrap();
            let mut w = Array2::<f64>::zeros((30, 12));
            for (c, m, _) in list.iter() {
                w[(c as usize, m as usize)] = 1.0 / (matrix.by_customer.count(c as usize) as f64).sqrt();
            }
            let mut weighted = w.clone();
            for (customer, mut row) in weighted.rows_mut().into_iter().enumerate() {
                row *= f64::from(weight(matrix.by_customer.count(customer)));
            }
            let system = weighted.t().dot(&w) + Array2::<f64>::eye(12) * 0.5;
            let right = weighted.t().dot(&factors.mapv(f64::from)) + noise.mapv(f64::from);
            let vectors = link.vectors.mapv(f64::from);
            let residual = &right - &system.dot(&vectors);
            let length = |matrix: &Array2<f64>, column| matrix.column(column).dot(&matrix.column(column)).sqrt();
            for column in 0..3 {
                let (residual, right) = (length(&residual, column), length(&right, column));
                prop_assert!(residual <= 1.01 * TOLERANCE * right + 1e-5, "{} of {}", residual, right);
            }
            let exact = solved(&system, &right);
            let off = &vectors - &exact;
            prop_assert!(off.iter().all(|off| off.abs() < 0.1 * (1.0 + exact.iter().fold(0.0f64, |most, entry| most.max(entry.abs())))), "{off} of {exact}");
            let mut mean = [9.0; 3];
            let row = ratings.iter().next().unwrap().0 as usize;
            link.prior_mean(matrix.by_customer.row(row).0, &mut mean);
            let vectors = link.vectors.mapv(f64::from);
            let product = w.row(row).dot(&vectors);
            prop_assert!(product.iter().zip(mean).all(|(want, got)| (want - f64::from(got)).abs() < 1e-5));
        }
    }
    #[test]
    fn without_regularization_an_unrated_row_has_a_zero_vector() {
        let go = AtomicBool::new(false);
        let mut list = Ratings::default();
        (0..20u32).for_each(|customer| (0..4).for_each(|n| list.push(customer, (customer + n * n) % 7, 3)));
        // Movies from 7 on have no ratings.
        let matrix = RatingMatrix::new(20, 9, &list, &go).unwrap();
        let factors =
            Array2::from_shape_fn((20, 2), |(row, column)| ((row * 5 + column * 3) % 7) as f32 - 3.0);
        let mut link = Link::new(9, 2).unwrap();
        let sides = (&matrix.by_customer, &matrix.by_movie);
        link.fit(sides, factors.view(), |_| 1.0, 0.0, None, &go).unwrap();
        assert!(link.vectors.iter().all(|entry| entry.is_finite()));
        assert!(link.vectors.slice(s![7.., ..]).iter().all(|&entry| entry == 0.0));
        assert!(link.vectors.slice(s![..7, ..]).iter().all(|&entry| entry != 0.0));
    }
}
