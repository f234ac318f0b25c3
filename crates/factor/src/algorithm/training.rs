//! What the training of every algorithm has in common: its data, its callbacks, and the loop over iterations that decides
//! when to stop.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::error::Error;
use crate::model::Model;
use crate::ratings::Ratings;
use crate::ratings::matrix::RatingMatrix;

/// How much data there is to train on, and how many threads train.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Rows of the matrix.
    pub customers: usize,
    /// Columns of the matrix.
    pub movies: usize,
    /// Ratings in the matrix.
    pub ratings: usize,
    /// Held-out ratings.
    pub held_out: usize,
    /// Threads.
    pub threads: usize,
}

/// The data of a training.
#[derive(Clone, Copy, Debug)]
pub struct TrainingData<'a> {
    /// The ratings that the model is fitted to.
    pub matrix: &'a RatingMatrix,
    /// Who rated what, as implicit feedback: the links of `svdpp` and `bpmf` and the implicit term of `als` read which entries
    /// this matrix has, and ignore their values. By default it is `matrix` itself. Another one must have the same numbers of
    /// customers and movies. It should have no entry of a customer or movie without a rating in `matrix`: the factors of such a
    /// row are zero, and the links would be fitted to these zeros. [`crate::Algorithm::memory`] does not count it.
    pub interactions: &'a RatingMatrix,
    /// Ratings to evaluate each iteration on. They are not trained on. May be empty.
    pub held_out: &'a Ratings,
    /// Whether the errors on `held_out` may decide when to stop. If not, those on the training ratings decide. It must be false
    /// for the ratings that models are compared by: a model that was chosen by them would look better than it is.
    pub stops_by_held_out: bool,
}

impl<'a> TrainingData<'a> {
    /// Ratings to train on, which are also the interactions, and held-out ratings, which may decide when to stop.
    pub fn new(matrix: &'a RatingMatrix, held_out: &'a Ratings) -> TrainingData<'a> {
        TrainingData { matrix, interactions: matrix, held_out, stops_by_held_out: true }
    }

    /// [`Error::OutOfBounds`] if held-out ratings or interactions are of customers or movies that `matrix` has no rows for, or if
    /// `interactions` has another number of customers or movies.
    fn check(&self, cancelled: &AtomicBool) -> Result<(), Error> {
        let rows = |matrix: &RatingMatrix| (matrix.by_customer.rows(), matrix.by_movie.rows());
        let (customers, movies) = rows(self.matrix);
        if rows(self.interactions) != (customers, movies) {
            let (customer, movie) = rows(self.interactions);
            let last = |rows: usize| rows.saturating_sub(1) as u32;
            let (customer, movie) = (last(customer), last(movie));
            return Err(Error::OutOfBounds { customer, movie, customers, movies });
        }
        self.matrix.check(self.held_out, cancelled)
    }
}

/// The caller's side of a running training: how to stop it, and what to call after each iteration.
pub struct Callbacks<'a> {
    /// Set it to `true` in another thread to stop the training with [`Error::Cancelled`]. It is checked several times a second.
    pub cancelled: &'a AtomicBool,
    /// Called after each iteration.
    pub on_iteration: &'a mut dyn FnMut(Iteration),
}

/// The errors after an iteration.
#[derive(Clone, Copy, Debug)]
pub struct Iteration {
    /// Counted from 1.
    pub number: usize,
    /// RMSE on the training ratings, in stars.
    pub train_rmse: f64,
    /// RMSE on the held-out ratings, in stars. `None` if there are no held-out ratings.
    pub held_out_rmse: Option<f64>,
    /// Time since the training began.
    pub elapsed: Duration,
}

/// The result of a training.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The model.
    pub model: Model,
    /// The iteration that made this model: the last one, or the one before it if the last one raised the error.
    pub iteration: Iteration,
    /// What else the algorithm found out: [`crate::truncated_svd::SingularValues`] as a JSON object. `None` for all other
    /// algorithms.
    pub summary: Option<Value>,
}

/// Counts iterations, evaluates the model after each one, reports it, and decides when to stop.
pub(crate) struct TrainingLoop<'a, 'b> {
    data: TrainingData<'a>,
    callbacks: &'a mut Callbacks<'b>,
    iterations: usize,
    tolerance: f64,
    started: Instant,
    /// How many iterations have ended.
    pub completed: usize,
    /// The model of the iteration before. Kept only if there is a tolerance.
    previous: Option<Trained>,
}

impl<'a, 'b> TrainingLoop<'a, 'b> {
    /// A loop of at most `iterations` iterations. It ends earlier if an iteration lowers the error by less than `tolerance`,
    /// unless `tolerance` is 0. [`Error::OutOfBounds`] if the data do not fit together.
    pub fn new(
        data: TrainingData<'a>,
        callbacks: &'a mut Callbacks<'b>,
        iterations: usize,
        tolerance: f64,
    ) -> Result<TrainingLoop<'a, 'b>, Error> {
        data.check(callbacks.cancelled)?;
        let started = Instant::now();
        Ok(TrainingLoop { data, callbacks, iterations, tolerance, started, completed: 0, previous: None })
    }

    /// The RMSE on the training ratings, from the sum of squared errors over all of them.
    pub fn train_rmse(&self, squared_error: f64) -> f64 {
        (squared_error / self.data.matrix.ratings() as f64).sqrt()
    }

    /// Ends an iteration, given the sum of squared errors on the training ratings. After the last iteration it returns the
    /// result, and `model` is left empty because it was moved out.
    pub fn iterate(&mut self, model: &mut Model, squared_error: f64) -> Result<Option<Trained>, Error> {
        let iteration = self.evaluate(model, squared_error)?;
        let gain = self
            .previous
            .as_ref()
            .map(|previous| self.decisive_rmse(&previous.iteration) - self.decisive_rmse(&iteration));
        if let Some(previous) = self.previous.take_if(|_| gain.is_some_and(|gain| gain < 0.0)) {
            return Ok(Some(previous));
        }
        if self.completed == self.iterations || gain.is_some_and(|gain| gain < self.tolerance) {
            return Ok(Some(Trained { model: std::mem::take(model), iteration, summary: None }));
        }
        if self.tolerance > 0.0 {
            // The copy reuses the memory of the previous one.
            let copy = self.previous.take().map_or_else(|| model.zeros_like(), |previous| Ok(previous.model));
            let mut copy = copy?;
            copy.copy_from(model, self.callbacks.cancelled)?;
            self.previous = Some(Trained { model: copy, iteration, summary: None });
        }
        Ok(None)
    }

    /// The error that decides whether training goes on.
    fn decisive_rmse(&self, iteration: &Iteration) -> f64 {
        let held_out = iteration.held_out_rmse.filter(|_| self.data.stops_by_held_out);
        held_out.unwrap_or(iteration.train_rmse)
    }

    /// Ends a training that has a single iteration. `model` is left empty because it was moved out.
    pub fn finish(&mut self, model: &mut Model, squared_error: f64) -> Result<Trained, Error> {
        let iteration = self.evaluate(model, squared_error)?;
        Ok(Trained { model: std::mem::take(model), iteration, summary: None })
    }

    /// Evaluates the model on the held-out ratings and reports the iteration.
    fn evaluate(&mut self, model: &Model, squared_error: f64) -> Result<Iteration, Error> {
        let metrics = model.evaluate(self.data.held_out, self.callbacks.cancelled)?;
        Ok(self.report(squared_error, metrics.map(|metrics| metrics.rmse)))
    }

    /// Counts and reports an iteration whose held-out error is known.
    pub fn report(&mut self, squared_error: f64, held_out_rmse: Option<f64>) -> Iteration {
        self.completed += 1;
        let iteration = self.last_iteration(squared_error, held_out_rmse);
        (self.callbacks.on_iteration)(iteration);
        iteration
    }

    /// The last iteration, with these errors and the time until now.
    pub fn last_iteration(&self, squared_error: f64, held_out_rmse: Option<f64>) -> Iteration {
        Iteration {
            number: self.completed,
            train_rmse: self.train_rmse(squared_error),
            held_out_rmse,
            elapsed: self.started.elapsed(),
        }
    }
}
