//! SVD++ (Koren 2008, "Factorization meets the neighborhood", equation 15), trained by alternating least squares.
//!
//! In SVD++, a customer's factors are `p_u + Σ y_j / √|N(u)|`, where N(u) is the set of movies that the customer rated. Here the
//! whole sum is one vector with a Gaussian prior, whose mean is the second term. So each row is the solution of the least
//! squares of [`crate::als`] with another right-hand side. Between sweeps, the vectors `y`, the links, are the solution of a
//! ridge regression with the same objective: a row has the same weight in it as the distance from the prior mean has in the
//! row's own system. Movies have links to the customers who rated them in the same way.
//!
//! Koren's regularization is another one: his λ acts on `y_j` once for each rating.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

use serde_json::Value;

use crate::algorithm::cost::{SHORT_ITERATIONS, least_squares_sweep, link_regression, rated_rows};
use crate::algorithm::fold_in::FoldIn;
use crate::algorithm::fold_in::context::FoldInContext;
use crate::algorithm::fold_in::customer_ratings::{CustomerRatings, Targets};
use crate::algorithm::fold_in::folded_in::{FoldedIn, least_squares};
use crate::algorithm::parameter::parameters;
use crate::algorithm::regularization::{PRIOR_COUNT, ridge};
use crate::algorithm::start::start;
use crate::algorithm::trainer::Trainer;
use crate::algorithm::training::{Callbacks, Size, Trained, TrainingData, TrainingLoop};
use crate::error::Error;
use crate::implicit::link::Link;
use crate::least_squares::HalfSweep;
use crate::least_squares::normal_equations::Scratch;
use crate::least_squares::packed::PackedSide;
use crate::least_squares::row::Prior;
use crate::model::{Model, Side, copy_links};
use crate::ratings::sparse::Sparse;

parameters! {
    /// Length of each customer's and movie's vector.
    factors: usize = 20, 1..=1024;
    /// Sweeps over movies and customers.
    iterations: usize = 20, 1..=1000;
    /// λ of the factors: the penalty of a row with n ratings is λ · (n + `prior_count`) times the squared distance of its factors
    /// from what the links expect.
    regularization: f64 = 0.05, 0.0..=1e6;
    /// λ of the biases: the penalty of a row is λ · (n + `prior_count`) times its squared bias.
    bias_regularization: f64 = 0.0075, 0.0..=1e6;
    /// Ratings that each row is assumed to have beside its own when it is regularised. A larger value pulls rows with few
    /// ratings harder towards what the links expect.
    prior_count: f64 = 200.0, 0.0..=1e6;
    /// λ of the links, as a multiple of the penalty λ · (n + `prior_count`) of a row with an average number of ratings.
    link_regularization: f64 = 3.0, 0.0..=1e6;
    /// Whether movies have links, too: who rated a movie then says something about its factors. In Koren's model only customers have links.
    link_movies: bool = true;
    /// Training stops when a sweep lowers the RMSE by less than this, as in `als`; 0: never.
    tolerance: f64 = 0.0, 0.0..=1.0;
    /// Seed of the random factors that training starts from.
    seed: i64 = 42;
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
        let Size { customers, movies, threads, .. } = size;
        let copies = if self.tolerance > 0.0 { 2 } else { 1 };
        let factors = copies * (customers + movies) * size_of::<f32>() * (self.factors + 1)
            + PackedSide::memory(customers + movies, self.factors);
        // The links of movies and their copy in the model, the links of customers, and the regression of either.
        let of_movies = (1 + copies) * Link::memory(movies, self.factors);
        let fitting = Link::fit_memory(customers, movies, self.factors);
        let links = match self.link_movies {
            true => {
                let fitting = fitting.max(Link::fit_memory(movies, customers, self.factors));
                of_movies + Link::memory(customers, self.factors) + fitting
            }
            false => of_movies + fitting,
        };
        factors + links + Scratch::memory(self.factors) * threads
    }

    fn work(&self, size: Size) -> f64 {
        let (rows, ratings, factors) = (rated_rows(size), size.ratings as f64, self.factors as f64);
        let linked_sides = if self.link_movies { 2.0 } else { 1.0 };
        let links = linked_sides * link_regression(factors, rows, ratings);
        self.iterations as f64 * (least_squares_sweep(factors, rows, ratings) + links)
    }

    fn shortened(&self, _size: Size) -> Box<dyn Trainer> {
        Box::new(Params { iterations: SHORT_ITERATIONS, ..self.clone() })
    }

    fn train(&self, data: TrainingData<'_>, callbacks: &mut Callbacks<'_>) -> Result<Trained, Error> {
        let cancelled = callbacks.cancelled;
        let mut training = TrainingLoop::new(data, callbacks, self.iterations, self.tolerance)?;
        let mut sides = LinkedSides::new(data, self, cancelled)?;
        sides.solve_customers(self, false, cancelled)?;
        loop {
            sides.solve_movies(self, training.completed > 0, cancelled)?;
            // Customers are solved last, as in `als`, so that fold-in gives the same.
            let squared_error = sides.solve_customers(self, true, cancelled)?;
            if let Some(trained) = training.iterate(&mut sides.model, squared_error)? {
                return Ok(trained);
            }
        }
    }

    /// Versions without the parameter `prior_count` used 60. Their stored models name every other parameter.
    fn completed(params: &Value) -> Cow<'_, Value> {
        let mut all = serde_json::to_value(Params::default()).unwrap_or_default();
        let is_named = |name: &String| name == "prior_count" || params.get(name).is_some();
        if params.get("prior_count").is_some() || !all.as_object().is_some_and(|all| all.keys().all(is_named))
        {
            return Cow::Borrowed(params);
        }
        all.clone_from(params);
        all["prior_count"] = PRIOR_COUNT.into();
        Cow::Owned(all)
    }
}

impl FoldIn for Params {
    fn uses_links(&self) -> bool {
        true
    }

    fn fold_in(
        &self,
        mean: f32,
        ratings: &CustomerRatings,
        _context: &FoldInContext,
        check: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<FoldedIn, Error> {
        let (ridge, bias_ridge) = self.ridges(ratings.len());
        let ridges = (f64::from(ridge), f64::from(bias_ridge));
        // The prior mean Σ y_j / √n, times the ridge as in training.
        let link_weight = ridges.0 / (ratings.len().max(1) as f64).sqrt();
        least_squares(ratings, Targets { link_weight, ..Targets::of_mean(mean) }, ridges, None, check)
    }
}

impl Params {
    /// The ridges of the factors and of the bias of a row with `ratings` ratings.
    fn ridges(&self, ratings: usize) -> (f32, f32) {
        let of = |regularization| ridge(regularization, ratings, self.prior_count);
        (of(self.regularization), of(self.bias_regularization))
    }
}

/// Both sides of the model and their links, and the copies that the kernel reads.
struct LinkedSides<'a> {
    data: TrainingData<'a>,
    model: Model,
    packed_customers: PackedSide,
    packed_movies: PackedSide,
    /// A vector for each movie: they are the prior means of customers.
    of_movies: Link,
    /// A vector for each customer: they are the prior means of movies.
    of_customers: Option<Link>,
}

impl<'a> LinkedSides<'a> {
    fn new(
        data: TrainingData<'a>,
        params: &Params,
        cancelled: &AtomicBool,
    ) -> Result<LinkedSides<'a>, Error> {
        let matrix = data.matrix;
        let (customers, movies) = (matrix.by_customer.rows(), matrix.by_movie.rows());
        let factors = params.factors;
        Ok(LinkedSides {
            data,
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

    /// Solves for all customers. If they were solved before (`are_solved`), first learns the links from them. Returns the sum
    /// of squared errors after that.
    fn solve_customers(
        &mut self,
        params: &Params,
        are_solved: bool,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let LinkedSides { data: TrainingData { matrix, interactions, .. }, model, .. } = self;
        let Model { mean, customers, movies, links, .. } = model;
        self.packed_movies.pack(movies, cancelled)?;
        let systems = LinkedSideSystems {
            side: "customer",
            sparse: &matrix.by_customer,
            interactions: &interactions.by_customer,
            transposed_interactions: &interactions.by_movie,
            others: &self.packed_movies,
            mean: *mean,
        };
        let link = Some((&mut self.of_movies, are_solved));
        let squared_error = systems.solve(link, customers, params, cancelled)?;
        copy_links(&self.of_movies.vectors, links, cancelled)?;
        Ok(squared_error)
    }

    /// Solves for all movies, as [`LinkedSides::solve_customers`].
    fn solve_movies(
        &mut self,
        params: &Params,
        are_solved: bool,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let LinkedSides { data: TrainingData { matrix, interactions, .. }, model, .. } = self;
        let Model { mean, customers, movies, .. } = model;
        self.packed_customers.pack(customers, cancelled)?;
        let systems = LinkedSideSystems {
            side: "movie",
            sparse: &matrix.by_movie,
            interactions: &interactions.by_movie,
            transposed_interactions: &interactions.by_customer,
            others: &self.packed_customers,
            mean: *mean,
        };
        let link = self.of_customers.as_mut().map(|link| (link, are_solved));
        systems.solve(link, movies, params, cancelled)
    }
}

/// The least-squares systems of all rows of one side.
struct LinkedSideSystems<'a> {
    side: &'static str,
    sparse: &'a Sparse,
    /// The interactions of this side's rows, and of the other side's rows.
    interactions: &'a Sparse,
    transposed_interactions: &'a Sparse,
    others: &'a PackedSide,
    mean: f32,
}

impl LinkedSideSystems<'_> {
    /// Solves every row. If there is a link and the rows were solved before, first learns the link from the rows. Returns the
    /// sum of squared errors after that.
    fn solve(
        &self,
        link: Option<(&mut Link, bool)>,
        rows: &mut Side,
        params: &Params,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let LinkedSideSystems { side, sparse, interactions, transposed_interactions, others, mean } = *self;
        let link = match link {
            Some((link, true)) => {
                // Relative to a row with an average number of ratings, whose weight is 1.
                let average = interactions.ratings() as f64 / interactions.rated_rows() as f64;
                let weight =
                    |ratings: usize| (ratings as f64 + params.prior_count) / (average + params.prior_count);
                let (weight, factors) = (|ratings| weight(ratings) as f32, rows.factors.view());
                let (sides, lambda) = ((interactions, transposed_interactions), params.link_regularization);
                link.fit(sides, factors, weight, lambda, None, cancelled)?;
                Some(&*link)
            }
            // Rows that were not solved yet are zero, so nothing can be learned from them.
            link => link.map(|(link, _)| &*link),
        };
        let half = HalfSweep { side, sparse, others, mean, precision: None, cg_steps: 0, cancelled };
        half.solve(rows, |row, prior: &mut Prior| {
            (prior.ridge, prior.bias_ridge) = params.ridges(sparse.count(row));
            if let Some(link) = link {
                let linear = &mut prior.linear[..params.factors];
                link.prior_mean(interactions.row(row).0, linear);
                linear.iter_mut().for_each(|entry| *entry *= prior.ridge);
            }
        })
    }
}
