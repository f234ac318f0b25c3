//! Runs a search: in a background worker, whose transactions commit trial by trial, or in the caller's transaction.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use factor::{Algorithm, Size, TrialResult, TrialScore, choose, judge_trial, stages};
use pgrx::notice;
use pgrx::pg_sys::panic::ErrorReport;
use serde::{Deserialize, Serialize};

use super::cross_validate::TRYING;
use super::data::{Data, Needs};
use super::definition::Definition;
use super::error::SearchError;
use super::ledger::{self, Outcome};
use crate::pg::interrupt::{self, InterruptHoldoff};
use crate::pg::progress::Progress;
use crate::pg::worker::{self, Job, OnProgress, WorkCounter};
use crate::pg::{lock, report, threads};

/// A search to run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Search {
    /// The number of the search that goes on; `None` for a new one.
    pub search: Option<i64>,
    pub definition: Definition,
    pub threads: usize,
    /// No trial begins after so many seconds.
    pub seconds: Option<f64>,
}

impl Search {
    /// Runs it. `commits` says that each trial is to be committed, which a background worker does. Returns the number of the search.
    pub fn run(&self, commits: bool) -> Result<i64, SearchError> {
        let progress = Progress::start(&TRYING);
        let mut id = 0;
        let mut on_progress = |counter: &WorkCounter| {
            let (done, total, _) = counter.read();
            progress.update(done, total, 0);
            id = counter.result() as i64;
        };
        let message = serde_cbor::to_vec(self).map_err(|_| SearchError::Message)?;
        let job = Job {
            name: c"netflix_rec search",
            task: "search",
            workers: usize::from(commits),
            message: &message,
        };
        if worker::run(&job, &mut on_progress)? > 0 {
            return Ok(id);
        }
        match commits {
            true => notice!(
                "no background worker is free: this session runs the search itself, all of it in one transaction"
            ),
            false => notice!(
                "the search runs in the transaction of this session: if it is cancelled or rolled back, nothing of it is left"
            ),
        }
        self.execute(&WorkCounter::default(), &mut on_progress)
    }

    fn execute(&self, counter: &WorkCounter, on_progress: OnProgress<'_>) -> Result<i64, SearchError> {
        let started = Instant::now();
        let Search { search, ref definition, threads, .. } = *self;
        let trials = definition.trials()?;
        let (id, data) = worker::transaction(|| {
            // The worker takes the number of a new search: a number assigns a transaction id, and the caller would hold that as
            // long as the search runs.
            let id = search.map_or_else(ledger::next_id, Ok)?;
            if !lock::try_lock_row("search", id, worker::is_worker())? {
                return Err(SearchError::Running(id));
            }
            counter.set_result(id as u64);
            let division = definition.division().ok_or(SearchError::LedgerChanged(id))?;
            let needs = Needs { what: "the search", algorithms: &trials, threads };
            let data = Data::read(&division, definition.seed, needs, |_, _| ())?;
            match search {
                None => ledger::begin(id, definition, &trials, data.digest())?,
                Some(_) if ledger::find(id)?.1 != data.digest() => return Err(SearchError::OtherRatings(id)),
                Some(_) => ledger::resume(id, &trials)?,
            }
            Ok((id, data))
        })?;
        if worker::is_worker() {
            let Definition { trials, folds, .. } = definition;
            notice!(
                "search {id}: {trials} trials of {folds} trainings each. If it is interrupted, the same call with search => {id} goes on"
            );
        }
        let stages = stages(trials.len(), definition.halving, data.matrix.by_customer.rated_rows());
        let trainings = stages.iter().map(|stage| stage.trials * definition.folds).sum::<usize>();
        counter.set(0, trainings as u64);
        on_progress(counter);
        Run { search: self, id, trials, data, stages, started }.all_stages(counter, on_progress)?;
        Ok(id)
    }
}

/// What a background worker runs.
pub fn work(counter: &WorkCounter, message: &[u8]) -> Result<(), ErrorReport> {
    let search = serde_cbor::from_slice::<Search>(message).map_err(|_| report(SearchError::Message))?;
    search.execute(counter, &mut |_| ()).map(drop).map_err(report)
}

/// A search that is running.
struct Run<'a> {
    search: &'a Search,
    id: i64,
    trials: Vec<Algorithm>,
    data: Data,
    stages: Vec<factor::Stage>,
    started: Instant,
}

impl Run<'_> {
    fn all_stages(&self, counter: &WorkCounter, on_progress: OnProgress<'_>) -> Result<(), SearchError> {
        let Run { search, id, ref stages, .. } = *self;
        let folds = search.definition.folds;
        let mut left = (0..self.trials.len()).collect::<Vec<_>>();
        let mut scores = Vec::<(usize, f64, Option<f64>)>::new();
        for (at, stage) in stages.iter().enumerate() {
            let known = worker::transaction(|| ledger::judged(id, at + 1))?;
            let mut previous = std::mem::take(&mut scores);
            for &trial in &left {
                let stored = known.iter().find(|&&(of, _)| of == trial);
                let score = match stored {
                    Some(&(_, score)) => score,
                    None if self.is_out_of_time() => {
                        notice!(
                            "the time is up: search {id} is stopped, and the same call with search => {id} goes on"
                        );
                        let judged = if scores.is_empty() { &previous } else { &scores };
                        return worker::transaction(|| ledger::finish(id, false, self.choice(judged)));
                    }
                    None => self.try_one(trial, at, stage.sample)?,
                };
                match score {
                    Some((score, deviation)) => scores.push((trial, score, deviation)),
                    None => previous.retain(|&(of, ..)| of != trial),
                }
                counter.add(folds as u64, 0);
                on_progress(counter);
            }
            if scores.is_empty() {
                // All of them failed, so the best one is one that did not come so far.
                scores = previous;
                break;
            }
            // The better ones go on. Of equals, the first one does.
            let is_higher_better = search.definition.metric.is_higher_better();
            let loss = |score: f64| if is_higher_better { -score } else { score };
            let mut order = scores.iter().map(|&(trial, score, _)| (trial, loss(score))).collect::<Vec<_>>();
            order.sort_by(|one, other| one.1.total_cmp(&other.1).then(one.0.cmp(&other.0)));
            if let Some(next) = stages.get(at + 1) {
                let dropped = order.iter().skip(next.trials).map(|&(trial, _)| trial).collect::<Vec<_>>();
                worker::transaction(|| ledger::drop_trials(id, &dropped))?;
                left = order.iter().take(next.trials).map(|&(trial, _)| trial).collect();
                left.sort_unstable();
            }
        }
        worker::transaction(|| ledger::finish(id, true, self.choice(&scores)))
    }

    fn is_out_of_time(&self) -> bool {
        self.search.seconds.is_some_and(|seconds| self.started.elapsed().as_secs_f64() >= seconds)
    }

    /// Trains and judges by all folds in a stage, counted from 0, and stores what came out. Returns the score; `None` if the trial failed.
    fn try_one(
        &self,
        trial: usize,
        at: usize,
        sample: f64,
    ) -> Result<Option<(f64, Option<f64>)>, SearchError> {
        let Run { search, id, ref trials, ref data, .. } = *self;
        let definition = &search.definition;
        let with_ndcg = definition.metric.is_higher_better();
        interrupt::check();
        // A worker that is interrupted while it computes ends after it has marked the search as stopped.
        let holdoff = worker::is_worker().then(InterruptHoldoff::new);
        let results = threads::run(
            search.threads,
            |cancelled: &AtomicBool, _: &mut (dyn FnMut(()) + Send)| {
                let judge = |fold| {
                    let part = |customer, movie| data.part(fold, sample, customer, movie);
                    judge_trial(&trials[trial], &data.matrix, part, with_ndcg, cancelled)
                };
                (0..definition.folds).map(judge).collect::<Result<Vec<TrialResult>, factor::Error>>()
            },
            |()| {},
        )?;
        let error;
        let folds = match &results {
            Ok(results) => Ok(&results[..]),
            Err(factor::Error::Cancelled) => {
                if worker::is_worker() {
                    worker::transaction(|| ledger::stop(id))?;
                }
                drop(holdoff);
                interrupt::check();
                return Err(factor::Error::Cancelled.into());
            }
            // Not the trial's own fault.
            Err(error @ factor::Error::OutOfMemory { .. }) => return Err(error.clone().into()),
            Err(other) => {
                error = other.to_string();
                Err(error.as_str())
            }
        };
        drop(holdoff);
        let outcome = Outcome { search: id, trial, stage: at + 1, sample, metric: definition.metric, folds };
        let score = worker::transaction(|| outcome.store())?;
        let stage = match self.stages.len() {
            1 => String::new(),
            stages => format!("stage {} of {stages}, ", at + 1),
        };
        match score {
            Some((score, _)) => {
                notice!("{stage}trial {}: {} {score:.4}", trial + 1, definition.metric.name())
            }
            None => notice!("{stage}trial {} failed: the table search_trial says why", trial + 1),
        }
        Ok(score)
    }

    /// The best trial of these, and the simplest one within one standard error.
    fn choice(&self, scores: &[(usize, f64, Option<f64>)]) -> Option<(usize, usize)> {
        let matrix = &self.data.matrix;
        let size = Size {
            customers: matrix.by_customer.rows(),
            movies: matrix.by_movie.rows(),
            ratings: matrix.ratings(),
            held_out: 0,
            threads: 1,
        };
        let root = (self.search.definition.folds as f64).sqrt();
        let trials = scores.iter().map(|&(trial, score, deviation)| TrialScore {
            score,
            standard_error: deviation.map(|deviation| deviation / root),
            work: self.trials[trial].work(size),
        });
        let chosen = choose(&trials.collect::<Vec<_>>(), self.search.definition.metric.is_higher_better());
        chosen.map(|(best, simplest)| (scores[best].0, scores[simplest].0))
    }
}
