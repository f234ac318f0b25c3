//! What fold-in needs of the whole model, whichever customer is folded in.

use crate::error::Error;
use crate::memory::{try_vec, try_with_capacity};
use crate::model::customer_prior::CustomerPrior;
use crate::model::sample_layout::SampleLayout;

/// What fold-in needs of the whole model, computed once for all customers.
#[derive(Clone, Debug, PartialEq)]
pub enum FoldInContext {
    /// Nothing.
    Nothing,
    /// `Σ q²` for each factor, over the factors `q` of all movies (length: factors).
    SquaredNorms(Vec<f64>),
    /// The upper triangle of the Gram matrix `Σ y yᵀ`, over the links `y` of all movies (factors × factors, row by row).
    Gram(Vec<f64>),
    /// The prior of all customers in each sample, [`crate::Model::prior`], and how the samples are laid out.
    Prior(SampleLayout, Vec<f32>),
}

impl FoldInContext {
    /// Zeros, to which the squares of every movie's factors are to be added.
    pub(crate) fn squared_norms(factors: usize) -> Result<FoldInContext, Error> {
        Ok(FoldInContext::SquaredNorms(try_vec(factors)?))
    }

    /// Zeros, to which the products of every movie's links are to be added.
    pub(crate) fn gram(factors: usize) -> Result<FoldInContext, Error> {
        Ok(FoldInContext::Gram(try_vec(factors.saturating_mul(factors))?))
    }

    /// A copy of the prior. `None` if there is none, or if it has the wrong length for this layout.
    pub(crate) fn prior(layout: SampleLayout, prior: Option<&[f32]>) -> Result<Option<FoldInContext>, Error> {
        let length = CustomerPrior::of(layout.factors()).length(layout.count());
        let Some(prior) = prior.filter(|prior| layout.count() > 1 && prior.len() == length) else {
            return Ok(None);
        };
        let mut copy = try_with_capacity(length)?;
        copy.extend_from_slice(prior);
        Ok(Some(FoldInContext::Prior(layout, copy)))
    }

    /// The Gram matrix, if it is one.
    pub(crate) fn gram_matrix(&self) -> Option<&[f64]> {
        match self {
            FoldInContext::Gram(gram) => Some(gram),
            _ => None,
        }
    }

    /// The most memory that one takes, in bytes, for a model of this layout.
    pub fn memory(layout: SampleLayout) -> usize {
        match layout.count() {
            1 => layout.length().saturating_mul(layout.length()).saturating_mul(size_of::<f64>()),
            count => CustomerPrior::of(layout.factors()).length(count).saturating_mul(size_of::<f32>()),
        }
    }

    /// Adds a movie's vector: its factors to [`FoldInContext::SquaredNorms`], its links to [`FoldInContext::Gram`]. The other
    /// variants ignore it, and so are entries beyond the length that was given at the beginning.
    pub fn add(&mut self, vector: &[f32]) {
        match self {
            FoldInContext::Nothing | FoldInContext::Prior(..) => {}
            FoldInContext::SquaredNorms(sums) => {
                let entries = sums.iter_mut().zip(vector);
                entries.for_each(|(sum, &entry)| *sum += f64::from(entry) * f64::from(entry));
            }
            FoldInContext::Gram(gram) => {
                let factors = gram.len().isqrt();
                for (index, (&entry, row)) in vector.iter().zip(gram.chunks_exact_mut(factors)).enumerate() {
                    let others = row[index..].iter_mut().zip(&vector[index..]);
                    others.for_each(|(sum, &other)| *sum += f64::from(entry) * f64::from(other));
                }
            }
        }
    }
}
