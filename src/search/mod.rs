//! Searches for the best parameters of an algorithm: `cross_validate`, `grid_search`, `random_search`.
//!
//! ```text
//! Arguments ─> Definition ─> Search ── run: a background worker, which commits trial by trial; or the caller's transaction
//!                              │
//!                 Data, read once; folds are masks over one matrix
//!                              │
//!                 stages of trials ─> ledger: search, search_trial, search_fold ─> results
//! ```

mod cross_validate;
mod data;
mod definition;
mod error;
mod ledger;
mod results;
mod run;

use factor::Algorithm;
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::models::write::{check_name, require_write};
use crate::pg::json::JsonText;
use crate::pg::{self, guc, report, transaction};
use crate::train::{Request, TrainError};
use crate::warehouse::unfinished;
pub use cross_validate::TRYING;
use definition::{Arguments, Kind, checked_folds};
use error::SearchError;
use results::{Refit, Row};
use run::Search;
pub use run::work;

/// Trains by an algorithm and judges it, once for each fold: the ratings of a fold judge the model that was trained on the others. The
/// last row, whose `fold` is NULL, has the means over the folds and, in the columns `_sd`, the standard deviations.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn cross_validate(
    algorithm: Option<&str>,
    params: default!(Option<JsonText>, "'{}'"),
    folds: default!(Option<i64>, 5),
    seed: default!(Option<i64>, 42),
) -> Result<
    TableIterator<
        'static,
        (
            name!(fold, Option<i32>),
            name!(train_ratings, Option<i64>),
            name!(test_ratings, Option<i64>),
            name!(train_rmse, f64),
            name!(train_mae, f64),
            name!(test_rmse, f64),
            name!(test_mae, f64),
            name!(seconds, f64),
            name!(train_rmse_sd, Option<f64>),
            name!(train_mae_sd, Option<f64>),
            name!(test_rmse_sd, Option<f64>),
            name!(test_mae_sd, Option<f64>),
            name!(seconds_sd, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    let validate = || {
        let algorithm = algorithm.ok_or(pg::Error::NullArgument("algorithm"))?;
        let params = params.map_or_else(|| "{}".to_owned(), |JsonText(text)| text);
        let algorithm = Algorithm::parse_text(algorithm, &params)?;
        cross_validate::cross_validate(&algorithm, checked_folds(folds.unwrap_or(5))?, seed.unwrap_or(42))
    };
    let rows = validate().map_err(report)?.into_iter().map(|row| {
        let [train_rmse_sd, train_mae_sd, test_rmse_sd, test_mae_sd, seconds_sd] = row.deviations;
        (
            row.fold,
            row.train_ratings,
            row.test_ratings,
            row.train_rmse,
            row.train_mae,
            row.test_rmse,
            row.test_mae,
            row.seconds,
            train_rmse_sd,
            train_mae_sd,
            test_rmse_sd,
            test_mae_sd,
            seconds_sd,
        )
    });
    Ok(TableIterator::new(rows))
}

/// The arguments that both searches have.
struct Options<'a> {
    search: Option<i64>,
    seconds: Option<f64>,
    refit: Option<&'a str>,
    model: Option<&'a str>,
    deploy: Option<bool>,
}

/// Defines a SQL function that searches and returns the trials.
macro_rules! search_function {
    (
        $(#[$attribute:meta])*
        fn $name:ident($($before:tt)*) with $kind:expr, $space:ident, $trials:expr;
    ) => {
        $(#[$attribute])*
        #[pg_extern]
        #[search_path(pg_catalog, pg_temp)]
        #[allow(clippy::too_many_arguments)] // named ones, with defaults
        fn $name(
            algorithm: default!(Option<&str>, "NULL"),
            $($before)*
            folds: default!(Option<i64>, "NULL"),
            split: default!(Option<&str>, "NULL"),
            metric: default!(Option<&str>, "NULL"),
            halving: default!(Option<bool>, "NULL"),
            seconds: default!(Option<f64>, "NULL"),
            seed: default!(Option<i64>, "NULL"),
            search: default!(Option<i64>, "NULL"),
            refit: default!(Option<&str>, "NULL"),
            model: default!(Option<&str>, "NULL"),
            deploy: default!(Option<bool>, "NULL"),
            call: pg_sys::FunctionCallInfo,
        ) -> Result<
            TableIterator<
                'static,
                (
                    name!(search_id, i64),
                    name!(rank, Option<i64>),
                    name!(trial_no, i32),
                    name!(params, JsonB),
                    name!(state, String),
                    name!(sample, Option<f64>),
                    name!(score, Option<f64>),
                    name!(sd, Option<f64>),
                    name!(seconds, Option<f64>),
                    name!(error, Option<String>),
                    name!(best, bool),
                    name!(one_standard_error, bool),
                    name!(version, Option<i32>),
                ),
            >,
            ErrorReport,
        > {
            let space = $space.map(|JsonText(text)| text);
            let trials = $trials;
            let arguments = Arguments { kind: $kind, algorithm, space, trials, folds, split, metric, halving, seed };
            let options = Options { search, seconds, refit, model, deploy };
            let rows = self::search(arguments, options, call).map_err(report)?.into_iter().map(|row| {
                (
                    row.search_id,
                    row.rank,
                    row.trial_no,
                    row.params,
                    row.state,
                    row.sample,
                    row.score,
                    row.sd,
                    row.seconds,
                    row.error,
                    row.best,
                    row.one_standard_error,
                    row.version,
                )
            });
            Ok(TableIterator::new(rows))
        }
    };
}

search_function! {
    /// Tries all points of a grid of an algorithm's parameters. Returns the trials, the best one first. `search`: the number of a search
    /// that was interrupted, which goes on.
    fn grid_search(grid: default!(Option<JsonText>, "NULL"),) with Kind::Grid, grid, None;
}

search_function! {
    /// Tries points of a space of an algorithm's parameters, which are drawn at random. Returns the trials, the best one first. `search`:
    /// the number of a search that was interrupted, which goes on.
    fn random_search(
        space: default!(Option<JsonText>, "NULL"),
        trials: default!(Option<i64>, "NULL"),
    ) with Kind::Random, space, trials;
}

fn search(
    arguments: Arguments<'_>,
    options: Options<'_>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Vec<Row>, SearchError> {
    let Options { search, seconds, refit, model, deploy } = options;
    transaction::require_writable(c"a search");
    unfinished::refuse_in_load_or_restore("the search")?;
    ledger::require_write()?;
    if let Some(seconds) = seconds.filter(|seconds| seconds.is_nan() || *seconds <= 0.0) {
        let range = "above 0".into();
        return Err(SearchError::Argument { name: "seconds", value: seconds.to_string(), range });
    }
    let refit = refit.map(Refit::find).transpose()?;
    if refit.is_none() && (deploy.is_some() || model.is_some()) {
        return Err(SearchError::NoRefit);
    }
    // Before hours of searching, not after them.
    if refit.is_some() {
        require_write()?;
        model.map_or(Ok(()), check_name).map_err(TrainError::from)?;
    }
    let definition = match search {
        None => arguments.begin()?,
        Some(search) => arguments.resume(search, ledger::find(search)?.0)?,
    };
    // What was written in the transaction so far, a worker would not see; and if it is rolled back, so is the search.
    let commits = !transaction::has_transaction_id() && !transaction::is_in_block(call);
    let request = Request {
        name: model.unwrap_or(&definition.algorithm),
        train_on: "train",
        split: definition.split.as_ref().map(|(label, _)| label.as_str()),
        hold_out: 0.0,
        deploy,
    };
    let run = Search { search, definition: definition.clone(), threads: guc::threads(), seconds };
    let id = run.run(commits)?;
    let mut rows = results::rows(id)?;
    if let Some(refit) = refit {
        refit.train(&mut rows, id, &definition.algorithm, &request)?;
    }
    Ok(rows)
}
