//! Whether a load or a restore of the warehouse is not finished: what is there then is a part, and must not pass for the whole.

use pgrx::datum::Array;
use pgrx::heap_tuple::PgHeapTuple;
use pgrx::{PgTupleDesc, pg_sys, warning};

use super::{Error, catalog, index};

/// A load that was begun and not completed.
#[derive(Debug)]
pub struct Load {
    /// Its folder; `None` where that is unknown.
    pub path: Option<String>,
    /// Indexes of fact_ratings that it set aside.
    aside: Vec<pg_sys::Oid>,
}

impl Load {
    /// Whether keys of fact_ratings do not hold until it is completed. (In a restored database they do: its indexes were
    /// made there.)
    pub fn has_keys_aside(&self) -> Result<bool, Error> {
        Ok(!index::aside("fact_ratings", &self.aside)?.is_empty())
    }
}

/// Finds the load that is not completed, as of now. Reads the ledger past the role's privileges: whoever may ask for
/// recommendations or insert ratings may not be allowed to read it.
pub fn load() -> Result<Option<Load>, Error> {
    let mut found = None;
    each_row("load_run", Some("load_run_unfinished"), |row| {
        if row.get_by_name::<&str>("status").ok().flatten() == Some("loading") {
            let path = row.get_by_name::<String>("path").ok().flatten();
            found = Some((row.get_by_name::<i64>("run_id").ok().flatten(), path));
        }
    })?;
    let Some((run_id, path)) = found else { return Ok(None) };
    let mut aside = Vec::new();
    each_row("load_inserted", None, |row| {
        if row.get_by_name::<i64>("run_id").ok().flatten() == run_id {
            let oids = row.get_by_name::<Array<'_, pg_sys::Oid>>("indexes_aside").ok().flatten();
            aside = oids.map(|oids| oids.iter().flatten().collect()).unwrap_or_default();
        }
    })?;
    Ok(Some(Load { path, aside }))
}

/// Whether constraints are put away for a restore that is not finished.
pub fn restore() -> Result<bool, Error> {
    let mut is_restoring = false;
    each_row("restore_constraint", None, |_| is_restoring = true)?;
    Ok(is_restoring)
}

/// Refuses what would take a part of the ratings for all of them.
pub fn refuse(what: &'static str) -> Result<(), Error> {
    refuse_restore(what)?;
    match load()? {
        Some(load) => Err(Error::UnfinishedLoad { what, path: load.path }),
        None => Ok(()),
    }
}

/// Refuses the same where it is the first load, or a restore, that is not finished.
pub fn refuse_first(what: &'static str) -> Result<(), Error> {
    refuse_restore(what)?;
    refuse_first_load(what)
}

/// Refuses what would find keys put away for a restore.
pub fn refuse_restore(what: &'static str) -> Result<(), Error> {
    if restore()? { Err(Error::UnfinishedRestore { what }) } else { Ok(()) }
}

/// Refuses what would find the keys of fact_ratings aside.
pub fn refuse_first_load(what: &'static str) -> Result<(), Error> {
    match load()? {
        Some(load) if load.has_keys_aside()? => Err(Error::UnfinishedLoad { what, path: load.path }),
        _ => Ok(()),
    }
}

/// Says that an answer is made of a part of the ratings.
pub fn warn() -> Result<(), Error> {
    if restore()? {
        warning!("a restore is not finished: the answer is made of a part of the data");
    } else if load()?.is_some() {
        warning!("a load is not finished: the answer is made of a part of the ratings");
    }
    Ok(())
}

/// Says the same where a restore or the first load is not finished. A later load does not disturb those who ask for recommendations.
pub fn warn_of_first() -> Result<(), Error> {
    let is_first = match load()? {
        Some(load) => load.has_keys_aside()?,
        None => false,
    };
    if is_first || restore()? { warn() } else { Ok(()) }
}

/// Hands on a table's rows as of now, by way of an index where there is one.
fn each_row(
    table: &'static str,
    index: Option<&'static str>,
    mut each: impl FnMut(PgHeapTuple<'_, pgrx::AllocatedByPostgres>),
) -> Result<(), Error> {
    let oid = catalog::table(table)?;
    let index = index.and_then(|index| catalog::table(index).ok());
    // SAFETY: an existing table, open and locked while it is scanned; each row is looked at before the next is fetched. What
    // an error of the server's leaves open is released by the transaction's resource owner.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let relation = pg_sys::table_open(oid, lock);
        // Beside parallel workers no newer snapshot can be taken: there, it is as of the statement.
        let snapshot = pg_sys::RegisterSnapshot(match pg_sys::IsInParallelMode() {
            true => pg_sys::GetActiveSnapshot(),
            false => pg_sys::GetLatestSnapshot(),
        });
        let scan = pg_sys::systable_beginscan(
            relation,
            index.unwrap_or(pg_sys::InvalidOid),
            index.is_some(),
            snapshot,
            0,
            std::ptr::null_mut(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let descriptor = PgTupleDesc::from_pg_unchecked((*relation).rd_att);
            each(PgHeapTuple::from_heap_tuple(descriptor, tuple));
        }
        pg_sys::systable_endscan(scan);
        pg_sys::UnregisterSnapshot(snapshot);
        pg_sys::table_close(relation, lock);
    }
    Ok(())
}
