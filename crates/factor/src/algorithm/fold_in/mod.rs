//! Fold-in: finds the factors of one customer from that customer's ratings, while everything that the model knows of movies
//! stays fixed. It is the part of a training step that concerns one customer, in double precision.
//!
//! In every algorithm, the customer's bias and factors solve a linear system. Its right-hand side is a sum of one term for each
//! rating and, in a Bayesian model, one for the prior. So each rating's contribution to the factors, and to any prediction, can
//! be computed (Hu, Koren and Volinsky
//! 2008, "Collaborative filtering for implicit feedback datasets", section 5).

pub(crate) mod bayesian;
pub(crate) mod context;
pub(crate) mod customer_ratings;
pub(crate) mod folded_in;

use std::ops::ControlFlow;

use crate::algorithm::fold_in::context::FoldInContext;
use crate::algorithm::fold_in::customer_ratings::CustomerRatings;
use crate::algorithm::fold_in::folded_in::FoldedIn;
use crate::error::Error;
use crate::model::sample_layout::SampleLayout;

/// What a computation calls every few milliseconds, made from what the caller gives: [`ControlFlow::Break`] is [`Error::Cancelled`].
pub(crate) fn check_of(proceed: &mut dyn FnMut() -> ControlFlow<()>) -> impl FnMut() -> Result<(), Error> {
    move || match proceed() {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}

/// How an algorithm folds in a customer. It is implemented beside the training that it must agree with.
pub(crate) trait FoldIn {
    /// Whether it needs the movies' [`crate::Model::links`].
    fn uses_links(&self) -> bool {
        false
    }

    /// See [`crate::Algorithm::fold_in_context`].
    fn context(&self, _layout: SampleLayout, _prior: Option<&[f32]>) -> Result<FoldInContext, Error> {
        Ok(FoldInContext::Nothing)
    }

    /// See [`crate::Algorithm::fold_in`]. `check` is called every few milliseconds; its error ends the computation.
    fn fold_in(
        &self,
        mean: f32,
        ratings: &CustomerRatings,
        context: &FoldInContext,
        check: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<FoldedIn, Error>;
}

#[cfg(test)]
mod tests;
