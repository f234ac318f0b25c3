//! Long computation on threads, while the backend's own thread checks for interrupts.

mod pool;
mod watch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

#[cfg(any(test, feature = "pg_test"))]
use pgrx::pg_schema;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use self::pool::Threads;
use self::watch::InterruptWatch;
use super::Error;
use super::interrupt::{InterruptHoldoff, check};

/// How often the backend checks for interrupts while threads compute.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Runs a job on a thread pool of its own. The job gets a flag and a function that sends messages. `on_message` receives the
/// messages on the backend's thread, the only one that may call PostgreSQL.
///
/// The flag is set when an interrupt comes, when memory is short, or when `on_message` raises an error. The job must then end
/// soon. The error is raised when all threads have ended; no thread outlives the call.
///
/// If the system refuses some of the threads, the job runs on those that could be started.
pub fn run<M: Send, T: Send>(
    threads: usize,
    job: impl FnOnce(&AtomicBool, &mut (dyn FnMut(M) + Send)) -> T + Send,
    mut on_message: impl FnMut(M),
) -> Result<T, Error> {
    // Interrupts that came before the job raise their error here.
    check();
    let mut handles = Threads::default();
    let pool = handles.pool(threads)?;
    let mut watch = InterruptWatch::new();
    let cancelled = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel::<FromJob<M, T>>();
    let mut result = None;
    pool.in_place_scope(|scope| {
        // The scope waits for the job when it ends, so the flag must be set first, also if an error ends the scope early.
        let _stop = SetOnDrop(&cancelled);
        let flag = &cancelled;
        scope.spawn(move |_| {
            let run = std::panic::AssertUnwindSafe(|| {
                job(flag, &mut |message| drop(sender.send(FromJob::Message(message))))
            });
            let outcome = std::panic::catch_unwind(run);
            drop(sender.send(FromJob::Outcome(outcome)));
        });
        loop {
            match receiver.recv_timeout(CHECK_INTERVAL) {
                // Messages that come after the flag was set are discarded.
                Ok(FromJob::Message(_)) if cancelled.load(Ordering::Relaxed) || watch.must_end() => {}
                Ok(FromJob::Message(message)) => {
                    // Without the holdoff, a notice to the client could end the backend while threads still compute.
                    let _holdoff = InterruptHoldoff::new();
                    on_message(message);
                }
                Ok(FromJob::Outcome(outcome)) => {
                    result = Some(outcome);
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if watch.must_end() {
                cancelled.store(true, Ordering::Relaxed);
            }
        }
    });
    drop(pool);
    drop(handles);
    let (is_orphaned, is_short_of_memory) = (watch.is_orphaned, watch.is_short_of_memory);
    drop(watch);
    // All threads have ended, so an interrupt may now raise its error or end the backend.
    check();
    if is_orphaned {
        let code = PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN;
        let message = "terminating connection due to unexpected postmaster exit";
        ErrorReport::new(code, message, "netflix_rec").report(PgLogLevel::FATAL);
    }
    if is_short_of_memory {
        return Err(Error::OutOfMemory);
    }
    match result {
        Some(Ok(value)) => Ok(value),
        Some(Err(panic)) => Err(Error::Panicked(panic_message(panic.as_ref()))),
        None => Err(Error::Panicked("it ended without a result".into())),
    }
}

/// What the backend's thread receives from the job.
enum FromJob<M, T> {
    Message(M),
    Outcome(std::thread::Result<T>),
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "for an unknown reason".into())
}

#[cfg(any(test, feature = "pg_test"))]
#[pg_schema]
mod tests {
    use super::*;
    use pgrx::pg_sys;
    use pgrx::prelude::*;

    fn threads() -> usize {
        std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
    }

    #[pg_test]
    fn receives_every_message_and_leaves_no_thread() {
        let before = threads();
        let mut received = Vec::new();
        let main = std::thread::current().id();
        let result = run(
            2,
            |_, send: &mut (dyn FnMut(i32) + Send)| {
                (0..100).for_each(&mut *send);
                rayon::current_num_threads()
            },
            |message| {
                assert_eq!(std::thread::current().id(), main);
                received.push(message);
            },
        );
        assert_eq!(result.unwrap(), 2);
        assert_eq!(received, (0..100).collect::<Vec<_>>());
        // The kernel may list a thread for a moment after it was joined.
        for _ in 0..100 {
            if threads() == before {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} threads, {before} before", threads());
    }

    #[pg_test]
    fn threads_receive_no_signals() {
        let mask = |_: &AtomicBool, _: &mut (dyn FnMut(()) + Send)| {
            std::fs::read_to_string("/proc/thread-self/status")
        };
        let status = run(1, mask, |()| {}).unwrap().unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
        // All but two that cannot be blocked and two that the C library uses itself.
        let blocked = u64::from_str_radix(blocked, 16).unwrap();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1, libc::SIGALRM, libc::SIGHUP, libc::SIGQUIT]
        {
            assert!(blocked & (1 << (signal - 1)) != 0, "signal {signal}");
        }
    }

    #[pg_test]
    fn a_panic_is_an_error() {
        let result = run(2, |_, _: &mut (dyn FnMut(()) + Send)| -> i32 { panic!("out of luck") }, |()| {});
        assert!(matches!(result, Err(Error::Panicked(text)) if text == "out of luck"));
    }

    /// Ends only when the flag is set.
    fn endless(cancelled: &AtomicBool, send: &mut (dyn FnMut(()) + Send)) {
        send(());
        while !cancelled.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[pg_test(error = "canceling statement due to user request")]
    fn a_cancel_stops_the_job() {
        let cancel = |()| {
            // SAFETY: what the handler of SIGINT does.
            unsafe {
                pg_sys::QueryCancelPending = 1;
                pg_sys::InterruptPending = 1;
            }
        };
        drop(run(2, endless, cancel));
        unreachable!("the cancel was raised");
    }

    #[pg_test(error = "canceling statement due to user request")]
    fn no_message_ends_the_backend_under_its_threads() {
        let before = threads();
        let mut messages = 0;
        let on_message = |()| {
            messages += 1;
            // SAFETY: what the handler of SIGINT does; without a holdoff, the notice would raise its error.
            unsafe {
                pg_sys::QueryCancelPending = 1;
                pg_sys::InterruptPending = 1;
            }
            notice!("would be interrupted here");
            assert!(threads() > before);
        };
        let job = |cancelled: &AtomicBool, send: &mut (dyn FnMut(()) + Send)| {
            while !cancelled.load(Ordering::Relaxed) {
                send(());
            }
        };
        drop(run(2, job, on_message));
        unreachable!("the cancel was raised after {messages} messages");
    }

    #[pg_test(error = "raised in on_message")]
    fn an_error_in_on_message_stops_the_job() {
        drop(run(2, endless, |()| error!("raised in on_message")));
    }
}
