//! What the caller of a serving function may get wrong.

use pgrx::PgSqlErrorCode;

use crate::pg::{Error, Report};

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("n must be at least 1, not {0}")]
    TooFew(i64),
    #[error("lower_bound must be a number of standard deviations from 0 to 100, not {0}")]
    LowerBound(f64),
    #[error("model \"{0}\" is not of samples, and has no lower bounds to rank by")]
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
    #[error("a model without factors does not tell movies or customers apart")]
    NoFactors,
    #[error("version {version} of model \"{name}\" is deployed")]
    IsDeployed { name: String, version: i32 },
    #[error("there is no version that model \"{0}\" could go back to")]
    NoEarlier(String),
    #[error("model \"{name}\" is too large to be exported: {bytes} bytes, where at most {LARGEST} can be")]
    TooLarge { name: String, bytes: usize },
    #[error("this is no exported model: {0}")]
    Archive(factor::ArchiveError),
    #[error(transparent)]
    Pg(#[from] Error),
}

/// Bytes of a bytea that can still be printed, as pg_dump does: two digits a byte, in no more than an allocation can have
/// (MaxAllocSize). COPY puts a row's other columns into the same allocation: some room is left for these.
pub const LARGEST: usize = (0x3fff_ffff - (64 << 10)) / 2;

impl From<factor::ArchiveError> for ServeError {
    fn from(error: factor::ArchiveError) -> ServeError {
        match error {
            factor::ArchiveError::OutOfMemory { bytes } => factor::Error::OutOfMemory { bytes }.into(),
            factor::ArchiveError::Cancelled => factor::Error::Cancelled.into(),
            error => ServeError::Archive(error),
        }
    }
}

impl From<factor::Error> for ServeError {
    fn from(error: factor::Error) -> ServeError {
        ServeError::Pg(error.into())
    }
}

impl Report for ServeError {
    fn code(&self) -> PgSqlErrorCode {
        match self {
            ServeError::TooFew(_)
            | ServeError::LowerBound(_)
            | ServeError::Lengths { .. }
            | ServeError::RatedTwice(_)
            | ServeError::Rating(_) => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            ServeError::NullElement(_) => PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            ServeError::NoCustomer(_) | ServeError::NoMovie(_) => PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            ServeError::NoFactors
            | ServeError::NoSamples(_)
            | ServeError::IsDeployed { .. }
            | ServeError::NoEarlier(_) => PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            ServeError::TooLarge { .. } => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            ServeError::Archive(_) => PgSqlErrorCode::ERRCODE_INVALID_BINARY_REPRESENTATION,
            ServeError::Pg(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            ServeError::Pg(error) => error.detail(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            ServeError::NoSamples(_) => "Train one by train_bpmf().".into(),
            ServeError::NoFactors => "Ask a model by als, svd, svdpp, bpmf or truncated_svd.".into(),
            ServeError::IsDeployed { .. } => {
                "Deploy another version first, or drop it nonetheless: force => true.".into()
            }
            ServeError::NoEarlier(_) => {
                "The view models lists the versions there are; deploy_model() deploys any of them.".into()
            }
            ServeError::TooLarge { .. } => "Dump its tables instead, which pg_dump does without such a limit, or train it with fewer factors or samples.".into(),
            ServeError::Archive(factor::ArchiveError::Format(_)) => {
                "Import it where the extension is as new as where it was exported.".into()
            }
            ServeError::Archive(_) => "Import what export_model() returned, all of it.".into(),
            ServeError::Pg(error) => return error.hint(),
            _ => return None,
        })
    }
}
