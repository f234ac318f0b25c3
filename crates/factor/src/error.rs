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
        range: String,
    },
    /// There is no such algorithm.
    #[error("there is no algorithm \"{name}\"")]
    Algorithm {
        /// What was asked for.
        name: String,
    },
    /// A parameter is unknown, or no number where it has to be one.
    #[error("{text}")]
    Params {
        /// Which one, and why.
        text: String,
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
    /// Gradient descent went steps so long that errors grew instead of shrinking.
    #[error("training diverged in iteration {iteration}: errors or factors grew beyond all bounds")]
    Diverged {
        /// Which one, from 1.
        iteration: usize,
    },
    /// A dense decomposition did not come to an end: its entries are no finite numbers.
    #[error("a dense decomposition did not converge")]
    NoConvergence,
    /// A model was stored without what customers are found by.
    #[error("the model by {algorithm} was stored without the prior that customers are found by")]
    NoFoldIn {
        /// The algorithm.
        algorithm: &'static str,
    },
    /// Without regularisation, a customer's ratings allow of many solutions.
    #[error("{ratings} ratings do not determine a customer's factors without regularization")]
    Undetermined {
        /// How many there are.
        ratings: usize,
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
