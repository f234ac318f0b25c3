//! Alternating least squares with biases: each half of a sweep solves every row of one side exactly, the other
//! side held fixed (Zhou, Wilkinson, Schreiber and Pan 2008, "Large-scale parallel collaborative filtering for the
//! Netflix Prize"), a row's bias being one more unknown of its system.

use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::algorithm::parameter::{count, lenient, real, seed, whole};
use crate::algorithm::regularization::ridge;
use crate::algorithm::run::{Course, Run, Size, Trained};
use crate::algorithm::start::start;
use crate::error::Error;
use crate::implicit::co_factor::Implicit;
use crate::least_squares::HalfSweep;
use crate::least_squares::normal_equations::Scratch;
use crate::least_squares::packed::PackedSide;
use crate::least_squares::row::Prior;
use crate::model::{Model, Side, copy_links};
use crate::ratings::Ratings;
use crate::ratings::builder::MatrixBuilder;
use crate::ratings::matrix::RatingMatrix;
use crate::ratings::sparse::Sparse;

/// How to train.
///
/// | parameter | default | range | meaning |
/// | --- | --- | --- | --- |
/// | `factors` | 50 | 1 to 1024 | length of each customer's and movie's vector |
/// | `iterations` | 6 | 1 to 1000 | sweeps over movies and customers |
/// | `regularization` | 0.045 | 0 to 1e6 | λ: a row of n ratings has its factors' squares weighted by λ · (n + `prior_count`) |
/// | `bias_regularization` | 0.0125 | 0 to 1e6 | the same for biases |
/// | `prior_count` | 120 | 0 to 1e6 | ratings assumed of each row beside its own when it is regularised |
/// | `implicit_weight` | 0 | 0 to 1e6 | weight of the matrix of who rated what, factorised along; 0: it is not |
/// | `implicit_regularization` | 10 | 0 to 1e6 | λ of the vectors that explain it |
/// | `cg_steps` | 0 | 0 to 100 | steps of conjugate gradient a row and sweep; 0: rows are solved exactly |
/// | `tolerance` | 0 | 0 to 1 | training ends when a sweep lowers the held-out RMSE by less; 0: never |
/// | `seed` | 42 | any | where the factors start |
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Length of each vector.
    #[serde(deserialize_with = "count")]
    pub factors: usize,
    /// Sweeps over both sides.
    #[serde(deserialize_with = "count")]
    pub iterations: usize,
    /// λ of the factors.
    #[serde(deserialize_with = "lenient")]
    pub regularization: f64,
    /// λ of the biases.
    #[serde(deserialize_with = "lenient")]
    pub bias_regularization: f64,
    /// Ratings assumed of each row beside its own when it is regularised: those with few are drawn to the mean the more.
    #[serde(deserialize_with = "lenient")]
    pub prior_count: f64,
    /// How much the errors of who-rated-what weigh beside those of the ratings: cmfrec's `w_implicit`.
    #[serde(deserialize_with = "lenient")]
    pub implicit_weight: f64,
    /// λ of the vectors that explain who rated what.
    #[serde(deserialize_with = "lenient")]
    pub implicit_regularization: f64,
    /// How often a conjugate gradient is followed for each row and sweep, instead of solving exactly: worth it where there
    /// are hundreds of factors.
    #[serde(deserialize_with = "count")]
    pub cg_steps: usize,
    /// By how much a sweep must lower the error on held-out ratings, or on those trained on where none are held out, for
    /// training to go on. Where that rises, what was learned before is the result.
    #[serde(deserialize_with = "lenient")]
    pub tolerance: f64,
    /// Where the factors start.
    #[serde(deserialize_with = "seed")]
    pub seed: i64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            factors: 50,
            iterations: 6,
            regularization: 0.045,
            bias_regularization: 0.0125,
            prior_count: 120.0,
            implicit_weight: 0.0,
            implicit_regularization: 10.0,
            cg_steps: 0,
            tolerance: 0.0,
            seed: 42,
        }
    }
}

/// From this many ratings on, training begins with one customer in [`SAMPLED`], for [`SAMPLE_SWEEPS`] sweeps: that is enough
/// to learn the movies roughly, for a tenth of the time.
const SAMPLED_FROM: usize = 5_000_000;
const SAMPLED: usize = 10;
const SAMPLE_SWEEPS: usize = 3;

/// How many sweeps over all ratings take as long as what goes before the first.
pub(crate) fn start_sweeps(ratings: usize) -> f64 {
    let sampled = if ratings < SAMPLED_FROM { 0.0 } else { SAMPLE_SWEEPS as f64 / SAMPLED as f64 };
    0.5 + sampled
}

impl Params {
    /// Checks each parameter's range.
    pub fn check(&self) -> Result<(), Error> {
        whole("factors", self.factors, 1..=1024)?;
        whole("iterations", self.iterations, 1..=1000)?;
        real("regularization", self.regularization, 0.0..=1e6)?;
        real("bias_regularization", self.bias_regularization, 0.0..=1e6)?;
        real("prior_count", self.prior_count, 0.0..=1e6)?;
        real("implicit_weight", self.implicit_weight, 0.0..=1e6)?;
        real("implicit_regularization", self.implicit_regularization, 0.0..=1e6)?;
        whole("cg_steps", self.cg_steps, 0..=100)?;
        real("tolerance", self.tolerance, 0.0..=1.0)
    }

    /// Bytes that training takes at its height, the matrix and its making included.
    pub fn memory(&self, size: Size) -> usize {
        let Size { customers, movies, ratings, held_out, threads } = size;
        let copies = if self.tolerance > 0.0 { 2 } else { 1 };
        // What a model takes, the links it is stored with, and the same as the kernel reads it.
        let sides = |customers: usize| {
            let rows = customers + movies;
            let implicit = if self.implicit_weight > 0.0 {
                let learning = |rows, others| Implicit::fit_memory(rows, others, self.factors);
                Implicit::memory(customers, self.factors)
                    + Implicit::memory(movies, self.factors)
                    + learning(customers, movies).max(learning(movies, customers))
                    + copies * movies * self.factors * size_of::<f32>()
            } else {
                0
            };
            copies * rows * size_of::<f32>() * (self.factors + 1)
                + PackedSide::memory(rows, self.factors)
                + implicit
        };
        let sampled = if ratings < SAMPLED_FROM {
            0
        } else {
            // Hashes do not divide evenly, nor do customers rate as much as each other.
            let (customers, ratings) = (2 * customers / SAMPLED, 2 * ratings / SAMPLED);
            RatingMatrix::memory(customers, movies, ratings) + sides(customers)
        };
        let training = RatingMatrix::memory(customers, movies, ratings)
            + sides(customers).max(sampled)
            + Scratch::memory(self.factors) * threads;
        MatrixBuilder::memory(customers, movies, ratings, threads).max(training) + Ratings::memory(held_out)
    }

    /// Regularises a row of so many ratings.
    fn regularise(&self, ratings: usize, prior: &mut Prior) {
        prior.ridge = ridge(self.regularization, ratings, self.prior_count);
        prior.bias_ridge = ridge(self.bias_regularization, ratings, self.prior_count);
    }

    /// The ridges of a row's factors and bias.
    pub(crate) fn ridges(&self, ratings: usize) -> (f64, f64) {
        let of = |regularization| f64::from(ridge(regularization, ratings, self.prior_count));
        (of(self.regularization), of(self.bias_regularization))
    }
}

/// Trains a model on a matrix, in rayon's current pool. The same matrix, parameters and seed give the same bits
/// whatever the number of threads.
pub fn train(matrix: &RatingMatrix, params: &Params, run: &mut Run<'_>) -> Result<Trained, Error> {
    train_from(SAMPLED_FROM, matrix, params, run)
}

/// [`train`], beginning with a sample of no fewer ratings than this.
fn train_from(
    sampled_from: usize,
    matrix: &RatingMatrix,
    params: &Params,
    run: &mut Run<'_>,
) -> Result<Trained, Error> {
    params.check()?;
    let cancelled = run.cancelled;
    let mut course = Course::new(matrix, run, params.iterations, params.tolerance)?;
    let mut movies = start(matrix, params.factors, params.seed, cancelled)?;
    if matrix.ratings() >= sampled_from {
        let sample = matrix.sample(SAMPLED, cancelled)?;
        let mut sides = Sides::new(&sample, movies, params)?;
        for _ in 0..SAMPLE_SWEEPS {
            sides.solve_customers(&sample, params, cancelled)?;
            sides.solve_movies(&sample, params, cancelled)?;
        }
        movies = sides.model.movies;
    }
    let mut sides = Sides::new(matrix, movies, params)?;
    sides.solve_customers(matrix, params, cancelled)?;
    loop {
        sides.solve_movies(matrix, params, cancelled)?;
        // Last, so that a customer's factors are what the model's own movies make of the ratings: a customer's who comes later
        // can be found in the same way.
        let error = sides.solve_customers(matrix, params, cancelled)?;
        let train_rmse = (error / matrix.ratings() as f64).sqrt();
        if let Some(trained) = course.iterate(&mut sides.model, train_rmse)? {
            return Ok(trained);
        }
    }
}

/// What is learned of both sides, and the same as the kernel reads it.
struct Sides {
    model: Model,
    packed_customers: PackedSide,
    packed_movies: PackedSide,
    /// What movies tell of the customers who rated them, and customers of the movies.
    implicit: Option<(Implicit, Implicit)>,
}

impl Sides {
    /// To begin with these movies.
    fn new(matrix: &RatingMatrix, movies: Side, params: &Params) -> Result<Sides, Error> {
        let Params { factors, implicit_weight, implicit_regularization, .. } = *params;
        let (customers, mean) = (matrix.by_customer.rows(), matrix.mean() as f32);
        let implicit = |rows| Implicit::new(rows, factors, implicit_weight, implicit_regularization);
        Ok(Sides {
            packed_customers: PackedSide::zeros(customers, factors)?,
            packed_movies: PackedSide::zeros(matrix.by_movie.rows(), factors)?,
            implicit: match implicit_weight > 0.0 {
                true => Some((implicit(matrix.by_movie.rows())?, implicit(customers)?)),
                false => None,
            },
            model: Model {
                mean,
                customers: Side::zeros(customers, factors)?,
                movies,
                samples: 1,
                links: None,
                prior: None,
            },
        })
    }

    /// Solves for all customers; gives the sum of squared errors after that.
    fn solve_customers(
        &mut self,
        matrix: &RatingMatrix,
        params: &Params,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let Sides { model: Model { mean, customers, movies, links, .. }, packed_movies, implicit, .. } = self;
        packed_movies.pack(movies, cancelled)?;
        let mut told = implicit.as_mut().map(|(of_movies, _)| of_movies);
        if let Some(of_movies) = &mut told {
            of_movies.fit(&matrix.by_movie, customers.factors.view(), cancelled)?;
        }
        let half =
            SideSystems { side: "customer", sparse: &matrix.by_customer, others: packed_movies, mean: *mean };
        let error = half.solve(told.as_deref(), customers, params, cancelled)?;
        if let Some(told) = told {
            copy_links(&told.vectors, links, cancelled)?;
        }
        Ok(error)
    }

    /// Solves for all movies, as [`Sides::solve_customers`].
    fn solve_movies(
        &mut self,
        matrix: &RatingMatrix,
        params: &Params,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let Sides { model: Model { mean, customers, movies, .. }, packed_customers, implicit, .. } = self;
        packed_customers.pack(customers, cancelled)?;
        let mut told = implicit.as_mut().map(|(_, of_customers)| of_customers);
        if let Some(of_customers) = &mut told {
            of_customers.fit(&matrix.by_customer, movies.factors.view(), cancelled)?;
        }
        let half =
            SideSystems { side: "movie", sparse: &matrix.by_movie, others: packed_customers, mean: *mean };
        half.solve(told.as_deref(), movies, params, cancelled)
    }
}

/// One side to be solved for, by the other.
struct SideSystems<'a> {
    side: &'static str,
    sparse: &'a Sparse,
    others: &'a PackedSide,
    mean: f32,
}

impl SideSystems<'_> {
    fn solve(
        &self,
        told: Option<&Implicit>,
        rows: &mut Side,
        params: &Params,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let SideSystems { side, sparse, others, mean } = *self;
        let precision = told.map(|told| &told.precision[..]);
        let half = HalfSweep { side, sparse, others, mean, precision, cg_steps: params.cg_steps, cancelled };
        half.solve(rows, |row, prior| {
            params.regularise(sparse.count(row), prior);
            if let Some(told) = told {
                told.linear_term(sparse.row(row).0, &mut prior.linear[..params.factors]);
            }
        })
    }
}

#[cfg(test)]
mod tests;
