//! A memory reserve for raising PostgreSQL's own 'out of memory' error.
//!
//! When pgrx passes an error on, it copies the error into the current memory context. If the system has no memory for this
//! copy, that is a second error, and the server ends all sessions with 'PANIC: ERRORDATA_STACK_SIZE exceeded'. Therefore this
//! module reserves a few megabytes of address space that nobody touches. An entry in `error_context_stack`, which PostgreSQL
//! calls for each error, returns them to the system as soon as an 'out of memory' error is raised.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pgrx::{PgSqlErrorCode, pg_sys};

/// Size of the reserve in bytes. Each memory context into which an error is copied may need a new block, which has at most 1 MB
/// when memory is short.
const RESERVED_BYTES: usize = 4 << 20;

/// The reserved pages; null if they are not reserved.
static RESERVE: AtomicPtr<libc::c_void> = AtomicPtr::new(ptr::null_mut());

/// The entry in `error_context_stack`. It is static, so the stack never holds a dangling pointer to it.
static mut ON_ERROR: pg_sys::ErrorContextCallback = pg_sys::ErrorContextCallback {
    previous: ptr::null_mut(),
    callback: Some(on_error),
    arg: ptr::null_mut(),
};

/// Reserves the pages, unless they are reserved already or the system refuses. Called when the library is loaded and when a
/// call begins.
pub fn fill() {
    if !RESERVE.load(Ordering::Relaxed).is_null() {
        return;
    }
    // SAFETY: maps new pages.
    unsafe {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let pages = libc::mmap(ptr::null_mut(), RESERVED_BYTES, access, flags, -1, 0);
        if pages != libc::MAP_FAILED {
            RESERVE.store(pages, Ordering::Relaxed);
        }
    }
}

/// Reserves the pages and adds the entry to `error_context_stack`, unless it is there already.
///
/// The entry goes to the bottom of the stack. On top, it could be mistaken for the caller's entry: PostgreSQL removes some
/// entries by their position, for example the entry for the parameters of a bind message.
pub fn arm() {
    fill();
    // SAFETY: on the backend's thread. Each other entry of the stack belongs to a function that has not returned; ours is the
    // last one and has none before it.
    unsafe {
        let ours = &raw mut ON_ERROR;
        let mut last = &raw mut pg_sys::error_context_stack;
        while !(*last).is_null() {
            if *last == ours {
                return;
            }
            last = &raw mut (**last).previous;
        }
        *last = ours;
    }
}

/// PostgreSQL calls this for each error and notice while the entry is on the stack. It adds nothing to the error's context.
unsafe extern "C-unwind" fn on_error(_: *mut libc::c_void) {
    unsafe extern "C-unwind" {
        // utils/elog.h: the SQLSTATE of the error that is being raised. Not pgrx's guarded call, because it raises nothing.
        fn geterrcode() -> std::ffi::c_int;
    }
    // SAFETY: called while an error is raised; `swap` makes sure that the pages are unmapped once.
    unsafe {
        if geterrcode() == PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as i32 {
            let pages = RESERVE.swap(ptr::null_mut(), Ordering::Relaxed);
            if !pages.is_null() {
                libc::munmap(pages, RESERVED_BYTES);
            }
        }
    }
}
