//! One side's view of the rating matrix, in compressed sparse rows, and its transpose.

#![allow(unsafe_code)] // long vectors that all threads write to, without initialising them first

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::error::{Error, check};
use crate::memory::{prefault, spare_capacity, try_vec, try_with_capacity};
use crate::rows::ROWS_PER_CHECK;

/// Ratings between two checks of the cancel flag.
pub(super) const RATINGS_PER_CHECK: usize = 1 << 20;
/// Bytes of a rating in a [`Sparse`]: its column and its value.
pub(super) const BYTES_PER_ENTRY: usize = 5;

/// One side's view of the matrix in compressed sparse rows: each row holds the column indices of its ratings, ascending, and
/// the ratings. By customer, rows are customers and columns are movies; by movie, it is the other way round.
#[derive(Clone, Debug)]
pub struct Sparse {
    /// Row `r` has the entries `starts[r]..starts[r + 1]`.
    pub(super) starts: Vec<usize>,
    pub(super) columns: Vec<u32>,
    pub(super) values: Vec<u8>,
}

impl Sparse {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many ratings a row has. Panics if there is no such row.
    pub fn count(&self, row: usize) -> usize {
        self.starts[row + 1] - self.starts[row]
    }

    /// How many ratings all rows have.
    pub(crate) fn ratings(&self) -> usize {
        self.values.len()
    }

    /// How many rows have at least one rating.
    pub fn rated_rows(&self) -> usize {
        (0..self.rows()).filter(|&row| self.count(row) > 0).count()
    }

    /// The entries of a range of rows.
    fn entries(&self, rows: &Range<usize>) -> Range<usize> {
        self.starts[rows.start]..self.starts[rows.end]
    }

    /// Where each row begins in memory, and last where the last one ends. They tell what to prefetch.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// A row's ratings: column indices, ascending, and values. Panics if there is no such row.
    #[inline]
    pub fn row(&self, row: usize) -> (&[u32], &[u8]) {
        let entries = self.starts[row]..self.starts[row + 1];
        (&self.columns[entries.clone()], &self.values[entries])
    }

    /// The column indices from entry `offset` of a row to the end of the matrix. They tell what to prefetch.
    pub(crate) fn columns_from(&self, row: usize, offset: usize) -> &[u32] {
        self.columns.get(self.starts[row] + offset..).unwrap_or(&[])
    }

    /// Divides the rows into ranges of at least `ratings` ratings each; the last may have fewer. A range is a unit of work, and
    /// all take about the same time.
    pub fn blocks(&self, ratings: usize) -> Result<Vec<Range<usize>>, Error> {
        blocks(&self.starts, ratings)
    }
}

/// Parts of the source that are transposed in parallel.
const TRANSPOSE_PARTS: usize = 32;

/// Bytes that a transposition into so many rows takes, besides both views.
pub(super) fn transpose_memory(rows: usize) -> usize {
    TRANSPOSE_PARTS * rows * size_of::<u32>()
}

/// The transpose of a view. It has `rows` rows, one for each column of the source.
///
/// The source is divided into parts, and each counts its entries of every column. From the counts follow the places where
/// each part writes, so that all parts can write in parallel.
pub(super) fn transpose(sparse: &Sparse, rows: usize, cancelled: &AtomicBool) -> Result<Sparse, Error> {
    let len = sparse.values.len();
    let parts = sparse.blocks(len.div_ceil(TRANSPOSE_PARTS))?;
    let counted = parts.par_iter().map(|part| {
        let mut counts: Vec<u32> = try_vec(rows)?;
        for columns in sparse.columns[sparse.entries(part)].chunks(RATINGS_PER_CHECK) {
            check(cancelled)?;
            columns.iter().for_each(|&column| counts[column as usize] += 1);
        }
        Ok(counts)
    });
    // For each part and new row: first how many entries the part has of it, then how many the parts before it have.
    let mut offsets = counted.collect::<Result<Vec<Vec<u32>>, Error>>()?;
    let mut starts: Vec<usize> = try_vec(rows + 1)?;
    for row in 0..rows {
        let mut count = 0;
        for part in &mut offsets {
            count += std::mem::replace(&mut part[row], count);
        }
        starts[row + 1] = starts[row] + count as usize;
    }

    let (mut columns, mut values) = (try_with_capacity::<u32>(len)?, try_with_capacity::<u8>(len)?);
    prefault(spare_capacity(&mut columns, len), cancelled)?;
    prefault(spare_capacity(&mut values, len), cancelled)?;
    let (to_columns, to_values) =
        (ScatteredWriter(columns.as_mut_ptr()), ScatteredWriter(values.as_mut_ptr()));
    parts.into_par_iter().zip(&mut offsets).try_for_each(|(part, offsets)| {
        for row in part {
            if row.is_multiple_of(ROWS_PER_CHECK) {
                check(cancelled)?;
            }
            let (new_rows, ratings) = sparse.row(row);
            for (&new_row, &value) in new_rows.iter().zip(ratings) {
                let offset = &mut offsets[new_row as usize];
                let place = starts[new_row as usize] + *offset as usize;
                *offset += 1;
                // SAFETY: the capacity is that of all entries that were counted, and each entry has a place of its own.
                unsafe {
                    to_columns.write(place, row as u32);
                    to_values.write(place, value);
                }
            }
        }
        Ok(())
    })?;
    // SAFETY: each of the `len` entries was written to its place.
    unsafe {
        columns.set_len(len);
        values.set_len(len);
    }
    Ok(Sparse { starts, columns, values })
}

/// Memory that several threads write to, each to other places.
#[derive(Clone, Copy)]
struct ScatteredWriter<T>(*mut T);

// SAFETY: the values are plain integers. The caller of `write` promises that no two threads write to the same place.
unsafe impl<T> Send for ScatteredWriter<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for ScatteredWriter<T> {}

impl<T: Copy> ScatteredWriter<T> {
    /// # Safety
    ///
    /// The place is within the allocation, and no other thread writes to it.
    #[inline]
    unsafe fn write(&self, place: usize, value: T) {
        // SAFETY: as the caller promises.
        unsafe { self.0.add(place).write(value) }
    }
}

/// [`Sparse::blocks`] of rows that begin at `starts`.
fn blocks(starts: &[usize], ratings: usize) -> Result<Vec<Range<usize>>, Error> {
    let most = starts.last().map_or(0, |all| all / ratings.max(1));
    let mut blocks = try_with_capacity(most.min(starts.len()) + 1)?;
    let mut from = 0;
    for row in 1..starts.len() {
        if row == starts.len() - 1 || starts[row] - starts[from] >= ratings {
            blocks.push(from..row);
            from = row;
        }
    }
    Ok(blocks)
}
