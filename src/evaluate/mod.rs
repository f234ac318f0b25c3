//! Judges models by their predictions: `evaluate`.

use factor::{Errors, Metrics, Model};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::scan::Seen;
use crate::pg::{self, Error, Report, model, ratings, report, unfinished};

/// What the caller may get wrong.
#[derive(Debug, thiserror::Error)]
enum EvaluateError {
    #[error("split must be 'probe', 'train' or 'all', not '{0}'")]
    Split(String),
    #[error("there are no ratings in the split '{0}'")]
    EmptySplit(String),
    #[error(transparent)]
    Pg(#[from] Error),
}

impl Report for EvaluateError {
    fn code(&self) -> PgSqlErrorCode {
        match self {
            EvaluateError::Split(_) => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            EvaluateError::EmptySplit(_) => PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            EvaluateError::Pg(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            EvaluateError::Pg(error) => error.detail(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            EvaluateError::Split(_) => None,
            EvaluateError::EmptySplit(split) if split == "probe" => {
                Some("Load a folder that holds probe.txt beside the ratings.".into())
            }
            EvaluateError::EmptySplit(_) => Some("Load some: SELECT * FROM netflix_load('/path');".into()),
            EvaluateError::Pg(error) => error.hint(),
        }
    }
}

/// Compares a model's predictions, cut to 1 to 5, with the ratings of a split.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn evaluate(
    model: default!(Option<&str>, "NULL"),
    split: default!(Option<&str>, "'probe'"),
) -> Result<
    TableIterator<
        'static,
        (name!(n, i64), name!(rmse, f64), name!(mse, f64), name!(mae, f64), name!(mape, f64)),
    >,
    ErrorReport,
> {
    let Metrics { n, rmse, mse, mae, mape } = judge(model, split.unwrap_or("probe")).map_err(report)?;
    Ok(TableIterator::once((n as i64, rmse, mse, mae, mape)))
}

fn judge(name: Option<&str>, split: &str) -> Result<Metrics, EvaluateError> {
    let wanted = |is_probe: bool| match split {
        "probe" => is_probe,
        "train" => !is_probe,
        _ => true,
    };
    if !["probe", "train", "all"].contains(&split) {
        return Err(EvaluateError::Split(split.into()));
    }
    let row = model::find(name, None)?;
    unfinished::warn()?;
    let size = ratings::size(Seen::ByStatement)?;
    let floats = (size.customers + size.movies) * (row.factors + 1);
    pg::require_memory("evaluation", floats * size_of::<f32>())?;
    let model = Model {
        mean: row.global_mean,
        customers: model::read_side(&row, "customer_factors", size.customers)?,
        movies: model::read_side(&row, "movie_factors", size.movies)?,
        samples: row.samples,
        links: None,
        prior: None,
    };
    let mut errors = Errors::default();
    ratings::read(Seen::ByStatement, |customer, movie, rating, is_probe| {
        if wanted(is_probe) {
            errors.add(model.predict(customer as usize, movie as usize), rating);
        }
        Ok(())
    })?;
    errors.metrics().ok_or_else(|| EvaluateError::EmptySplit(split.into()))
}
