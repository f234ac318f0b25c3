//! The errors of predictions.

/// The errors of predictions, over some ratings. An error is the prediction less the rating.
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
    /// Coefficient of determination: `1 - Σ error² / Σ (rating - mean)²`, with the mean of these ratings. If all ratings are the
    /// same, it is 1 if there are no errors and 0 otherwise, as in scikit-learn.
    pub r2: f64,
    /// Mean error, in stars: above 0 if predictions are too high.
    pub bias: f64,
}

/// Sums of errors. The sums are whole numbers, so that the order of adding changes no bit of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorSums {
    n: u64,
    squared: u128,
    absolute: u128,
    relative: u128,
    signed: i128,
    ratings: u64,
    squared_ratings: u64,
    /// Whether an error was NaN or infinite.
    is_undefined: bool,
}

/// The unit of the sums: 2^-56 stars, which is finer than single precision.
const UNIT: f64 = 1.0 / (1u64 << 56) as f64;

impl ErrorSums {
    /// Adds the error of a prediction. `rating` must be 1 to 5, because the relative error divides by it.
    pub fn add(&mut self, prediction: f32, rating: u8) {
        let signed = f64::from(prediction) - f64::from(rating);
        let error = signed.abs();
        let units = |error: f64| (error / UNIT) as u128;
        self.n += 1;
        self.squared = self.squared.saturating_add(units(error * error));
        self.absolute = self.absolute.saturating_add(units(error));
        self.relative = self.relative.saturating_add(units(error / f64::from(rating)));
        self.signed = self.signed.saturating_add((signed / UNIT) as i128);
        self.ratings += u64::from(rating);
        self.squared_ratings += u64::from(rating).pow(2);
        self.is_undefined |= !error.is_finite();
    }

    /// The sums over these errors and others.
    pub fn plus(mut self, others: ErrorSums) -> ErrorSums {
        self.n += others.n;
        self.squared = self.squared.saturating_add(others.squared);
        self.absolute = self.absolute.saturating_add(others.absolute);
        self.relative = self.relative.saturating_add(others.relative);
        self.signed = self.signed.saturating_add(others.signed);
        self.ratings += others.ratings;
        self.squared_ratings += others.squared_ratings;
        self.is_undefined |= others.is_undefined;
        self
    }

    /// The means of the errors. `None` if there are none.
    pub fn metrics(&self) -> Option<Metrics> {
        let n = self.n as f64;
        let mean = |sum: u128| if self.is_undefined { f64::NAN } else { sum as f64 * UNIT / n };
        let mse = mean(self.squared);
        let (mae, mape) = (mean(self.absolute), 100.0 * mean(self.relative));
        // n Σ r² - (Σ r)² is a whole number, so no digit is lost in the difference.
        let scaled = u128::from(self.n) * u128::from(self.squared_ratings) - u128::from(self.ratings).pow(2);
        let r2 = match (scaled, self.squared) {
            _ if self.is_undefined => f64::NAN,
            (0, 0) => 1.0,
            (0, _) => 0.0,
            _ => 1.0 - mse * n * n / scaled as f64,
        };
        let bias = if self.is_undefined { f64::NAN } else { self.signed as f64 * UNIT / n };
        (self.n > 0).then(|| Metrics { n: self.n, rmse: mse.sqrt(), mse, mae, mape, r2, bias })
    }
}

impl Metrics {
    /// The errors of pairs of a prediction and a rating. `None` if there are none.
    pub fn of(pairs: impl Iterator<Item = (f32, u8)>) -> Option<Metrics> {
        let mut errors = ErrorSums::default();
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
        assert!((metrics.bias - (-0.5 + 1.0 + 0.0 - 3.0) / 4.0).abs() < 1e-12);
        // The ratings' mean is 3.5, and their squared distances from it add up to 9.
        assert!((metrics.r2 - (1.0 - 10.25 / 9.0)).abs() < 1e-12);
        assert_eq!(Metrics::of(std::iter::empty()), None);
    }

    #[test]
    fn equal_ratings_have_no_variance_to_explain() {
        assert_eq!(Metrics::of([(4.0, 4), (4.0, 4)].into_iter()).unwrap().r2, 1.0);
        assert_eq!(Metrics::of([(4.0, 4), (3.0, 4)].into_iter()).unwrap().r2, 0.0);
    }

    #[test]
    fn no_order_changes_a_bit() {
        let pairs = (0..1000u32).map(|n| (1.0 + (n * 7919 % 4001) as f32 / 1000.0, 1 + (n % 5) as u8));
        let pairs = pairs.collect::<Vec<_>>();
        let forwards = Metrics::of(pairs.iter().copied());
        assert_eq!(forwards, Metrics::of(pairs.iter().rev().copied()));
        let sums = pairs.chunks(77).map(|pairs| {
            let mut errors = ErrorSums::default();
            pairs.iter().for_each(|&(prediction, rating)| errors.add(prediction, rating));
            errors
        });
        assert_eq!(forwards, sums.fold(ErrorSums::default(), |one, other| other.plus(one)).metrics());
        let naive = pairs.iter().map(|&(p, r)| (f64::from(p) - f64::from(r)).powi(2)).sum::<f64>() / 1000.0;
        assert!((forwards.unwrap().mse - naive).abs() < 1e-12);
    }

    #[test]
    fn a_prediction_that_is_not_finite_is_not_lost() {
        assert!(Metrics::of([(3.5, 4), (f32::NAN, 1)].into_iter()).unwrap().rmse.is_nan());
        assert!(Metrics::of([(3.5, 4), (f32::INFINITY, 1)].into_iter()).unwrap().mae.is_nan());
    }
}
