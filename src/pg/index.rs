//! Indexes set aside while a table is filled, and built when it is full.
//!
//! An index that is set aside is marked, in the catalog, as neither valid nor ready: plans do not use it, and inserts do
//! not maintain it. It keeps its name, its owner and its constraint.

use pgrx::{PgList, pg_sys};

use super::{Error, btree, catalog};

/// Sets aside all indexes of one of the extension's tables that are in use. Its writers must be locked out.
pub fn set_aside(table: &'static str) -> Result<(), Error> {
    let table = catalog::table(table)?;
    for index in indexes(table) {
        change(index, |form| {
            let is_in_use = form.indisvalid && form.indisready;
            (form.indisvalid, form.indisready) =
                (form.indisvalid && !is_in_use, form.indisready && !is_in_use);
            is_in_use
        });
    }
    // SAFETY: an existing relation; other sessions, and this one's next statement, plan anew.
    unsafe {
        pg_sys::CacheInvalidateRelcacheByRelid(table);
        pg_sys::CommandCounterIncrement();
    }
    Ok(())
}

/// The indexes of a table that are set aside.
pub fn aside(table: &'static str) -> Result<Vec<pg_sys::Oid>, Error> {
    let is_aside = |index: &pg_sys::Oid| {
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
