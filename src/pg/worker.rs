//! Background workers that do a caller's work in transactions of their own, which commit while the caller waits.
//!
//! They run as the caller's role and are of its lock group, as parallel workers are: the locks it holds protect their
//! work instead of standing in its way, and a deadlock between it and others is noticed. What they say and the errors
//! they raise come out at the caller. It never outlives them: however it ends, they are stopped first.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{IntoDatum, PgMemoryContexts, check_for_interrupts, direct_function_call, pg_guard, pg_sys};

use super::interrupt::HeldInterrupts;
use super::{Error, guc};

/// What a caller and its workers see of each other.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Board {
    /// The next piece of work that nobody has taken.
    next: AtomicU64,
    /// How much is done, of how much: bytes or whatever the work is counted in.
    done: AtomicU64,
    total: AtomicU64,
    /// Rows done.
    rows: AtomicU64,
}

impl Board {
    /// Takes the next piece of work, counted from 0.
    pub fn take(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts what was done.
    pub fn add(&self, done: u64, rows: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Sets how far all of it is.
    pub fn set(&self, done: u64, total: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// Sets how much there is to do; who begins late may see less of it.
    pub fn set_total(&self, total: u64) {
        self.total.fetch_max(total, Ordering::Relaxed);
    }

    /// How much is done, of how much, and how many rows.
    pub fn read(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.done), read(&self.total), read(&self.rows))
    }
}

/// Workers to be had.
pub struct Crew<'a> {
    /// What they are called in `pg_stat_activity`.
    pub name: &'a CStr,
    /// How many, at the most.
    pub workers: usize,
    /// What they are to do.
    pub order: &'a [u8],
}

/// The beginning of the shared memory; behind it, each at a multiple of eight bytes, the order, and for each worker
/// whether it has finished and its queue.
#[repr(C)]
struct Shared {
    /// [`LAYOUT`] of the library that the caller has loaded. It and `is_refused` stay where they are in every version.
    layout: u64,
    /// Set by a worker whose library has another layout: it looks at nothing else.
    is_refused: AtomicBool,
    board: Board,
    leader: *mut pg_sys::PGPROC,
    leader_pid: c_int,
    database: pg_sys::Oid,
    session_role: pg_sys::Oid,
    role: pg_sys::Oid,
    security_context: c_int,
    max_memory: c_int,
    memory_limit: c_int,
    maintenance_work_mem: c_int,
    lock_timeout: c_int,
    quick_index_build: bool,
    workers: usize,
    order_bytes: usize,
    /// `netflix_rec.data_directory`, empty where it is not set.
    data_directory: Text,
    /// The statement that the caller runs, or its beginning.
    statement: Text,
}

/// A C string in shared memory.
type Text = [u8; pg_sys::MAXPGPATH as usize];

/// What a caller and its workers must have in common: the library's version, and the size of what they share. They differ where
/// the library was replaced while the caller's session ran.
const LAYOUT: u64 = {
    // FNV-1a.
    let (version, mut hash, mut at) = (env!("CARGO_PKG_VERSION").as_bytes(), 0xcbf2_9ce4_8422_2325_u64, 0);
    while at < version.len() {
        hash = (hash ^ version[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    (hash ^ size_of::<Shared>() as u64).wrapping_mul(0x0100_0000_01b3)
};

/// Room for what a worker says until the caller hears it.
const QUEUE: usize = 16 * 1024;
/// How often the caller looks around, in milliseconds.
const POLL: i64 = 100;

unsafe extern "C-unwind" {
    // libpq/pqmq.h, which pgrx does not bind; the same in PostgreSQL 14 to 18.
    fn pq_redirect_to_shm_mq(seg: *mut pg_sys::dsm_segment, mqh: *mut pg_sys::shm_mq_handle);
    // tcop/tcopprot.h: the handler itself, not pgrx's guarded call of it.
    fn die(signal: c_int);
    fn pq_parse_errornotice(str: pg_sys::StringInfo, edata: *mut pg_sys::ErrorData);
}

/// Where things stand in the shared memory.
struct Layout {
    order: usize,
    finished: usize,
    queues: usize,
    total: usize,
}

impl Layout {
    fn new(order_bytes: usize, workers: usize) -> Layout {
        let order = size_of::<Shared>().next_multiple_of(8);
        let finished = (order + order_bytes).next_multiple_of(8);
        let queues = (finished + workers).next_multiple_of(8);
        Layout { order, finished, queues, total: queues + workers * QUEUE }
    }
}

/// Has a crew do its work and waits until it is done. `hear` is called several times a second. Gives how many workers
/// there were: none, and then nothing was done, where the server has no room for any.
pub fn run(crew: &Crew<'_>, hear: impl FnMut(&Board)) -> Result<usize, Error> {
    run_as(LAYOUT, crew, hear)
}

fn run_as(layout_word: u64, crew: &Crew<'_>, mut hear: impl FnMut(&Board)) -> Result<usize, Error> {
    if crew.workers == 0 {
        return Ok(0);
    }
    // SAFETY: on the backend's thread; the segment and the queues live until the end of this function or, where an error
    // is raised, of the transaction, and the workers are stopped before that.
    unsafe {
        let layout = Layout::new(crew.order.len(), crew.workers);
        let segment = pg_sys::dsm_create(layout.total, pg_sys::DSM_CREATE_NULL_IF_MAXSEGMENTS as c_int);
        if segment.is_null() {
            return Ok(0);
        }
        let base = pg_sys::dsm_segment_address(segment).cast::<u8>();
        let (mut role, mut security_context) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&raw mut role, &raw mut security_context);
        pg_sys::BecomeLockGroupLeader();
        ptr::write_bytes(base, 0, layout.queues);
        base.cast::<Shared>().write(Shared {
            layout: layout_word,
            is_refused: AtomicBool::new(false),
            board: Board::default(),
            leader: pg_sys::MyProc,
            leader_pid: pg_sys::MyProcPid,
            database: pg_sys::MyDatabaseId,
            session_role: pg_sys::GetSessionUserId(),
            role,
            security_context,
            max_memory: guc::max_memory_mb(),
            memory_limit: guc::memory_limit_mb(),
            maintenance_work_mem: pg_sys::maintenance_work_mem,
            lock_timeout: pg_sys::LockTimeout,
            quick_index_build: guc::quick_index_build(),
            workers: crew.workers,
            order_bytes: crew.order.len(),
            data_directory: text(guc::data_directory().as_deref().unwrap_or(c"")),
            statement: match pg_sys::debug_query_string.is_null() {
                true => text(c""),
                false => text(CStr::from_ptr(pg_sys::debug_query_string)),
            },
        });
        ptr::copy_nonoverlapping(crew.order.as_ptr(), base.add(layout.order), crew.order.len());
        let shared = &*base.cast::<Shared>();

        let mut workers = Workers::new();
        for number in 0..crew.workers {
            let queue = base.add(layout.queues + number * QUEUE).cast::<c_void>();
            let queue = pg_sys::shm_mq_create(queue, QUEUE);
            pg_sys::shm_mq_set_receiver(queue, pg_sys::MyProc);
            let queue = pg_sys::shm_mq_attach(queue, segment, ptr::null_mut());
            if !workers.start(crew, pg_sys::dsm_segment_handle(segment), number, queue) {
                break;
            }
        }
        let started = workers.len();
        if started > 0 {
            let finished =
                std::slice::from_raw_parts(base.add(layout.finished).cast::<AtomicBool>(), started);
            workers.wait(&shared.is_refused, finished, || hear(&shared.board))?;
        }
        drop(workers);
        pg_sys::dsm_detach(segment);
        Ok(started)
    }
}

/// Workers under way; stopped when dropped.
struct Workers {
    /// The queue of each, until that is closed.
    queues: Vec<Option<*mut pg_sys::shm_mq_handle>>,
}

/// The handles of all workers that this backend waits for, so that they can be stopped when it exits: that does not
/// unwind. A list in memory that lasts as long as the backend.
static HANDLES: AtomicPtr<Handle> = AtomicPtr::new(ptr::null_mut());
/// How many of them there are.
static STARTED: AtomicUsize = AtomicUsize::new(0);
/// A worker, and its queue until that is closed.
struct Handle {
    worker: *mut pg_sys::BackgroundWorkerHandle,
    queue: *mut pg_sys::shm_mq_handle,
}
/// More than there can be: `max_worker_processes` is 262143 at the most, but nobody has as many cores.
pub const MOST_WORKERS: usize = 256;

impl Workers {
    fn new() -> Workers {
        // SAFETY: on the backend's thread; the list lasts as long as that.
        unsafe {
            if HANDLES.load(Ordering::Relaxed).is_null() {
                let bytes = MOST_WORKERS * size_of::<Handle>();
                let list = pg_sys::MemoryContextAllocZero(pg_sys::TopMemoryContext, bytes);
                HANDLES.store(list.cast(), Ordering::Relaxed);
                // Once: there is room for few such calls, and one that finds nothing to stop does no harm.
                pg_sys::before_shmem_exit(Some(stop_at_exit), pg_sys::Datum::from(0));
            }
            STARTED.store(0, Ordering::Relaxed);
        }
        Workers { queues: Vec::new() }
    }

    fn len(&self) -> usize {
        self.queues.len()
    }

    /// # Safety
    ///
    /// The queue is this worker's, in the segment of this handle.
    unsafe fn start(
        &mut self,
        crew: &Crew<'_>,
        segment: pg_sys::dsm_handle,
        number: usize,
        queue: *mut pg_sys::shm_mq_handle,
    ) -> bool {
        let mut worker = pg_sys::BackgroundWorker {
            bgw_flags: (pg_sys::BGWORKER_SHMEM_ACCESS | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION)
                as c_int,
            bgw_start_time: pg_sys::BgWorkerStartTime::BgWorkerStart_RecoveryFinished,
            bgw_restart_time: pg_sys::BGW_NEVER_RESTART,
            bgw_main_arg: pg_sys::Datum::from(segment),
            ..Default::default()
        };
        copy(crew.name, &mut worker.bgw_name);
        copy(crew.name, &mut worker.bgw_type);
        copy(c"netflix_rec", &mut worker.bgw_library_name);
        copy(c"netflix_rec_worker", &mut worker.bgw_function_name);
        worker.bgw_extra[0] = number as u8 as c_char;
        // SAFETY: a filled-in description; the handle is made in memory that lasts, and kept in a list with room.
        unsafe {
            worker.bgw_notify_pid = pg_sys::MyProcPid;
            let mut handle = ptr::null_mut();
            let is_started = number < MOST_WORKERS
                && PgMemoryContexts::TopMemoryContext
                    .switch_to(|_| pg_sys::RegisterDynamicBackgroundWorker(&raw mut worker, &raw mut handle));
            if is_started {
                pg_sys::shm_mq_set_handle(queue, handle);
                HANDLES.load(Ordering::Relaxed).add(number).write(Handle { worker: handle, queue });
                STARTED.store(number + 1, Ordering::Relaxed);
                self.queues.push(Some(queue));
            }
            is_started
        }
    }

    /// Hears the workers until all have ended; raises the first error that one of them raised.
    ///
    /// # Safety
    ///
    /// The queues live.
    unsafe fn wait(
        &mut self,
        is_refused: &AtomicBool,
        finished: &[AtomicBool],
        mut hear: impl FnMut(),
    ) -> Result<(), Error> {
        while self.queues.iter().any(Option::is_some) {
            for (number, is_finished) in finished.iter().enumerate().take(self.queues.len()) {
                // SAFETY: as the caller promises.
                while let Some(message) = unsafe { self.receive(number) } {
                    // SAFETY: a message as the server writes it, in memory that the queue keeps until the next one.
                    if let Some(mut error) = unsafe { said(message) } {
                        self.stop();
                        // SAFETY: filled in by the server; raises the error.
                        unsafe { pg_sys::ThrowErrorData(&raw mut error) };
                    }
                }
                if self.queues[number].is_none() && !is_finished.load(Ordering::Acquire) {
                    let is_refused = is_refused.load(Ordering::Acquire);
                    return Err(if is_refused { Error::LibraryReplaced } else { Error::WorkerLost });
                }
            }
            hear();
            // SAFETY: waits for this backend's latch, which a queue or the death of a worker sets.
            unsafe {
                let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
                pg_sys::WaitLatch(pg_sys::MyLatch, events as c_int, POLL, pg_sys::PG_WAIT_EXTENSION);
                pg_sys::ResetLatch(pg_sys::MyLatch);
            }
            check_for_interrupts!();
        }
        hear();
        Ok(())
    }

    /// The next message of a worker, if there is one.
    ///
    /// # Safety
    ///
    /// The queues live; the message does until the next call.
    unsafe fn receive(&mut self, number: usize) -> Option<&'static [u8]> {
        let queue = self.queues[number]?;
        let (mut bytes, mut data) = (0, ptr::null_mut());
        // SAFETY: as the caller promises.
        unsafe {
            match pg_sys::shm_mq_receive(queue, &raw mut bytes, &raw mut data, true) {
                pg_sys::shm_mq_result::SHM_MQ_SUCCESS => {
                    Some(std::slice::from_raw_parts(data.cast::<u8>(), bytes))
                }
                pg_sys::shm_mq_result::SHM_MQ_WOULD_BLOCK => None,
                _ => {
                    self.queues[number] = None;
                    (*HANDLES.load(Ordering::Relaxed).add(number)).queue = ptr::null_mut();
                    pg_sys::shm_mq_detach(queue);
                    None
                }
            }
        }
    }

    /// Ends all workers and waits until they are gone.
    fn stop(&mut self) {
        let _held = HeldInterrupts::new();
        // SAFETY: on the backend's thread, with interrupts held off: what is waited for in there raises no error.
        unsafe { stop_all() };
        self.queues.clear();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The processes whose locks this backend's workers wait for.
pub fn waiting_for() -> Vec<i32> {
    let mut pids = Vec::new();
    let started = STARTED.load(Ordering::Relaxed);
    // PostgreSQL's function leaves what it has allocated: some hundred kilobytes a look on a large server.
    let mut scratch = PgMemoryContexts::new("netflix_rec blocking processes");
    for number in 0..started {
        // SAFETY: the list holds so many handles of workers that this backend started; PostgreSQL's function takes a pid.
        unsafe {
            let handle = HANDLES.load(Ordering::Relaxed).add(number);
            let mut pid = 0;
            let status = pg_sys::GetBackgroundWorkerPid((*handle).worker, &raw mut pid);
            if status == pg_sys::BgwHandleStatus::BGWH_STARTED {
                let found = scratch.switch_to(|_| {
                    direct_function_call::<Vec<i32>>(pg_sys::pg_blocking_pids, &[pid.into_datum()])
                });
                pids.extend(found.unwrap_or_default());
            }
        }
    }
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// # Safety
///
/// On the backend's thread, which holds off interrupts.
unsafe fn stop_all() {
    let handles = HANDLES.load(Ordering::Relaxed);
    let started = STARTED.swap(0, Ordering::Relaxed);
    // SAFETY: the list holds so many handles of workers that this backend started.
    unsafe {
        let handles = std::slice::from_raw_parts(handles, started);
        handles.iter().for_each(|handle| pg_sys::TerminateBackgroundWorker(handle.worker));
        // One that has more to say than its queue has room for would wait for ever to be heard.
        for handle in handles.iter().filter(|handle| !handle.queue.is_null()) {
            pg_sys::shm_mq_detach(handle.queue);
        }
        for handle in handles {
            pg_sys::WaitForBackgroundWorkerShutdown(handle.worker);
            pg_sys::pfree(handle.worker.cast());
        }
    }
}

/// When the caller's backend ends, its locks must not go before its workers.
unsafe extern "C-unwind" fn stop_at_exit(_code: c_int, _arg: pg_sys::Datum) {
    // SAFETY: an exiting backend holds off interrupts.
    unsafe { stop_all() };
}

/// Passes on what a worker said. Gives the error, where it is one.
///
/// # Safety
///
/// The message is one that the server made.
unsafe fn said(message: &[u8]) -> Option<pg_sys::ErrorData> {
    let (&kind, body) = message.split_first()?;
    if kind != b'E' && kind != b'N' {
        return None;
    }
    // SAFETY: the body is copied into a string of the server's, which it parses into strings of its own.
    unsafe {
        let mut text = pg_sys::StringInfoData::default();
        pg_sys::initStringInfo(&raw mut text);
        pg_sys::appendBinaryStringInfo(&raw mut text, body.as_ptr().cast(), body.len() as c_int);
        let mut said = pg_sys::ErrorData::default();
        pq_parse_errornotice(&raw mut text, &raw mut said);
        if kind == b'E' {
            // A worker that was ended says FATAL, which would end the caller, too.
            said.elevel = said.elevel.min(pgrx::PgLogLevel::ERROR as c_int);
            return Some(said);
        }
        pg_sys::ThrowErrorData(&raw mut said);
    }
    None
}

/// What a worker does: gets what all of them see, and the order. An error it gives is raised at the caller.
pub type Work = fn(&Board, &[u8]) -> Result<(), ErrorReport>;

static WORK: OnceLock<Work> = OnceLock::new();

/// In a worker: the caller's role and security context, which its transactions have.
static ROLE: OnceLock<(pg_sys::Oid, c_int)> = OnceLock::new();

/// Says what workers do; to be called as the library is loaded.
pub fn define(work: Work) {
    WORK.get_or_init(|| work);
}

/// The caller has a session already: whether its role may log in was asked when that began, and may have changed.
#[cfg(any(feature = "pg17", feature = "pg18"))]
const CONNECTION_FLAGS: u32 = pg_sys::BGWORKER_BYPASS_ROLELOGINCHECK;
#[cfg(not(any(feature = "pg17", feature = "pg18")))]
const CONNECTION_FLAGS: u32 = 0;

/// A worker's life: does what the caller ordered, as the caller's role. The server looks it up by its name.
#[pg_guard]
#[unsafe(no_mangle)]
extern "C-unwind" fn netflix_rec_worker(arg: pg_sys::Datum) {
    let Some(work) = WORK.get() else { return };
    // SAFETY: the server calls this once, in a process that `run` asked for, with the argument that it gave; the segment is
    // this process's until it ends.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(pg_sys::SIGTERM as c_int, Some(die));
        // Its headers define pqsignal as this name.
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(pg_sys::SIGTERM as c_int, Some(die));
        pg_sys::BackgroundWorkerUnblockSignals();
        if pg_sys::CurrentResourceOwner.is_null() {
            pg_sys::CurrentResourceOwner =
                pg_sys::ResourceOwnerCreate(ptr::null_mut(), c"netflix_rec".as_ptr());
        }
        let segment = pg_sys::dsm_attach(arg.value() as pg_sys::dsm_handle);
        if segment.is_null() {
            // The caller is gone.
            return;
        }
        let base = pg_sys::dsm_segment_address(segment).cast::<u8>();
        let shared = &*base.cast::<Shared>();
        if shared.layout != LAYOUT {
            shared.is_refused.store(true, Ordering::Release);
            return;
        }
        let number = (*pg_sys::MyBgworkerEntry).bgw_extra[0] as u8 as usize;
        let layout = Layout::new(shared.order_bytes, shared.workers);
        let queue = base.add(layout.queues + number * QUEUE).cast::<pg_sys::shm_mq>();
        pg_sys::shm_mq_set_sender(queue, pg_sys::MyProc);
        let queue = pg_sys::shm_mq_attach(queue, segment, ptr::null_mut());
        pq_redirect_to_shm_mq(segment, queue);
        if !pg_sys::BecomeLockGroupMember(shared.leader, shared.leader_pid) {
            return;
        }
        pg_sys::BackgroundWorkerInitializeConnectionByOid(
            shared.database,
            shared.session_role,
            CONNECTION_FLAGS,
        );
        // What it says goes to the caller as it is, whose client's encoding may be another than the role's: as in PostgreSQL's
        // parallel workers.
        pg_sys::SetClientEncoding(pg_sys::GetDatabaseEncoding());
        configure(shared);
        pg_sys::debug_query_string = shared.statement.as_ptr().cast();
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, pg_sys::debug_query_string);
        ROLE.get_or_init(|| (shared.role, shared.security_context));
        let order = std::slice::from_raw_parts(base.add(layout.order), shared.order_bytes);
        if let Err(error) = work(&shared.board, order) {
            error.report(pgrx::PgLogLevel::ERROR);
        }
        (*base.add(layout.finished + number).cast::<AtomicBool>()).store(true, Ordering::Release);
    }
}

/// Settings that a worker must have, whatever its role's are.
fn configure(shared: &Shared) {
    let set = |name: &CStr, value: &str| {
        let value = CString::new(value).unwrap_or_default();
        // The caller's values hold, also of settings that its role may not change.
        let (context, source) = (pg_sys::GucContext::PGC_SUSET, pg_sys::GucSource::PGC_S_SESSION);
        // SAFETY: C strings; a value that a setting does not take is an error of the server's.
        unsafe { pg_sys::SetConfigOption(name.as_ptr(), value.as_ptr(), context, source) };
    };
    set(c"search_path", "pg_catalog, pg_temp");
    set(c"default_transaction_isolation", "read committed");
    set(c"default_transaction_read_only", "off");
    set(c"maintenance_work_mem", &shared.maintenance_work_mem.to_string());
    set(c"lock_timeout", &shared.lock_timeout.to_string());
    // The ceiling first: above it, the other would be refused.
    set(c"netflix_rec.memory_limit", &shared.memory_limit.to_string());
    set(c"netflix_rec.max_memory", &shared.max_memory.to_string());
    set(c"netflix_rec.quick_index_build", if shared.quick_index_build { "on" } else { "off" });
    let data_directory = CStr::from_bytes_until_nul(&shared.data_directory).unwrap_or_default();
    set(c"netflix_rec.data_directory", &data_directory.to_string_lossy());
    // A member of a lock group can be the leader of none.
    set(c"max_parallel_workers_per_gather", "0");
    set(c"max_parallel_maintenance_workers", "0");
}

/// Whether this process is a background worker, and not a session's backend.
pub fn is_worker() -> bool {
    // SAFETY: set once, as the process starts.
    unsafe { !pg_sys::MyBgworkerEntry.is_null() }
}

/// Does something in a transaction of its own, if this is a worker; in a caller's backend, in its transaction. What it
/// gives is committed unless it is an error.
pub fn transaction<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    // SAFETY: on the backend's thread, outside of a transaction where one is started; a worker whose work fails raises
    // the error, and its transaction is rolled back as its process ends.
    unsafe {
        if pg_sys::IsTransactionState() {
            let done = work()?;
            pg_sys::CommandCounterIncrement();
            return Ok(done);
        }
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        // No transaction begins in a security context.
        let (mut own, mut none) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&raw mut own, &raw mut none);
        let (role, context) = ROLE.get().copied().unwrap_or((own, none));
        pg_sys::SetUserIdAndSecContext(role, context);
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let done = work()?;
        pg_sys::PopActiveSnapshot();
        pg_sys::SetUserIdAndSecContext(own, none);
        pg_sys::CommitTransactionCommand();
        Ok(done)
    }
}

/// As much of a text as there is room for, in whole characters.
fn text(from: &CStr) -> Text {
    let (mut text, from) = ([0; size_of::<Text>()], from.to_bytes());
    let mut end = from.len().min(text.len() - 1);
    while end < from.len() && end > 0 && from[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    text[..end].copy_from_slice(&from[..end]);
    text
}

fn copy<const N: usize>(from: &CStr, to: &mut [c_char; N]) {
    for (to, &byte) in to[..N - 1].iter_mut().zip(from.to_bytes()) {
        *to = byte as c_char;
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    /// A crew whose order is none of a load's: its workers, if they look at it, raise an error.
    const CREW: Crew<'static> = Crew { name: c"netflix_rec test", workers: 2, order: b"nothing" };

    #[pg_test(error = "the load's ledger was changed while it ran")]
    fn workers_of_the_same_library_look_at_the_order() {
        drop(run(&CREW, |_| ()));
        unreachable!("the workers' error was raised");
    }

    #[pg_test]
    fn workers_of_another_library_refuse() {
        let refused = run_as(LAYOUT.wrapping_add(1), &CREW, |_| ());
        assert!(matches!(refused, Err(Error::LibraryReplaced)), "{refused:?}");
    }

    #[pg_test]
    fn a_text_that_is_too_long_ends_with_a_whole_character() {
        let long = CString::new("\u{416}".repeat(1000)).unwrap();
        let cut = text(&long);
        let cut = CStr::from_bytes_until_nul(&cut).unwrap().to_str().unwrap();
        assert_eq!(cut, "\u{416}".repeat((size_of::<Text>() - 1) / 2));
        assert_eq!(CStr::from_bytes_until_nul(&text(c"SELECT 1")), Ok(c"SELECT 1"));
    }
}
