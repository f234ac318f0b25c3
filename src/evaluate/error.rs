//! What the caller of `evaluate` may get wrong.

use pgrx::PgSqlErrorCode::*;

use crate::models::ModelError;
use crate::pg::error::{hinted, wrap_errors};
use crate::pg::{self, Diagnostics, Report};
use crate::warehouse;

#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    #[error("split must be 'probe', 'train' or 'all', not '{0}'")]
    Split(String),
    #[error("there are no ratings in the split '{0}'")]
    EmptySplit(String),
    #[error(transparent)]
    Model(#[from] ModelError),
}

wrap_errors!(EvaluateError::Model, warehouse::Error, pg::Error);

impl Report for EvaluateError {
    fn diagnostics(&self) -> Diagnostics {
        match self {
            EvaluateError::Split(_) => ERRCODE_INVALID_PARAMETER_VALUE.into(),
            EvaluateError::EmptySplit(split) => hinted(
                ERRCODE_NO_DATA_FOUND,
                match split.as_str() {
                    "probe" => {
                        "Load a folder that holds probe.txt beside the ratings; or train with hold_out => 0.1, and see held_out_rmse in the view models."
                    }
                    _ => "Load some: SELECT * FROM netflix_load('/path');",
                },
            ),
            EvaluateError::Model(error) => error.diagnostics(),
        }
    }
}
