//! The one way to go through many rows: in chunks, on all threads of rayon's current pool.
//!
//! The cancel flag is checked before each chunk. Sums have a fixed order, so that the number of threads changes no bit.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use ndarray::iter::{AxisChunksIter, AxisChunksIterMut};
use ndarray::parallel::Parallel;
use ndarray::{ArrayBase, Axis, Data, DataMut, RemoveAxis};
use rayon::prelude::*;
use rayon::slice::{Chunks, ChunksMut};

use crate::error::{Error, check};

/// Most rows between two checks of the cancel flag.
pub(crate) const ROWS_PER_CHECK: usize = 1024;
/// Values of these rows between two checks, which matters where rows are long: some milliseconds of work.
const VALUES_PER_CHECK: usize = 1 << 18;
/// Multiplications between two checks, where each row is multiplied by a matrix.
const MULTIPLICATIONS_PER_CHECK: usize = 1 << 26;
/// Partial sums that [`RowChunks::sum_columns`] computes in parallel.
const COLUMN_SUM_PARTS: usize = 32;

/// How rows are divided into chunks: one chunk is the work between two checks of the cancel flag.
///
/// Several arrays that are zipped must be split by the same `RowChunks`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowChunks {
    /// Rows in a chunk.
    rows: usize,
}

impl RowChunks {
    /// Chunks for rows of `len` values.
    pub fn of_length(len: usize) -> RowChunks {
        RowChunks { rows: (VALUES_PER_CHECK / len.max(1)).clamp(1, ROWS_PER_CHECK) }
    }

    /// Chunks for rows that are multiplied by a matrix of this shape, `inner x columns`.
    pub fn of_products((inner, columns): (usize, usize)) -> RowChunks {
        RowChunks { rows: (MULTIPLICATIONS_PER_CHECK / (inner * columns).max(1)).clamp(1, ROWS_PER_CHECK) }
    }

    /// Splits a matrix by rows, or a vector by entries.
    pub fn split<'a, S: Data, D: RemoveAxis>(
        self,
        array: &'a ArrayBase<S, D>,
    ) -> Parallel<AxisChunksIter<'a, S::Elem, D>>
    where
        S::Elem: Sync,
    {
        array.axis_chunks_iter(Axis(0), self.rows).into_par_iter()
    }

    /// Splits a matrix by rows, or a vector by entries, into mutable chunks.
    pub fn split_mut<'a, S: DataMut, D: RemoveAxis>(
        self,
        array: &'a mut ArrayBase<S, D>,
    ) -> Parallel<AxisChunksIterMut<'a, S::Elem, D>>
    where
        S::Elem: Send + Sync,
    {
        array.axis_chunks_iter_mut(Axis(0), self.rows).into_par_iter()
    }

    /// Splits a slice that holds rows of `stride` values one after the other.
    pub fn split_slice<T: Sync>(self, rows: &[T], stride: usize) -> Chunks<'_, T> {
        rows.par_chunks(self.rows * stride)
    }

    /// Splits a slice that holds rows of `stride` values one after the other, into mutable chunks.
    pub fn split_slice_mut<T: Send>(self, rows: &mut [T], stride: usize) -> ChunksMut<'_, T> {
        rows.par_chunks_mut(self.rows * stride)
    }

    /// Calls `visit` for each chunk, with the index of its first row. `chunks` come from [`RowChunks::split`] or one of its
    /// variants; several of them can be zipped.
    pub fn for_each<I: IndexedParallelIterator>(
        self,
        chunks: I,
        cancelled: &AtomicBool,
        visit: impl Fn(usize, I::Item) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        chunks.enumerate().try_for_each(|(index, chunk)| {
            check(cancelled)?;
            visit(index * self.rows, chunk)
        })
    }

    /// As [`RowChunks::for_each`], and joins what `visit` returns, beginning with `zero`. `join` must be associative, because the
    /// grouping of joins is not fixed.
    pub fn reduce<I: IndexedParallelIterator, T: Send>(
        self,
        chunks: I,
        cancelled: &AtomicBool,
        zero: impl Fn() -> T + Sync + Send,
        visit: impl Fn(usize, I::Item) -> T + Sync + Send,
        join: impl Fn(T, T) -> T + Sync + Send,
    ) -> Result<T, Error> {
        let visited = chunks.enumerate().map(|(index, chunk)| {
            check(cancelled)?;
            Ok(visit(index * self.rows, chunk))
        });
        visited.try_reduce(zero, |a, b| Ok(join(a, b)))
    }

    /// How many parts [`RowChunks::sum`] divides so many rows into, if it may divide them into `parts` at most.
    pub fn parts(self, rows: usize, parts: usize) -> usize {
        rows.div_ceil(self.rows_per_part(rows, parts))
    }

    fn rows_per_part(self, rows: usize, parts: usize) -> usize {
        rows.div_ceil(parts).next_multiple_of(self.rows).max(1)
    }

    /// Sums over `rows` rows in a fixed order. The rows are divided into at most `parts` parts of whole chunks. Each part is
    /// added, chunk by chunk, to a sum of its own, which `zero` makes. Then `join` adds the sums of the parts, in their order.
    pub fn sum<T: Send>(
        self,
        rows: usize,
        parts: usize,
        cancelled: &AtomicBool,
        zero: impl Fn() -> Result<T, Error> + Sync,
        add: impl Fn(&mut T, Range<usize>) -> Result<(), Error> + Sync,
        join: impl Fn(&mut T, T),
    ) -> Result<T, Error> {
        let rows_per_part = self.rows_per_part(rows, parts);
        let sums = (0..self.parts(rows, parts)).into_par_iter().map(|part| {
            let mut sum = zero()?;
            let end = ((part + 1) * rows_per_part).min(rows);
            for from in (part * rows_per_part..end).step_by(self.rows) {
                check(cancelled)?;
                add(&mut sum, from..(from + self.rows).min(end))?;
            }
            Ok(sum)
        });
        let mut sums = collect(sums)?.into_iter();
        let mut total = sums.next().unwrap_or_else(&zero)?;
        for sum in sums {
            join(&mut total, sum?);
        }
        Ok(total)
    }

    /// One sum for each of `columns` columns, over `rows` rows, in a fixed order. `add` adds a range of rows to the sums.
    pub fn sum_columns(
        self,
        (rows, columns): (usize, usize),
        cancelled: &AtomicBool,
        add: impl Fn(&mut [f64], Range<usize>) + Sync,
    ) -> Result<Vec<f64>, Error> {
        self.sum(
            rows,
            COLUMN_SUM_PARTS,
            cancelled,
            || crate::memory::try_vec(columns),
            |sums, rows| {
                add(sums, rows);
                Ok(())
            },
            |total, sums| total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum),
        )
    }
}

/// Collects the items of a parallel iterator in their order, or [`Error::OutOfMemory`].
pub(crate) fn collect<I: IndexedParallelIterator>(items: I) -> Result<Vec<I::Item>, Error> {
    let mut collected = Vec::new();
    let bytes = items.len().saturating_mul(size_of::<I::Item>());
    collected.try_reserve_exact(items.len()).map_err(|_| Error::OutOfMemory { bytes })?;
    // This does not allocate, because the capacity is reserved.
    items.collect_into_vec(&mut collected);
    Ok(collected)
}

/// The sum of the addends that threads compute, added in their order; or the first error among them.
pub(crate) fn sum(addends: impl IndexedParallelIterator<Item = Result<f64, Error>>) -> Result<f64, Error> {
    collect(addends)?.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static GO: AtomicBool = AtomicBool::new(false);

    proptest! {
        #[test]
        fn every_row_is_visited_once_and_sums_have_a_fixed_order(rows in 0usize..9000, columns in 1usize..5, parts in 1usize..40) {
            let chunks = RowChunks::of_length(columns << 9);
            let mut matrix = Array2::<f64>::zeros((rows, columns));
            chunks.for_each(chunks.split_mut(&mut matrix), &GO, |from, mut rows| {
                for (row, mut values) in rows.rows_mut().into_iter().enumerate() {
                    values.fill(1.0 / (from + row + 1) as f64);
                }
                Ok(())
            }).unwrap();
            prop_assert!(matrix.rows().into_iter().enumerate().all(|(row, values)| values.iter().all(|&n| n == 1.0 / (row + 1) as f64)));
            let sum = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let add = |sum: &mut f64, rows: Range<usize>| {
                    rows.for_each(|row| *sum += matrix[(row, 0)]);
                    Ok(())
                };
                pool.install(|| chunks.sum(rows, parts, &GO, || Ok(0.0), add, |sum, other| *sum += other)).unwrap()
            };
            prop_assert_eq!(sum(1).to_bits(), sum(3).to_bits());
            prop_assert!((sum(1) - matrix.column(0).sum()).abs() < 1e-9);
        }
    }

    #[test]
    fn a_cancel_stops_before_the_next_chunk() {
        let mut rows = vec![0u8; 100_000];
        let chunks = RowChunks::of_length(1);
        let (cancelled, visited) = (AtomicBool::new(false), AtomicUsize::new(0));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let visit = |_, rows: &mut [u8]| {
            visited.fetch_add(rows.len(), Ordering::Relaxed);
            cancelled.store(true, Ordering::Relaxed);
            Ok(())
        };
        let result =
            pool.install(|| chunks.for_each(chunks.split_slice_mut(&mut rows, 1), &cancelled, visit));
        assert_eq!((result, visited.into_inner()), (Err(Error::Cancelled), ROWS_PER_CHECK));
    }
}
