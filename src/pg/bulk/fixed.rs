//! Rows of fixed width, patched in place: of the work for a row of PostgreSQL's own ways, only the copy into the page is
//! left.

use std::marker::PhantomData;
use std::ptr;

use pgrx::pg_sys;

use super::{BATCH, Space, Target};
use crate::pg::Error;
use crate::pg::columns::Column;
use crate::pg::scan::{misplaced, offset};

/// A row that the table stores as it stands in memory.
///
/// # Safety
///
/// A `repr(C)` struct whose fields are those of the columns, in their order, without room between them; the columns
/// are all required.
pub unsafe trait FixedRow: Copy {
    /// Its columns.
    const COLUMNS: &'static [Column];
    /// Where the field of each column begins.
    const OFFSETS: &'static [usize];
    /// How many bytes its fields take.
    const BYTES: usize;
}

/// Such rows under way into a table.
pub struct FixedInsert<R> {
    target: Target,
    slots: Vec<*mut pg_sys::TupleTableSlot>,
    /// Where each slot's row has its values.
    places: Vec<*mut u8>,
    used: usize,
    row: PhantomData<R>,
}

impl<R: FixedRow> FixedInsert<R> {
    /// Starts to insert into one of the extension's tables, as [`super::BulkInsert::open`] does, but where one is told.
    pub fn open(table: &'static str, space: Space) -> Result<FixedInsert<R>, Error> {
        let open = super::open(table, pg_sys::RowExclusiveLock)?;
        let columns = open.columns();
        for (number, &wanted) in R::OFFSETS.iter().enumerate() {
            if offset(&columns, number) != Some(wanted) {
                return Err(misplaced(table, &columns[number]));
            }
        }
        let target = Target::open(open, space);
        // SAFETY: a row of the open table with NULL for the columns that somebody added, kept by its slot.
        let slots = target.slots(|descriptor| unsafe {
            let natts = (*descriptor).natts as usize;
            let mut values = vec![pg_sys::Datum::from(0); natts];
            let mut nulls = (0..natts).map(|column| column >= R::COLUMNS.len()).collect::<Vec<_>>();
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
        // SAFETY: `open` saw that the fields lie as the values of the slot's row do, of which there are as many bytes.
        unsafe { ptr::copy_nonoverlapping((&raw const row).cast::<u8>(), self.places[self.used], R::BYTES) };
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
