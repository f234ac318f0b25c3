//! Reads a few rows by an index, without SQL. One statement may look up rows thousands of times, and what SPI allocates for
//! each query is freed only when the transaction ends.

use std::ptr;

use pgrx::heap_tuple::PgHeapTuple;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::{AllocatedByPostgres, Array, FromDatum, PgTupleDesc, pg_sys};

use super::table::Table;
use crate::pg::catalog::{self, Privilege};
use crate::pg::{Error, interrupt};

/// Rows read between two checks for interrupts.
const ROWS_PER_CHECK: usize = 1024;

/// The values of a row. Columns are counted from 0.
pub struct Values<'a> {
    values: &'a [pg_sys::Datum],
    nulls: &'a [bool],
}

impl Values<'_> {
    /// The value of a column of type `int`; `None` if it is NULL.
    pub fn int4(&self, column: usize) -> Option<i32> {
        // SAFETY: `each_by_key` has checked the type.
        unsafe { i32::from_datum(self.values[column], self.nulls[column]) }
    }

    /// The value of a column of type `bigint`; `None` if it is NULL.
    pub fn int8(&self, column: usize) -> Option<i64> {
        // SAFETY: as above.
        unsafe { i64::from_datum(self.values[column], self.nulls[column]) }
    }

    /// The value of a column of type `double precision`; `None` if it is NULL.
    pub fn float8(&self, column: usize) -> Option<f64> {
        // SAFETY: as above.
        unsafe { f64::from_datum(self.values[column], self.nulls[column]) }
    }

    /// The value of a column of type `real`; `None` if it is NULL.
    pub fn float4(&self, column: usize) -> Option<f32> {
        // SAFETY: as above.
        unsafe { f32::from_datum(self.values[column], self.nulls[column]) }
    }

    /// The value of a column of type `real[]`; `None` if it is NULL or has a NULL element.
    pub fn float4s(&self, column: usize) -> Option<Array<'_, f32>> {
        // SAFETY: as above. If the array is detoasted, the copy lives as long as the row.
        let array = unsafe { Array::<f32>::from_datum(self.values[column], self.nulls[column])? };
        array.as_slice().is_ok().then_some(array)
    }
}

/// Calls `each` with the rows whose primary key begins with `key`, in the order of the primary key. It uses the calling
/// statement's snapshot. The columns of `key` must be of type `int`. The values are those of the table's first `columns` columns.
pub fn each_by_key<E: From<Error>>(
    table: &Table,
    columns: usize,
    key: &[i32],
    mut each: impl FnMut(Values<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let open = table.open(&[Privilege::Select], pg_sys::AccessShareLock as pg_sys::LOCKMODE)?;
    let found = open.columns();
    table.check(&found, columns)?;
    let mut scratch = PgMemoryContexts::new("netflix_rec rows");
    let (mut values, mut nulls) = (vec![pg_sys::Datum::null(); found.len()], vec![true; found.len()]);
    let mut rows = 0usize;
    // SAFETY: an open heap table and the index of its primary key. A tuple is valid until the next one is fetched; detoasted
    // values are valid until the scratch context is reset.
    unsafe {
        let mut keys = vec![pg_sys::ScanKeyData::default(); key.len()];
        for (index, (scan_key, &wanted)) in keys.iter_mut().zip(key).enumerate() {
            pg_sys::ScanKeyInit(
                scan_key,
                index as i16 + 1,
                pg_sys::BTEqualStrategyNumber as u16,
                pg_sys::F_INT4EQ.into(),
                pg_sys::Datum::from(wanted),
            );
        }
        #[cfg(not(feature = "pg18"))]
        let index = pg_sys::RelationGetPrimaryKeyIndex(open.relation);
        #[cfg(feature = "pg18")]
        let index = pg_sys::RelationGetPrimaryKeyIndex(open.relation, false);
        let scan = pg_sys::systable_beginscan(
            open.relation,
            index,
            index != pg_sys::InvalidOid,
            pg_sys::GetActiveSnapshot(),
            keys.len() as i32,
            keys.as_mut_ptr(),
        );
        let result = loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break Ok(());
            }
            let descriptor = (*open.relation).rd_att;
            pg_sys::heap_deform_tuple(tuple, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            let row = Values { values: &values[..columns], nulls: &nulls[..columns] };
            if let Err(error) = scratch.switch_to(|_| each(row)) {
                break Err(error);
            }
            rows += 1;
            if rows.is_multiple_of(ROWS_PER_CHECK) {
                scratch.reset();
                interrupt::check();
            }
        };
        pg_sys::systable_endscan(scan);
        result
    }
}

/// Calls `each` with all rows of a table of the extension, as a new snapshot sees them. If the named index exists, the rows
/// come in its order. Checks no privilege.
pub fn each_row(
    table: &'static str,
    index: Option<&'static str>,
    mut each: impl FnMut(PgHeapTuple<'_, AllocatedByPostgres>),
) -> Result<(), Error> {
    let oid = catalog::relation(table)?;
    let index = index.and_then(|index| catalog::relation(index).ok());
    // SAFETY: an existing table, open and locked while it is scanned. Each row is used before the next one is fetched. If
    // PostgreSQL raises an error, the transaction's resource owner releases what is open.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let relation = pg_sys::table_open(oid, lock);
        // In parallel mode PostgreSQL takes no new snapshot, so the calling statement's is used.
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
            ptr::null_mut(),
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
