//! Reads what charts of models show.

use std::sync::atomic::AtomicBool;

use ::chart::{Comparison, Iteration, Judged, MapMovie, Seen, Slice};
use pgrx::datum::DatumWithOid;

use super::Drawing;
use super::error::ReportError;
use crate::models::{self, ModelError, ModelRow, read};
use crate::pg::catalog::Privilege;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, guc, memory, query, threads};
use crate::warehouse::dimension::{Dimension, Key};
use crate::warehouse::tables::DIM_MOVIE;

pub const COMPARE: &str = "SELECT model, version, n, rmse, rmse_low, rmse_high, is_trained_on, sample FROM @extschema@.compare_models($2, $1)";
pub const SLICES: &str =
    "SELECT slice, n, rmse FROM @extschema@.evaluate_slices($1, $3, $2, $4) ORDER BY slice_no";
/// Whether there is a probe.
pub const HAS_PROBE: &str = "SELECT EXISTS (SELECT FROM @extschema@.fact_ratings WHERE is_probe)";
/// The share of the customers that the test set of a split belongs to, if it is not all of them.
const SAMPLE: &str = "SELECT (params ->> 'fraction')::float8 FROM @extschema@.rating_split
                      WHERE kind = 'sample_customers' AND name = regexp_replace($1, '/2$', '')";

/// The probability of the intervals of `compare_models`.
const CONFIDENCE: f64 = 0.95;
/// The movies that the factor map shows.
const MOVIES: i64 = 300;

/// A column that is never NULL.
macro_rules! need {
    ($row:ident, $column:literal) => {
        $row.get($column)?.ok_or(pg::Error::Null("result"))?
    };
}
pub(super) use need;

pub fn compare(split: &str, models: Option<Vec<Option<String>>>) -> Result<Comparison, pg::Error> {
    let which = if models.is_some() { "these models" } else { "the deployed models" };
    let arguments: [DatumWithOid<'_>; 2] = [split.into(), models.into()];
    let (mut ratings, mut sample) = (0, None);
    let models = query::select(Snapshot::Statement, COMPARE, &arguments, |row| {
        (ratings, sample) = (need!(row, 3), row.get::<f64>(8)?);
        let (model, version): (String, i32) = (need!(row, 1), need!(row, 2));
        let seen = match row.get::<bool>(7)? {
            Some(false) => Seen::No,
            Some(true) => Seen::Yes,
            None => Seen::Unknown,
        };
        let (rmse, low, high) = (need!(row, 4), need!(row, 5), need!(row, 6));
        Ok(Judged { model: label(&model, version), rmse, low, high, seen })
    })?;
    Ok(Comparison {
        models,
        which: which.into(),
        judged_by: judged_by(split),
        ratings,
        sample,
        confidence: CONFIDENCE,
    })
}

/// Whether there are ratings to judge models by. A split has some, because making it is refused otherwise.
pub fn has_test_set(split: &str) -> Result<bool, pg::Error> {
    Ok(split != "probe" || query::select_one::<bool>(Snapshot::Statement, HAS_PROBE, &[])? == Some(true))
}

/// `name@version`, as functions take it.
pub fn label(model: &str, version: i32) -> String {
    format!("{model}@{version}")
}

/// What a chart calls the ratings that judge models.
pub fn judged_by(split: &str) -> String {
    if split == "probe" { "the probe".into() } else { format!("split {split}") }
}

pub fn comparison(split: &str, models: Option<Vec<Option<String>>>) -> Result<Drawing, ReportError> {
    if models.is_none() && models::find::deployed_names()?.is_empty() {
        return Ok(Box::new(|canvas| ::chart::no_model("Models compared", canvas)));
    }
    if !has_test_set(split)? {
        return Ok(Box::new(|canvas| ::chart::no_test_set("Models compared", canvas)));
    }
    let compared = compare(split, models)?;
    Ok(Box::new(move |canvas| ::chart::comparison(&compared, canvas)))
}

/// Finds a version of a model; `None` if none is named and there is none.
fn find(model: Option<&str>, version: Option<i64>) -> Result<Option<ModelRow>, ReportError> {
    match models::find(model, version) {
        Err(ModelError::NoModels | ModelError::NoneDeployed { .. }) if model.is_none() => Ok(None),
        found => Ok(Some(found?)),
    }
}

pub fn training_curve(model: Option<&str>, version: Option<i64>) -> Result<Drawing, ReportError> {
    let Some(row) = find(model, version)? else {
        return Ok(Box::new(|canvas| ::chart::no_model("Training curve", canvas)));
    };
    let curve = read::curve(Some(&row.name), Some(row.version.into()))?.into_iter();
    let iterations = memory::collect(curve.map(|(iteration, train, held_out, _)| Iteration {
        iteration: iteration.into(),
        train,
        held_out,
    }))?;
    let name = label(&row.name, row.version);
    Ok(Box::new(move |canvas| ::chart::training_curve(&name, &iterations, canvas)))
}

pub fn error_slices(
    model: Option<&str>,
    by: &str,
    split: &str,
    version: Option<i64>,
) -> Result<Drawing, ReportError> {
    let Some(row) = find(model, version)? else {
        return Ok(Box::new(|canvas| ::chart::no_model("Errors", canvas)));
    };
    if !has_test_set(split)? {
        return Ok(Box::new(|canvas| ::chart::no_test_set("Errors", canvas)));
    }
    let sample = query::select_one::<f64>(Snapshot::Statement, SAMPLE, &[split.into()])?;
    let arguments = [row.name.as_str().into(), by.into(), split.into(), i64::from(row.version).into()];
    let slices = query::select(Snapshot::Statement, SLICES, &arguments, |row| {
        Ok(Slice { name: need!(row, 1), n: need!(row, 2), rmse: need!(row, 3) })
    })?;
    let by = match by {
        "customer_ratings" => "ratings of the customer",
        "movie_ratings" => "ratings of the movie",
        "known" => "what the model knows",
        "rating" => "stars",
        other => other,
    }
    .to_string();
    let name = label(&row.name, row.version);
    Ok(Box::new(move |canvas| ::chart::error_slices(&name, &by, &slices, sample, canvas)))
}

pub fn factor_map(model: Option<&str>, version: Option<i64>) -> Result<Drawing, ReportError> {
    let Some(row) = find(model, version)? else {
        return Ok(Box::new(|canvas| ::chart::no_model("Movies by the factors of a model", canvas)));
    };
    let name = label(&row.name, row.version);
    let ranges = models::find::origin(&row)?.factor_ranges(row.layout());
    if ranges.is_empty() {
        return Ok(Box::new(move |canvas| ::chart::factor_map(&name, &[], [0.0; 2], canvas)));
    }
    DIM_MOVIE.require(&[Privilege::Select])?;
    let known = "SELECT m.movie_key, m.rating_count, coalesce(nullif(btrim(m.title), ''), 'movie ' || m.movie_id)
                 FROM @extschema@.movie_factors f JOIN @extschema@.dim_movie m USING (movie_key)
                 WHERE f.model_id = $1 AND m.rating_count > 0 ORDER BY m.rating_count DESC, m.movie_id LIMIT $2";
    let arguments = [row.model_id.into(), MOVIES.into()];
    let movies: Vec<(i32, i64, String)> = query::select(Snapshot::Statement, known, &arguments, |row| {
        Ok((need!(row, 1), need!(row, 2), need!(row, 3)))
    })?;
    memory::declare("chart_factor_map", factor::principal_axes_memory(movies.len(), row.factors))?;
    let mut factors = factor::Side::zeros(movies.len(), row.factors)?;
    for (place, &(key, ..)) in movies.iter().enumerate() {
        if let Some((_, found)) = read::row(&row, Dimension::Movie, Key(key))? {
            factors.factors.row_mut(place).iter_mut().zip(found).for_each(|(to, factor)| *to = factor);
        }
    }
    let vectors = ranges.of_rows(factors.factors.view())?;
    let job = |cancelled: &AtomicBool, _: &mut (dyn FnMut(()) + Send)| {
        factor::principal_axes(vectors.view(), cancelled)
    };
    let axes = threads::run(guc::threads(), job, |()| {})??;
    let places = movies.into_iter().zip(axes.places);
    let movies =
        memory::collect(places.map(|((_, ratings, label), [x, y])| MapMovie { label, x, y, ratings }))?;
    Ok(Box::new(move |canvas| ::chart::factor_map(&name, &movies, axes.explained, canvas)))
}
