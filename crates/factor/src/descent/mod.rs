//! Ratings in strata: which of them can be learned from at the same time.
//!
//! Customers and movies are divided into ranges, as many of each. Stratum `s` of an epoch is the blocks of customers `i`
//! and movies `i + s`, counted round: no two of them have a customer or a movie in common, so that it makes no difference
//! which is learned from first (Gemulla, Nijkamp, Haas and Sismanis 2011, "Large-scale matrix factorization with
//! distributed stochastic gradient descent"). How many ranges there are never depends on the threads, and so neither do
//! the bits that come out.

pub(crate) mod kernel;

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use ndarray::{ArrayViewMut1, ArrayViewMut2};
use rayon::prelude::*;

use crate::descent::kernel::{CUSTOMER_BIAS, HEAD, MOVIE_BIAS, Pace, RatingBlock, RowRange, descend, stride};
use crate::error::Error;
use crate::memory::{Aligned, try_vec};
use crate::model::{Model, Side};
use crate::ratings::matrix::RatingMatrix;
use crate::ratings::sparse::Sparse;
use crate::rows::Turns;
use crate::simd::InstructionSet;

/// Ranges of each side, and so the most threads that are of use. At 50 factors, the rows of a sixteenth of the Prize's
/// movies fill half of a second-level cache of 512 KB.
pub(crate) const RANGES: usize = 16;

/// What is learned of a matrix, as the kernel reads it.
pub(crate) struct Strata<'a> {
    by_customer: &'a Sparse,
    customers: Divided,
    movies: Divided,
    /// How many of its ratings each customer has before those of the range that comes next.
    cursors: Vec<u32>,
}

impl<'a> Strata<'a> {
    /// Begins with a model of as many rows. λ counts for a row of n ratings as if it had `prior` more.
    pub fn new(
        matrix: &'a RatingMatrix,
        model: &Model,
        prior: f64,
        cancelled: &AtomicBool,
    ) -> Result<Strata<'a>, Error> {
        let RatingMatrix { by_customer, by_movie, .. } = matrix;
        let customers = Divided::new(by_customer, &model.customers, CUSTOMER_BIAS, prior, cancelled)?;
        let movies = Divided::new(by_movie, &model.movies, MOVIE_BIAS, prior, cancelled)?;
        let mut cursors: Vec<u32> = try_vec(by_customer.rows())?;
        let turns = Turns::of_length(1);
        turns.visit(turns.of_slice_mut(&mut cursors, 1), cancelled, |from, cursors| {
            for (customer, cursor) in (from..).zip(cursors) {
                let range = customers.ranges.partition_point(|range| range.end <= customer);
                let (numbers, _) = by_customer.row(customer);
                let start = movies.ranges[range].start;
                *cursor = numbers.partition_point(|&number| (number as usize) < start) as u32;
            }
            Ok(())
        })?;
        Ok(Strata { by_customer, customers, movies, cursors })
    }

    /// Bytes that one takes.
    pub fn memory(customers: usize, movies: usize, factors: usize) -> usize {
        let row = (stride(factors) + 1) * size_of::<f32>();
        (customers + movies) * row + customers * size_of::<u32>()
    }

    /// Learns from all ratings, once; gives the sum of the squared errors, each as it was before its rating was learned
    /// from.
    pub fn epoch(
        &mut self,
        instructions: InstructionSet,
        pace: Pace,
        cancelled: &AtomicBool,
    ) -> Result<f64, Error> {
        let by_customer = self.by_customer;
        let mut cursors = &mut self.cursors[..];
        let customers = self.customers.parts(pace.factors).into_iter().map(|rows| {
            let (these, later) = std::mem::take(&mut cursors).split_at_mut(rows.range.len());
            cursors = later;
            (rows, these)
        });
        let mut customers = customers.collect::<Vec<_>>();
        let mut movies = self.movies.parts(pace.factors);
        let mut sum = 0.0;
        for _ in 0..RANGES {
            let blocks = customers.par_iter_mut().zip(&mut movies).with_max_len(1);
            let errors = blocks.map(|((customers, cursors), movies)| {
                if movies.range.start == 0 {
                    cursors.fill(0);
                }
                descend(
                    instructions,
                    RatingBlock { by_customer, customers, movies, cursors },
                    pace,
                    cancelled,
                )
            });
            // Summed up in the blocks' order, which no number of threads changes.
            for error in errors.collect::<Vec<Result<f64, Error>>>() {
                sum += error?;
            }
            movies.rotate_left(1);
        }
        Ok(sum)
    }

    /// Copies what was learned into a model of as many rows; says whether all of it is finite.
    pub fn give(&self, model: &mut Model, cancelled: &AtomicBool) -> Result<bool, Error> {
        let customers = self.customers.give(&mut model.customers, CUSTOMER_BIAS, cancelled)?;
        let movies = self.movies.give(&mut model.movies, MOVIE_BIAS, cancelled)?;
        Ok(customers && movies)
    }
}

/// One side's rows in [`RANGES`] ranges of about as many ratings, or of none.
struct Divided {
    ranges: Vec<Range<usize>>,
    rows: Aligned<f32>,
    /// By what λ is multiplied for each row, once a rating.
    weights: Vec<f32>,
}

impl Divided {
    fn new(
        sparse: &Sparse,
        side: &Side,
        bias: usize,
        prior: f64,
        cancelled: &AtomicBool,
    ) -> Result<Divided, Error> {
        let stride = stride(side.factors.ncols());
        let (mut rows, mut weights) =
            (Aligned::zeros(sparse.rows() * stride)?, try_vec::<f32>(sparse.rows())?);
        let turns = Turns::of_length(stride);
        let to = turns.of_slice_mut(&mut rows, stride).zip(turns.of_slice_mut(&mut weights, 1));
        let from = turns.of(&side.factors).zip(turns.of(&side.biases));
        turns.visit(to.zip(from), cancelled, |first, ((rows, weights), (vectors, biases))| {
            let to = rows.chunks_exact_mut(stride).zip(weights);
            for (row, ((to, weight), (vector, &of_side))) in
                (first..).zip(to.zip(vectors.rows().into_iter().zip(biases)))
            {
                (to[HEAD - 1 - bias], to[bias]) = (1.0, of_side);
                to[HEAD..].iter_mut().zip(vector).for_each(|(to, &factor)| *to = factor);
                *weight = (1.0 + prior / sparse.count(row).max(1) as f64) as f32;
            }
            Ok(())
        })?;
        let mut ranges = sparse.blocks(sparse.ratings().div_ceil(RANGES))?;
        // One more than wanted holds rows without ratings, behind all that have any.
        ranges.resize(RANGES, sparse.rows()..sparse.rows());
        if let Some(last) = ranges.last_mut() {
            last.end = sparse.rows();
        }
        Ok(Divided { ranges, rows, weights })
    }

    /// The ranges' rows, to be written to at the same time.
    fn parts(&mut self, factors: usize) -> Vec<RowRange<'_>> {
        let (mut rows, mut weights) = (&mut self.rows[..], &self.weights[..]);
        let parts = self.ranges.iter().map(|range| {
            let (these, later) = std::mem::take(&mut rows).split_at_mut(range.len() * stride(factors));
            let (their_weights, later_weights) = weights.split_at(range.len());
            (rows, weights) = (later, later_weights);
            RowRange { range: range.clone(), rows: these, weights: their_weights }
        });
        parts.collect()
    }

    fn give(&self, side: &mut Side, bias: usize, cancelled: &AtomicBool) -> Result<bool, Error> {
        let stride = stride(side.factors.ncols());
        let turns = Turns::of_length(stride);
        let sides = turns.of_mut(&mut side.factors).zip(turns.of_mut(&mut side.biases));
        let give = |_,
                    (rows, (mut vectors, mut biases)): (
            &[f32],
            (ArrayViewMut2<'_, f32>, ArrayViewMut1<'_, f32>),
        )| {
            let mut is_finite = true;
            for ((row, mut vector), to) in rows.chunks_exact(stride).zip(vectors.rows_mut()).zip(&mut biases)
            {
                *to = row[bias];
                vector.iter_mut().zip(&row[HEAD..]).for_each(|(to, &factor)| *to = factor);
                is_finite &= to.is_finite() && vector.iter().all(|factor| factor.is_finite());
            }
            is_finite
        };
        let rows = turns.of_slice(&self.rows, stride).zip(sides);
        turns.reduce(rows, cancelled, || true, give, |one, other| one & other)
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
            // A step that leads nowhere leaves all errors as they are.
            let pace =
                Pace { factors: 3, mean: 3.0, rate: 0.0, regularization: 0.1, bias_regularization: 0.1 };
            let expected = ratings.values().map(|&value| (f64::from(value) - 3.0).powi(2)).sum::<f64>();
            for _ in 0..3 {
                prop_assert_eq!(strata.epoch(InstructionSet::Portable, pace, &go), Ok(expected));
            }
            for (sparse, divided) in [(&matrix.by_customer, &strata.customers), (&matrix.by_movie, &strata.movies)] {
                prop_assert_eq!(divided.ranges.len(), RANGES);
                let count = divided.ranges.iter().cloned().flatten().map(|row| sparse.count(row)).sum::<usize>();
                prop_assert_eq!(count, ratings.len());
            }
            prop_assert_eq!(strata.give(&mut model, &go), Ok(true));
            prop_assert!(model.customers.factors.iter().chain(&model.movies.biases).all(|&number| number == 0.0));
        }
    }
}
