//! Ratings in memory: a list, and a sparse matrix of both sides that a builder makes; and which ratings are held out.

pub(crate) mod builder;
pub(crate) mod hold_out;
pub(crate) mod matrix;
pub(crate) mod sparse;

use crate::error::Error;

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

/// Bytes a rating takes in a [`Ratings`].
const BYTES_LISTED: usize = 9;
