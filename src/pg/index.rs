//! Indexes set aside while a table is filled, and built when it is full.
//!
//! An index that is set aside is marked, in the catalog, as neither valid nor ready: plans do not use it, and inserts do
//! not maintain it. It keeps its name, its owner and its constraint.

use pgrx::{PgList, pg_sys};

use super::{Error, btree, catalog};

/// Sets aside all indexes of one of the extension's tables that are in use, and gives them. Waits for everybody who uses
/// the table, and locks them out until the transaction ends: a transaction that has used an index may use it again
/// without looking whether it is still maintained.
pub fn set_aside(table: &'static str) -> Result<Vec<pg_sys::Oid>, Error> {
    let table = catalog::table(table)?;
    // SAFETY: an existing table; the lock is the transaction's.
    unsafe { pg_sys::LockRelationOid(table, pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE) };
    let mut aside = Vec::new();
    for index in indexes(table) {
        change(index, |form| {
            let is_in_use = form.indisvalid && form.indisready;
            if is_in_use {
                (form.indisvalid, form.indisready) = (false, false);
                aside.push(index);
            }
            is_in_use
        });
    }
    // SAFETY: an existing relation; other sessions, and this one's next statement, plan anew.
    unsafe {
        pg_sys::CacheInvalidateRelcacheByRelid(table);
        pg_sys::CommandCounterIncrement();
    }
    Ok(aside)
}

/// Those of these indexes of a table that are set aside still. (One that looks alike, but is not among them, is what a
/// failed REINDEX CONCURRENTLY left behind.)
pub fn aside(table: &'static str, set_aside: &[pg_sys::Oid]) -> Result<Vec<pg_sys::Oid>, Error> {
    if set_aside.is_empty() {
        return Ok(Vec::new());
    }
    let is_aside = |index: &pg_sys::Oid| {
        if !set_aside.contains(index) {
            return false;
        }
        let mut is_aside = false;
        change(*index, |form| {
            is_aside = form.indislive && !form.indisvalid && !form.indisready;
            false
        });
        is_aside
    };
    Ok(indexes(catalog::table(table)?).into_iter().filter(is_aside).collect())
}

/// Builds an index anew, and puts it to use. A duplicate key is an error.
pub fn rebuild(index: pg_sys::Oid) {
    btree::rebuild(index);
    // SAFETY: within a transaction; what follows sees the index.
    unsafe { pg_sys::CommandCounterIncrement() };
}

fn indexes(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    // SAFETY: an existing table, locked already or for a moment here; the list is a copy.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let list = PgList::<pg_sys::Oid>::from_pg(pg_sys::RelationGetIndexList(relation));
        let indexes = list.iter_oid().collect();
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        indexes
    }
}

/// Changes an index's row in the catalog, if `change` says so.
fn change(index: pg_sys::Oid, change: impl FnOnce(&mut pg_sys::FormData_pg_index) -> bool) {
    // SAFETY: the row is a copy, whose fixed part is what the form describes; it is written back as it stands.
    unsafe {
        let catalog =
            pg_sys::table_open(pg_sys::IndexRelationId, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
        let id = pg_sys::SysCacheIdentifier::INDEXRELID as i32;
        let none = pg_sys::Datum::null();
        let tuple = pg_sys::SearchSysCacheCopy(id, pg_sys::Datum::from(index), none, none, none);
        if !tuple.is_null() {
            let header = (*tuple).t_data;
            let form = header.cast::<u8>().add((*header).t_hoff.into()).cast::<pg_sys::FormData_pg_index>();
            if change(&mut *form) {
                pg_sys::CatalogTupleUpdate(catalog, &raw mut (*tuple).t_self, tuple);
            }
            pg_sys::heap_freetuple(tuple);
        }
        pg_sys::table_close(catalog, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
    }
}
