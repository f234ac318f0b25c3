//! Ratings as a sparse matrix that is stored twice: by customer and by movie.

use std::sync::atomic::AtomicBool;

use crate::error::{Error, check};
use crate::memory::try_with_capacity;
use crate::random::hash;
use crate::ratings::Ratings;
use crate::ratings::sparse::{BYTES_PER_ENTRY, RATINGS_PER_CHECK, Sparse, transpose};
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
