//! The worker: its main function, its settings and its transactions.

use std::ffi::{CStr, CString, c_int};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgSqlErrorCode, pg_guard, pg_sys};

use super::segment::{LAYOUT, Offsets, QUEUE_BYTES, SegmentHead, WorkCounter};

unsafe extern "C-unwind" {
    // libpq/pqmq.h, which pgrx does not bind. The function is the same in PostgreSQL 14 to 18.
    fn pq_redirect_to_shm_mq(seg: *mut pg_sys::dsm_segment, mqh: *mut pg_sys::shm_mq_handle);
    // tcop/tcopprot.h: the signal handler itself, not pgrx's guarded call of it.
    fn die(signal: c_int);
}

/// The function that a worker runs. It receives the message of the job. If it returns an error, the caller raises that error.
pub type Work = fn(&WorkCounter, &[u8]) -> Result<(), ErrorReport>;

static WORK: OnceLock<Vec<(&'static str, Work)>> = OnceLock::new();

/// In a worker: the caller's role and security context. The worker's transactions run with them.
static ROLE: OnceLock<(pg_sys::Oid, c_int)> = OnceLock::new();

/// Sets the functions that workers run, by the names of their tasks. Called when the library is loaded.
pub fn register(work: Vec<(&'static str, Work)>) {
    WORK.get_or_init(|| work);
}

/// Stands between the name of the task and its message.
pub(super) const END_OF_TASK: u8 = b' ';

/// Runs the function of the task that a job's message begins with.
fn perform(tasks: &[(&str, Work)], counter: &WorkCounter, job: &[u8]) -> Result<(), ErrorReport> {
    let end = job.iter().position(|&byte| byte == END_OF_TASK).unwrap_or(job.len());
    match tasks.iter().find(|(task, _)| task.as_bytes() == &job[..end]) {
        Some((_, work)) => work(counter, job.get(end + 1..).unwrap_or_default()),
        None => {
            let message = format!("workers have no task \"{}\"", String::from_utf8_lossy(&job[..end]));
            Err(ErrorReport::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message, "netflix_rec_worker"))
        }
    }
}

/// The role's right to log in was checked when the caller's session began. It may have changed, so it is not checked again.
#[cfg(any(feature = "pg17", feature = "pg18"))]
const CONNECTION_FLAGS: u32 = pg_sys::BGWORKER_BYPASS_ROLELOGINCHECK;
#[cfg(not(any(feature = "pg17", feature = "pg18")))]
const CONNECTION_FLAGS: u32 = 0;

/// The main function of a worker. It runs the job as the caller's role. PostgreSQL finds it by its name.
#[pg_guard]
#[unsafe(no_mangle)]
extern "C-unwind" fn netflix_rec_worker(arg: pg_sys::Datum) {
    let Some(tasks) = WORK.get() else { return };
    // SAFETY: PostgreSQL calls this once, in a process that `run` requested, with the argument that `run` set. The segment
    // stays attached until the process ends.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(pg_sys::SIGTERM as c_int, Some(die));
        // The headers of PostgreSQL 18 define pqsignal as this function.
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(pg_sys::SIGTERM as c_int, Some(die));
        pg_sys::BackgroundWorkerUnblockSignals();
        if pg_sys::CurrentResourceOwner.is_null() {
            pg_sys::CurrentResourceOwner =
                pg_sys::ResourceOwnerCreate(ptr::null_mut(), c"netflix_rec".as_ptr());
        }
        let segment = pg_sys::dsm_attach(arg.value() as pg_sys::dsm_handle);
        if segment.is_null() {
            // The caller has ended.
            return;
        }
        let base = pg_sys::dsm_segment_address(segment).cast::<u8>();
        let head = &*base.cast::<SegmentHead>();
        if head.layout != LAYOUT {
            head.is_refused.store(true, Ordering::Release);
            return;
        }
        let index = (*pg_sys::MyBgworkerEntry).bgw_extra[0] as u8 as usize;
        let offsets = Offsets::new(head.message_bytes, head.workers);
        let queue = base.add(offsets.queues + index * QUEUE_BYTES).cast::<pg_sys::shm_mq>();
        pg_sys::shm_mq_set_sender(queue, pg_sys::MyProc);
        let queue = pg_sys::shm_mq_attach(queue, segment, ptr::null_mut());
        pq_redirect_to_shm_mq(segment, queue);
        if !pg_sys::BecomeLockGroupMember(head.leader, head.leader_pid) {
            return;
        }
        pg_sys::BackgroundWorkerInitializeConnectionByOid(head.database, head.session_role, CONNECTION_FLAGS);
        // The caller converts messages to its client's encoding, so the worker must not. PostgreSQL's parallel workers do the
        // same.
        pg_sys::SetClientEncoding(pg_sys::GetDatabaseEncoding());
        configure(head);
        pg_sys::debug_query_string = head.statement.as_ptr().cast();
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, pg_sys::debug_query_string);
        ROLE.get_or_init(|| (head.role, head.security_context));
        let message = std::slice::from_raw_parts(base.add(offsets.message), head.message_bytes);
        if let Err(error) = perform(tasks, &head.counter, message) {
            error.report(pgrx::PgLogLevel::ERROR);
        }
        (*base.add(offsets.finished + index).cast::<AtomicBool>()).store(true, Ordering::Release);
    }
}

/// Sets what a worker needs, whatever the role's settings are.
fn configure(head: &SegmentHead) {
    let set = |name: &CStr, value: &str| {
        let value = CString::new(value).unwrap_or_default();
        // The caller's values apply even to settings that its role may not change.
        let (context, source) = (pg_sys::GucContext::PGC_SUSET, pg_sys::GucSource::PGC_S_SESSION);
        // SAFETY: C strings; PostgreSQL raises an error for a value that it does not accept.
        unsafe { pg_sys::SetConfigOption(name.as_ptr(), value.as_ptr(), context, source) };
    };
    set(c"search_path", "pg_catalog, pg_temp");
    set(c"default_transaction_isolation", "read committed");
    set(c"default_transaction_read_only", "off");
    set(c"maintenance_work_mem", &head.maintenance_work_mem.to_string());
    set(c"lock_timeout", &head.lock_timeout.to_string());
    // The ceiling comes first, because PostgreSQL checks the next setting against it.
    set(c"netflix_rec.memory_limit", &head.memory_limit.to_string());
    set(c"netflix_rec.max_memory", &head.max_memory.to_string());
    set(c"netflix_rec.quick_index_build", if head.quick_index_build { "on" } else { "off" });
    let data_directory = CStr::from_bytes_until_nul(&head.data_directory).unwrap_or_default();
    set(c"netflix_rec.data_directory", &data_directory.to_string_lossy());
    // A member of a lock group cannot be the leader of another one, so a worker cannot have parallel workers.
    set(c"max_parallel_workers_per_gather", "0");
    set(c"max_parallel_maintenance_workers", "0");
}

/// Whether this process is a background worker, and not a session's backend.
pub fn is_worker() -> bool {
    // SAFETY: set once, when the process starts.
    unsafe { !pg_sys::MyBgworkerEntry.is_null() }
}

/// In a worker, runs `work` in a transaction of its own, which commits unless `work` returns an error. Otherwise, runs `work`
/// in the current transaction.
pub fn transaction<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    // SAFETY: on the backend's thread; a transaction is started only outside of one. If the work fails, the worker raises the
    // error, and its transaction is rolled back when its process ends.
    unsafe {
        if pg_sys::IsTransactionState() {
            let result = work()?;
            pg_sys::CommandCounterIncrement();
            return Ok(result);
        }
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        // A transaction must begin without a security context, so the caller's is set only within it.
        let (mut own, mut none) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&raw mut own, &raw mut none);
        let (role, context) = ROLE.get().copied().unwrap_or((own, none));
        pg_sys::SetUserIdAndSecContext(role, context);
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = work()?;
        pg_sys::PopActiveSnapshot();
        pg_sys::SetUserIdAndSecContext(own, none);
        pg_sys::CommitTransactionCommand();
        Ok(result)
    }
}
