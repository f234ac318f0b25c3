//! Ratings as a sparse matrix that can be walked by customer and by movie.

use std::sync::atomic::AtomicBool;

use crate::error::{Error, check};
use crate::memory::try_room;
use crate::random::hash;
use crate::ratings::Ratings;
use crate::ratings::sparse::{BYTES_PER_ENTRY, ENTRIES_PER_CHECK, Sparse, transpose};
use crate::rows::ROWS_PER_CHECK;

/// A sparse matrix of ratings, customers by movies. Holds 10 bytes a rating.
#[derive(Clone, Debug)]
pub struct RatingMatrix {
    /// By customer (CSR).
    pub by_customer: Sparse,
    /// By movie (CSC).
    pub by_movie: Sparse,
    pub(super) mean: f64,
}

impl RatingMatrix {
    /// Whether other ratings are of customers and movies that the matrix has rows for.
    pub fn check(&self, ratings: &Ratings, cancelled: &AtomicBool) -> Result<(), Error> {
        for (index, (customer, movie, _)) in ratings.iter().enumerate() {
            check_bounds(customer, movie, self.by_customer.rows(), self.by_movie.rows())?;
            if index.is_multiple_of(ENTRIES_PER_CHECK) {
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
            if number.is_multiple_of(ROWS_PER_CHECK) {
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
        2 * BYTES_PER_ENTRY * ratings + (customers + movies) * size_of::<usize>()
    }
}

pub(super) fn check_bounds(customer: u32, movie: u32, customers: usize, movies: usize) -> Result<(), Error> {
    match (customer as usize) < customers && (movie as usize) < movies {
        true => Ok(()),
        false => Err(Error::OutOfBounds { customer, movie, customers, movies }),
    }
}
