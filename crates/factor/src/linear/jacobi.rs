//! The singular value decomposition of a square matrix by Jacobi's rotations: each makes two rows orthogonal, until all are
//! (Hestenes 1958, "Inversion of matrices by biorthogonalization and related results"). Rotations whose blocks differ are rotated
//! at the same time, and the flag is looked at between any two blocks.

#![allow(unsafe_code)] // functions compiled for instruction sets found at run time

use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::Array2;
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::linear::dense_product::Number;
use crate::memory::{try_vec, zeros};

/// Rotations in a block: a pair of blocks stays in the processor's second cache while its rows are rotated.
const BLOCK: usize = 16;
/// Sweeps over all pairs of rows after which there is no hope. Some six to ten are needed.
const SWEEPS: usize = 60;

/// `U`, `Σ` and `V` of a square matrix `U · Σ · Vᵀ`, the singular values descending. U is orthogonal; V's columns are as far as
/// their singular values are not lost in rounding, and zeros from there on.
pub(crate) struct Singular {
    pub left: Array2<f64>,
    pub values: Vec<f64>,
    pub right: Array2<f64>,
}

/// Bytes that [`singular_values`] takes beside its matrix, of so many rows, with what it gives.
pub(crate) fn memory(size: usize) -> usize {
    4 * size * size * size_of::<f64>()
}

/// The singular value decomposition of a square matrix, in rayon's current pool. No number of threads changes a bit.
/// [`Error::NoConvergence`] where it holds what is no finite number.
pub(crate) fn singular_values(square: &Array2<f64>, cancelled: &AtomicBool) -> Result<Singular, Error> {
    let size = square.nrows();
    // A row and what it was made of: its combination of the matrix's rows.
    let mut numbers: Vec<f64> = try_vec(2 * size * size)?;
    for (row, (numbers, entries)) in numbers.chunks_exact_mut(2 * size).zip(square.rows()).enumerate() {
        numbers.iter_mut().zip(entries).for_each(|(to, &entry)| *to = entry);
        numbers[size + row] = 1.0;
    }
    let total = numbers
        .chunks_exact(2 * size)
        .map(|row| products::<false>(&row[..size], &row[..size])[0])
        .sum::<f64>();
    if !total.is_finite() {
        return Err(Error::NoConvergence);
    }
    let rows = Rotations {
        size,
        orthogonal: f64::EPSILON * (size as f64).sqrt(),
        nothing: f64::EPSILON.powi(2) * total,
    };
    let mut blocks = numbers.chunks_mut(BLOCK * 2 * size).collect::<Vec<_>>();
    if blocks.len() % 2 == 1 {
        blocks.push(&mut []);
    }
    for _ in 0..SWEEPS {
        let is_rotated = AtomicBool::new(false);
        blocks.par_iter_mut().try_for_each(|block| {
            check(cancelled)?;
            is_rotated.fetch_or(rows.rotate(block, None), Ordering::Relaxed);
            Ok(())
        })?;
        // As in a tournament: the first block stays, the others move on, and each meets each other once.
        for _ in 1..blocks.len() {
            let half = blocks.len() / 2;
            let (ones, others) = blocks.split_at_mut(half);
            ones.par_iter_mut().zip(others.par_iter_mut().rev()).try_for_each(|(one, other)| {
                check(cancelled)?;
                is_rotated.fetch_or(rows.rotate(one, Some(other)), Ordering::Relaxed);
                Ok(())
            })?;
            blocks[1..].rotate_right(1);
        }
        if !is_rotated.into_inner() {
            return sorted(&numbers, size);
        }
    }
    Err(Error::NoConvergence)
}

/// What rotations are asked to do.
#[derive(Clone, Copy)]
struct Rotations {
    /// Numbers in a row, behind which stand as many of its combination.
    size: usize,
    /// The cosine up to which two rows are orthogonal.
    orthogonal: f64,
    /// The squared length up to which a row is what rounding left of zeros.
    nothing: f64,
}

impl Rotations {
    /// Makes each row of a block orthogonal to each of another, or of its own; says whether one was not.
    fn rotate(self, one: &mut [f64], other: Option<&mut [f64]>) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: found on this machine.
                return unsafe { self.rotate_avx512(one, other) };
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: as above.
                return unsafe { self.rotate_avx2(one, other) };
            }
        }
        self.rotate_all::<false>(one, other)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn rotate_avx512(self, one: &mut [f64], other: Option<&mut [f64]>) -> bool {
        self.rotate_all::<true>(one, other)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn rotate_avx2(self, one: &mut [f64], other: Option<&mut [f64]>) -> bool {
        self.rotate_all::<true>(one, other)
    }

    #[inline(always)]
    fn rotate_all<const FUSED: bool>(self, mut one: &mut [f64], mut other: Option<&mut [f64]>) -> bool {
        let mut is_rotated = false;
        while !one.is_empty() {
            let (row, later) = one.split_at_mut(2 * self.size);
            for against in other.as_deref_mut().unwrap_or(later).chunks_exact_mut(2 * self.size) {
                is_rotated |= self.rotate_two::<FUSED>(row, against);
            }
            one = later;
        }
        is_rotated
    }

    #[inline(always)]
    fn rotate_two<const FUSED: bool>(self, one: &mut [f64], other: &mut [f64]) -> bool {
        let [square, products, other_square] = products::<FUSED>(&one[..self.size], &other[..self.size]);
        // Roots apart: their product may be beyond all numbers, or below.
        let lengths = square.sqrt() * other_square.sqrt();
        if square.min(other_square) <= self.nothing || products.abs() <= self.orthogonal * lengths {
            return false;
        }
        let slope = (other_square - square) / (2.0 * products);
        let tangent = slope.signum() / (slope.abs() + slope.hypot(1.0));
        let cosine = 1.0 / tangent.hypot(1.0);
        let sine = cosine * tangent;
        for (one, other) in one.iter_mut().zip(other) {
            let (a, b) = (*one, *other);
            *one = f64::add_product::<FUSED>(cosine * a, -sine, b);
            *other = f64::add_product::<FUSED>(cosine * b, sine, a);
        }
        true
    }
}

/// The scalar products of one with itself, with the other, and of the other with itself.
#[inline(always)]
fn products<const FUSED: bool>(one: &[f64], other: &[f64]) -> [f64; 3] {
    const LANES: usize = 16;
    let mut sums = [[0.0; LANES]; 3];
    let (ones, others) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest = ones.remainder().iter().zip(others.remainder());
    for (one, other) in ones.zip(others) {
        for lane in 0..LANES {
            let (a, b) = (one[lane], other[lane]);
            sums[0][lane] = f64::add_product::<FUSED>(sums[0][lane], a, a);
            sums[1][lane] = f64::add_product::<FUSED>(sums[1][lane], a, b);
            sums[2][lane] = f64::add_product::<FUSED>(sums[2][lane], b, b);
        }
    }
    let mut sums = sums.map(|lanes| lanes.iter().sum::<f64>());
    for (&a, &b) in rest {
        sums = [sums[0] + a * a, sums[1] + a * b, sums[2] + b * b];
    }
    sums
}

/// The decomposition that rows are which are orthogonal to each other.
fn sorted(numbers: &[f64], size: usize) -> Result<Singular, Error> {
    let mut lengths: Vec<(f64, usize)> = Vec::new();
    lengths
        .try_reserve_exact(size)
        .map_err(|_| Error::OutOfMemory { bytes: size * size_of::<(f64, usize)>() })?;
    let length = |row: &[f64]| products::<false>(&row[..size], &row[..size])[0].sqrt();
    lengths.extend(numbers.chunks_exact(2 * size).map(length).zip(0..));
    lengths.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    let (mut left, mut right): (Array2<f64>, Array2<f64>) = (zeros((size, size))?, zeros((size, size))?);
    let mut values = try_vec(size)?;
    let noise = lengths.first().map_or(0.0, |&(length, _)| length * f64::EPSILON * size as f64);
    for (column, &(length, row)) in lengths.iter().enumerate() {
        let row = &numbers[row * 2 * size..][..2 * size];
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

    /// The largest difference between two matrices' entries.
    fn difference(one: &Array2<f64>, other: &Array2<f64>) -> f64 {
        (one - other).iter().fold(0.0, |most, entry| entry.abs().max(most))
    }

    proptest! {
        #[test]
        fn a_decomposition_is_of_its_matrix(size in 1usize..90, rank in 0usize..90, scale in -150i32..150, seed: i64) {
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
    fn it_ends_where_there_is_nothing_to_find_and_when_it_is_told() {
        assert_eq!(singular_values(&Array2::zeros((5, 5)), &GO).unwrap().values, [0.0; 5]);
        let mut broken = Array2::<f64>::eye(5);
        broken[(3, 2)] = f64::NAN;
        assert_eq!(singular_values(&broken, &GO).err(), Some(Error::NoConvergence));
        assert_eq!(singular_values(&Array2::eye(40), &AtomicBool::new(true)).err(), Some(Error::Cancelled));
    }
}
