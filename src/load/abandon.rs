//! Gives up a load that was interrupted: `netflix_load_abandon`.

use pgrx::pg_sys::BuiltinOid;

use super::dimensions;
use super::error::LoadError;
use super::guard::OwnWork;
use super::ledger::{self, Run};
use crate::pg::scan::{Column, Seen, scan};
use crate::pg::{catalog, index, interrupt, query};

/// What was given up.
pub struct Abandoned {
    pub run_id: i64,
    pub path: Option<String>,
    /// Ratings that it had inserted, and that are gone now.
    pub ratings_removed: i64,
}

/// Removes the ratings that the unfinished load has inserted, and enters that it is given up. What earlier loads brought
/// stays, and so do models. Runs as the tables' owner, because a role that may insert ratings may not delete any.
pub fn abandon() -> Result<Abandoned, LoadError> {
    if !catalog::try_lock_load()? {
        return Err(LoadError::running());
    }
    let run = ledger::unfinished()?.ok_or(LoadError::NothingUnfinished)?;
    let _own_work = OwnWork::begin();
    let ratings_removed = query::as_owner("fact_ratings", || remove(&run))??;
    let Run { run_id, path, .. } = run;
    Ok(Abandoned { run_id, path, ratings_removed })
}

fn remove(run: &Run) -> Result<i64, LoadError> {
    let aside = index::aside("fact_ratings", &run.indexes_aside)?;
    // With its keys aside, nobody else could insert ratings.
    let removed = match aside.is_empty() {
        true => delete(run)?,
        false => empty()?,
    };
    for index in aside {
        interrupt::check();
        index::rebuild(index);
    }
    if run.customers > 0 {
        // It had been counted.
        dimensions::recount(&[])?;
    }
    query::run("DELETE FROM @extschema@.load_unit WHERE run_id = $1", &[run.run_id.into()])?;
    query::run(
        "UPDATE @extschema@.load_run SET status = 'abandoned', finished_at = clock_timestamp(), rating_keys = '{}',
                ratings_loaded = 0
         WHERE run_id = $1",
        &[run.run_id.into()],
    )?;
    Ok(removed)
}

/// Deletes the load's own ratings.
fn delete(run: &Run) -> Result<i64, LoadError> {
    let mut removed = 0;
    for &(first, last) in &run.rating_keys {
        interrupt::check();
        removed += query::run_one::<i64>(
            "WITH gone AS (DELETE FROM @extschema@.fact_ratings WHERE rating_key BETWEEN $1 AND $2 RETURNING 1)
             SELECT count(*) FROM gone",
            &[first.into(), last.into()],
        )?
        .unwrap_or(0);
    }
    Ok(removed)
}

/// Empties the star schema at once, as the load was the first. Customers and movies stay where models or tables of the user's
/// refer to them.
fn empty() -> Result<i64, LoadError> {
    let mut ratings = 0;
    let column = Column { name: "rating_key", type_oid: BuiltinOid::INT8OID };
    scan("fact_ratings", &[column], Seen::Now, |_| {
        ratings += 1;
        Ok::<_, LoadError>(())
    })?;
    let all = "TRUNCATE @extschema@.fact_ratings, @extschema@.qualifying, @extschema@.dim_customer, @extschema@.dim_movie,
                        @extschema@.dim_date, @extschema@.customer_factors, @extschema@.movie_factors RESTART IDENTITY";
    if !ledger::is_empty("model")? || query::attempt(|| query::run(all, &[]))?.is_err() {
        query::run("TRUNCATE @extschema@.fact_ratings, @extschema@.qualifying", &[])?;
    }
    Ok(ratings)
}
