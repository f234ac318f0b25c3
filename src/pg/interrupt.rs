//! Interrupts: a cancel, a timeout, the termination of the backend.

use pgrx::{PgLogLevel, check_for_interrupts, pg_sys};

use super::{Error, allocator, report};

/// Raises the error of a pending interrupt, or [`Error::OutOfMemory`] if the system has refused memory. In a background worker,
/// it also ends the process if the postmaster is dead, because nobody else would end it.
pub fn check() {
    check_for_interrupts!();
    if allocator::is_exhausted() {
        report(Error::OutOfMemory).report(PgLogLevel::ERROR);
    }
    // SAFETY: on the process's own thread, as PostgreSQL's own workers do where they wait.
    unsafe {
        if !pg_sys::MyBgworkerEntry.is_null() && !is_postmaster_alive() {
            pg_sys::proc_exit(1);
        }
    }
}

/// Whether the postmaster is alive, by asking the operating system.
pub fn is_postmaster_alive() -> bool {
    unsafe extern "C-unwind" {
        // storage/pmsignal.h, which pgrx does not bind.
        fn PostmasterIsAliveInternal() -> bool;
    }
    // SAFETY: a system call that raises no error.
    unsafe { PostmasterIsAliveInternal() }
}

/// Holds off interrupts until dropped, as `HOLD_INTERRUPTS` does: PostgreSQL raises no error for an interrupt and does not end
/// the backend meanwhile.
pub struct InterruptHoldoff;

impl InterruptHoldoff {
    pub fn new() -> InterruptHoldoff {
        // SAFETY: a counter of the backend, used on the backend's thread.
        unsafe { pg_sys::InterruptHoldoffCount += 1 };
        InterruptHoldoff
    }
}

impl Drop for InterruptHoldoff {
    fn drop(&mut self) {
        // SAFETY: as above. An error may have set the counter to 0.
        unsafe { pg_sys::InterruptHoldoffCount = pg_sys::InterruptHoldoffCount.saturating_sub(1) };
    }
}
