//! How a stored model came about: by an algorithm, or as a blend of other models.

use std::ops::ControlFlow;

use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::algorithm::blend::Blend;
use crate::algorithm::fold_in::check_of;
use crate::algorithm::fold_in::context::FoldInContext;
use crate::algorithm::fold_in::customer_ratings::CustomerRatings;
use crate::algorithm::fold_in::folded_in::FoldedIn;
use crate::error::Error;
use crate::model::customer_prior::CustomerPrior;
use crate::model::sample_layout::{FactorRanges, SampleLayout};

/// What a model was made by.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// It was trained.
    Algorithm(Algorithm),
    /// It is a blend of models.
    Blend(Blend),
}

/// The name of blends, beside those of algorithms.
pub const BLEND: &str = "blend";

impl Origin {
    /// Reads it from the name and the parameters of a stored model. The errors are those of [`Algorithm::parse`].
    pub fn parse(name: &str, params: &Value) -> Result<Origin, Error> {
        match name {
            BLEND => Ok(Origin::Blend(Blend::parse(params)?)),
            name => Ok(Origin::Algorithm(Algorithm::parse(name, params)?)),
        }
    }

    /// The name, as [`Origin::parse`] reads it.
    pub fn name(&self) -> &'static str {
        match self {
            Origin::Algorithm(algorithm) => algorithm.name(),
            Origin::Blend(_) => BLEND,
        }
    }

    /// The parameters, as [`Origin::parse`] reads them.
    pub fn params(&self) -> Value {
        match self {
            Origin::Algorithm(algorithm) => algorithm.params(),
            Origin::Blend(blend) => blend.params(),
        }
    }

    /// How many entries a row has in a model with so many samples.
    pub(crate) fn row_length(&self, samples: usize) -> usize {
        match self {
            Origin::Algorithm(algorithm) => SampleLayout::new(samples, algorithm.factors()).length(),
            Origin::Blend(blend) => blend.length(),
        }
    }

    /// Whether its models are posterior samples side by side.
    pub(crate) fn is_bayesian(&self) -> bool {
        matches!(self, Origin::Algorithm(algorithm) if algorithm.is_bayesian())
    }

    /// How many entries [`crate::Model::prior`] has in a model with so many samples; 0 if it has none.
    pub(crate) fn prior_length(&self, samples: usize) -> usize {
        match self {
            Origin::Algorithm(algorithm) if algorithm.is_bayesian() => {
                CustomerPrior::of(algorithm.factors()).length(samples)
            }
            Origin::Algorithm(_) => 0,
            Origin::Blend(blend) => blend.prior_length(),
        }
    }

    /// The entries of a row that are factors, in a model of this layout.
    pub fn factor_ranges(&self, layout: SampleLayout) -> FactorRanges {
        match self {
            Origin::Algorithm(_) => FactorRanges::of(layout),
            Origin::Blend(blend) => blend.factor_ranges(),
        }
    }

    /// The most memory that [`Origin::fold_in_context`] takes, in bytes.
    pub fn context_memory(&self, layout: SampleLayout) -> usize {
        match self {
            Origin::Algorithm(_) => FoldInContext::memory(layout),
            Origin::Blend(blend) => blend.layouts().map(FoldInContext::memory).sum(),
        }
    }

    /// The most memory that [`Origin::fold_in`] takes, in bytes, with so many ratings. The ratings themselves are not included.
    pub fn fold_in_memory(&self, layout: SampleLayout, ratings: usize) -> usize {
        match self {
            Origin::Algorithm(_) => FoldedIn::memory(layout),
            Origin::Blend(blend) => {
                let copies = CustomerRatings::memory(ratings, blend.length(), blend.folds_in_links());
                blend.layouts().map(FoldedIn::memory).sum::<usize>().saturating_add(copies)
            }
        }
    }

    /// See [`Algorithm::check_fold_in`].
    pub fn check_fold_in(&self, has_prior: bool) -> Result<(), Error> {
        match self {
            Origin::Algorithm(algorithm) => algorithm.check_fold_in(has_prior),
            Origin::Blend(blend) => blend.check_fold_in(has_prior),
        }
    }

    /// See [`Algorithm::folds_in_links`].
    pub fn folds_in_links(&self) -> bool {
        match self {
            Origin::Algorithm(algorithm) => algorithm.folds_in_links(),
            Origin::Blend(blend) => blend.folds_in_links(),
        }
    }

    /// See [`Algorithm::fold_in_context`].
    pub fn fold_in_context(
        &self,
        layout: SampleLayout,
        prior: Option<&[f32]>,
    ) -> Result<FoldInContext, Error> {
        match self {
            Origin::Algorithm(algorithm) => algorithm.fold_in_context(layout, prior),
            Origin::Blend(blend) => blend.fold_in_context(prior),
        }
    }

    /// See [`Algorithm::fold_in`].
    pub fn fold_in(
        &self,
        mean: f32,
        ratings: &CustomerRatings,
        context: &FoldInContext,
        proceed: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<FoldedIn, Error> {
        match self {
            Origin::Algorithm(algorithm) => algorithm.fold_in(mean, ratings, context, proceed),
            Origin::Blend(blend) => blend.fold_in(ratings, context, &mut check_of(proceed)),
        }
    }
}
