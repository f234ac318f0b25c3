//! SVD++ (Koren 2008, "Factorization meets the neighborhood", equation 15), solved by alternating least squares.
//!
//! A customer's factors there are `p_u + Σ y_j / √|N(u)|` over the movies rated. Taken together they are a vector with a
//! prior, whose mean is what the sum says: the least-squares systems are those of [`crate::als`] with another right-hand side,
//! and the vectors `y` a regression between sweeps, of the same objective: a row weighs in it as its squared distance from what
//! is expected does in its system. The same is done for movies, by the customers who rated them. Koren's λ acts on each
//! `y_j` once a rating instead.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::algorithm::parameter::{count, lenient, real, seed, whole};
use crate::algorithm::regularization::{PRIOR_COUNT, ridge};
use crate::algorithm::run::{Course, Run, Size, Trained};
use crate::algorithm::start::start;
use crate::error::Error;
use crate::implicit::link::Link;
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
/// | `factors` | 20 | 1 to 1024 | length of each customer's and movie's vector |
/// | `iterations` | 20 | 1 to 1000 | sweeps over both sides |
/// | `regularization` | 0.05 | 0 to 1e6 | λ: a row of n ratings has the squares of what its factors differ from those expected weighted by λ · (n + `prior_count`) |
/// | `bias_regularization` | 0.0075 | 0 to 1e6 | the same for the biases' squares |
/// | `prior_count` | 200 | 0 to 1e6 | ratings assumed of each row beside its own when it is regularised |
/// | `link_regularization` | 3 | 0 to 1e6 | weight of the squares of the vectors that say what is expected, as a share of the λ · (n + `prior_count`) of a row of average size |
/// | `link_movies` | true | | whether movies' factors, too, are expected by who rated them; Koren's model has the customers' alone |
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
    /// λ of the factors, about their expected values.
    #[serde(deserialize_with = "lenient")]
    pub regularization: f64,
    /// λ of the biases.
    #[serde(deserialize_with = "lenient")]
    pub bias_regularization: f64,
    /// Ratings assumed of each row beside its own when it is regularised: those with few are drawn the more to what is expected.
    #[serde(deserialize_with = "lenient")]
    pub prior_count: f64,
    /// λ of the vectors that say what is expected.
    #[serde(deserialize_with = "lenient")]
    pub link_regularization: f64,
    /// Whether movies are linked, too.
    pub link_movies: bool,
    /// As in [`crate::als::Params`].
    #[serde(deserialize_with = "lenient")]
    pub tolerance: f64,
    /// Where the factors start.
    #[serde(deserialize_with = "seed")]
    pub seed: i64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            factors: 20,
            iterations: 20,
            regularization: 0.05,
            bias_regularization: 0.0075,
            prior_count: 200.0,
            link_regularization: 3.0,
            link_movies: true,
            tolerance: 0.0,
            seed: 42,
        }
    }
}

/// Parameters as a model was stored with before there was a `prior_count`: all others are named. It was 60 then.
pub(crate) fn completed(params: &Value) -> Cow<'_, Value> {
    let mut all = serde_json::to_value(Params::default()).unwrap_or_default();
    let is_named = |name: &String| name == "prior_count" || params.get(name).is_some();
    if params.get("prior_count").is_some() || !all.as_object().is_some_and(|all| all.keys().all(is_named)) {
        return Cow::Borrowed(params);
    }
    all.clone_from(params);
    all["prior_count"] = PRIOR_COUNT.into();
    Cow::Owned(all)
}

impl Params {
    /// Checks each parameter's range.
    pub fn check(&self) -> Result<(), Error> {
        whole("factors", self.factors, 1..=1024)?;
        whole("iterations", self.iterations, 1..=1000)?;
        real("regularization", self.regularization, 0.0..=1e6)?;
        real("bias_regularization", self.bias_regularization, 0.0..=1e6)?;
        real("prior_count", self.prior_count, 0.0..=1e6)?;
        real("link_regularization", self.link_regularization, 0.0..=1e6)?;
        real("tolerance", self.tolerance, 0.0..=1.0)
    }

    /// The ridges of a row's factors and bias.
    pub(crate) fn ridges(&self, ratings: usize) -> (f64, f64) {
        let of = |regularization| f64::from(ridge(regularization, ratings, self.prior_count));
        (of(self.regularization), of(self.bias_regularization))
    }

    /// Bytes that training takes at its height, the matrix and its making included.
    pub fn memory(&self, size: Size) -> usize {
        let Size { customers, movies, ratings, held_out, threads } = size;
        let copies = if self.tolerance > 0.0 { 2 } else { 1 };
        let factors = copies * (customers + movies) * size_of::<f32>() * (self.factors + 1)
            + PackedSide::memory(customers + movies, self.factors);
        // Movies' vectors, those that the model is stored with, customers' vectors, and the learning of either.
        let of_movies = (1 + copies) * Link::memory(movies, self.factors);
        let learning = Link::fit_memory(customers, movies, self.factors);
        let links = match self.link_movies {
            true => {
                let learning = learning.max(Link::fit_memory(movies, customers, self.factors));
                of_movies + Link::memory(customers, self.factors) + learning
            }
            false => of_movies + learning,
        };
        let training = RatingMatrix::memory(customers, movies, ratings)
            + factors
            + links
            + Scratch::memory(self.factors) * threads;
        MatrixBuilder::memory(customers, movies, ratings, threads).max(training) + Ratings::memory(held_out)
    }
}

/// Trains a model on a matrix, in rayon's current pool. The same matrix, parameters and seed give the same bits
/// whatever the number of threads.
pub fn train(matrix: &RatingMatrix, params: &Params, run: &mut Run<'_>) -> Result<Trained, Error> {
    params.check()?;
    let cancelled = run.cancelled;
    let mut course = Course::new(matrix, run, params.iterations, params.tolerance)?;
    let mut linked = Linked::new(matrix, params, cancelled)?;
    linked.solve_customers(matrix, params, false, cancelled)?;
    loop {
        linked.solve_movies(matrix, params, course.number > 0, cancelled)?;
        // Last, as of plain least squares.
        let error = linked.solve_customers(matrix, params, true, cancelled)?;
        let train_rmse = (error / matrix.ratings() as f64).sqrt();
        if let Some(trained) = course.iterate(&mut linked.model, train_rmse)? {
            return Ok(trained);
        }
    }
}

/// What is learned of both sides, and what each tells of the other.
struct Linked {
    model: Model,
    packed_customers: PackedSide,
    packed_movies: PackedSide,
    of_movies: Link,
    of_customers: Option<Link>,
}

impl Linked {
    fn new(matrix: &RatingMatrix, params: &Params, cancelled: &AtomicBool) -> Result<Linked, Error> {
        let (customers, movies) = (matrix.by_customer.rows(), matrix.by_movie.rows());
        let factors = params.factors;
        Ok(Linked {
            packed_customers: PackedSide::zeros(customers, factors)?,
            packed_movies: PackedSide::zeros(movies, factors)?,
            of_movies: Link::new(movies, factors)?,
            of_customers: if params.link_movies { Some(Link::new(customers, factors)?) } else { None },
            model: Model {
                mean: matrix.mean() as f32,
                customers: Side::zeros(customers, factors)?,
                movies: start(matrix, factors, params.seed, cancelled)?,
                samples: 1,
                links: None,
                prior: None,
            },
        })
    }

    /// Solves for all customers, after what is expected of them if they were solved for before; gives the sum of squared
    /// errors.
    fn solve_customers(
        &mut self,
        matrix: &RatingMatrix,
        params: &Params,
        are_solved: bool,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let Linked { model: Model { mean, customers, movies, links, .. }, packed_movies, of_movies, .. } =
            self;
        packed_movies.pack(movies, cancelled)?;
        let half = LinkedSideSystems {
            side: "customer",
            sparse: &matrix.by_customer,
            transpose: &matrix.by_movie,
            others: packed_movies,
            mean: *mean,
        };
        let error = half.solve(Some((of_movies, are_solved)), customers, params, cancelled)?;
        copy_links(&of_movies.vectors, links, cancelled)?;
        Ok(error)
    }

    /// Solves for all movies, as [`Linked::solve_customers`].
    fn solve_movies(
        &mut self,
        matrix: &RatingMatrix,
        params: &Params,
        are_solved: bool,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let Linked { model: Model { mean, customers, movies, .. }, packed_customers, of_customers, .. } =
            self;
        packed_customers.pack(customers, cancelled)?;
        let half = LinkedSideSystems {
            side: "movie",
            sparse: &matrix.by_movie,
            transpose: &matrix.by_customer,
            others: packed_customers,
            mean: *mean,
        };
        half.solve(of_customers.as_mut().map(|link| (link, are_solved)), movies, params, cancelled)
    }
}

/// How many rows have ratings.
fn rated(sparse: &Sparse) -> usize {
    (0..sparse.rows()).filter(|&row| sparse.count(row) > 0).count()
}

/// One side to be solved for, by the other.
struct LinkedSideSystems<'a> {
    side: &'static str,
    sparse: &'a Sparse,
    transpose: &'a Sparse,
    others: &'a PackedSide,
    mean: f32,
}

impl LinkedSideSystems<'_> {
    /// Solves for the rows, after learning what is expected of them from what they are, if they were solved for before.
    fn solve(
        &self,
        link: Option<(&mut Link, bool)>,
        rows: &mut Side,
        params: &Params,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let LinkedSideSystems { side, sparse, transpose, others, mean } = *self;
        let link = match link {
            // Rows that were not solved for yet tell nothing.
            Some((link, true)) => {
                // As each row's difference from what is expected weighs in its system, of a row of average size 1.
                let average = sparse.ratings() as f64 / rated(sparse) as f64;
                let weight =
                    |ratings: usize| (ratings as f64 + params.prior_count) / (average + params.prior_count);
                let (weight, factors) = (|ratings| weight(ratings) as f32, rows.factors.view());
                let regularization = params.link_regularization;
                link.fit((sparse, transpose), factors, weight, regularization, None, cancelled)?;
                Some(&*link)
            }
            link => link.map(|(link, _)| &*link),
        };
        let half = HalfSweep { side, sparse, others, mean, precision: None, cg_steps: 0, cancelled };
        half.solve(rows, |row, prior: &mut Prior| {
            prior.ridge = ridge(params.regularization, sparse.count(row), params.prior_count);
            prior.bias_ridge = ridge(params.bias_regularization, sparse.count(row), params.prior_count);
            if let Some(link) = link {
                let linear = &mut prior.linear[..params.factors];
                link.prior_mean(sparse.row(row).0, linear);
                linear.iter_mut().for_each(|entry| *entry *= prior.ridge);
            }
        })
    }
}
