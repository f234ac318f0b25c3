//! Alternating least squares with biases (Zhou, Wilkinson, Schreiber and Pan 2008, "Large-scale parallel collaborative
//! filtering for the Netflix Prize"). Each half of a sweep holds one side fixed and solves every row of the other side: exactly
//! or, with `cg_steps`, approximately. A row's bias is one more unknown of its system.

use std::sync::atomic::AtomicBool;

use crate::algorithm::cost::{FETCH, SHORT_ITERATIONS, least_squares_sweep, rated_rows};
use crate::algorithm::fold_in::FoldIn;
use crate::algorithm::fold_in::context::FoldInContext;
use crate::algorithm::fold_in::customer_ratings::{CustomerRatings, Targets};
use crate::algorithm::fold_in::folded_in::{FoldedIn, least_squares};
use crate::algorithm::parameter::parameters;
use crate::algorithm::regularization::ridge;
use crate::algorithm::start::start;
use crate::algorithm::trainer::Trainer;
use crate::algorithm::training::{Callbacks, Size, Trained, TrainingData, TrainingLoop};
use crate::error::Error;
use crate::implicit::co_factor::CoFactor;
use crate::least_squares::HalfSweep;
use crate::least_squares::normal_equations::Scratch;
use crate::least_squares::packed::PackedSide;
use crate::least_squares::row::Prior;
use crate::model::sample_layout::SampleLayout;
use crate::model::{Model, Side, copy_links};
use crate::ratings::matrix::RatingMatrix;
use crate::ratings::sparse::Sparse;

parameters! {
    /// Length of each customer's and movie's vector.
    factors: usize = 50, 1..=1024;
    /// Sweeps over movies and customers.
    iterations: usize = 6, 1..=1000;
    /// λ of the factors: the penalty of a row with n ratings is λ · (n + `prior_count`) times its squared norm.
    regularization: f64 = 0.045, 0.0..=1e6;
    /// λ of the biases, likewise.
    bias_regularization: f64 = 0.0125, 0.0..=1e6;
    /// Ratings that each row is assumed to have beside its own when it is regularised. A larger value pulls rows with few
    /// ratings harder towards the mean.
    prior_count: f64 = 120.0, 0.0..=1e6;
    /// Weight of the implicit term, which factorises who rated what; 0: no such term. It is cmfrec's `w_implicit`.
    implicit_weight: f64 = 0.0, 0.0..=1e6;
    /// λ of the implicit term's vectors.
    implicit_regularization: f64 = 10.0, 0.0..=1e6;
    /// Conjugate gradient steps per row and sweep; 0: each row is solved exactly. Steps are faster with hundreds of factors.
    cg_steps: usize = 0, 0..=100;
    /// Training stops when a sweep lowers the RMSE by less than this; 0: never. The RMSE is that on the held-out ratings, or on
    /// the training ratings if there are none. If a sweep raises it, the model of the sweep before is the result.
    tolerance: f64 = 0.0, 0.0..=1.0;
    /// Seed of the random factors that training starts from.
    seed: i64 = 42;
}

/// From this many ratings on, training begins with [`SAMPLE_SWEEPS`] sweeps over one customer in [`SAMPLED`]. They learn the
/// movies roughly, in a tenth of the time.
const SAMPLED_FROM: usize = 5_000_000;
const SAMPLED: usize = 10;
const SAMPLE_SWEEPS: usize = 3;

/// How long the work before the first sweep takes, in sweeps over all ratings.
fn start_sweeps(ratings: usize) -> f64 {
    let sampled = if ratings < SAMPLED_FROM { 0.0 } else { SAMPLE_SWEEPS as f64 / SAMPLED as f64 };
    0.5 + sampled
}

impl Trainer for Params {
    fn factors(&self) -> usize {
        self.factors
    }

    fn iterations(&self) -> usize {
        self.iterations
    }

    fn seed(&self) -> Option<i64> {
        Some(self.seed)
    }

    fn memory(&self, size: Size) -> usize {
        let Size { customers, movies, ratings, threads, .. } = size;
        let copies = if self.tolerance > 0.0 { 2 } else { 1 };
        // The model, its links, and the copies of both sides that the kernel reads.
        let sides = |customers: usize| {
            let rows = customers + movies;
            let implicit = if self.implicit_weight > 0.0 {
                let fitting = |rows, others| CoFactor::fit_memory(rows, others, self.factors);
                CoFactor::memory(customers, self.factors)
                    + CoFactor::memory(movies, self.factors)
                    + fitting(customers, movies).max(fitting(movies, customers))
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
            // Twice the expected share, because a hash does not divide the customers evenly and they rate unequally often.
            let (customers, ratings) = (2 * customers / SAMPLED, 2 * ratings / SAMPLED);
            RatingMatrix::memory(customers, movies, ratings) + sides(customers)
        };
        sides(customers).max(sampled) + Scratch::memory(self.factors) * threads
    }

    fn work(&self, size: Size) -> f64 {
        let (rows, ratings, factors) = (rated_rows(size), size.ratings as f64, self.factors as f64);
        let mut sweep = match self.cg_steps {
            0 => least_squares_sweep(factors, rows, ratings),
            steps => (1 + steps) as f64 * 4.0 * ratings * (factors + FETCH),
        };
        if self.implicit_weight > 0.0 {
            // The Gram matrices of all rows and their inverses, the sparse products before them, and a product for each row.
            let per_row = match self.cg_steps {
                0 => 0.0,
                steps => steps as f64 * rows * factors * factors * 4.0,
            };
            sweep += 8.0 * rows * factors * factors
                + 16.0 * factors.powi(3)
                + 4.0 * ratings * (factors + FETCH)
                + per_row;
        }
        (self.iterations as f64 + start_sweeps(size.ratings)) * sweep
    }

    fn shortened(&self, _size: Size) -> Box<dyn Trainer> {
        Box::new(Params { iterations: SHORT_ITERATIONS, ..self.clone() })
    }

    fn train(&self, data: TrainingData<'_>, callbacks: &mut Callbacks<'_>) -> Result<Trained, Error> {
        train_from(SAMPLED_FROM, data, self, callbacks)
    }
}

impl FoldIn for Params {
    fn uses_links(&self) -> bool {
        self.implicit_weight > 0.0
    }

    fn context(&self, layout: SampleLayout, _prior: Option<&[f32]>) -> Result<FoldInContext, Error> {
        match self.implicit_weight > 0.0 {
            true => FoldInContext::gram(layout.length()),
            false => Ok(FoldInContext::Nothing),
        }
    }

    fn fold_in(
        &self,
        mean: f32,
        ratings: &CustomerRatings,
        context: &FoldInContext,
        check: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<FoldedIn, Error> {
        // Rounded to single precision first, because the training kernel holds the weight in single precision.
        let link_weight = f64::from(self.implicit_weight as f32);
        let targets = Targets { link_weight, ..Targets::of_mean(mean) };
        let ridges = self.ridges(ratings.len());
        least_squares(ratings, targets, (ridges.0.into(), ridges.1.into()), context.gram_matrix(), check)
    }
}

impl Params {
    /// The ridges of the factors and of the bias of a row with `ratings` ratings.
    fn ridges(&self, ratings: usize) -> (f32, f32) {
        let of = |regularization| ridge(regularization, ratings, self.prior_count);
        (of(self.regularization), of(self.bias_regularization))
    }
}

/// [`Trainer::train`], which begins with a sample of the customers if there are at least `sampled_from` ratings.
fn train_from(
    sampled_from: usize,
    data: TrainingData<'_>,
    params: &Params,
    callbacks: &mut Callbacks<'_>,
) -> Result<Trained, Error> {
    let (matrix, cancelled) = (data.matrix, callbacks.cancelled);
    let mut training = TrainingLoop::new(data, callbacks, params.iterations, params.tolerance)?;
    let mut movies = start(matrix, params.factors, params.seed, cancelled)?;
    if matrix.ratings() >= sampled_from {
        let sample = matrix.sample(SAMPLED, cancelled)?;
        // The start may be rough, so its implicit term sees only the sampled ratings, not all interactions.
        let sample = TrainingData { matrix: &sample, interactions: &sample, ..data };
        let mut sides = Sides::new(sample, movies, params)?;
        for _ in 0..SAMPLE_SWEEPS {
            sides.solve_customers(params, cancelled)?;
            sides.solve_movies(params, cancelled)?;
        }
        movies = sides.model.movies;
    }
    let mut sides = Sides::new(data, movies, params)?;
    sides.solve_customers(params, cancelled)?;
    loop {
        sides.solve_movies(params, cancelled)?;
        // Customers are solved last, so that their factors are the solution for the final movies. Fold-in then gives the same.
        let squared_error = sides.solve_customers(params, cancelled)?;
        if let Some(trained) = training.iterate(&mut sides.model, squared_error)? {
            return Ok(trained);
        }
    }
}

/// Both sides of the model, and the copies that the kernel reads.
struct Sides<'a> {
    data: TrainingData<'a>,
    model: Model,
    packed_customers: PackedSide,
    packed_movies: PackedSide,
    /// The implicit term: the vectors of the movies, which explain customers, and those of the customers, which explain movies.
    implicit: Option<(CoFactor, CoFactor)>,
}

impl<'a> Sides<'a> {
    /// Starts from these movies.
    fn new(data: TrainingData<'a>, movies: Side, params: &Params) -> Result<Sides<'a>, Error> {
        let Params { factors, implicit_weight, implicit_regularization, .. } = *params;
        let matrix = data.matrix;
        let (customers, mean) = (matrix.by_customer.rows(), matrix.mean() as f32);
        let implicit = |rows| CoFactor::new(rows, factors, implicit_weight, implicit_regularization);
        Ok(Sides {
            data,
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

    /// Solves for all customers. Returns the sum of squared errors after that.
    fn solve_customers(&mut self, params: &Params, cancelled: &AtomicBool) -> Result<f64, Error> {
        let Sides { data: TrainingData { matrix, interactions, .. }, model, packed_movies, implicit, .. } =
            self;
        let Model { mean, customers, movies, links, .. } = model;
        packed_movies.pack(movies, cancelled)?;
        let mut of_movies = implicit.as_mut().map(|(of_movies, _)| of_movies);
        if let Some(of_movies) = &mut of_movies {
            of_movies.fit(&interactions.by_movie, customers.factors.view(), cancelled)?;
        }
        let systems = SideSystems {
            side: "customer",
            sparse: &matrix.by_customer,
            interactions: &interactions.by_customer,
            others: packed_movies,
            mean: *mean,
        };
        let squared_error = systems.solve(of_movies.as_deref(), customers, params, cancelled)?;
        if let Some(of_movies) = of_movies {
            copy_links(&of_movies.vectors, links, cancelled)?;
        }
        Ok(squared_error)
    }

    /// Solves for all movies. Returns the sum of squared errors after that.
    fn solve_movies(&mut self, params: &Params, cancelled: &AtomicBool) -> Result<f64, Error> {
        let Sides {
            data: TrainingData { matrix, interactions, .. }, model, packed_customers, implicit, ..
        } = self;
        let Model { mean, customers, movies, .. } = model;
        packed_customers.pack(customers, cancelled)?;
        let mut of_customers = implicit.as_mut().map(|(_, of_customers)| of_customers);
        if let Some(of_customers) = &mut of_customers {
            of_customers.fit(&interactions.by_customer, movies.factors.view(), cancelled)?;
        }
        let systems = SideSystems {
            side: "movie",
            sparse: &matrix.by_movie,
            interactions: &interactions.by_movie,
            others: packed_customers,
            mean: *mean,
        };
        systems.solve(of_customers.as_deref(), movies, params, cancelled)
    }
}

/// The least-squares systems of all rows of one side.
struct SideSystems<'a> {
    side: &'static str,
    sparse: &'a Sparse,
    interactions: &'a Sparse,
    others: &'a PackedSide,
    mean: f32,
}

impl SideSystems<'_> {
    /// Solves every row. `implicit` has the vectors of the other side. Returns the sum of squared errors after that.
    fn solve(
        &self,
        implicit: Option<&CoFactor>,
        rows: &mut Side,
        params: &Params,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let SideSystems { side, sparse, interactions, others, mean } = *self;
        let precision = implicit.map(|implicit| &implicit.precision[..]);
        let half = HalfSweep { side, sparse, others, mean, precision, cg_steps: params.cg_steps, cancelled };
        half.solve(rows, |row, prior: &mut Prior| {
            (prior.ridge, prior.bias_ridge) = params.ridges(sparse.count(row));
            if let Some(implicit) = implicit {
                implicit.linear_term(interactions.row(row).0, &mut prior.linear[..params.factors]);
            }
        })
    }
}

#[cfg(test)]
mod tests;
