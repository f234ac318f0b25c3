//! Implicit feedback for `als`: who rated what is factorised together with the ratings.
//!
//! The matrix `M` of who rated what has a 1 where there is a rating and a 0 elsewhere. It is modelled by `M_ij ≈ x_i · c_j`, where
//! `x_i` are the factors that also explain the ratings, and `c_j` are vectors of its own (Cortes 2018, "Cold-start
//! recommendations in collective matrix factorization"; `add_implicit_features` of his library cmfrec). The objective gets the
//! additional term `w Σ_ij (M_ij - x_i · c_j)² + λ Σ_j |c_j|²`.

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, ArrayView2};

use crate::error::Error;
use crate::least_squares::packed::PackedSide;
use crate::linear::dense_product::add_product;
use crate::linear::gram::{add_relative_ridge, gram, gram_memory, strided_upper};
use crate::linear::positive_definite;
use crate::linear::positive_definite::invert;
use crate::linear::sparse_product::multiply;
use crate::memory::{try_vec, zeros};
use crate::ratings::sparse::Sparse;
use crate::rows::RowChunks;

/// The vectors `c_j` of one side, whose rows are `j`. They are a term of the systems of the other side, whose rows are `i`.
pub(crate) struct CoFactor {
    /// `w`.
    weight: f32,
    /// `λ`.
    regularization: f64,
    /// `c`, rows x factors.
    pub vectors: Array2<f32>,
    /// `w Σ_j c_j c_jᵀ`, which is added to the matrix of every row's system. The upper triangle, in rows of
    /// [`PackedSide::stride`] values.
    pub precision: Vec<f32>,
}

impl CoFactor {
    /// Vectors of zeros.
    pub fn new(rows: usize, factors: usize, weight: f64, regularization: f64) -> Result<CoFactor, Error> {
        let stride = PackedSide::stride(factors);
        Ok(CoFactor {
            weight: weight as f32,
            regularization,
            vectors: zeros((rows, factors))?,
            precision: try_vec(stride * stride)?,
        })
    }

    /// Bytes of the vectors of so many rows, with their precision.
    pub fn memory(rows: usize, factors: usize) -> usize {
        (rows * factors + PackedSide::stride(factors).pow(2)) * size_of::<f32>()
    }

    /// Bytes that [`CoFactor::fit`] needs besides, for vectors of `rows` rows and `others` rows of the other side.
    pub fn fit_memory(rows: usize, others: usize, factors: usize) -> usize {
        let solution = factors * factors * size_of::<f32>();
        let product = PackedSide::stride(factors).pow(2) * size_of::<f32>();
        let grams = gram_memory(rows, factors).max(gram_memory(others, factors));
        grams + positive_definite::memory(factors) + solution.max(product)
    }

    /// Fits all vectors to the factors `X` of the other side: `c_j = (w XᵀX + λ)⁻¹ w Σ x_i`, where the sum is over the `i` that
    /// have a rating of `j`. Row `j` of `sparse` lists them.
    pub fn fit(
        &mut self,
        sparse: &Sparse,
        others: ArrayView2<'_, f32>,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let factors = self.vectors.ncols();
        let mut inverse = gram(others, cancelled)?;
        inverse.iter_mut().for_each(|entry| *entry *= f64::from(self.weight));
        inverse.diag_mut().iter_mut().for_each(|diagonal| *diagonal += self.regularization);
        // With λ = 0, the matrix may be singular. The vectors are then zeros and change nothing.
        if !invert(&mut inverse, cancelled)? {
            inverse.fill(0.0);
        }
        let mut solution: Array2<f32> = zeros(inverse.dim())?;
        solution.zip_mut_with(&inverse, |to, &entry| *to = entry as f32 * self.weight);
        drop(inverse);
        multiply(sparse, |_, _, _| 1.0, others, self.vectors.view_mut(), cancelled)?;
        let chunks = RowChunks::of_products((factors, factors));
        chunks.for_each(chunks.split_mut(&mut self.vectors), cancelled, |_, mut rows| {
            let mut product = zeros(rows.dim())?;
            add_product(1.0, rows.view(), solution.view(), product.view_mut());
            rows.assign(&product);
            Ok(())
        })?;
        drop(solution);
        let mut products = gram(self.vectors.view(), cancelled)?;
        add_relative_ridge(&mut products);
        self.precision = strided_upper(&products, PackedSide::stride(factors), f64::from(self.weight))?;
        Ok(())
    }

    /// Writes the linear term of row `i`'s system: `w Σ c_j` over its ratings. `columns` are the `j`.
    pub fn linear_term(&self, columns: &[u32], linear: &mut [f32]) {
        linear.fill(0.0);
        // A slice, because the compiler vectorises the sum over it. The array is in standard order, as `zeros` makes it.
        let vectors = self.vectors.as_slice().unwrap_or(&[]);
        for &column in columns {
            let vector = &vectors[column as usize * linear.len()..][..linear.len()];
            linear.iter_mut().zip(vector).for_each(|(sum, &entry)| *sum += entry);
        }
        linear.iter_mut().for_each(|sum| *sum *= self.weight);
    }
}
