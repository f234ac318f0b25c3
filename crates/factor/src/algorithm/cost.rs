//! What the estimates of training times have in common: how long shared steps take, counted in multiplications.

use crate::algorithm::training::Size;

/// To fetch a row that is in no cache takes as long as this many multiplications.
pub(crate) const FETCH: f64 = 30.0;
/// Iterations of the short training that an estimate measures.
pub(crate) const SHORT_ITERATIONS: usize = 3;
/// Typical number of conjugate gradient steps that the regression of the links takes.
const LINK_STEPS: f64 = 8.0;

/// Customers and movies that have ratings, at most. Rows without ratings are not solved for.
pub(crate) fn rated_rows(size: Size) -> f64 {
    (size.customers.min(size.ratings) + size.movies.min(size.ratings)) as f64
}

/// One sweep of exact least squares over both sides: half of each rating's outer product on each side, and a Cholesky
/// decomposition for each row.
pub(crate) fn least_squares_sweep(factors: f64, rows: f64, ratings: f64) -> f64 {
    let unknowns = factors + 1.0;
    ratings * (unknowns * unknowns + 2.0 * (unknowns + FETCH))
        + rows * (unknowns.powi(3) / 3.0 + FETCH * unknowns)
}

/// The regression of one side's links.
pub(crate) fn link_regression(factors: f64, rows: f64, ratings: f64) -> f64 {
    LINK_STEPS * (2.0 * ratings * (factors + FETCH) + 4.0 * rows * factors)
}
