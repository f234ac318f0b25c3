//! Trains models on the warehouse's ratings: `train_als`.

use std::time::Instant;

use factor::als::{self, Iteration};
use factor::{HoldOut, MatrixBuilder, Metrics, RatingMatrix, Ratings};
use pgrx::JsonB;
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::model::NewModel;
use crate::pg::scan::Seen;
use crate::pg::{self, Error, Report, catalog, guc, interrupt, model, query, ratings, report};

/// What the caller may get wrong.
#[derive(Debug, thiserror::Error)]
enum TrainError {
    #[error("train_on must be 'train' or 'all', not '{0}'")]
    TrainOn(String),
    #[error("the model's name must be 1 to {LONGEST_NAME} bytes long, not {0}")]
    Name(usize),
    #[error("hold_out must be a share of the ratings from 0 to below 1, not {0}")]
    HoldOut(f64),
    #[error("all {0} ratings are held out")]
    AllHeldOut(usize),
    #[error("the normal equations of {side} {id} have no single solution in single precision")]
    Singular { side: &'static str, id: i32 },
    #[error(transparent)]
    Pg(#[from] Error),
}

impl Report for TrainError {
    fn code(&self) -> PgSqlErrorCode {
        match self {
            TrainError::TrainOn(_) | TrainError::HoldOut(_) | TrainError::Name(_) => {
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE
            }
            TrainError::AllHeldOut(_) => PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            TrainError::Singular { .. } => PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            TrainError::Pg(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            TrainError::Pg(error) => error.detail(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            TrainError::TrainOn(_) => Some("'train' leaves the probe out, 'all' takes every rating.".into()),
            TrainError::HoldOut(_) | TrainError::Name(_) => None,
            TrainError::AllHeldOut(_) => {
                Some("Train on the probe, too: train_on => 'all'; or hold out less.".into())
            }
            TrainError::Singular { .. } => Some("Raise regularization and bias_regularization.".into()),
            TrainError::Pg(error) => error.hint(),
        }
    }
}

impl From<factor::Error> for TrainError {
    fn from(error: factor::Error) -> TrainError {
        TrainError::Pg(error.into())
    }
}

/// Bytes in a model's name: it has to fit into an index.
const LONGEST_NAME: usize = 255;

/// Ratings between two looks at the memory, where there are more than were counted.
const RATINGS_A_TURN: usize = 64 * 1024;

/// A trained model, as the SQL function shows it.
struct Trained {
    name: String,
    version: i32,
    params: serde_json::Value,
    ratings: usize,
    iterations: usize,
    train_rmse: f64,
    probe_rmse: Option<f64>,
    started: Instant,
}

/// Trains a model by alternating least squares.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::too_many_arguments)] // they are named in SQL
fn train_als(
    model: default!(Option<&str>, "'als'"),
    factors: default!(Option<i32>, 50),
    iterations: default!(Option<i32>, 15),
    regularization: default!(Option<f32>, 0.06),
    bias_regularization: default!(Option<f32>, 0.02),
    tolerance: default!(Option<f32>, 0.0),
    hold_out: default!(Option<f32>, 0.0),
    train_on: default!(Option<&str>, "'train'"),
    seed: default!(Option<i64>, 42),
    deploy: default!(Option<bool>, "NULL"),
) -> Result<
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
            name!(elapsed, Interval),
        ),
    >,
    ErrorReport,
> {
    // A NULL stands for the default.
    let default = als::Params::default();
    let params = als::Params {
        factors: count("factors", factors, default.factors).map_err(report)?,
        iterations: count("iterations", iterations, default.iterations).map_err(report)?,
        regularization: regularization.map_or(default.regularization, decimal),
        bias_regularization: bias_regularization.map_or(default.bias_regularization, decimal),
        tolerance: tolerance.map_or(default.tolerance, decimal),
        seed: seed.map_or(default.seed, |seed| seed as u64),
    };
    let hold_out = hold_out.map_or(0.0, decimal);
    let trained = train(model.unwrap_or("als"), &params, hold_out, train_on.unwrap_or("train"), deploy)
        .map_err(report)?;
    Ok(TableIterator::once((
        trained.name,
        trained.version,
        "als",
        JsonB(trained.params),
        trained.ratings as i64,
        trained.iterations as i32,
        trained.train_rmse,
        trained.probe_rmse,
        pg::interval(trained.started.elapsed()),
    )))
}

fn train(
    name: &str,
    params: &als::Params,
    hold_out: f64,
    train_on: &str,
    deploy: Option<bool>,
) -> Result<Trained, TrainError> {
    let started = Instant::now();
    catalog::require_writable(c"train_als()");
    let spares_probe = match train_on {
        "train" => true,
        "all" => false,
        other => return Err(TrainError::TrainOn(other.into())),
    };
    if !(0.0..1.0).contains(&hold_out) {
        return Err(TrainError::HoldOut(hold_out));
    }
    let held = HoldOut::new(hold_out, params.seed);
    if !(1..=LONGEST_NAME).contains(&name.len()) {
        return Err(TrainError::Name(name.len()));
    }
    params.check()?;
    model::require_write()?;
    let size = ratings::size(Seen::ByTransaction)?;
    let threads = guc::threads();
    let memory = |customers: usize, movies: usize, ratings, held_out| {
        params.memory(size.customers.max(customers), size.movies.max(movies), ratings, held_out, threads)
    };
    pg::require_memory("training", memory(0, 0, size.ratings, 0))?;

    notice!("reading the ratings");
    let mut training = MatrixBuilder::default();
    let (mut probe, mut held_out) = (Ratings::default(), Ratings::default());
    let (mut customers, mut movies) = (0, 0);
    ratings::read(Seen::ByTransaction, |customer, movie, rating, is_probe| {
        customers = customers.max(customer as usize + 1);
        movies = movies.max(movie as usize + 1);
        if is_probe && spares_probe {
            probe.try_push(customer, movie, rating)?;
        } else if held.contains(customer, movie) {
            held_out.try_push(customer, movie, rating)?;
        } else {
            training.push(customer, movie, rating)?;
        }
        // The count was the loads': rows that others inserted are not in it.
        let spared = probe.len() + held_out.len();
        let read = training.len() + spared;
        if read > size.ratings && read.is_multiple_of(RATINGS_A_TURN) {
            pg::check_memory("training", memory(customers, movies, training.len(), spared))?;
        }
        Ok(())
    })?;
    let spared = probe.len() + held_out.len();
    pg::check_memory("training", memory(customers, movies, training.len(), spared))?;
    if training.is_empty() && spared > 0 {
        return Err(TrainError::AllHeldOut(spared));
    }
    if training.is_empty() {
        return Err(factor::Error::NoRatings.into());
    }
    notice!("training on {} ratings, holding out {spared}", training.len());

    // Sweeps are judged by what was held out for that, or else by the probe.
    let judge = if held_out.is_empty() { "probe" } else { "held-out" };
    let outcome = interrupt::run(
        threads,
        |cancelled, say: &mut (dyn FnMut(Iteration) + Send)| {
            let matrix = training.build(customers, movies, cancelled)?;
            let judges = if held_out.is_empty() { &probe } else { &held_out };
            let trained = als::train(&matrix, judges, params, cancelled, &mut |iteration| say(iteration))?;
            let on_probe = trained.model.judge(&probe, cancelled)?;
            Ok((matrix, trained, on_probe))
        },
        |iteration| notice!("{}", describe(&iteration, params.iterations, judge)),
    )?;
    let (matrix, als::Trained { model, iteration }, on_probe): (RatingMatrix, _, Option<Metrics>) =
        outcome.map_err(name_row)?;
    let json = serde_json::json!({
        "factors": params.factors,
        "iterations": params.iterations,
        "regularization": params.regularization,
        "bias_regularization": params.bias_regularization,
        "tolerance": params.tolerance,
        "hold_out": hold_out,
        "train_on": train_on,
        "seed": params.seed as i64,
    });
    let new = NewModel {
        name,
        algorithm: "als",
        params: json.clone(),
        ratings: matrix.ratings(),
        iterations: iteration.number,
        train_rmse: iteration.train_rmse,
        probe_rmse: on_probe.map(|metrics| metrics.rmse),
        started,
        deploy,
    };
    let trained = |table: &str, row: usize| match table {
        "movie_factors" => matrix.by_movie.count(row) > 0,
        _ => matrix.by_customer.count(row) > 0,
    };
    notice!("writing the model");
    let version = model::write(&new, &model, trained)?;
    Ok(Trained {
        name: name.into(),
        version,
        params: json,
        ratings: new.ratings,
        iterations: new.iterations,
        train_rmse: new.train_rmse,
        probe_rmse: new.probe_rmse,
        started,
    })
}

/// A parameter that counts something: the crate's type for it has no negative numbers.
fn count(name: &'static str, given: Option<i32>, default: usize) -> Result<usize, Error> {
    let Some(given) = given else { return Ok(default) };
    usize::try_from(given)
        .map_err(|_| factor::Error::Parameter { name, value: given.to_string(), range: "at least 1" }.into())
}

/// Says which customer or movie a row of the matrix is.
fn name_row(error: factor::Error) -> TrainError {
    let factor::Error::Singular { side, row } = error else { return error.into() };
    let query = format!("SELECT {side}_id FROM @extschema@.dim_{side} WHERE {side}_key = $1");
    match query::select_one::<i32>(Seen::ByTransaction, &query, &[(row as i32 + 1).into()]) {
        Ok(Some(id)) => TrainError::Singular { side, id },
        _ => error.into(),
    }
}

fn describe(iteration: &Iteration, of: usize, judge: &str) -> String {
    let Iteration { number, train_rmse, held_out_rmse, elapsed } = iteration;
    let judged = held_out_rmse.map_or(String::new(), |rmse| format!(", {judge} RMSE {rmse:.4}"));
    format!("iteration {number}/{of}: train RMSE {train_rmse:.4}{judged}, {:.1} s", elapsed.as_secs_f64())
}

/// The number that was written, not the nearest one of single precision: 0.06, not 0.05999999865889549.
fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}
