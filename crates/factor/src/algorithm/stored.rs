//! How a stored model came about: by an algorithm, or as a blend of other models.

use std::ops::ControlFlow;

use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::algorithm::blend::Blend;
use crate::algorithm::fold_in::context::FoldInContext;
use crate::algorithm::fold_in::customer_ratings::CustomerRatings;
use crate::algorithm::fold_in::folded_in::FoldedIn;
use crate::error::Error;
use crate::model::customer_prior::CustomerPrior;
use crate::model::sample_layout::SampleLayout;

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
        let mut check = || match proceed() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        };
        match self {
            Origin::Algorithm(algorithm) => algorithm.trainer().fold_in(mean, ratings, context, &mut check),
            Origin::Blend(blend) => blend.fold_in(ratings, context, &mut check),
        }
    }
}
