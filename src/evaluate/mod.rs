//! Judges models by their predictions: `evaluate`.

use factor::{Digest, Errors, Metrics, Model};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::prepared::Prepared;
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
                Some("Load a folder that holds probe.txt beside the ratings; or train with hold_out => 0.1, and see held_out_rmse in the view models.".into())
            }
            EvaluateError::EmptySplit(_) => Some("Load some: SELECT * FROM netflix_load('/path');".into()),
            EvaluateError::Pg(error) => error.hint(),
        }
    }
}

/// Compares a model's predictions, cut to 1 to 5, with the ratings of a split. `is_trained_on` says whether the model has learned
/// from these ratings, which makes its errors too small; NULL where that is not known.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn evaluate(
    model: default!(Option<&str>, "NULL"),
    split: default!(Option<&str>, "'probe'"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(n, i64),
            name!(rmse, f64),
            name!(mse, f64),
            name!(mae, f64),
            name!(mape, f64),
            name!(is_trained_on, Option<bool>),
        ),
    >,
    ErrorReport,
> {
    let (metrics, is_trained_on) = judge(model, split.unwrap_or("probe")).map_err(report)?;
    let Metrics { n, rmse, mse, mae, mape } = metrics;
    Ok(TableIterator::once((n as i64, rmse, mse, mae, mape, is_trained_on)))
}

fn judge(name: Option<&str>, split: &str) -> Result<(Metrics, Option<bool>), EvaluateError> {
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
    let ids = ratings::Ids::read()?;
    let (mut errors, mut digest) = (Errors::default(), Digest::default());
    ratings::read(Seen::ByStatement, |customer, movie, rating, is_probe| {
        if wanted(is_probe) {
            errors.add(model.predict(customer as usize, movie as usize), rating);
            let (customer_id, movie_id) = ids.of(customer, movie);
            digest.add(customer_id, movie_id, rating);
        }
        Ok(())
    })?;
    let metrics = errors.metrics().ok_or_else(|| EvaluateError::EmptySplit(split.into()))?;
    let is_trained_on = match split {
        "probe" => has_learned_from(&row, digest)?,
        _ => Some(true),
    };
    match is_trained_on {
        Some(true) if split == "probe" => warning!(
            "model \"{}\" was trained on the probe: its errors on ratings that it has not seen are larger",
            row.name
        ),
        None => warning!(
            "model \"{}\" may have been trained on some of these ratings: the probe has changed since, or the model was imported",
            row.name
        ),
        _ => {}
    }
    Ok((metrics, is_trained_on))
}

/// Whether a model has learned from the probe that there is now; `None` where it was trained without another one, or elsewhere.
fn has_learned_from(row: &model::ModelRow, probe: Digest) -> Result<Option<bool>, Error> {
    static SPARED: Prepared = Prepared(
        "SELECT train_on, CASE WHEN probe_rmse IS NOT NULL THEN judged_digest END FROM @extschema@.model WHERE model_id = $1",
    );
    let spared =
        SPARED.all(&[row.model_id.into()], |row| Ok((row.need::<String>(1, "model")?, row.get::<i64>(2))))?;
    Ok(match spared.first() {
        Some((train_on, _)) if train_on == "all" => Some(true),
        Some((_, Some(digest))) if *digest == probe.to_i64() => Some(false),
        _ => None,
    })
}
