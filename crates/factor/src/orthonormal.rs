//! Orthonormal bases of tall blocks, and singular values of small ones.

use std::sync::atomic::AtomicBool;

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as apply,
    apply_block_householder_sequence_transpose_on_the_left_in_place_with_conj as apply_transposed,
};
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{ColMut, Conj, Mat, MatMut, MatRef, Par};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use crate::Error;
use crate::error::check;
use crate::memory::{try_vec, zeros};

/// Columns that are reduced together, and columns that the reflections found are then applied to, between two looks at
/// the flag.
const PANEL: usize = 64;
const COLUMNS_A_TURN: usize = 128;
/// Multiplications in a product between two looks at the flag: some hundredths of a second.
const PRODUCTS_A_TURN: usize = 1 << 26;

/// Rows of a leaf: as many as the processor's cache holds of a block of usual width, and always enough of them to a
/// column for the leaves' triangles to be far less than the block.
fn rows_a_leaf(columns: usize) -> usize {
    (4 * columns).max(1024)
}

/// Bytes that [`orthonormalize`] takes beside its block, and [`singular_values`] at another time.
pub(crate) fn memory(rows: usize, columns: usize, threads: usize) -> usize {
    let leaf = rows_a_leaf(columns);
    // Triangles of triangles are a quarter of them at most. A leaf is copied, its basis beside it; the only one, or the last,
    // has up to twice the rows.
    let triangles = rows / leaf * columns * columns * 4 / 3;
    let leaves = 2 * (2 * leaf + leaf * threads.saturating_sub(1)) * columns;
    let square = 12 * columns * columns;
    (triangles + leaves + square) * size_of::<f64>()
}

/// Replaces a block of at least as many rows as columns by Q, and gives R, columns × columns and upper triangular, where
/// the block was `Q · R` and Q's columns are orthonormal, whatever the block's rank.
///
/// Leaves of a fixed number of rows are reduced by Householder's reflections at the same time, and then their triangles,
/// one below the other, by the same again (TSQR; Demmel, Grigori, Hoemmen and Langou 2012, "Communication-optimal
/// parallel and sequential QR and LU factorizations"). That is as accurate as reflections of the whole block are. A
/// Cholesky factor of the Gram matrix would be found with fewer multiplications, but not where columns depend on each
/// other, as those of few ratings do. No number of threads changes a bit.
pub(crate) fn orthonormalize(
    mut block: ArrayViewMut2<'_, f64>,
    cancelled: &AtomicBool,
) -> Result<Array2<f64>, Error> {
    let (rows, columns) = block.dim();
    let leaves = rows / rows_a_leaf(columns);
    if leaves < 2 {
        return orthonormalize_leaf(block, cancelled);
    }
    let mut triangles = zeros((leaves * columns, columns))?;
    let reduced = pairs(block.view_mut(), triangles.view_mut(), leaves).into_par_iter();
    reduced.try_for_each(|(leaf, mut triangle)| {
        triangle.assign(&orthonormalize_leaf(leaf, cancelled)?);
        Ok(())
    })?;
    let r = orthonormalize(triangles.view_mut(), cancelled)?;
    let turned = pairs(block, triangles.view_mut(), leaves).into_par_iter();
    let rows_a_turn = rows_a_turn(columns, columns);
    turned.try_for_each(|(mut leaf, triangle)| {
        for mut rows in leaf.axis_chunks_iter_mut(Axis(0), rows_a_turn) {
            check(cancelled)?;
            let of_leaf = rows.to_owned();
            general_mat_mul(1.0, &of_leaf, &triangle, 0.0, &mut rows);
        }
        Ok(())
    })?;
    Ok(r)
}

/// The leaves of a block, the last of which has what rows are left over, each with its triangle.
fn pairs<'a>(
    mut block: ArrayViewMut2<'a, f64>,
    triangles: ArrayViewMut2<'a, f64>,
    leaves: usize,
) -> Vec<(ArrayViewMut2<'a, f64>, ArrayViewMut2<'a, f64>)> {
    let (rows, columns) = (rows_a_leaf(block.ncols()), block.ncols());
    let mut pairs = Vec::with_capacity(leaves);
    let mut rest = triangles;
    for _ in 1..leaves {
        let (leaf, later) = block.split_at(Axis(0), rows);
        let (triangle, later_triangles) = rest.split_at(Axis(0), columns);
        (block, rest) = (later, later_triangles);
        pairs.push((leaf, triangle));
    }
    pairs.push((block, rest));
    pairs
}

/// [`orthonormalize`] by one thread: panel by panel, each one's reflections being applied to all columns behind it.
fn orthonormalize_leaf(
    mut block: ArrayViewMut2<'_, f64>,
    cancelled: &AtomicBool,
) -> Result<Array2<f64>, Error> {
    let (rows, columns) = block.dim();
    let mut numbers = try_vec(rows * columns)?;
    let mut reduced = MatMut::from_column_major_slice_mut(&mut numbers, rows, columns);
    for ((row, column), &number) in block.indexed_iter() {
        reduced[(row, column)] = number;
    }
    let mut buffer = buffer(scratch(rows))?;
    let stack = MemStack::new(&mut buffer);
    let mut factors = Vec::new();
    for from in (0..columns).step_by(PANEL) {
        check(cancelled)?;
        let width = PANEL.min(columns - from);
        let (_, below) = reduced.rb_mut().split_at_row_mut(from);
        let (panel, behind) = below.split_at_col_mut(from + width);
        let mut panel = panel.subcols_mut(from, width);
        let mut factor = Mat::zeros(recommended_block_size::<f64>(rows - from, width), width);
        qr_in_place(panel.rb_mut(), factor.as_mut(), Par::Seq, stack, Default::default());
        each_turn(behind, cancelled, |turn| {
            apply_transposed(panel.rb(), factor.as_ref(), Conj::No, turn, Par::Seq, stack);
        })?;
        factors.push((from, factor));
    }
    let mut r = zeros((columns, columns))?;
    for ((row, column), number) in r.indexed_iter_mut() {
        *number = if row <= column { reduced[(row, column)] } else { 0.0 };
    }
    let mut basis = try_vec(rows * columns)?;
    let mut basis = MatMut::from_column_major_slice_mut(&mut basis, rows, columns);
    (0..columns).for_each(|column| basis[(column, column)] = 1.0);
    for (from, factor) in factors.iter().rev() {
        let panel = reduced.rb().submatrix(*from, *from, rows - from, factor.ncols());
        // Columns before it have nothing yet in the rows that it reflects.
        let (_, below) = basis.rb_mut().split_at_row_mut(*from);
        let (_, behind) = below.split_at_col_mut(*from);
        each_turn(behind, cancelled, |turn| {
            apply(panel, factor.as_ref(), Conj::No, turn, Par::Seq, stack);
        })?;
    }
    for ((row, column), number) in block.indexed_iter_mut() {
        *number = basis[(row, column)];
    }
    Ok(r)
}

/// What a panel's reduction, or one application of its reflections, needs beside its numbers.
fn scratch(rows: usize) -> StackReq {
    let size = PANEL.max(recommended_block_size::<f64>(rows, PANEL));
    qr_in_place_scratch::<f64>(rows, PANEL, size, Par::Seq, Default::default()).or(apply_scratch::<f64>(
        rows,
        size,
        COLUMNS_A_TURN,
    ))
}

fn buffer(scratch: StackReq) -> Result<MemBuffer, Error> {
    MemBuffer::try_new(scratch).map_err(|_| Error::OutOfMemory { bytes: scratch.size_bytes() })
}

/// Does something to all columns, a few at a time.
fn each_turn(
    mut matrix: MatMut<'_, f64>,
    cancelled: &AtomicBool,
    mut does: impl FnMut(MatMut<'_, f64>),
) -> Result<(), Error> {
    let columns = matrix.ncols();
    for from in (0..columns).step_by(COLUMNS_A_TURN) {
        check(cancelled)?;
        does(matrix.rb_mut().subcols_mut(from, COLUMNS_A_TURN.min(columns - from)));
    }
    Ok(())
}

/// Rows of a product between two looks at the flag.
fn rows_a_turn(inner: usize, columns: usize) -> usize {
    (PRODUCTS_A_TURN / (inner * columns).max(1)).clamp(1, 1024)
}

/// `out = tall · small` in single precision, in rayon's current pool. No number of threads changes a bit.
pub(crate) fn multiply_tall(
    tall: ArrayView2<'_, f64>,
    small: ArrayView2<'_, f64>,
    mut out: ArrayViewMut2<'_, f32>,
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    let rows = rows_a_turn(small.nrows(), small.ncols());
    let turns = out.axis_chunks_iter_mut(Axis(0), rows).into_par_iter();
    turns.zip(tall.axis_chunks_iter(Axis(0), rows)).try_for_each(|(mut out, tall)| {
        check(cancelled)?;
        out.zip_mut_with(&tall.dot(&small), |out, &number| *out = number as f32);
        Ok(())
    })
}

/// `U`, `Σ` and `V` of a small square matrix `U · Σ · Vᵀ`, the singular values descending.
pub(crate) struct Singular {
    pub left: Array2<f64>,
    pub values: Vec<f64>,
    pub right: Array2<f64>,
}

/// The singular value decomposition of a square matrix.
pub(crate) fn singular_values(square: &Array2<f64>) -> Result<Singular, Error> {
    let size = square.nrows();
    let (mut numbers, mut u, mut v) = (try_vec(size * size)?, try_vec(size * size)?, try_vec(size * size)?);
    let mut matrix = MatMut::from_column_major_slice_mut(&mut numbers, size, size);
    for ((row, column), &number) in square.indexed_iter() {
        matrix[(row, column)] = number;
    }
    let mut u = MatMut::from_column_major_slice_mut(&mut u, size, size);
    let mut v = MatMut::from_column_major_slice_mut(&mut v, size, size);
    let mut values: Vec<f64> = try_vec(size)?;
    let all = ComputeSvdVectors::Thin;
    let mut buffer = buffer(svd_scratch::<f64>(size, size, all, all, Par::Seq, Default::default()))?;
    svd(
        matrix.rb(),
        ColMut::from_slice_mut(&mut values).as_diagonal_mut(),
        Some(u.rb_mut()),
        Some(v.rb_mut()),
        Par::Seq,
        MemStack::new(&mut buffer),
        Default::default(),
    )
    .map_err(|_| Error::NoConvergence)?;
    Ok(Singular { left: copy(u.rb())?, values, right: copy(v.rb())? })
}

fn copy(from: MatRef<'_, f64>) -> Result<Array2<f64>, Error> {
    let mut to = zeros((from.nrows(), from.ncols()))?;
    to.indexed_iter_mut().for_each(|(place, number)| *number = from[place]);
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::generator;
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
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_basis_is_orthonormal_and_the_product_is_the_block(
            (columns, more) in (1usize..150, 0usize..5000), rank in 0usize..150, scale in -200i32..200, seed: i64,
        ) {
            let rows = columns + more;
            // Of any rank, and of columns of very different lengths.
            let rank = rank.min(columns);
            let mut block = normal(rows, rank, seed).dot(&normal(rank, columns, !seed));
            for (column, mut numbers) in block.columns_mut().into_iter().enumerate() {
                numbers *= 10f64.powf(-(column as f64) / 10.0) * 2f64.powi(scale);
            }
            let mut q = block.clone();
            let r = orthonormalize(q.view_mut(), &GO).unwrap();
            let size = block.iter().fold(0.0f64, |most, entry| entry.abs().max(most));
            prop_assert!(difference(&q.t().dot(&q), &Array2::eye(columns)) < 1e-12);
            prop_assert!(difference(&q.dot(&r), &block) <= 1e-12 * size, "{} of {size}", difference(&q.dot(&r), &block));
        }

        #[test]
        fn a_decomposition_is_of_its_matrix(size in 1usize..60, rank in 0usize..60, seed: i64) {
            let rank = rank.min(size);
            let square = normal(size, rank, seed).dot(&normal(rank, size, !seed));
            let Singular { left, values, right } = singular_values(&square).unwrap();
            prop_assert!(values.windows(2).all(|pair| pair[0] >= pair[1]) && values.iter().all(|&s| s >= 0.0));
            prop_assert!(difference(&left.t().dot(&left), &Array2::eye(size)) < 1e-12);
            prop_assert!(difference(&right.t().dot(&right), &Array2::eye(size)) < 1e-12);
            let product = (left * &ndarray::Array1::from_vec(values)).dot(&right.t());
            prop_assert!(difference(&product, &square) < 1e-10);
        }
    }
}
