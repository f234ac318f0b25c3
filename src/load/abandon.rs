//! Gives up an interrupted load: `netflix_load_abandon`.

use super::error::LoadError;
use super::guard::OwnWrites;
use super::ledger::{self, Run};
use super::{counts, locks};
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, catalog, interrupt, lock, query, role, transaction};
use crate::storage::indexes;
use crate::storage::scan::scan;
use crate::warehouse::tables::{CUSTOMER_FACTORS, FACT_RATINGS, MODEL, MOVIE_FACTORS, STAR_SCHEMA};
use crate::warehouse::unfinished;

/// The load that was given up.
pub struct Abandoned {
    pub run_id: i64,
    pub path: Option<String>,
    /// How many ratings it had inserted, which are deleted now.
    pub ratings_removed: i64,
}

/// Deletes the ratings that the unfinished load has inserted, and marks it as abandoned. Ratings of earlier loads stay, and so do
/// models. The role needs no privilege to delete ratings: they are deleted with the owner's rights.
pub fn abandon() -> Result<Abandoned, LoadError> {
    unfinished::refuse_restore("netflix_load_abandon")?;
    if !lock::try_lock_extension()? {
        return Err(LoadError::running());
    }
    locks::lock_writers()?;
    let run = ledger::unfinished()?.ok_or(LoadError::NothingUnfinished)?;
    refuse_user_code()?;
    let _own_writes = OwnWrites::allow();
    let disabled = indexes::still_disabled(&FACT_RATINGS, &run.disabled_indexes)?;
    let ratings_removed = role::as_owner(FACT_RATINGS.name, || {
        // With its indexes disabled, nobody else could insert ratings.
        let removed = match disabled.is_empty() {
            true => delete(&run),
            false => empty(&run),
        };
        for index in disabled {
            interrupt::check();
            indexes::rebuild(index);
        }
        removed
    })??;
    // Users may have changed ratings that the load had inserted.
    counts::recount(&[])?;
    let Run { run_id, path, .. } = run;
    query::run("DELETE FROM @extschema@.load_unit WHERE run_id = $1", &[run_id.into()])?;
    ledger::delete_inserted(run_id)?;
    query::run(
        "UPDATE @extschema@.load_run SET status = 'abandoned', finished_at = clock_timestamp(), ratings_loaded = 0
         WHERE run_id = $1",
        &[run_id.into()],
    )?;
    Ok(Abandoned { run_id, path, ratings_removed })
}

/// Refuses if a user's trigger, or a user's foreign key to our rows, would run code with the owner's rights. A caller who has these
/// rights anyway may go on.
fn refuse_user_code() -> Result<(), LoadError> {
    let mut oids = Vec::new();
    for table in STAR_SCHEMA {
        oids.push(catalog::relation(table.name)?);
    }
    let found = query::select(
        Snapshot::Latest,
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
            let text = |column| row.get::<String>(column)?.ok_or(pg::Error::Null("pg_class"));
            Ok((text(1)?, text(2)?))
        },
    )?;
    match found.into_iter().next() {
        Some((what, table)) => Err(LoadError::UserCode { what, table }),
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

/// Truncates fact_ratings. Truncates the whole star schema if no other load has brought any of it, and if no model and no user's table
/// refers to it.
fn empty(run: &Run) -> Result<i64, LoadError> {
    let mut ratings = 0;
    scan(&FACT_RATINGS, &["rating_key"], Snapshot::Latest, |_| {
        ratings += 1;
        Ok::<_, LoadError>(())
    })?;
    lock::lock_writers(MODEL.name)?;
    let is_all = query::select_one::<bool>(
        Snapshot::Latest,
        "SELECT NOT EXISTS (SELECT FROM @extschema@.model)
                AND NOT EXISTS (SELECT FROM @extschema@.load_run WHERE run_id <> $1 AND status <> 'abandoned')",
        &[run.run_id.into()],
    )?;
    let mut all = STAR_SCHEMA.to_vec();
    all.extend([&CUSTOMER_FACTORS, &MOVIE_FACTORS]);
    let all = all.into_iter().map(|table| format!("ONLY @extschema@.{}", table.name)).collect::<Vec<_>>();
    let all = format!("TRUNCATE {} RESTART IDENTITY", all.join(", "));
    if is_all != Some(true) || transaction::in_subtransaction(|| query::run(&all, &[]))?.is_err() {
        query::run("TRUNCATE ONLY @extschema@.fact_ratings", &[])?;
    }
    Ok(ratings)
}
