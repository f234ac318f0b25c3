//! One side's view of the rating matrix (CSR, or CSC of the other side), and its transpose.

#![allow(unsafe_code)] // many numbers that are written by all threads, and not before

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::error::{Error, check};
use crate::memory::{room, touch, try_room, try_vec};
use crate::rows::ROWS_PER_CHECK;

/// Ratings between two checks of the cancel flag.
pub(super) const ENTRIES_PER_CHECK: usize = 1 << 20;
/// Bytes that a rating takes in a [`Sparse`].
pub(super) const BYTES_PER_ENTRY: usize = 5;

/// One side's view of the matrix: for each of its rows, the other side's numbers, ascending, and the ratings.
#[derive(Clone, Debug)]
pub struct Sparse {
    /// Row `r` holds the entries `starts[r]..starts[r + 1]`.
    pub(super) starts: Vec<usize>,
    pub(super) others: Vec<u32>,
    pub(super) values: Vec<u8>,
}

impl Sparse {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many ratings a row has.
    pub fn count(&self, row: usize) -> usize {
        self.starts[row + 1] - self.starts[row]
    }

    /// How many ratings all of its rows have.
    pub(crate) fn ratings(&self) -> usize {
        self.values.len()
    }

    /// How many rows have at least one rating.
    pub(crate) fn rated_rows(&self) -> usize {
        (0..self.rows()).filter(|&row| self.count(row) > 0).count()
    }

    /// Where a run of rows has its entries.
    fn entries(&self, rows: &Range<usize>) -> Range<usize> {
        self.starts[rows.start]..self.starts[rows.end]
    }

    /// A row's ratings: the other side's numbers and the values.
    pub fn row(&self, row: usize) -> (&[u32], &[u8]) {
        let entries = self.starts[row]..self.starts[row + 1];
        (&self.others[entries.clone()], &self.values[entries])
    }

    /// The other side's numbers from a place in a row on, and on into the rows behind it: what will be wanted soon.
    pub(crate) fn ahead(&self, row: usize, place: usize) -> &[u32] {
        self.others.get(self.starts[row] + place..).unwrap_or(&[])
    }

    /// The rows in runs of at least `ratings` ratings, the last apart: units of work of about the same size.
    pub fn blocks(&self, ratings: usize) -> Result<Vec<Range<usize>>, Error> {
        blocks(&self.starts, ratings)
    }
}

/// Parts that a transposition is divided into.
const TRANSPOSE_PARTS: usize = 32;

/// Bytes that a transposition into so many rows takes, beside both views.
pub(super) fn transpose_memory(rows: usize) -> usize {
    TRANSPOSE_PARTS * rows * size_of::<u32>()
}

/// Turns the view by one side into the view by the other, of this many rows: the parts of the source at the same time,
/// each of which knows where its entries of every row belong.
pub(super) fn transpose(sparse: &Sparse, rows: usize, cancelled: &AtomicBool) -> Result<Sparse, Error> {
    let len = sparse.values.len();
    let parts = sparse.blocks(len.div_ceil(TRANSPOSE_PARTS))?;
    let counted = parts.par_iter().map(|part| {
        let mut counts: Vec<u32> = try_vec(rows)?;
        for turn in sparse.others[sparse.entries(part)].chunks(ENTRIES_PER_CHECK) {
            check(cancelled)?;
            turn.iter().for_each(|&other| counts[other as usize] += 1);
        }
        Ok(counts)
    });
    let mut places = counted.collect::<Result<Vec<Vec<u32>>, Error>>()?;
    let mut starts: Vec<usize> = try_vec(rows + 1)?;
    for row in 0..rows {
        let mut before = 0;
        for part in &mut places {
            before += std::mem::replace(&mut part[row], before);
        }
        starts[row + 1] = starts[row] + before as usize;
    }

    let (mut others, mut values) = (try_room::<u32>(len)?, try_room::<u8>(len)?);
    touch(room(&mut others, len), cancelled)?;
    touch(room(&mut values, len), cancelled)?;
    let (to_others, to_values) = (ScatteredWriter(others.as_mut_ptr()), ScatteredWriter(values.as_mut_ptr()));
    parts.into_par_iter().zip(&mut places).try_for_each(|(part, places)| {
        for row in part {
            if row.is_multiple_of(ROWS_PER_CHECK) {
                check(cancelled)?;
            }
            let (columns, ratings) = sparse.row(row);
            for (&column, &value) in columns.iter().zip(ratings) {
                let before = &mut places[column as usize];
                let place = starts[column as usize] + *before as usize;
                *before += 1;
                // SAFETY: there is room for as many entries as were counted; each has its own place.
                unsafe {
                    to_others.write(place, row as u32);
                    to_values.write(place, value);
                }
            }
        }
        Ok(())
    })?;
    // SAFETY: each entry was written to its place.
    unsafe {
        others.set_len(len);
        values.set_len(len);
    }
    Ok(Sparse { starts, others, values })
}

/// Memory that several threads write to, no two of them to the same place.
#[derive(Clone, Copy)]
struct ScatteredWriter<T>(*mut T);

// SAFETY: what is written is plain numbers; that nobody else writes to the place, who writes promises.
unsafe impl<T> Send for ScatteredWriter<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for ScatteredWriter<T> {}

impl<T: Copy> ScatteredWriter<T> {
    /// # Safety
    ///
    /// The place is within the room, and no other thread writes to it.
    #[inline]
    unsafe fn write(&self, place: usize, value: T) {
        // SAFETY: as the caller promises.
        unsafe { self.0.add(place).write(value) }
    }
}

/// The rows in runs of at least as many entries, the last apart.
fn blocks(starts: &[usize], entries: usize) -> Result<Vec<Range<usize>>, Error> {
    let all = starts.last().map_or(0, |all| all / entries.max(1));
    let mut blocks = try_room(all.min(starts.len()) + 1)?;
    let mut from = 0;
    for row in 1..starts.len() {
        if row == starts.len() - 1 || starts[row] - starts[from] >= entries {
            blocks.push(from..row);
            from = row;
        }
    }
    Ok(blocks)
}
