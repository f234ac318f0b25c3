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

/// Errors summed up so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Errors {
    n: u64,
    squared: f64,
    absolute: f64,
    relative: f64,
}

impl Errors {
    /// Adds a prediction's.
    pub fn add(&mut self, prediction: f32, rating: u8) {
        let error = (f64::from(prediction) - f64::from(rating)).abs();
        self.n += 1;
        self.squared += error * error;
        self.absolute += error;
        self.relative += error / f64::from(rating);
    }

    /// Their means; `None` where there are none.
    pub fn metrics(&self) -> Option<Metrics> {
        let mean = |sum: f64| sum / self.n as f64;
        let mse = mean(self.squared);
        let (mae, mape) = (mean(self.absolute), 100.0 * mean(self.relative));
        (self.n > 0).then(|| Metrics { n: self.n, rmse: mse.sqrt(), mse, mae, mape })
    }
}

impl Metrics {
    /// Compares pairs of prediction and rating; `None` where there are none.
    pub fn of(pairs: impl Iterator<Item = (f32, u8)>) -> Option<Metrics> {
        let mut errors = Errors::default();
        pairs.for_each(|(prediction, rating)| errors.add(prediction, rating));
        errors.metrics()
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
