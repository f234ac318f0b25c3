//! Reads a table's fixed-width columns at fixed places in its rows: ten times as fast as by way of SQL.

use pgrx::{check_for_interrupts, pg_sys};

use super::Error;
use super::catalog::{self, Privilege};

/// A column to read: its name and type.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub type_oid: pg_sys::BuiltinOid,
}

/// Rows between two looks for interrupts.
const ROWS_A_TURN: u64 = 64 * 1024;

/// The values of a row's columns, in the order they were asked for.
pub struct Row<'a> {
    data: *const u8,
    offsets: &'a [usize],
}

impl Row<'_> {
    /// A column of type `int`.
    pub fn int4(&self, column: usize) -> i32 {
        // SAFETY: `scan` checked that such a column stands there in every row.
        unsafe { self.data.add(self.offsets[column]).cast::<i32>().read_unaligned() }
    }

    /// A column of type `smallint`.
    pub fn int2(&self, column: usize) -> i16 {
        // SAFETY: as above.
        unsafe { self.data.add(self.offsets[column]).cast::<i16>().read_unaligned() }
    }

    /// A column of type `bool`.
    pub fn bool(&self, column: usize) -> bool {
        // SAFETY: as above.
        unsafe { self.data.add(self.offsets[column]).read() != 0 }
    }
}

/// Hands on each row that the statement's snapshot sees, in no particular order. The role must be allowed to read
/// the table.
///
/// Columns must be `NOT NULL` and stand behind such columns of fixed width alone, as the extension makes them;
/// [`Error::Altered`] where somebody changed that.
pub fn scan<E: From<Error>>(
    table: &'static str,
    columns: &[Column],
    mut row: impl FnMut(Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let oid = catalog::require(table, &[Privilege::Select])?;
    // SAFETY: an existing table, locked while it is read; each tuple lives until the next is asked for; the offsets
    // hold for every row because all columns up to the last one read are never null and of fixed width.
    unsafe {
        let relation = pg_sys::table_open(oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let offsets = offsets(relation, table, columns)?;
        let snapshot = pg_sys::GetActiveSnapshot();
        let scan = pg_sys::table_beginscan(relation, snapshot, 0, std::ptr::null_mut());
        let mut rows = 0u64;
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            let header = (*tuple).t_data;
            let data = header.cast::<u8>().add((*header).t_hoff.into());
            row(Row { data, offsets: &offsets })?;
            rows += 1;
            if rows.is_multiple_of(ROWS_A_TURN) {
                check_for_interrupts!();
            }
        }
        pg_sys::table_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
    }
    Ok(())
}

/// Where each column stands in a row, counted from the first one.
///
/// # Safety
///
/// The relation is open.
unsafe fn offsets(
    relation: pg_sys::Relation,
    table: &'static str,
    columns: &[Column],
) -> Result<Vec<usize>, Error> {
    // SAFETY: the descriptor belongs to the open relation.
    let attributes = unsafe { (*(*relation).rd_att).attrs.as_slice((*(*relation).rd_att).natts as usize) };
    let find = |column: &Column| {
        let mut offset = 0usize;
        for attribute in attributes {
            let fixed = attribute.attlen > 0 && attribute.attnotnull && !attribute.attisdropped;
            if !fixed {
                return None;
            }
            let align = match attribute.attalign as u8 {
                b'd' => 8,
                b'i' => 4,
                b's' => 2,
                _ => 1,
            };
            offset = offset.next_multiple_of(align);
            // SAFETY: an attribute's name is a C string of at most 63 bytes.
            let name = unsafe { std::ffi::CStr::from_ptr(attribute.attname.data.as_ptr()) };
            if name.to_bytes() == column.name.as_bytes() {
                return (attribute.atttypid == column.type_oid.value()).then_some(offset);
            }
            offset += attribute.attlen as usize;
        }
        None
    };
    columns.iter().map(|column| find(column).ok_or(Error::Altered { table, column: column.name })).collect()
}
