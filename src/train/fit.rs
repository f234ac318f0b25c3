//! A training: reads the ratings, runs the algorithm, writes the model.

use std::time::Instant;

use factor::{Algorithm, Callbacks, Iteration, Metrics, RatingMatrix, TrainingData};
use pgrx::notice;

use super::error::TrainError;
use super::split::{self, READING_RATINGS, Split};
use crate::models::deploy::{Deploy, JudgedBy};
use crate::models::write::{Elapsed, NewModel, WRITING_MODEL, Written, check_name, require_write, write};
use crate::pg::progress::{Phase, Progress};
use crate::pg::snapshot::Snapshot;
use crate::pg::{guc, query, threads, transaction};
use crate::warehouse::dimension::{Dimension, MatrixRow};
use crate::warehouse::unfinished;

/// The algorithm runs.
pub const TRAINING: Phase = Phase { id: 6, name: "training", unit: "iterations" };

/// The arguments of a training, beside the algorithm and its parameters.
pub struct Request<'a> {
    pub name: &'a str,
    pub train_on: &'a str,
    pub hold_out: f64,
    pub deploy: Option<bool>,
}

/// Reads the ratings, trains, and writes the model. Returns what was written.
pub fn fit<'a>(algorithm: &Algorithm, request: &Request<'a>) -> Result<(NewModel<'a>, Written), TrainError> {
    let started = Instant::now();
    let Request { name, train_on, hold_out, deploy } = *request;
    transaction::require_writable(c"train()");
    unfinished::refuse_in_load_or_restore("training")?;
    check_name(name)?;
    require_write()?;
    let threads = guc::threads();
    let progress = Progress::start(&READING_RATINGS);
    let Split { training, probe, held_out, customers, movies } =
        split::read(algorithm, train_on, hold_out, &progress)?;
    notice!(
        "training on {} ratings, holding out {}",
        training.len(),
        probe.ratings.len() + held_out.ratings.len()
    );

    // Iterations are judged by the held-out ratings if there are any, and by the probe otherwise.
    let judged_by = if held_out.ratings.is_empty() { &probe } else { &held_out };
    let set = if held_out.ratings.is_empty() { "probe" } else { "held-out" };
    let of = algorithm.iterations();
    let mut curve = Vec::new();
    progress.enter(&TRAINING);
    progress.update(0, of as u64, 0);
    let outcome = threads::run(
        threads,
        |cancelled, report: &mut (dyn FnMut(Iteration) + Send)| {
            let matrix = training.build(customers, movies, cancelled)?;
            let on_iteration = &mut |iteration| report(iteration);
            let data = TrainingData::new(&matrix, &judged_by.ratings);
            let trained = algorithm.train(data, &mut Callbacks { cancelled, on_iteration })?;
            let on_probe = trained.model.evaluate(&probe.ratings, cancelled)?;
            Ok((matrix, trained, on_probe))
        },
        |iteration| {
            progress.update(iteration.number as u64, of as u64, 0);
            notice!("{}", describe(&iteration, of, set));
            curve.push(iteration);
        },
    )?;
    let (matrix, trained, on_probe): (RatingMatrix, _, Option<Metrics>) = outcome.map_err(with_id)?;
    let factor::Trained { model, iteration, summary } = trained;
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
            .find(|set| !set.ratings.is_empty())
            .map(|set| JudgedBy { ratings: set.ratings.len() as i64, digest: set.digest.to_i64() }),
        summary,
        curve,
        elapsed: Elapsed::Since(started),
        deploy: deploy.map_or(Deploy::IfBetter, Deploy::Explicit),
    };
    let is_trained = |dimension, row: MatrixRow| match dimension {
        Dimension::Customer => matrix.by_customer.count(row.index()) > 0,
        Dimension::Movie => matrix.by_movie.count(row.index()) > 0,
    };
    notice!("writing the model");
    progress.enter(&WRITING_MODEL);
    let written = write(&new, &model, is_trained, &progress)?;
    if !written.deployed && deploy.is_none() {
        notice!("version {} of model \"{name}\" is not deployed: {}", written.version, written.reason);
    }
    Ok((new, written))
}

/// Names the customer or movie of a singular system by its id.
fn with_id(error: factor::Error) -> TrainError {
    let factor::Error::Singular { side, row } = error else { return error.into() };
    let query = format!("SELECT {side}_id FROM @extschema@.dim_{side} WHERE {side}_key = $1");
    match query::select_one::<i32>(Snapshot::Transaction, &query, &[(row as i32 + 1).into()]) {
        Ok(Some(id)) => TrainError::Singular { side, id },
        _ => error.into(),
    }
}

/// The notice about an iteration. `set` names the ratings that it was judged by.
fn describe(iteration: &Iteration, of: usize, set: &str) -> String {
    let Iteration { number, train_rmse, held_out_rmse, elapsed } = iteration;
    let judged = held_out_rmse.map_or(String::new(), |rmse| format!(", {set} RMSE {rmse:.4}"));
    format!("iteration {number}/{of}: train RMSE {train_rmse:.4}{judged}, {:.1} s", elapsed.as_secs_f64())
}
