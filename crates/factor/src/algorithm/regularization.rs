//! The penalty of a row by its number of ratings. Training and fold-in must agree on it.

/// Ratings that each row is assumed to have beside its own, in the algorithms that have no parameter for it.
pub(crate) const PRIOR_COUNT: f64 = 60.0;

/// The penalty of a row with `ratings` ratings, which multiplies the squared norm of its factors: λ · (n + prior count). Zhou,
/// Wilkinson, Schreiber and Pan (2008, "Large-scale parallel collaborative filtering for the Netflix Prize") have λ · n.
pub(crate) fn ridge(regularization: f64, ratings: usize, prior_count: f64) -> f32 {
    (regularization * (ratings as f64 + prior_count)) as f32
}
