//! The offsets of fixed-width columns in a tuple.

use super::table::{Table, TableColumn};
use crate::pg::Error;

/// The offset of a column in bytes from a tuple's first column; `None` if it is not the same in every tuple. `index` counts
/// from 0.
pub fn offset(columns: &[TableColumn], index: usize) -> Option<usize> {
    let mut end = 0usize;
    let mut start = 0;
    for column in columns.get(..=index)? {
        if column.width <= 0 || !column.not_null || column.may_be_missing || column.is_dropped {
            return None;
        }
        start = end.next_multiple_of(match column.align {
            b'd' => 8,
            b'i' => 4,
            b's' => 2,
            _ => 1,
        });
        end = start + column.width as usize;
    }
    Some(start)
}

/// The error for a column whose offset is not the same in every tuple.
pub fn no_fixed_offset(table: &Table, column: &TableColumn) -> Error {
    let undo = "Not all of its rows have the same layout: restore the table from a backup.".into();
    Error::Altered { table: table.name, column: column.name.clone(), undo }
}
