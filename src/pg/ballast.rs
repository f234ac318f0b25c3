//! Memory set aside for PostgreSQL's own 'out of memory'.
//!
//! pgrx copies the error that it passes on into the current memory context. Where the system has no memory for the copy either,
//! that is another error, and the server ends all sessions by 'PANIC: ERRORDATA_STACK_SIZE exceeded'. Therefore a few
//! megabytes of address space, which nobody touches, are given back to the system as soon as such an error is raised:
//! PostgreSQL then calls what stands in `error_context_stack`.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pgrx::{PgSqlErrorCode, pg_sys};

/// Room for a block of each memory context that an error is copied into: at most 1 MB where memory is short.
const BYTES: usize = 4 << 20;

static BALLAST: AtomicPtr<libc::c_void> = AtomicPtr::new(ptr::null_mut());

/// The entry of `error_context_stack`: one that lasts, so that who leaves it there leaves no dangling pointer.
static mut ON_ERROR: pg_sys::ErrorContextCallback = pg_sys::ErrorContextCallback {
    previous: ptr::null_mut(),
    callback: Some(on_error),
    arg: ptr::null_mut(),
};

/// Sets the memory aside, if it is not yet and the system gives it: as the library is loaded, and as calls begin.
pub fn take() {
    if !BALLAST.load(Ordering::Relaxed).is_null() {
        return;
    }
    // SAFETY: maps new pages.
    unsafe {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let ballast = libc::mmap(ptr::null_mut(), BYTES, access, flags, -1, 0);
        if ballast != libc::MAP_FAILED {
            BALLAST.store(ballast, Ordering::Relaxed);
        }
    }
}

/// Sees to it that errors give it back. Our entry goes below all others: PostgreSQL takes entries off by their order (the
/// parameters' of a bind message, for one, as whatever is on top), so that one on top of a caller's would be taken for it.
pub fn arm() {
    take();
    // SAFETY: on the backend's thread. All entries of the stack are in use by functions that have not returned, but ours,
    // which is the last and has none before it.
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

/// Called for every error and notice while our entry is on the stack. Adds nothing to its text.
unsafe extern "C-unwind" fn on_error(_: *mut libc::c_void) {
    unsafe extern "C-unwind" {
        // utils/elog.h: the SQLSTATE of the error that is raised. Not pgrx's guarded call of it: nothing is raised here.
        fn geterrcode() -> std::ffi::c_int;
    }
    // SAFETY: called while an error is raised; the pages are given back once.
    unsafe {
        if geterrcode() == PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as i32 {
            let ballast = BALLAST.swap(ptr::null_mut(), Ordering::Relaxed);
            if !ballast.is_null() {
                libc::munmap(ballast, BYTES);
            }
        }
    }
}
