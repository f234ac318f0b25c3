//! Reads the keys of a table's rows and their places, page by page: what PostgreSQL does row by row with a lock for
//! each.

use pgrx::pg_sys;

use super::entry::{Entry, Unfit};
use super::key::Key;
use super::sorter::Sorter;
use crate::storage::scan::{Transactions, each_page, is_whole, rows};

/// Collects all rows that an index must have. [`Unfit`] where there are others than rows that were inserted by
/// transactions that are over or by this one, and were left alone since.
///
/// # Safety
///
/// A heap table, locked against writers, whose key stands where it is said to.
pub unsafe fn read(heap: pg_sys::Relation, key: Key, memory: usize) -> Result<Sorter, Unfit> {
    // SAFETY: as the caller promises. A page is locked while it is looked at.
    unsafe {
        let blocks = pg_sys::RelationGetNumberOfBlocksInFork(heap, pg_sys::ForkNumber::MAIN_FORKNUM);
        let mut reader = Reader {
            key,
            sorter: Sorter::new(key.columns.parts(), blocks, memory),
            horizon: pg_sys::GetOldestNonRemovableTransactionId(heap),
            over: Transactions::default(),
        };
        each_page(heap, |buffer, block| {
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let read = rows(heap, buffer, block).try_for_each(|mut row| reader.row(&mut row, block, buffer));
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_UNLOCK as i32);
            read
        })?;
        Ok(reader.sorter)
    }
}

struct Reader {
    key: Key,
    sorter: Sorter,
    /// Rows that transactions before this one deleted are of no use to anybody.
    horizon: pg_sys::TransactionId,
    /// Transactions that are known to have committed, or to be this one.
    over: Transactions,
}

impl Reader {
    /// # Safety
    ///
    /// A row of the buffer's page, this block of the table, which is pinned and locked.
    #[inline]
    unsafe fn row(
        &mut self,
        tuple: &mut pg_sys::HeapTupleData,
        block: u32,
        buffer: pg_sys::Buffer,
    ) -> Result<(), Unfit> {
        let row = tuple.t_data;
        // SAFETY: as the caller promises.
        unsafe {
            if self.is_over(row) || self.is_indexed(tuple, buffer)? {
                if !is_whole(row, self.key.last) {
                    return Err(Unfit);
                }
                self.sorter.push(Entry { key: self.key.of(row), block, offset: tuple.t_self.ip_posid })?;
            }
        }
        Ok(())
    }

    /// Whether it takes no more than a look to see that a row must be in the index.
    ///
    /// # Safety
    ///
    /// A row's header.
    unsafe fn is_over(&self, row: pg_sys::HeapTupleHeader) -> bool {
        const NOT_SIMPLE: u32 = pg_sys::HEAP_XMAX_INVALID | pg_sys::HEAP_MOVED;
        // SAFETY: as the caller promises.
        unsafe {
            let bits = u32::from((*row).t_infomask);
            bits & NOT_SIMPLE == pg_sys::HEAP_XMAX_INVALID
                && !is_in_chain(row)
                && (bits & pg_sys::HEAP_XMIN_COMMITTED != 0
                    || (bits & pg_sys::HEAP_XMIN_INVALID == 0
                        && self.over.contains((*row).t_choice.t_heap.t_xmin)))
        }
    }

    /// Whether a row must be in the index; [`Unfit`] where that is more than a yes or no.
    ///
    /// # Safety
    ///
    /// A row of the buffer's page, which is pinned and locked.
    #[inline(never)]
    unsafe fn is_indexed(
        &mut self,
        tuple: &mut pg_sys::HeapTupleData,
        buffer: pg_sys::Buffer,
    ) -> Result<bool, Unfit> {
        use pg_sys::HTSV_Result as State;
        let row = tuple.t_data;
        // SAFETY: as the caller promises.
        unsafe {
            let inserted_by = (*row).t_choice.t_heap.t_xmin;
            match pg_sys::HeapTupleSatisfiesVacuum(tuple, self.horizon, buffer) {
                State::HEAPTUPLE_DEAD => Ok(false),
                State::HEAPTUPLE_LIVE if !is_in_chain(row) => {
                    // The number of one that was frozen may be another's by now.
                    if u32::from((*row).t_infomask) & pg_sys::HEAP_XMIN_FROZEN != pg_sys::HEAP_XMIN_FROZEN {
                        self.over.add(inserted_by);
                    }
                    Ok(true)
                }
                State::HEAPTUPLE_INSERT_IN_PROGRESS
                    if !is_in_chain(row) && pg_sys::TransactionIdIsCurrentTransactionId(inserted_by) =>
                {
                    self.over.add(inserted_by);
                    Ok(true)
                }
                _ => Err(Unfit),
            }
        }
    }
}

/// Whether a row was updated, or made by an update, without a new index entry.
///
/// # Safety
///
/// A row's header.
unsafe fn is_in_chain(row: pg_sys::HeapTupleHeader) -> bool {
    // SAFETY: as the caller promises.
    let bits = unsafe { u32::from((*row).t_infomask2) };
    bits & (pg_sys::HEAP_HOT_UPDATED | pg_sys::HEAP_ONLY_TUPLE) != 0
}
