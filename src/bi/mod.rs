//! The materialised views that BI tools read: `bi_refresh`. The views themselves are in `sql/bi.sql`.

use std::time::Instant;

use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::progress::{Phase, Progress};
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, Error, query, report, transaction};

/// Refreshing the materialised views.
pub const REFRESHING: Phase = Phase { id: 14, name: "refreshing", unit: "views" };

/// The materialised views, in the order in which they are refreshed. The first one says when that was, and how many ratings there were.
const VIEWS: [&str; 4] = ["bi_refreshes", "bi_ratings_by_day", "bi_movie_months", "bi_recommendations"];

/// Brings the materialised views up to date, in one transaction. Others can read them meanwhile, and see the old rows until the end of
/// the transaction. PostgreSQL allows it only to the owner of the views.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn bi_refresh() -> Result<
    TableIterator<'static, (name!(view, String), name!(rows, i64), name!(elapsed, Interval))>,
    ErrorReport,
> {
    Ok(TableIterator::new(refresh().map_err(report)?))
}

fn refresh() -> Result<Vec<(String, i64, Interval)>, Error> {
    transaction::require_writable(c"bi_refresh()");
    let progress = Progress::start(&REFRESHING);
    let mut refreshed = Vec::with_capacity(VIEWS.len());
    for (done, view) in VIEWS.iter().enumerate() {
        let started = Instant::now();
        progress.enter(&REFRESHING);
        progress.update(done as u64, VIEWS.len() as u64, 0);
        query::run(&format!("REFRESH MATERIALIZED VIEW CONCURRENTLY @extschema@.{view}"), &[])?;
        let count = format!("SELECT count(*) FROM @extschema@.{view}");
        let rows = query::select_one::<i64>(Snapshot::Latest, &count, &[])?.unwrap_or(0);
        refreshed.push((view.to_string(), rows, pg::interval(started.elapsed())));
    }
    Ok(refreshed)
}
