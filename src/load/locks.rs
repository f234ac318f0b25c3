//! The locks on the star schema that loads and single ratings take: always in the same order, so that they cannot deadlock.

use crate::pg::{Error, lock};
use crate::warehouse::tables::STAR_SCHEMA;

/// Locks the star schema against all other writers, and waits for those at work.
pub fn lock_writers() -> Result<(), Error> {
    lock_writers_notifying(|_| ())
}

/// The same. Before it waits for a table, it calls `waiting` with the processes it waits for.
pub fn lock_writers_notifying(mut waiting: impl FnMut(&[i32])) -> Result<(), Error> {
    STAR_SCHEMA.iter().try_for_each(|table| lock::lock_writers_notifying(table.name, &mut waiting))
}

/// Locks the star schema as INSERT does, so that other sessions can go on writing.
pub fn lock_rows() -> Result<(), Error> {
    STAR_SCHEMA.iter().try_for_each(|table| lock::lock_rows(table.name))
}
