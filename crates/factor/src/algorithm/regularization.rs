//! How strongly a row is regularised, by its number of ratings: the same in training and in folding in.

/// Ratings assumed of each row beside its own when it is regularised, where nothing else is said.
pub(crate) const PRIOR_COUNT: f64 = 60.0;

/// The weight of the squares of a row's factors where it has so many ratings, and `prior` are assumed beside them:
/// λ · (n + prior), after Zhou, Wilkinson, Schreiber and Pan (2008, "Large-scale parallel collaborative filtering for the
/// Netflix Prize"), who have λ · n.
pub(crate) fn ridge(regularization: f64, ratings: usize, prior: f64) -> f32 {
    (regularization * (ratings as f64 + prior)) as f32
}
