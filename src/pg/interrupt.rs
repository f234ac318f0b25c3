//! Long computation on threads, while the backend goes on hearing of cancels.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

#[cfg(any(test, feature = "pg_test"))]
use pgrx::pg_schema;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, check_for_interrupts, pg_sys};

use super::{Error, allocator, report};

/// How often the backend looks for interrupts while threads compute.
const POLL: Duration = Duration::from_millis(20);
/// How often it looks for the postmaster, and how long an interrupt of an unknown kind may last on a standby before it ends
/// the job.
const SECOND: Duration = Duration::from_secs(1);

/// Raises the error of an interrupt that has come: a cancel, a timeout, the backend's termination; or that of memory which
/// the system refused. A background worker ends here, too, when the postmaster is dead: nobody else would end it.
pub fn check() {
    check_for_interrupts!();
    if allocator::is_exhausted() {
        report(Error::OutOfMemory).report(PgLogLevel::ERROR);
    }
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
    // libpq/libpq.h: whether the client's end of the connection is open, without waiting.
    fn pq_check_connection() -> bool;
}

/// Runs a job on a pool of threads of its own. What the job sends is handed to `hear` on the backend's thread, the
/// only one that may call PostgreSQL.
///
/// An interrupt, a shortage of memory, or an error that `hear` raises sets the job's flag; the job must then end soon. The
/// error is raised once all threads have ended. No thread outlives the call. Where fewer threads can be started than are
/// asked for, those that could do the job.
pub fn run<M: Send, T: Send>(
    threads: usize,
    job: impl FnOnce(&AtomicBool, &mut (dyn FnMut(M) + Send)) -> T + Send,
    mut hear: impl FnMut(M),
) -> Result<T, Error> {
    // What came before is not the job's to hear of.
    check();
    let mut handles = Threads::default();
    let pool = handles.pool(threads)?;
    let mut watch = Watch::new();
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
                Ok(Message::Said(_)) if cancelled.load(Ordering::Relaxed) || watch.ends() => {}
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
            if watch.ends() {
                cancelled.store(true, Ordering::Relaxed);
            }
        }
    });
    drop(pool);
    drop(handles);
    let (is_orphaned, is_short) = (watch.is_orphaned, watch.is_short);
    drop(watch);
    // With all threads gone, an interrupt may now raise its error or end the backend.
    check();
    if is_orphaned {
        let code = PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN;
        let message = "terminating connection due to unexpected postmaster exit";
        ErrorReport::new(code, message, "netflix_rec").report(PgLogLevel::FATAL);
    }
    if is_short {
        return Err(Error::OutOfMemory);
    }
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

/// What the backend looks out for while threads compute. What does not end the job is served on the spot, or put off to the
/// job's end where only PostgreSQL's own `ProcessInterrupts` can serve it.
struct Watch {
    looked_for_postmaster: Instant,
    looked_for_client: Instant,
    /// Since when an interrupt of an unknown kind has been pending.
    unknown_since: Option<Instant>,
    is_client_check_due: bool,
    has_parallel_message: bool,
    is_any_put_off: bool,
    /// The postmaster is dead.
    is_orphaned: bool,
    is_short: bool,
}

impl Watch {
    fn new() -> Watch {
        let now = Instant::now();
        Watch {
            looked_for_postmaster: now,
            looked_for_client: now,
            unknown_since: None,
            is_client_check_due: false,
            has_parallel_message: false,
            is_any_put_off: false,
            is_orphaned: false,
            is_short: false,
        }
    }

    /// Whether something has come that ends the statement or the backend.
    fn ends(&mut self) -> bool {
        let now = Instant::now();
        self.is_short |= allocator::is_short();
        if now - self.looked_for_postmaster >= SECOND {
            self.looked_for_postmaster = now;
            // SAFETY: asks the operating system.
            self.is_orphaned |= unsafe { !PostmasterIsAliveInternal() };
        }
        self.look_for_client(now);
        self.is_short || self.is_orphaned || self.is_interrupted(now)
    }

    /// Does what the timer of `client_connection_check_interval` would have `ProcessInterrupts` do.
    fn look_for_client(&mut self, now: Instant) {
        // SAFETY: on the backend's thread; where a client is connected, the call polls its socket.
        unsafe {
            let interval = Duration::from_millis(pg_sys::client_connection_check_interval.max(0) as u64);
            if interval.is_zero() || pg_sys::MyProcPort.is_null() || now - self.looked_for_client < interval {
                return;
            }
            self.looked_for_client = now;
            if !pg_sys::ffi::pg_guard_ffi_boundary(|| pq_check_connection()) {
                pg_sys::ClientConnectionLost = 1;
                pg_sys::InterruptPending = 1;
            }
        }
    }

    fn is_interrupted(&mut self, now: Instant) -> bool {
        // SAFETY: flags that the backend's signal handlers set, read and reset on its own thread, in the order in which
        // `ProcessInterrupts` does that: what comes meanwhile sets InterruptPending again. Absorbing a barrier and
        // logging memory contexts neither raise errors nor end the backend.
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
                let _held = HeldInterrupts::new();
                pg_sys::ProcessLogMemoryContextInterrupt();
                is_served = true;
            }
            // Served in `look_for_client`; only `ProcessInterrupts` starts the timer again.
            if pg_sys::CheckClientConnectionPending != 0 {
                pg_sys::CheckClientConnectionPending = 0;
                (self.is_client_check_due, is_served) = (true, true);
            }
            // What the parallel workers of the calling query have to say can wait.
            if i64::from(pg_sys::ParallelMessagePending) != 0 {
                pg_sys::ParallelMessagePending = Default::default();
                (self.has_parallel_message, is_served) = (true, true);
            }
            // To be told to report statistics while it is idle, PostgreSQL leaves a timer running.
            #[cfg(not(feature = "pg14"))]
            if pg_sys::IdleStatsUpdateTimeoutPending != 0 {
                pg_sys::IdleStatsUpdateTimeoutPending = 0;
                is_served = true;
            }
            let is_ending = is_ending();
            if is_served && !is_ending {
                self.is_any_put_off = true;
                return false;
            }
            pg_sys::InterruptPending = 1;
            // Later versions keep recovery conflicts to themselves, and signal them again and again.
            let is_old = now - *self.unknown_since.get_or_insert(now) > SECOND;
            is_ending || is_old && pg_sys::RecoveryInProgress()
        }
    }
}

impl Drop for Watch {
    /// Leaves what was put off to `ProcessInterrupts`.
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe {
            if self.is_client_check_due {
                pg_sys::CheckClientConnectionPending = 1;
            }
            if self.has_parallel_message {
                pg_sys::HandleParallelMessageInterrupt();
            }
            if self.is_any_put_off {
                pg_sys::InterruptPending = 1;
            }
        }
    }
}

/// Whether an interrupt is pending that is known to end the statement or the backend.
fn is_ending() -> bool {
    // SAFETY: flags that the backend's signal handlers set, read on its own thread.
    unsafe {
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

/// Address space that must be left for a thread to be started: its stack, and what the C library allocates for it, which
/// ends the process where that fails.
const ROOM_FOR_A_THREAD: usize = (2 + 4) << 20;

impl Threads {
    /// Starts a pool of so many threads, or of as many of them as the system allows. They receive no signals, as the
    /// backend's handlers may run on its own thread alone.
    fn pool(&mut self, wanted: usize) -> Result<rayon::ThreadPool, Error> {
        /// Whether the last pool was a small one, which is said once.
        static IS_SAID: AtomicBool = AtomicBool::new(false);
        let mut threads = wanted;
        loop {
            match self.start(threads) {
                Ok(pool) => {
                    let is_small = threads < wanted;
                    if is_small && !IS_SAID.load(Ordering::Relaxed) {
                        warn_of_few(threads, wanted);
                    }
                    IS_SAID.store(is_small, Ordering::Relaxed);
                    return Ok(pool);
                }
                // The pool that failed ends its threads; the next one has no more of them than could be started.
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
        let _blocked = BlockedSignals::new();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).spawn_handler(|thread| {
            look_for_room()?;
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

/// Whether the system would give the memory that a thread needs.
fn look_for_room() -> std::io::Result<()> {
    // SAFETY: maps new pages, which nobody touches, and gives them back.
    unsafe {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let room = libc::mmap(std::ptr::null_mut(), ROOM_FOR_A_THREAD, access, flags, -1, 0);
        if room == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        libc::munmap(room, ROOM_FOR_A_THREAD);
    }
    Ok(())
}

fn warn_of_few(threads: usize, wanted: usize) {
    let _held = HeldInterrupts::new();
    let message = format!("could start {threads} of {wanted} threads only");
    ErrorReport::new(PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES, message, "netflix_rec")
        .set_detail("The result is the same with fewer threads.")
        .set_hint("Lower netflix_rec.threads, or let the server have more memory or processes.")
        .report(PgLogLevel::WARNING);
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
