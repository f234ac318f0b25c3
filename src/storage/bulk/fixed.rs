//! Rows of fixed width: each one is copied over the last one's bytes in a slot, so PostgreSQL forms no tuple anew.

use std::marker::PhantomData;

use pgrx::pg_sys;

use super::{BATCH, Space, Target};
use crate::pg::Error;
use crate::storage::scan::{misplaced, offset};
use crate::storage::table::Table;

/// A row whose columns are all NOT NULL and of fixed width.
pub trait FixedRow: Copy {
    /// The table that it is a row of.
    const TABLE: &'static Table;
    /// The offset of each column in `bytes`, as the table's rows have it.
    const OFFSETS: &'static [usize];
    /// The end of the last column.
    const BYTES: usize;

    /// Writes all values, each at its offset, in the byte order of the machine. `bytes` has the length [`FixedRow::BYTES`].
    fn write(&self, bytes: &mut [u8]);
}

/// Inserts such rows into their table.
pub struct FixedInsert<R> {
    target: Target,
    slots: Vec<*mut pg_sys::TupleTableSlot>,
    /// Where each slot's row has its values.
    places: Vec<*mut u8>,
    used: usize,
    row: PhantomData<R>,
}

impl<R: FixedRow> FixedInsert<R> {
    /// Starts to insert, as [`super::BulkInsert::open`] does; `space` says where the rows go.
    pub fn open(space: Space) -> Result<FixedInsert<R>, Error> {
        let open = super::open(R::TABLE, pg_sys::RowExclusiveLock)?;
        let columns = open.columns();
        for (place, &wanted) in R::OFFSETS.iter().enumerate() {
            if offset(&columns, place) != Some(wanted) {
                return Err(misplaced(R::TABLE, &columns[place]));
            }
        }
        let end = R::OFFSETS.iter().zip(&columns).next_back();
        assert_eq!(end.map(|(offset, last)| offset + last.width as usize), Some(R::BYTES));
        let target = Target::open(open, space);
        // SAFETY: a row of the open table with NULL for the columns that somebody added, kept by its slot.
        let slots = target.slots(|descriptor| unsafe {
            let natts = (*descriptor).natts as usize;
            let mut values = vec![pg_sys::Datum::from(0); natts];
            let mut nulls = (0..natts).map(|column| column >= R::TABLE.columns.len()).collect::<Vec<_>>();
            let slot = pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsHeapTuple);
            let tuple = pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            pg_sys::ExecStoreHeapTuple(tuple, slot, true)
        });
        // SAFETY: the slots hold the rows just made; the values stand behind a row's header.
        let place = |&slot: &*mut pg_sys::TupleTableSlot| unsafe {
            let header = (*(*slot.cast::<pg_sys::HeapTupleTableSlot>()).tuple).t_data;
            header.cast::<u8>().add((*header).t_hoff.into())
        };
        let places = slots.iter().map(place).collect();
        Ok(FixedInsert { target, slots, places, used: 0, row: PhantomData })
    }

    /// Adds a row.
    #[inline]
    pub fn push(&mut self, row: R) {
        // SAFETY: the slot's own row, which holds its columns from there on: as many bytes, as `open` saw.
        row.write(unsafe { std::slice::from_raw_parts_mut(self.places[self.used], R::BYTES) });
        self.used += 1;
        if self.used == BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let slots = &mut self.slots[..self.used];
        // SAFETY: slots of our own, which forget what they took out of their rows before these were patched.
        slots.iter().for_each(|&slot| unsafe {
            (*slot).tts_nvalid = 0;
            (*slot.cast::<pg_sys::HeapTupleTableSlot>()).off = 0;
        });
        self.target.insert(slots);
        self.used = 0;
    }

    /// Inserts the rest. Gives the number of rows.
    pub fn finish(mut self) -> u64 {
        self.flush();
        self.target.close(&self.slots)
    }
}
