//! The sequences of the extension's tables.
//!
//! They are read and set as their owner, because a role that may insert into a table needs no privilege on its sequence.

use pgrx::pg_sys;

use super::snapshot::Snapshot;
use super::{Error, catalog, query, role};

/// The last value that the sequence has returned; 0 if it has returned none.
pub fn last_value(sequence: &'static str) -> Result<i64, Error> {
    let query = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM @extschema@.{sequence}");
    let last = role::as_owner(sequence, || query::select_one::<i64>(Snapshot::Latest, &query, &[]))??;
    last.ok_or(Error::Null(sequence))
}

/// The next value.
pub fn next(sequence: &'static str) -> Result<i64, Error> {
    let query = format!("SELECT nextval(s.tableoid) FROM @extschema@.{sequence} AS s");
    let next = role::as_owner(sequence, || query::select_one::<i64>(Snapshot::Latest, &query, &[]))??;
    next.ok_or(Error::Null(sequence))
}

/// Makes the sequence continue after `value`, unless it is past `value` already. A rollback does not undo this.
pub fn advance(sequence: &'static str, value: i64) -> Result<(), Error> {
    /// Up to this distance, `nextval` is called for each value, which is safe while others call it. `setval` is not: it can set
    /// the sequence back to before a value that others have drawn meanwhile.
    const MAX_NEXTVAL_CALLS: i64 = 100;
    lock(sequence)?;
    role::as_owner(sequence, || {
        let last = last_value(sequence)?;
        let statement = match value - last {
            ..=0 => return Ok(()),
            1..=MAX_NEXTVAL_CALLS => format!(
                "SELECT nextval(s.tableoid) FROM @extschema@.{sequence} AS s, generate_series($2 + 1, $1)"
            ),
            _ => format!("SELECT setval(s.tableoid, greatest($1, $2)) FROM @extschema@.{sequence} AS s"),
        };
        query::run(&statement, &[value.into(), last.into()])
    })?
}

/// Makes the sequence of an identity column continue after the greatest value in the column. The sequence lags behind if rows
/// came with values of their own: by an explicit INSERT, or by logical replication, which does not replicate sequences.
pub fn catch_up(table: &'static str, column: &'static str, sequence: &'static str) -> Result<(), Error> {
    // Smaller values are not read, because many entries at the end of the index may belong to deleted rows.
    let query = format!("SELECT max({column})::bigint FROM @extschema@.{table} WHERE {column} > $1");
    let last = last_value(sequence)?;
    match role::as_owner(table, || query::select_one::<i64>(Snapshot::Latest, &query, &[last.into()]))?? {
        Some(greatest) => advance(sequence, greatest),
        None => Ok(()),
    }
}

/// Locks the sequence until the transaction ends, so that only one transaction at a time derives keys from it. `nextval` does
/// not wait for this lock.
pub fn lock(sequence: &'static str) -> Result<(), Error> {
    let oid = catalog::relation(sequence)?;
    // SAFETY: an existing relation's oid; the transaction owns the lock.
    unsafe { pg_sys::LockRelationOid(oid, pg_sys::ShareUpdateExclusiveLock as pg_sys::LOCKMODE) };
    Ok(())
}
