//! Ratings in memory: as a list, as a sparse matrix by customer and by movie, and the builder of that matrix. Also: which
//! ratings are held out, and which a split leaves to judge models by.

pub(crate) mod builder;
pub(crate) mod hold_out;
pub(crate) mod matrix;
pub(crate) mod sparse;
pub(crate) mod split;

use crate::error::Error;

/// A list of ratings in any order: three columns of the same length.
#[derive(Clone, Debug, Default)]
pub struct Ratings {
    /// Row of the customer, from 0.
    pub customers: Vec<u32>,
    /// Row of the movie, from 0.
    pub movies: Vec<u32>,
    /// The rating, in stars.
    pub values: Vec<u8>,
}

impl Ratings {
    /// How many ratings there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no ratings.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds a rating.
    pub fn push(&mut self, customer: u32, movie: u32, value: u8) {
        self.customers.push(customer);
        self.movies.push(movie);
        self.values.push(value);
    }

    /// Adds a rating, or returns [`Error::OutOfMemory`].
    pub fn try_push(&mut self, customer: u32, movie: u32, value: u8) -> Result<(), Error> {
        if self.values.len() == self.values.capacity() {
            let more = (self.len() / 2).max(1024);
            let failed = |_| Error::OutOfMemory { bytes: more * BYTES_PER_RATING };
            self.customers.try_reserve_exact(more).map_err(failed)?;
            self.movies.try_reserve_exact(more).map_err(failed)?;
            self.values.try_reserve_exact(more).map_err(failed)?;
        }
        self.push(customer, movie, value);
        Ok(())
    }

    /// The most memory, in bytes, of a list that has grown to this many ratings by [`Ratings::try_push`].
    pub fn memory(ratings: usize) -> usize {
        ratings * BYTES_PER_RATING * 3 / 2
    }

    /// All ratings as (customer, movie, rating).
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, u8)> + Clone {
        let pairs = self.customers.iter().zip(&self.movies);
        pairs.zip(&self.values).map(|((&customer, &movie), &value)| (customer, movie, value))
    }
}

/// Bytes of a rating in [`Ratings`].
const BYTES_PER_RATING: usize = 9;
