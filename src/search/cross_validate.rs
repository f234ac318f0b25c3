//! Trains and judges by each fold once: `cross_validate`.

use std::sync::atomic::AtomicBool;

use factor::{Algorithm, SplitKind, TrialResult, judge_trial, mean_and_deviation};

use super::data::{Data, Division, Needs};
use super::error::SearchError;
use crate::pg::progress::{Phase, Progress};
use crate::pg::{guc, threads};

/// Models are trained and judged.
pub const TRYING: Phase = Phase { id: 10, name: "training and judging", unit: "trainings" };

/// A fold's errors, or their means with standard deviations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Row {
    /// Counted from 1; `None` in the row of the means.
    pub fold: Option<i32>,
    pub train_ratings: Option<i64>,
    pub test_ratings: Option<i64>,
    pub train_rmse: f64,
    pub train_mae: f64,
    pub test_rmse: f64,
    pub test_mae: f64,
    pub seconds: f64,
    /// Of train_rmse, train_mae, test_rmse, test_mae and seconds, in the row of the means.
    pub deviations: [Option<f64>; 5],
}

/// A row for each fold, and one with the means.
pub fn cross_validate(algorithm: &Algorithm, folds: usize, seed: i64) -> Result<Vec<Row>, SearchError> {
    SplitKind::Folds { folds }.check()?;
    let threads = guc::threads();
    let needs = Needs { what: "cross_validate", algorithms: std::slice::from_ref(algorithm), threads };
    let progress = Progress::start(&TRYING);
    progress.update(0, folds as u64, 0);
    let data = Data::read(&Division::Folds(folds, seed), seed, needs, |_, _| ())?;
    let judge = |cancelled: &AtomicBool, report: &mut (dyn FnMut(usize) + Send)| {
        let judge = |fold: usize| {
            let part = |customer, movie| data.part(fold, 1.0, customer, movie);
            let judged = judge_trial(algorithm, &data.matrix, part, false, cancelled);
            report(fold + 1);
            judged
        };
        (0..folds).map(judge).collect::<Result<Vec<_>, _>>()
    };
    let judged = threads::run(threads, judge, |done| progress.update(done as u64, folds as u64, 0))??;
    let mut rows = judged.iter().enumerate().map(|(fold, result)| row(fold, result)).collect::<Vec<_>>();
    let of = |value: fn(&Row) -> f64| mean_and_deviation(&rows.iter().map(value).collect::<Vec<_>>());
    let train_rmse = of(|row| row.train_rmse);
    let train_mae = of(|row| row.train_mae);
    let test_rmse = of(|row| row.test_rmse);
    let test_mae = of(|row| row.test_mae);
    let seconds = of(|row| row.seconds);
    rows.push(Row {
        train_rmse: train_rmse.0,
        train_mae: train_mae.0,
        test_rmse: test_rmse.0,
        test_mae: test_mae.0,
        seconds: seconds.0,
        deviations: [train_rmse.1, train_mae.1, test_rmse.1, test_mae.1, seconds.1],
        ..Row::default()
    });
    Ok(rows)
}

fn row(fold: usize, result: &TrialResult) -> Row {
    Row {
        fold: Some(fold as i32 + 1),
        train_ratings: Some(result.train.n as i64),
        test_ratings: Some(result.test.n as i64),
        train_rmse: result.train.rmse,
        train_mae: result.train.mae,
        test_rmse: result.test.rmse,
        test_mae: result.test.mae,
        seconds: result.elapsed.as_secs_f64(),
        deviations: [None; 5],
    }
}
