//! Bulk insertion of rows of fixed width. Each slot keeps one tuple, and a new row overwrites its bytes, so PostgreSQL need not
//! form a tuple for each row.

use std::marker::PhantomData;

use pgrx::pg_sys;

use super::{Placement, ROWS_PER_BATCH, Target};
use crate::pg::Error;
use crate::storage::column_offset::{no_fixed_offset, offset};
use crate::storage::table::Table;

/// A row whose columns are all NOT NULL and of fixed width.
pub trait FixedRow: Copy {
    /// The row's table.
    const TABLE: &'static Table;
    /// The offset of each column in a tuple's data, in bytes.
    const OFFSETS: &'static [usize];
    /// The offset of the end of the last column, in bytes.
    const BYTES: usize;

    /// Writes all values to `bytes`, each at its offset, in the byte order of the machine. `bytes` has the length
    /// [`FixedRow::BYTES`].
    fn write(&self, bytes: &mut [u8]);
}

/// Inserts such rows into their table.
pub struct FixedInsert<R> {
    target: Target,
    slots: Vec<*mut pg_sys::TupleTableSlot>,
    /// The data of each slot's tuple.
    data: Vec<*mut u8>,
    used: usize,
    row: PhantomData<R>,
}

impl<R: FixedRow> FixedInsert<R> {
    /// Starts to insert, with the checks of [`super::BulkInsert::open`].
    pub fn open(placement: Placement) -> Result<FixedInsert<R>, Error> {
        let open = super::open(R::TABLE, pg_sys::RowExclusiveLock)?;
        let columns = open.columns();
        for (index, &wanted) in R::OFFSETS.iter().enumerate() {
            if offset(&columns, index) != Some(wanted) {
                return Err(no_fixed_offset(R::TABLE, &columns[index]));
            }
        }
        let end = R::OFFSETS.iter().zip(&columns).next_back();
        assert_eq!(end.map(|(offset, last)| offset + last.width as usize), Some(R::BYTES));
        let target = Target::open(open, placement);
        // SAFETY: a tuple of the open table, with NULL in the columns that somebody has added. The slot owns it.
        let slots = target.slots(|descriptor| unsafe {
            let natts = (*descriptor).natts as usize;
            let mut values = vec![pg_sys::Datum::from(0); natts];
            let mut nulls = (0..natts).map(|column| column >= R::TABLE.columns.len()).collect::<Vec<_>>();
            let slot = pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsHeapTuple);
            let tuple = pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            pg_sys::ExecStoreHeapTuple(tuple, slot, true)
        });
        // SAFETY: the slots hold the tuples just made; a tuple's data follows its header.
        let data = |&slot: &*mut pg_sys::TupleTableSlot| unsafe {
            let header = (*(*slot.cast::<pg_sys::HeapTupleTableSlot>()).tuple).t_data;
            header.cast::<u8>().add((*header).t_hoff.into())
        };
        let data = slots.iter().map(data).collect();
        Ok(FixedInsert { target, slots, data, used: 0, row: PhantomData })
    }

    /// Adds a row.
    #[inline]
    pub fn push(&mut self, row: R) {
        // SAFETY: the data of the slot's own tuple, which has `R::BYTES` bytes, as `open` has checked.
        row.write(unsafe { std::slice::from_raw_parts_mut(self.data[self.used], R::BYTES) });
        self.used += 1;
        if self.used == ROWS_PER_BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let slots = &mut self.slots[..self.used];
        // SAFETY: slots that this value owns. The reset makes them drop the values that they had deformed from the previous
        // tuple.
        slots.iter().for_each(|&slot| unsafe {
            (*slot).tts_nvalid = 0;
            (*slot.cast::<pg_sys::HeapTupleTableSlot>()).off = 0;
        });
        self.target.insert(slots);
        self.used = 0;
    }

    /// Inserts the last batch. Returns the number of all rows inserted.
    pub fn finish(mut self) -> u64 {
        self.flush();
        self.target.close(&self.slots)
    }
}
