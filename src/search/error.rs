//! What the caller of a search or of a cross-validation may get wrong.

use pgrx::PgSqlErrorCode::*;

use crate::pg::error::{hinted, wrap_errors};
use crate::pg::{self, Diagnostics, Report};
use crate::train::TrainError;
use crate::warehouse;

#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("there are fewer ratings than folds: {ratings} ratings, {folds} folds")]
    MoreFolds { folds: usize, ratings: usize },
    #[error("split \"{0}\" has no training ratings or no test ratings")]
    EmptySide(String),
    #[error("{name} must be {range}, not {value}")]
    Argument { name: &'static str, value: String, range: String },
    #[error("a search has either folds or a split")]
    FoldsAndSplit,
    #[error("there are {points} points to try, more than {most}")]
    TooManyPoints { points: u128, most: u128, seconds: Option<f64> },
    #[error("refit must be 'best' or 'one_standard_error', not '{0}'")]
    Refit(String),
    #[error("deploy and model are arguments of refit, which is not given")]
    NoRefit,
    #[error("search {0} does not exist")]
    NoSearch(i64),
    #[error("search {0} is running")]
    Running(i64),
    #[error("search {search} was begun with another {argument}")]
    OtherArguments { search: i64, argument: &'static str },
    #[error("the ratings have changed since search {0} began")]
    OtherRatings(i64),
    #[error("search {0} has no trial that could be judged")]
    NothingJudged(i64),
    #[error("the tables of search {0} were changed while it ran")]
    LedgerChanged(i64),
    #[error("the message to the search's worker cannot be read")]
    Message,
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Warehouse(#[from] warehouse::Error),
}

wrap_errors!(
    SearchError::Warehouse,
    pg::Error,
    pgrx::spi::Error,
    std::collections::TryReserveError,
    factor::Error
);

impl Report for SearchError {
    fn diagnostics(&self) -> Diagnostics {
        match self {
            SearchError::MoreFolds { .. } => hinted(ERRCODE_INVALID_PARAMETER_VALUE, "Ask for fewer folds."),
            SearchError::EmptySide(_) => hinted(
                ERRCODE_NO_DATA_FOUND,
                "The ratings have changed since the split was made: the table rating_split tells how many there were.",
            ),
            SearchError::Argument { .. } => ERRCODE_INVALID_PARAMETER_VALUE.into(),
            SearchError::Refit(_) => hinted(
                ERRCODE_INVALID_PARAMETER_VALUE,
                "'best' trains with the parameters of the best trial, 'one_standard_error' with those of the simplest one that is about as good.",
            ),
            SearchError::NoRefit => hinted(ERRCODE_INVALID_PARAMETER_VALUE, "Add refit => 'best'."),
            SearchError::FoldsAndSplit => {
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, "Leave out one of the two arguments.")
            }
            SearchError::TooManyPoints { seconds: None, .. } => ERRCODE_PROGRAM_LIMIT_EXCEEDED.into(),
            SearchError::TooManyPoints { seconds: Some(seconds), .. } => hinted(
                ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                "List fewer values; or draw some of them: SELECT * FROM random_search(..., trials => 50);",
            )
            .with_detail(format!("They would take about {}.", duration(*seconds))),
            SearchError::NoSearch(_) => {
                hinted(ERRCODE_UNDEFINED_OBJECT, "The view searches lists the searches there are.")
            }
            SearchError::Running(_) => hinted(
                ERRCODE_OBJECT_IN_USE,
                "The view netflix_progress shows how far it is. When it has ended or was cancelled, the same call goes on.",
            ),
            SearchError::OtherArguments { .. } => hinted(
                ERRCODE_INVALID_PARAMETER_VALUE,
                "Leave it out, or give the value with which the search was begun.",
            ),
            SearchError::OtherRatings(_) => hinted(
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "Begin a new search: leave out the argument search.",
            ),
            SearchError::NothingJudged(_) => hinted(
                ERRCODE_NO_DATA_FOUND,
                "The column error of the table search_trial says what went wrong. If a trial has none, there was no time for it.",
            ),
            SearchError::LedgerChanged(_) => ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE.into(),
            SearchError::Message => ERRCODE_INTERNAL_ERROR.into(),
            SearchError::Train(error) => error.diagnostics(),
            SearchError::Warehouse(error) => error.diagnostics(),
        }
    }
}

/// Seconds in words.
fn duration(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} minutes", seconds / 60.0),
        ..172_800.0 => format!("{:.0} hours", seconds / 3600.0),
        _ => format!("{:.0} days", seconds / 86400.0),
    }
}
