//! Trains models on the ratings of the warehouse: `train`, `train_blend`, `train_estimate`, `training_curve`, `singular_values`. For each algorithm,
//! sql/train.sql has a function with named parameters around `train`.

mod blend;
mod error;
mod estimate;
mod fit;
mod split;

use factor::Algorithm;
use pgrx::JsonB;
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::models;
use crate::models::write::{NewModel, Written};
use crate::pg::json::JsonText;
use crate::pg::progress::Phase;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, query, report};
use blend::{BlendRequest, blend};
pub use error::TrainError;
pub use estimate::estimate;
pub use fit::{Request, fit};

/// The phases of a training, between reading the ratings and writing the model.
pub static PHASES: [&Phase; 1] = [&fit::TRAINING];

/// Defines a SQL function that returns one row about a new model, which `$make` returns.
macro_rules! training_function {
    ($(#[$attribute:meta])* fn $name:ident($($parameters:tt)*) = $make:expr) => {
        $(#[$attribute])*
        pub(crate) fn $name($($parameters)*) -> Result<
            TableIterator<
                'static,
                (
                    name!(model, String),
                    name!(version, i32),
                    name!(algorithm, &'static str),
                    name!(params, JsonB),
                    name!(ratings, i64),
                    name!(iterations, i32),
                    name!(train_rmse, f64),
                    name!(probe_rmse, Option<f64>),
                    name!(test_rmse, Option<f64>),
                    name!(elapsed, Interval),
                    name!(deployed, bool),
                    name!(reason, String),
                ),
            >,
            ErrorReport,
        > {
            let (new, Written { version, deployed, reason }): (NewModel<'_>, _) = $make.map_err(report)?;
            Ok(TableIterator::once((
                new.name.into(),
                version,
                new.algorithm,
                JsonB(new.params),
                new.ratings as i64,
                new.iterations as i32,
                new.train_rmse,
                new.probe_rmse,
                new.test_rmse,
                pg::interval(new.elapsed.so_far()),
                deployed,
                reason,
            )))
        }
    };
}

training_function! {
    /// Trains a model by the algorithm of this name, and stores it as a new version.
    #[pg_extern]
    #[search_path(pg_catalog, pg_temp)]
    fn train(
        algorithm: Option<&str>,
        params: default!(Option<JsonText>, "'{}'"),
        model: default!(Option<&str>, "NULL"),
        train_on: default!(Option<&str>, "'train'"),
        hold_out: default!(Option<f64>, 0.0),
        deploy: default!(Option<bool>, "NULL"),
        split: default!(Option<&str>, "NULL"),
    ) = {
        let algorithm = parse(algorithm, params).map_err(report)?;
        let request = Request {
            name: model.unwrap_or(algorithm.name()),
            train_on: train_on.unwrap_or("train"),
            split,
            hold_out: hold_out.unwrap_or(0.0),
            deploy,
        };
        fit(&algorithm, &request)
    }
}

training_function! {
    /// Blends models: learns from the first half of a split's test set with which weights to add up their predictions, judges the sum
    /// by the second half, and stores it as a model. All of them must have been trained on the split. `counts` says that weights
    /// depend on how many ratings the customer and the movie have.
    #[pg_extern]
    #[search_path(pg_catalog, pg_temp)]
    fn train_blend(
        models: Option<Vec<Option<String>>>,
        split: default!(Option<&str>, "'probe'"),
        model: default!(Option<&str>, "'blend'"),
        regularization: default!(Option<f64>, 10.0),
        counts: default!(Option<bool>, false),
        deploy: default!(Option<bool>, "NULL"),
    ) = {
        let models = models.ok_or_else(|| report(pg::Error::NullArgument("models")))?;
        blend(&BlendRequest {
            models,
            split: split.unwrap_or("probe"),
            name: model.unwrap_or(factor::BLEND),
            regularization: regularization.unwrap_or(10.0),
            counts: counts.unwrap_or(false),
            deploy,
        })
    }
}

/// What a training with these parameters would take: the most memory at a time, and the time from reading rows to writing them.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn train_estimate(
    algorithm: Option<&str>,
    params: default!(Option<JsonText>, "'{}'"),
) -> Result<TableIterator<'static, (name!(bytes, i64), name!(seconds, f64))>, ErrorReport> {
    let (bytes, seconds) =
        parse(algorithm, params).and_then(|algorithm| estimate(&algorithm)).map_err(report)?;
    Ok(TableIterator::once((bytes as i64, seconds)))
}

/// How each iteration of a training went.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn training_curve(
    model: default!(Option<&str>, "NULL"),
    version: default!(Option<i64>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(iteration, i32),
            name!(train_rmse, f64),
            name!(held_out_rmse, Option<f64>),
            name!(seconds, f64),
        ),
    >,
    ErrorReport,
> {
    Ok(TableIterator::new(models::read::curve(model, version).map_err(report)?))
}

/// The singular values of a truncated singular value decomposition, the largest first; and how much of the ratings' variance each one
/// explains.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn singular_values(
    model: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(component, i32),
            name!(singular_value, f64),
            name!(explained_variance, f64),
            name!(explained_variance_ratio, f64),
        ),
    >,
    ErrorReport,
> {
    Ok(TableIterator::new(components(model).map_err(report)?))
}

/// Component, singular value, explained variance, and its share of all variance.
fn components(name: Option<&str>) -> Result<Vec<(i32, f64, f64, f64)>, TrainError> {
    let model = models::find(name, None)?;
    let missing = || pg::Error::Null("model");
    let components = query::select(
        Snapshot::Statement,
        "SELECT s.component::int, s.value::float8, s.variance::float8, s.ratio::float8
         FROM @extschema@.model AS m,
              ROWS FROM (jsonb_array_elements_text(m.summary -> 'singular_values'),
                         jsonb_array_elements_text(m.summary -> 'explained_variance'),
                         jsonb_array_elements_text(m.summary -> 'explained_variance_ratio'))
              WITH ORDINALITY AS s (value, variance, ratio, component)
         WHERE m.model_id = $1 ORDER BY s.component",
        &[model.model_id.into()],
        |row| {
            let float8 = |column| row.get::<f64>(column)?.ok_or_else(missing);
            Ok((row.get::<i32>(1)?.ok_or_else(missing)?, float8(2)?, float8(3)?, float8(4)?))
        },
    )?;
    if components.is_empty() { Err(TrainError::NoSingularValues(model.name)) } else { Ok(components) }
}

fn parse(algorithm: Option<&str>, params: Option<JsonText>) -> Result<Algorithm, TrainError> {
    let algorithm = algorithm.ok_or(pg::Error::NullArgument("algorithm"))?;
    let params = params.map_or_else(|| "{}".to_owned(), |JsonText(text)| text);
    Ok(Algorithm::parse_text(algorithm, &params)?)
}
