//! Loads the Prize's raw files into the star schema: `netflix_load`.
//!
//! ```text
//! Folder ─> Survey ─> Keys ─> facts, dimensions, qualifying ─> ledger
//!          (pass 1)           (pass 2, movie by movie)
//! ```
//!
//! All in the caller's transaction: a load is there whole or not at all.

mod dimensions;
mod error;
mod facts;
mod ledger;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use prize_format::{Folder, Survey};

use crate::pg::catalog::{self, Privilege};
use crate::pg::{self, bulk, interrupt, report};
use dimensions::Dimension;
use error::LoadError;

/// What a load did, and what the warehouse then holds.
struct Run {
    run_id: i64,
    files: i32,
    ratings_read: i64,
    ratings_loaded: i64,
    duplicates: i64,
    rejected: i64,
    totals: ledger::Totals,
    elapsed: Duration,
}

/// When to say again how far a load is: a few times a minute.
struct Pace(Instant);

impl Pace {
    fn new() -> Pace {
        Pace(Instant::now())
    }

    fn is_due(&mut self) -> bool {
        let is_due = self.0.elapsed() >= Duration::from_secs(10);
        if is_due {
            self.0 = Instant::now();
        }
        is_due
    }
}

/// Loads a folder of the Prize's files. Ratings that are there already are left as they are.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn netflix_load(
    path: Option<&str>,
    max_rejects: default!(Option<i64>, 1000),
) -> Result<
    TableIterator<
        'static,
        (
            name!(run_id, i64),
            name!(status, &'static str),
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
    let run = load(path, max_rejects).map_err(report)?;
    Ok(TableIterator::once((
        run.run_id,
        "completed",
        run.files,
        run.ratings_read,
        run.ratings_loaded,
        run.duplicates,
        run.rejected,
        run.totals.customers,
        run.totals.movies,
        run.totals.probe_pairs,
        run.totals.qualifying_pairs,
        pg::interval(run.elapsed),
    )))
}

fn load(path: Option<&str>, max_rejects: Option<i64>) -> Result<Run, LoadError> {
    let started = Instant::now();
    let path = check_call(path, max_rejects)?;
    let folder = Folder::open(path)?;

    if !catalog::try_lock_load()? {
        return Err(LoadError::Running);
    }
    // Nobody else may write what is written without index entries or foreign keys being checked row by row.
    for table in ["dim_date", "dim_customer", "dim_movie", "fact_ratings", "qualifying"] {
        catalog::lock_writers(table)?;
    }

    notice!("reading {} files of ratings in \"{}\"", folder.ratings.len(), path.display());
    let survey = survey(&folder, max_rejects)?;
    notice!(
        "found {} ratings by {} customers; {} lines could not be used",
        survey.ratings(),
        survey.customers.len(),
        survey.rejects.count
    );
    let held = memory(&survey);
    pg::require_memory("loading", held)?;
    let mut customers = Dimension::look_up(&dimensions::CUSTOMERS, &survey.customers)?;
    let mut movies = Dimension::look_up(&dimensions::MOVIES, &survey.movies)?;
    let loaded = facts::load(&survey, &mut customers, &mut movies, held)?;
    facts::load_qualifying(&survey, &customers, &movies, held)?;
    dimensions::write_calendar(survey.days)?;
    customers.write(&[])?;
    movies.write(&survey.titles)?;
    let probe = survey.probe.len() as u64;
    // Where every pair came with its rating, none is left to look for among those that were there before.
    let missing = if loaded.probe == probe { 0 } else { probe - facts::mark_probe(&survey.probe)? };
    if missing > 0 {
        notice!("{missing} pairs of probe.txt have no rating and were left out");
    }

    let mut run = Run {
        run_id: 0,
        files: survey.files.len() as i32,
        ratings_read: survey.ratings() as i64,
        ratings_loaded: loaded.inserted as i64,
        duplicates: loaded.duplicates as i64,
        rejected: survey.rejects.count as i64,
        totals: ledger::totals()?,
        elapsed: started.elapsed(),
    };
    run.run_id = ledger::write(&run, path, &survey)?;
    if loaded.inserted > 0 && !ledger::analyze()? {
        notice!("only their owner can ANALYZE the tables: have that done, so that queries are planned well");
    }
    run.elapsed = started.elapsed();
    Ok(run)
}

/// Checks all that can be wrong before a file is opened.
fn check_call(path: Option<&str>, max_rejects: Option<i64>) -> Result<&Path, LoadError> {
    catalog::require_writable(c"netflix_load()");
    if !catalog::may_read_server_files() {
        return Err(LoadError::MayNotReadFiles);
    }
    let path = path.ok_or(pg::Error::NullArgument("path"))?;
    if !Path::new(path).is_absolute() {
        return Err(LoadError::RelativePath(path.into()));
    }
    if let Some(max @ ..0) = max_rejects {
        return Err(LoadError::NegativeRejects(max));
    }
    if !catalog::is_utf8() {
        return Err(LoadError::Encoding);
    }
    if catalog::has_old_snapshot() {
        return Err(LoadError::OldSnapshot);
    }
    let (read, write) = (Privilege::Select, Privilege::Insert);
    for table in ["dim_date", "load_run", "load_file", "load_reject", "qualifying"] {
        catalog::require(table, &[read, write])?;
    }
    for table in ["dim_customer", "dim_movie", "fact_ratings"] {
        catalog::require(table, &[read, write, Privilege::Update])?;
    }
    bulk::check("fact_ratings", &facts::FACT)?;
    bulk::check("qualifying", &facts::QUALIFYING)?;
    bulk::check("dim_customer", &dimensions::CUSTOMER)?;
    bulk::check("dim_movie", &dimensions::MOVIE)?;
    Ok(Path::new(path))
}

/// The first pass, stopped where what it finds takes more memory than it may.
fn survey(folder: &Folder, max_rejects: Option<i64>) -> Result<Survey, LoadError> {
    let (mut within_limit, mut pace) = (Ok(()), Pace::new());
    let survey = Survey::take(folder, max_rejects.map(|max| max as u64), &mut |progress| {
        interrupt::check();
        if pace.is_due() {
            notice!("read {} MB in {} files", progress.bytes >> 20, progress.files);
        }
        within_limit = pg::check_memory("loading", progress.memory);
        if within_limit.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    within_limit?;
    Ok(survey?)
}

/// About how many bytes the second pass takes beside the pairs that are there already: what the first one found, and
/// what is known of each customer and movie.
fn memory(survey: &Survey) -> usize {
    survey.memory + (survey.customers.len() + survey.movies.len()) * 64
}
