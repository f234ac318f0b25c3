//! The caller: it starts workers, passes on their messages, and stops them.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use pgrx::{IntoDatum, PgMemoryContexts, check_for_interrupts, direct_function_call, pg_sys};

use super::process::END_OF_TASK;
use super::segment::{LAYOUT, Offsets, QUEUE_BYTES, SegmentHead, WorkCounter, shorten};
use crate::pg::interrupt::InterruptHoldoff;
use crate::pg::{Error, guc};

/// How often the caller checks its workers, in milliseconds.
const CHECK_INTERVAL_MS: i64 = 100;

unsafe extern "C-unwind" {
    // libpq/pqmq.h, which pgrx does not bind. The function is the same in PostgreSQL 14 to 18.
    fn pq_parse_errornotice(str: pg_sys::StringInfo, edata: *mut pg_sys::ErrorData);
}

/// Work for background workers.
pub struct Job<'a> {
    /// The name of the workers in `pg_stat_activity`.
    pub name: &'a CStr,
    /// The name that the function of the work is registered by.
    pub task: &'static str,
    /// The greatest number of workers to start.
    pub workers: usize,
    /// The message that each worker's function receives.
    pub message: &'a [u8],
}

/// Starts workers and waits until all of them have finished the job. Calls `on_progress` several times a second, and at the end. Returns the
/// number of workers. If the server has no free worker, it returns 0 and does nothing.
pub fn run(job: &Job<'_>, on_progress: impl FnMut(&WorkCounter)) -> Result<usize, Error> {
    run_as(LAYOUT, job, on_progress)
}

fn run_as(layout: u64, job: &Job<'_>, mut on_progress: impl FnMut(&WorkCounter)) -> Result<usize, Error> {
    if job.workers == 0 {
        return Ok(0);
    }
    let message = [job.task.as_bytes(), &[END_OF_TASK], job.message].concat();
    // SAFETY: on the backend's thread. The segment and the queues live until the end of this function or, if an error is
    // raised, of the transaction. The workers are stopped before that.
    unsafe {
        let offsets = Offsets::new(message.len(), job.workers);
        let segment = pg_sys::dsm_create(offsets.total, pg_sys::DSM_CREATE_NULL_IF_MAXSEGMENTS as c_int);
        if segment.is_null() {
            return Ok(0);
        }
        let base = pg_sys::dsm_segment_address(segment).cast::<u8>();
        let (mut role, mut security_context) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&raw mut role, &raw mut security_context);
        pg_sys::BecomeLockGroupLeader();
        ptr::write_bytes(base, 0, offsets.queues);
        base.cast::<SegmentHead>().write(SegmentHead {
            layout,
            is_refused: AtomicBool::new(false),
            counter: WorkCounter::default(),
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
            workers: job.workers,
            message_bytes: message.len(),
            data_directory: shorten(guc::data_directory().as_deref().unwrap_or(c"")),
            statement: match pg_sys::debug_query_string.is_null() {
                true => shorten(c""),
                false => shorten(CStr::from_ptr(pg_sys::debug_query_string)),
            },
        });
        ptr::copy_nonoverlapping(message.as_ptr(), base.add(offsets.message), message.len());
        let head = &*base.cast::<SegmentHead>();

        let mut workers = Workers::new();
        for index in 0..job.workers {
            let queue = base.add(offsets.queues + index * QUEUE_BYTES).cast::<c_void>();
            let queue = pg_sys::shm_mq_create(queue, QUEUE_BYTES);
            pg_sys::shm_mq_set_receiver(queue, pg_sys::MyProc);
            let queue = pg_sys::shm_mq_attach(queue, segment, ptr::null_mut());
            if !workers.start(job, pg_sys::dsm_segment_handle(segment), index, queue) {
                break;
            }
        }
        let started = workers.len();
        if started > 0 {
            let finished =
                std::slice::from_raw_parts(base.add(offsets.finished).cast::<AtomicBool>(), started);
            workers.wait(&head.is_refused, finished, || on_progress(&head.counter))?;
            on_progress(&head.counter);
        }
        drop(workers);
        pg_sys::dsm_detach(segment);
        Ok(started)
    }
}

/// Running workers. Dropping them stops them.
struct Workers {
    /// The message queue of each worker; `None` when the worker has closed it.
    queues: Vec<Option<*mut pg_sys::shm_mq_handle>>,
}

/// The handles of all workers that this backend waits for: an array of [`MAX_WORKERS`] in memory that lives as long as the
/// backend. They are static so that the workers can be stopped when the backend exits, because an exit does not unwind the
/// stack.
static HANDLES: AtomicPtr<Handle> = AtomicPtr::new(ptr::null_mut());
/// How many of the handles are in use.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A worker, and its queue; null when the worker has closed the queue.
struct Handle {
    worker: *mut pg_sys::BackgroundWorkerHandle,
    queue: *mut pg_sys::shm_mq_handle,
}

/// The greatest number of workers of one caller. (`max_worker_processes` can be larger, but hardly any machine has more cores.)
pub const MAX_WORKERS: usize = 256;

impl Workers {
    fn new() -> Workers {
        // SAFETY: on the backend's thread; the array lives as long as the backend.
        unsafe {
            if HANDLES.load(Ordering::Relaxed).is_null() {
                let bytes = MAX_WORKERS * size_of::<Handle>();
                let handles = pg_sys::MemoryContextAllocZero(pg_sys::TopMemoryContext, bytes);
                HANDLES.store(handles.cast(), Ordering::Relaxed);
                // Registered only once, because PostgreSQL has few slots for such callbacks. If no worker runs, it does
                // nothing.
                pg_sys::before_shmem_exit(Some(stop_at_exit), pg_sys::Datum::from(0));
            }
            STARTED.store(0, Ordering::Relaxed);
        }
        Workers { queues: Vec::new() }
    }

    fn len(&self) -> usize {
        self.queues.len()
    }

    /// Starts one worker. Returns false if the server has no free worker.
    ///
    /// # Safety
    ///
    /// The queue is that of this worker, in the segment of this handle.
    unsafe fn start(
        &mut self,
        job: &Job<'_>,
        segment: pg_sys::dsm_handle,
        index: usize,
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
        copy(job.name, &mut worker.bgw_name);
        copy(job.name, &mut worker.bgw_type);
        copy(c"netflix_rec", &mut worker.bgw_library_name);
        copy(c"netflix_rec_worker", &mut worker.bgw_function_name);
        worker.bgw_extra[0] = index as u8 as c_char;
        // SAFETY: the description is filled in. The handle is allocated in TopMemoryContext; the array has room for it.
        unsafe {
            worker.bgw_notify_pid = pg_sys::MyProcPid;
            let mut handle = ptr::null_mut();
            let is_started = index < MAX_WORKERS
                && PgMemoryContexts::TopMemoryContext
                    .switch_to(|_| pg_sys::RegisterDynamicBackgroundWorker(&raw mut worker, &raw mut handle));
            if is_started {
                pg_sys::shm_mq_set_handle(queue, handle);
                HANDLES.load(Ordering::Relaxed).add(index).write(Handle { worker: handle, queue });
                STARTED.store(index + 1, Ordering::Relaxed);
                self.queues.push(Some(queue));
            }
            is_started
        }
    }

    /// Receives the workers' messages until all workers have ended. Raises the first error that a worker raised.
    ///
    /// # Safety
    ///
    /// The queues are still attached.
    unsafe fn wait(
        &mut self,
        is_refused: &AtomicBool,
        finished: &[AtomicBool],
        mut on_progress: impl FnMut(),
    ) -> Result<(), Error> {
        while self.queues.iter().any(Option::is_some) {
            for (index, is_finished) in finished.iter().enumerate().take(self.queues.len()) {
                // SAFETY: as the caller promises.
                while let Some(message) = unsafe { self.receive(index) } {
                    // SAFETY: a message that PostgreSQL wrote; the queue keeps it until the next call of `receive`.
                    if let Some(mut error) = unsafe { pass_on(message) } {
                        self.stop();
                        // SAFETY: PostgreSQL filled it in; raises the error.
                        unsafe { pg_sys::ThrowErrorData(&raw mut error) };
                    }
                }
                if self.queues[index].is_none() && !is_finished.load(Ordering::Acquire) {
                    let is_refused = is_refused.load(Ordering::Acquire);
                    return Err(if is_refused { Error::LibraryReplaced } else { Error::WorkerLost });
                }
            }
            on_progress();
            // SAFETY: waits for this backend's latch. A message in a queue sets it, and so does the exit of a worker.
            unsafe {
                let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
                pg_sys::WaitLatch(
                    pg_sys::MyLatch,
                    events as c_int,
                    CHECK_INTERVAL_MS,
                    pg_sys::PG_WAIT_EXTENSION,
                );
                pg_sys::ResetLatch(pg_sys::MyLatch);
            }
            check_for_interrupts!();
        }
        on_progress();
        Ok(())
    }

    /// The next message of a worker, if there is one.
    ///
    /// # Safety
    ///
    /// The queues are still attached. The message is valid until the next call only.
    unsafe fn receive(&mut self, index: usize) -> Option<&'static [u8]> {
        let queue = self.queues[index]?;
        let (mut bytes, mut data) = (0, ptr::null_mut());
        // SAFETY: as the caller promises.
        unsafe {
            match pg_sys::shm_mq_receive(queue, &raw mut bytes, &raw mut data, true) {
                pg_sys::shm_mq_result::SHM_MQ_SUCCESS => {
                    Some(std::slice::from_raw_parts(data.cast::<u8>(), bytes))
                }
                pg_sys::shm_mq_result::SHM_MQ_WOULD_BLOCK => None,
                _ => {
                    self.queues[index] = None;
                    (*HANDLES.load(Ordering::Relaxed).add(index)).queue = ptr::null_mut();
                    pg_sys::shm_mq_detach(queue);
                    None
                }
            }
        }
    }

    /// Terminates all workers and waits until they have exited.
    fn stop(&mut self) {
        let _holdoff = InterruptHoldoff::new();
        // SAFETY: on the backend's thread. Interrupts are held off, so the wait raises no error.
        unsafe { stop_all() };
        self.queues.clear();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The processes whose locks this backend's workers wait for. (0 means a prepared transaction.)
pub fn waiting_for() -> Vec<i32> {
    let mut pids = Vec::new();
    let started = STARTED.load(Ordering::Relaxed);
    // On a large server, each call of pg_blocking_pids allocates some hundred kilobytes, which it does not free.
    let mut scratch = PgMemoryContexts::new("netflix_rec blocking processes");
    for index in 0..started {
        // SAFETY: the first `started` handles are of workers that this backend started; pg_blocking_pids takes a pid.
        unsafe {
            let handle = HANDLES.load(Ordering::Relaxed).add(index);
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

/// Terminates all workers and waits until they have exited.
///
/// # Safety
///
/// On the backend's thread, which holds off interrupts.
unsafe fn stop_all() {
    let handles = HANDLES.load(Ordering::Relaxed);
    let started = STARTED.swap(0, Ordering::Relaxed);
    // SAFETY: the first `started` handles are of workers that this backend started.
    unsafe {
        let handles = std::slice::from_raw_parts(handles, started);
        handles.iter().for_each(|handle| pg_sys::TerminateBackgroundWorker(handle.worker));
        // Otherwise a worker whose queue is full would wait forever for somebody to read it.
        for handle in handles.iter().filter(|handle| !handle.queue.is_null()) {
            pg_sys::shm_mq_detach(handle.queue);
        }
        for handle in handles {
            pg_sys::WaitForBackgroundWorkerShutdown(handle.worker);
            pg_sys::pfree(handle.worker.cast());
        }
    }
}

/// PostgreSQL calls this when the caller's backend exits. The workers must stop before the backend's locks are released.
unsafe extern "C-unwind" fn stop_at_exit(_code: c_int, _arg: pg_sys::Datum) {
    // SAFETY: a backend that exits holds off interrupts.
    unsafe { stop_all() };
}

/// Raises a worker's notice in this backend. If the message is an error, returns it instead.
///
/// # Safety
///
/// PostgreSQL made the message.
unsafe fn pass_on(message: &[u8]) -> Option<pg_sys::ErrorData> {
    let (&kind, body) = message.split_first()?;
    if kind != b'E' && kind != b'N' {
        return None;
    }
    // SAFETY: the body is copied into a StringInfo; PostgreSQL copies what it parses from it.
    unsafe {
        let mut text = pg_sys::StringInfoData::default();
        pg_sys::initStringInfo(&raw mut text);
        pg_sys::appendBinaryStringInfo(&raw mut text, body.as_ptr().cast(), body.len() as c_int);
        let mut report = pg_sys::ErrorData::default();
        pq_parse_errornotice(&raw mut text, &raw mut report);
        if kind == b'E' {
            // The error of a terminated worker is FATAL. At this level it would end the caller as well.
            report.elevel = report.elevel.min(pgrx::PgLogLevel::ERROR as c_int);
            return Some(report);
        }
        pg_sys::ThrowErrorData(&raw mut report);
    }
    None
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

    /// A job whose message is not a step of a load, so a worker that reads it raises an error.
    const JOB: Job<'static> =
        Job { name: c"netflix_rec test", task: "load", workers: 2, message: b"nothing" };

    #[pg_test(error = "workers have no task \"nothing\"")]
    fn an_unknown_task_is_an_error() {
        drop(run(&Job { task: "nothing", ..JOB }, |_| ()));
        unreachable!("the workers' error was raised");
    }

    #[pg_test(error = "the load's ledger was changed while it ran")]
    fn workers_of_the_same_library_read_the_message() {
        drop(run(&JOB, |_| ()));
        unreachable!("the workers' error was raised");
    }

    #[pg_test]
    fn workers_of_another_library_refuse() {
        let refused = run_as(LAYOUT.wrapping_add(1), &JOB, |_| ());
        assert!(matches!(refused, Err(Error::LibraryReplaced)), "{refused:?}");
    }
}
