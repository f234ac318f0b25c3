//! The progress of long work, which other sessions see in the server's own progress slots.

use std::ffi::{CStr, c_int};
use std::sync::OnceLock;

use pgrx::pg_sys;

/// A phase of long work.
#[derive(Debug)]
pub struct Phase {
    /// Stands in shared memory, where another version of the library may read it: a number never changes its meaning.
    pub number: i64,
    /// As `netflix_progress` shows it.
    pub name: &'static str,
    /// What the work is counted in.
    pub unit: &'static str,
}

/// All phases that there are.
static PHASES: OnceLock<Vec<&'static Phase>> = OnceLock::new();

/// Registers the phases of all capabilities, when the library is loaded.
pub fn register(phases: Vec<&'static Phase>) {
    PHASES.get_or_init(|| phases);
}

/// A command number that PostgreSQL does not use: its own views pass over it.
const COMMAND: pg_sys::ProgressCommandType::Type = 0x6e66_6c78;

const PHASE: c_int = 0;
const DONE: c_int = 1;
const TOTAL: c_int = 2;
const ROWS: c_int = 3;
const STARTED: c_int = 4;
const WAITING_FOR: c_int = 5;

/// Shows the progress of this backend's work until it is dropped.
pub struct Progress;

impl Progress {
    /// Starts with the first phase of the work.
    pub fn start(first: &Phase) -> Progress {
        // SAFETY: writes to this backend's own slot.
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
            pg_sys::pgstat_progress_update_param(PHASE, phase.number);
        }
        self.waiting_for(None);
        self.update(0, 0, 0);
    }

    /// Shows the process whose lock the work waits for, if any.
    pub fn waiting_for(&self, pid: Option<i32>) {
        // SAFETY: as above.
        unsafe { pg_sys::pgstat_progress_update_param(WAITING_FOR, pid.unwrap_or(0).into()) };
    }

    /// Shows how much of the phase is done, in its unit, and how many rows.
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
        // SAFETY: as above. (After an error the server has done so itself.)
        unsafe { pg_sys::pgstat_progress_end_command() };
    }
}

/// The progress of a worker that fills a table, in `pg_stat_progress_copy`.
pub struct CopyProgress;

impl CopyProgress {
    /// Starts. `total` is how many bytes all workers read together.
    pub fn start(table: pg_sys::Oid, total: u64) -> CopyProgress {
        // SAFETY: writes to this backend's own slot.
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

    /// Shows what this worker has done.
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

/// What another session sees of one.
pub struct Entry {
    pub pid: i32,
    pub role: Option<String>,
    /// Whether it is a load.
    pub phase: &'static Phase,
    pub done: i64,
    pub total: i64,
    pub rows: i64,
    /// Seconds since the phase began.
    pub elapsed: f64,
    /// The process that the work waits for.
    pub waiting_for: Option<i32>,
}

/// All work in this database that the current role may see: its own; everybody's with the privileges of `pg_read_all_stats`.
pub fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    // SAFETY: the server copies all slots into memory of this backend's before the first is looked at; the pointers it
    // gives, null where there is none, are into that copy.
    unsafe {
        let reads_all =
            pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(pg_sys::ROLE_PG_READ_ALL_STATS));
        let now = pg_sys::GetCurrentTimestamp();
        for number in 1..=pg_sys::pgstat_fetch_stat_numbackends() {
            #[cfg(any(feature = "pg14", feature = "pg15"))]
            let slot = pg_sys::pgstat_fetch_stat_local_beentry(number);
            #[cfg(not(any(feature = "pg14", feature = "pg15")))]
            let slot = pg_sys::pgstat_get_local_beentry_by_index(number);
            let Some(slot) = slot.as_ref() else { continue };
            let slot = &slot.backendStatus;
            let is_shown = slot.st_progress_command == COMMAND && slot.st_databaseid == pg_sys::MyDatabaseId;
            if !is_shown || !(reads_all || pg_sys::has_privs_of_role(pg_sys::GetUserId(), slot.st_userid)) {
                continue;
            }
            let param = |place: c_int| slot.st_progress_param[place as usize];
            // A slot that was just taken has no phase yet, and one of another version's may have one that is unknown here.
            let phase = PHASES.get().into_iter().flatten().find(|phase| phase.number == param(PHASE));
            let Some(phase) = phase else { continue };
            let role = pg_sys::GetUserNameFromId(slot.st_userid, true);
            let role = (!role.is_null()).then(|| CStr::from_ptr(role).to_string_lossy().into_owned());
            entries.push(Entry {
                pid: slot.st_procpid,
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

    /// What is shown of this backend.
    fn shown() -> Option<Entry> {
        // SAFETY: forgets the copy of all slots, so that the next look makes a new one.
        unsafe { pg_sys::pgstat_clear_snapshot() };
        entries().into_iter().find(|entry| entry.pid == std::process::id() as i32)
    }

    #[pg_test]
    fn work_is_known_for_what_it_is_from_its_beginning() {
        assert!(shown().is_none());
        for first in PHASES.get().unwrap() {
            let progress = Progress::start(first);
            let entry = shown().unwrap();
            assert_eq!((entry.phase.name, entry.phase.unit), (first.name, first.unit));
            assert!(entry.elapsed < 60.0, "{} s", entry.elapsed);
            drop(progress);
            assert!(shown().is_none());
        }
    }

    #[pg_test]
    fn phases_have_numbers_of_their_own() {
        let mut numbers = PHASES.get().unwrap().iter().map(|phase| phase.number).collect::<Vec<_>>();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    }
}
