//! Long computation on threads, while the backend goes on hearing of cancels.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

#[cfg(any(test, feature = "pg_test"))]
use pgrx::pg_schema;
use pgrx::{check_for_interrupts, pg_sys};

use super::Error;

/// How often the backend looks for interrupts while threads compute.
const POLL: Duration = Duration::from_millis(20);

/// Raises the error of an interrupt that has come: a cancel, a timeout, the backend's termination. A background worker
/// ends here, too, when the server's first process is dead: nobody else would end it.
pub fn check() {
    check_for_interrupts!();
    // SAFETY: on the process's own thread; as PostgreSQL's own workers do where they wait.
    unsafe {
        if !pg_sys::MyBgworkerEntry.is_null() && !PostmasterIsAliveInternal() {
            pg_sys::proc_exit(1);
        }
    }
}

unsafe extern "C-unwind" {
    // storage/pmsignal.h, which pgrx does not bind: asks the operating system.
    fn PostmasterIsAliveInternal() -> bool;
}

/// Runs a job on a pool of threads of its own. What the job sends is handed to `hear` on the backend's thread, the
/// only one that may call PostgreSQL.
///
/// An interrupt, or an error that `hear` raises, sets the job's flag; the job must then end soon. The error is
/// raised once all threads have ended. No thread outlives the call.
pub fn run<M: Send, T: Send>(
    threads: usize,
    job: impl FnOnce(&AtomicBool, &mut (dyn FnMut(M) + Send)) -> T + Send,
    mut hear: impl FnMut(M),
) -> Result<T, Error> {
    let mut handles = Threads::default();
    let pool = handles.pool(threads)?;
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
                // Once it is told to stop, what it still has to say is of no use.
                Ok(Message::Said(_)) if cancelled.load(Ordering::Relaxed) || interrupted() => {}
                Ok(Message::Said(message)) => {
                    let _held = HeldInterrupts::new();
                    hear(message);
                }
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
    drop(handles);
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

/// Keeps PostgreSQL from acting on interrupts until dropped: one that ends the backend, as saying something to the
/// client may, would do so under the threads that still compute.
pub struct HeldInterrupts;

impl HeldInterrupts {
    pub fn new() -> HeldInterrupts {
        // SAFETY: a counter of the backend's, used on its own thread.
        unsafe { pg_sys::InterruptHoldoffCount += 1 };
        HeldInterrupts
    }
}

impl Drop for HeldInterrupts {
    fn drop(&mut self) {
        // SAFETY: as above. Raising an error sets the counter to 0.
        unsafe { pg_sys::InterruptHoldoffCount = pg_sys::InterruptHoldoffCount.saturating_sub(1) };
    }
}

/// Whether an interrupt has come that ends the statement or the backend. Barriers, which others may wait for, are seen
/// to on the spot; the rest can wait.
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
        #[cfg(any(feature = "pg17", feature = "pg18"))]
        if pg_sys::TransactionTimeoutPending != 0 {
            return true;
        }
        pg_sys::QueryCancelPending != 0 || pg_sys::ProcDiePending != 0 || pg_sys::ClientConnectionLost != 0
    }
}

/// The threads of a pool: dropped after it, waits until all of them have ended. (Rayon's own pool does not.)
#[derive(Default)]
struct Threads(Vec<std::thread::JoinHandle<()>>);

impl Threads {
    /// Starts a pool whose threads receive no signals, as the backend's handlers may run on its own thread alone.
    fn pool(&mut self, threads: usize) -> Result<rayon::ThreadPool, Error> {
        let _blocked = BlockedSignals::new();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).spawn_handler(|thread| {
            let name = format!("netflix_rec {}", thread.index());
            self.0.push(std::thread::Builder::new().name(name).spawn(|| thread.run())?);
            Ok(())
        });
        Ok(pool.build()?)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            drop(thread.join());
        }
    }
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

#[cfg(any(test, feature = "pg_test"))]
#[pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    fn threads() -> usize {
        std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
    }

    #[pg_test]
    fn hears_every_message_and_leaves_no_thread() {
        let before = threads();
        let mut heard = Vec::new();
        let main = std::thread::current().id();
        let result = run(
            2,
            |_, say: &mut (dyn FnMut(i32) + Send)| {
                (0..100).for_each(&mut *say);
                rayon::current_num_threads()
            },
            |message| {
                assert_eq!(std::thread::current().id(), main);
                heard.push(message);
            },
        );
        assert_eq!(result.unwrap(), 2);
        assert_eq!(heard, (0..100).collect::<Vec<_>>());
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
        // All but the two that cannot be blocked and two that the C library keeps to itself.
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

    /// Ends only when it is told to.
    fn endless(cancelled: &AtomicBool, say: &mut (dyn FnMut(()) + Send)) {
        say(());
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
    fn nothing_that_is_heard_ends_the_backend_under_its_threads() {
        let before = threads();
        let mut heard = 0;
        let hear = |()| {
            heard += 1;
            // SAFETY: what the handler of SIGINT does; an interrupt of this kind is acted upon where a notice is sent.
            unsafe {
                pg_sys::QueryCancelPending = 1;
                pg_sys::InterruptPending = 1;
            }
            notice!("would be interrupted here");
            assert!(threads() > before);
        };
        let job = |cancelled: &AtomicBool, say: &mut (dyn FnMut(()) + Send)| {
            while !cancelled.load(Ordering::Relaxed) {
                say(());
            }
        };
        drop(run(2, job, hear));
        unreachable!("the cancel was raised after {heard}");
    }

    #[pg_test(error = "said too much")]
    fn an_error_while_hearing_stops_the_job() {
        drop(run(2, endless, |()| error!("said too much")));
    }
}
