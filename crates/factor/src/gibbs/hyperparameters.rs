//! What the rows of one side have in common, the hyperparameters of a Bayesian factor model, and their samples given the rows.

use std::sync::atomic::AtomicBool;

use ndarray::{Array1, Array2, ArrayView2, s};
use rand_distr::{ChiSquared, Distribution};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use crate::error::Error;
use crate::gibbs::noise::{OF_ROWS, OF_VECTORS, gamma, normal, row_generator, shared_generator};
use crate::implicit::link::Link;
use crate::linear::dense::gram;
use crate::linear::dense_product::add_product;
use crate::linear::positive_definite::{cholesky, invert};
use crate::memory::zeros;
use crate::model::Side;
use crate::random::hash;
use crate::ratings::sparse::Sparse;
use crate::rows::Turns;

/// Rows of average size that the prior of a side's mean counts for.
const MEAN_COUNT: f64 = 2.0;
/// Twice the shape, and twice the rate, of the priors of precisions that are numbers.
pub(super) const PRECISION_COUNT: f64 = 2.0;

/// What is known of a side's rows as a whole.
pub(super) struct Hyperparameters {
    pub side: &'static str,
    /// Rows that have ratings.
    pub rows: usize,
    /// Mean of factors and bias, but for what the link expects.
    pub mean: Array1<f64>,
    /// Their precision matrix.
    pub precision: Array2<f64>,
    pub link: Option<(Link, f64)>,
}

impl Hyperparameters {
    /// A standard normal prior of `unknowns` factors and bias, to begin with.
    pub fn new(
        side: &'static str,
        rows: usize,
        unknowns: usize,
        link: Option<(Link, f64)>,
    ) -> Result<Hyperparameters, Error> {
        let mut precision: Array2<f64> = zeros((unknowns, unknowns))?;
        precision.diag_mut().fill(1.0);
        Ok(Hyperparameters { side, rows, mean: Array1::zeros(unknowns), precision, link })
    }

    /// Samples mean, precision and link, given the rows.
    pub fn sample(
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

pub(super) fn copied(matrix: &Array2<f64>) -> Result<Array2<f64>, Error> {
    let mut copy = zeros(matrix.dim())?;
    copy.assign(matrix);
    Ok(copy)
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
