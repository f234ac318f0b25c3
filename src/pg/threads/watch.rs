//! Detects interrupts while threads compute, when PostgreSQL's own `ProcessInterrupts` must not run.

use std::time::{Duration, Instant};

use pgrx::pg_sys;

use crate::pg::allocator;
use crate::pg::interrupt::{InterruptHoldoff, is_postmaster_alive};

/// How often the backend checks whether the postmaster is alive.
const POSTMASTER_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// On a standby, an interrupt of an unknown kind ends the job when it has been pending for longer than this.
const UNKNOWN_INTERRUPT_LIMIT: Duration = Duration::from_secs(1);

unsafe extern "C-unwind" {
    // libpq/libpq.h: whether the client still has its end of the connection open. It does not wait.
    fn pq_check_connection() -> bool;
}

/// The interrupts that came while threads computed.
///
/// An interrupt that does not end the job is served at once. If only `ProcessInterrupts` can serve it, it is postponed until
/// the watch is dropped.
pub struct InterruptWatch {
    postmaster_checked_at: Instant,
    client_checked_at: Instant,
    /// Since when an interrupt of an unknown kind has been pending.
    unknown_since: Option<Instant>,
    /// `CheckClientConnectionPending` was set, and is to be set again.
    is_client_check_postponed: bool,
    /// `ParallelMessagePending` was set, and is to be set again.
    is_parallel_message_postponed: bool,
    /// `InterruptPending` is to be set again.
    is_any_postponed: bool,
    /// The postmaster is dead.
    pub is_orphaned: bool,
    /// The system has refused memory.
    pub is_short_of_memory: bool,
}

impl InterruptWatch {
    pub fn new() -> InterruptWatch {
        let now = Instant::now();
        InterruptWatch {
            postmaster_checked_at: now,
            client_checked_at: now,
            unknown_since: None,
            is_client_check_postponed: false,
            is_parallel_message_postponed: false,
            is_any_postponed: false,
            is_orphaned: false,
            is_short_of_memory: false,
        }
    }

    /// Whether the job must end: an interrupt that ends the statement or the backend is pending, the postmaster is dead, or
    /// memory is short.
    pub fn must_end(&mut self) -> bool {
        let now = Instant::now();
        self.is_short_of_memory |= allocator::is_short();
        if now - self.postmaster_checked_at >= POSTMASTER_CHECK_INTERVAL {
            self.postmaster_checked_at = now;
            self.is_orphaned |= !is_postmaster_alive();
        }
        self.check_client(now);
        self.is_short_of_memory || self.is_orphaned || self.is_interrupted(now)
    }

    /// Checks the client's connection every `client_connection_check_interval`, as `ProcessInterrupts` does when that timer
    /// fires.
    fn check_client(&mut self, now: Instant) {
        // SAFETY: on the backend's thread; if a client is connected, the call polls its socket.
        unsafe {
            let interval = Duration::from_millis(pg_sys::client_connection_check_interval.max(0) as u64);
            if interval.is_zero() || pg_sys::MyProcPort.is_null() || now - self.client_checked_at < interval {
                return;
            }
            self.client_checked_at = now;
            if !pg_sys::ffi::pg_guard_ffi_boundary(|| pq_check_connection()) {
                pg_sys::ClientConnectionLost = 1;
                pg_sys::InterruptPending = 1;
            }
        }
    }

    /// Serves or postpones the pending interrupts. Returns whether one of them ends the statement or the backend.
    fn is_interrupted(&mut self, now: Instant) -> bool {
        // SAFETY: flags that the backend's signal handlers set. They are read and reset on the backend's thread, in the same
        // order as in `ProcessInterrupts`, so an interrupt that comes meanwhile sets InterruptPending again. Absorbing a
        // barrier and logging memory contexts raise no errors and do not end the backend.
        unsafe {
            if pg_sys::InterruptPending == 0 {
                self.unknown_since = None;
                return false;
            }
            pg_sys::InterruptPending = 0;
            let mut is_served = false;
            if pg_sys::ProcSignalBarrierPending != 0 {
                pg_sys::ProcessProcSignalBarrier();
                is_served = true;
            }
            if pg_sys::LogMemoryContextPending != 0 {
                let _holdoff = InterruptHoldoff::new();
                pg_sys::ProcessLogMemoryContextInterrupt();
                is_served = true;
            }
            // `check_client` does this check, but only `ProcessInterrupts` starts the timer again.
            if pg_sys::CheckClientConnectionPending != 0 {
                pg_sys::CheckClientConnectionPending = 0;
                (self.is_client_check_postponed, is_served) = (true, true);
            }
            // A message from a parallel worker of the calling query can wait.
            if i64::from(pg_sys::ParallelMessagePending) != 0 {
                pg_sys::ParallelMessagePending = Default::default();
                (self.is_parallel_message_postponed, is_served) = (true, true);
            }
            // PostgreSQL leaves a timer running that makes an idle backend report its statistics. This backend is not idle.
            #[cfg(not(feature = "pg14"))]
            if pg_sys::IdleStatsUpdateTimeoutPending != 0 {
                pg_sys::IdleStatsUpdateTimeoutPending = 0;
                is_served = true;
            }
            let must_end = is_end_pending();
            if is_served && !must_end {
                self.is_any_postponed = true;
                return false;
            }
            pg_sys::InterruptPending = 1;
            // Later versions signal a recovery conflict by flags that an extension cannot read. They signal it repeatedly.
            let is_old = now - *self.unknown_since.get_or_insert(now) > UNKNOWN_INTERRUPT_LIMIT;
            must_end || is_old && pg_sys::RecoveryInProgress()
        }
    }
}

impl Drop for InterruptWatch {
    /// Sets the flags of all postponed interrupts again, so that `ProcessInterrupts` serves them.
    fn drop(&mut self) {
        // SAFETY: as in `is_interrupted`.
        unsafe {
            if self.is_client_check_postponed {
                pg_sys::CheckClientConnectionPending = 1;
            }
            if self.is_parallel_message_postponed {
                pg_sys::HandleParallelMessageInterrupt();
            }
            if self.is_any_postponed {
                pg_sys::InterruptPending = 1;
            }
        }
    }
}

/// Whether an interrupt is pending that is known to end the statement or the backend.
fn is_end_pending() -> bool {
    // SAFETY: flags that the backend's signal handlers set, read on the backend's thread.
    unsafe {
        #[cfg(any(feature = "pg17", feature = "pg18"))]
        if pg_sys::TransactionTimeoutPending != 0 {
            return true;
        }
        pg_sys::QueryCancelPending != 0 || pg_sys::ProcDiePending != 0 || pg_sys::ClientConnectionLost != 0
    }
}
