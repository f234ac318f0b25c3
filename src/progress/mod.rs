//! What long work in this database is doing now: `netflix_progress`.

use pgrx::datum::Interval;
use pgrx::prelude::*;

use crate::pg::progress::{ProgressEntry, entries};

/// One row for each backend and worker that loads or trains; the view `netflix_progress` shows it.
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
    let row = |entry: ProgressEntry| {
        let elapsed = Interval::from_micros((entry.elapsed * 1e6) as i64);
        let ProgressEntry { pid, role, phase, done, total, rows, waiting_for, .. } = entry;
        (pid, role, phase.name, phase.unit, done, total, rows, elapsed, waiting_for)
    };
    TableIterator::new(entries().into_iter().map(row))
}
