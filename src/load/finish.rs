//! The last steps of a load, when all ratings are in: rebuilds indexes, marks the probe, counts ratings, and analyzes the tables.

use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use prize_format::{TextFile, TextKind, read_probe};
use serde::{Deserialize, Serialize};

use super::error::LoadError;
use super::{counts, ledger};
use crate::pg::snapshot::Snapshot;
use crate::pg::worker::{self, OnProgress, WorkCounter};
use crate::pg::{catalog, interrupt, query};
use crate::storage::indexes;
use crate::warehouse::tables::{FACT_RATINGS, STAR_SCHEMA};

/// A task of one worker, which commits it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Rebuilds the disabled index with this oid.
    Index(u32),
    /// Marks the probe and updates the counts of the dimensions.
    Recount,
}

/// The tasks of a load.
pub fn tasks(run: &ledger::Run) -> Result<Vec<Task>, LoadError> {
    let mut tasks = Vec::new();
    let disabled = indexes::still_disabled(&FACT_RATINGS, &run.disabled_indexes)?;
    // The primary key comes last, because it takes less time than the others: it is the index that was created first.
    tasks.extend(disabled.into_iter().rev().map(|oid| Task::Index(oid.to_u32())));
    tasks.push(Task::Recount);
    Ok(tasks)
}

/// Does tasks that no other worker has taken, until none is left. Each task commits.
pub fn finish(
    run_id: i64,
    tasks: &[Task],
    counter: &WorkCounter,
    on_progress: OnProgress<'_>,
) -> Result<(), LoadError> {
    counter.set_total(tasks.len() as u64);
    while let Some(task) = tasks.get(counter.take() as usize) {
        interrupt::check();
        worker::transaction(|| match task {
            Task::Index(oid) => rebuild(pg_sys::Oid::from(*oid)),
            Task::Recount => recount(run_id),
        })?;
        counter.add(1, 0);
        on_progress(counter);
    }
    Ok(())
}

/// Marks the probe and updates the counts of the dimensions, and the ledger's.
fn recount(run_id: i64) -> Result<(), LoadError> {
    let run = ledger::run(run_id)?.ok_or(LoadError::LedgerChanged)?;
    let files = ledger::files(run_id)?;
    let marked = mark_probe(&run, &files)?;
    let counted = counts::recount(&run.rating_keys)?;
    let of_probe = files.iter().filter(|file| file.kind == TextKind::Probe).map(|file| file.records).sum();
    let (rated, pairs) = marked.unwrap_or((counted.probe, of_probe));
    if rated < pairs {
        notice!("{} pairs of the probe have no rating and were left out", pairs - rated);
    }
    let gone = (run.ratings_loaded as u64).saturating_sub(counted.of_load);
    if gone > 0 {
        warning!(
            "{gone} of the {} ratings that this load inserted were deleted while it was interrupted",
            run.ratings_loaded
        );
    }
    ledger::record_counts(run_id, counted.probe)
}

/// Rebuilds an index. A duplicate key can only be there if somebody has bypassed the triggers that refuse writes.
fn rebuild(index: pg_sys::Oid) -> Result<(), LoadError> {
    PgTryBuilder::new(|| {
        indexes::rebuild(index);
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

/// Marks the ratings of the probe that were there before the load. Returns how many of the load's probe pairs have a rating, and how
/// many pairs there are. Returns `None` if the warehouse was empty, because then each rating was inserted with its mark.
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

/// Runs ANALYZE on the star schema, if the role may: if it owns the tables or the database or, from PostgreSQL 17 on, has the
/// privilege MAINTAIN. Returns whether it may.
pub fn analyze() -> Result<bool, LoadError> {
    let mut oids = Vec::new();
    for table in STAR_SCHEMA {
        oids.push(catalog::relation(table.name)?);
    }
    let of_table = if cfg!(any(feature = "pg14", feature = "pg15", feature = "pg16")) {
        "pg_has_role(relowner, 'USAGE')"
    } else {
        "has_table_privilege(oid, 'MAINTAIN')"
    };
    let may = query::select_one::<bool>(
        Snapshot::Latest,
        &format!(
            "SELECT bool_and({of_table}) OR
                    (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database())
             FROM pg_class WHERE oid = ANY ($1::oid[])"
        ),
        &[oids.into()],
    )?;
    if may == Some(true) {
        let tables = STAR_SCHEMA.map(|table| format!("@extschema@.{}", table.name)).join(", ");
        query::run(&format!("ANALYZE {tables}"), &[])?;
    }
    Ok(may == Some(true))
}
