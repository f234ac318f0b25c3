//! Judges a model by its predictions: `evaluate`.

mod error;

use factor::{Digest, ErrorSums, Metrics, Model};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::models::{self, ModelRow, read};
use crate::pg::prepared::Prepared;
use crate::pg::snapshot::Snapshot;
use crate::pg::{Error, memory, report};
use crate::warehouse::dimension::Dimension;
use crate::warehouse::{ratings, unfinished};
use error::EvaluateError;

/// Compares a model's predictions, clamped to 1 to 5, with the ratings of a split. `is_trained_on` says whether the model was trained on
/// these ratings, which makes its errors too small; NULL if that is not known.
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
    let row = models::find(name, None)?;
    unfinished::warn_in_load_or_restore()?;
    let size = ratings::size(Snapshot::Statement)?;
    let floats = (size.customers + size.movies) * (row.factors + 1);
    memory::declare("evaluation", floats * size_of::<f32>())?;
    let model = Model {
        mean: row.global_mean,
        customers: read::side(&row, Dimension::Customer, size.customers)?,
        movies: read::side(&row, Dimension::Movie, size.movies)?,
        samples: row.samples,
        links: None,
        prior: None,
    };
    let ids = ratings::Ids::read()?;
    let (mut errors, mut digest) = (ErrorSums::default(), Digest::default());
    ratings::read(Snapshot::Statement, |customer, movie, rating, is_probe| {
        if wanted(is_probe) {
            errors.add(model.predict(customer.index(), movie.index()), rating);
            let (customer_id, movie_id) = ids.of(customer, movie);
            digest.add(customer_id, movie_id, rating);
        }
        Ok(())
    })?;
    let metrics = errors.metrics().ok_or_else(|| EvaluateError::EmptySplit(split.into()))?;
    let is_trained_on = match split {
        "probe" => was_trained_on(&row, digest)?,
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

/// Whether a model was trained on the ratings of the present probe. `None` if the probe was another one then, or if the model was
/// imported.
fn was_trained_on(row: &ModelRow, probe: Digest) -> Result<Option<bool>, Error> {
    static LEFT_OUT: Prepared = Prepared(
        "SELECT train_on, CASE WHEN probe_rmse IS NOT NULL THEN judged_digest END FROM @extschema@.model WHERE model_id = $1",
    );
    let left_out = LEFT_OUT
        .all(&[row.model_id.into()], |row| Ok((row.need::<String>(1, "model")?, row.get::<i64>(2))))?;
    Ok(match left_out.first() {
        Some((train_on, _)) if train_on == "all" => Some(true),
        Some((_, Some(digest))) if *digest == probe.to_i64() => Some(false),
        _ => None,
    })
}
