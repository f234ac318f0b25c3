//! Predictions without factors: damped means and biases.

use crate::{Error, Model, RatingMatrix, Side};

/// Ratings of average kindness assumed of each movie before its own count.
pub const MOVIE_DAMPING: f64 = 25.0;
/// The same of each customer.
pub const CUSTOMER_DAMPING: f64 = 10.0;

/// A mean drawn towards what is usual, the more so the fewer ratings it stands on:
/// `(count · mean + damping · usual) / (count + damping)`.
pub fn damped_mean(count: u64, mean: f64, usual: f64, damping: f64) -> f64 {
    let count = count as f64;
    (count * mean + damping * usual) / (count + damping)
}

/// Damped biases, movies first (Koren 2010, "Factor in the neighbors", section 2.1): a model of no factors.
pub fn biases(matrix: &RatingMatrix) -> Result<Model, Error> {
    let mut customers = Side::zeros(matrix.by_customer.rows(), 0)?;
    let mut movies = Side::zeros(matrix.by_movie.rows(), 0)?;
    movies.biases.iter_mut().enumerate().for_each(|(movie, bias)| *bias = movie_bias(matrix, movie));
    for (customer, bias) in customers.biases.iter_mut().enumerate() {
        let (others, values) = matrix.by_customer.row(customer);
        let rest = |(&movie, &value): (&u32, &u8)| {
            f64::from(value) - matrix.mean() - f64::from(movies.biases[movie as usize])
        };
        let above = others.iter().zip(values).map(rest).sum::<f64>();
        *bias = (above / (values.len() as f64 + CUSTOMER_DAMPING)) as f32;
    }
    Ok(Model { mean: matrix.mean() as f32, customers, movies })
}

/// A movie's damped bias: how much better than the mean it is liked.
pub fn movie_bias(matrix: &RatingMatrix, movie: usize) -> f32 {
    let (_, values) = matrix.by_movie.row(movie);
    let (count, total) = (values.len() as f64, values.iter().map(|&value| u64::from(value)).sum::<u64>());
    ((total as f64 - count * matrix.mean()) / (count + MOVIE_DAMPING)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ratings;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn few_ratings_move_a_bias_little() {
        let mut ratings = Ratings::default();
        for customer in 0..100 {
            ratings.push(customer, 0, 3);
        }
        ratings.push(0, 1, 5);
        let matrix = RatingMatrix::new(100, 3, &ratings, &AtomicBool::new(false)).unwrap();
        let model = biases(&matrix).unwrap();
        let mean = 305.0 / 101.0;
        assert!((model.mean - mean).abs() < 1e-6);
        assert!((model.movies.biases[1] - (5.0 - mean) / 26.0).abs() < 1e-6);
        assert_eq!(model.movies.biases[2], 0.0);
        // Customer 50 gave the first movie, its 3 stars alone; customer 0 the other one 5, too.
        let first = (300.0 - 100.0 * mean) / 125.0;
        let usual = (3.0 - mean - first) / 11.0;
        assert!((model.customers.biases[50] - usual).abs() < 1e-6);
        let both = (3.0 - mean - first + 5.0 - mean - (5.0 - mean) / 26.0) / 12.0;
        assert!((model.customers.biases[0] - both).abs() < 1e-6);
        assert!((model.predict(50, 2) - (mean + usual)).abs() < 1e-6);
        assert!((damped_mean(1, 5.0, 3.0, 3.0) - 3.5).abs() < 1e-12);
    }
}
