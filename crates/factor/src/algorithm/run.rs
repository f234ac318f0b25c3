//! What the training of every algorithm has around it: its ratings' size, its iterations, and when it ends.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::model::Model;
use crate::ratings::Ratings;
use crate::ratings::matrix::RatingMatrix;

/// How much there is to train on, and with.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Rows of the matrix.
    pub customers: usize,
    /// Columns of the matrix.
    pub movies: usize,
    /// Ratings in it.
    pub ratings: usize,
    /// Ratings beside it.
    pub held_out: usize,
    /// Threads.
    pub threads: usize,
}

/// How an iteration went.
#[derive(Clone, Copy, Debug)]
pub struct Iteration {
    /// Counted from 1.
    pub number: usize,
    /// RMSE on the ratings trained on.
    pub train_rmse: f64,
    /// RMSE on the ratings held out, if there are any.
    pub held_out_rmse: Option<f64>,
    /// Since training began.
    pub elapsed: Duration,
}

impl Iteration {
    /// The error that decides on whether to go on.
    fn rmse(&self) -> f64 {
        self.held_out_rmse.unwrap_or(self.train_rmse)
    }
}

/// What training gives.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The model.
    pub model: Model,
    /// The iteration that it is of: the last one, or the one before that where an error rose.
    pub iteration: Iteration,
}

/// What a training is given beside its matrix and parameters.
pub struct Run<'a> {
    /// Ratings to judge each iteration by; none for not at all.
    pub held_out: &'a Ratings,
    /// Asks to stop. It is looked at all the time.
    pub cancelled: &'a AtomicBool,
    /// Hears of each iteration.
    pub on_iteration: &'a mut dyn FnMut(Iteration),
}

/// A training under way: counts iterations, has them judged, and knows when to end.
pub(crate) struct Course<'a, 'b> {
    run: &'a mut Run<'b>,
    iterations: usize,
    tolerance: f64,
    started: Instant,
    /// Iterations that have ended.
    pub number: usize,
    before: Option<Trained>,
}

impl<'a, 'b> Course<'a, 'b> {
    /// One of so many iterations, ended before that where one lowers the error by less than `tolerance`; 0 for never.
    pub fn new(
        matrix: &RatingMatrix,
        run: &'a mut Run<'b>,
        iterations: usize,
        tolerance: f64,
    ) -> Result<Course<'a, 'b>, Error> {
        matrix.check(run.held_out, run.cancelled)?;
        Ok(Course { run, iterations, tolerance, started: Instant::now(), number: 0, before: None })
    }

    /// Takes note of an iteration. Where it was the last, that is the model's end, too: it is moved out.
    pub fn iterate(&mut self, model: &mut Model, train_rmse: f64) -> Result<Option<Trained>, Error> {
        let judged = model.judge(self.run.held_out, self.run.cancelled)?;
        let iteration = self.hear(train_rmse, judged.map(|metrics| metrics.rmse));
        let gain = self.before.as_ref().map(|before| before.iteration.rmse() - iteration.rmse());
        if let Some(before) = self.before.take_if(|_| gain.is_some_and(|gain| gain < 0.0)) {
            return Ok(Some(before));
        }
        if self.number == self.iterations || gain.is_some_and(|gain| gain < self.tolerance) {
            return Ok(Some(Trained { model: std::mem::take(model), iteration }));
        }
        if self.tolerance > 0.0 {
            // In the place of the one before it.
            let kept = self.before.take().map_or_else(|| model.zeros_like(), |before| Ok(before.model));
            let mut kept = kept?;
            kept.copy_from(model, self.run.cancelled)?;
            self.before = Some(Trained { model: kept, iteration });
        }
        Ok(None)
    }

    /// Takes note of the only iteration.
    pub fn finish(&mut self, model: &mut Model, train_rmse: f64) -> Result<Trained, Error> {
        let judged = model.judge(self.run.held_out, self.run.cancelled)?;
        let iteration = self.hear(train_rmse, judged.map(|metrics| metrics.rmse));
        Ok(Trained { model: std::mem::take(model), iteration })
    }

    /// Takes note of an iteration that was judged already.
    pub fn hear(&mut self, train_rmse: f64, held_out_rmse: Option<f64>) -> Iteration {
        self.number += 1;
        let elapsed = self.started.elapsed();
        let iteration = Iteration { number: self.number, train_rmse, held_out_rmse, elapsed };
        (self.run.on_iteration)(iteration);
        iteration
    }

    /// Since training began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
