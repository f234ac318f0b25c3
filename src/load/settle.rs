//! What is left to do when all ratings are in: indexes, the probe's marks, counts and means.

use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use prize_format::{Kind, TextFile, read_probe};
use serde::{Deserialize, Serialize};

use super::error::LoadError;
use super::order::Watch;
use super::{dimensions, ledger};
use crate::pg::worker::{self, Board};
use crate::pg::{index, interrupt, query};

/// Something that one worker does and commits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Builds an index of this oid that was set aside.
    Index(u32),
    /// Marks the probe and brings the dimensions' counts up to date.
    Recount,
}

/// What there is to do.
pub fn tasks(run: &ledger::Run) -> Result<Vec<Task>, LoadError> {
    let mut tasks = Vec::new();
    let aside = index::aside("fact_ratings", &run.indexes_aside)?;
    // The primary key was made first: those that came after it take longer to build.
    tasks.extend(aside.into_iter().rev().map(|oid| Task::Index(oid.to_u32())));
    tasks.push(Task::Recount);
    Ok(tasks)
}

/// Does tasks that nobody has taken until none is left, and commits each.
pub fn settle(run_id: i64, tasks: &[Task], board: &Board, watch: Watch<'_>) -> Result<(), LoadError> {
    board.set_total(tasks.len() as u64);
    while let Some(task) = tasks.get(board.take() as usize) {
        interrupt::check();
        worker::transaction(|| match task {
            Task::Index(oid) => rebuild(pg_sys::Oid::from(*oid)),
            Task::Recount => {
                let run = ledger::run(run_id)?.ok_or(LoadError::Order)?;
                let files = ledger::files(run_id)?;
                let marked = mark_probe(&run, &files)?;
                let counted = dimensions::recount(&run.rating_keys)?;
                let of_probe =
                    files.iter().filter(|file| file.kind == Kind::Probe).map(|file| file.records).sum();
                let (rated, pairs) = marked.unwrap_or((counted.probe, of_probe));
                if rated < pairs {
                    notice!("{} pairs of the probe have no rating and were left out", pairs - rated);
                }
                let gone = (run.ratings_loaded as u64).saturating_sub(counted.of_load);
                if gone > 0 {
                    warning!(
                        "{gone} of the {} ratings that this load inserted are gone: they were deleted while it was interrupted",
                        run.ratings_loaded
                    );
                }
                ledger::count(run_id, counted.probe)
            }
        })?;
        board.add(1, 0);
        watch(board);
    }
    Ok(())
}

/// Builds an index. A key that is there twice was inserted past the triggers that refuse it.
fn rebuild(index: pg_sys::Oid) -> Result<(), LoadError> {
    PgTryBuilder::new(|| {
        index::rebuild(index);
        Ok(())
    })
    .catch_when(PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION, |error| match error {
        CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => {
            let message = report.detail().unwrap_or_else(|| report.message());
            Err(LoadError::Repeated(message.trim_end_matches('.').into()))
        }
        CaughtError::RustPanic { ereport, .. } => Err(LoadError::Repeated(ereport.message().into())),
    })
    .execute()
}

/// Marks the probe's ratings that were there before the load. Gives how many of the load's probe pairs have a rating, and
/// how many there are; `None` where each came with its mark, into an empty warehouse.
fn mark_probe(run: &ledger::Run, files: &[TextFile]) -> Result<Option<(u64, u64)>, LoadError> {
    if run.is_first {
        return Ok(None);
    }
    let probe = read_probe(files, &|| {
        interrupt::check();
        Ok(())
    })?;
    let mut rated = 0;
    for pairs in probe.chunks(10_000) {
        let (movies, customers): (Vec<i32>, Vec<i32>) =
            pairs.iter().map(|&(movie, customer)| (movie as i32, customer as i32)).unzip();
        let found = query::run_one::<i64>(
            "WITH rated AS (
                 SELECT f.rating_key, f.is_probe FROM unnest($1::int[], $2::int[]) AS pair (movie_id, customer_id)
                 JOIN @extschema@.dim_movie USING (movie_id) JOIN @extschema@.dim_customer USING (customer_id)
                 JOIN @extschema@.fact_ratings f USING (customer_key, movie_key)
             ), marked AS (
                 UPDATE @extschema@.fact_ratings f SET is_probe = true FROM rated
                 WHERE f.rating_key = rated.rating_key AND NOT rated.is_probe
             )
             SELECT count(*) FROM rated",
            &[movies.into(), customers.into()],
        )?;
        rated += found.unwrap_or(0) as u64;
        interrupt::check();
    }
    Ok(Some((rated, probe.len() as u64)))
}
