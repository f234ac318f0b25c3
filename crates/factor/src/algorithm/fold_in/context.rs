//! What fold-in needs of the whole model, whichever customer is folded in.

use std::ops::Range;

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
    /// Of a blend: the factors of each part in a movie's vector, and what that part needs.
    Parts(Vec<(Range<usize>, FoldInContext)>),
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

    /// Whether every movie's factors are to be given to [`FoldInContext::add_factors`].
    pub fn needs_factors(&self) -> bool {
        match self {
            FoldInContext::SquaredNorms(_) => true,
            FoldInContext::Nothing | FoldInContext::Gram(_) | FoldInContext::Prior(..) => false,
            FoldInContext::Parts(parts) => parts.iter().any(|(_, part)| part.needs_factors()),
        }
    }

    /// Whether every movie's links are to be given to [`FoldInContext::add_links`].
    pub fn needs_links(&self) -> bool {
        match self {
            FoldInContext::Gram(_) => true,
            FoldInContext::Nothing | FoldInContext::SquaredNorms(_) | FoldInContext::Prior(..) => false,
            FoldInContext::Parts(parts) => parts.iter().any(|(_, part)| part.needs_links()),
        }
    }

    /// Adds a movie's factors. Entries beyond the length that was given at the beginning are ignored.
    pub fn add_factors(&mut self, factors: &[f32]) {
        match self {
            FoldInContext::Nothing | FoldInContext::Gram(_) | FoldInContext::Prior(..) => {}
            FoldInContext::SquaredNorms(sums) => {
                let entries = sums.iter_mut().zip(factors);
                entries.for_each(|(sum, &entry)| *sum += f64::from(entry) * f64::from(entry));
            }
            FoldInContext::Parts(parts) => {
                let parts = parts.iter_mut();
                parts.for_each(|(range, part)| {
                    part.add_factors(factors.get(range.clone()).unwrap_or_default());
                });
            }
        }
    }

    /// Adds a movie's links. Entries beyond the length that was given at the beginning are ignored.
    pub fn add_links(&mut self, links: &[f32]) {
        match self {
            FoldInContext::Nothing | FoldInContext::SquaredNorms(_) | FoldInContext::Prior(..) => {}
            FoldInContext::Gram(gram) => {
                let factors = gram.len().isqrt();
                for (index, (&entry, row)) in links.iter().zip(gram.chunks_exact_mut(factors)).enumerate() {
                    let others = row[index..].iter_mut().zip(&links[index..]);
                    others.for_each(|(sum, &other)| *sum += f64::from(entry) * f64::from(other));
                }
            }
            FoldInContext::Parts(parts) => {
                let parts = parts.iter_mut();
                parts.for_each(|(range, part)| part.add_links(links.get(range.clone()).unwrap_or_default()));
            }
        }
    }
}
