//! Snapshots: which rows a query or a scan sees.

use pgrx::pg_sys;

/// Which snapshot a query or a scan uses.
#[derive(Clone, Copy, Debug)]
pub enum Snapshot {
    /// The calling statement's snapshot, as a function that is declared STABLE must use.
    Statement,
    /// The snapshot that the transaction's next statement would use. In a READ COMMITTED transaction, that is a new one.
    Transaction,
    /// A new snapshot at any isolation level. It sees what another transaction committed while this one waited for a lock.
    Latest,
}

/// Runs `work` with a new snapshot, whatever the calling statement's snapshot sees.
pub fn with_latest<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the snapshot is pushed and popped here. If PostgreSQL raises an error, the end of the transaction pops it.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        let result = work();
        pg_sys::PopActiveSnapshot();
        result
    }
}
