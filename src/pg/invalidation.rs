//! Invalidation messages for what a session caches of a table's contents.
//!
//! Whoever changes or drops what sessions may have cached sends an invalidation message for one table. Every session receives
//! it after the change is committed. This needs neither shared memory nor a preloaded library.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use pgrx::pg_sys;

use super::{Error, catalog, discard};

/// The table's oid when [`were_received`] was called last.
static TABLE: AtomicU32 = AtomicU32::new(0);
/// Whether a message came since the last call of [`were_received`].
static WAS_RECEIVED: AtomicBool = AtomicBool::new(true);
/// Whether a message came after the first snapshot of this transaction was taken.
static WAS_RECEIVED_AFTER_SNAPSHOT: AtomicBool = AtomicBool::new(false);

/// Sends a message for a table. Every session receives it when this transaction has committed.
pub fn send(table: &'static str) -> Result<(), Error> {
    let table = catalog::relation(table)?;
    // SAFETY: an existing table.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) };
    Ok(())
}

/// Whether messages for a table may have come since the last call of this function. After the first call, `at_transaction_end`
/// is called at the end of each transaction. Its argument says whether plans were discarded, so that all cached data must be
/// dropped.
pub fn were_received(table: &'static str, at_transaction_end: fn(bool)) -> bool {
    static IS_REGISTERED: AtomicBool = AtomicBool::new(false);
    if !IS_REGISTERED.swap(true, Ordering::Relaxed) {
        // SAFETY: functions that live as long as the library, which is never unloaded.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(on_message), pg_sys::Datum::null());
            pg_sys::RegisterXactCallback(Some(at_end), at_transaction_end as *mut std::ffi::c_void);
        }
    }
    TABLE.store(catalog::relation(table).map_or(0, pg_sys::Oid::to_u32), Ordering::Relaxed);
    WAS_RECEIVED.swap(false, Ordering::Relaxed)
}

/// PostgreSQL calls this for each invalidation message of a relation, or of all relations (`InvalidOid`).
unsafe extern "C-unwind" fn on_message(_: pg_sys::Datum, relation: pg_sys::Oid) {
    if relation == pg_sys::InvalidOid || relation.to_u32() == TABLE.load(Ordering::Relaxed) {
        WAS_RECEIVED.store(true, Ordering::Relaxed);
        // SAFETY: read on the backend's thread.
        if unsafe { pg_sys::FirstSnapshotSet } {
            WAS_RECEIVED_AFTER_SNAPSHOT.store(true, Ordering::Relaxed);
        }
    }
}

/// PostgreSQL calls this at the end of each transaction.
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, function: *mut std::ffi::c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    if [XACT_EVENT_COMMIT, XACT_EVENT_ABORT, XACT_EVENT_PREPARE].contains(&event) {
        WAS_RECEIVED_AFTER_SNAPSHOT.store(false, Ordering::Relaxed);
        // SAFETY: the function that `were_received` registered.
        let at_transaction_end = unsafe { std::mem::transmute::<*mut std::ffi::c_void, fn(bool)>(function) };
        at_transaction_end(!discard::is_marker_valid());
    }
}

/// Identifies the snapshot of a statement among those of its transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SnapshotId {
    xmax: pg_sys::TransactionId,
    /// How many transactions and subtransactions below `xmax` were in progress. Their number only decreases with time.
    in_progress: (u32, i32),
    command: pg_sys::CommandId,
}

impl SnapshotId {
    /// The calling statement's snapshot, if it may be older than a change that a message has announced. What is read with such
    /// a snapshot must not be cached after the transaction, and must not be used by a statement with another snapshot.
    pub fn if_outdated() -> Option<SnapshotId> {
        WAS_RECEIVED_AFTER_SNAPSHOT.load(Ordering::Relaxed).then(SnapshotId::of_statement)
    }

    /// The calling statement's snapshot.
    pub fn of_statement() -> SnapshotId {
        // SAFETY: PostgreSQL calls a function with an active snapshot.
        let snapshot = unsafe { &*pg_sys::GetActiveSnapshot() };
        SnapshotId {
            xmax: snapshot.xmax,
            in_progress: (snapshot.xcnt, snapshot.subxcnt),
            command: snapshot.curcid,
        }
    }
}
