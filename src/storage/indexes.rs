//! Indexes that are disabled while a table is filled, and rebuilt when it is full.
//!
//! The catalog marks a disabled index as neither valid nor ready (`indisvalid`, `indisready`): plans do not use it, and inserts
//! add no entries to it. It keeps its name, its owner and its constraint.

use pgrx::{PgList, pg_sys};

use super::btree;
use super::table::Table;
use crate::pg::{Error, catalog};

/// Disables all indexes of a table that are in use, and returns them. Takes AccessExclusiveLock on the table until the
/// transaction ends, because a transaction that has used an index may use it again without checking whether it still gets
/// entries.
pub fn disable(table: &Table) -> Result<Vec<pg_sys::Oid>, Error> {
    let table = catalog::relation(table.name)?;
    // SAFETY: an existing table; the lock is the transaction's.
    unsafe { pg_sys::LockRelationOid(table, pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE) };
    let mut disabled = Vec::new();
    for index in indexes(table) {
        change(index, |form| {
            let is_in_use = form.indisvalid && form.indisready;
            if is_in_use {
                (form.indisvalid, form.indisready) = (false, false);
                disabled.push(index);
            }
            is_in_use
        });
    }
    // SAFETY: an existing relation; other sessions, and this one's next statement, plan anew.
    unsafe {
        pg_sys::CacheInvalidateRelcacheByRelid(table);
        pg_sys::CommandCounterIncrement();
    }
    Ok(disabled)
}

/// Those of the indexes that [`disable`] returned which are disabled still. An index that is not among them may look the same: a
/// REINDEX CONCURRENTLY that failed leaves such an index behind.
pub fn still_disabled(table: &Table, disabled: &[pg_sys::Oid]) -> Result<Vec<pg_sys::Oid>, Error> {
    if disabled.is_empty() {
        return Ok(Vec::new());
    }
    let is_disabled = |index: &pg_sys::Oid| {
        if !disabled.contains(index) {
            return false;
        }
        let mut is_disabled = false;
        change(*index, |form| {
            is_disabled = form.indislive && !form.indisvalid && !form.indisready;
            false
        });
        is_disabled
    };
    Ok(indexes(catalog::relation(table.name)?).into_iter().filter(is_disabled).collect())
}

/// Rebuilds an index, which enables it. A duplicate key is an error.
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

/// Calls `change` with a copy of an index's row in `pg_index`, and writes it back if `change` returns true.
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
