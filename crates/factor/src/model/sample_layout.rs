//! How the posterior samples of a Bayesian model are laid out in a row's vector. The vector of any other model is a single
//! sample, of factors alone.
//!
//! The part of each sample is `[p, b_u, 1] / √count` in a customer's row and `[q, 1, b_i] / √count` in a movie's row: the
//! factors, and two entries for biases. So the product of a customer's and a movie's row is the mean of the samples'
//! predictions, without two terms that the model stores elsewhere: the mean of all ratings, and for each row the mean of its bias
//! over all samples ([`crate::Side::biases`]). To compare two rows of the same side, use the factors alone.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, ArrayView2, s};

use crate::error::Error;
use crate::memory::zeros;

/// The layout of rows with `count` samples of `factors` factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleLayout {
    count: usize,
    factors: usize,
}

/// Entries of a sample that are not factors.
const BIASES: usize = 2;

impl SampleLayout {
    /// `count` samples of `factors` factors each. With a count of 1 the row has the factors alone; Bayesian models have at least
    /// 2 samples.
    pub fn new(count: usize, factors: usize) -> SampleLayout {
        SampleLayout { count: count.max(1), factors }
    }

    /// The layout of rows that have `length` entries in all. If the length cannot be divided into samples, a row is one
    /// vector of factors.
    pub fn of_row_length(count: usize, length: usize) -> SampleLayout {
        match length.checked_div(count) {
            Some(each) if count > 1 && each >= BIASES && length.is_multiple_of(count) => {
                SampleLayout { count, factors: each - BIASES }
            }
            _ => SampleLayout { count: 1, factors: length },
        }
    }

    /// How many samples there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many factors one sample has.
    pub(crate) fn factors(&self) -> usize {
        self.factors
    }

    /// How many entries one sample has.
    fn sample_length(&self) -> usize {
        self.factors + if self.count > 1 { BIASES } else { 0 }
    }

    /// How many entries a row has.
    pub fn length(&self) -> usize {
        self.count.saturating_mul(self.sample_length())
    }

    /// The entries of a sample in a row. Samples are counted from 0.
    pub(crate) fn sample_range(&self, sample: usize) -> Range<usize> {
        sample * self.sample_length()..(sample + 1) * self.sample_length()
    }

    /// The entries of each sample in a row.
    pub(crate) fn sample_ranges(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.count).map(move |sample| self.sample_range(sample))
    }

    /// The factors of each sample in a row.
    pub(crate) fn factor_ranges(self) -> impl Iterator<Item = Range<usize>> {
        self.sample_ranges().map(move |range| range.start..range.start + self.factors)
    }

    /// The standard deviation of the samples' predictions for a customer's and a movie's row, in stars, before predictions are
    /// clamped to the scale. `None` if there is a single sample, or if a row is all zeros, because then the model knows nothing of
    /// that customer or movie.
    pub fn deviation(&self, customer: ArrayView1<'_, f32>, movie: ArrayView1<'_, f32>) -> Option<f32> {
        let is_known =
            |row: ArrayView1<'_, f32>| row.len() == self.length() && row.iter().any(|&entry| entry != 0.0);
        if !is_known(customer) || !is_known(movie) {
            return None;
        }
        let mut moments = PredictionMoments::default();
        for range in self.sample_ranges() {
            let of = ndarray::Slice::from(range);
            let axis = ndarray::Axis(0);
            moments.add(self, customer.slice_axis(axis, of).dot(&movie.slice_axis(axis, of)));
        }
        moments.deviation(self.count)
    }
}

/// The entries of a row that are factors, and not biases or the like: those by which two rows of the same side are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactorRanges(Vec<Range<usize>>);

impl FactorRanges {
    /// Those of a layout.
    pub fn of(layout: SampleLayout) -> FactorRanges {
        FactorRanges(layout.factor_ranges().collect())
    }

    /// Adds those of another layout, whose row begins at this entry.
    pub(crate) fn extend(&mut self, start: usize, layout: SampleLayout) {
        self.0.extend(layout.factor_ranges().map(|range| start + range.start..start + range.end));
    }

    /// Whether there are no factors.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Range::is_empty)
    }

    /// The factors of some rows, without what else is in them.
    pub fn of_rows(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
        let columns = self.iter().map(|range| range.len()).sum();
        let mut factors = zeros((rows.nrows(), columns))?;
        for (mut to, from) in factors.rows_mut().into_iter().zip(rows.rows()) {
            let mut at = 0;
            for range in self.iter() {
                let length = range.len();
                to.slice_mut(s![at..at + length]).assign(&from.slice(s![range]));
                at += length;
            }
        }
        Ok(factors)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<usize>> {
        self.0.iter().cloned()
    }

    /// The product of the factors of two rows. With several samples, the mean over the samples.
    pub fn product(&self, one: &[f32], other: &[f32]) -> f32 {
        let product = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
        self.iter().map(|range| product(&one[range.clone()], &other[range])).sum()
    }
}

/// The sum and the sum of squares of the samples' predictions for one customer and one movie.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PredictionMoments {
    sum: f64,
    squares: f64,
}

impl PredictionMoments {
    /// Adds a sample's prediction, given the product of the customer's and the movie's part of that sample.
    pub fn add(&mut self, layout: &SampleLayout, product: f32) {
        // Both parts are divided by the square root of the count.
        let predicted = f64::from(product) * layout.count as f64;
        self.sum += predicted;
        self.squares += predicted * predicted;
    }

    /// The standard deviation of `count` predictions. `None` if there are fewer than 2.
    pub fn deviation(&self, count: usize) -> Option<f32> {
        let squares_about_mean = self.squares - self.sum * self.sum / count as f64;
        (count > 1).then(|| (squares_about_mean.max(0.0) / (count - 1) as f64).sqrt() as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factors_are_a_row_without_its_biases() {
        let layout = SampleLayout::new(3, 2);
        assert_eq!((layout.length(), SampleLayout::of_row_length(3, 12)), (12, layout));
        assert_eq!(layout.factor_ranges().collect::<Vec<_>>(), [0..2, 4..6, 8..10]);
        let row = [1.0, 2.0, 9.0, 9.0, 3.0, 4.0, 9.0, 9.0, 5.0, 6.0, 9.0, 9.0];
        assert_eq!(FactorRanges::of(layout).product(&row, &row), 1.0 + 4.0 + 9.0 + 16.0 + 25.0 + 36.0);
        for (count, length) in [(1, 12), (5, 12), (0, 12), (12, 12), (2, 0)] {
            let plain = SampleLayout::of_row_length(count, length);
            assert_eq!((plain, plain.length()), (SampleLayout::new(1, length), length));
            assert!(plain.factor_ranges().eq(std::iter::once(0..length)));
        }
    }

    #[test]
    fn the_deviation_is_that_of_the_predictions_of_the_samples() {
        let (layout, scale) = (SampleLayout::new(4, 1), 0.5f32);
        // The predictions are 3, 5, 2 and 6: q · p and both biases.
        let customer = [[1.0f32, 1.0, 1.0], [2.0, 0.0, 1.0], [1.0, 0.0, 1.0], [1.0, 2.0, 1.0]].concat();
        let movie = [[1.0f32, 1.0, 1.0], [2.0, 1.0, 1.0], [1.0, 1.0, 1.0], [3.0, 1.0, 1.0]].concat();
        let scaled = |row: &[f32]| row.iter().map(|entry| entry * scale).collect::<ndarray::Array1<_>>();
        let (customer, movie) = (scaled(&customer), scaled(&movie));
        let expected = ((1.0 + 1.0 + 4.0 + 4.0) / 3.0f32).sqrt();
        assert!((layout.deviation(customer.view(), movie.view()).unwrap() - expected).abs() < 1e-6);
        let nobody = ndarray::Array1::zeros(12);
        assert_eq!(layout.deviation(nobody.view(), movie.view()), None);
        assert_eq!(SampleLayout::new(1, 12).deviation(customer.view(), movie.view()), None);
        assert_eq!(layout.deviation(customer.view(), ndarray::Array1::zeros(3).view()), None);
    }
}
