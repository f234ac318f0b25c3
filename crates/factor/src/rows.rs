//! The one way through many rows: on all threads of rayon's current pool, in turns. Before each turn the cancel flag is
//! looked at, and what is summed up is added in an order that no number of threads changes.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use ndarray::iter::{AxisChunksIter, AxisChunksIterMut};
use ndarray::parallel::Parallel;
use ndarray::{ArrayBase, Axis, Data, DataMut, RemoveAxis};
use rayon::prelude::*;
use rayon::slice::{Chunks, ChunksMut};

use crate::error::{Error, check};

/// Rows between two checks of the cancel flag, and numbers between them where rows are long: some milliseconds' work.
pub(crate) const ROWS_PER_CHECK: usize = 1024;
const NUMBERS_PER_CHECK: usize = 1 << 18;
/// Multiplications between two checks, where rows are multiplied with a matrix.
const MULTIPLICATIONS_PER_CHECK: usize = 1 << 26;
/// Parts whose sums are made at the same time.
const SUM_PARTS: usize = 32;

/// How rows are divided into turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns {
    rows: usize,
}

impl Turns {
    /// For rows of this many numbers. All that is walked together takes the same turns.
    pub fn of_length(numbers: usize) -> Turns {
        Turns { rows: (NUMBERS_PER_CHECK / numbers.max(1)).clamp(1, ROWS_PER_CHECK) }
    }

    /// For rows that are multiplied with a matrix.
    pub fn of_products((inner, columns): (usize, usize)) -> Turns {
        Turns { rows: (MULTIPLICATIONS_PER_CHECK / (inner * columns).max(1)).clamp(1, ROWS_PER_CHECK) }
    }

    /// The turns of a matrix's rows, or of a vector's entries.
    pub fn of<'a, S: Data, D: RemoveAxis>(
        self,
        rows: &'a ArrayBase<S, D>,
    ) -> Parallel<AxisChunksIter<'a, S::Elem, D>>
    where
        S::Elem: Sync,
    {
        rows.axis_chunks_iter(Axis(0), self.rows).into_par_iter()
    }

    /// The same, to be written to.
    pub fn of_mut<'a, S: DataMut, D: RemoveAxis>(
        self,
        rows: &'a mut ArrayBase<S, D>,
    ) -> Parallel<AxisChunksIterMut<'a, S::Elem, D>>
    where
        S::Elem: Send + Sync,
    {
        rows.axis_chunks_iter_mut(Axis(0), self.rows).into_par_iter()
    }

    /// The turns of rows of `stride` numbers that stand one behind the other.
    pub fn of_slice<T: Sync>(self, rows: &[T], stride: usize) -> Chunks<'_, T> {
        rows.par_chunks(self.rows * stride)
    }

    /// The same, to be written to.
    pub fn of_slice_mut<T: Send>(self, rows: &mut [T], stride: usize) -> ChunksMut<'_, T> {
        rows.par_chunks_mut(self.rows * stride)
    }

    /// Visits each turn of what [`Turns::of`] and its kin gave, zipped if they are several, with its first row's index.
    pub fn visit<I: IndexedParallelIterator>(
        self,
        turns: I,
        cancelled: &AtomicBool,
        visit: impl Fn(usize, I::Item) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        turns.enumerate().try_for_each(|(turn, rows)| {
            check(cancelled)?;
            visit(turn * self.rows, rows)
        })
    }

    /// The same, with something for each turn that is joined in no order.
    pub fn reduce<I: IndexedParallelIterator, T: Send>(
        self,
        turns: I,
        cancelled: &AtomicBool,
        zero: impl Fn() -> T + Sync + Send,
        visit: impl Fn(usize, I::Item) -> T + Sync + Send,
        join: impl Fn(T, T) -> T + Sync + Send,
    ) -> Result<T, Error> {
        let visited = turns.enumerate().map(|(turn, rows)| {
            check(cancelled)?;
            Ok(visit(turn * self.rows, rows))
        });
        visited.try_reduce(zero, |one, other| Ok(join(one, other)))
    }

    /// How many parts there are of so many rows, of at most `parts`.
    pub fn parts(self, rows: usize, parts: usize) -> usize {
        rows.div_ceil(self.part(rows, parts))
    }

    fn part(self, rows: usize, parts: usize) -> usize {
        rows.div_ceil(parts).next_multiple_of(self.rows).max(1)
    }

    /// Sums up over so many rows: each of at most `parts` runs of rows into a sum of its own, that `zero` makes, turn by turn;
    /// then these, in their order.
    pub fn sum<T: Send>(
        self,
        rows: usize,
        parts: usize,
        cancelled: &AtomicBool,
        zero: impl Fn() -> Result<T, Error> + Sync,
        add: impl Fn(&mut T, Range<usize>) -> Result<(), Error> + Sync,
        join: impl Fn(&mut T, T),
    ) -> Result<T, Error> {
        let part = self.part(rows, parts);
        let sums = (0..self.parts(rows, parts)).into_par_iter().map(|number| {
            let mut sum = zero()?;
            let end = ((number + 1) * part).min(rows);
            for from in (number * part..end).step_by(self.rows) {
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

    /// Sums up each column of something that has so many rows and columns.
    pub fn sum_columns(
        self,
        (rows, columns): (usize, usize),
        cancelled: &AtomicBool,
        add: impl Fn(&mut [f64], Range<usize>) + Sync,
    ) -> Result<Vec<f64>, Error> {
        self.sum(
            rows,
            SUM_PARTS,
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

/// All that a parallel iterator gives, in its order; [`Error::OutOfMemory`] where there is no room for as much.
pub(crate) fn collect<I: IndexedParallelIterator>(items: I) -> Result<Vec<I::Item>, Error> {
    let mut collected = Vec::new();
    let bytes = items.len().saturating_mul(size_of::<I::Item>());
    collected.try_reserve_exact(items.len()).map_err(|_| Error::OutOfMemory { bytes })?;
    // There is room: it makes none.
    items.collect_into_vec(&mut collected);
    Ok(collected)
}

/// The sum of numbers that threads find, added in their order; the first of several failures where there are any.
pub(crate) fn sum(numbers: impl IndexedParallelIterator<Item = Result<f64, Error>>) -> Result<f64, Error> {
    collect(numbers)?.into_iter().sum()
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
        fn every_row_has_its_turn_and_sums_have_an_order(rows in 0usize..9000, columns in 1usize..5, parts in 1usize..40) {
            let turns = Turns::of_length(columns << 9);
            let mut matrix = Array2::<f64>::zeros((rows, columns));
            turns.visit(turns.of_mut(&mut matrix), &GO, |from, mut rows| {
                for (row, mut numbers) in rows.rows_mut().into_iter().enumerate() {
                    numbers.fill(1.0 / (from + row + 1) as f64);
                }
                Ok(())
            }).unwrap();
            prop_assert!(matrix.rows().into_iter().enumerate().all(|(row, numbers)| numbers.iter().all(|&n| n == 1.0 / (row + 1) as f64)));
            let sum = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let add = |sum: &mut f64, rows: Range<usize>| {
                    rows.for_each(|row| *sum += matrix[(row, 0)]);
                    Ok(())
                };
                pool.install(|| turns.sum(rows, parts, &GO, || Ok(0.0), add, |sum, other| *sum += other)).unwrap()
            };
            prop_assert_eq!(sum(1).to_bits(), sum(3).to_bits());
            prop_assert!((sum(1) - matrix.column(0).sum()).abs() < 1e-9);
        }
    }

    #[test]
    fn a_cancel_is_heard_at_the_next_turn() {
        let mut rows = vec![0u8; 100_000];
        let turns = Turns::of_length(1);
        let (cancelled, visited) = (AtomicBool::new(false), AtomicUsize::new(0));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let visit = |_, rows: &mut [u8]| {
            visited.fetch_add(rows.len(), Ordering::Relaxed);
            cancelled.store(true, Ordering::Relaxed);
            Ok(())
        };
        let result = pool.install(|| turns.visit(turns.of_slice_mut(&mut rows, 1), &cancelled, visit));
        assert_eq!((result, visited.into_inner()), (Err(Error::Cancelled), ROWS_PER_CHECK));
    }
}
