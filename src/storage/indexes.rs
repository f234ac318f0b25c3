//! Disables the indexes of a table before it is filled, and rebuilds them afterwards.
//!
//! A disabled index is neither valid nor ready in the catalog (`indisvalid`, `indisready`): plans do not use it, and inserts
//! add no entries to it. It keeps its name, its owner and its constraint.

use pgrx::{PgList, pg_sys};

use super::btree;
use super::table::Table;
use crate::pg::{Error, catalog};

/// Disables all indexes of a table that are valid and ready, and returns them.
///
/// It takes AccessExclusiveLock on the table until the transaction ends. Otherwise a transaction that has used an index could
/// use it again without noticing that it gets no entries any more.
pub fn disable(table: &Table) -> Result<Vec<pg_sys::Oid>, Error> {
    let table = catalog::relation(table.name)?;
    // SAFETY: an existing table; the transaction owns the lock.
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
    // SAFETY: an existing relation. The invalidation message makes other sessions, and this one's next statement, plan again.
    unsafe {
        pg_sys::CacheInvalidateRelcacheByRelid(table);
        pg_sys::CommandCounterIncrement();
    }
    Ok(disabled)
}

/// Those indexes of `disabled`, which [`disable`] returned, that are still disabled. Other indexes are ignored, because a
/// failed REINDEX CONCURRENTLY leaves an index that is also neither valid nor ready.
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

/// Rebuilds an index and so enables it. Raises PostgreSQL's error if there is a duplicate key.
pub fn rebuild(index: pg_sys::Oid) {
    btree::rebuild(index);
    // SAFETY: within a transaction. What follows sees the enabled index.
    unsafe { pg_sys::CommandCounterIncrement() };
}

fn indexes(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    // SAFETY: an existing table, which is open while the list is copied.
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
    // SAFETY: the tuple is a copy. The form describes its fixed-width part.
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
