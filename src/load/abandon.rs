//! Gives up a load that was interrupted: `netflix_load_abandon`.

use pgrx::pg_sys::BuiltinOid;

use super::error::LoadError;
use super::guard::OwnWork;
use super::ledger::{self, Run};
use super::{LOCKED, dimensions};
use crate::pg::scan::{Column, Seen, scan};
use crate::pg::{Error, catalog, index, interrupt, query, unfinished};

/// What was given up.
pub struct Abandoned {
    pub run_id: i64,
    pub path: Option<String>,
    /// Ratings that it had inserted, and that are gone now.
    pub ratings_removed: i64,
}

/// Removes the ratings that the unfinished load has inserted, and enters that it is given up. What earlier loads brought
/// stays, and so do models. A role that may insert ratings may not delete any: that is done as the tables' owner.
pub fn abandon() -> Result<Abandoned, LoadError> {
    unfinished::refuse_restore("netflix_load_abandon")?;
    if !catalog::try_lock_load()? {
        return Err(LoadError::running());
    }
    LOCKED.iter().try_for_each(|table| catalog::lock_writers(table))?;
    let run = ledger::unfinished()?.ok_or(LoadError::NothingUnfinished)?;
    refuse_foreign()?;
    let _own_work = OwnWork::begin();
    let aside = index::aside("fact_ratings", &run.indexes_aside)?;
    let ratings_removed = query::as_owner("fact_ratings", || {
        // With its keys aside, nobody else could insert ratings.
        let removed = match aside.is_empty() {
            true => delete(&run),
            false => empty(&run),
        };
        for index in aside {
            interrupt::check();
            index::rebuild(index);
        }
        removed
    })??;
    // Somebody may have changed what the load had inserted.
    dimensions::recount(&[])?;
    let Run { run_id, path, .. } = run;
    query::run("DELETE FROM @extschema@.load_unit WHERE run_id = $1", &[run_id.into()])?;
    ledger::forget_inserted(run_id)?;
    query::run(
        "UPDATE @extschema@.load_run SET status = 'abandoned', finished_at = clock_timestamp(), ratings_loaded = 0
         WHERE run_id = $1",
        &[run_id.into()],
    )?;
    Ok(Abandoned { run_id, path, ratings_removed })
}

/// Refuses where a trigger of somebody else's, or a foreign key that refers to our rows, would run code with the owner's
/// rights, unless the caller has these.
fn refuse_foreign() -> Result<(), LoadError> {
    let mut oids = Vec::new();
    for table in LOCKED {
        oids.push(catalog::table(table)?);
    }
    let found = query::select(
        Seen::Now,
        "SELECT found.what, found.of::regclass::text FROM pg_class c, LATERAL (
             SELECT format('trigger %I', tgname), c.oid FROM pg_trigger t
             WHERE tgrelid = c.oid AND NOT tgisinternal
               AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
                               WHERE d.classid = 'pg_proc'::regclass AND d.objid = t.tgfoid AND d.deptype = 'e'
                                 AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'netflix_rec')
             UNION ALL
             SELECT format('foreign key %I', conname), conrelid FROM pg_constraint k
             WHERE contype = 'f' AND confrelid = c.oid
               AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
                               WHERE d.classid = 'pg_class'::regclass AND d.objid = k.conrelid AND d.deptype = 'e'
                                 AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'netflix_rec')
         ) AS found (what, of)
         WHERE c.oid = ANY ($1::oid[]) AND NOT pg_has_role(c.relowner, 'USAGE') LIMIT 1",
        &[oids.into()],
        |row| {
            let text = |column| row.get::<String>(column)?.ok_or(Error::Null("pg_class"));
            Ok((text(1)?, text(2)?))
        },
    )?;
    match found.into_iter().next() {
        Some((what, table)) => Err(LoadError::Foreign { what, table }),
        None => Ok(()),
    }
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

/// Empties fact_ratings at once; and the whole star schema, where no other load brought any of it and no model or table of
/// the user's refers to it.
fn empty(run: &Run) -> Result<i64, LoadError> {
    let mut ratings = 0;
    let column = Column { name: "rating_key", type_oid: BuiltinOid::INT8OID };
    scan("fact_ratings", &[column], Seen::Now, |_| {
        ratings += 1;
        Ok::<_, LoadError>(())
    })?;
    catalog::lock_writers("model")?;
    let is_all = query::select_one::<bool>(
        Seen::Now,
        "SELECT NOT EXISTS (SELECT FROM @extschema@.model)
                AND NOT EXISTS (SELECT FROM @extschema@.load_run WHERE run_id <> $1 AND status <> 'abandoned')",
        &[run.run_id.into()],
    )?;
    let all = "TRUNCATE ONLY @extschema@.fact_ratings, ONLY @extschema@.qualifying, ONLY @extschema@.dim_customer,
                        ONLY @extschema@.dim_movie, ONLY @extschema@.dim_date, ONLY @extschema@.customer_factors,
                        ONLY @extschema@.movie_factors RESTART IDENTITY";
    if is_all != Some(true) || query::attempt(|| query::run(all, &[]))?.is_err() {
        query::run("TRUNCATE ONLY @extschema@.fact_ratings", &[])?;
    }
    Ok(ratings)
}
