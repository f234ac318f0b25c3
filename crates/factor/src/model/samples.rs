//! How the samples of a Bayesian model lie in a row's vector; the vector of any other model is a single one.
//!
//! A customer's part of each sample is `[p, b_u, 1] / √count`, and a movie's is `[q, 1, b_i] / √count`: the factors, and two
//! entries for biases. The product of two whole rows is then the mean of what the samples predict, but for what the model keeps
//! beside: the mean of all ratings, and the mean of each row's biases. What tells rows apart by taste is their factors alone.

use ndarray::ArrayView1;

/// The layout of rows with so many samples of so many factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Samples {
    count: usize,
    /// Of one sample.
    factors: usize,
}

/// Entries of a sample beside its factors.
const BIASES: usize = 2;

impl Samples {
    /// `count` samples of `factors` factors; of 1, the factors alone: no Bayesian model has fewer than 2.
    pub fn new(count: usize, factors: usize) -> Samples {
        Samples { count: count.max(1), factors }
    }

    /// The layout of rows that have `length` entries in all. Where they are not a whole number of samples, they are taken for
    /// one vector of factors.
    pub fn of_rows(count: usize, length: usize) -> Samples {
        match length.checked_div(count) {
            Some(each) if count > 1 && each >= BIASES && length.is_multiple_of(count) => {
                Samples { count, factors: each - BIASES }
            }
            _ => Samples { count: 1, factors: length },
        }
    }

    /// How many samples there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Factors of one sample.
    pub(crate) fn factors(&self) -> usize {
        self.factors
    }

    /// Entries of one sample.
    fn each(&self) -> usize {
        self.factors + if self.count > 1 { BIASES } else { 0 }
    }

    /// Entries of a row.
    pub fn length(&self) -> usize {
        self.count.saturating_mul(self.each())
    }

    /// Where each sample lies in a row.
    pub(crate) fn parts(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        (0..self.count).map(move |sample| sample * self.each()..(sample + 1) * self.each())
    }

    /// Where the factors of each sample lie in a row.
    pub(crate) fn vectors(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        self.parts().map(move |part| part.start..part.start + self.factors)
    }

    /// The product of the factors of two rows of one side, biases left aside: of samples, the mean of their products.
    pub fn product(&self, one: &[f32], other: &[f32]) -> f32 {
        let product = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
        self.vectors().map(|of| product(&one[of.clone()], &other[of])).sum()
    }

    /// How far samples scatter about their mean in what they predict of a customer and a movie, before that is cut to the
    /// scale: their standard deviation, in stars. None of a single one, and where either row is all zeros, of which the model
    /// knows nothing.
    pub fn deviation(&self, customer: ArrayView1<'_, f32>, movie: ArrayView1<'_, f32>) -> Option<f32> {
        let is_known =
            |row: ArrayView1<'_, f32>| row.len() == self.length() && row.iter().any(|&entry| entry != 0.0);
        if !is_known(customer) || !is_known(movie) {
            return None;
        }
        let mut spread = Spread::default();
        for part in self.parts() {
            let of = ndarray::Slice::from(part);
            let axis = ndarray::Axis(0);
            spread.add(self, customer.slice_axis(axis, of).dot(&movie.slice_axis(axis, of)));
        }
        spread.deviation(self.count)
    }
}

/// Sums over what the samples predict.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    sum: f64,
    squares: f64,
}

impl Spread {
    /// Adds the product of a customer's and a movie's part of a sample.
    pub fn add(&mut self, samples: &Samples, product: f32) {
        // Each part is divided by the root of the count.
        let predicted = f64::from(product) * samples.count as f64;
        self.sum += predicted;
        self.squares += predicted * predicted;
    }

    /// The standard deviation of so many, at least 2.
    pub fn deviation(&self, count: usize) -> Option<f32> {
        let around = self.squares - self.sum * self.sum / count as f64;
        (count > 1).then(|| (around.max(0.0) / (count - 1) as f64).sqrt() as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_what_is_left_of_a_row_without_its_biases() {
        let samples = Samples::new(3, 2);
        assert_eq!((samples.length(), Samples::of_rows(3, 12)), (12, samples));
        assert_eq!(samples.vectors().collect::<Vec<_>>(), [0..2, 4..6, 8..10]);
        let row = [1.0, 2.0, 9.0, 9.0, 3.0, 4.0, 9.0, 9.0, 5.0, 6.0, 9.0, 9.0];
        assert_eq!(samples.product(&row, &row), 1.0 + 4.0 + 9.0 + 16.0 + 25.0 + 36.0);
        for (count, length) in [(1, 12), (5, 12), (0, 12), (12, 12), (2, 0)] {
            let plain = Samples::of_rows(count, length);
            assert_eq!((plain, plain.length()), (Samples::new(1, length), length));
            assert!(plain.vectors().eq(std::iter::once(0..length)));
        }
    }

    #[test]
    fn the_deviation_is_that_of_what_the_samples_predict() {
        let (samples, scale) = (Samples::new(4, 1), 0.5f32);
        // Predicted are 3, 5, 2 and 6: q · p and both biases.
        let customer = [[1.0f32, 1.0, 1.0], [2.0, 0.0, 1.0], [1.0, 0.0, 1.0], [1.0, 2.0, 1.0]].concat();
        let movie = [[1.0f32, 1.0, 1.0], [2.0, 1.0, 1.0], [1.0, 1.0, 1.0], [3.0, 1.0, 1.0]].concat();
        let scaled = |row: &[f32]| row.iter().map(|entry| entry * scale).collect::<ndarray::Array1<_>>();
        let (customer, movie) = (scaled(&customer), scaled(&movie));
        let expected = ((1.0 + 1.0 + 4.0 + 4.0) / 3.0f32).sqrt();
        assert!((samples.deviation(customer.view(), movie.view()).unwrap() - expected).abs() < 1e-6);
        let nobody = ndarray::Array1::zeros(12);
        assert_eq!(samples.deviation(nobody.view(), movie.view()), None);
        assert_eq!(Samples::new(1, 12).deviation(customer.view(), movie.view()), None);
        assert_eq!(samples.deviation(customer.view(), ndarray::Array1::zeros(3).view()), None);
    }
}
