//! Ratings as a sparse matrix that is stored twice: by customer and by movie.

use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::error::{Error, check};
use crate::memory::try_with_capacity;
use crate::random::hash;
use crate::ratings::Ratings;
use crate::ratings::sparse::{BYTES_PER_ENTRY, RATINGS_PER_CHECK, Sparse, transpose, transpose_memory};
use crate::ratings::split::Part;
use crate::rows::ROWS_PER_CHECK;

/// A sparse matrix of ratings, customers x movies. It takes 10 bytes a rating.
#[derive(Clone, Debug)]
pub struct RatingMatrix {
    /// One row a customer (CSR). Columns are movies.
    pub by_customer: Sparse,
    /// One row a movie (CSC): the transpose. Columns are customers.
    pub by_movie: Sparse,
    pub(super) mean: f64,
}

/// Ratings that a thread divides at a time.
const RATINGS_PER_BLOCK: usize = 64 * 1024;

/// The ratings of some neighbouring customers, divided.
struct Block {
    /// Training ratings of each customer.
    counts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<u8>,
    total: u64,
    test: Ratings,
}

impl RatingMatrix {
    /// Returns [`Error::OutOfBounds`] unless the matrix has a row for the customer and the movie of each of these ratings.
    pub fn check(&self, ratings: &Ratings, cancelled: &AtomicBool) -> Result<(), Error> {
        for (index, (customer, movie, _)) in ratings.iter().enumerate() {
            check_bounds(customer, movie, self.by_customer.rows(), self.by_movie.rows())?;
            if index.is_multiple_of(RATINGS_PER_CHECK) {
                check(cancelled)?;
            }
        }
        Ok(())
    }

    /// A matrix of a sample of customers and of all movies. A hash of its row index picks a customer with a chance of 1 in
    /// `one_in`. The mean stays that of the whole matrix.
    pub(crate) fn sample(&self, one_in: usize, cancelled: &AtomicBool) -> Result<RatingMatrix, Error> {
        let customers = (0..self.by_customer.rows())
            .filter(|&customer| hash(customer as u64).is_multiple_of(one_in as u64));
        let ratings = customers.clone().map(|customer| self.by_customer.count(customer)).sum();
        let mut by_customer = Sparse {
            starts: try_with_capacity(customers.clone().count() + 1)?,
            columns: try_with_capacity(ratings)?,
            values: try_with_capacity(ratings)?,
        };
        by_customer.starts.push(0);
        for (index, customer) in customers.enumerate() {
            if index.is_multiple_of(ROWS_PER_CHECK) {
                check(cancelled)?;
            }
            let (movies, values) = self.by_customer.row(customer);
            by_customer.columns.extend_from_slice(movies);
            by_customer.values.extend_from_slice(values);
            by_customer.starts.push(by_customer.values.len());
        }
        let by_movie = transpose(&by_customer, self.by_movie.rows(), cancelled)?;
        Ok(RatingMatrix { by_customer, by_movie, mean: self.mean })
    }

    /// The training ratings, as a matrix of the same size, and the test ratings, in the order of customers and movies. `part(customer,
    /// movie)` says what a rating is for. Runs in rayon's current pool. [`Error::NoRatings`] if there are no training ratings or no
    /// test ratings.
    pub fn divide(
        &self,
        part: impl Fn(usize, u32) -> Part + Sync,
        cancelled: &AtomicBool,
    ) -> Result<(RatingMatrix, Ratings), Error> {
        let sparse = &self.by_customer;
        let blocks = sparse.blocks(RATINGS_PER_BLOCK)?.into_par_iter().map(|rows| {
            check(cancelled)?;
            let ratings = rows.clone().map(|row| sparse.count(row)).sum();
            let mut block = Block {
                counts: try_with_capacity(rows.len())?,
                columns: try_with_capacity(ratings)?,
                values: try_with_capacity(ratings)?,
                total: 0,
                test: Ratings::default(),
            };
            for row in rows {
                let before = block.columns.len();
                let (movies, values) = sparse.row(row);
                for (&movie, &value) in movies.iter().zip(values) {
                    match part(row, movie) {
                        Part::Train => {
                            block.columns.push(movie);
                            block.values.push(value);
                            block.total += u64::from(value);
                        }
                        Part::Test => block.test.try_push(row as u32, movie, value)?,
                        Part::Outside => {}
                    }
                }
                block.counts.push(block.columns.len() - before);
            }
            Ok(block)
        });
        let blocks = blocks.collect::<Result<Vec<Block>, Error>>()?;
        let training = blocks.iter().map(|block| block.columns.len()).sum::<usize>();
        let total = blocks.iter().map(|block| block.total).sum::<u64>();
        let mut test = Ratings::default();
        let mut by_customer = Sparse {
            starts: try_with_capacity(sparse.rows() + 1)?,
            columns: try_with_capacity(training)?,
            values: try_with_capacity(training)?,
        };
        by_customer.starts.push(0);
        for block in blocks {
            check(cancelled)?;
            let mut end = by_customer.columns.len();
            by_customer.starts.extend(block.counts.iter().map(|count| {
                end += count;
                end
            }));
            by_customer.columns.extend_from_slice(&block.columns);
            by_customer.values.extend_from_slice(&block.values);
            block
                .test
                .iter()
                .try_for_each(|(customer, movie, value)| test.try_push(customer, movie, value))?;
        }
        if training == 0 || test.is_empty() {
            return Err(Error::NoRatings);
        }
        let by_movie = transpose(&by_customer, self.by_movie.rows(), cancelled)?;
        Ok((RatingMatrix { by_customer, by_movie, mean: total as f64 / training as f64 }, test))
    }

    /// The most memory, in bytes, that [`RatingMatrix::divide`] takes, its results included.
    pub fn divide_memory(customers: usize, movies: usize, ratings: usize) -> usize {
        let blocks = BYTES_PER_ENTRY * ratings + customers * size_of::<usize>();
        RatingMatrix::memory(customers, movies, ratings)
            + Ratings::memory(ratings)
            + blocks
            + transpose_memory(movies)
    }

    /// How many ratings the matrix holds.
    pub fn ratings(&self) -> usize {
        self.by_customer.values.len()
    }

    /// The mean of all ratings.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Bytes of a finished matrix of this many ratings.
    pub fn memory(customers: usize, movies: usize, ratings: usize) -> usize {
        2 * BYTES_PER_ENTRY * ratings + (customers + movies) * size_of::<usize>()
    }
}

pub(super) fn check_bounds(customer: u32, movie: u32, customers: usize, movies: usize) -> Result<(), Error> {
    match (customer as usize) < customers && (movie as usize) < movies {
        true => Ok(()),
        false => Err(Error::OutOfBounds { customer, movie, customers, movies }),
    }
}
