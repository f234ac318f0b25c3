//! What a session keeps of models between calls, and when that no longer holds.
//!
//! Whoever changes or drops what sessions keep sends an invalidation message for the table `model`, which every session
//! gets once the change is committed. That needs neither shared memory nor a preloaded library.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use pgrx::{Spi, pg_sys};

use super::catalog;
use crate::pg::Error;

/// The table `model`, as it was known when [`have_come`] was asked last.
static TABLE: AtomicU32 = AtomicU32::new(0);
static HAVE_COME: AtomicBool = AtomicBool::new(true);
/// Whether a message came in this transaction, after its first snapshot.
static IS_UNSETTLED: AtomicBool = AtomicBool::new(false);

/// Lets every session know, once this is committed, that models or movies have changed.
pub fn tell() -> Result<(), Error> {
    let table = catalog::table("model")?;
    // SAFETY: an existing table.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) };
    Ok(())
}

/// Whether changes may have come, here or in another session, since this was asked last. `forget` is then called at the end
/// of each transaction, and told whether all that is kept must go.
pub fn have_come(forget: fn(bool)) -> bool {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.swap(true, Ordering::Relaxed) {
        // SAFETY: functions that live as long as the library, which is never unloaded.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(on_message), pg_sys::Datum::null());
            pg_sys::RegisterXactCallback(Some(at_end), forget as *mut std::ffi::c_void);
        }
    }
    TABLE.store(catalog::table("model").map_or(0, pg_sys::Oid::to_u32), Ordering::Relaxed);
    HAVE_COME.swap(false, Ordering::Relaxed)
}

/// Called where a table's description is to be read anew: of one, or of all.
unsafe extern "C-unwind" fn on_message(_: pg_sys::Datum, relation: pg_sys::Oid) {
    if relation == pg_sys::InvalidOid || relation.to_u32() == TABLE.load(Ordering::Relaxed) {
        HAVE_COME.store(true, Ordering::Relaxed);
        // SAFETY: read on the backend's thread.
        if unsafe { pg_sys::FirstSnapshotSet } {
            IS_UNSETTLED.store(true, Ordering::Relaxed);
        }
    }
}

/// Called at the end of each transaction.
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, forget: *mut std::ffi::c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    if [XACT_EVENT_COMMIT, XACT_EVENT_ABORT, XACT_EVENT_PREPARE].contains(&event) {
        IS_UNSETTLED.store(false, Ordering::Relaxed);
        // SAFETY: the function that was registered.
        let forget = unsafe { std::mem::transmute::<*mut std::ffi::c_void, fn(bool)>(forget) };
        forget(!Marker::holds());
    }
}

/// What a statement sees, as far as it differs from what other statements of its transaction see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// The first transaction that had not begun, and how many before it were under way. As time goes by, those only become
    /// fewer.
    xmax: pg_sys::TransactionId,
    under_way: (u32, i32),
    command: pg_sys::CommandId,
}

impl View {
    /// The calling statement's, where its snapshot may be older than a change that this session was told of: what is read
    /// by it must not outlast the statement's transaction, nor be shown to a statement that sees otherwise.
    pub fn if_unsettled() -> Option<View> {
        IS_UNSETTLED.load(Ordering::Relaxed).then(View::of_statement)
    }

    /// The calling statement's.
    pub fn of_statement() -> View {
        // SAFETY: a function is called with an active snapshot.
        let snapshot = unsafe { &*pg_sys::GetActiveSnapshot() };
        View { xmax: snapshot.xmax, under_way: (snapshot.xcnt, snapshot.subxcnt), command: snapshot.curcid }
    }
}

/// A plan that is never run. DISCARD ALL and DISCARD PLANS mark all plans as no longer valid, and nothing else tells a library
/// of them.
pub struct Marker;

/// The plan of the [`Marker`].
static MARKER: AtomicPtr<pg_sys::_SPI_plan> = AtomicPtr::new(std::ptr::null_mut());

impl Marker {
    /// Sees to it that [`Marker::holds`] until plans are discarded.
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

    /// Whether no plans were discarded since it was set.
    fn holds() -> bool {
        let plan = MARKER.load(Ordering::Relaxed);
        // SAFETY: a plan that is kept; only its flags are read.
        !plan.is_null() && unsafe { pg_sys::SPI_plan_is_valid(plan) }
    }
}
