//! What the mere choice of movies tells: the matrix of who rated what, 1 where there is a rating and 0 elsewhere, is
//! factorised along with the ratings' (Cortes 2018, "Cold-start recommendations in collective matrix factorization", as
//! `add_implicit_features` of his cmfrec).

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, ArrayView2};

use crate::error::Error;
use crate::least_squares::packed::PackedSide;
use crate::linear::dense::{gram, gram_memory, strengthen, strided};
use crate::linear::dense_product::add_product;
use crate::linear::positive_definite;
use crate::linear::positive_definite::invert;
use crate::linear::sparse_product::multiply;
use crate::memory::{try_vec, zeros};
use crate::ratings::sparse::Sparse;
use crate::rows::Turns;

/// A vector `c_j` for each row `j` of one side, so that a row `i` of the other side, of factors `x_i`, has `x_i · c_j ≈ 1` where
/// the two meet in a rating and 0 where they do not.
pub(crate) struct Implicit {
    weight: f32,
    regularization: f64,
    pub vectors: Array2<f32>,
    /// The sum of `weight · c cᵀ`, which every system of the other side has in common.
    pub precision: Vec<f32>,
}

impl Implicit {
    /// Of zeros, for so many rows, whose errors count `weight` times as much as those of ratings.
    pub fn new(rows: usize, factors: usize, weight: f64, regularization: f64) -> Result<Implicit, Error> {
        let stride = PackedSide::stride(factors);
        Ok(Implicit {
            weight: weight as f32,
            regularization,
            vectors: zeros((rows, factors))?,
            precision: try_vec(stride * stride)?,
        })
    }

    /// Bytes that one takes.
    pub fn memory(rows: usize, factors: usize) -> usize {
        (rows * factors + PackedSide::stride(factors).pow(2)) * size_of::<f32>()
    }

    /// Bytes that learning one of as many rows takes beside it, from `others` factors.
    pub fn learning(rows: usize, others: usize, factors: usize) -> usize {
        let solution = factors * factors * size_of::<f32>();
        let product = PackedSide::stride(factors).pow(2) * size_of::<f32>();
        let grams = gram_memory(rows, factors).max(gram_memory(others, factors));
        grams + positive_definite::memory(factors) + solution.max(product)
    }

    /// Solves for all vectors, given the other side's factors: `(w XᵀX + λ) c_j = w Σ x_i` over those that `j` meets. `sparse`
    /// has a row for each vector.
    pub fn learn(
        &mut self,
        sparse: &Sparse,
        others: ArrayView2<'_, f32>,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let factors = self.vectors.ncols();
        let mut inverse = gram(others, cancelled)?;
        inverse.iter_mut().for_each(|entry| *entry *= f64::from(self.weight));
        inverse.diag_mut().iter_mut().for_each(|diagonal| *diagonal += self.regularization);
        // Without regularisation there may be none: then nothing is told.
        if !invert(&mut inverse, cancelled)? {
            inverse.fill(0.0);
        }
        let mut solution: Array2<f32> = zeros(inverse.dim())?;
        solution.zip_mut_with(&inverse, |to, &entry| *to = entry as f32 * self.weight);
        drop(inverse);
        multiply(sparse, |_, _, _| 1.0, others, self.vectors.view_mut(), cancelled)?;
        let turns = Turns::of_products((factors, factors));
        turns.visit(turns.of_mut(&mut self.vectors), cancelled, |_, mut rows| {
            let mut product = zeros(rows.dim())?;
            add_product(1.0, rows.view(), solution.view(), product.view_mut());
            rows.assign(&product);
            Ok(())
        })?;
        drop(solution);
        let mut products = gram(self.vectors.view(), cancelled)?;
        strengthen(&mut products);
        self.precision = strided(&products, PackedSide::stride(factors), f64::from(self.weight))?;
        Ok(())
    }

    /// Writes by how much a row's factors are pulled to what it meets: the sum of `weight · c_j`.
    pub fn pull(&self, numbers: &[u32], pull: &mut [f32]) {
        pull.fill(0.0);
        // A slice, because the compiler vectorises the sum over it. The array is in standard order, as `zeros` makes it.
        let vectors = self.vectors.as_slice().unwrap_or(&[]);
        for &number in numbers {
            let vector = &vectors[number as usize * pull.len()..][..pull.len()];
            pull.iter_mut().zip(vector).for_each(|(pull, &entry)| *pull += entry);
        }
        pull.iter_mut().for_each(|pull| *pull *= self.weight);
    }
}
