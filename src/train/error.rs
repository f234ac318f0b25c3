//! What the caller of a training function may get wrong.

use pgrx::PgSqlErrorCode::*;

use crate::models::ModelError;
use crate::pg::error::{hinted, wrap_errors};
use crate::pg::{self, Diagnostics, Report, guc};
use crate::warehouse;

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("train_on must be 'train' or 'all', not '{0}'")]
    TrainOn(String),
    #[error("train_on => 'all' trains on every rating, and split \"{0}\" leaves some out")]
    TrainOnAll(String),
    #[error("hold_out must be a share of the ratings from 0 to below 1, not {0}")]
    HoldOut(f64),
    #[error("all {0} ratings are left out or held out")]
    AllHeldOut(usize),
    #[error("the normal equations of {side} {id} have no single solution in single precision")]
    Singular { side: &'static str, id: i32 },
    #[error("model \"{0}\" has no singular values")]
    NoSingularValues(String),
    #[error(transparent)]
    Model(#[from] ModelError),
}

wrap_errors!(TrainError::Model, warehouse::Error, pg::Error, pgrx::spi::Error, factor::Error);

impl Report for TrainError {
    fn diagnostics(&self) -> Diagnostics {
        match self {
            TrainError::TrainOn(_) => hinted(
                ERRCODE_INVALID_PARAMETER_VALUE,
                "'train' leaves the probe out, 'all' takes every rating.",
            ),
            TrainError::TrainOnAll(_) => {
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, "Leave out one of the two arguments.")
            }
            TrainError::HoldOut(_) => ERRCODE_INVALID_PARAMETER_VALUE.into(),
            TrainError::NoSingularValues(_) => hinted(
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "Use a model that train_truncated_svd() has trained.",
            ),
            TrainError::AllHeldOut(_) => hinted(
                ERRCODE_NO_DATA_FOUND,
                "Hold out less, choose another split, or train on the probe, too: train_on => 'all'.",
            ),
            TrainError::Singular { .. } => {
                hinted(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "Raise regularization and bias_regularization.")
            }
            TrainError::Model(ModelError::Warehouse(warehouse::Error::Pg(
                error @ pg::Error::MemoryLimit { .. },
            ))) => {
                let hint = format!("{}, or ask for fewer factors or samples.", guc::raise_memory_hint());
                Diagnostics { hint: Some(hint), ..error.diagnostics() }
            }
            TrainError::Model(error) => error.diagnostics(),
        }
    }
}
