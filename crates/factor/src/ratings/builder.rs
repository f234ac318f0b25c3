//! Builds the rating matrix from ratings that come one by one, in any order.

#![allow(unsafe_code)] // long vectors that all threads write to, without initialising them first

use std::mem::MaybeUninit;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::error::{Error, check};
use crate::memory::{spare_capacity, try_vec, try_with_capacity};
use crate::ratings::Ratings;
use crate::ratings::matrix::{RatingMatrix, check_bounds};
use crate::ratings::sparse::{BYTES_PER_ENTRY, Sparse, transpose, transpose_memory};

/// Collects ratings for a matrix, in groups of neighbouring customers. The ratings of a group fit into the processor's caches
/// while they are sorted. All ratings would not.
#[derive(Debug, Default)]
pub struct MatrixBuilder {
    /// The ratings of each group, in blocks of [`RATINGS_PER_BLOCK`] ratings.
    groups: Vec<Vec<Vec<Entry>>>,
    ratings: usize,
    /// The sum of all ratings, in stars.
    total: u64,
    /// The highest customer and the highest movie so far.
    highest: (u32, u32),
}

/// A rating by a customer of the group.
#[derive(Clone, Copy, Debug)]
struct Entry {
    movie: u32,
    /// The customer's index within the group.
    customer: u16,
    value: u8,
}

/// Customers in a group.
const CUSTOMERS_PER_GROUP: usize = 4096;
/// Ratings that memory is allocated for at a time.
const RATINGS_PER_BLOCK: usize = 8192;
/// Bytes of a rating in the builder.
const BYTES_COLLECTED: usize = size_of::<Entry>();

impl MatrixBuilder {
    /// Adds a rating by row indices of customer and movie, or returns [`Error::OutOfMemory`].
    #[inline]
    pub fn push(&mut self, customer: u32, movie: u32, value: u8) -> Result<(), Error> {
        let group = customer as usize / CUSTOMERS_PER_GROUP;
        let entry = Entry { movie, customer: (customer as usize % CUSTOMERS_PER_GROUP) as u16, value };
        match self.groups.get_mut(group).and_then(|group| group.last_mut()) {
            Some(block) if block.len() < RATINGS_PER_BLOCK => block.push(entry),
            _ => self.push_into_new_block(group, entry)?,
        }
        self.ratings += 1;
        self.total += u64::from(value);
        self.highest = (self.highest.0.max(customer), self.highest.1.max(movie));
        Ok(())
    }

    #[cold]
    fn push_into_new_block(&mut self, group: usize, entry: Entry) -> Result<(), Error> {
        let failed = |_| Error::OutOfMemory { bytes: RATINGS_PER_BLOCK * BYTES_COLLECTED };
        if group >= self.groups.len() {
            self.groups.try_reserve(group + 1 - self.groups.len()).map_err(failed)?;
            self.groups.resize(group + 1, Vec::new());
        }
        let mut block = Vec::new();
        block.try_reserve_exact(RATINGS_PER_BLOCK).map_err(failed)?;
        block.push(entry);
        self.groups[group].try_reserve(1).map_err(failed)?;
        self.groups[group].push(block);
        Ok(())
    }

    /// How many ratings were added.
    pub fn len(&self) -> usize {
        self.ratings
    }

    /// Whether no rating was added.
    pub fn is_empty(&self) -> bool {
        self.ratings == 0
    }

    /// The most memory, in bytes, that collecting and building take for this many ratings and threads, the matrix included.
    pub fn memory(customers: usize, movies: usize, ratings: usize, threads: usize) -> usize {
        let groups = customers.div_ceil(CUSTOMERS_PER_GROUP);
        let collected = ratings * BYTES_COLLECTED + groups * RATINGS_PER_BLOCK * BYTES_COLLECTED;
        // While the groups are sorted, there is only the view by customer. When the transpose is made, the groups are freed.
        // Each thread that sorts holds the ratings of one group once more. We allow for groups of twice the average size.
        let sorting = (2 * ratings / groups.max(1) * threads).min(ratings) * size_of::<u64>();
        let one_side = BYTES_PER_ENTRY * ratings + customers * size_of::<usize>();
        let transposing = RatingMatrix::memory(customers, movies, ratings) + transpose_memory(movies);
        (collected + one_side + sorting).max(transposing)
    }

    /// The matrix of all ratings that were added, customers x movies, built in rayon's current pool. No pair of customer and
    /// movie may have been added twice.
    ///
    /// Returns [`Error::NoRatings`] if there are none, and [`Error::OutOfBounds`] if a customer or movie has no row.
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

    /// As [`MatrixBuilder::build`], but only the view by customer, and without an error if there are no ratings.
    pub fn build_by_customer(
        self,
        customers: usize,
        movies: usize,
        cancelled: &AtomicBool,
    ) -> Result<Sparse, Error> {
        let MatrixBuilder { groups, ratings, highest, .. } = self;
        if ratings == 0 {
            return Ok(Sparse { starts: try_vec(customers + 1)?, columns: Vec::new(), values: Vec::new() });
        }
        check_bounds(highest.0, highest.1, customers, movies)?;
        let mut starts = try_vec(customers + 1)?;
        let (mut columns, mut values) = (try_with_capacity(ratings)?, try_with_capacity(ratings)?);
        let mut parts = try_with_capacity(customers.div_ceil(CUSTOMERS_PER_GROUP))?;
        let (mut start, mut ends, mut free_columns, mut free_values) = (
            0,
            &mut starts[1..],
            spare_capacity(&mut columns, ratings),
            spare_capacity(&mut values, ratings),
        );
        // Customers after the last group have no ratings.
        let empty = customers.div_ceil(CUSTOMERS_PER_GROUP) - groups.len();
        for group in groups.into_iter().chain(std::iter::repeat_n(Vec::new(), empty)) {
            let len = group.iter().map(Vec::len).sum::<usize>();
            let (group_ends, later_ends) = ends.split_at_mut(CUSTOMERS_PER_GROUP.min(ends.len()));
            let (group_columns, later_columns) = free_columns.split_at_mut(len);
            let (group_values, later_values) = free_values.split_at_mut(len);
            (ends, free_columns, free_values) = (later_ends, later_columns, later_values);
            parts.push((group, start, group_ends, group_columns, group_values));
            start += len;
        }
        parts.into_par_iter().try_for_each(|(group, start, ends, columns, values)| {
            check(cancelled)?;
            sort_group(group, start, ends, columns, values)
        })?;
        // SAFETY: every group has written its part, and the parts are the whole vectors.
        unsafe {
            columns.set_len(ratings);
            values.set_len(ratings);
        }
        Ok(Sparse { starts, columns, values })
    }
}

/// Sorts the ratings of a group by customer and movie into the group's part of the matrix. That part begins at entry `start`
/// of the matrix. `ends` receives the entry at which each customer's ratings end.
fn sort_group(
    group: Vec<Vec<Entry>>,
    start: usize,
    ends: &mut [usize],
    columns: &mut [MaybeUninit<u32>],
    values: &mut [MaybeUninit<u8>],
) -> Result<(), Error> {
    // Counting sort by customer: counts first, then the next free place of each customer.
    let mut places: Vec<usize> = try_vec(ends.len() + 1)?;
    for entry in group.iter().flatten() {
        places[usize::from(entry.customer) + 1] += 1;
    }
    for row in 0..ends.len() {
        places[row + 1] += places[row];
        ends[row] = start + places[row + 1];
    }
    let mut sorted: Vec<u64> = try_vec(columns.len())?;
    for entry in group.into_iter().flatten() {
        let place = &mut places[usize::from(entry.customer)];
        sorted[*place] = u64::from(entry.movie) << 8 | u64::from(entry.value);
        *place += 1;
    }
    let mut from = 0;
    for end in ends {
        let to = *end - start;
        // The stable sort is fast on sorted runs. Ratings are loaded by movie, so that a customer's are a few such runs.
        sorted[from..to].sort();
        from = to;
    }
    for ((column, value), entry) in columns.iter_mut().zip(values).zip(sorted) {
        column.write((entry >> 8) as u32);
        value.write(entry as u8);
    }
    Ok(())
}

impl RatingMatrix {
    /// The matrix of a list of ratings, customers x movies, built in rayon's current pool. The order of the list makes no
    /// difference. No pair of customer and movie may come twice. Errors are those of [`MatrixBuilder::build`].
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
                (prop_oneof![0u32..30, 0u32..3 * CUSTOMERS_PER_GROUP as u32], 0u32..20), 1u8..=5, 1..200,
            ),
            customers in 3 * CUSTOMERS_PER_GROUP..4 * CUSTOMERS_PER_GROUP,
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
                    let (columns, values) = side.row(row);
                    assert!(columns.windows(2).all(|w| w[0] < w[1]));
                    for (&column, &value) in columns.iter().zip(values) {
                        let key = if by_customer { (row as u32, column) } else { (column, row as u32) };
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
    fn a_sample_holds_all_ratings_of_some_customers() {
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
    fn refuses_no_ratings_and_rows_out_of_bounds() {
        let go = AtomicBool::new(false);
        assert_eq!(RatingMatrix::new(1, 1, &Ratings::default(), &go).unwrap_err(), Error::NoRatings);
        let mut ratings = Ratings::default();
        ratings.push(1, 0, 3);
        assert!(matches!(RatingMatrix::new(1, 1, &ratings, &go), Err(Error::OutOfBounds { .. })));
        assert_eq!(RatingMatrix::new(2, 1, &ratings, &AtomicBool::new(true)).unwrap_err(), Error::Cancelled);
    }
}
