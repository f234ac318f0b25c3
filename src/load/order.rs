//! What a load has its workers do.

use std::time::{Duration, Instant};

use pgrx::notice;
use pgrx::pg_sys::panic::ErrorReport;
use serde::{Deserialize, Serialize};

use super::error::LoadError;
use super::guard::OwnWork;
use super::{facts, ledger, plan, settle};
use crate::pg::progress::{Phase, Shown};
use crate::pg::worker::{self, Board, Crew};
use crate::pg::{catalog, report};

/// A phase of a load.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Reads the files and writes down what there is to do; where that is written already, looks whether the files are
    /// still the same.
    Plan { path: String, max_rejects: Option<u64>, threads: usize },
    /// Loads the units that are left.
    Facts { run_id: i64, is_resumed: bool },
    /// Does what is left to do when all ratings are in.
    Settle { run_id: i64, tasks: Vec<settle::Task> },
    /// Enters that all is done.
    Complete { run_id: i64 },
}

/// Told now and then, by the one who works, how far that is.
pub type Watch<'a> = &'a mut dyn FnMut(&Board);

impl Order {
    /// Has so many background workers carry it out; where none is to be had, the calling backend does it.
    pub fn perform(&self, workers: usize, phase: Phase, shown: &Shown) -> Result<(), LoadError> {
        // What this session has written, workers do not see before it has ended.
        let workers = if catalog::has_transaction_id() { 0 } else { workers };
        shown.enter(phase);
        let order = serde_cbor::to_vec(self).map_err(|_| LoadError::Order)?;
        let crew = Crew { name: c"netflix_load", workers, order: &order };
        let mut pace = Pace(Instant::now());
        let mut waiting = Waiting { looked: Instant::now(), pids: Vec::new() };
        let mut watch = |board: &Board| {
            let (done, total, rows) = board.read();
            shown.update(done, total, rows);
            pace.tell(phase, done, total, rows);
            waiting.look(shown);
        };
        if worker::run(&crew, &mut watch)? == 0 {
            if workers > 0 {
                notice!(
                    "no background worker is free: this session does the work itself, all of it in one transaction"
                );
            }
            self.carry_out(&Board::default(), &mut watch)?;
        }
        Ok(())
    }

    fn carry_out(&self, board: &Board, watch: Watch<'_>) -> Result<(), LoadError> {
        let _own_work = OwnWork::begin();
        match self {
            Order::Plan { path, max_rejects, threads } => {
                plan::plan(path, *max_rejects, *threads, board, watch)
            }
            Order::Facts { run_id, is_resumed } => facts::load(*run_id, *is_resumed, board, watch),
            Order::Settle { run_id, tasks } => settle::settle(*run_id, tasks, board, watch),
            Order::Complete { run_id } => worker::transaction(|| ledger::complete(*run_id)),
        }
    }
}

/// What a background worker does with an order.
pub fn work(board: &Board, order: &[u8]) -> Result<(), ErrorReport> {
    let order = serde_cbor::from_slice::<Order>(order).map_err(|_| report(LoadError::Order))?;
    order.carry_out(board, &mut |_| ()).map_err(report)
}

/// Says for whom the workers wait: for a transaction that uses a table whose lock they need.
struct Waiting {
    looked: Instant,
    pids: Vec<i32>,
}

impl Waiting {
    fn look(&mut self, shown: &Shown) {
        const EVERY: Duration = Duration::from_secs(1);
        if self.looked.elapsed() < EVERY {
            return;
        }
        self.looked = Instant::now();
        let pids = worker::waiting_for();
        if pids != self.pids && !pids.is_empty() {
            let name = |&pid: &i32| match pid {
                0 => "(a prepared transaction)".into(),
                pid => pid.to_string(),
            };
            let list = pids.iter().map(name).collect::<Vec<_>>().join(", ");
            notice!("waiting until the transactions of these processes end: {list}");
        }
        shown.waiting_for(pids.first().copied());
        self.pids = pids;
    }
}

/// Says how far a phase is: a few times a minute.
struct Pace(Instant);

impl Pace {
    fn tell(&mut self, phase: Phase, done: u64, total: u64, rows: u64) {
        const EVERY: Duration = Duration::from_secs(10);
        if self.0.elapsed() < EVERY {
            return;
        }
        self.0 = Instant::now();
        let (name, unit) = phase.names();
        match unit {
            "bytes" => notice!("{name}: {} of {} MB, {rows} rows", done >> 20, total >> 20),
            _ => notice!("{name}: {done} of {total} {unit}"),
        }
    }
}
