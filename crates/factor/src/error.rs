//! The errors of this crate. [`crate::ArchiveError`] has those of reading an archive.

use std::sync::atomic::{AtomicBool, Ordering};

/// Why a computation failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// There are no ratings to train on.
    #[error("there are no ratings to train on")]
    NoRatings,
    /// A parameter is out of its range.
    #[error("{name} must be {range}, not {value}")]
    Parameter {
        /// The parameter's name.
        name: &'static str,
        /// Its value.
        value: String,
        /// The values that it may have, in words that follow 'must be'.
        range: String,
    },
    /// There is no algorithm of this name.
    #[error("there is no algorithm \"{name}\"")]
    Algorithm {
        /// The name that was given.
        name: String,
    },
    /// A parameter is unknown, or its value has the wrong type.
    #[error("{text}")]
    Params {
        /// The whole message, which names the parameter.
        text: String,
    },
    /// A rating is of a customer or movie that the matrix has no row for.
    #[error(
        "customer {customer} or movie {movie} is beyond a matrix of {customers} customers by {movies} movies"
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
    /// A least-squares system is singular in single precision.
    #[error("the normal equations of {side} {row} are singular")]
    Singular {
        /// `customer` or `movie`.
        side: &'static str,
        /// Its row, counted from 0.
        row: usize,
    },
    /// The steps of gradient descent were too long: the errors grew instead of shrinking.
    #[error("training diverged in iteration {iteration}: errors or factors grew beyond all bounds")]
    Diverged {
        /// The iteration, counted from 1.
        iteration: usize,
    },
    /// A dense decomposition did not converge, because its entries are not finite.
    #[error("a dense decomposition did not converge")]
    NoConvergence,
    /// A Bayesian model was stored without its prior, which fold-in needs.
    #[error("the {algorithm} model was stored without the prior that fold-in needs")]
    NoFoldIn {
        /// The algorithm.
        algorithm: &'static str,
    },
    /// A customer's ratings have many solutions, because there is no regularization.
    #[error("{ratings} ratings do not determine a customer's factors without regularization")]
    Undetermined {
        /// How many ratings there are.
        ratings: usize,
    },
    /// The system refused memory.
    #[error("could not allocate {bytes} bytes")]
    OutOfMemory {
        /// How many bytes were requested.
        bytes: usize,
    },
    /// The cancel flag was set.
    #[error("cancelled")]
    Cancelled,
}

/// [`Error::Cancelled`] if the cancel flag is set.
pub(crate) fn check(cancelled: &AtomicBool) -> Result<(), Error> {
    if cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
}
