//! Why a model could not be trained.

use std::sync::atomic::{AtomicBool, Ordering};

/// What went wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is nothing to learn from.
    #[error("there are no ratings to train on")]
    NoRatings,
    /// A parameter is out of its range.
    #[error("{name} must be {range}, not {value}")]
    Parameter {
        /// The parameter's name.
        name: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        range: &'static str,
    },
    /// A rating names a customer or movie beyond the matrix.
    #[error(
        "there are ratings of customer {customer} or movie {movie} in a matrix of {customers} by {movies}"
    )]
    OutOfBounds {
        /// The customer.
        customer: u32,
        /// The movie.
        movie: u32,
        /// How many customers there are.
        customers: usize,
        /// How many movies there are.
        movies: usize,
    },
    /// A least-squares system has no single solution in single precision.
    #[error("the normal equations of {side} {row} are singular")]
    Singular {
        /// `customer` or `movie`.
        side: &'static str,
        /// Its number, from 0.
        row: usize,
    },
    /// The system would not give this much memory.
    #[error("could not allocate {bytes} bytes")]
    OutOfMemory {
        /// How much was asked for.
        bytes: usize,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// [`Error::Cancelled`] once the flag is set.
pub(crate) fn check(cancelled: &AtomicBool) -> Result<(), Error> {
    if cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
}
