//! What the caller of a function that judges models may get wrong.

use pgrx::PgSqlErrorCode::*;

use crate::models::ModelError;
use crate::pg::error::{hinted, wrap_errors};
use crate::pg::{self, Diagnostics, Report};
use crate::warehouse;

#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    #[error("there are no ratings in the split '{0}'")]
    EmptySplit(String),
    #[error("there is no kind of split \"{0}\"")]
    SplitKind(String),
    #[error("a split of kind '{kind}' has no {argument}")]
    NotOfKind { kind: &'static str, argument: &'static str },
    #[error("a split of kind '{kind}' needs {argument}")]
    MissingOfKind { kind: &'static str, argument: &'static str, example: &'static str },
    #[error("split \"{0}\" exists already")]
    SplitExists(String),
    #[error("a split cannot be called \"{0}\"")]
    SplitName(String),
    #[error("split \"{name}\" would have no {side} ratings")]
    EmptySide { name: String, side: &'static str },
    #[error("there is nothing to slice by that is called \"{by}\"")]
    SliceBy { by: String, known: &'static [&'static str] },
    #[error("'{0}' has no test set")]
    NoTestSet(String),
    #[error("no customer rated a movie {relevant} or higher in the test set of split '{split}'")]
    NothingRelevant { split: String, relevant: f64 },
    #[error("there are no qualifying pairs")]
    NoQualifying,
    #[error("no qualifying pair has a rating")]
    NoAnswers,
    #[error("there are no models to judge")]
    NoModels,
    #[error("{name} must be {range}, not {value}")]
    Argument { name: &'static str, value: String, range: String },
    #[error(transparent)]
    Model(#[from] ModelError),
}

wrap_errors!(
    EvaluateError::Model,
    warehouse::Error,
    pg::Error,
    pgrx::spi::Error,
    std::collections::TryReserveError,
    factor::Error
);

impl Report for EvaluateError {
    fn diagnostics(&self) -> Diagnostics {
        match self {
            EvaluateError::EmptySplit(split) => hinted(
                ERRCODE_NO_DATA_FOUND,
                match split.as_str() {
                    "probe" => {
                        "Load a folder that holds probe.txt beside the ratings; or make a test set: SELECT * FROM split_ratings('name'); then train and evaluate with split => 'name'."
                    }
                    "train" | "all" => "Load some: SELECT * FROM netflix_load('/path');",
                    _ => {
                        "The ratings have changed since the split was made: the table rating_split tells how many there were."
                    }
                },
            ),
            EvaluateError::SplitKind(_) => hinted(
                ERRCODE_INVALID_PARAMETER_VALUE,
                format!("Known kinds: {}.", factor::SplitKind::NAMES.join(", ")),
            ),
            EvaluateError::NotOfKind { .. } => {
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, "Leave it out, or choose another kind.")
            }
            EvaluateError::MissingOfKind { example, .. } => {
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, format!("For example {example}."))
            }
            EvaluateError::SplitExists(name) => hinted(
                ERRCODE_DUPLICATE_OBJECT,
                format!(
                    "Choose another name, or drop it: SELECT drop_split('{}');",
                    name.replace('\'', "''")
                ),
            ),
            EvaluateError::SplitName(_) => hinted(
                ERRCODE_INVALID_NAME,
                "A name has 1 to 255 bytes and no colon, does not end with /2, and is not probe, train or all.",
            ),
            EvaluateError::EmptySide { side, .. } => hinted(
                ERRCODE_NO_DATA_FOUND,
                match *side {
                    "test" => "Choose parameters that leave some ratings to judge models by.",
                    _ => "Choose parameters that leave some ratings to train on.",
                },
            ),
            EvaluateError::SliceBy { known, .. } => {
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, format!("Slice by one of {}.", known.join(", ")))
            }
            EvaluateError::NoTestSet(_) => hinted(
                ERRCODE_INVALID_PARAMETER_VALUE,
                "Name 'probe' or a split that split_ratings() has made.",
            ),
            EvaluateError::NothingRelevant { .. } => hinted(ERRCODE_NO_DATA_FOUND, "Lower relevant."),
            EvaluateError::NoQualifying => hinted(
                ERRCODE_NO_DATA_FOUND,
                "Load a folder that holds qualifying.txt: SELECT * FROM netflix_load('/path');",
            ),
            EvaluateError::NoAnswers => hinted(
                ERRCODE_NO_DATA_FOUND,
                "Load a folder that holds qualifying.txt and grand_prize/judging.txt: SELECT * FROM netflix_load('/path');",
            ),
            EvaluateError::NoModels => hinted(
                ERRCODE_INVALID_PARAMETER_VALUE,
                "Name some, for example ARRAY['als', 'svd']; or leave the list out, for all that are deployed.",
            ),
            EvaluateError::Argument { .. } => ERRCODE_INVALID_PARAMETER_VALUE.into(),
            EvaluateError::Model(error) => error.diagnostics(),
        }
    }
}
