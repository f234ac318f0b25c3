//! Reads the keys of a table's rows and their places, page by page: what PostgreSQL does row by row with a lock for
//! each.

use pgrx::pg_sys;

use super::key::Key;
use super::sort::{Entry, Sorter, Unfit};
use crate::pg::interrupt;
use crate::pg::scan::{Transactions, is_whole};

/// Pages between two looks for interrupts.
const PAGES_A_TURN: u32 = 256;

/// Collects all rows that an index must have. [`Unfit`] where there are others than rows that were inserted by
/// transactions that are over or by this one, and were left alone since.
///
/// # Safety
///
/// A heap table, locked against writers, whose key stands where it is said to.
pub unsafe fn read(heap: pg_sys::Relation, key: Key, memory: usize) -> Result<Sorter, Unfit> {
    // SAFETY: as the caller promises. A page is pinned and locked while it is looked at; should an error be raised, the
    // transaction's end releases both.
    unsafe {
        let main = pg_sys::ForkNumber::MAIN_FORKNUM;
        let blocks = pg_sys::RelationGetNumberOfBlocksInFork(heap, main);
        let mut reader = Reader {
            key,
            sorter: Sorter::new(key.columns.parts(), blocks, memory),
            table: (*heap).rd_id,
            horizon: pg_sys::GetOldestNonRemovableTransactionId(heap),
            over: Transactions::default(),
        };
        // As a sequential scan does, a large table does not take all of the shared buffers.
        let strategy = if blocks > pg_sys::NBuffers as u32 / 4 {
            pg_sys::GetAccessStrategy(pg_sys::BufferAccessStrategyType::BAS_BULKREAD)
        } else {
            std::ptr::null_mut()
        };
        for block in 0..blocks {
            if block.is_multiple_of(PAGES_A_TURN) {
                interrupt::check();
            }
            let normal = pg_sys::ReadBufferMode::RBM_NORMAL;
            let buffer = pg_sys::ReadBufferExtended(heap, main, block, normal, strategy);
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let read = reader.page(buffer, block);
            pg_sys::UnlockReleaseBuffer(buffer);
            read?;
        }
        if !strategy.is_null() {
            pg_sys::FreeAccessStrategy(strategy);
        }
        Ok(reader.sorter)
    }
}

struct Reader {
    key: Key,
    sorter: Sorter,
    table: pg_sys::Oid,
    /// Rows that transactions before this one deleted are of no use to anybody.
    horizon: pg_sys::TransactionId,
    /// Transactions that are known to have committed, or to be this one.
    over: Transactions,
}

impl Reader {
    /// # Safety
    ///
    /// The buffer holds this block of the table, pinned and locked.
    unsafe fn page(&mut self, buffer: pg_sys::Buffer, block: u32) -> Result<(), Unfit> {
        // SAFETY: as the caller promises; an item pointer in normal use points to a row of the page.
        unsafe {
            let page = pg_sys::BufferGetPage(buffer).cast::<u8>();
            let header = page.cast::<pg_sys::PageHeaderData>();
            let first = std::mem::offset_of!(pg_sys::PageHeaderData, pd_linp);
            let items =
                usize::from((*header).pd_lower).saturating_sub(first) / size_of::<pg_sys::ItemIdData>();
            for offset in 1..=items {
                let item = *page.add(first).cast::<pg_sys::ItemIdData>().add(offset - 1);
                if item.lp_flags() != pg_sys::LP_NORMAL {
                    continue;
                }
                let row = page.add(item.lp_off() as usize).cast::<pg_sys::HeapTupleHeaderData>();
                let offset = offset as u16;
                if self.is_over(row) || self.is_indexed(row, item.lp_len(), block, offset, buffer)? {
                    if !is_whole(row, self.key.last) {
                        return Err(Unfit);
                    }
                    self.sorter.push(Entry { key: self.key.of(row), block, offset })?;
                }
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
    /// The row at this place of the buffer's page, which is pinned and locked.
    #[inline(never)]
    unsafe fn is_indexed(
        &mut self,
        row: pg_sys::HeapTupleHeader,
        length: u32,
        block: u32,
        offset: u16,
        buffer: pg_sys::Buffer,
    ) -> Result<bool, Unfit> {
        use pg_sys::HTSV_Result as State;
        // SAFETY: as the caller promises.
        unsafe {
            let mut tuple = pg_sys::HeapTupleData {
                t_len: length,
                t_self: pg_sys::ItemPointerData {
                    ip_blkid: pg_sys::BlockIdData { bi_hi: (block >> 16) as u16, bi_lo: block as u16 },
                    ip_posid: offset,
                },
                t_tableOid: self.table,
                t_data: row,
            };
            let inserted_by = (*row).t_choice.t_heap.t_xmin;
            match pg_sys::HeapTupleSatisfiesVacuum(&raw mut tuple, self.horizon, buffer) {
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
