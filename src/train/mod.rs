//! Trains models on the warehouse's ratings: `train`, `train_estimate`, `training_curve`. What each algorithm has a function
//! for by its own name, with named arguments, is SQL around `train`.

use std::time::Instant;

use factor::{Algorithm, HoldOut, Iteration, MatrixBuilder, Metrics, RatingMatrix, Run, Size};
use pgrx::JsonB;
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::json::JsonText;
use crate::pg::model::{Deploy, Elapsed, JudgedBy, NewModel, Written};
use crate::pg::progress::{Phase, Shown};
use crate::pg::ratings::Judges;
use crate::pg::scan::Seen;
use crate::pg::{self, Error, Report, catalog, guc, interrupt, model, query, ratings, report, unfinished};

/// What the caller may get wrong.
#[derive(Debug, thiserror::Error)]
enum TrainError {
    #[error("train_on must be 'train' or 'all', not '{0}'")]
    TrainOn(String),
    #[error("hold_out must be a share of the ratings from 0 to below 1, not {0}")]
    HoldOut(f64),
    #[error("all {0} ratings are of the probe or held out")]
    AllHeldOut(usize),
    #[error("the normal equations of {side} {id} have no single solution in single precision")]
    Singular { side: &'static str, id: i32 },
    #[error("model \"{0}\" has no singular values")]
    NoSingularValues(String),
    #[error(transparent)]
    Pg(#[from] Error),
}

impl Report for TrainError {
    fn code(&self) -> PgSqlErrorCode {
        match self {
            TrainError::TrainOn(_) | TrainError::HoldOut(_) => {
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE
            }
            TrainError::NoSingularValues(_) => PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
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
            TrainError::HoldOut(_) => None,
            TrainError::NoSingularValues(_) => {
                Some("Ask a model that train_truncated_svd() has trained.".into())
            }
            TrainError::AllHeldOut(_) => {
                Some("Hold out less, or train on the probe, too: train_on => 'all'.".into())
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

/// Ratings between two looks at the memory, where there are more than were counted.
const RATINGS_A_TURN: usize = 64 * 1024;

/// Trains a model by an algorithm of this name.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn train(
    algorithm: Option<&str>,
    params: default!(Option<JsonText>, "'{}'"),
    model: default!(Option<&str>, "NULL"),
    train_on: default!(Option<&str>, "'train'"),
    hold_out: default!(Option<f64>, 0.0),
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
            name!(deployed, bool),
            name!(reason, String),
        ),
    >,
    ErrorReport,
> {
    let algorithm = parse(algorithm, params).map_err(report)?;
    let request = Request {
        name: model.unwrap_or(algorithm.name()),
        train_on: train_on.unwrap_or("train"),
        hold_out: hold_out.unwrap_or(0.0),
        deploy,
    };
    let (new, Written { version, deployed, reason }) = fit(&algorithm, &request).map_err(report)?;
    Ok(TableIterator::once((
        new.name.into(),
        version,
        new.algorithm,
        JsonB(new.params),
        new.ratings as i64,
        new.iterations as i32,
        new.train_rmse,
        new.probe_rmse,
        pg::interval(new.elapsed.so_far()),
        deployed,
        reason,
    )))
}

/// What a training with these parameters would take: memory at its height, and time from rows to rows.
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
    Ok(TableIterator::new(model::curve(model, version).map_err(report)?))
}

/// What a truncated singular value decomposition found, the largest value first; and how much of the ratings' variance it explains.
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

fn components(name: Option<&str>) -> Result<Vec<(i32, f64, f64, f64)>, TrainError> {
    let row = model::find(name, None)?;
    let missing = || Error::Null("model");
    let components = query::select(
        Seen::ByStatement,
        "SELECT s.component::int, s.value::float8, s.variance::float8, s.ratio::float8
         FROM @extschema@.model AS m,
              ROWS FROM (jsonb_array_elements_text(m.summary -> 'singular_values'),
                         jsonb_array_elements_text(m.summary -> 'explained_variance'),
                         jsonb_array_elements_text(m.summary -> 'explained_variance_ratio'))
              WITH ORDINALITY AS s (value, variance, ratio, component)
         WHERE m.model_id = $1 ORDER BY s.component",
        &[row.model_id.into()],
        |row| {
            let number = |column| row.get::<f64>(column)?.ok_or_else(missing);
            Ok((row.get::<i32>(1)?.ok_or_else(missing)?, number(2)?, number(3)?, number(4)?))
        },
    )?;
    if components.is_empty() { Err(TrainError::NoSingularValues(row.name)) } else { Ok(components) }
}

/// The key of a version of a model.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn model_id(
    model: default!(Option<&str>, "NULL"),
    version: default!(Option<i64>, "NULL"),
) -> Result<i32, ErrorReport> {
    Ok(model::find(model, version).map_err(report)?.model_id)
}

/// What is asked for beside the algorithm.
struct Request<'a> {
    name: &'a str,
    train_on: &'a str,
    hold_out: f64,
    deploy: Option<bool>,
}

fn parse(algorithm: Option<&str>, params: Option<JsonText>) -> Result<Algorithm, TrainError> {
    let algorithm = algorithm.ok_or(Error::NullArgument("algorithm"))?;
    let params = params.map_or_else(|| "{}".to_owned(), |JsonText(text)| text);
    Ok(Algorithm::parse_text(algorithm, &params)?)
}

/// Reads the ratings, trains, writes the model, and gives what was written and what became of it.
fn fit<'a>(algorithm: &Algorithm, request: &Request<'a>) -> Result<(NewModel<'a>, Written), TrainError> {
    let started = Instant::now();
    let Request { name, train_on, hold_out, deploy } = *request;
    catalog::require_writable(c"train()");
    unfinished::refuse("training")?;
    model::check_name(name)?;
    model::require_write()?;
    let threads = guc::threads();
    let progress = Shown::start(Phase::ReadingRatings);
    let Split { training, probe, held_out, customers, movies } = read(algorithm, request, &progress)?;
    notice!(
        "training on {} ratings, holding out {}",
        training.len(),
        probe.ratings.len() + held_out.ratings.len()
    );

    // Iterations are judged by what was held out for that, or else by the probe.
    let judges = if held_out.ratings.is_empty() { &probe } else { &held_out };
    let judge = if held_out.ratings.is_empty() { "probe" } else { "held-out" };
    let of = algorithm.iterations();
    let mut curve = Vec::new();
    progress.enter(Phase::Training);
    progress.update(0, of as u64, 0);
    let outcome = interrupt::run(
        threads,
        |cancelled, say: &mut (dyn FnMut(Iteration) + Send)| {
            let matrix = training.build(customers, movies, cancelled)?;
            let on_iteration = &mut |iteration| say(iteration);
            let (trained, summary) =
                algorithm.train(&matrix, &mut Run { held_out: &judges.ratings, cancelled, on_iteration })?;
            let on_probe = trained.model.judge(&probe.ratings, cancelled)?;
            Ok((matrix, trained, summary, on_probe))
        },
        |iteration| {
            progress.update(iteration.number as u64, of as u64, 0);
            notice!("{}", describe(&iteration, of, judge));
            curve.push(iteration);
        },
    )?;
    let (matrix, trained, summary, on_probe): (RatingMatrix, _, _, Option<Metrics>) =
        outcome.map_err(name_row)?;
    let factor::Trained { model, iteration } = trained;
    let new = NewModel {
        name,
        algorithm: algorithm.name(),
        params: algorithm.params(),
        train_on,
        hold_out,
        ratings: matrix.ratings(),
        iterations: iteration.number,
        train_rmse: iteration.train_rmse,
        probe_rmse: on_probe.map(|metrics| metrics.rmse),
        held_out_rmse: iteration.held_out_rmse.filter(|_| !held_out.ratings.is_empty()),
        judged_by: [&probe, &held_out]
            .into_iter()
            .find(|judges| !judges.ratings.is_empty())
            .map(JudgedBy::of),
        summary,
        curve,
        elapsed: Elapsed::Since(started),
        deploy: deploy.map_or(Deploy::IfBetter, Deploy::Told),
    };
    let trained = |table: &str, row: usize| match table {
        "movie_factors" => matrix.by_movie.count(row) > 0,
        _ => matrix.by_customer.count(row) > 0,
    };
    notice!("writing the model");
    progress.enter(Phase::WritingModel);
    let written = model::write(&new, &model, trained, &progress)?;
    if !written.deployed && deploy.is_none() {
        notice!("version {} of model \"{name}\" is not deployed: {}", written.version, written.reason);
    }
    Ok((new, written))
}

/// The warehouse's ratings, by what they are for.
struct Split {
    training: MatrixBuilder,
    probe: Judges,
    held_out: Judges,
    customers: usize,
    movies: usize,
}

fn read(algorithm: &Algorithm, request: &Request<'_>, progress: &Shown) -> Result<Split, TrainError> {
    let spares_probe = match request.train_on {
        "train" => true,
        "all" => false,
        other => return Err(TrainError::TrainOn(other.into())),
    };
    if !(0.0..1.0).contains(&request.hold_out) {
        return Err(TrainError::HoldOut(request.hold_out));
    }
    let held = HoldOut::of_training(request.hold_out);
    let size = ratings::size(Seen::ByTransaction)?;
    let threads = guc::threads();
    let memory = |customers: usize, movies: usize, ratings, held_out| {
        let (customers, movies) = (size.customers.max(customers), size.movies.max(movies));
        let ids = (customers + movies) * size_of::<u32>();
        ids + algorithm.memory(Size { customers, movies, ratings, held_out, threads })
    };
    pg::require_memory("training", memory(0, 0, size.ratings, 0))?;

    notice!("reading the ratings");
    let ids = ratings::Ids::read()?;
    let mut training = MatrixBuilder::default();
    let (mut probe, mut held_out) = (Judges::default(), Judges::default());
    let (mut customers, mut movies) = (0, 0);
    let holds_out = request.hold_out > 0.0;
    ratings::read(Seen::ByTransaction, |customer, movie, rating, is_probe| {
        customers = customers.max(customer as usize + 1);
        movies = movies.max(movie as usize + 1);
        if is_probe && spares_probe {
            probe.push(&ids, customer, movie, rating)?;
        } else if holds_out && is_held_out(&held, &ids, customer, movie) {
            held_out.push(&ids, customer, movie, rating)?;
        } else {
            training.push(customer, movie, rating)?;
        }
        let spared = probe.ratings.len() + held_out.ratings.len();
        let read = training.len() + spared;
        if read.is_multiple_of(RATINGS_A_TURN) {
            progress.update(read as u64, size.ratings as u64, read as u64);
            // The count was the loads': rows that others inserted are not in it.
            if read > size.ratings {
                pg::check_memory("training", memory(customers, movies, training.len(), spared))?;
            }
        }
        Ok(())
    })?;
    // A load may have begun meanwhile.
    unfinished::refuse("training")?;
    let spared = probe.ratings.len() + held_out.ratings.len();
    pg::check_memory("training", memory(customers, movies, training.len(), spared))?;
    if training.is_empty() && spared > 0 {
        return Err(TrainError::AllHeldOut(spared));
    }
    if training.is_empty() {
        return Err(factor::Error::NoRatings.into());
    }
    Ok(Split { training, probe, held_out, customers, movies })
}

fn is_held_out(held: &HoldOut, ids: &ratings::Ids, customer: u32, movie: u32) -> bool {
    let (customer_id, movie_id) = ids.of(customer, movie);
    held.contains(customer_id, movie_id)
}

/// Ratings read and sorted a second, and rows written, as `benches/train.sh` finds them on two cores.
const READ_A_SECOND: f64 = 15e6;
const WRITTEN_A_SECOND: f64 = 250e3;

fn estimate(algorithm: &Algorithm) -> Result<(usize, f64), TrainError> {
    let ratings::Size { customers, movies, ratings } = ratings::size(Seen::ByTransaction)?;
    let threads = guc::threads();
    let size = Size { customers, movies, ratings, held_out: 0, threads };
    let job = |cancelled: &_, _: &mut (dyn FnMut(()) + Send)| algorithm.estimate(size, cancelled);
    let training = interrupt::run(threads, job, |()| {})??;
    let rows = (customers + movies) as f64;
    let seconds = training.as_secs_f64() + ratings as f64 / READ_A_SECOND + rows / WRITTEN_A_SECOND;
    Ok((algorithm.memory(size), seconds))
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
