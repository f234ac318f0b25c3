//! Orthonormal bases of tall matrices: the QR decomposition by Householder reflections, in parallel.

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::linear::dense_product::add_product;
use crate::memory::zeros;
use crate::rows::RowChunks;

/// Columns that are reduced together.
const QR_PANEL: usize = 16;
/// Columns that a panel's reflections are applied to between two checks of the cancel flag.
const REFLECTED_COLUMNS_PER_CHECK: usize = 128;
/// Rows of a leaf that are multiplied between two checks of the cancel flag.
const LEAF_ROWS_PER_CHECK: usize = 64;

/// Rows of a leaf. A leaf of usual width fits into the processor's cache. There are always at least four rows for each column, so
/// that the triangles of all leaves are far smaller than the block.
fn rows_per_leaf(columns: usize) -> usize {
    (4 * columns).max(1024)
}

/// Bytes that [`orthonormalize`] takes besides its block, rows x columns, on so many threads.
pub(crate) fn memory(rows: usize, columns: usize, threads: usize) -> usize {
    let leaf = rows_per_leaf(columns);
    let leaves = rows / leaf;
    // The triangles are reduced in the same way, and their triangles are at most a quarter of them: 4/3 in all. The last leaf, or
    // the only one, has up to twice the rows of the others.
    let triangles = if leaves < 2 { 0 } else { leaves * columns * columns * 4 / 3 };
    let leaf = |rows: usize| rows * (columns + QR_PANEL) + 2 * columns * (columns + QR_PANEL);
    let threads = threads.min(leaves.max(1));
    let leaves = leaf(rows.min(2 * rows_per_leaf(columns))) + (threads - 1) * leaf(rows_per_leaf(columns));
    (triangles + leaves) * size_of::<f64>()
}

/// Replaces a block `Q · R` by `Q`, and returns `R`. The block has at least as many rows as columns. The columns of `Q` are
/// orthonormal, whatever the rank of the block, and `R` is upper triangular, columns x columns.
///
/// The block is divided into leaves of a fixed number of rows. Householder reflections reduce each leaf to a triangle, in parallel.
/// The triangles, one below the other, are a smaller block, which is reduced in the same way (TSQR; Demmel, Grigori, Hoemmen and
/// Langou 2012, "Communication-optimal parallel and sequential QR and LU factorizations"). This is as accurate as reflections of
/// the whole block. A Cholesky factorisation of the Gram matrix would need fewer multiplications, but fails where columns depend
/// on each other, as columns with few ratings do. The number of threads changes no bit.
pub(crate) fn orthonormalize(
    mut block: ArrayViewMut2<'_, f64>,
    cancelled: &AtomicBool,
) -> Result<Array2<f64>, Error> {
    let (rows, columns) = block.dim();
    let leaves = rows / rows_per_leaf(columns);
    if leaves < 2 {
        return orthonormalize_leaf(block, cancelled);
    }
    let mut triangles = zeros((leaves * columns, columns))?;
    let reduced = leaves_with_triangles(block.view_mut(), triangles.view_mut(), leaves)?.into_par_iter();
    reduced.try_for_each(|(leaf, mut triangle)| {
        triangle.assign(&orthonormalize_leaf(leaf, cancelled)?);
        Ok(())
    })?;
    let r = orthonormalize(triangles.view_mut(), cancelled)?;
    // Each leaf's Q times its part of the triangles' Q.
    let multiplied = leaves_with_triangles(block, triangles.view_mut(), leaves)?.into_par_iter();
    multiplied.try_for_each(|(mut leaf, triangle)| {
        let mut copy: Array2<f64> = zeros((LEAF_ROWS_PER_CHECK, columns))?;
        for mut rows in leaf.axis_chunks_iter_mut(Axis(0), LEAF_ROWS_PER_CHECK) {
            check(cancelled)?;
            let mut copy = copy.slice_mut(s![..rows.nrows(), ..]);
            copy.assign(&rows);
            rows.fill(0.0);
            add_product(1.0, copy.view(), triangle.view(), rows);
        }
        Ok(())
    })?;
    Ok(r)
}

/// The leaves of a block, each with its triangle. The last leaf also has the rows that do not fill a leaf of their own.
fn leaves_with_triangles<'a>(
    mut block: ArrayViewMut2<'a, f64>,
    triangles: ArrayViewMut2<'a, f64>,
    leaves: usize,
) -> Result<Vec<(ArrayViewMut2<'a, f64>, ArrayViewMut2<'a, f64>)>, Error> {
    let (rows, columns) = (rows_per_leaf(block.ncols()), block.ncols());
    let mut pairs = Vec::new();
    pairs
        .try_reserve_exact(leaves)
        .map_err(|_| Error::OutOfMemory { bytes: leaves * size_of_val(&block) * 2 })?;
    let mut remaining = triangles;
    for _ in 1..leaves {
        let (leaf, later) = block.split_at(Axis(0), rows);
        let (triangle, later_triangles) = remaining.split_at(Axis(0), columns);
        (block, remaining) = (later, later_triangles);
        pairs.push((leaf, triangle));
    }
    pairs.push((block, remaining));
    Ok(pairs)
}

/// [`orthonormalize`] by one thread, panel by panel. The reflections of a panel, `I - V T Vᵀ` together, are applied to all columns
/// behind it (Schreiber and Van Loan 1989, "A storage-efficient WY representation for products of Householder transformations").
fn orthonormalize_leaf(
    mut block: ArrayViewMut2<'_, f64>,
    cancelled: &AtomicBool,
) -> Result<Array2<f64>, Error> {
    let (rows, columns) = block.dim();
    // V of the present panel, whose part below the diagonal is kept in the block; T of each panel, one below the other; and a
    // buffer for products with V and T.
    let mut vectors: Array2<f64> = zeros((rows, QR_PANEL))?;
    let mut triangles: Array2<f64> = zeros((columns.next_multiple_of(QR_PANEL), QR_PANEL))?;
    let mut products: Array2<f64> = zeros((2 * QR_PANEL, REFLECTED_COLUMNS_PER_CHECK))?;
    for from in (0..columns).step_by(QR_PANEL) {
        let panel = from..(from + QR_PANEL).min(columns);
        let mut below = block.slice_mut(s![from.., ..]);
        let mut vectors = vectors.slice_mut(s![from.., ..panel.len()]);
        vectors.assign(&below.slice(s![.., panel.clone()]));
        let triangle = triangles.slice_mut(s![from..from + panel.len(), ..panel.len()]);
        reduce(&mut vectors, triangle, cancelled)?;
        below.slice_mut(s![.., panel.clone()]).assign(&vectors);
        unit_lower(&mut vectors);
        // The reflections in reverse order, hence Tᵀ.
        let triangle = triangles.slice(s![from..from + panel.len(), ..panel.len()]);
        let behind = below.slice_mut(s![.., panel.end..]);
        reflect(vectors.view(), triangle.t(), behind, &mut products, cancelled)?;
    }
    let mut r = zeros((columns, columns))?;
    for (row, mut entries) in r.rows_mut().into_iter().enumerate() {
        entries.slice_mut(s![row..]).assign(&block.slice(s![row, row..]));
    }
    let mut basis: Array2<f64> = zeros((rows, columns))?;
    basis.diag_mut().fill(1.0);
    for from in (0..columns).step_by(QR_PANEL).rev() {
        let panel = from..(from + QR_PANEL).min(columns);
        let mut vectors = vectors.slice_mut(s![from.., ..panel.len()]);
        vectors.assign(&block.slice(s![from.., panel.clone()]));
        unit_lower(&mut vectors);
        let triangle = triangles.slice(s![from..from + panel.len(), ..panel.len()]);
        // Earlier columns are still zero in the rows that this panel reflects.
        reflect(vectors.view(), triangle, basis.slice_mut(s![from.., from..]), &mut products, cancelled)?;
    }
    block.assign(&basis);
    Ok(r)
}

/// Reduces a panel to an upper triangle by one reflection `I - τ v vᵀ` for each column. The first entry of each `v` is 1; its other
/// entries replace the panel's entries that become zero. Writes `T` of all reflections to `triangle`.
fn reduce(
    panel: &mut ArrayViewMut2<'_, f64>,
    mut triangle: ArrayViewMut2<'_, f64>,
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    let width = panel.ncols();
    triangle.fill(0.0);
    for column in 0..width {
        check(cancelled)?;
        let mut below = panel.slice_mut(s![column.., ..]);
        let largest = below.column(column).iter().fold(0.0f64, |most, entry| most.max(entry.abs()));
        // A column of zeros needs no reflection. A NaN stays NaN.
        if largest == 0.0 {
            continue;
        }
        // Scaled, so that squares neither overflow nor underflow.
        let squares = below.column(column).iter().map(|entry| (entry / largest).powi(2)).sum::<f64>();
        let first = below[(0, column)];
        let length = -(largest * squares.sqrt()).copysign(first);
        let tau = (length - first) / length;
        let scale = 1.0 / (first - length);
        below.column_mut(column).iter_mut().skip(1).for_each(|entry| *entry *= scale);
        below[(0, column)] = length;
        // vᵀ times each column of the panel: the columns before are needed for T, and the columns behind are reflected.
        let mut products = [0.0; QR_PANEL];
        for (row, entries) in below.rows().into_iter().enumerate() {
            let v = if row == 0 { 1.0 } else { entries[column] };
            products.iter_mut().zip(entries).for_each(|(sum, entry)| *sum += v * entry);
        }
        for (row, mut entries) in below.rows_mut().into_iter().enumerate() {
            let v = if row == 0 { 1.0 } else { entries[column] };
            let behind = entries.iter_mut().zip(&products).skip(column + 1);
            behind.for_each(|(entry, product)| *entry -= tau * v * product);
        }
        for row in 0..column {
            let sum = (row..column).map(|other| triangle[(row, other)] * products[other]).sum::<f64>();
            triangle[(row, column)] = -tau * sum;
        }
        triangle[(column, column)] = tau;
    }
    Ok(())
}

/// Makes `V` of a reduced panel: ones on the diagonal and zeros above it.
fn unit_lower(panel: &mut ArrayViewMut2<'_, f64>) {
    for row in 0..panel.ncols() {
        panel.slice_mut(s![row, row + 1..]).fill(0.0);
        panel[(row, row)] = 1.0;
    }
}

/// `matrix -= V · T · Vᵀ · matrix`, some columns at a time. `products` is a buffer.
fn reflect(
    vectors: ArrayView2<'_, f64>,
    triangle: ArrayView2<'_, f64>,
    mut matrix: ArrayViewMut2<'_, f64>,
    products: &mut Array2<f64>,
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    for mut columns in matrix.axis_chunks_iter_mut(Axis(1), REFLECTED_COLUMNS_PER_CHECK) {
        check(cancelled)?;
        let (mut v_products, mut t_products) = products.view_mut().split_at(Axis(0), QR_PANEL);
        let mut v_products = v_products.slice_mut(s![..vectors.ncols(), ..columns.ncols()]);
        let mut t_products = t_products.slice_mut(s![..vectors.ncols(), ..columns.ncols()]);
        v_products.fill(0.0);
        add_product(1.0, vectors.t(), columns.view(), v_products.view_mut());
        t_products.fill(0.0);
        add_product(1.0, triangle, v_products.view(), t_products.view_mut());
        add_product(-1.0, vectors, t_products.view(), columns.view_mut());
    }
    Ok(())
}

/// `out = tall · small`, rounded to single precision, in rayon's current pool. `tall` is rows x inner, `small` is inner x columns.
/// The number of threads changes no bit.
pub(crate) fn multiply_tall(
    tall: ArrayView2<'_, f64>,
    small: ArrayView2<'_, f64>,
    mut out: ArrayViewMut2<'_, f32>,
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    let chunks = RowChunks::of_products(small.dim());
    chunks.for_each(chunks.split_mut(&mut out).zip(chunks.split(&tall)), cancelled, |_, (mut out, tall)| {
        let mut product = zeros(out.dim())?;
        add_product(1.0, tall, small, product.view_mut());
        out.zip_mut_with(&product, |out, &entry: &f64| *out = entry as f32);
        Ok(())
    })
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
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_basis_is_orthonormal_and_the_product_is_the_block(
            (columns, more) in (1usize..150, 0usize..5000), rank in 0usize..150, scale in -200i32..200, seed: i64,
        ) {
            let rows = columns + more;
            // A block of any rank, with columns of very different lengths.
            let rank = rank.min(columns);
            let mut block = normal(rows, rank, seed).dot(&normal(rank, columns, !seed));
            for (column, mut entries) in block.columns_mut().into_iter().enumerate() {
                entries *= 10f64.powf(-(column as f64) / 10.0) * 2f64.powi(scale);
            }
            let mut q = block.clone();
            let r = orthonormalize(q.view_mut(), &GO).unwrap();
            let size = block.iter().fold(0.0f64, |most, entry| entry.abs().max(most));
            prop_assert!(difference(&q.t().dot(&q), &Array2::eye(columns)) < 1e-12);
            prop_assert!(difference(&q.dot(&r), &block) <= 1e-12 * size, "{} of {size}", difference(&q.dot(&r), &block));
        }
    }
}
