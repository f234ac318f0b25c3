//! When a session's cache of table contents becomes stale.
//!
//! Whoever changes or drops what sessions may have cached sends an invalidation message for one table. Every session receives it
//! once the change is committed. That needs neither shared memory nor a preloaded library.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use pgrx::{Spi, pg_sys};

use super::{Error, catalog};

/// The oid of the table when [`have_come`] was called last.
static TABLE: AtomicU32 = AtomicU32::new(0);
static HAVE_COME: AtomicBool = AtomicBool::new(true);
/// Whether a message has come in this transaction since its first snapshot was taken.
static CAME_AFTER_SNAPSHOT: AtomicBool = AtomicBool::new(false);

/// Sends the message for a table: every session receives it when this transaction commits.
pub fn send(table: &'static str) -> Result<(), Error> {
    let table = catalog::relation(table)?;
    // SAFETY: an existing table.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) };
    Ok(())
}

/// Whether messages for a table may have come since this was called last. From the first call on, `forget` is called at the end of
/// each transaction; its argument says whether all that is cached must go.
pub fn have_come(table: &'static str, forget: fn(bool)) -> bool {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.swap(true, Ordering::Relaxed) {
        // SAFETY: functions that live as long as the library, which is never unloaded.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(on_message), pg_sys::Datum::null());
            pg_sys::RegisterXactCallback(Some(at_end), forget as *mut std::ffi::c_void);
        }
    }
    TABLE.store(catalog::relation(table).map_or(0, pg_sys::Oid::to_u32), Ordering::Relaxed);
    HAVE_COME.swap(false, Ordering::Relaxed)
}

/// Called for each invalidation message: for one relation, or for all.
unsafe extern "C-unwind" fn on_message(_: pg_sys::Datum, relation: pg_sys::Oid) {
    if relation == pg_sys::InvalidOid || relation.to_u32() == TABLE.load(Ordering::Relaxed) {
        HAVE_COME.store(true, Ordering::Relaxed);
        // SAFETY: read on the backend's thread.
        if unsafe { pg_sys::FirstSnapshotSet } {
            CAME_AFTER_SNAPSHOT.store(true, Ordering::Relaxed);
        }
    }
}

/// Called at the end of each transaction.
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, forget: *mut std::ffi::c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    if [XACT_EVENT_COMMIT, XACT_EVENT_ABORT, XACT_EVENT_PREPARE].contains(&event) {
        CAME_AFTER_SNAPSHOT.store(false, Ordering::Relaxed);
        // SAFETY: the function that was registered.
        let forget = unsafe { std::mem::transmute::<*mut std::ffi::c_void, fn(bool)>(forget) };
        forget(!Marker::holds());
    }
}

/// What tells the snapshots of a transaction's statements apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// The first transaction that had not begun, and how many before it were under way. As time goes by, those only become
    /// fewer.
    xmax: pg_sys::TransactionId,
    under_way: (u32, i32),
    command: pg_sys::CommandId,
}

impl View {
    /// The calling statement's, if its snapshot may be older than a change that a message has announced. What is read with it must not
    /// be cached beyond the transaction, nor be used by a statement with another view.
    pub fn if_outdated() -> Option<View> {
        CAME_AFTER_SNAPSHOT.load(Ordering::Relaxed).then(View::of_statement)
    }

    /// The calling statement's.
    pub fn of_statement() -> View {
        // SAFETY: a function is called with an active snapshot.
        let snapshot = unsafe { &*pg_sys::GetActiveSnapshot() };
        View { xmax: snapshot.xmax, under_way: (snapshot.xcnt, snapshot.subxcnt), command: snapshot.curcid }
    }
}

/// A plan that is never run. DISCARD ALL and DISCARD PLANS invalidate all plans, and a library can notice them by nothing else.
pub struct Marker;

/// The plan of the [`Marker`].
static MARKER: AtomicPtr<pg_sys::_SPI_plan> = AtomicPtr::new(std::ptr::null_mut());

impl Marker {
    /// Makes [`Marker::holds`] true until plans are discarded.
    pub fn set() -> Result<(), Error> {
        if Marker::holds() {
            return Ok(());
        }
        // SAFETY: a C string, connected to SPI; a plan that is kept is the backend's until it is freed.
        Spi::connect(|_| unsafe {
            let plan = pg_sys::SPI_prepare(c"SELECT 1".as_ptr(), 0, std::ptr::null_mut());
            if plan.is_null() {
                return Err(Error::Null("query"));
            }
            pg_sys::SPI_keepplan(plan);
            let before = MARKER.swap(plan, Ordering::Relaxed);
            if !before.is_null() {
                pg_sys::SPI_freeplan(before);
            }
            Ok(())
        })
    }

    /// Whether no plans have been discarded since it was set.
    fn holds() -> bool {
        let plan = MARKER.load(Ordering::Relaxed);
        // SAFETY: a plan that is kept; only its flags are read.
        !plan.is_null() && unsafe { pg_sys::SPI_plan_is_valid(plan) }
    }
}
