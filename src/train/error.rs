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
    #[error("a blend needs at least two models, not {0}")]
    BlendTooFew(usize),
    #[error("version {version} of model \"{name}\" is named twice")]
    BlendTwice { name: String, version: i32 },
    #[error("model \"{0}\" is a blend itself")]
    BlendOfBlend(String),
    #[error("version {version} of model \"{name}\" was not trained on split \"{split}\"")]
    BlendSplit { name: String, version: i32, split: String },
    #[error("version {version} of model \"{name}\" may have been trained on the test set of the split")]
    BlendUnknown { name: String, version: i32 },
    #[error("the {half} half of the test set of split \"{split}\" is empty")]
    BlendEmptyHalf { split: String, half: &'static str },
    #[error("\"{0}\" names the half of a test set that blends are judged by")]
    BlendOfHalf(String),
    #[error("the predictions of one of the models are a combination of those of the others")]
    BlendDependent,
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
            TrainError::BlendTooFew(_) | TrainError::BlendTwice { .. } => hinted(
                ERRCODE_INVALID_PARAMETER_VALUE,
                "The argument models is a list: ARRAY['als', 'svdpp@2'].",
            ),
            TrainError::BlendOfBlend(_) => {
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, "Name the models that it is made of.")
            }
            TrainError::BlendSplit { split, .. } => {
                let example = match split.as_str() {
                    "probe" => "SELECT * FROM train_als();".into(),
                    split => format!("SELECT * FROM train_als(split => '{}');", split.replace('\'', "''")),
                };
                hinted(
                    ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!(
                        "Weights must be learned from ratings that no model has seen. Train all of them on this split: {example}"
                    ),
                )
            }
            TrainError::BlendUnknown { .. } => hinted(
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "What it was trained without has changed since, or the model was imported. Train it again.",
            ),
            TrainError::BlendEmptyHalf { .. } => hinted(
                ERRCODE_NO_DATA_FOUND,
                "The halves are of the customers with test ratings: choose a split with a larger test set.",
            ),
            TrainError::BlendOfHalf(_) => {
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, "Leave out the /2 at the end.")
            }
            TrainError::BlendDependent => {
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, "Raise regularization, or leave out one of them.")
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
