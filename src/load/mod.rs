//! Loads ratings into the star schema: `netflix_load`, `ratings_load`, `add_rating`, `netflix_load_abandon`, `netflix_reset`.
//!
//! ```text
//!                netflix_load (from_folder): the steps, each done by background workers that commit as they go
//!
//! Folder ─> Survey ─> Plan ──────────────> Insert ─────────> IndexAndCount ──> Complete ──> ANALYZE
//!                     keys, ledger,        unit by unit      indexes, probe,
//!                     units of work                          counts
//! ```
//!
//! The ledger always holds what is left to do. After any interruption, the next call goes on from there.

mod abandon;
mod add_rating;
mod calendar;
mod checks;
mod counts;
mod error;
mod file_access;
mod finish;
mod from_folder;
mod from_query;
pub(crate) mod guard;
mod insert;
mod insert_few;
mod ledger;
mod locks;
mod members;
mod phases;
mod plan;
mod query_columns;
mod rating_keys;
mod reset;
mod resume;
mod step;

use std::time::Instant;

use pgrx::datum::{Date, Interval};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::{self, query, report, transaction};
use crate::warehouse::unfinished;
use abandon::Abandoned;
use add_rating::Added;
use error::LoadError;
pub use phases::PHASES;
pub use step::work;

/// Defines a SQL function that returns one row about a load, which `$load` returns.
macro_rules! load_function {
    ($(#[$attribute:meta])* fn $name:ident($($parameters:tt)*) = $load:expr) => {
        $(#[$attribute])*
        fn $name($($parameters)*) -> Result<
            TableIterator<
                'static,
                (
                    name!(run_id, i64),
                    name!(status, String),
                    name!(files, i32),
                    name!(ratings_read, i64),
                    name!(ratings_loaded, i64),
                    name!(duplicates, i64),
                    name!(rejected, i64),
                    name!(customers, i64),
                    name!(movies, i64),
                    name!(probe_pairs, i64),
                    name!(qualifying_pairs, i64),
                    name!(elapsed, Interval),
                ),
            >,
            ErrorReport,
        > {
            let started = Instant::now();
            let run: ledger::Run = $load.map_err(report)?;
            Ok(TableIterator::once((
                run.run_id,
                run.status,
                run.files,
                run.ratings_read,
                run.ratings_loaded,
                run.duplicates,
                run.rejected,
                run.customers,
                run.movies,
                run.probe_pairs,
                run.qualifying_pairs,
                pg::interval(started.elapsed()),
            )))
        }
    };
}

load_function! {
    /// Loads a folder of the Prize's files, each rating once. If a load was interrupted, finishes it.
    #[pg_extern]
    #[search_path(pg_catalog, pg_temp)]
    fn netflix_load(
        path: Option<&str>,
        workers: default!(Option<i64>, "NULL"),
        max_rejects: default!(Option<i64>, 1000),
        call: pg_sys::FunctionCallInfo
    ) = from_folder::load(path, workers, max_rejects, call)
}

load_function! {
    /// Loads the ratings that a query returns: columns customer_id, movie_id, rating, rated_on and, if it has one, is_probe. The query
    /// runs with the caller's search_path.
    #[pg_extern]
    fn ratings_load(
        query: Option<&str>,
        max_rejects: default!(Option<i64>, 1000)
    ) = from_query::load(query, max_rejects)
}

/// Adds one rating, or changes the rating that the customer has given the movie before, in the caller's transaction.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn add_rating(
    customer_id: Option<i64>,
    movie_id: Option<i64>,
    rating: Option<f64>,
    rated_on: default!(Option<Date>, "CURRENT_DATE"),
    refresh: default!(Option<bool>, false),
) -> Result<
    TableIterator<
        'static,
        (name!(rating_key, i64), name!(action, &'static str), name!(previous_rating, Option<i16>)),
    >,
    ErrorReport,
> {
    let add = || {
        transaction::require_writable(c"add_rating()");
        if transaction::uses_one_snapshot() {
            return Err(LoadError::OldSnapshot("add_rating"));
        }
        unfinished::refuse_in_first_load_or_restore("add_rating")?;
        let customer_id = customer_id.ok_or(pg::Error::NullArgument("customer_id"))?;
        let movie_id = movie_id.ok_or(pg::Error::NullArgument("movie_id"))?;
        let rating = rating.ok_or(pg::Error::NullArgument("rating"))?;
        let rated_on = rated_on.ok_or(pg::Error::NullArgument("rated_on"))?;
        let added = add_rating::add(customer_id, movie_id, rating, rated_on)?;
        if refresh.unwrap_or(false) {
            query::run("SELECT FROM @extschema@.refresh_customer($1)", &[customer_id.into()])?;
        }
        Ok::<_, LoadError>(added)
    };
    let Added { rating_key, action, previous_rating } = add().map_err(report)?;
    Ok(TableIterator::once((rating_key, action, previous_rating)))
}

/// Gives up the load that was interrupted, and deletes the ratings that it has inserted. Ratings of earlier loads and all models stay.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn netflix_load_abandon() -> Result<
    TableIterator<'static, (name!(run_id, i64), name!(path, Option<String>), name!(ratings_removed, i64))>,
    ErrorReport,
> {
    let abandon = || {
        transaction::require_writable(c"netflix_load_abandon()");
        checks::tables("netflix_load_abandon")?;
        abandon::abandon()
    };
    let Abandoned { run_id, path, ratings_removed } = abandon().map_err(report)?;
    Ok(TableIterator::once((run_id, path, ratings_removed)))
}

/// Empties the warehouse and its models, so that another data set can be loaded.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn netflix_reset() -> Result<(), ErrorReport> {
    reset::reset().map_err(report)
}
