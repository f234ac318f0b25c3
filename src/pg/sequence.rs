//! The sequences of the extension's tables.
//!
//! They are read and set as their owner, because a role that may insert into a table needs no privilege on its sequence.

use pgrx::pg_sys;

use super::snapshot::Snapshot;
use super::{Error, catalog, query};

/// The last value; 0 where none was given out.
pub fn last(sequence: &'static str) -> Result<i64, Error> {
    let query = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM @extschema@.{sequence}");
    let last = query::as_owner(sequence, || query::select_one::<i64>(Snapshot::Latest, &query, &[]))??;
    last.ok_or(Error::Null(sequence))
}

/// Has the sequence go on behind `value`, where it has not come so far. This is not undone by a rollback.
pub fn advance(sequence: &'static str, value: i64) -> Result<(), Error> {
    /// Numbers drawn one by one rather than set: who sets a sequence may take it back behind what others draw meanwhile.
    const DRAWN: i64 = 100;
    lock_keys(sequence)?;
    query::as_owner(sequence, || {
        let last = last(sequence)?;
        let statement = match value - last {
            ..=0 => return Ok(()),
            1..=DRAWN => format!(
                "SELECT nextval(s.tableoid) FROM @extschema@.{sequence} AS s, generate_series($2 + 1, $1)"
            ),
            _ => format!("SELECT setval(s.tableoid, greatest($1, $2)) FROM @extschema@.{sequence} AS s"),
        };
        query::run(&statement, &[value.into(), last.into()])
    })?
}

/// Has an identity column's sequence go on behind the greatest value that is there. It lags behind where rows came with
/// values of their own: by an explicit INSERT, or by logical replication, which does not replicate sequences.
pub fn catch_up(table: &'static str, column: &'static str, sequence: &'static str) -> Result<(), Error> {
    // What lies before is not looked at: an index may end in many entries of rows that are gone.
    let query = format!("SELECT max({column})::bigint FROM @extschema@.{table} WHERE {column} > $1");
    let last = last(sequence)?;
    match query::as_owner(table, || query::select_one::<i64>(Snapshot::Latest, &query, &[last.into()]))?? {
        Some(greatest) => advance(sequence, greatest),
        None => Ok(()),
    }
}

/// Until the transaction ends, nobody else takes this lock on the sequence: whoever finds keys by it takes turns.
pub fn lock_keys(sequence: &'static str) -> Result<(), Error> {
    lock(sequence, pg_sys::ShareUpdateExclusiveLock)
}

fn lock(sequence: &'static str, mode: u32) -> Result<(), Error> {
    let oid = catalog::relation(sequence)?;
    // SAFETY: an existing relation's oid; the lock is the transaction's.
    unsafe { pg_sys::LockRelationOid(oid, mode as pg_sys::LOCKMODE) };
    Ok(())
}
