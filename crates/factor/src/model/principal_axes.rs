//! The two axes along which vectors differ most (Pearson 1901, "On lines and planes of closest fit to systems of points in space").

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, ArrayView2, Axis};

use crate::error::{Error, check};
use crate::linear::jacobi;
use crate::memory::zeros;

/// Where vectors lie on their two principal axes.
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalAxes {
    /// The place of each vector; the mean of all is at 0.
    pub places: Vec<[f64; 2]>,
    /// The share of the variance that each axis explains, 0 to 1.
    pub explained: [f64; 2],
}

/// Bytes that [`principal_axes`] takes for so many vectors of this length, its result included.
pub fn principal_axes_memory(vectors: usize, length: usize) -> usize {
    let gram = vectors.saturating_mul(vectors).saturating_mul(size_of::<f64>());
    jacobi::memory(vectors)
        .saturating_add(gram)
        .saturating_add(vectors.saturating_mul(length).saturating_mul(size_of::<f64>()))
}

/// The principal axes of the rows of a matrix, vectors x length, in rayon's current pool. An axis points to where the vector that lies
/// farthest from 0 on it is positive.
///
/// The decomposition is that of the Gram matrix of the centred vectors, vectors x vectors. [`Error::NoConvergence`] if an entry is
/// infinite or NaN, [`Error::OutOfMemory`], [`Error::Cancelled`].
pub fn principal_axes(vectors: ArrayView2<'_, f32>, cancelled: &AtomicBool) -> Result<PrincipalAxes, Error> {
    let count = vectors.nrows();
    if count == 0 || vectors.ncols() == 0 {
        return Ok(PrincipalAxes { places: vec![[0.0; 2]; count], explained: [0.0; 2] });
    }
    let mut centred: Array2<f64> = zeros((count, vectors.ncols()))?;
    centred.zip_mut_with(&vectors, |to, &from| *to = f64::from(from));
    for mut column in centred.axis_iter_mut(Axis(1)) {
        let mean = column.sum() / count as f64;
        column -= mean;
    }
    check(cancelled)?;
    let mut gram: Array2<f64> = zeros((count, count))?;
    for row in 0..count {
        check(cancelled)?;
        for column in 0..=row {
            let product = centred.row(row).dot(&centred.row(column));
            (gram[(row, column)], gram[(column, row)]) = (product, product);
        }
    }
    let singular = jacobi::singular_values(&gram, cancelled)?;
    let total: f64 = singular.values.iter().sum();
    let mut axes = PrincipalAxes { places: vec![[0.0; 2]; count], explained: [0.0; 2] };
    for axis in 0..count.min(2) {
        let value = singular.values[axis];
        axes.explained[axis] = if total > 0.0 { value / total } else { 0.0 };
        let direction = singular.left.column(axis);
        let farthest =
            direction.iter().copied().fold(0.0, |far: f64, at| if at.abs() > far.abs() { at } else { far });
        for (place, at) in axes.places.iter_mut().zip(direction) {
            place[axis] = at * value.sqrt() * farthest.signum();
        }
    }
    Ok(axes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axes_are_those_of_a_plain_decomposition() {
        let vectors = Array2::from_shape_fn((40, 7), |(row, column)| {
            ((row * 31 + column * 17) % 23) as f32 / (1 + column) as f32
        });
        let axes = principal_axes(vectors.view(), &AtomicBool::new(false)).unwrap();
        let mean = vectors.mean_axis(Axis(0)).unwrap();
        let centred =
            faer::Mat::from_fn(40, 7, |row, column| f64::from(vectors[(row, column)] - mean[column]));
        let singular = centred.thin_svd().unwrap();
        let total: f64 = (0..7).map(|at| singular.S().column_vector()[at].powi(2)).sum();
        for axis in 0..2 {
            let value: f64 = singular.S().column_vector()[axis];
            assert!((axes.explained[axis] - value.powi(2) / total).abs() < 1e-5);
            for row in 0..40 {
                let place = singular.U()[(row, axis)] * value;
                assert!((axes.places[row][axis].abs() - place.abs()).abs() < 1e-4);
            }
            let farthest = axes
                .places
                .iter()
                .map(|place| place[axis])
                .fold(0.0, |far: f64, at| if at.abs() > far.abs() { at } else { far });
            assert!(farthest > 0.0);
        }
    }

    #[test]
    fn few_or_equal_vectors_have_places_too() {
        for (rows, columns) in [(0, 3), (1, 3), (2, 1), (3, 0)] {
            let axes = principal_axes(Array2::ones((rows, columns)).view(), &AtomicBool::new(false)).unwrap();
            assert_eq!(axes.places, vec![[0.0; 2]; rows]);
        }
        assert!(principal_axes(Array2::from_elem((3, 2), f32::NAN).view(), &AtomicBool::new(false)).is_err());
        assert!(principal_axes(Array2::ones((3, 2)).view(), &AtomicBool::new(true)).is_err());
    }
}
