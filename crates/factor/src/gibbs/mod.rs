//! Samples of all that a Bayesian factor model consists of, each in turn, given the rest.

use std::sync::atomic::AtomicBool;

use ndarray::{Array1, Array2, ArrayView2, s};
use rand_distr::{ChiSquared, Distribution, Gamma, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use crate::error::Error;
use crate::implicit::link::Link;
use crate::least_squares::HalfSweep;
use crate::least_squares::packed::PackedSide;
use crate::least_squares::row::Prior;
use crate::linear::dense::{gram, gram_memory, strengthen, strided};
use crate::linear::dense_product::add_product;
use crate::linear::positive_definite::{cholesky, invert};
use crate::memory::zeros;
use crate::model::customer_prior::CustomerPrior;
use crate::model::{Model, Side};
use crate::random::{generator, hash};
use crate::ratings::matrix::RatingMatrix;
use crate::ratings::sparse::Sparse;
use crate::rows::Turns;

/// Rows of average size that the prior of a side's mean counts for.
const MEAN_COUNT: f64 = 2.0;
/// Twice the shape, and twice the rate, of the priors of precisions that are numbers.
const PRECISION_COUNT: f64 = 2.0;

/// Vectors for each row of a side up to which the side is linked. Where there are many more, they explain the rows whatever
/// these are; and as the precision of the rows is the vectors', too, it is theirs that is learned then.
const MOST_VECTORS: usize = 4;

/// What a side's stream of random numbers is turned by for those that are not of a row's own noise: two of the same begin
/// alike.
const SHARED: u64 = 3;
const OF_ROWS: u64 = 1;
const OF_VECTORS: u64 = 2;

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

/// What is known of a side's rows as a whole.
struct Hyperparameters {
    side: &'static str,
    /// Rows that have ratings.
    rows: usize,
    /// Mean of factors and bias, but for what the link expects.
    mean: Array1<f64>,
    /// Their precision matrix.
    precision: Array2<f64>,
    link: Option<(Link, f64)>,
}

impl Sampler {
    /// Begins with a model.
    pub fn new(matrix: &RatingMatrix, model: Model, links: bool, seed: i64) -> Result<Sampler, Error> {
        let factors = model.movies.factors.ncols();
        let unknowns = factors + 1;
        let rated = |sparse: &Sparse| (0..sparse.rows()).filter(|&row| sparse.count(row) > 0).count();
        let (rated_customers, rated_movies) = (rated(&matrix.by_customer), rated(&matrix.by_movie));
        let population = |side, rows: usize, others: &Sparse, rated_others: usize| {
            let link = match links && rated_others <= MOST_VECTORS * rows {
                true => Some((Link::new(others.rows(), unknowns)?, 1.0)),
                false => None,
            };
            Ok(Hyperparameters { side, rows, mean: Array1::zeros(unknowns), precision: eye(unknowns)?, link })
        };
        let (customers, movies) = (matrix.by_customer.rows(), matrix.by_movie.rows());
        Ok(Sampler {
            customers: population("customer", rated_customers, &matrix.by_movie, rated_movies)?,
            movies: population("movie", rated_movies, &matrix.by_customer, rated_customers)?,
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
        matrix: &RatingMatrix,
        number: usize,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let Sampler { model, customers, movies, packed_customers, packed_movies, precision, seed } = self;
        let stream = |which: u64| hash(*seed as u64 ^ hash(4 * number as u64 + which));
        let (by_customer, by_movie, mean) = (&matrix.by_customer, &matrix.by_movie, model.mean);
        if number == 1 {
            let error = model.squared_error(matrix, cancelled)?;
            *precision = (PRECISION_COUNT + matrix.ratings() as f64) / (PRECISION_COUNT + error);
        }
        customers.sample((by_customer, by_movie), &model.customers, stream(0), cancelled)?;
        packed_movies.take(&mut model.movies, cancelled)?;
        let half = SideSampling { mean, precision: *precision, stream: stream(0), cancelled };
        half.sample(customers, by_customer, packed_movies, &mut model.customers)?;
        movies.sample((by_movie, by_customer), &model.movies, stream(1), cancelled)?;
        packed_customers.take(&mut model.customers, cancelled)?;
        let half = SideSampling { stream: stream(1), ..half };
        half.sample(movies, by_movie, packed_customers, &mut model.movies)?;
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
        population: &Hyperparameters,
        sparse: &Sparse,
        others: &PackedSide,
        rows: &mut Side,
    ) -> Result<(), Error> {
        let SideSampling { mean, precision, stream, cancelled } = *self;
        // The kernel's equations are divided by the precision of ratings, which makes noise of it.
        let mut shared = copied(&population.precision)?;
        // Of few rows it may be singular, as single precision sees it.
        strengthen(&mut shared);
        let shared = strided(&shared, others.stride, 1.0 / precision)?;
        let half = HalfSweep {
            side: population.side,
            sparse,
            others,
            mean,
            precision: Some(&shared),
            steps: 0,
            cancelled,
        };
        let mut scaled: Array2<f32> = zeros(population.precision.dim())?;
        scaled.zip_mut_with(&population.precision, |to, &entry| *to = (entry / precision) as f32);
        let centre = population.mean.mapv(|entry| entry as f32);
        let noise = (1.0 / precision).sqrt() as f32;
        half.solve(rows, |row, prior: &mut Prior| {
            let expected = &mut prior.noise;
            match &population.link {
                Some((link, _)) => link.expect(sparse.row(row).0, expected),
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

impl Hyperparameters {
    /// Samples mean, precision and link, given the rows.
    fn sample(
        &mut self,
        (sparse, transpose): (&Sparse, &Sparse),
        side: &Side,
        stream: u64,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let mut rng = shared_generator(stream);
        let mut rows = zeros((side.factors.nrows(), side.factors.ncols() + 1))?;
        let turns = Turns::of_length(rows.ncols());
        join(side, &mut rows, cancelled)?;
        if let Some((link, _)) = &self.link {
            turns.visit(turns.of_mut(&mut rows), cancelled, |from, mut rows| {
                let mut expected = vec![0.0; link.vectors.ncols()];
                for (row, mut entries) in (from..).zip(rows.rows_mut()) {
                    link.expect(sparse.row(row).0, &mut expected);
                    entries.iter_mut().zip(&expected).for_each(|(entry, &expected)| *entry -= expected);
                }
                Ok(())
            })?;
        }
        self.sample_moments(rows.view(), &mut rng, cancelled)?;
        if self.link.is_some() {
            join(side, &mut rows, cancelled)?;
            self.sample_link((sparse, transpose), rows, stream, &mut rng, cancelled)?;
        }
        Ok(())
    }

    /// Normal-Wishart, given what the rows differ from expectation.
    fn sample_moments(
        &mut self,
        differences: ArrayView2<'_, f32>,
        rng: &mut Xoshiro256PlusPlus,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let unknowns = differences.ncols();
        let count = self.rows as f64;
        // Rows without ratings are zeros: they add nothing but to the count.
        let turns = Turns::of_length(unknowns);
        let mut mean = turns.sum_columns(differences.dim(), cancelled, |sums, rows| {
            for row in differences.slice(s![rows, ..]).rows() {
                sums.iter_mut().zip(row).for_each(|(sum, &entry)| *sum += f64::from(entry));
            }
        })?;
        mean.iter_mut().for_each(|sum| *sum /= count);
        let mut scale = gram(differences, cancelled)?;
        let outer = MEAN_COUNT * count / (MEAN_COUNT + count) - count;
        for ((row, column), entry) in scale.indexed_iter_mut() {
            *entry += outer * mean[row] * mean[column] + if row == column { 1.0 } else { 0.0 };
        }
        let mut freedom = unknowns as f64 + count;
        if let Some((link, regularization)) = &self.link {
            let products = gram(link.vectors.view(), cancelled)?;
            scale.zip_mut_with(&products, |entry, product| *entry += regularization * product);
            freedom += link.vectors.nrows() as f64;
        }
        let lower = root_of_inverse(scale, cancelled)?;
        // Bartlett's decomposition of a Wishart matrix.
        let mut triangle = zeros((unknowns, unknowns))?;
        for row in 0..unknowns {
            for column in 0..row {
                triangle[(row, column)] = f64::from(normal(rng));
            }
            let squares = ChiSquared::new(freedom - row as f64).map_err(|_| Error::NoConvergence)?;
            triangle[(row, row)] = squares.sample(rng).sqrt();
        }
        let mut root: Array2<f64> = zeros((unknowns, unknowns))?;
        add_product(1.0, lower.view(), triangle.view(), root.view_mut());
        // Its transpose, in the place of what it was made of.
        triangle.assign(&root.t());
        self.precision.fill(0.0);
        add_product(1.0, root.view(), triangle.view(), self.precision.view_mut());
        let spread = root_of_inverse(copied(&self.precision)?, cancelled)?;
        let noise = Array1::from_shape_fn(unknowns, |_| f64::from(normal(rng)));
        let shrink = count / (MEAN_COUNT + count);
        for ((to, mean), weights) in self.mean.iter_mut().zip(&mean).zip(spread.rows()) {
            let noise = weights.iter().zip(&noise).map(|(weight, noise)| weight * noise).sum::<f64>();
            *to = mean * shrink + noise / (MEAN_COUNT + count).sqrt();
        }
        Ok(())
    }

    /// The link's vectors and their precision, given the rest: the regression of the rows and noise, with noise added.
    fn sample_link(
        &mut self,
        sides: (&Sparse, &Sparse),
        mut rows: Array2<f32>,
        stream: u64,
        rng: &mut Xoshiro256PlusPlus,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let Some((link, regularization)) = &mut self.link else { return Ok(()) };
        let lower = root_of_inverse(copied(&self.precision)?, cancelled)?;
        let mut spread: Array2<f32> = zeros(lower.dim())?;
        spread.zip_mut_with(&lower.t(), |to, &entry| *to = entry as f32);
        let mean = self.mean.mapv(|entry| entry as f32);
        let scatter = |to: &mut Array2<f32>, centre: Option<&Array1<f32>>, scale: f32, stream: u64| {
            let turns = Turns::of_products(spread.dim());
            turns.visit(turns.of_mut(to), cancelled, |from, mut rows| {
                let mut noise = zeros(rows.dim())?;
                for (row, mut entries) in (from..).zip(noise.rows_mut()) {
                    let mut rng = row_generator(stream, row);
                    entries.iter_mut().for_each(|entry| *entry = scale * normal(&mut rng));
                }
                if let Some(centre) = centre {
                    rows.rows_mut().into_iter().for_each(|mut row| row -= centre);
                }
                add_product(1.0, noise.view(), spread.view(), rows);
                Ok(())
            })
        };
        scatter(&mut rows, Some(&mean), 1.0, hash(stream ^ OF_ROWS))?;
        let mut extra = zeros(link.vectors.dim())?;
        scatter(&mut extra, None, regularization.sqrt() as f32, hash(stream ^ OF_VECTORS))?;
        link.learn(sides, rows.view(), |_| 1.0, *regularization, Some(extra.view()), cancelled)?;
        let (vectors, unknowns) = link.vectors.dim();
        let products = gram(link.vectors.view(), cancelled)?;
        let squares =
            products.iter().zip(&self.precision).map(|(product, entry)| product * entry).sum::<f64>();
        let shape = (PRECISION_COUNT + (vectors * unknowns) as f64) / 2.0;
        *regularization = gamma(shape, (PRECISION_COUNT + squares) / 2.0, rng);
        Ok(())
    }
}

/// L of the inverse `LLᵀ` of a symmetric positive definite matrix.
fn root_of_inverse(mut matrix: Array2<f64>, cancelled: &AtomicBool) -> Result<Array2<f64>, Error> {
    if !invert(&mut matrix, cancelled)? {
        return Err(Error::NoConvergence);
    }
    cholesky(matrix.view(), cancelled)?.ok_or(Error::NoConvergence)
}

fn copied(matrix: &Array2<f64>) -> Result<Array2<f64>, Error> {
    let mut copy = zeros(matrix.dim())?;
    copy.assign(matrix);
    Ok(copy)
}

fn eye(size: usize) -> Result<Array2<f64>, Error> {
    let mut eye: Array2<f64> = zeros((size, size))?;
    eye.diag_mut().fill(1.0);
    Ok(eye)
}

/// Writes each row's factors and bias, as one.
fn join(side: &Side, rows: &mut Array2<f32>, cancelled: &AtomicBool) -> Result<(), Error> {
    let factors = side.factors.ncols();
    let turns = Turns::of_length(factors + 1);
    let sides = turns.of(&side.factors).zip(turns.of(&side.biases));
    turns.visit(turns.of_mut(rows).zip(sides), cancelled, |_, (mut rows, (vectors, biases))| {
        rows.slice_mut(s![.., ..factors]).assign(&vectors);
        rows.column_mut(factors).assign(&biases);
        Ok(())
    })
}

/// A generator of what a side's rows have in common, which no row's own begins like.
fn shared_generator(stream: u64) -> Xoshiro256PlusPlus {
    row_generator(hash(stream ^ SHARED), 0)
}

/// A generator of a row's own, so that it is the same whichever thread comes to it.
fn row_generator(stream: u64, row: usize) -> Xoshiro256PlusPlus {
    generator(hash(stream.wrapping_add(row as u64)) as i64)
}

fn normal(rng: &mut Xoshiro256PlusPlus) -> f32 {
    StandardNormal.sample(rng)
}

/// A number of the gamma distribution of this shape and rate, which are positive; their quotient where they are no numbers.
fn gamma(shape: f64, rate: f64, rng: &mut Xoshiro256PlusPlus) -> f64 {
    Gamma::new(shape, 1.0 / rate).map_or(shape / rate, |gamma| gamma.sample(rng))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

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
                Sampler::new(&matrix, model, links, 42).unwrap()
            };
            let (with, without) = (model(true), model(false));
            assert_eq!((with.customers.link.is_some(), with.movies.link.is_some()), (true, is_linked));
            assert!(without.customers.link.is_none() && without.movies.link.is_none());
        }
    }

    #[test]
    fn no_random_numbers_are_used_twice() {
        for stream in [0, 4, 5, hash(7), u64::MAX] {
            let shared = shared_generator(stream).next_u64();
            for row in 0..1000 {
                for of in [stream, hash(stream ^ OF_ROWS), hash(stream ^ OF_VECTORS)] {
                    assert_ne!(row_generator(of, row).next_u64(), shared, "{stream} {row}");
                }
            }
        }
    }
}
