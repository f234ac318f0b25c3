//! How far predictions are from ratings.

/// Errors of predictions on some ratings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// How many ratings were predicted.
    pub n: u64,
    /// Root mean squared error, in stars.
    pub rmse: f64,
    /// Mean squared error.
    pub mse: f64,
    /// Mean absolute error, in stars.
    pub mae: f64,
    /// Mean absolute percentage error: the mean of |error| / rating, times 100.
    pub mape: f64,
}

impl Metrics {
    /// Compares pairs of prediction and rating; `None` where there are none.
    pub fn of(pairs: impl Iterator<Item = (f32, u8)>) -> Option<Metrics> {
        let (mut n, mut squared, mut absolute, mut relative) = (0u64, 0.0, 0.0, 0.0);
        for (prediction, rating) in pairs {
            let error = (f64::from(prediction) - f64::from(rating)).abs();
            n += 1;
            squared += error * error;
            absolute += error;
            relative += error / f64::from(rating);
        }
        let mean = |sum: f64| sum / n as f64;
        let mse = mean(squared);
        (n > 0).then(|| Metrics {
            n,
            rmse: mse.sqrt(),
            mse,
            mae: mean(absolute),
            mape: 100.0 * mean(relative),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_sum_done_by_hand() {
        let metrics = Metrics::of([(3.5, 4), (2.0, 1), (5.0, 5), (1.0, 4)].into_iter()).unwrap();
        assert_eq!(metrics.n, 4);
        assert!((metrics.mse - (0.25 + 1.0 + 0.0 + 9.0) / 4.0).abs() < 1e-12);
        assert!((metrics.rmse - (10.25f64 / 4.0).sqrt()).abs() < 1e-12);
        assert!((metrics.mae - 4.5 / 4.0).abs() < 1e-12);
        assert!((metrics.mape - 100.0 * (0.125 + 1.0 + 0.0 + 0.75) / 4.0).abs() < 1e-12);
        assert_eq!(Metrics::of(std::iter::empty()), None);
    }
}
