//! Samples of all that a Bayesian factor model consists of, each in turn, given the rest.

use std::sync::atomic::AtomicBool;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand_distr::{ChiSquared, Distribution, Gamma, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use crate::dense::{cholesky, gram, inverse, strided};
use crate::error::check;
use crate::half_sweep::HalfSweep;
use crate::link::Link;
use crate::memory::zeros;
use crate::normal_equations::Prior;
use crate::packed::Packed;
use crate::split::hash;
use crate::training::generator;
use crate::{Error, Model, RatingMatrix, Side, Sparse};

/// Rows in a unit of work.
const ROWS_A_TURN: usize = 1024;
/// Rows of average size that the prior of a side's mean counts for.
const MEAN_COUNT: f64 = 2.0;
/// Twice the shape, and twice the rate, of the priors of precisions that are numbers.
const PRECISION_COUNT: f64 = 2.0;
/// The share of a precision matrix's mean diagonal that is added to its diagonal.
const RIDGE: f64 = 1e-5;

/// The current sample.
pub(crate) struct Sampler {
    pub model: Model,
    customers: Population,
    movies: Population,
    packed_customers: Packed,
    packed_movies: Packed,
    /// The precision of ratings: one over their variance about what is predicted.
    precision: f64,
    seed: i64,
}

/// What is known of a side's rows as a whole.
struct Population {
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
        let population = |side, sparse: &Sparse, others: usize| {
            let link = match links {
                true => Some((Link::new(others, unknowns)?, 1.0)),
                false => None,
            };
            let rows = (0..sparse.rows()).filter(|&row| sparse.count(row) > 0).count();
            Ok(Population {
                side,
                rows,
                mean: Array1::zeros(unknowns),
                precision: Array2::eye(unknowns),
                link,
            })
        };
        let (customers, movies) = (matrix.by_customer.rows(), matrix.by_movie.rows());
        Ok(Sampler {
            customers: population("customer", &matrix.by_customer, movies)?,
            movies: population("movie", &matrix.by_movie, customers)?,
            packed_customers: Packed::zeros(customers, factors)?,
            packed_movies: Packed::zeros(movies, factors)?,
            precision: 1.0,
            model,
            seed,
        })
    }

    /// Bytes that one takes beside what the kernel reads.
    pub fn memory(customers: usize, movies: usize, factors: usize, links: bool) -> usize {
        let unknowns = factors + 1;
        // Of one side at a time: the rows once more, and what their link learns from.
        let rows = customers.max(movies) * unknowns * size_of::<f32>();
        let links = if links {
            (customers + movies) * unknowns * size_of::<f32>()
                + rows
                + Link::memory(customers, movies, unknowns).max(Link::memory(movies, customers, unknowns))
        } else {
            0
        };
        (customers + movies) * unknowns * size_of::<f32>() + 2 * rows + links
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
        let half = Half { mean, precision: *precision, stream: stream(0), cancelled };
        half.sample(customers, by_customer, packed_movies, &mut model.customers)?;
        movies.sample((by_movie, by_customer), &model.movies, stream(1), cancelled)?;
        packed_customers.take(&mut model.customers, cancelled)?;
        let half = Half { stream: stream(1), ..half };
        half.sample(movies, by_movie, packed_customers, &mut model.movies)?;
        let error = model.squared_error(matrix, cancelled)?;
        let shape = (PRECISION_COUNT + matrix.ratings() as f64) / 2.0;
        *precision = gamma(shape, (PRECISION_COUNT + error) / 2.0, &mut generator(stream(2) as i64));
        Ok(error)
    }
}

/// What the samples of a side's rows have in common.
#[derive(Clone, Copy)]
struct Half<'a> {
    mean: f32,
    precision: f64,
    stream: u64,
    cancelled: &'a AtomicBool,
}

impl Half<'_> {
    /// Samples every row of a side.
    fn sample(
        &self,
        population: &Population,
        sparse: &Sparse,
        others: &Packed,
        rows: &mut Side,
    ) -> Result<(), Error> {
        let Half { mean, precision, stream, cancelled } = *self;
        // The kernel's equations are divided by the precision of ratings, which makes noise of it.
        let mut shared = population.precision.clone();
        // Of few rows it may be singular, as single precision sees it.
        let ridge = RIDGE * shared.diag().sum() / shared.nrows() as f64;
        shared.diag_mut().iter_mut().for_each(|entry| *entry += ridge);
        let shared = strided(&shared, others.stride, 1.0 / precision);
        let half = HalfSweep {
            side: population.side,
            sparse,
            others,
            mean,
            precision: Some(&shared),
            steps: 0,
            cancelled,
        };
        let scaled = population.precision.mapv(|entry| (entry / precision) as f32);
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

impl Population {
    /// Samples mean, precision and link, given the rows.
    fn sample(
        &mut self,
        (sparse, turned): (&Sparse, &Sparse),
        side: &Side,
        stream: u64,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let mut rng = generator(hash(stream) as i64);
        let rows = joined(side)?;
        let mut apart = joined(side)?;
        if let Some((link, _)) = &self.link {
            let chunks = apart.axis_chunks_iter_mut(Axis(0), ROWS_A_TURN).into_par_iter().enumerate();
            chunks.try_for_each_init(
                || vec![0.0; link.vectors.ncols()],
                |expected, (chunk, mut rows)| {
                    check(cancelled)?;
                    for (row, mut entries) in rows.rows_mut().into_iter().enumerate() {
                        link.expect(sparse.row(chunk * ROWS_A_TURN + row).0, expected);
                        entries.iter_mut().zip(&*expected).for_each(|(entry, &expected)| *entry -= expected);
                    }
                    Ok(())
                },
            )?;
        }
        self.sample_moments(apart.view(), &mut rng, cancelled)?;
        drop(apart);
        self.sample_link((sparse, turned), rows, stream, &mut rng, cancelled)
    }

    /// Normal-Wishart, given what the rows differ from expectation.
    fn sample_moments(
        &mut self,
        apart: ArrayView2<'_, f32>,
        rng: &mut Xoshiro256PlusPlus,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let unknowns = apart.ncols();
        let count = self.rows as f64;
        // Rows without ratings are zeros: they add nothing but to the count.
        let mean = apart.mapv(f64::from).sum_axis(Axis(0)) / count;
        let column = mean.view().insert_axis(Axis(1));
        let outer = column.dot(&column.t());
        let mut scale = Array2::eye(unknowns) + gram(apart, cancelled)?;
        scale = scale - &outer * count + &outer * (MEAN_COUNT * count / (MEAN_COUNT + count));
        let mut freedom = unknowns as f64 + count;
        if let Some((link, regularization)) = &self.link {
            scale = scale + gram(link.vectors.view(), cancelled)? * *regularization;
            freedom += link.vectors.nrows() as f64;
        }
        let failed = || Error::NoConvergence;
        let lower = inverse(&scale).as_ref().and_then(cholesky).ok_or_else(failed)?;
        // Bartlett's decomposition of a Wishart matrix.
        let mut triangle = Array2::zeros((unknowns, unknowns));
        for row in 0..unknowns {
            for column in 0..row {
                triangle[(row, column)] = f64::from(normal(rng));
            }
            let squares = ChiSquared::new(freedom - row as f64).map_err(|_| failed())?;
            triangle[(row, row)] = squares.sample(rng).sqrt();
        }
        let root = lower.dot(&triangle);
        self.precision = root.dot(&root.t());
        let spread = inverse(&self.precision).as_ref().and_then(cholesky).ok_or_else(failed)?;
        let noise = Array1::from_shape_fn(unknowns, |_| f64::from(normal(rng)));
        let shrunk = &mean * (count / (MEAN_COUNT + count));
        self.mean = shrunk + spread.dot(&noise) / (MEAN_COUNT + count).sqrt();
        Ok(())
    }

    /// The link's vectors and their precision, given the rest: the regression of the rows and noise, with noise added.
    fn sample_link(
        &mut self,
        (sparse, turned): (&Sparse, &Sparse),
        mut rows: Array2<f32>,
        stream: u64,
        rng: &mut Xoshiro256PlusPlus,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let Some((link, regularization)) = &mut self.link else { return Ok(()) };
        let failed = || Error::NoConvergence;
        let spread = inverse(&self.precision).as_ref().and_then(cholesky).ok_or_else(failed)?;
        let spread = spread.t().mapv(|entry| entry as f32);
        let scatter = |to: &mut Array2<f32>, scale: f32, stream: u64| {
            let chunks = to.axis_chunks_iter_mut(Axis(0), ROWS_A_TURN).into_par_iter().enumerate();
            chunks.try_for_each(|(chunk, mut rows)| {
                check(cancelled)?;
                let mut noise = Array2::<f32>::zeros(rows.dim());
                for (row, mut entries) in noise.rows_mut().into_iter().enumerate() {
                    let mut rng = row_generator(stream, chunk * ROWS_A_TURN + row);
                    entries.iter_mut().for_each(|entry| *entry = scale * normal(&mut rng));
                }
                rows += &noise.dot(&spread);
                Ok::<_, Error>(())
            })
        };
        let mean = self.mean.mapv(|entry| entry as f32);
        rows.axis_iter_mut(Axis(0)).for_each(|mut row| row -= &mean);
        scatter(&mut rows, 1.0, hash(stream ^ 1))?;
        let mut extra = zeros(link.vectors.dim())?;
        scatter(&mut extra, regularization.sqrt() as f32, hash(stream ^ 2))?;
        link.learn((sparse, turned), rows.view(), *regularization, Some(extra.view()), cancelled)?;
        let (vectors, unknowns) = link.vectors.dim();
        let squares = (gram(link.vectors.view(), cancelled)? * &self.precision).sum();
        let shape = (PRECISION_COUNT + (vectors * unknowns) as f64) / 2.0;
        *regularization = gamma(shape, (PRECISION_COUNT + squares) / 2.0, rng);
        Ok(())
    }
}

/// Factors and bias of each row, as one.
fn joined(side: &Side) -> Result<Array2<f32>, Error> {
    let (rows, factors) = side.factors.dim();
    let mut joined = zeros((rows, factors + 1))?;
    joined.slice_mut(ndarray::s![.., ..factors]).assign(&side.factors);
    joined.column_mut(factors).assign(&side.biases);
    Ok(joined)
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
