//! The steps of a load that background workers do.

use std::time::{Duration, Instant};

use pgrx::notice;
use pgrx::pg_sys::panic::ErrorReport;
use serde::{Deserialize, Serialize};

use super::error::LoadError;
use super::guard::OwnWrites;
use super::phases::{BUILDING_INDEXES, FINISHING, LOADING_RATINGS, READING_FILES};
use super::{finish, insert, ledger, plan};
use crate::pg::progress::{Phase, Progress};
use crate::pg::worker::{self, Job, OnProgress, WorkCounter};
use crate::pg::{report, transaction};

/// A step of a load.
#[derive(Debug, Serialize, Deserialize)]
pub enum Step {
    /// Reads the files and records what there is to do. If the ledger has that already, checks that the files are the same.
    Plan { path: String, max_rejects: Option<u64>, threads: usize },
    /// Inserts the units that are left.
    Insert { run_id: i64, is_resumed: bool },
    /// Does the tasks that are left when all ratings are in: rebuilds indexes, marks the probe, counts.
    IndexAndCount { run_id: i64, tasks: Vec<finish::Task> },
    /// Marks the load as completed.
    Complete { run_id: i64 },
}

impl Step {
    /// The phase that `netflix_progress` shows.
    pub fn phase(&self) -> &'static Phase {
        match self {
            Step::Plan { .. } => &READING_FILES,
            Step::Insert { .. } => &LOADING_RATINGS,
            Step::IndexAndCount { .. } => &BUILDING_INDEXES,
            Step::Complete { .. } => &FINISHING,
        }
    }

    /// Has background workers do it. If none is free, the calling backend does it.
    pub fn perform(&self, workers: usize, progress: &Progress) -> Result<(), LoadError> {
        // Workers do not see what this transaction has written.
        let workers = if transaction::has_transaction_id() { 0 } else { workers };
        let phase = self.phase();
        progress.enter(phase);
        let message = serde_cbor::to_vec(self).map_err(|_| LoadError::LedgerChanged)?;
        let job = Job { name: c"netflix_load", task: "load", workers, message: &message };
        let mut notices = ProgressNotices(Instant::now());
        let mut waiting = Waiting { checked: Instant::now(), pids: Vec::new() };
        let mut on_progress = |counter: &WorkCounter| {
            let (done, total, rows) = counter.read();
            progress.update(done, total, rows);
            notices.notify(phase, done, total, rows);
            waiting.check(progress);
        };
        if worker::run(&job, &mut on_progress)? == 0 {
            if workers > 0 {
                notice!(
                    "no background worker is free: this session does the work itself, all of it in one transaction"
                );
            }
            self.execute(&WorkCounter::default(), &mut on_progress)?;
        }
        Ok(())
    }

    fn execute(&self, counter: &WorkCounter, on_progress: OnProgress<'_>) -> Result<(), LoadError> {
        let _own_writes = OwnWrites::allow();
        match self {
            Step::Plan { path, max_rejects, threads } => {
                plan::plan(path, *max_rejects, *threads, counter, on_progress)
            }
            Step::Insert { run_id, is_resumed } => insert::insert(*run_id, *is_resumed, counter, on_progress),
            Step::IndexAndCount { run_id, tasks } => finish::finish(*run_id, tasks, counter, on_progress),
            Step::Complete { run_id } => worker::transaction(|| ledger::complete(*run_id)),
        }
    }
}

/// What a background worker runs: the step that the message holds.
pub fn work(counter: &WorkCounter, message: &[u8]) -> Result<(), ErrorReport> {
    let step = serde_cbor::from_slice::<Step>(message).map_err(|_| report(LoadError::LedgerChanged))?;
    step.execute(counter, &mut |_| ()).map_err(report)
}

/// Reports the transactions that hold the locks which the workers wait for.
struct Waiting {
    checked: Instant,
    pids: Vec<i32>,
}

impl Waiting {
    fn check(&mut self, progress: &Progress) {
        const EVERY: Duration = Duration::from_secs(1);
        if self.checked.elapsed() < EVERY {
            return;
        }
        self.checked = Instant::now();
        let pids = worker::waiting_for();
        if pids != self.pids && !pids.is_empty() {
            let name = |&pid: &i32| match pid {
                0 => "(a prepared transaction)".into(),
                pid => pid.to_string(),
            };
            let list = pids.iter().map(name).collect::<Vec<_>>().join(", ");
            notice!("waiting until the transactions of these processes end: {list}");
        }
        progress.waiting_for(pids.first().copied());
        self.pids = pids;
    }
}

/// Reports the progress of a phase by a NOTICE, a few times a minute.
struct ProgressNotices(Instant);

impl ProgressNotices {
    fn notify(&mut self, phase: &Phase, done: u64, total: u64, rows: u64) {
        const EVERY: Duration = Duration::from_secs(10);
        if self.0.elapsed() < EVERY {
            return;
        }
        self.0 = Instant::now();
        let Phase { name, unit, .. } = *phase;
        match unit {
            "bytes" => notice!("{name}: {} of {} MB, {rows} rows", done >> 20, total >> 20),
            _ => notice!("{name}: {done} of {total} {unit}"),
        }
    }
}
