//! Prepares a user's query so that an error keeps its position in the text.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::AssertUnwindSafe;
use std::ptr;

use pgrx::{PgTryBuilder, pg_sys};

/// Prepares a query. If it is wrong, this raises PostgreSQL's own error with the error's position in the query.
///
/// pgrx drops the position when it passes an error on. Therefore one entry in `error_context_stack` reads the position while
/// the error is raised, and another one sets it while the error is raised again.
///
/// # Safety
///
/// Connected to SPI.
pub unsafe fn prepare(query: &CStr) -> pg_sys::SPIPlanPtr {
    let position = Cell::new(0);
    // SAFETY: on the backend's thread. The entry is on the stack only while this function runs; it is removed in both cases.
    unsafe {
        let entries = pg_sys::error_context_stack;
        let mut entry = pg_sys::ErrorContextCallback {
            previous: entries,
            callback: Some(read_position),
            arg: ptr::from_ref(&position).cast_mut().cast(),
        };
        let (entry, position) = (AssertUnwindSafe(&raw mut entry), AssertUnwindSafe(&position));
        PgTryBuilder::new(move || {
            pg_sys::error_context_stack = { entry }.0;
            let plan = pg_sys::SPI_prepare(query.as_ptr(), 0, ptr::null_mut());
            pg_sys::error_context_stack = entries;
            plan
        })
        .catch_others(move |error| {
            pg_sys::error_context_stack = entries;
            set_position_of_next_error(position.get(), query);
            error.rethrow()
        })
        .execute()
    }
}

/// An entry of `error_context_stack`, with the position and the query that it sets.
struct PositionEntry {
    entry: pg_sys::ErrorContextCallback,
    position: c_int,
    query: *const c_char,
}

/// Makes the error that is raised next point to a position in a query.
///
/// # Safety
///
/// An error is raised next, and whoever catches it restores `error_context_stack`.
unsafe fn set_position_of_next_error(position: c_int, query: &CStr) {
    if position <= 0 {
        return;
    }
    // SAFETY: as the caller promises; the entry and the text live until the transaction ends.
    unsafe {
        let context = pg_sys::TopTransactionContext;
        let new = pg_sys::MemoryContextAlloc(context, size_of::<PositionEntry>()).cast::<PositionEntry>();
        let query = pg_sys::MemoryContextStrdup(context, query.as_ptr());
        let entry = pg_sys::ErrorContextCallback {
            previous: pg_sys::error_context_stack,
            callback: Some(set_position),
            arg: new.cast(),
        };
        new.write(PositionEntry { entry, position, query });
        pg_sys::error_context_stack = &raw mut (*new).entry;
    }
}

unsafe extern "C-unwind" {
    // utils/elog.h. Not pgrx's guarded calls, because these raise nothing and are called while an error is raised.
    fn getinternalerrposition() -> c_int;
    fn internalerrposition(position: c_int) -> c_int;
    fn internalerrquery(query: *const c_char) -> c_int;
}

/// PostgreSQL calls this while the error is raised, after SPI's own entry has set the position in the query.
unsafe extern "C-unwind" fn read_position(position: *mut c_void) {
    // SAFETY: the cell of `prepare`, which is still running.
    unsafe { (*position.cast::<Cell<c_int>>()).set(getinternalerrposition()) };
}

/// PostgreSQL calls this while the error is raised again.
unsafe extern "C-unwind" fn set_position(entry: *mut c_void) {
    // SAFETY: the entry that `set_position_of_next_error` made.
    unsafe {
        let PositionEntry { position, query, .. } = *entry.cast::<PositionEntry>();
        internalerrposition(position);
        internalerrquery(query);
    }
}
