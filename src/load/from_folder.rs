//! Loads a folder of the Prize's files: `netflix_load`. The caller's backend directs the steps of the load, and background workers do
//! them.

use std::path::Path;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::error::LoadError;
use super::ledger::{self, Run};
use super::plan::{open, report_notices};
use super::step::Step;
use super::{checks, file_access, finish, locks};
use crate::pg::progress::Progress;
use crate::pg::{self, guc, lock, transaction, worker};
use crate::warehouse::{self, ratings, unfinished};

/// Loads a folder, or finishes the load that was interrupted.
pub fn load(
    path: Option<&str>,
    workers: Option<i64>,
    max_rejects: Option<i64>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Run, LoadError> {
    transaction::require_writable(c"netflix_load()");
    let (path, workers, max_rejects) = check_arguments(path, workers, max_rejects)?;
    transaction::refuse_transaction_block(c"netflix_load()", call)?;
    if transaction::has_transaction_id() {
        return Err(LoadError::InTransaction);
    }
    if !lock::try_lock_extension()? {
        return Err(LoadError::running());
    }
    if unfinished::restore()? {
        return Err(warehouse::Error::UnfinishedRestore { what: "netflix_load" }.into());
    }
    let unfinished = ledger::unfinished()?;
    let path = match &unfinished {
        Some(run) => path_to_resume(run, path)?,
        None => canonical(path)?,
    };
    let plan = Step::Plan { path: path.clone(), max_rejects, threads: workers.max(1) };
    let progress = Progress::start(plan.phase());
    locks::lock_writers_notifying(|pids| progress.waiting_for(pids.first().copied()))?;
    progress.waiting_for(None);

    match &unfinished {
        None => {
            let folder = open(&path, ratings::is_empty()?)?;
            match (folder.ratings.len(), folder.path.display()) {
                (0, path) => {
                    notice!("there are no rating files in \"{path}\": only its other files are loaded")
                }
                (files, path) => notice!("reading {files} rating files in \"{path}\""),
            }
            report_notices(&folder.notices);
        }
        Some(run) if run.path.as_deref() == Some(&path) => {
            notice!("resuming the load that began at {}", run.started_at)
        }
        Some(_) => notice!("checking whether \"{path}\" has the files of the interrupted load"),
    }
    plan.perform(workers.min(1), &progress)?;
    let run = ledger::unfinished()?.ok_or(LoadError::LedgerChanged)?;
    if unfinished.is_none() {
        let (read, loaded) = (run.ratings_read, run.ratings_loaded);
        notice!("found {read} ratings, {loaded} of them new; {} lines are rejected", run.rejected);
    }
    let units = ledger::last_unit(run.run_id)?;
    if units > 0 {
        let insert = Step::Insert { run_id: run.run_id, is_resumed: unfinished.is_some() };
        insert.perform(workers.min(units), &progress)?;
    }
    let tasks = finish::tasks(&run)?;
    let count = tasks.len();
    Step::Finish { run_id: run.run_id, tasks }.perform(workers.min(count), &progress)?;
    // This commits before ANALYZE, because that may fail: by a timeout, or by a user's function in an index.
    Step::Complete { run_id: run.run_id }.perform(workers.min(1), &progress)?;
    if run.ratings_loaded > 0 {
        match transaction::in_subtransaction(finish::analyze)? {
            Ok(true) => {}
            Ok(false) => notice!(
                "this role may not ANALYZE the tables: let their owner or the database's owner do it, because the planner needs the statistics"
            ),
            Err(message) => {
                warning!("the load is completed, but its tables could not be analyzed: {message}")
            }
        }
    }
    ledger::run(run.run_id)?.ok_or(LoadError::LedgerChanged)
}

/// Checks the arguments, and the tables, before any file is opened. Returns the path, how many workers to use, and how many rejects to
/// allow.
fn check_arguments(
    path: Option<&str>,
    workers: Option<i64>,
    max_rejects: Option<i64>,
) -> Result<(&str, usize, Option<u64>), LoadError> {
    let path = path.ok_or(pg::Error::NullArgument("path"))?;
    if !Path::new(path).is_absolute() {
        return Err(LoadError::RelativePath(path.into()));
    }
    file_access::check(Path::new(path), file_access::below()?.as_deref())?;
    let max_rejects = checks::max_rejects(max_rejects)?;
    let workers = match workers {
        Some(workers) if !(0..=worker::MAX_WORKERS as i64).contains(&workers) => {
            return Err(LoadError::Workers(workers));
        }
        Some(workers) => workers as usize,
        None => guc::threads().min(worker::MAX_WORKERS),
    };
    checks::tables()?;
    Ok((path, workers.min(guc::max_workers()), max_rejects))
}

/// A folder's canonical path.
fn canonical(path: &str) -> Result<String, LoadError> {
    let real = file_access::locate(Path::new(path), file_access::below()?.as_deref())?;
    // A path that is not UTF-8 does not fit into a text column.
    Ok(real.to_str().unwrap_or(path).to_owned())
}

/// The path for a call that is to finish an interrupted load: the load's own path, if the call means the same folder. That folder may
/// be gone, because what is left to do may not need it.
fn path_to_resume(run: &Run, path: &str) -> Result<String, LoadError> {
    let own = run.path.clone().unwrap_or_default();
    match canonical(path) {
        _ if Path::new(path) == Path::new(&own) => Ok(own),
        Ok(path) if canonical(&own).is_ok_and(|own| own == path) => Ok(own),
        Ok(path) => Ok(path),
        Err(_) => Err(LoadError::Unfinished { path: own }),
    }
}
