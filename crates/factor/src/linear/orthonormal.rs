//! Orthonormal bases of tall blocks.

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::linear::dense_product::add_product;
use crate::memory::zeros;
use crate::rows::Turns;

/// Columns that are reduced together.
const PANEL: usize = 16;
/// Columns that the reflections found are applied to between two checks of the cancel flag.
const REFLECTED_COLUMNS_PER_CHECK: usize = 128;
/// Rows of a leaf that are multiplied between two checks.
const LEAF_ROWS_PER_CHECK: usize = 64;

/// Rows of a leaf: as many as the processor's cache holds of a block of usual width, and always enough of them to a
/// column for the leaves' triangles to be far less than the block.
fn rows_a_leaf(columns: usize) -> usize {
    (4 * columns).max(1024)
}

/// Bytes that [`orthonormalize`] takes beside its block.
pub(crate) fn memory(rows: usize, columns: usize, threads: usize) -> usize {
    let leaf = rows_a_leaf(columns);
    let leaves = rows / leaf;
    // Triangles of triangles are a quarter of them at most. The only leaf, or the last, has up to twice the rows.
    let triangles = if leaves < 2 { 0 } else { leaves * columns * columns * 4 / 3 };
    let leaf = |rows: usize| rows * (columns + PANEL) + 2 * columns * (columns + PANEL);
    let threads = threads.min(leaves.max(1));
    let leaves = leaf(rows.min(2 * rows_a_leaf(columns))) + (threads - 1) * leaf(rows_a_leaf(columns));
    (triangles + leaves) * size_of::<f64>()
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
    let reduced = pairs(block.view_mut(), triangles.view_mut(), leaves)?.into_par_iter();
    reduced.try_for_each(|(leaf, mut triangle)| {
        triangle.assign(&orthonormalize_leaf(leaf, cancelled)?);
        Ok(())
    })?;
    let r = orthonormalize(triangles.view_mut(), cancelled)?;
    let turned = pairs(block, triangles.view_mut(), leaves)?.into_par_iter();
    turned.try_for_each(|(mut leaf, triangle)| {
        let mut of_leaf: Array2<f64> = zeros((LEAF_ROWS_PER_CHECK, columns))?;
        for mut rows in leaf.axis_chunks_iter_mut(Axis(0), LEAF_ROWS_PER_CHECK) {
            check(cancelled)?;
            let mut of_leaf = of_leaf.slice_mut(s![..rows.nrows(), ..]);
            of_leaf.assign(&rows);
            rows.fill(0.0);
            add_product(1.0, of_leaf.view(), triangle.view(), rows);
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
) -> Result<Vec<(ArrayViewMut2<'a, f64>, ArrayViewMut2<'a, f64>)>, Error> {
    let (rows, columns) = (rows_a_leaf(block.ncols()), block.ncols());
    let mut pairs = Vec::new();
    pairs
        .try_reserve_exact(leaves)
        .map_err(|_| Error::OutOfMemory { bytes: leaves * size_of_val(&block) * 2 })?;
    let mut rest = triangles;
    for _ in 1..leaves {
        let (leaf, later) = block.split_at(Axis(0), rows);
        let (triangle, later_triangles) = rest.split_at(Axis(0), columns);
        (block, rest) = (later, later_triangles);
        pairs.push((leaf, triangle));
    }
    pairs.push((block, rest));
    Ok(pairs)
}

/// [`orthonormalize`] by one thread: panel by panel, each one's reflections being applied to all columns behind it, as
/// `I - V T Vᵀ` (Schreiber and Van Loan 1989, "A storage-efficient WY representation for products of Householder
/// transformations").
fn orthonormalize_leaf(
    mut block: ArrayViewMut2<'_, f64>,
    cancelled: &AtomicBool,
) -> Result<Array2<f64>, Error> {
    let (rows, columns) = block.dim();
    // V, of which the block keeps what stands below the diagonal; T of each panel, one below the other; and V's products.
    let mut vectors: Array2<f64> = zeros((rows, PANEL))?;
    let mut triangles: Array2<f64> = zeros((columns.next_multiple_of(PANEL), PANEL))?;
    let mut products: Array2<f64> = zeros((2 * PANEL, REFLECTED_COLUMNS_PER_CHECK))?;
    for from in (0..columns).step_by(PANEL) {
        let panel = from..(from + PANEL).min(columns);
        let mut below = block.slice_mut(s![from.., ..]);
        let mut vectors = vectors.slice_mut(s![from.., ..panel.len()]);
        vectors.assign(&below.slice(s![.., panel.clone()]));
        let triangle = triangles.slice_mut(s![from..from + panel.len(), ..panel.len()]);
        reduce(&mut vectors, triangle, cancelled)?;
        below.slice_mut(s![.., panel.clone()]).assign(&vectors);
        unit_lower(&mut vectors);
        // Of the transposed reflections: Tᵀ.
        let triangle = triangles.slice(s![from..from + panel.len(), ..panel.len()]);
        let behind = below.slice_mut(s![.., panel.end..]);
        reflect(vectors.view(), triangle.t(), behind, &mut products, cancelled)?;
    }
    let mut r = zeros((columns, columns))?;
    for (row, mut numbers) in r.rows_mut().into_iter().enumerate() {
        numbers.slice_mut(s![row..]).assign(&block.slice(s![row, row..]));
    }
    let mut basis: Array2<f64> = zeros((rows, columns))?;
    basis.diag_mut().fill(1.0);
    for from in (0..columns).step_by(PANEL).rev() {
        let panel = from..(from + PANEL).min(columns);
        let mut vectors = vectors.slice_mut(s![from.., ..panel.len()]);
        vectors.assign(&block.slice(s![from.., panel.clone()]));
        unit_lower(&mut vectors);
        let triangle = triangles.slice(s![from..from + panel.len(), ..panel.len()]);
        // Columns before it have nothing yet in the rows that it reflects.
        reflect(vectors.view(), triangle, basis.slice_mut(s![from.., from..]), &mut products, cancelled)?;
    }
    block.assign(&basis);
    Ok(r)
}

/// Reduces a panel to a triangle by reflections `I - τ v vᵀ`, one a column, whose v, but for its 1, takes the place of what it
/// makes zeros of; and makes T of them all.
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
        // Nothing is reflected where there is nothing; what is no number stays so.
        if largest == 0.0 {
            continue;
        }
        // Scaled, so that squares are neither beyond all numbers nor below.
        let squares = below.column(column).iter().map(|entry| (entry / largest).powi(2)).sum::<f64>();
        let first = below[(0, column)];
        let length = -(largest * squares.sqrt()).copysign(first);
        let tau = (length - first) / length;
        let scale = 1.0 / (first - length);
        below.column_mut(column).iter_mut().skip(1).for_each(|entry| *entry *= scale);
        below[(0, column)] = length;
        // vᵀ of the columns before it, for T, and of those behind, which are reflected.
        let mut products = [0.0; PANEL];
        for (row, numbers) in below.rows().into_iter().enumerate() {
            let v = if row == 0 { 1.0 } else { numbers[column] };
            products.iter_mut().zip(numbers).for_each(|(sum, entry)| *sum += v * entry);
        }
        for (row, mut numbers) in below.rows_mut().into_iter().enumerate() {
            let v = if row == 0 { 1.0 } else { numbers[column] };
            let behind = numbers.iter_mut().zip(&products).skip(column + 1);
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

/// The V of a panel that was reduced: ones on its diagonal, zeros above.
fn unit_lower(panel: &mut ArrayViewMut2<'_, f64>) {
    for row in 0..panel.ncols() {
        panel.slice_mut(s![row, row + 1..]).fill(0.0);
        panel[(row, row)] = 1.0;
    }
}

/// `matrix -= V · T · Vᵀ · matrix`, some columns at a time.
fn reflect(
    vectors: ArrayView2<'_, f64>,
    triangle: ArrayView2<'_, f64>,
    mut matrix: ArrayViewMut2<'_, f64>,
    products: &mut Array2<f64>,
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    for mut turn in matrix.axis_chunks_iter_mut(Axis(1), REFLECTED_COLUMNS_PER_CHECK) {
        check(cancelled)?;
        let (mut of_vectors, mut of_triangle) = products.view_mut().split_at(Axis(0), PANEL);
        let mut of_vectors = of_vectors.slice_mut(s![..vectors.ncols(), ..turn.ncols()]);
        let mut of_triangle = of_triangle.slice_mut(s![..vectors.ncols(), ..turn.ncols()]);
        of_vectors.fill(0.0);
        add_product(1.0, vectors.t(), turn.view(), of_vectors.view_mut());
        of_triangle.fill(0.0);
        add_product(1.0, triangle, of_vectors.view(), of_triangle.view_mut());
        add_product(-1.0, vectors, of_triangle.view(), turn.view_mut());
    }
    Ok(())
}

/// `out = tall · small` in single precision, in rayon's current pool. No number of threads changes a bit.
pub(crate) fn multiply_tall(
    tall: ArrayView2<'_, f64>,
    small: ArrayView2<'_, f64>,
    mut out: ArrayViewMut2<'_, f32>,
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    let turns = Turns::of_products(small.dim());
    turns.visit(turns.of_mut(&mut out).zip(turns.of(&tall)), cancelled, |_, (mut out, tall)| {
        let mut product = zeros(out.dim())?;
        add_product(1.0, tall, small, product.view_mut());
        out.zip_mut_with(&product, |out, &number: &f64| *out = number as f32);
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
    }
}
