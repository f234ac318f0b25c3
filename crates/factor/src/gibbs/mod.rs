//! The Gibbs sampler of a Bayesian factor model: samples each part of the model in turn, given all other parts.
//!
//! A rating has the distribution `N(mean + b_u + b_i + p · q, 1/α)`. A sweep samples, in this order: the hyperparameters of
//! customers (see `hyperparameters`), all customers, the hyperparameters of movies, all movies, and `α`, the precision of
//! ratings (Salakhutdinov and Mnih 2008, "Bayesian probabilistic matrix factorization using Markov chain Monte Carlo"; here with
//! biases, and with a gamma prior of α).

mod hyperparameters;
mod noise;

use std::sync::atomic::AtomicBool;

use ndarray::Array2;

use crate::error::Error;
use crate::gibbs::hyperparameters::{GAMMA_PRIOR, Hyperparameters, copy};
use crate::gibbs::noise::{gamma, normal, row_generator};
use crate::implicit::link::Link;
use crate::least_squares::HalfSweep;
use crate::least_squares::packed::PackedSide;
use crate::least_squares::row::Prior;
use crate::linear::gram::{add_relative_ridge, gram_memory, strided_upper};
use crate::memory::zeros;
use crate::model::customer_prior::CustomerPrior;
use crate::model::{Model, Side};
use crate::random::{generator, hash};
use crate::ratings::matrix::RatingMatrix;
use crate::ratings::sparse::Sparse;

/// A side gets a link only if the link has at most this many vectors for each of the side's rows. With many more vectors, they
/// could explain any rows. And Λ would be learned mostly from the vectors, because it is also their precision.
const MOST_VECTORS_PER_ROW: usize = 4;

/// The state of the sampler.
pub(crate) struct Sampler {
    /// The current sample of factors and biases.
    pub model: Model,
    customers: Hyperparameters,
    movies: Hyperparameters,
    packed_customers: PackedSide,
    packed_movies: PackedSide,
    /// α: one over the variance of ratings about their predictions.
    alpha: f64,
    seed: i64,
}

impl Sampler {
    /// Begins with the factors and biases of a model. `links` says whether sides get links, as far as
    /// [`MOST_VECTORS_PER_ROW`] allows. The links read only who rated what, from the entries of `interactions`.
    pub fn new(
        (matrix, interactions): (&RatingMatrix, &RatingMatrix),
        model: Model,
        links: bool,
        seed: i64,
    ) -> Result<Sampler, Error> {
        let factors = model.movies.factors.ncols();
        let unknowns = factors + 1;
        let hyperparameters = |side, sparse: &Sparse, others: &Sparse| {
            let rated_rows = sparse.rated_rows();
            let link = match links && others.rated_rows() <= MOST_VECTORS_PER_ROW * rated_rows {
                true => Some((Link::new(others.rows(), unknowns)?, 1.0)),
                false => None,
            };
            Hyperparameters::new(side, rated_rows, unknowns, link)
        };
        let (customers, movies) = (matrix.by_customer.rows(), matrix.by_movie.rows());
        Ok(Sampler {
            customers: hyperparameters("customer", &matrix.by_customer, &interactions.by_movie)?,
            movies: hyperparameters("movie", &matrix.by_movie, &interactions.by_customer)?,
            packed_customers: PackedSide::zeros(customers, factors)?,
            packed_movies: PackedSide::zeros(movies, factors)?,
            alpha: 1.0,
            model,
            seed,
        })
    }

    /// The link vectors that give customers their prior means, movies x (factors + 1), if customers have a link.
    pub fn customer_link_vectors(&self) -> Option<&Array2<f32>> {
        self.customers.link.as_ref().map(|(link, _)| &link.vectors)
    }

    /// Writes the customers' μ, Λ and α into a model's prior, as those of sample number `sample`, from 0.
    pub fn write_customer_prior(&self, sample: usize, prior: &mut [f32]) {
        let Hyperparameters { mean, precision, .. } = &self.customers;
        let layout = CustomerPrior::of(mean.len() - 1);
        layout.write(prior, sample, mean, precision, self.alpha);
    }

    /// Bytes of a sampler, without the packed sides.
    pub fn memory(customers: usize, movies: usize, factors: usize, links: bool) -> usize {
        let unknowns = factors + 1;
        let square = unknowns * unknowns * size_of::<f64>();
        // While the hyperparameters of one side are sampled: a copy of the side's rows, and what is computed from them.
        let sampling = |rows: usize, others: usize| {
            let rows_memory = rows * unknowns * size_of::<f32>();
            let normal_wishart = gram_memory(rows, unknowns) + 4 * square;
            if !links {
                return rows_memory + normal_wishart;
            }
            let noise = others * unknowns * size_of::<f32>();
            let fitting = noise + Link::fit_memory(rows, others, unknowns);
            rows_memory + fitting.max(normal_wishart).max(gram_memory(others, unknowns) + 2 * square)
        };
        let sides = (customers + movies) * unknowns * size_of::<f32>();
        let links = if links { Link::memory(customers + movies, unknowns) } else { 0 };
        let precision = PackedSide::stride(factors).pow(2) * size_of::<f32>();
        sides + links + 2 * square + precision + sampling(customers, movies).max(sampling(movies, customers))
    }

    /// Samples each part of the model once. Returns the sum of squared errors of the new sample on the training ratings.
    /// `sweep` counts from 1.
    pub fn sweep(
        &mut self,
        (matrix, interactions): (&RatingMatrix, &RatingMatrix),
        sweep: usize,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let Sampler { model, customers, movies, packed_customers, packed_movies, alpha, seed } = self;
        let stream = |part: u64| hash(*seed as u64 ^ hash(4 * sweep as u64 + part));
        let (by_customer, by_movie, mean) = (&interactions.by_customer, &interactions.by_movie, model.mean);
        if sweep == 1 {
            let error = model.squared_error(matrix, cancelled)?;
            *alpha = (GAMMA_PRIOR + matrix.ratings() as f64) / (GAMMA_PRIOR + error);
        }
        customers.sample((by_customer, by_movie), &model.customers, stream(0), cancelled)?;
        packed_movies.pack(&mut model.movies, cancelled)?;
        let half = SideSampling { mean, alpha: *alpha, stream: stream(0), cancelled };
        half.sample(customers, (&matrix.by_customer, by_customer), packed_movies, &mut model.customers)?;
        movies.sample((by_movie, by_customer), &model.movies, stream(1), cancelled)?;
        packed_customers.pack(&mut model.customers, cancelled)?;
        let half = SideSampling { stream: stream(1), ..half };
        half.sample(movies, (&matrix.by_movie, by_movie), packed_customers, &mut model.movies)?;
        let error = model.squared_error(matrix, cancelled)?;
        let shape = (GAMMA_PRIOR + matrix.ratings() as f64) / 2.0;
        *alpha = gamma(shape, (GAMMA_PRIOR + error) / 2.0, &mut generator(stream(2) as i64));
        Ok(error)
    }
}

/// What the samples of all rows of a side have in common.
#[derive(Clone, Copy)]
struct SideSampling<'a> {
    /// The mean of all ratings.
    mean: f32,
    alpha: f64,
    stream: u64,
    cancelled: &'a AtomicBool,
}

impl SideSampling<'_> {
    /// Samples every row of a side from its Gaussian posterior. With the row's prior mean `m`, the posterior has the precision
    /// `α A + Λ` and the mean `(α A + Λ)⁻¹ (α b + Λ m)`, where `A = Σ z zᵀ` and `b = Σ t z` (see `least_squares`).
    ///
    /// The kernel's equations are these, divided by α: their prior is `Λ/α`, and their noise is `1/√α`.
    fn sample(
        &self,
        hyperparameters: &Hyperparameters,
        (sparse, interactions): (&Sparse, &Sparse),
        others: &PackedSide,
        rows: &mut Side,
    ) -> Result<(), Error> {
        let SideSampling { mean, alpha, stream, cancelled } = *self;
        let mut precision = copy(&hyperparameters.precision)?;
        // With few rows, Λ may be singular in single precision.
        add_relative_ridge(&mut precision);
        let precision = strided_upper(&precision, others.stride, 1.0 / alpha)?;
        let half = HalfSweep {
            side: hyperparameters.side,
            sparse,
            others,
            mean,
            precision: Some(&precision),
            cg_steps: 0,
            cancelled,
        };
        let mut scaled_precision: Array2<f32> = zeros(hyperparameters.precision.dim())?;
        scaled_precision.zip_mut_with(&hyperparameters.precision, |to, &entry| *to = (entry / alpha) as f32);
        let mu = hyperparameters.mean.mapv(|entry| entry as f32);
        let noise = (1.0 / alpha).sqrt() as f32;
        half.solve(rows, |row, prior: &mut Prior| {
            // The noise's place holds the prior mean until the linear term is computed.
            let prior_mean = &mut prior.noise;
            match &hyperparameters.link {
                Some((link, _)) => link.prior_mean(interactions.row(row).0, prior_mean),
                None => prior_mean.fill(0.0),
            }
            prior_mean.iter_mut().zip(&mu).for_each(|(mean, &mu)| *mean += mu);
            for (linear, row) in prior.linear.iter_mut().zip(scaled_precision.rows()) {
                *linear = row.iter().zip(prior_mean.iter()).map(|(&entry, &mean)| entry * mean).sum();
            }
            let mut rng = row_generator(stream, row);
            prior.noise.iter_mut().for_each(|entry| *entry = noise * normal(&mut rng));
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_has_no_link_if_that_had_too_many_vectors() {
        let go = AtomicBool::new(false);
        for (movies, has_link) in [(3, false), (10, true)] {
            let mut list = crate::Ratings::default();
            (0..40).for_each(|customer| list.push(customer, customer % movies, 3));
            // The hundred movies and customers without ratings do not count.
            let matrix = RatingMatrix::new(140, 110, &list, &go).unwrap();
            let model = |links: bool| {
                let (customers, movies) = (Side::zeros(140, 2).unwrap(), Side::zeros(110, 2).unwrap());
                let model = Model { mean: 3.0, customers, movies, samples: 1, links: None, prior: None };
                Sampler::new((&matrix, &matrix), model, links, 42).unwrap()
            };
            let (with, without) = (model(true), model(false));
            assert_eq!((with.customers.link.is_some(), with.movies.link.is_some()), (true, has_link));
            assert!(without.customers.link.is_none() && without.movies.link.is_none());
        }
    }
}
