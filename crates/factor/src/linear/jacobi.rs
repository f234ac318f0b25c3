//! The singular value decomposition of a square matrix by one-sided Jacobi rotations: each rotation makes two rows orthogonal to
//! each other, until all rows are (Hestenes 1958, "Inversion of matrices by biorthogonalization and related results").
//!
//! Rows are divided into blocks. Pairs of different blocks are rotated in parallel, and the cancel flag is checked before each
//! pair.

#![allow(unsafe_code)] // kernels compiled for instruction sets found at run time

use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::Array2;
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::linear::dense_product::Float;
use crate::memory::{try_vec, zeros};
use crate::simd::vector::{Portable, Vector};
use crate::simd::{InstructionSet, Kernel};

/// Rows of a block. Two blocks of usual length stay in the second-level cache while their rows are rotated.
const ROWS_PER_BLOCK: usize = 16;
/// Sweeps over all pairs of rows before the decomposition is given up. Six to ten are usually enough.
const MAX_SWEEPS: usize = 60;

/// The decomposition `U · Σ · Vᵀ` of a square matrix.
pub(crate) struct Singular {
    /// `U`, size x size, orthogonal.
    pub left: Array2<f64>,
    /// The diagonal of `Σ`, descending.
    pub values: Vec<f64>,
    /// `V`, size x size. Its columns are orthonormal, except that they are zero where the singular value is only rounding error.
    pub right: Array2<f64>,
}

/// Bytes that [`singular_values`] takes besides its matrix, size x size, its result included.
pub(crate) fn memory(size: usize) -> usize {
    4 * size * size * size_of::<f64>()
}

/// The singular value decomposition of a square matrix, in rayon's current pool. The number of threads changes no bit.
/// Returns [`Error::NoConvergence`] if an entry is infinite or NaN.
pub(crate) fn singular_values(square: &Array2<f64>, cancelled: &AtomicBool) -> Result<Singular, Error> {
    let size = square.nrows();
    // Each row of the matrix, followed by the combination of the original rows that it is. These combinations become Uᵀ.
    let mut rows: Vec<f64> = try_vec(2 * size * size)?;
    for (index, (row, entries)) in rows.chunks_exact_mut(2 * size).zip(square.rows()).enumerate() {
        row.iter_mut().zip(entries).for_each(|(to, &entry)| *to = entry);
        row[size + index] = 1.0;
    }
    let total = rows
        .chunks_exact(2 * size)
        .map(|row| products::<Portable>(&row[..size], &row[..size])[0])
        .sum::<f64>();
    if !total.is_finite() {
        return Err(Error::NoConvergence);
    }
    let rotations = Rotations {
        size,
        orthogonal: f64::EPSILON * (size as f64).sqrt(),
        zero: f64::EPSILON.powi(2) * total,
    };
    let mut blocks = rows.chunks_mut(ROWS_PER_BLOCK * 2 * size).collect::<Vec<_>>();
    if blocks.len() % 2 == 1 {
        blocks.push(&mut []);
    }
    for _ in 0..MAX_SWEEPS {
        let is_rotated = AtomicBool::new(false);
        blocks.par_iter_mut().try_for_each(|block| {
            check(cancelled)?;
            is_rotated.fetch_or(rotations.rotate(block, None), Ordering::Relaxed);
            Ok(())
        })?;
        // Each pair of blocks once, as in a round-robin tournament: the first block stays, and the others move on.
        for _ in 1..blocks.len() {
            let half = blocks.len() / 2;
            let (front, back) = blocks.split_at_mut(half);
            front.par_iter_mut().zip(back.par_iter_mut().rev()).try_for_each(|(a, b)| {
                check(cancelled)?;
                is_rotated.fetch_or(rotations.rotate(a, Some(b)), Ordering::Relaxed);
                Ok(())
            })?;
            blocks[1..].rotate_right(1);
        }
        if !is_rotated.into_inner() {
            return sorted(&rows, size);
        }
    }
    Err(Error::NoConvergence)
}

/// The rotations of rows. All have the same limits.
#[derive(Clone, Copy)]
struct Rotations {
    /// Entries of a row of the matrix. As many follow, its combination of the original rows.
    size: usize,
    /// Two rows count as orthogonal if the cosine of their angle is at most this.
    orthogonal: f64,
    /// A row counts as zero if its squared length is at most this: it is only rounding error.
    zero: f64,
}

impl Rotations {
    /// Makes each row of block `a` orthogonal to each row of block `b`, or to the other rows of `a` if there is no `b`. Returns
    /// whether any rows were rotated.
    fn rotate(self, a: &mut [f64], b: Option<&mut [f64]>) -> bool {
        InstructionSet::fastest().run(RotateBlocks { rotations: self, a, b })
    }

    #[inline(always)]
    fn rotate_blocks<V: Vector>(self, mut a: &mut [f64], mut b: Option<&mut [f64]>) -> bool {
        let mut is_rotated = false;
        while !a.is_empty() {
            let (row, later) = a.split_at_mut(2 * self.size);
            for other in b.as_deref_mut().unwrap_or(later).chunks_exact_mut(2 * self.size) {
                is_rotated |= self.rotate_rows::<V>(row, other);
            }
            a = later;
        }
        is_rotated
    }

    /// Rotates two rows `a` and `b` so that they become orthogonal. Returns `false` if they already are.
    #[inline(always)]
    fn rotate_rows<V: Vector>(self, a: &mut [f64], b: &mut [f64]) -> bool {
        let [a_square, product, b_square] = products::<V>(&a[..self.size], &b[..self.size]);
        // Separate roots, because the product of the squares may overflow or underflow.
        let lengths = a_square.sqrt() * b_square.sqrt();
        if a_square.min(b_square) <= self.zero || product.abs() <= self.orthogonal * lengths {
            return false;
        }
        let slope = (b_square - a_square) / (2.0 * product);
        let tangent = slope.signum() / (slope.abs() + slope.hypot(1.0));
        let cosine = 1.0 / tangent.hypot(1.0);
        let sine = cosine * tangent;
        for (a, b) in a.iter_mut().zip(b) {
            let (old_a, old_b) = (*a, *b);
            *a = (cosine * old_a).add_product::<V>(-sine, old_b);
            *b = (cosine * old_b).add_product::<V>(sine, old_a);
        }
        true
    }
}

/// The arguments of [`Rotations::rotate`].
struct RotateBlocks<'a> {
    rotations: Rotations,
    a: &'a mut [f64],
    b: Option<&'a mut [f64]>,
}

impl Kernel for RotateBlocks<'_> {
    type Output = bool;

    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> bool {
        self.rotations.rotate_blocks::<V>(self.a, self.b)
    }
}

/// The scalar products `a · a`, `a · b` and `b · b`.
#[inline(always)]
fn products<V: Vector>(a: &[f64], b: &[f64]) -> [f64; 3] {
    const LANES: usize = 16;
    let mut sums = [[0.0; LANES]; 3];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let remainder = a_chunks.remainder().iter().zip(b_chunks.remainder());
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            let (a, b) = (a[lane], b[lane]);
            sums[0][lane] = sums[0][lane].add_product::<V>(a, a);
            sums[1][lane] = sums[1][lane].add_product::<V>(a, b);
            sums[2][lane] = sums[2][lane].add_product::<V>(b, b);
        }
    }
    let mut sums = sums.map(|lanes| lanes.iter().sum::<f64>());
    for (&a, &b) in remainder {
        sums = [sums[0] + a * a, sums[1] + a * b, sums[2] + b * b];
    }
    sums
}

/// The decomposition, from rows that are orthogonal to each other: their lengths are the singular values.
fn sorted(rows: &[f64], size: usize) -> Result<Singular, Error> {
    let mut lengths: Vec<(f64, usize)> = Vec::new();
    lengths
        .try_reserve_exact(size)
        .map_err(|_| Error::OutOfMemory { bytes: size * size_of::<(f64, usize)>() })?;
    let length = |row: &[f64]| products::<Portable>(&row[..size], &row[..size])[0].sqrt();
    lengths.extend(rows.chunks_exact(2 * size).map(length).zip(0..));
    lengths.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let (mut left, mut right): (Array2<f64>, Array2<f64>) = (zeros((size, size))?, zeros((size, size))?);
    let mut values = try_vec(size)?;
    let noise = lengths.first().map_or(0.0, |&(length, _)| length * f64::EPSILON * size as f64);
    for (column, &(length, row)) in lengths.iter().enumerate() {
        let row = &rows[row * 2 * size..][..2 * size];
        values[column] = length;
        left.column_mut(column).iter_mut().zip(&row[size..]).for_each(|(to, &entry)| *to = entry);
        if length > noise {
            right.column_mut(column).iter_mut().zip(row).for_each(|(to, &entry)| *to = entry / length);
        }
    }
    Ok(Singular { left, values, right })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::generator;
    use proptest::prelude::*;
    use rand_distr::{Distribution, StandardNormal};

    static GO: AtomicBool = AtomicBool::new(false);

    fn normal(rows: usize, columns: usize, seed: i64) -> Array2<f64> {
        let mut rng = generator(seed);
        Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(&mut rng))
    }

    /// The largest difference between entries of two matrices.
    fn difference(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
        (a - b).iter().fold(0.0, |most, entry| entry.abs().max(most))
    }

    proptest! {
        #[test]
        fn a_decomposition_gives_the_matrix_again(size in 1usize..90, rank in 0usize..90, scale in -150i32..150, seed: i64) {
            let rank = rank.min(size);
            let scale = 2f64.powi(scale);
            let square = normal(size, rank, seed).dot(&normal(rank, size, !seed)) * scale;
            let Singular { left, values, right } = singular_values(&square, &GO).unwrap();
            prop_assert!(values.windows(2).all(|pair| pair[0] >= pair[1]) && values.iter().all(|&s| s >= 0.0));
            prop_assert!(difference(&left.t().dot(&left), &Array2::eye(size)) < 1e-12);
            let found = values.iter().filter(|&&value| value > 1e-12 * values[0]).count();
            let mut unit = Array2::zeros((size, size));
            (0..size).filter(|&n| right.column(n).iter().any(|&entry| entry != 0.0)).for_each(|n| unit[(n, n)] = 1.0);
            prop_assert!((0..found).all(|n| unit[(n, n)] == 1.0));
            let right_products = right.t().dot(&right);
            let (within, unit) = (right_products.slice(ndarray::s![..found, ..found]).to_owned(), Array2::eye(found));
            prop_assert!(difference(&within, &unit) < 1e-12, "{}", difference(&within, &unit));
            let naive = faer::Mat::from_fn(size, size, |row, column| square[(row, column)]).singular_values().unwrap();
            prop_assert!(values.iter().zip(naive).all(|(ours, naive)| (ours - naive).abs() <= 1e-11 * scale * (1.0 + naive / scale)));
            let product = (left * &ndarray::Array1::from_vec(values)).dot(&right.t());
            prop_assert!(difference(&product, &square) < 1e-10 * scale);
        }
    }

    #[test]
    fn zeros_end_at_once_and_nan_and_a_cancel_are_errors() {
        assert_eq!(singular_values(&Array2::zeros((5, 5)), &GO).unwrap().values, [0.0; 5]);
        let mut broken = Array2::<f64>::eye(5);
        broken[(3, 2)] = f64::NAN;
        assert_eq!(singular_values(&broken, &GO).err(), Some(Error::NoConvergence));
        assert_eq!(singular_values(&Array2::eye(40), &AtomicBool::new(true)).err(), Some(Error::Cancelled));
    }
}
