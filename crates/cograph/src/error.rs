//! What can go wrong.

/// What can go wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The computation was cancelled.
    #[error("the computation was cancelled")]
    Cancelled,
    /// The system refused memory.
    #[error("out of memory: {bytes} bytes")]
    OutOfMemory {
        /// How many bytes were refused.
        bytes: usize,
    },
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
    /// An edge that the graph cannot have.
    #[error("the edge from {from} to {to} has the weight {weight}: weights must be above 0 and finite")]
    Weight {
        /// One end.
        from: u32,
        /// The other end.
        to: u32,
        /// The weight.
        weight: f64,
    },
    /// The weights are so large that their sum overflows.
    #[error("the sum of the weights is not finite")]
    Weights,
    /// From the rating matrix.
    #[error(transparent)]
    Ratings(#[from] factor::Error),
    /// An iterative method did not come to rest.
    #[error("{measure} did not converge in {iterations} iterations: the last one changed it by {change:.1e}")]
    NotConverged {
        /// The measure.
        measure: &'static str,
        /// The iterations that were made.
        iterations: usize,
        /// The sum of the absolute changes in the last one.
        change: f64,
    },
}
