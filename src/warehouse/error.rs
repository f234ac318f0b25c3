//! What can go wrong between any capability and the warehouse.

use pgrx::PgSqlErrorCode::*;

use crate::pg::error::{hinted, wrap_errors};
use crate::pg::{self, Diagnostics, Report};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A load was begun and not completed.
    #[error("{what} has to wait: a load{} is not finished", path.as_ref().map_or(String::new(), |path| format!(" of \"{path}\"")))]
    UnfinishedLoad { what: &'static str, path: Option<String> },
    /// A restore was begun and not completed.
    #[error("{what} has to wait: a restore is not finished")]
    UnfinishedRestore { what: &'static str },
    /// A customer's or movie's factors have another length than its model's.
    #[error("row {key} of table {table} does not fit its model")]
    Damaged { table: &'static str, key: i32 },
    /// No split of this name.
    #[error("split \"{name}\" does not exist")]
    NoSplit { name: String, known: Vec<String> },
    /// A split has folds, and the call must say which one is the test set.
    #[error("split \"{name}\" has folds 1 to {folds}{}", match given {
        Some(given) => format!(", and no fold {given}"),
        None => ": name one of them".into(),
    })]
    Fold { name: String, folds: usize, given: Option<String> },
    /// Somebody has changed the row of a split.
    #[error("the row of split \"{name}\" in rating_split is not one that split_ratings has made")]
    DamagedSplit { name: String },
    /// From the factorisation.
    #[error(transparent)]
    Factor(#[from] factor::Error),
    /// From the server.
    #[error(transparent)]
    Pg(#[from] pg::Error),
}

wrap_errors!(Error::Pg, pgrx::spi::Error, std::collections::TryReserveError);

impl Report for Error {
    fn diagnostics(&self) -> Diagnostics {
        match self {
            Error::UnfinishedLoad { path, .. } => hinted(
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!(
                    "Finish it: SELECT * FROM netflix_load('{}'); or give it up: SELECT * FROM netflix_load_abandon();",
                    path.as_deref().unwrap_or_default().replace('\'', "''")
                ),
            ),
            Error::UnfinishedRestore { .. } => {
                hinted(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "Finish it: SELECT netflix_restore_end();")
            }
            Error::Damaged { .. } => hinted(ERRCODE_DATA_CORRUPTED, "Train the model again."),
            Error::NoSplit { known, .. } if known.is_empty() => hinted(
                ERRCODE_UNDEFINED_OBJECT,
                "There is 'probe'. Make another one: SELECT * FROM split_ratings('name');",
            ),
            Error::NoSplit { known, .. } => {
                hinted(ERRCODE_UNDEFINED_OBJECT, format!("Known splits: probe, {}.", known.join(", ")))
            }
            Error::Fold { name, .. } => {
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, format!("For example split => '{name}:1'."))
            }
            Error::DamagedSplit { .. } => {
                hinted(ERRCODE_DATA_CORRUPTED, "Drop it with drop_split(), and make it again.")
            }
            Error::Factor(error) => error.diagnostics(),
            Error::Pg(error) => error.diagnostics(),
        }
    }
}

impl Report for factor::Error {
    fn diagnostics(&self) -> Diagnostics {
        use factor::Error;
        let out_of_range = ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
        match self {
            Error::NoRatings => hinted(
                ERRCODE_NO_DATA_FOUND,
                "Load some first: SELECT * FROM netflix_load('/path/to/the/files');",
            ),
            Error::Parameter { .. } | Error::Params { .. } => ERRCODE_INVALID_PARAMETER_VALUE.into(),
            Error::Algorithm { .. } => {
                let known = factor::Algorithm::NAMES.join(", ");
                hinted(ERRCODE_UNDEFINED_OBJECT, format!("Known names: {known}."))
            }
            Error::Singular { .. } | Error::NoConvergence => {
                hinted(out_of_range, "Raise the regularization, or ask for fewer factors.")
            }
            Error::Undetermined { .. } => {
                hinted(out_of_range, "Train with regularization and bias_regularization above 0.")
            }
            Error::Diverged { .. } => hinted(out_of_range, "Lower learning_rate."),
            Error::OutOfMemory { .. } => {
                hinted(ERRCODE_OUT_OF_MEMORY, "Ask for fewer factors, or free memory on the server.")
            }
            Error::Cancelled => ERRCODE_QUERY_CANCELED.into(),
            Error::NoFoldIn { .. } => {
                hinted(ERRCODE_FEATURE_NOT_SUPPORTED, "Train it again: train_bpmf now stores the prior.")
            }
            Error::OutOfBounds { .. } => ERRCODE_INTERNAL_ERROR.into(),
        }
    }
}
