//! Loads ratings into the star schema: `netflix_load`, `netflix_reset`.
//!
//! ```text
//! Folder ─> Survey ─> plan ─────────> facts ──────────> settle ───────────> finish
//!          (pass 1)   keys, ledger,   (pass 2)          indexes, counts     status
//!                     units of work   unit by unit      and means
//! ```
//!
//! Background workers do it and commit as they go; the caller waits for them and does the finish. Whatever interrupts
//! them, what is left to do stands in the ledger, and the next call goes on there.

mod abandon;
mod add_rating;
mod allowed;
mod dimensions;
mod error;
mod facts;
mod few;
mod from_query;
pub(crate) mod guard;
mod ledger;
mod order;
mod plan;
mod query_columns;
mod reset;
mod settle;

use std::path::Path;
use std::time::Instant;

use pgrx::datum::{Date, Interval};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use prize_format::Notice;

use crate::pg::catalog::{self, Privilege};
use crate::pg::progress::{self, Phase, Shown};
use crate::pg::{self, bulk, columns, guc, query, report, unfinished, worker};
use abandon::Abandoned;
use add_rating::Added;
use error::LoadError;
use order::Order;
pub use order::work;

/// Every table that a load reads or writes, and what its role must be allowed to do there.
const TABLES: [(&str, &[Privilege]); 9] = {
    use Privilege::{Delete, Insert, Select, Update};
    [
        ("dim_date", &[Select, Insert]),
        ("dim_customer", &[Select, Insert, Update]),
        ("dim_movie", &[Select, Insert, Update]),
        ("fact_ratings", &[Select, Insert, Update]),
        ("qualifying", &[Select, Insert, Update]),
        ("load_run", &[Select, Insert, Update]),
        ("load_file", &[Select, Insert, Update]),
        ("load_unit", &[Select, Insert, Delete]),
        ("load_reject", &[Select, Insert]),
    ]
};

/// Those that nobody else may write meanwhile, as rows go in without index entries or foreign keys being checked.
const LOCKED: [&str; 5] = ["dim_date", "dim_customer", "dim_movie", "fact_ratings", "qualifying"];

/// Loads a folder of the Prize's files. Ratings that are there already are left as they are; an interrupted load is
/// finished.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn netflix_load(
    path: Option<&str>,
    workers: default!(Option<i64>, "NULL"),
    max_rejects: default!(Option<i64>, 1000),
    call: pg_sys::FunctionCallInfo,
) -> Result<
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
    let run = load(path, workers, max_rejects, call).map_err(report)?;
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

/// Loads ratings that a query gives: customer_id, movie_id, rating and rated_on. It runs with the caller's search_path.
#[pg_extern]
fn ratings_load(
    query: Option<&str>,
    max_rejects: default!(Option<i64>, 1000),
) -> Result<
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
    let load = || {
        catalog::require_writable(c"ratings_load()");
        let query = query.ok_or(pg::Error::NullArgument("query"))?;
        check_max_rejects(max_rejects)?;
        check_tables()?;
        from_query::load(query, max_rejects.map(|max| max as u64))
    };
    let run = load().map_err(report)?;
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

/// Adds one rating, or changes the one that the customer has given the movie before: by ordinary SQL, in the caller's
/// transaction.
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
        catalog::require_writable(c"add_rating()");
        if catalog::has_old_snapshot() {
            return Err(LoadError::OldSnapshot("add_rating"));
        }
        unfinished::refuse_first("add_rating")?;
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

/// Gives up the load that was interrupted: removes the ratings that it has inserted. Earlier loads' ratings and all models stay.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn netflix_load_abandon() -> Result<
    TableIterator<'static, (name!(run_id, i64), name!(path, Option<String>), name!(ratings_removed, i64))>,
    ErrorReport,
> {
    let abandon = || {
        catalog::require_writable(c"netflix_load_abandon()");
        check_tables()?;
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

/// What long work in this database is at; the view `netflix_progress` shows it.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
pub(crate) fn netflix_progress() -> TableIterator<
    'static,
    (
        name!(pid, i32),
        name!(role, Option<String>),
        name!(phase, &'static str),
        name!(unit, &'static str),
        name!(done, i64),
        name!(total, i64),
        name!(rows, i64),
        name!(elapsed, Interval),
        name!(waiting_for, Option<i32>),
    ),
> {
    let row = |entry: progress::Entry| {
        let elapsed = Interval::from_micros((entry.elapsed * 1e6) as i64);
        let progress::Entry { pid, role, phase, unit, done, total, rows, waiting_for, .. } = entry;
        (pid, role, phase, unit, done, total, rows, elapsed, waiting_for)
    };
    TableIterator::new(progress::entries().into_iter().map(row))
}

fn load(
    path: Option<&str>,
    workers: Option<i64>,
    max_rejects: Option<i64>,
    call: pg_sys::FunctionCallInfo,
) -> Result<ledger::Run, LoadError> {
    let (path, workers) = check_call(path, workers, max_rejects)?;
    catalog::refuse_transaction_block(c"netflix_load()", call)?;
    if catalog::has_transaction_id() {
        return Err(LoadError::InTransaction);
    }
    if !catalog::try_lock_load()? {
        return Err(LoadError::running());
    }
    if unfinished::restore()? {
        return Err(pg::Error::UnfinishedRestore { what: "netflix_load" }.into());
    }
    let unfinished = ledger::unfinished()?;
    let path = match &unfinished {
        Some(run) => path_to_go_on(run, path)?,
        None => located(path)?,
    };
    let shown = Shown::start(Phase::ReadingFiles);
    for table in LOCKED {
        catalog::lock_writers_telling(table, |pids| shown.waiting_for(pids.first().copied()))?;
    }
    shown.waiting_for(None);

    match &unfinished {
        None => {
            let folder = plan::open(&path, ledger::is_empty("fact_ratings")?)?;
            match (folder.ratings.len(), folder.path.display()) {
                (0, path) => {
                    notice!("there are no files of ratings in \"{path}\": only what else it holds is loaded")
                }
                (files, path) => notice!("reading {files} files of ratings in \"{path}\""),
            }
            tell(&folder.notices);
        }
        Some(run) if run.path.as_deref() == Some(&path) => {
            notice!("going on with the load that began at {}", run.started_at)
        }
        Some(_) => notice!("looking whether \"{path}\" holds the files of the load that was interrupted"),
    }
    let order = Order::Plan { path, max_rejects: max_rejects.map(|max| max as u64), threads: workers.max(1) };
    order.perform(workers.min(1), Phase::ReadingFiles, &shown)?;
    let run = ledger::unfinished()?.ok_or(LoadError::Order)?;
    if unfinished.is_none() {
        let (read, loaded) = (run.ratings_read, run.ratings_loaded);
        notice!("found {read} ratings, {loaded} of them new; {} lines are rejected", run.rejected);
    }
    let units = ledger::units(run.run_id)?;
    if units > 0 {
        let order = Order::Facts { run_id: run.run_id, is_resumed: unfinished.is_some() };
        order.perform(workers.min(units), Phase::LoadingRatings, &shown)?;
    }
    let tasks = settle::tasks(&run)?;
    let order = Order::Settle { run_id: run.run_id, tasks: tasks.clone() };
    order.perform(workers.min(tasks.len()), Phase::BuildingIndexes, &shown)?;
    // Committed before the tables are analyzed: that may fail, by a timeout or a user's function in an index.
    Order::Complete { run_id: run.run_id }.perform(workers.min(1), Phase::Finishing, &shown)?;
    if run.ratings_loaded > 0 {
        match query::attempt(ledger::analyze)? {
            Ok(true) => {}
            Ok(false) => notice!(
                "this role may not ANALYZE the tables: have their owner or the database's do it, so that queries are planned well"
            ),
            Err(message) => {
                warning!("the load is completed, but its tables could not be analyzed: {message}")
            }
        }
    }
    ledger::run(run.run_id)?.ok_or(LoadError::Order)
}

/// A folder's path without links and detours.
fn located(path: &str) -> Result<String, LoadError> {
    let real = allowed::locate(Path::new(path), allowed::below()?.as_deref())?;
    // A text column holds no other.
    Ok(real.to_str().unwrap_or(path).to_owned())
}

/// The path for a call that is to finish a load: the load's own where that is meant, however it is written. What is left to do
/// may not need the folder, so that it may be gone.
fn path_to_go_on(run: &ledger::Run, path: &str) -> Result<String, LoadError> {
    let own = run.path.clone().unwrap_or_default();
    match located(path) {
        _ if Path::new(path) == Path::new(&own) => Ok(own),
        Ok(path) if located(&own).is_ok_and(|own| own == path) => Ok(own),
        Ok(path) => Ok(path),
        Err(_) => Err(LoadError::Unfinished { path: own }),
    }
}

/// Tells what was not read.
fn tell(notices: &[Notice]) {
    for told in notices {
        match told.is_loss() {
            true => warning!("{told}"),
            false => notice!("{told}"),
        }
    }
}

/// Checks all that can be wrong before a file is opened. Gives the path, and how many workers there should be.
fn check_call(
    path: Option<&str>,
    workers: Option<i64>,
    max_rejects: Option<i64>,
) -> Result<(&str, usize), LoadError> {
    catalog::require_writable(c"netflix_load()");
    let path = path.ok_or(pg::Error::NullArgument("path"))?;
    if !Path::new(path).is_absolute() {
        return Err(LoadError::RelativePath(path.into()));
    }
    allowed::check(Path::new(path), allowed::below()?.as_deref())?;
    check_max_rejects(max_rejects)?;
    let workers = match workers {
        Some(workers) if !(0..=worker::MOST_WORKERS as i64).contains(&workers) => {
            return Err(LoadError::Workers(workers));
        }
        Some(workers) => workers as usize,
        None => guc::threads().min(worker::MOST_WORKERS),
    };
    let workers = workers.min(guc::most_workers());
    check_tables()?;
    Ok((path, workers))
}

fn check_max_rejects(max_rejects: Option<i64>) -> Result<(), LoadError> {
    match max_rejects {
        Some(max @ ..0) => Err(LoadError::NegativeRejects(max)),
        _ => Ok(()),
    }
}

/// Checks that the role may write the tables, and that they are as they were made.
fn check_tables() -> Result<(), LoadError> {
    if !catalog::is_utf8() {
        return Err(LoadError::Encoding);
    }
    if catalog::has_old_snapshot() {
        return Err(LoadError::OldSnapshot("netflix_load"));
    }
    for (table, privileges) in TABLES {
        columns::require(table, privileges)?;
    }
    for table in ["fact_ratings", "qualifying", "dim_customer", "dim_movie"] {
        bulk::check(table)?;
    }
    Ok(())
}
