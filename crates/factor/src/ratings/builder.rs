//! Makes the rating matrix out of ratings that come one by one, in any order.

#![allow(unsafe_code)] // many numbers that are written by all threads, and not before

use std::mem::MaybeUninit;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::error::{Error, check};
use crate::memory::{room, try_room, try_vec};
use crate::ratings::Ratings;
use crate::ratings::matrix::{RatingMatrix, check_bounds};
use crate::ratings::sparse::{BYTES_PER_ENTRY, Sparse, transpose, transpose_memory};

/// Collects ratings for a matrix as they come, in groups of neighbouring customers: sorting a group then stays within
/// the processor's caches, where a matrix as a whole would not.
#[derive(Debug, Default)]
pub struct MatrixBuilder {
    groups: Vec<Vec<Vec<Entry>>>,
    ratings: usize,
    total: u64,
    /// The highest customer and movie.
    last: (u32, u32),
}

/// A rating by a customer of the group.
#[derive(Clone, Copy, Debug)]
struct Entry {
    movie: u32,
    customer: u16,
    value: u8,
}

/// Customers in a group, and ratings that memory is asked for at a time.
const GROUP: usize = 4096;
const BLOCK: usize = 8192;
/// Bytes a rating takes here.
const BYTES_COLLECTED: usize = size_of::<Entry>();

impl MatrixBuilder {
    /// Adds one, or says that there is no memory for it.
    #[inline]
    pub fn push(&mut self, customer: u32, movie: u32, value: u8) -> Result<(), Error> {
        let group = customer as usize / GROUP;
        let entry = Entry { movie, customer: (customer as usize % GROUP) as u16, value };
        match self.groups.get_mut(group).and_then(|group| group.last_mut()) {
            Some(block) if block.len() < BLOCK => block.push(entry),
            _ => self.push_into_new_block(group, entry)?,
        }
        self.ratings += 1;
        self.total += u64::from(value);
        self.last = (self.last.0.max(customer), self.last.1.max(movie));
        Ok(())
    }

    #[cold]
    fn push_into_new_block(&mut self, group: usize, entry: Entry) -> Result<(), Error> {
        let failed = |_| Error::OutOfMemory { bytes: BLOCK * BYTES_COLLECTED };
        if group >= self.groups.len() {
            self.groups.try_reserve(group + 1 - self.groups.len()).map_err(failed)?;
            self.groups.resize(group + 1, Vec::new());
        }
        let mut block = Vec::new();
        block.try_reserve_exact(BLOCK).map_err(failed)?;
        block.push(entry);
        self.groups[group].try_reserve(1).map_err(failed)?;
        self.groups[group].push(block);
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ratings
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ratings == 0
    }

    /// The most memory, in bytes, that collecting and building takes for this many ratings, the matrix included, on this
    /// many threads.
    pub fn memory(customers: usize, movies: usize, ratings: usize, threads: usize) -> usize {
        let groups = customers.div_ceil(GROUP);
        let collected = ratings * BYTES_COLLECTED + groups * BLOCK * BYTES_COLLECTED;
        // While groups are sorted, one side is there; when both are, the groups are gone. Beside them, each thread has a
        // group's ratings once more, twice as many as usual.
        let sorting = (2 * ratings / groups.max(1) * threads).min(ratings) * size_of::<u64>();
        let one_side = BYTES_PER_ENTRY * ratings + customers * size_of::<usize>();
        let transposing = RatingMatrix::memory(customers, movies, ratings) + transpose_memory(movies);
        (collected + one_side + sorting).max(transposing)
    }

    /// The matrix of all ratings collected, in rayon's current pool. A pair must not have come twice.
    pub fn build(
        self,
        customers: usize,
        movies: usize,
        cancelled: &AtomicBool,
    ) -> Result<RatingMatrix, Error> {
        if self.ratings == 0 {
            return Err(Error::NoRatings);
        }
        let mean = self.total as f64 / self.ratings as f64;
        let by_customer = self.build_by_customer(customers, movies, cancelled)?;
        let by_movie = transpose(&by_customer, movies, cancelled)?;
        Ok(RatingMatrix { by_customer, by_movie, mean })
    }

    /// The same by customer alone, with or without ratings.
    pub fn build_by_customer(
        self,
        customers: usize,
        movies: usize,
        cancelled: &AtomicBool,
    ) -> Result<Sparse, Error> {
        let MatrixBuilder { groups, ratings, last, .. } = self;
        if ratings == 0 {
            return Ok(Sparse { starts: try_vec(customers + 1)?, others: Vec::new(), values: Vec::new() });
        }
        check_bounds(last.0, last.1, customers, movies)?;
        let mut starts = try_vec(customers + 1)?;
        let (mut others, mut values) = (try_room(ratings)?, try_room(ratings)?);
        let mut parts = try_room(customers.div_ceil(GROUP))?;
        let (mut start, mut rows, mut free_others, mut free_values) =
            (0, &mut starts[1..], room(&mut others, ratings), room(&mut values, ratings));
        // Those behind the last group have no ratings.
        let empty = customers.div_ceil(GROUP) - groups.len();
        for group in groups.into_iter().chain(std::iter::repeat_n(Vec::new(), empty)) {
            let len = group.iter().map(Vec::len).sum::<usize>();
            let (these_rows, later_rows) = rows.split_at_mut(GROUP.min(rows.len()));
            let (these_others, later_others) = free_others.split_at_mut(len);
            let (these_values, later_values) = free_values.split_at_mut(len);
            (rows, free_others, free_values) = (later_rows, later_others, later_values);
            parts.push((group, start, these_rows, these_others, these_values));
            start += len;
        }
        parts.into_par_iter().try_for_each(|(group, start, ends, others, values)| {
            check(cancelled)?;
            sort_group(group, start, ends, others, values)
        })?;
        // SAFETY: every group's part was written to its end, and together they are all.
        unsafe {
            others.set_len(ratings);
            values.set_len(ratings);
        }
        Ok(Sparse { starts, others, values })
    }
}

/// Sorts a group's ratings by customer and movie into its part of the matrix, whose first entry is the matrix's entry
/// `start`, and notes where each customer's end.
fn sort_group(
    group: Vec<Vec<Entry>>,
    start: usize,
    ends: &mut [usize],
    others: &mut [MaybeUninit<u32>],
    values: &mut [MaybeUninit<u8>],
) -> Result<(), Error> {
    let mut free: Vec<usize> = try_vec(ends.len() + 1)?;
    for entry in group.iter().flatten() {
        free[usize::from(entry.customer) + 1] += 1;
    }
    for row in 0..ends.len() {
        free[row + 1] += free[row];
        ends[row] = start + free[row + 1];
    }
    let mut sorted: Vec<u64> = try_vec(others.len())?;
    for entry in group.into_iter().flatten() {
        let place = &mut free[usize::from(entry.customer)];
        sorted[*place] = u64::from(entry.movie) << 8 | u64::from(entry.value);
        *place += 1;
    }
    let mut from = 0;
    for end in ends {
        let to = *end - start;
        // Loaded by movie, they are in order but for where two workers took turns: a sort that finds runs.
        sorted[from..to].sort();
        from = to;
    }
    for ((other, value), entry) in others.iter_mut().zip(values).zip(sorted) {
        other.write((entry >> 8) as u32);
        value.write(entry as u8);
    }
    Ok(())
}

impl RatingMatrix {
    /// Sorts ratings into a matrix, in rayon's current pool. The order they come in makes no difference; a pair must not
    /// come twice.
    pub fn new(
        customers: usize,
        movies: usize,
        ratings: &Ratings,
        cancelled: &AtomicBool,
    ) -> Result<RatingMatrix, Error> {
        let mut builder = MatrixBuilder::default();
        ratings.iter().try_for_each(|(customer, movie, value)| builder.push(customer, movie, value))?;
        builder.build(customers, movies, cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn holds_each_rating_on_both_sides_in_order(
            ratings in prop::collection::btree_map(
                (prop_oneof![0u32..30, 0u32..3 * GROUP as u32], 0u32..20), 1u8..=5, 1..200,
            ),
            customers in 3 * GROUP..4 * GROUP,
            swaps in prop::collection::vec((0usize..200, 0usize..200), 0..100),
        ) {
            let mut list = ratings.iter().map(|(&(c, m), &v)| (c, m, v)).collect::<Vec<_>>();
            for (a, b) in swaps {
                let len = list.len();
                list.swap(a % len, b % len);
            }
            let mut given = Ratings::default();
            list.iter().for_each(|&(c, m, v)| given.push(c, m, v));
            let matrix = RatingMatrix::new(customers, 20, &given, &AtomicBool::new(false)).unwrap();
            let collect = |side: &Sparse, by_customer: bool| {
                let mut found = BTreeMap::new();
                for row in 0..side.rows() {
                    let (others, values) = side.row(row);
                    assert!(others.windows(2).all(|w| w[0] < w[1]));
                    for (&other, &value) in others.iter().zip(values) {
                        let key = if by_customer { (row as u32, other) } else { (other, row as u32) };
                        found.insert(key, value);
                    }
                }
                found
            };
            prop_assert_eq!(&collect(&matrix.by_customer, true), &ratings);
            prop_assert_eq!(&collect(&matrix.by_movie, false), &ratings);
            let mean = ratings.values().map(|&v| f64::from(v)).sum::<f64>() / ratings.len() as f64;
            prop_assert!((matrix.mean() - mean).abs() < 1e-12);
            let blocks = matrix.by_movie.blocks(7).unwrap();
            prop_assert!(blocks.iter().cloned().flatten().eq(0..20));
        }
    }

    #[test]
    fn a_sample_holds_all_that_some_customers_rated() {
        let mut ratings = Ratings::default();
        (0..3000u32)
            .for_each(|c| (0..1 + c % 4).for_each(|m| ratings.push(c, (c + m) % 10, 1 + (c % 5) as u8)));
        let go = AtomicBool::new(false);
        let matrix = RatingMatrix::new(3000, 10, &ratings, &go).unwrap();
        let sample = matrix.sample(10, &go).unwrap();
        let customers = sample.by_customer.rows();
        assert!((200..400).contains(&customers), "{customers}");
        let mut all = (0..3000).map(|row| matrix.by_customer.row(row));
        for row in 0..customers {
            let row = sample.by_customer.row(row);
            assert!(all.any(|of_all| of_all == row));
        }
        assert_eq!(sample.by_movie.values.len(), sample.by_customer.values.len());
        assert_eq!((sample.by_movie.rows(), sample.mean()), (10, matrix.mean()));
    }

    #[test]
    fn refuses_what_it_cannot_hold() {
        let go = AtomicBool::new(false);
        assert_eq!(RatingMatrix::new(1, 1, &Ratings::default(), &go).unwrap_err(), Error::NoRatings);
        let mut ratings = Ratings::default();
        ratings.push(1, 0, 3);
        assert!(matches!(RatingMatrix::new(1, 1, &ratings, &go), Err(Error::OutOfBounds { .. })));
        assert_eq!(RatingMatrix::new(2, 1, &ratings, &AtomicBool::new(true)).unwrap_err(), Error::Cancelled);
    }
}
