//! What the caller of a chart or of the report may get wrong.

use pgrx::PgSqlErrorCode::*;

use crate::models::ModelError;
use crate::pg::error::{hinted, wrap_errors};
use crate::pg::{self, Diagnostics, Report};
use crate::warehouse;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Chart(#[from] ::chart::Error),
    #[error("{name} must be {range}, not {value}")]
    Argument { name: &'static str, value: String, range: String },
    #[error("search {0} does not exist")]
    NoSearch(i64),
    #[error(transparent)]
    Cograph(#[from] cograph::Error),
    #[error(transparent)]
    Model(#[from] ModelError),
}

wrap_errors!(
    ReportError::Model,
    warehouse::Error,
    pg::Error,
    pgrx::spi::Error,
    std::collections::TryReserveError,
    factor::Error
);

impl Report for ReportError {
    fn diagnostics(&self) -> Diagnostics {
        match self {
            ReportError::Chart(::chart::Error::Theme(_)) => {
                let known = ::chart::Theme::NAMES.join(", ");
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, format!("Known themes: {known}."))
            }
            ReportError::Chart(::chart::Error::Size { .. }) | ReportError::Argument { .. } => {
                ERRCODE_INVALID_PARAMETER_VALUE.into()
            }
            ReportError::NoSearch(_) => hinted(ERRCODE_UNDEFINED_OBJECT, "The view searches lists them."),
            ReportError::Cograph(cograph::Error::OutOfMemory { .. }) => ERRCODE_OUT_OF_MEMORY.into(),
            ReportError::Cograph(cograph::Error::Cancelled) => ERRCODE_QUERY_CANCELED.into(),
            ReportError::Cograph(_) => ERRCODE_INVALID_PARAMETER_VALUE.into(),
            ReportError::Model(error) => error.diagnostics(),
        }
    }
}
