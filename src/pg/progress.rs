//! The progress of long work, in the progress parameters that PostgreSQL keeps for each backend in shared memory. Other
//! sessions can read them.

use std::ffi::{CStr, c_int};
use std::sync::OnceLock;

use pgrx::pg_sys;

/// A phase of long work.
#[derive(Debug)]
pub struct Phase {
    /// Identifies the phase in shared memory. Another version of the library may read it, so an id never changes its meaning.
    pub id: i64,
    /// The name that `netflix_progress` shows.
    pub name: &'static str,
    /// The unit of [`Progress::update`]'s `done` and `total`.
    pub unit: &'static str,
}

/// The phases of all capabilities.
static PHASES: OnceLock<Vec<&'static Phase>> = OnceLock::new();

/// Registers the phases of all capabilities, when the library is loaded.
pub fn register(phases: Vec<&'static Phase>) {
    PHASES.get_or_init(|| phases);
}

/// The progress command of this extension. PostgreSQL does not use this value, so its own views skip it.
const COMMAND: pg_sys::ProgressCommandType::Type = 0x6e66_6c78;

// Indexes of the progress parameters.
const PHASE: c_int = 0;
const DONE: c_int = 1;
const TOTAL: c_int = 2;
const ROWS: c_int = 3;
const STARTED: c_int = 4;
const WAITING_FOR: c_int = 5;

/// Publishes the progress of this backend's work until dropped.
pub struct Progress;

impl Progress {
    /// Starts with the first phase of the work.
    pub fn start(first: &Phase) -> Progress {
        // SAFETY: writes this backend's own parameters.
        unsafe { pg_sys::pgstat_progress_start_command(COMMAND, pg_sys::InvalidOid) };
        let progress = Progress;
        progress.enter(first);
        progress
    }

    /// Starts a phase.
    pub fn enter(&self, phase: &Phase) {
        // SAFETY: as above.
        unsafe {
            pg_sys::pgstat_progress_update_param(STARTED, pg_sys::GetCurrentTimestamp());
            pg_sys::pgstat_progress_update_param(PHASE, phase.id);
        }
        self.waiting_for(None);
        self.update(0, 0, 0);
    }

    /// Sets the process that the work waits for; `None` if it does not wait.
    pub fn waiting_for(&self, pid: Option<i32>) {
        // SAFETY: as above.
        unsafe { pg_sys::pgstat_progress_update_param(WAITING_FOR, pid.unwrap_or(0).into()) };
    }

    /// Sets how much of the phase is done and how much there is in all, in the phase's unit, and how many rows are done.
    pub fn update(&self, done: u64, total: u64, rows: u64) {
        // SAFETY: as above.
        unsafe {
            pg_sys::pgstat_progress_update_param(DONE, done as i64);
            pg_sys::pgstat_progress_update_param(TOTAL, total as i64);
            pg_sys::pgstat_progress_update_param(ROWS, rows as i64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // SAFETY: as above. (After an error, PostgreSQL has already ended the command.)
        unsafe { pg_sys::pgstat_progress_end_command() };
    }
}

/// Publishes the progress of a worker that fills a table, in `pg_stat_progress_copy`, until dropped.
pub struct CopyProgress;

impl CopyProgress {
    /// Starts to publish. `total` is how many bytes all workers together read.
    pub fn start(table: pg_sys::Oid, total: u64) -> CopyProgress {
        // SAFETY: writes this backend's own parameters.
        unsafe {
            let command = pg_sys::ProgressCommandType::PROGRESS_COMMAND_COPY;
            pg_sys::pgstat_progress_start_command(command, table);
            pg_sys::pgstat_progress_update_param(pg_sys::PROGRESS_COPY_BYTES_TOTAL as c_int, total as i64);
            let from = i64::from(pg_sys::PROGRESS_COPY_COMMAND_FROM);
            pg_sys::pgstat_progress_update_param(pg_sys::PROGRESS_COPY_COMMAND as c_int, from);
            let file = i64::from(pg_sys::PROGRESS_COPY_TYPE_FILE);
            pg_sys::pgstat_progress_update_param(pg_sys::PROGRESS_COPY_TYPE as c_int, file);
        }
        CopyProgress
    }

    /// Sets how many bytes and rows this worker has done.
    pub fn update(&self, bytes: u64, rows: u64) {
        // SAFETY: as above.
        unsafe {
            pg_sys::pgstat_progress_update_param(
                pg_sys::PROGRESS_COPY_BYTES_PROCESSED as c_int,
                bytes as i64,
            );
            pg_sys::pgstat_progress_update_param(
                pg_sys::PROGRESS_COPY_TUPLES_PROCESSED as c_int,
                rows as i64,
            );
        }
    }
}

impl Drop for CopyProgress {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { pg_sys::pgstat_progress_end_command() };
    }
}

/// The progress of a backend's work, as another session sees it.
pub struct ProgressEntry {
    pub pid: i32,
    pub role: Option<String>,
    pub phase: &'static Phase,
    pub done: i64,
    pub total: i64,
    pub rows: i64,
    /// Seconds since the phase began.
    pub elapsed: f64,
    /// The process that the work waits for, if it waits.
    pub waiting_for: Option<i32>,
}

/// The work in this database that the current role may see: that of roles whose privileges it has. With the privileges of
/// `pg_read_all_stats`, it sees all work.
pub fn entries() -> Vec<ProgressEntry> {
    let mut entries = Vec::new();
    // SAFETY: PostgreSQL copies the entries of all backends into this backend's memory before the first one is read. The
    // pointers that it returns, which may be null, point into that copy.
    unsafe {
        let reads_all =
            pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(pg_sys::ROLE_PG_READ_ALL_STATS));
        let now = pg_sys::GetCurrentTimestamp();
        for index in 1..=pg_sys::pgstat_fetch_stat_numbackends() {
            #[cfg(any(feature = "pg14", feature = "pg15"))]
            let backend = pg_sys::pgstat_fetch_stat_local_beentry(index);
            #[cfg(not(any(feature = "pg14", feature = "pg15")))]
            let backend = pg_sys::pgstat_get_local_beentry_by_index(index);
            let Some(backend) = backend.as_ref() else { continue };
            let backend = &backend.backendStatus;
            let is_shown =
                backend.st_progress_command == COMMAND && backend.st_databaseid == pg_sys::MyDatabaseId;
            if !is_shown || !(reads_all || pg_sys::has_privs_of_role(pg_sys::GetUserId(), backend.st_userid))
            {
                continue;
            }
            let param = |index: c_int| backend.st_progress_param[index as usize];
            // Work that has just started has no phase yet. Another version of the library may have a phase that is unknown
            // here.
            let phase = PHASES.get().into_iter().flatten().find(|phase| phase.id == param(PHASE));
            let Some(phase) = phase else { continue };
            let role = pg_sys::GetUserNameFromId(backend.st_userid, true);
            let role = (!role.is_null()).then(|| CStr::from_ptr(role).to_string_lossy().into_owned());
            entries.push(ProgressEntry {
                pid: backend.st_procpid,
                role,
                phase,
                done: param(DONE),
                total: param(TOTAL),
                rows: param(ROWS),
                elapsed: (now - param(STARTED)).max(0) as f64 / 1e6,
                waiting_for: Some(param(WAITING_FOR) as i32).filter(|&pid| pid != 0),
            });
        }
    }
    entries
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    /// The entry of this backend.
    fn own_entry() -> Option<ProgressEntry> {
        // SAFETY: drops the copy of all entries, so that the next call makes a new one.
        unsafe { pg_sys::pgstat_clear_snapshot() };
        entries().into_iter().find(|entry| entry.pid == std::process::id() as i32)
    }

    #[pg_test]
    fn work_has_an_entry_from_its_beginning_to_its_end() {
        assert!(own_entry().is_none());
        for first in PHASES.get().unwrap() {
            let progress = Progress::start(first);
            let entry = own_entry().unwrap();
            assert_eq!((entry.phase.name, entry.phase.unit), (first.name, first.unit));
            assert!(entry.elapsed < 60.0, "{} s", entry.elapsed);
            drop(progress);
            assert!(own_entry().is_none());
        }
    }

    #[pg_test]
    fn phases_have_different_ids() {
        let mut ids = PHASES.get().unwrap().iter().map(|phase| phase.id).collect::<Vec<_>>();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    }
}
