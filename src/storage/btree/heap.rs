//! Reads the key and the TID of each row of a table, with one lock per page. PostgreSQL's own build takes a lock per row.

use pgrx::pg_sys;

use super::entry::{Entry, Unfit};
use super::key::Key;
use super::sorter::Sorter;
use crate::storage::heap_pages::{RecentTransactions, for_each_page, has_no_null, tuples};

/// Returns a sorter with an entry for each row that the index must have. Dead rows are skipped. [`Unfit`] if a row is in a HOT
/// chain, was updated or deleted and is not dead yet, or was inserted by a running transaction other than this one. `memory` is
/// the sorter's limit in bytes.
///
/// # Safety
///
/// A heap table that is locked against writers, and a key that [`Key::find`] found for it.
pub unsafe fn collect_entries(heap: pg_sys::Relation, key: Key, memory: usize) -> Result<Sorter, Unfit> {
    // SAFETY: as the caller promises. A page is locked while it is read.
    unsafe {
        let blocks = pg_sys::RelationGetNumberOfBlocksInFork(heap, pg_sys::ForkNumber::MAIN_FORKNUM);
        let mut reader = Reader {
            key,
            sorter: Sorter::new(key.columns.parts(), blocks, memory),
            horizon: pg_sys::GetOldestNonRemovableTransactionId(heap),
            finished: RecentTransactions::default(),
        };
        for_each_page(heap, |buffer, block| {
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let result = tuples(heap, buffer, block)
                .try_for_each(|mut tuple| reader.add_tuple(&mut tuple, block, buffer));
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_UNLOCK as i32);
            result
        })?;
        Ok(reader.sorter)
    }
}

struct Reader {
    key: Key,
    sorter: Sorter,
    /// A row that was deleted by a transaction before this one is dead: no snapshot sees it.
    horizon: pg_sys::TransactionId,
    /// Inserting transactions that have committed, or that are this one.
    finished: RecentTransactions,
}

impl Reader {
    /// Adds an entry for a tuple if the index must have one.
    ///
    /// # Safety
    ///
    /// A tuple of the buffer's page, which holds this block of the table and is pinned and locked.
    #[inline]
    unsafe fn add_tuple(
        &mut self,
        tuple: &mut pg_sys::HeapTupleData,
        block: u32,
        buffer: pg_sys::Buffer,
    ) -> Result<(), Unfit> {
        let header = tuple.t_data;
        // SAFETY: as the caller promises.
        unsafe {
            if self.is_known_live(header) || self.must_be_indexed(tuple, buffer)? {
                if !has_no_null(header, self.key.columns_read) {
                    return Err(Unfit);
                }
                self.sorter.push(Entry { key: self.key.of(header), block, offset: tuple.t_self.ip_posid })?;
            }
        }
        Ok(())
    }

    /// Whether the header alone, with what is known of its inserting transaction, shows that the tuple is live and not in a HOT
    /// chain.
    ///
    /// # Safety
    ///
    /// A tuple's header.
    unsafe fn is_known_live(&self, header: pg_sys::HeapTupleHeader) -> bool {
        const MASK: u32 = pg_sys::HEAP_XMAX_INVALID | pg_sys::HEAP_MOVED;
        // SAFETY: as the caller promises.
        unsafe {
            let bits = u32::from((*header).t_infomask);
            bits & MASK == pg_sys::HEAP_XMAX_INVALID
                && !is_in_hot_chain(header)
                && (bits & pg_sys::HEAP_XMIN_COMMITTED != 0
                    || (bits & pg_sys::HEAP_XMIN_INVALID == 0
                        && self.finished.contains((*header).t_choice.t_heap.t_xmin)))
        }
    }

    /// Whether the index must have an entry for a tuple, by PostgreSQL's own check. [`Unfit`] as in [`collect_entries`].
    ///
    /// # Safety
    ///
    /// A tuple of the buffer's page, which is pinned and locked.
    #[inline(never)]
    unsafe fn must_be_indexed(
        &mut self,
        tuple: &mut pg_sys::HeapTupleData,
        buffer: pg_sys::Buffer,
    ) -> Result<bool, Unfit> {
        use pg_sys::HTSV_Result as State;
        let header = tuple.t_data;
        // SAFETY: as the caller promises.
        unsafe {
            let xmin = (*header).t_choice.t_heap.t_xmin;
            match pg_sys::HeapTupleSatisfiesVacuum(tuple, self.horizon, buffer) {
                State::HEAPTUPLE_DEAD => Ok(false),
                State::HEAPTUPLE_LIVE if !is_in_hot_chain(header) => {
                    // If the tuple is frozen, another transaction may have the same id by now.
                    if u32::from((*header).t_infomask) & pg_sys::HEAP_XMIN_FROZEN != pg_sys::HEAP_XMIN_FROZEN
                    {
                        self.finished.add(xmin);
                    }
                    Ok(true)
                }
                State::HEAPTUPLE_INSERT_IN_PROGRESS
                    if !is_in_hot_chain(header) && pg_sys::TransactionIdIsCurrentTransactionId(xmin) =>
                {
                    self.finished.add(xmin);
                    Ok(true)
                }
                _ => Err(Unfit),
            }
        }
    }
}

/// Whether a tuple is in a HOT chain: it was updated, or made by an update, without a new index entry.
///
/// # Safety
///
/// A tuple's header.
unsafe fn is_in_hot_chain(header: pg_sys::HeapTupleHeader) -> bool {
    // SAFETY: as the caller promises.
    let bits = unsafe { u32::from((*header).t_infomask2) };
    bits & (pg_sys::HEAP_HOT_UPDATED | pg_sys::HEAP_ONLY_TUPLE) != 0
}
