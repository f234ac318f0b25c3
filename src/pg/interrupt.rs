//! Long computation on threads, while the backend goes on hearing of cancels.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use pgrx::{check_for_interrupts, pg_sys};

use super::Error;

/// How often the backend looks for interrupts while threads compute.
const POLL: Duration = Duration::from_millis(20);

/// Raises the error of an interrupt that has come: a cancel, a timeout, the backend's termination.
pub fn check() {
    check_for_interrupts!();
}

/// [`check`] as a crate's long call asks for it: an interrupt unwinds, so that what it owns is freed.
pub fn go_on<P>(_: P) -> ControlFlow<()> {
    check();
    ControlFlow::Continue(())
}

/// Runs a job on a pool of threads of its own. What the job sends is handed to `hear` on the backend's thread, the
/// only one that may call PostgreSQL.
///
/// An interrupt, or an error that `hear` raises, sets the job's flag; the job must then end soon. The error is
/// raised once all threads have ended. No thread outlives the call.
pub fn run<M: Send, T: Send>(
    threads: usize,
    job: impl FnOnce(&AtomicBool, &mut dyn FnMut(M)) -> T + Send,
    mut hear: impl FnMut(M),
) -> Result<T, Error> {
    let pool = pool(threads)?;
    let cancelled = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel::<Message<M, T>>();
    let mut result = None;
    pool.in_place_scope(|scope| {
        // Whatever ends this scope early, the job hears of it before the scope waits for it.
        let _stop = SetOnDrop(&cancelled);
        let flag = &cancelled;
        scope.spawn(move |_| {
            let run =
                std::panic::AssertUnwindSafe(|| job(flag, &mut |m| drop(sender.send(Message::Said(m)))));
            let outcome = std::panic::catch_unwind(run);
            drop(sender.send(Message::Ended(outcome)));
        });
        loop {
            match receiver.recv_timeout(POLL) {
                Ok(Message::Said(message)) => hear(message),
                Ok(Message::Ended(outcome)) => {
                    result = Some(outcome);
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if interrupted() {
                cancelled.store(true, Ordering::Relaxed);
            }
        }
    });
    drop(pool);
    // With all threads gone, an interrupt may now raise its error or end the backend.
    check();
    match result {
        Some(Ok(value)) => Ok(value),
        Some(Err(panic)) => Err(Error::Panicked(panic_message(panic.as_ref()))),
        None => Err(Error::Panicked("it ended without a result".into())),
    }
}

enum Message<M, T> {
    Said(M),
    Ended(std::thread::Result<T>),
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether an interrupt has come that ends the statement or the backend. Others are seen to on the spot.
fn interrupted() -> bool {
    // SAFETY: flags that the backend's signal handlers set, read on its own thread; absorbing a barrier neither
    // raises errors nor ends the backend.
    unsafe {
        if pg_sys::InterruptPending == 0 {
            return false;
        }
        if pg_sys::ProcSignalBarrierPending != 0 {
            pg_sys::ProcessProcSignalBarrier();
        }
        pg_sys::QueryCancelPending != 0 || pg_sys::ProcDiePending != 0 || pg_sys::ClientConnectionLost != 0
    }
}

/// A pool whose threads receive no signals: the backend's handlers may run on its own thread alone.
fn pool(threads: usize) -> Result<rayon::ThreadPool, Error> {
    let blocked = BlockedSignals::new();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("netflix_rec {index}"))
        .build()?;
    drop(blocked);
    Ok(pool)
}

/// Blocks all signals of this thread, and so of those it starts, until dropped.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn new() -> BlockedSignals {
        // SAFETY: both sets are written by the calls before they are read.
        unsafe {
            let mut all = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            BlockedSignals(before)
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: restores the mask that `new` found.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "for an unknown reason".into())
}
