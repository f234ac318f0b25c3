//! Samples of all that a Bayesian factor model consists of, each in turn, given the rest.

mod hyperparameters;
mod noise;

use std::sync::atomic::AtomicBool;

use ndarray::Array2;

use crate::error::Error;
use crate::gibbs::hyperparameters::{Hyperparameters, PRECISION_COUNT, copied};
use crate::gibbs::noise::{gamma, normal, row_generator};
use crate::implicit::link::Link;
use crate::least_squares::HalfSweep;
use crate::least_squares::packed::PackedSide;
use crate::least_squares::row::Prior;
use crate::linear::dense::{gram_memory, strengthen, strided};
use crate::memory::zeros;
use crate::model::customer_prior::CustomerPrior;
use crate::model::{Model, Side};
use crate::random::{generator, hash};
use crate::ratings::matrix::RatingMatrix;
use crate::ratings::sparse::Sparse;

/// Vectors for each row of a side up to which the side is linked. Where there are many more, they explain the rows whatever
/// these are; and as the precision of the rows is the vectors', too, it is theirs that is learned then.
const MOST_VECTORS: usize = 4;

/// The current sample.
pub(crate) struct Sampler {
    pub model: Model,
    customers: Hyperparameters,
    movies: Hyperparameters,
    packed_customers: PackedSide,
    packed_movies: PackedSide,
    /// The precision of ratings: one over their variance about what is predicted.
    precision: f64,
    seed: i64,
}

impl Sampler {
    /// Begins with a model. The links see the `interactions`: who rated what, whatever the ratings.
    pub fn new(
        (matrix, interactions): (&RatingMatrix, &RatingMatrix),
        model: Model,
        links: bool,
        seed: i64,
    ) -> Result<Sampler, Error> {
        let factors = model.movies.factors.ncols();
        let unknowns = factors + 1;
        let hyperparameters = |side, sparse: &Sparse, others: &Sparse| {
            let rows = sparse.rated_rows();
            let link = match links && others.rated_rows() <= MOST_VECTORS * rows {
                true => Some((Link::new(others.rows(), unknowns)?, 1.0)),
                false => None,
            };
            Hyperparameters::new(side, rows, unknowns, link)
        };
        let (customers, movies) = (matrix.by_customer.rows(), matrix.by_movie.rows());
        Ok(Sampler {
            customers: hyperparameters("customer", &matrix.by_customer, &interactions.by_movie)?,
            movies: hyperparameters("movie", &matrix.by_movie, &interactions.by_customer)?,
            packed_customers: PackedSide::zeros(customers, factors)?,
            packed_movies: PackedSide::zeros(movies, factors)?,
            precision: 1.0,
            model,
            seed,
        })
    }

    /// What each movie tells of the customers who rated it, factors and bias, if customers are linked.
    pub fn customers_links(&self) -> Option<&Array2<f32>> {
        self.customers.link.as_ref().map(|(link, _)| &link.vectors)
    }

    /// Writes what is expected of customers beside that into a model's prior.
    pub fn customers_prior(&self, sample: usize, prior: &mut [f32]) {
        let Hyperparameters { mean, precision, .. } = &self.customers;
        let layout = CustomerPrior::of(mean.len() - 1);
        layout.write(prior, sample, mean, precision, self.precision);
    }

    /// Bytes that one takes beside what the kernel reads.
    pub fn memory(customers: usize, movies: usize, factors: usize, links: bool) -> usize {
        let unknowns = factors + 1;
        let square = unknowns * unknowns * size_of::<f64>();
        // Of one side at a time: the rows once more, or what they differ from expectation, and what is made of them.
        let sampling = |rows: usize, others: usize| {
            let rows_memory = rows * unknowns * size_of::<f32>();
            let moments = gram_memory(rows, unknowns) + 4 * square;
            if !links {
                return rows_memory + moments;
            }
            let extra = others * unknowns * size_of::<f32>();
            let learning = extra + Link::learning(rows, others, unknowns);
            rows_memory + learning.max(moments).max(gram_memory(others, unknowns) + 2 * square)
        };
        let sides = (customers + movies) * unknowns * size_of::<f32>();
        let links = if links { Link::memory(customers + movies, unknowns) } else { 0 };
        let shared = PackedSide::stride(factors).pow(2) * size_of::<f32>();
        sides + links + 2 * square + shared + sampling(customers, movies).max(sampling(movies, customers))
    }

    /// Samples everything once; gives the sum of squared errors.
    pub fn sweep(
        &mut self,
        (matrix, interactions): (&RatingMatrix, &RatingMatrix),
        number: usize,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let Sampler { model, customers, movies, packed_customers, packed_movies, precision, seed } = self;
        let stream = |which: u64| hash(*seed as u64 ^ hash(4 * number as u64 + which));
        let (by_customer, by_movie, mean) = (&interactions.by_customer, &interactions.by_movie, model.mean);
        if number == 1 {
            let error = model.squared_error(matrix, cancelled)?;
            *precision = (PRECISION_COUNT + matrix.ratings() as f64) / (PRECISION_COUNT + error);
        }
        customers.sample((by_customer, by_movie), &model.customers, stream(0), cancelled)?;
        packed_movies.take(&mut model.movies, cancelled)?;
        let half = SideSampling { mean, precision: *precision, stream: stream(0), cancelled };
        half.sample(customers, (&matrix.by_customer, by_customer), packed_movies, &mut model.customers)?;
        movies.sample((by_movie, by_customer), &model.movies, stream(1), cancelled)?;
        packed_customers.take(&mut model.customers, cancelled)?;
        let half = SideSampling { stream: stream(1), ..half };
        half.sample(movies, (&matrix.by_movie, by_movie), packed_customers, &mut model.movies)?;
        let error = model.squared_error(matrix, cancelled)?;
        let shape = (PRECISION_COUNT + matrix.ratings() as f64) / 2.0;
        *precision = gamma(shape, (PRECISION_COUNT + error) / 2.0, &mut generator(stream(2) as i64));
        Ok(error)
    }
}

/// What the samples of a side's rows have in common.
#[derive(Clone, Copy)]
struct SideSampling<'a> {
    mean: f32,
    precision: f64,
    stream: u64,
    cancelled: &'a AtomicBool,
}

impl SideSampling<'_> {
    /// Samples every row of a side.
    fn sample(
        &self,
        hyperparameters: &Hyperparameters,
        (sparse, interactions): (&Sparse, &Sparse),
        others: &PackedSide,
        rows: &mut Side,
    ) -> Result<(), Error> {
        let SideSampling { mean, precision, stream, cancelled } = *self;
        // The kernel's equations are divided by the precision of ratings, which makes noise of it.
        let mut shared = copied(&hyperparameters.precision)?;
        // Of few rows it may be singular, as single precision sees it.
        strengthen(&mut shared);
        let shared = strided(&shared, others.stride, 1.0 / precision)?;
        let half = HalfSweep {
            side: hyperparameters.side,
            sparse,
            others,
            mean,
            precision: Some(&shared),
            steps: 0,
            cancelled,
        };
        let mut scaled: Array2<f32> = zeros(hyperparameters.precision.dim())?;
        scaled.zip_mut_with(&hyperparameters.precision, |to, &entry| *to = (entry / precision) as f32);
        let centre = hyperparameters.mean.mapv(|entry| entry as f32);
        let noise = (1.0 / precision).sqrt() as f32;
        half.solve(rows, |row, prior: &mut Prior| {
            let expected = &mut prior.noise;
            match &hyperparameters.link {
                Some((link, _)) => link.expect(interactions.row(row).0, expected),
                None => expected.fill(0.0),
            }
            expected.iter_mut().zip(&centre).for_each(|(expected, &centre)| *expected += centre);
            for (pull, weights) in prior.pull.iter_mut().zip(scaled.rows()) {
                *pull = weights.iter().zip(expected.iter()).map(|(&weight, &entry)| weight * entry).sum();
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
    fn a_side_is_linked_unless_its_partners_far_outnumber_it() {
        let go = AtomicBool::new(false);
        for (movies, is_linked) in [(3, false), (10, true)] {
            let mut list = crate::Ratings::default();
            (0..40).for_each(|customer| list.push(customer, customer % movies, 3));
            // A hundred movies and customers without ratings count for nothing.
            let matrix = RatingMatrix::new(140, 110, &list, &go).unwrap();
            let model = |links: bool| {
                let (customers, movies) = (Side::zeros(140, 2).unwrap(), Side::zeros(110, 2).unwrap());
                let model = Model { mean: 3.0, customers, movies, samples: 1, links: None, prior: None };
                Sampler::new((&matrix, &matrix), model, links, 42).unwrap()
            };
            let (with, without) = (model(true), model(false));
            assert_eq!((with.customers.link.is_some(), with.movies.link.is_some()), (true, is_linked));
            assert!(without.customers.link.is_none() && without.movies.link.is_none());
        }
    }
}
