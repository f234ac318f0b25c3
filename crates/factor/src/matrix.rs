//! Ratings as a list, and as a sparse matrix that can be walked by customer and by movie.

use std::sync::atomic::AtomicBool;

use crate::Error;
use crate::error::{check, try_vec};

/// A list of ratings in no order: three columns of the same length.
#[derive(Clone, Debug, Default)]
pub struct Ratings {
    /// Customers, from 0.
    pub customers: Vec<u32>,
    /// Movies, from 0.
    pub movies: Vec<u32>,
    /// Ratings.
    pub values: Vec<u8>,
}

impl Ratings {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds one.
    pub fn push(&mut self, customer: u32, movie: u32, value: u8) {
        self.customers.push(customer);
        self.movies.push(movie);
        self.values.push(value);
    }

    /// Adds one, or says that there is no memory for it.
    pub fn try_push(&mut self, customer: u32, movie: u32, value: u8) -> Result<(), Error> {
        if self.values.len() == self.values.capacity() {
            let more = (self.len() / 2).max(1024);
            let failed = |_| Error::OutOfMemory { bytes: more * BYTES_LISTED };
            self.customers.try_reserve_exact(more).map_err(failed)?;
            self.movies.try_reserve_exact(more).map_err(failed)?;
            self.values.try_reserve_exact(more).map_err(failed)?;
        }
        self.push(customer, movie, value);
        Ok(())
    }

    /// The most memory, in bytes, that a list of this many takes, having grown by [`Ratings::try_push`].
    pub fn memory(ratings: usize) -> usize {
        ratings * BYTES_LISTED * 3 / 2
    }

    /// Customer, movie and rating of each.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, u8)> + Clone {
        let pairs = self.customers.iter().zip(&self.movies);
        pairs.zip(&self.values).map(|((&customer, &movie), &value)| (customer, movie, value))
    }
}

/// One side's view of the matrix: for each of its rows, the other side's numbers, ascending, and the ratings.
#[derive(Clone, Debug)]
pub struct Sparse {
    /// Row `r` holds the entries `starts[r]..starts[r + 1]`.
    starts: Vec<usize>,
    others: Vec<u32>,
    values: Vec<u8>,
}

impl Sparse {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many ratings a row has.
    pub fn count(&self, row: usize) -> usize {
        self.starts[row + 1] - self.starts[row]
    }

    /// A row's ratings: the other side's numbers and the values.
    pub fn row(&self, row: usize) -> (&[u32], &[u8]) {
        let entries = self.starts[row]..self.starts[row + 1];
        (&self.others[entries.clone()], &self.values[entries])
    }

    /// The rows in runs of at least `ratings` ratings, the last apart: units of work of about the same size.
    pub fn blocks(&self, ratings: usize) -> Vec<std::ops::Range<usize>> {
        let mut blocks = Vec::new();
        let mut from = 0;
        for row in 1..=self.rows() {
            if row == self.rows() || self.starts[row] - self.starts[from] >= ratings {
                blocks.push(from..row);
                from = row;
            }
        }
        blocks
    }
}

/// A sparse matrix of ratings, customers by movies. Holds 10 bytes a rating.
#[derive(Clone, Debug)]
pub struct RatingMatrix {
    /// By customer (CSR).
    pub by_customer: Sparse,
    /// By movie (CSC).
    pub by_movie: Sparse,
    mean: f64,
}

/// Bytes a rating takes in a [`Ratings`], and in each side of a [`RatingMatrix`].
const BYTES_LISTED: usize = 9;
const BYTES_A_SIDE: usize = 5;

/// Entries between two looks at the flag.
const ENTRIES_A_TURN: usize = 1 << 20;

impl RatingMatrix {
    /// Sorts ratings into a matrix. The order they come in makes no difference; a pair must not come twice.
    pub fn new(
        customers: usize,
        movies: usize,
        ratings: Ratings,
        cancelled: &AtomicBool,
    ) -> Result<RatingMatrix, Error> {
        if ratings.is_empty() {
            return Err(Error::NoRatings);
        }
        check_bounds(&ratings, customers, movies, cancelled)?;
        let total = ratings.values.iter().map(|&value| u64::from(value)).sum::<u64>();
        let mean = total as f64 / ratings.len() as f64;
        // Grouping by movie first makes the rows of the second grouping ascend by movie, and its transposition
        // the rows of the third by customer.
        let unsorted = group(movies, ratings.iter().map(|(c, m, v)| (m, c, v)), ratings.len(), cancelled)?;
        drop(ratings);
        let by_customer = transpose(&unsorted, customers, cancelled)?;
        drop(unsorted);
        let by_movie = transpose(&by_customer, movies, cancelled)?;
        Ok(RatingMatrix { by_customer, by_movie, mean })
    }

    /// Whether other ratings are of customers and movies that the matrix has rows for.
    pub fn check(&self, ratings: &Ratings, cancelled: &AtomicBool) -> Result<(), Error> {
        check_bounds(ratings, self.by_customer.rows(), self.by_movie.rows(), cancelled)
    }

    /// How many ratings it holds.
    pub fn ratings(&self) -> usize {
        self.by_customer.values.len()
    }

    /// The mean of all ratings.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Bytes that a matrix of this many ratings takes.
    pub fn memory(customers: usize, movies: usize, ratings: usize) -> usize {
        2 * BYTES_A_SIDE * ratings + (customers + movies) * size_of::<usize>()
    }

    /// The most memory, in bytes, that [`RatingMatrix::new`] takes for this many ratings, their list included.
    pub fn memory_of_making(customers: usize, movies: usize, ratings: usize) -> usize {
        // The list and its first grouping; later on, two groupings, which are less. Beside them, where each row starts
        // and where it is to go on.
        Ratings::memory(ratings) + BYTES_A_SIDE * ratings + 3 * (customers + movies) * size_of::<usize>()
    }
}

fn check_bounds(
    ratings: &Ratings,
    customers: usize,
    movies: usize,
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    for (index, (customer, movie, _)) in ratings.iter().enumerate() {
        if customer as usize >= customers || movie as usize >= movies {
            return Err(Error::OutOfBounds { index, customer, movie, customers, movies });
        }
        if index.is_multiple_of(ENTRIES_A_TURN) {
            check(cancelled)?;
        }
    }
    Ok(())
}

fn transpose(sparse: &Sparse, rows: usize, cancelled: &AtomicBool) -> Result<Sparse, Error> {
    let entries = (0..sparse.rows()).flat_map(|row| {
        let (others, values) = sparse.row(row);
        others.iter().zip(values).map(move |(&other, &value)| (other, row as u32, value))
    });
    group(rows, entries, sparse.values.len(), cancelled)
}

/// Counting sort of `(row, other, value)` by row, keeping the order within a row.
fn group(
    rows: usize,
    entries: impl Iterator<Item = (u32, u32, u8)> + Clone,
    len: usize,
    cancelled: &AtomicBool,
) -> Result<Sparse, Error> {
    let watch = |entry: usize| if entry.is_multiple_of(ENTRIES_A_TURN) { check(cancelled) } else { Ok(()) };
    let mut starts: Vec<usize> = try_vec(rows + 1)?;
    for (entry, (row, ..)) in entries.clone().enumerate() {
        watch(entry)?;
        starts[row as usize + 1] += 1;
    }
    for row in 0..rows {
        starts[row + 1] += starts[row];
    }
    let mut free: Vec<usize> = try_vec(rows)?;
    free.copy_from_slice(&starts[..rows]);
    let mut others = try_vec(len)?;
    check(cancelled)?;
    let mut values = try_vec(len)?;
    for (entry, (row, other, value)) in entries.enumerate() {
        watch(entry)?;
        let place = &mut free[row as usize];
        others[*place] = other;
        values[*place] = value;
        *place += 1;
    }
    Ok(Sparse { starts, others, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn holds_each_rating_on_both_sides_in_order(
            ratings in prop::collection::btree_map((0u32..30, 0u32..20), 1u8..=5, 1..200),
            swaps in prop::collection::vec((0usize..200, 0usize..200), 0..100),
        ) {
            let mut list = ratings.iter().map(|(&(c, m), &v)| (c, m, v)).collect::<Vec<_>>();
            for (a, b) in swaps {
                let len = list.len();
                list.swap(a % len, b % len);
            }
            let mut given = Ratings::default();
            list.iter().for_each(|&(c, m, v)| given.push(c, m, v));
            let matrix = RatingMatrix::new(30, 20, given, &AtomicBool::new(false)).unwrap();
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
            let blocks = matrix.by_movie.blocks(7);
            prop_assert!(blocks.iter().cloned().flatten().eq(0..20));
        }
    }

    #[test]
    fn refuses_what_it_cannot_hold() {
        let go = AtomicBool::new(false);
        assert_eq!(RatingMatrix::new(1, 1, Ratings::default(), &go).unwrap_err(), Error::NoRatings);
        let mut ratings = Ratings::default();
        ratings.push(1, 0, 3);
        assert!(matches!(RatingMatrix::new(1, 1, ratings.clone(), &go), Err(Error::OutOfBounds { .. })));
        assert_eq!(RatingMatrix::new(2, 1, ratings, &AtomicBool::new(true)).unwrap_err(), Error::Cancelled);
    }
}
