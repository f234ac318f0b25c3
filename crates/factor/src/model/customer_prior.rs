//! The prior of all customers in each sample of a Bayesian model, which [`crate::Algorithm::fold_in`] needs.

use ndarray::{Array1, Array2};

use crate::error::Error;
use crate::memory::try_vec;

/// The layout of [`crate::Model::prior`]. A customer's unknowns are the factors and, last, the bias. For each sample there are
/// the mean of the unknowns, and then the upper triangle of their precision matrix, row by row, divided by the precision of the
/// ratings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CustomerPrior {
    unknowns: usize,
}

impl CustomerPrior {
    /// The layout for samples of `factors` factors.
    pub fn of(factors: usize) -> CustomerPrior {
        CustomerPrior { unknowns: factors + 1 }
    }

    /// How many entries one sample has.
    fn sample_length(self) -> usize {
        self.unknowns.saturating_mul(self.unknowns + 3) / 2
    }

    /// How many entries `samples` samples have.
    pub fn length(self, samples: usize) -> usize {
        samples.saturating_mul(self.sample_length())
    }

    /// Zeros for `samples` samples.
    pub fn zeros(self, samples: usize) -> Result<Vec<f32>, Error> {
        try_vec(self.length(samples))
    }

    /// Writes the entries of a sample. `precision` is the precision matrix, and `of_ratings` the precision of the ratings.
    pub fn write(
        self,
        prior: &mut [f32],
        sample: usize,
        mean: &Array1<f64>,
        precision: &Array2<f64>,
        of_ratings: f64,
    ) {
        let entries = prior.iter_mut().skip(sample * self.sample_length());
        let rows = precision.rows().into_iter().enumerate();
        let triangle = rows.flat_map(|(row, entries)| entries.into_iter().skip(row));
        let triangle = triangle.map(|entry| entry / of_ratings);
        entries.zip(mean.iter().copied().chain(triangle)).for_each(|(to, from)| *to = from as f32);
    }

    /// A sample's mean and the triangle of its precision matrix.
    pub fn sample(self, prior: &[f32], sample: usize) -> (&[f32], &[f32]) {
        prior[sample * self.sample_length()..][..self.sample_length()].split_at(self.unknowns)
    }

    /// `to += P · vector`, where P is the symmetric matrix with this upper triangle.
    pub fn multiply(self, triangle: &[f32], vector: &[f64], to: &mut [f64]) {
        let mut rest = triangle;
        for row in 0..self.unknowns {
            let (entries, below) = rest.split_at(self.unknowns - row);
            rest = below;
            to[row] += f64::from(entries[0]) * vector[row];
            for (column, &entry) in (row + 1..).zip(&entries[1..]) {
                to[row] += f64::from(entry) * vector[column];
                to[column] += f64::from(entry) * vector[row];
            }
        }
    }

    /// Writes a triangle to the upper half of a matrix (unknowns × unknowns).
    pub fn fill(self, triangle: &[f32], matrix: &mut [f64]) {
        let mut rest = triangle;
        for (row, to) in matrix.chunks_exact_mut(self.unknowns).enumerate() {
            let (entries, below) = rest.split_at(self.unknowns - row);
            rest = below;
            to[row..].iter_mut().zip(entries).for_each(|(to, &entry)| *to = entry.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_that_was_written_is_the_one_that_multiplies() {
        let layout = CustomerPrior::of(2);
        let mut prior = layout.zeros(2).unwrap();
        assert_eq!(prior.len(), 2 * (3 + 6));
        let matrix = ndarray::array![[4.0, 1.0, 2.0], [1.0, 6.0, 8.0], [2.0, 8.0, 10.0]];
        layout.write(&mut prior, 1, &ndarray::array![0.5, -0.5, 0.25], &matrix, 2.0);
        assert_eq!(prior[..9], [0.0; 9]);
        let (mean, triangle) = layout.sample(&prior, 1);
        assert_eq!((mean, triangle), (&[0.5, -0.5, 0.25][..], &[2.0, 0.5, 1.0, 3.0, 4.0, 5.0][..]));
        let mut product = [100.0, 0.0, 0.0];
        layout.multiply(triangle, &[1.0, 10.0, 100.0], &mut product);
        assert_eq!(product, [207.0, 430.5, 541.0]);
        let mut full = [0.0; 9];
        layout.fill(triangle, &mut full);
        assert_eq!(full, [2.0, 0.5, 1.0, 0.0, 3.0, 4.0, 0.0, 0.0, 5.0]);
    }
}
