//! A thread pool for one call. It ends all its threads, and they receive no signals.

use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::pg::Error;
use crate::pg::interrupt::InterruptHoldoff;

/// The threads of a pool. Drop the pool first: dropping this value waits until all threads have ended. (Dropping rayon's pool
/// does not wait.)
#[derive(Default)]
pub struct Threads(Vec<std::thread::JoinHandle<()>>);

/// Bytes of address space that must be free before a thread is started: for its stack, and for what the C library allocates for
/// it. If that allocation fails, the C library ends the process.
const FREE_SPACE_PER_THREAD: usize = (2 + 4) << 20;

impl Threads {
    /// Starts a pool of `wanted` threads. If the system refuses some of them, the pool has as many as it allows.
    pub fn pool(&mut self, wanted: usize) -> Result<rayon::ThreadPool, Error> {
        /// Whether the last pool was too small. The warning is not repeated while the pools stay too small.
        static HAS_WARNED: AtomicBool = AtomicBool::new(false);
        let mut threads = wanted;
        loop {
            match self.start(threads) {
                Ok(pool) => {
                    let is_too_small = threads < wanted;
                    if is_too_small && !HAS_WARNED.load(Ordering::Relaxed) {
                        warn_of_few_threads(threads, wanted);
                    }
                    HAS_WARNED.store(is_too_small, Ordering::Relaxed);
                    return Ok(pool);
                }
                // The failed pool ends its threads. The next attempt asks for only as many as could be started.
                Err(error) => {
                    threads = self.0.len();
                    self.join();
                    if threads == 0 {
                        return Err(error.into());
                    }
                }
            }
        }
    }

    fn start(&mut self, threads: usize) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
        // PostgreSQL's signal handlers may run on the backend's own thread only.
        let _blocked = BlockedSignals::new();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).spawn_handler(|thread| {
            check_free_space()?;
            let name = format!("netflix_rec {}", thread.index());
            self.0.push(std::thread::Builder::new().name(name).spawn(|| thread.run())?);
            Ok(())
        });
        pool.build()
    }

    fn join(&mut self) {
        for thread in self.0.drain(..) {
            drop(thread.join());
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.join();
    }
}

/// Returns an error if the system would refuse the memory that a new thread needs.
fn check_free_space() -> std::io::Result<()> {
    // SAFETY: maps new pages, which nobody touches, and unmaps them.
    unsafe {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let space = libc::mmap(std::ptr::null_mut(), FREE_SPACE_PER_THREAD, access, flags, -1, 0);
        if space == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        libc::munmap(space, FREE_SPACE_PER_THREAD);
    }
    Ok(())
}

fn warn_of_few_threads(threads: usize, wanted: usize) {
    let _holdoff = InterruptHoldoff::new();
    let message = format!("could start {threads} of {wanted} threads only");
    ErrorReport::new(PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES, message, "netflix_rec")
        .set_detail("The result is the same with fewer threads.")
        .set_hint("Lower netflix_rec.threads, or let the server have more memory or processes.")
        .report(PgLogLevel::WARNING);
}

/// Blocks all signals of this thread until dropped. Threads that it starts meanwhile inherit the mask.
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
