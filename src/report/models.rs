//! Reads what charts of models show.

use std::sync::atomic::AtomicBool;

use ::chart::{Iteration, Judged, MapMovie, Slice};
use pgrx::datum::DatumWithOid;

use super::Drawing;
use super::error::ReportError;
use crate::models::{self, ModelError, ModelRow, read};
use crate::pg::catalog::Privilege;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, guc, memory, query, threads};
use crate::warehouse::dimension::{Dimension, Key};
use crate::warehouse::tables::DIM_MOVIE;

/// Models, the number of ratings that judged them, and the probability of the intervals.
pub struct Comparison {
    pub judged: Vec<Judged>,
    pub ratings: i64,
    pub confidence: f64,
}

pub const COMPARE: &str = "SELECT model, version, n, rmse, rmse_low, rmse_high, is_trained_on FROM @extschema@.compare_models($2, $1)";
pub const SLICES: &str =
    "SELECT slice, n, rmse FROM @extschema@.evaluate_slices($1, $3, $2, $4) ORDER BY slice_no";

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
    let arguments: [DatumWithOid<'_>; 2] = [split.into(), models.into()];
    let mut ratings = 0;
    let judged = query::select(Snapshot::Statement, COMPARE, &arguments, |row| {
        ratings = need!(row, 3);
        let (model, version): (String, i32) = (need!(row, 1), need!(row, 2));
        Ok(Judged {
            model: label(&model, version),
            rmse: need!(row, 4),
            low: need!(row, 5),
            high: need!(row, 6),
            is_trained_on: row.get::<bool>(7)? == Some(true),
        })
    })?;
    Ok(Comparison { judged, ratings, confidence: CONFIDENCE })
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
    let none = models.is_none() && models::find::deployed_names()?.is_empty();
    let Comparison { judged, ratings, confidence } = if none {
        Comparison { judged: Vec::new(), ratings: 0, confidence: CONFIDENCE }
    } else {
        compare(split, models)?
    };
    let split = judged_by(split);
    Ok(Box::new(move |canvas| ::chart::comparison(&judged, &split, ratings, confidence, canvas)))
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
        return Ok(Box::new(|canvas| ::chart::training_curve("no model", &[], canvas)));
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
        return Ok(Box::new(|canvas| ::chart::error_slices("no model", "slices", &[], canvas)));
    };
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
    Ok(Box::new(move |canvas| ::chart::error_slices(&name, &by, &slices, canvas)))
}

pub fn factor_map(model: Option<&str>, version: Option<i64>) -> Result<Drawing, ReportError> {
    let Some(row) = find(model, version)? else {
        return Ok(Box::new(|canvas| ::chart::factor_map("no model", &[], [0.0; 2], canvas)));
    };
    let name = label(&row.name, row.version);
    let ranges = models::find::origin(&row)?.factor_ranges(row.layout());
    if ranges.is_empty() {
        return Ok(Box::new(move |canvas| ::chart::factor_map(&name, &[], [0.0; 2], canvas)));
    }
    DIM_MOVIE.require(&[Privilege::Select])?;
    let known =
        "SELECT movie_key, rating_count, coalesce(title, 'movie ' || movie_id) FROM @extschema@.dim_movie
                 WHERE rating_count > 0 ORDER BY rating_count DESC, movie_id LIMIT $1";
    let movies: Vec<(i32, i64, String)> =
        query::select(Snapshot::Statement, known, &[MOVIES.into()], |row| {
            Ok((need!(row, 1), need!(row, 2), need!(row, 3)))
        })?;
    memory::declare("chart_factor_map", factor::principal_axes_memory(movies.len(), row.factors))?;
    let mut factors = factor::Side::zeros(movies.len(), row.factors)?;
    let mut shown = memory::filled(false, movies.len())?;
    for (place, &(key, ..)) in movies.iter().enumerate() {
        if let Some((_, found)) = read::row(&row, Dimension::Movie, Key(key))? {
            factors.factors.row_mut(place).iter_mut().zip(found).for_each(|(to, factor)| *to = factor);
            shown[place] = true;
        }
    }
    let vectors = ranges.of_rows(factors.factors.view())?;
    let job = |cancelled: &AtomicBool, _: &mut (dyn FnMut(()) + Send)| {
        factor::principal_axes(vectors.view(), cancelled)
    };
    let axes = threads::run(guc::threads(), job, |()| {})??;
    let places = movies.into_iter().zip(axes.places).zip(shown).filter(|(_, shown)| *shown);
    let movies =
        memory::collect(places.map(|(((_, ratings, label), [x, y]), _)| MapMovie { label, x, y, ratings }))?;
    Ok(Box::new(move |canvas| ::chart::factor_map(&name, &movies, axes.explained, canvas)))
}
