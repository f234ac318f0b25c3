//! A load's own row, from its beginning to its completion.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;

use super::inserted::{delete_inserted, inserted};
use crate::load::calendar::Years;
use crate::load::error::LoadError;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, query};

/// A load: a row of load_run and load_inserted.
pub struct Run {
    pub run_id: i64,
    pub path: Option<String>,
    pub status: String,
    pub started_at: TimestampWithTimeZone,
    pub files: i32,
    pub ratings_read: i64,
    pub ratings_loaded: i64,
    pub duplicates: i64,
    pub rejected: i64,
    /// How many ratings were new when it was planned.
    pub ratings_planned: i64,
    /// Keys of the ratings that it has inserted so far: ranges in ascending order, both ends included.
    pub rating_keys: Vec<(i64, i64)>,
    /// Whether fact_ratings was empty when it began.
    pub is_first: bool,
    /// Indexes of fact_ratings that it has disabled.
    pub disabled_indexes: Vec<pg_sys::Oid>,
    /// Years of its first and last day.
    pub years: Option<Years>,
    /// What the warehouse held when it was completed.
    pub customers: i64,
    pub movies: i64,
    pub probe_pairs: i64,
    pub qualifying_pairs: i64,
}

/// The load that is running or was interrupted, if there is one.
pub fn unfinished() -> Result<Option<Run>, LoadError> {
    find("status = 'loading'", &[])
}

/// The load with this run_id.
pub fn run(run_id: i64) -> Result<Option<Run>, LoadError> {
    find("run_id = $1", &[run_id.into()])
}

fn find(condition: &str, args: &[pgrx::datum::DatumWithOid<'_>]) -> Result<Option<Run>, LoadError> {
    let query = format!(
        "SELECT run_id, path, status, started_at, files, ratings_read, ratings_loaded, duplicates, rejected,
                coalesce(customers, 0), coalesce(movies, 0), coalesce(probe_pairs, 0),
                coalesce(qualifying_pairs, 0), is_first, ratings_planned,
                first_year, last_year
         FROM @extschema@.load_run WHERE {condition}"
    );
    let missing = || pg::Error::Null("load_run");
    let runs = query::select(Snapshot::Latest, &query, args, |row| {
        let int8 = |column| row.get::<i64>(column)?.ok_or_else(missing);
        Ok(Run {
            run_id: int8(1)?,
            path: row.get(2)?,
            status: row.get(3)?.ok_or_else(missing)?,
            started_at: row.get(4)?.ok_or_else(missing)?,
            files: row.get(5)?.ok_or_else(missing)?,
            ratings_read: int8(6)?,
            ratings_loaded: int8(7)?,
            duplicates: int8(8)?,
            rejected: int8(9)?,
            customers: int8(10)?,
            movies: int8(11)?,
            probe_pairs: int8(12)?,
            qualifying_pairs: int8(13)?,
            is_first: row.get(14)?.ok_or_else(missing)?,
            ratings_planned: int8(15)?,
            rating_keys: Vec::new(),
            disabled_indexes: Vec::new(),
            years: row.get(16)?.zip(row.get(17)?),
        })
    })?;
    let Some(mut run) = runs.into_iter().next() else { return Ok(None) };
    (run.rating_keys, run.disabled_indexes) = inserted(run.run_id)?;
    Ok(Some(run))
}

/// Records how many customers, movies and pairs the warehouse holds.
pub fn record_counts(run_id: i64, probe_pairs: u64) -> Result<(), LoadError> {
    query::run(
        "UPDATE @extschema@.load_run SET
             customers = (SELECT count(*) FROM @extschema@.dim_customer),
             movies = (SELECT count(*) FROM @extschema@.dim_movie),
             probe_pairs = $2,
             qualifying_pairs = (SELECT count(*) FROM @extschema@.qualifying),
             last_customer_key = (SELECT coalesce(max(customer_key), 0) FROM @extschema@.dim_customer),
             last_movie_key = (SELECT coalesce(max(movie_key), 0) FROM @extschema@.dim_movie)
         WHERE run_id = $1",
        &[run_id.into(), (probe_pairs as i64).into()],
    )
    .map_err(LoadError::from)
}

/// Records the same after a load from a query: the counts of the last load, and what has been added since. Counting everything would
/// take longer than loading a few ratings. `probe` is how many of the ratings loaded belong to the probe.
pub fn record_counts_since(run_id: i64, probe: u64) -> Result<(), LoadError> {
    let last = query::select(
        Snapshot::Latest,
        "SELECT run_id, last_customer_key, last_movie_key FROM @extschema@.load_run
         WHERE status = 'completed' AND run_id < $1 AND customers IS NOT NULL ORDER BY run_id DESC LIMIT 1",
        &[run_id.into()],
        |row| Ok((row.get::<i64>(1)?, row.get::<i32>(2)?, row.get::<i32>(3)?)),
    )?;
    if let Some(&(Some(last_run), Some(customer_key), Some(movie_key))) = last.first() {
        // The keys are parameters, so that the planner sees how few rows lie behind them.
        return query::run(
            "UPDATE @extschema@.load_run AS run SET
                 customers = last.customers + (SELECT count(*) FROM @extschema@.dim_customer WHERE customer_key > $3),
                 movies = last.movies + (SELECT count(*) FROM @extschema@.dim_movie WHERE movie_key > $4),
                 probe_pairs = last.probe_pairs + $5,
                 qualifying_pairs = last.qualifying_pairs,
                 last_customer_key = (SELECT coalesce(max(customer_key), 0) FROM @extschema@.dim_customer),
                 last_movie_key = (SELECT coalesce(max(movie_key), 0) FROM @extschema@.dim_movie)
             FROM @extschema@.load_run AS last WHERE run.run_id = $1 AND last.run_id = $2",
            &[run_id.into(), last_run.into(), customer_key.into(), movie_key.into(), (probe as i64).into()],
        )
        .map_err(LoadError::from);
    }
    let probe = "SELECT count(*) FROM @extschema@.fact_ratings WHERE is_probe";
    record_counts(run_id, query::select_one::<i64>(Snapshot::Latest, probe, &[])?.unwrap_or(0) as u64)
}

/// Marks a load and its files as completed.
pub fn complete(run_id: i64) -> Result<(), LoadError> {
    delete_inserted(run_id)?;
    query::run(
        "UPDATE @extschema@.load_file SET state = 'loaded' WHERE run_id = $1 AND state <> 'loaded'",
        &[run_id.into()],
    )?;
    query::run(
        "UPDATE @extschema@.load_run SET status = 'completed', finished_at = clock_timestamp() WHERE run_id = $1",
        &[run_id.into()],
    )
    .map_err(LoadError::from)
}
