//! Stochastic gradient descent in parallel: strata of ratings that can be learned from at the same time.
//!
//! Customers and movies are divided into [`RANGES`] ranges each. An epoch has as many strata. Stratum `s` is the blocks of
//! ratings of customer range `i` and movie range `(i + s) mod RANGES`, for all `i`. No two blocks of a stratum have a customer
//! or a movie in common, so that threads can learn from them at the same time (Gemulla, Nijkamp, Haas and Sismanis 2011,
//! "Large-scale matrix factorization with distributed stochastic gradient descent"). The number of ranges does not depend on
//! the number of threads, and neither do the bits of the result.

pub(crate) mod kernel;

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use ndarray::{ArrayViewMut1, ArrayViewMut2};
use rayon::prelude::*;

use crate::descent::kernel::{
    CUSTOMER_BIAS, FIRST_FACTOR, MOVIE_BIAS, RatingBlock, RowRange, StepParams, descend, stride,
};
use crate::error::Error;
use crate::memory::{Aligned, try_vec};
use crate::model::{Model, Side};
use crate::ratings::matrix::RatingMatrix;
use crate::ratings::sparse::Sparse;
use crate::rows::RowChunks;
use crate::simd::InstructionSet;

/// Ranges of each side, and therefore the most threads that can work at the same time. At 50 factors, the rows of a sixteenth
/// of the Prize's movies fill half of a second-level cache of 512 KB.
pub(crate) const RANGES: usize = 16;

/// Rows of both sides in the layout of the kernel, divided into ranges.
pub(crate) struct Strata<'a> {
    by_customer: &'a Sparse,
    customers: SideRanges,
    movies: SideRanges,
    /// For each customer, how many of its ratings are of movies before the movie range that comes next.
    cursors: Vec<u32>,
}

impl<'a> Strata<'a> {
    /// Copies the factors and biases of a model, which has the shape of the matrix. A row of `n` ratings is regularised as if it
    /// had `n + prior_count` ratings.
    pub fn new(
        matrix: &'a RatingMatrix,
        model: &Model,
        prior_count: f64,
        cancelled: &AtomicBool,
    ) -> Result<Strata<'a>, Error> {
        let RatingMatrix { by_customer, by_movie, .. } = matrix;
        let customers =
            SideRanges::new(by_customer, &model.customers, CUSTOMER_BIAS, prior_count, cancelled)?;
        let movies = SideRanges::new(by_movie, &model.movies, MOVIE_BIAS, prior_count, cancelled)?;
        let mut cursors: Vec<u32> = try_vec(by_customer.rows())?;
        let chunks = RowChunks::of_length(1);
        chunks.for_each(chunks.split_slice_mut(&mut cursors, 1), cancelled, |from, cursors| {
            for (customer, cursor) in (from..).zip(cursors) {
                // In the first stratum, the customers of range i meet the movies of range i.
                let range = customers.ranges.partition_point(|range| range.end <= customer);
                let (columns, _) = by_customer.row(customer);
                let start = movies.ranges[range].start;
                *cursor = columns.partition_point(|&movie| (movie as usize) < start) as u32;
            }
            Ok(())
        })?;
        Ok(Strata { by_customer, customers, movies, cursors })
    }

    /// Bytes that the strata of a model take.
    pub fn memory(customers: usize, movies: usize, factors: usize) -> usize {
        let row = (stride(factors) + 1) * size_of::<f32>();
        (customers + movies) * row + customers * size_of::<u32>()
    }

    /// Makes one step for each rating. Returns the sum of squared errors, each as it was before its step.
    pub fn epoch(
        &mut self,
        instructions: InstructionSet,
        params: StepParams,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let by_customer = self.by_customer;
        let mut cursors = &mut self.cursors[..];
        let customers = self.customers.ranges_mut(params.factors).into_iter().map(|rows| {
            let (range_cursors, later) = std::mem::take(&mut cursors).split_at_mut(rows.range.len());
            cursors = later;
            (rows, range_cursors)
        });
        let mut customers = customers.collect::<Vec<_>>();
        let mut movies = self.movies.ranges_mut(params.factors);
        let mut sum = 0.0;
        for _ in 0..RANGES {
            let blocks = customers.par_iter_mut().zip(&mut movies).with_max_len(1);
            let errors = blocks.map(|((customers, cursors), movies)| {
                if movies.range.start == 0 {
                    cursors.fill(0);
                }
                let block = RatingBlock { by_customer, customers, movies, cursors, cancelled };
                descend(instructions, block, &params)
            });
            // Added in the order of blocks, on any number of threads.
            for error in errors.collect::<Vec<Result<f64, Error>>>() {
                sum += error?;
            }
            movies.rotate_left(1);
        }
        Ok(sum)
    }

    /// Copies factors and biases into a model of the same shape. Returns whether all of them are finite.
    pub fn copy_to(&self, model: &mut Model, cancelled: &AtomicBool) -> Result<bool, Error> {
        let customers = self.customers.copy_to(&mut model.customers, CUSTOMER_BIAS, cancelled)?;
        let movies = self.movies.copy_to(&mut model.movies, MOVIE_BIAS, cancelled)?;
        Ok(customers && movies)
    }
}

/// One side's rows in [`RANGES`] ranges, each with about as many ratings. Ranges may be empty.
struct SideRanges {
    ranges: Vec<Range<usize>>,
    /// [`stride`] values for each row.
    rows: Aligned<f32>,
    /// What λ is multiplied by, for each row: `(n + prior_count) / n`, because λ is applied once for each of the row's n ratings.
    weights: Vec<f32>,
}

impl SideRanges {
    fn new(
        sparse: &Sparse,
        side: &Side,
        bias: usize,
        prior_count: f64,
        cancelled: &AtomicBool,
    ) -> Result<SideRanges, Error> {
        let stride = stride(side.factors.ncols());
        let (mut rows, mut weights) =
            (Aligned::zeros(sparse.rows() * stride)?, try_vec::<f32>(sparse.rows())?);
        let chunks = RowChunks::of_length(stride);
        let to = chunks.split_slice_mut(&mut rows, stride).zip(chunks.split_slice_mut(&mut weights, 1));
        let from = chunks.split(&side.factors).zip(chunks.split(&side.biases));
        chunks.for_each(to.zip(from), cancelled, |first, ((rows, weights), (vectors, biases))| {
            let to = rows.chunks_exact_mut(stride).zip(weights);
            for (row, ((to, weight), (vector, &value))) in
                (first..).zip(to.zip(vectors.rows().into_iter().zip(biases)))
            {
                (to[FIRST_FACTOR - 1 - bias], to[bias]) = (1.0, value);
                to[FIRST_FACTOR..].iter_mut().zip(vector).for_each(|(to, &factor)| *to = factor);
                *weight = (1.0 + prior_count / sparse.count(row).max(1) as f64) as f32;
            }
            Ok(())
        })?;
        let mut ranges = sparse.blocks(sparse.ratings().div_ceil(RANGES))?;
        // If there is one range more than wanted, it holds only rows without ratings, and the last range takes them.
        ranges.resize(RANGES, sparse.rows()..sparse.rows());
        if let Some(last) = ranges.last_mut() {
            last.end = sparse.rows();
        }
        Ok(SideRanges { ranges, rows, weights })
    }

    /// The rows of each range, so that several threads can write to them at the same time.
    fn ranges_mut(&mut self, factors: usize) -> Vec<RowRange<'_>> {
        let (mut rows, mut weights) = (&mut self.rows[..], &self.weights[..]);
        let ranges = self.ranges.iter().map(|range| {
            let (range_rows, later) = std::mem::take(&mut rows).split_at_mut(range.len() * stride(factors));
            let (range_weights, later_weights) = weights.split_at(range.len());
            (rows, weights) = (later, later_weights);
            RowRange { range: range.clone(), rows: range_rows, weights: range_weights }
        });
        ranges.collect()
    }

    /// Copies factors and biases into a side of the same shape. Returns whether all of them are finite.
    fn copy_to(&self, side: &mut Side, bias: usize, cancelled: &AtomicBool) -> Result<bool, Error> {
        let stride = stride(side.factors.ncols());
        let chunks = RowChunks::of_length(stride);
        let sides = chunks.split_mut(&mut side.factors).zip(chunks.split_mut(&mut side.biases));
        let copy = |_,
                    (rows, (mut vectors, mut biases)): (
            &[f32],
            (ArrayViewMut2<'_, f32>, ArrayViewMut1<'_, f32>),
        )| {
            let mut is_finite = true;
            for ((row, mut vector), to) in rows.chunks_exact(stride).zip(vectors.rows_mut()).zip(&mut biases)
            {
                *to = row[bias];
                vector.iter_mut().zip(&row[FIRST_FACTOR..]).for_each(|(to, &factor)| *to = factor);
                is_finite &= to.is_finite() && vector.iter().all(|factor| factor.is_finite());
            }
            is_finite
        };
        let rows = chunks.split_slice(&self.rows, stride).zip(sides);
        chunks.reduce(rows, cancelled, || true, copy, |a, b| a & b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratings::Ratings;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_epoch_learns_from_each_rating_once(
            ratings in prop::collection::btree_map((0u32..60, 0u32..50), 1u8..=5, 1..600),
            customers in 60usize..80, movies in 50usize..70,
        ) {
            let mut list = Ratings::default();
            ratings.iter().for_each(|(&(customer, movie), &rating)| list.push(customer, movie, rating));
            let go = AtomicBool::new(false);
            let matrix = RatingMatrix::new(customers, movies, &list, &go).unwrap();
            let zeros = |rows| Side::zeros(rows, 3).unwrap();
            let mut model = Model { mean: 3.0, customers: zeros(customers), movies: zeros(movies), samples: 1, links: None, prior: None };
            let mut strata = Strata::new(&matrix, &model, 0.0, &go).unwrap();
            // A learning rate of 0 leaves all errors as they are.
            let params =
                StepParams { factors: 3, mean: 3.0, learning_rate: 0.0, regularization: 0.1, bias_regularization: 0.1 };
            let expected = ratings.values().map(|&value| (f64::from(value) - 3.0).powi(2)).sum::<f64>();
            for _ in 0..3 {
                prop_assert_eq!(strata.epoch(InstructionSet::Portable, params, &go), Ok(expected));
            }
            for (sparse, side) in [(&matrix.by_customer, &strata.customers), (&matrix.by_movie, &strata.movies)] {
                prop_assert_eq!(side.ranges.len(), RANGES);
                let count = side.ranges.iter().cloned().flatten().map(|row| sparse.count(row)).sum::<usize>();
                prop_assert_eq!(count, ratings.len());
            }
            prop_assert_eq!(strata.copy_to(&mut model, &go), Ok(true));
            prop_assert!(model.customers.factors.iter().chain(&model.movies.biases).all(|&value| value == 0.0));
        }
    }
}
