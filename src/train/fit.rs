//! A training: reads the ratings, runs the algorithm, writes the model.

use std::time::Instant;

use factor::{Algorithm, Callbacks, Iteration, Metrics, RatingMatrix, TrainingData};
use pgrx::notice;

use super::error::TrainError;
use super::split::{self, Divided};
use crate::models::deploy::{Deploy, JudgedBy};
use crate::models::write::{Elapsed, NewModel, WRITING_MODEL, Written, check_name, require_write, write};
use crate::pg::progress::{Phase, Progress};
use crate::pg::snapshot::Snapshot;
use crate::pg::{guc, query, threads, transaction};
use crate::warehouse::dimension::{Dimension, MatrixRow};
use crate::warehouse::ratings::READING_RATINGS;
use crate::warehouse::unfinished;

/// The algorithm runs.
pub const TRAINING: Phase = Phase { id: 6, name: "training", unit: "iterations" };

/// The arguments of a training, beside the algorithm and its parameters.
pub struct Request<'a> {
    pub name: &'a str,
    pub train_on: &'a str,
    pub split: Option<&'a str>,
    pub hold_out: f64,
    pub deploy: Option<bool>,
}

/// Reads the ratings, trains, and writes the model. Returns what was written.
pub fn fit<'a>(algorithm: &Algorithm, request: &Request<'a>) -> Result<(NewModel<'a>, Written), TrainError> {
    let started = Instant::now();
    let Request { name, train_on, split, hold_out, deploy } = *request;
    transaction::require_writable(c"train()");
    unfinished::refuse_in_load_or_restore("training")?;
    check_name(name)?;
    require_write()?;
    let threads = guc::threads();
    let progress = Progress::start(&READING_RATINGS);
    let found = split::find(train_on, split)?;
    let Divided { training, test, held_out, left_out, customers, movies } =
        split::read(algorithm, found.as_ref(), hold_out, &progress)?;
    let sample = found.as_ref().and_then(|split| split.sampled_customers());
    notice!(
        "training on {} ratings{}, holding out {}",
        training.len(),
        sample.map_or(String::new(), |share| format!(" of a sample of {} % of the customers", 100.0 * share)),
        test.ratings.len() + held_out.ratings.len()
    );

    // Iterations are judged by the held-out ratings if there are any, and by the test set otherwise. The test set, which models are
    // compared by, has no say in when to stop.
    let stops_by_held_out = !held_out.ratings.is_empty();
    let judged_by = if stops_by_held_out { &held_out } else { &test };
    let set = match split {
        _ if stops_by_held_out => "held-out",
        Some(_) => "test",
        None => "probe",
    };
    let of = algorithm.iterations();
    let mut curve = Vec::new();
    progress.enter(&TRAINING);
    progress.update(0, of as u64, 0);
    let outcome = threads::run(
        threads,
        |cancelled, report: &mut (dyn FnMut(Iteration) + Send)| {
            let matrix = training.build(customers, movies, cancelled)?;
            let on_iteration = &mut |iteration| report(iteration);
            let data = TrainingData { stops_by_held_out, ..TrainingData::new(&matrix, &judged_by.ratings) };
            let trained = algorithm.train(data, &mut Callbacks { cancelled, on_iteration })?;
            let on_test = trained.model.evaluate(&test.ratings, cancelled)?;
            Ok((matrix, trained, on_test))
        },
        |iteration| {
            progress.update(iteration.number as u64, of as u64, 0);
            notice!("{}", describe(&iteration, of, set));
            curve.push(iteration);
        },
    )?;
    let (matrix, trained, on_test): (RatingMatrix, _, Option<Metrics>) = outcome.map_err(with_id)?;
    let factor::Trained { model, iteration, summary } = trained;
    let test_rmse = on_test.map(|metrics| metrics.rmse);
    let new = NewModel {
        name,
        algorithm: algorithm.name(),
        params: algorithm.params(),
        train_on,
        split: found.filter(|_| split.is_some()),
        hold_out,
        ratings: matrix.ratings(),
        iterations: iteration.number,
        train_rmse: iteration.train_rmse,
        probe_rmse: test_rmse.filter(|_| split.is_none()),
        test_rmse: test_rmse.filter(|_| split.is_some()),
        held_out_rmse: iteration.held_out_rmse.filter(|_| stops_by_held_out),
        judged_by: [&test, &held_out]
            .into_iter()
            .find(|set| !set.ratings.is_empty())
            .map(|set| JudgedBy { ratings: set.ratings.len() as i64, digest: set.digest.to_i64() }),
        left_out: Some(left_out.to_i64()),
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
