//! Ratings as a list, and as a sparse matrix that can be walked by customer and by movie.

#![allow(unsafe_code)] // many numbers that are written by all threads, and not before

mod builder;

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::Error;
use crate::error::check;
use crate::memory::{room, touch, try_room, try_vec};
use crate::split::hash;

pub use builder::MatrixBuilder;

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

    /// How many ratings all of its rows have.
    pub(crate) fn ratings(&self) -> usize {
        self.values.len()
    }

    /// Where a run of rows has its entries.
    fn entries(&self, rows: &Range<usize>) -> Range<usize> {
        self.starts[rows.start]..self.starts[rows.end]
    }

    /// A row's ratings: the other side's numbers and the values.
    pub fn row(&self, row: usize) -> (&[u32], &[u8]) {
        let entries = self.starts[row]..self.starts[row + 1];
        (&self.others[entries.clone()], &self.values[entries])
    }

    /// The other side's numbers from a place in a row on, and on into the rows behind it: what will be wanted soon.
    pub(crate) fn ahead(&self, row: usize, place: usize) -> &[u32] {
        self.others.get(self.starts[row] + place..).unwrap_or(&[])
    }

    /// The rows in runs of at least `ratings` ratings, the last apart: units of work of about the same size.
    pub fn blocks(&self, ratings: usize) -> Result<Vec<Range<usize>>, Error> {
        blocks(&self.starts, ratings)
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

/// Entries, and rows, between two looks at the flag.
const ENTRIES_A_TURN: usize = 1 << 20;
const ROWS_A_TURN: usize = 1024;

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

    /// Whether other ratings are of customers and movies that the matrix has rows for.
    pub fn check(&self, ratings: &Ratings, cancelled: &AtomicBool) -> Result<(), Error> {
        for (index, (customer, movie, _)) in ratings.iter().enumerate() {
            check_bounds(customer, movie, self.by_customer.rows(), self.by_movie.rows())?;
            if index.is_multiple_of(ENTRIES_A_TURN) {
                check(cancelled)?;
            }
        }
        Ok(())
    }

    /// The ratings of one customer in so many, whoever a hash of its number picks, as a matrix of these customers alone
    /// and all movies. Its mean is that of all.
    pub(crate) fn sample(&self, one_in: usize, cancelled: &AtomicBool) -> Result<RatingMatrix, Error> {
        let customers = (0..self.by_customer.rows())
            .filter(|&customer| hash(customer as u64).is_multiple_of(one_in as u64));
        let ratings = customers.clone().map(|customer| self.by_customer.count(customer)).sum();
        let mut by_customer = Sparse {
            starts: try_room(customers.clone().count() + 1)?,
            others: try_room(ratings)?,
            values: try_room(ratings)?,
        };
        by_customer.starts.push(0);
        for (number, customer) in customers.enumerate() {
            if number.is_multiple_of(ROWS_A_TURN) {
                check(cancelled)?;
            }
            let (movies, values) = self.by_customer.row(customer);
            by_customer.others.extend_from_slice(movies);
            by_customer.values.extend_from_slice(values);
            by_customer.starts.push(by_customer.values.len());
        }
        let by_movie = transpose(&by_customer, self.by_movie.rows(), cancelled)?;
        Ok(RatingMatrix { by_customer, by_movie, mean: self.mean })
    }

    /// How many ratings it holds.
    pub fn ratings(&self) -> usize {
        self.by_customer.values.len()
    }

    /// The mean of all ratings.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Bytes that a matrix of this many ratings takes, beside what its making takes.
    pub fn memory(customers: usize, movies: usize, ratings: usize) -> usize {
        2 * BYTES_A_SIDE * ratings + (customers + movies) * size_of::<usize>()
    }
}

fn check_bounds(customer: u32, movie: u32, customers: usize, movies: usize) -> Result<(), Error> {
    match (customer as usize) < customers && (movie as usize) < movies {
        true => Ok(()),
        false => Err(Error::OutOfBounds { customer, movie, customers, movies }),
    }
}

/// Parts that a transposition is divided into.
const PARTS: usize = 32;

/// Bytes that a transposition into so many rows takes, beside both views.
fn transpose_memory(rows: usize) -> usize {
    PARTS * rows * size_of::<u32>()
}

/// Turns the view by one side into the view by the other, of this many rows: the parts of the source at the same time,
/// each of which knows where its entries of every row belong.
fn transpose(sparse: &Sparse, rows: usize, cancelled: &AtomicBool) -> Result<Sparse, Error> {
    let len = sparse.values.len();
    let parts = sparse.blocks(len.div_ceil(PARTS))?;
    let counted = parts.par_iter().map(|part| {
        let mut counts: Vec<u32> = try_vec(rows)?;
        for turn in sparse.others[sparse.entries(part)].chunks(ENTRIES_A_TURN) {
            check(cancelled)?;
            turn.iter().for_each(|&other| counts[other as usize] += 1);
        }
        Ok(counts)
    });
    let mut places = counted.collect::<Result<Vec<Vec<u32>>, Error>>()?;
    let mut starts: Vec<usize> = try_vec(rows + 1)?;
    for row in 0..rows {
        let mut before = 0;
        for part in &mut places {
            before += std::mem::replace(&mut part[row], before);
        }
        starts[row + 1] = starts[row] + before as usize;
    }

    let (mut others, mut values) = (try_room::<u32>(len)?, try_room::<u8>(len)?);
    touch(room(&mut others, len), cancelled)?;
    touch(room(&mut values, len), cancelled)?;
    let (to_others, to_values) = (Shared(others.as_mut_ptr()), Shared(values.as_mut_ptr()));
    parts.into_par_iter().zip(&mut places).try_for_each(|(part, places)| {
        for row in part {
            if row.is_multiple_of(ROWS_A_TURN) {
                check(cancelled)?;
            }
            let (columns, ratings) = sparse.row(row);
            for (&column, &value) in columns.iter().zip(ratings) {
                let before = &mut places[column as usize];
                let place = starts[column as usize] + *before as usize;
                *before += 1;
                // SAFETY: there is room for as many entries as were counted; each has its own place.
                unsafe {
                    to_others.write(place, row as u32);
                    to_values.write(place, value);
                }
            }
        }
        Ok(())
    })?;
    // SAFETY: each entry was written to its place.
    unsafe {
        others.set_len(len);
        values.set_len(len);
    }
    Ok(Sparse { starts, others, values })
}

/// Room that several threads write to, each to other places.
#[derive(Clone, Copy)]
struct Shared<T>(*mut T);

// SAFETY: what is written is plain numbers; that nobody else writes to the place, who writes promises.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T: Copy> Shared<T> {
    /// # Safety
    ///
    /// The place is within the room, and no other thread writes to it.
    #[inline]
    unsafe fn write(&self, place: usize, value: T) {
        // SAFETY: as the caller promises.
        unsafe { self.0.add(place).write(value) }
    }
}

/// The rows in runs of at least as many entries, the last apart.
fn blocks(starts: &[usize], entries: usize) -> Result<Vec<Range<usize>>, Error> {
    let all = starts.last().map_or(0, |all| all / entries.max(1));
    let mut blocks = try_room(all.min(starts.len()) + 1)?;
    let mut from = 0;
    for row in 1..starts.len() {
        if row == starts.len() - 1 || starts[row] - starts[from] >= entries {
            blocks.push(from..row);
            from = row;
        }
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::builder::GROUP;
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
