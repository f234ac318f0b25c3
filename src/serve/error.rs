//! What the caller of a serving function may get wrong.

use pgrx::PgSqlErrorCode::*;

use crate::models::ModelError;
use crate::pg::error::{hinted, wrap_errors};
use crate::pg::{self, Diagnostics, Report};
use crate::warehouse;

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("n must be at least 1, not {0}")]
    TooFew(i64),
    #[error("lower_bound must be a number of standard deviations from 0 to 100, not {0}")]
    LowerBound(f64),
    #[error("model \"{0}\" has no samples, so there is no lower bound to rank by")]
    NoSamples(String),
    #[error("movie_ids has {movies} elements, and ratings {ratings}")]
    Lengths { movies: usize, ratings: usize },
    #[error("movie {0} is rated twice")]
    RatedTwice(i64),
    #[error("a rating must be from 1 to 5, not {0}")]
    Rating(f64),
    #[error("an element of {0} is NULL")]
    NullElement(&'static str),
    #[error("customer {0} does not exist")]
    NoCustomer(i64),
    #[error("movie {0} does not exist")]
    NoMovie(i64),
    #[error("a model without factors cannot compare movies or customers")]
    NoFactors,
    #[error(transparent)]
    Model(#[from] ModelError),
}

wrap_errors!(ServeError::Model, warehouse::Error, pg::Error, pgrx::spi::Error, factor::Error);

impl Report for ServeError {
    fn diagnostics(&self) -> Diagnostics {
        match self {
            ServeError::TooFew(_)
            | ServeError::LowerBound(_)
            | ServeError::Lengths { .. }
            | ServeError::RatedTwice(_)
            | ServeError::Rating(_) => ERRCODE_INVALID_PARAMETER_VALUE.into(),
            ServeError::NullElement(_) => ERRCODE_NULL_VALUE_NOT_ALLOWED.into(),
            ServeError::NoCustomer(_) | ServeError::NoMovie(_) => ERRCODE_NO_DATA_FOUND.into(),
            ServeError::NoSamples(_) => {
                hinted(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "Train one by train_bpmf().")
            }
            ServeError::NoFactors => hinted(
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "Use a model of als, svd, svdpp, bpmf or truncated_svd.",
            ),
            ServeError::Model(error) => error.diagnostics(),
        }
    }
}
