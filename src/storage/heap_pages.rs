//! The pages of a heap table, the tuples on them, and what a tuple's header says.

use std::ptr;

use pgrx::pg_sys;

use crate::pg::interrupt;

/// Pages read between two checks for interrupts.
const PAGES_PER_CHECK: u32 = 256;

/// The greatest number of tuples on a page: a page has a header of 24 bytes; each tuple takes a header of 24 bytes and a line
/// pointer of 4.
pub const MAX_TUPLES_PER_PAGE: usize = (pg_sys::BLCKSZ as usize - 24) / 28;

/// Calls `page` with each page of a table in turn: its buffer, which is pinned but not locked, and its block number. Like a
/// sequential scan, it reads a large table through a small ring of shared buffers.
///
/// # Safety
///
/// An open heap table. If PostgreSQL raises an error, the end of the transaction releases the pin.
pub unsafe fn for_each_page<E>(
    relation: pg_sys::Relation,
    mut page: impl FnMut(pg_sys::Buffer, u32) -> Result<(), E>,
) -> Result<(), E> {
    let main = pg_sys::ForkNumber::MAIN_FORKNUM;
    // SAFETY: as the caller promises.
    unsafe {
        let blocks = pg_sys::RelationGetNumberOfBlocksInFork(relation, main);
        let strategy = match blocks > pg_sys::NBuffers as u32 / 4 {
            true => pg_sys::GetAccessStrategy(pg_sys::BufferAccessStrategyType::BAS_BULKREAD),
            false => ptr::null_mut(),
        };
        let mut result = Ok(());
        for block in 0..blocks {
            if block.is_multiple_of(PAGES_PER_CHECK) {
                interrupt::check();
            }
            let normal = pg_sys::ReadBufferMode::RBM_NORMAL;
            let buffer = pg_sys::ReadBufferExtended(relation, main, block, normal, strategy);
            result = page(buffer, block);
            pg_sys::ReleaseBuffer(buffer);
            if result.is_err() {
                break;
            }
        }
        if !strategy.is_null() {
            pg_sys::FreeAccessStrategy(strategy);
        }
        result
    }
}

/// All tuples of a page, visible or not, in the order of their line pointers.
///
/// # Safety
///
/// The buffer holds this block of the table. It stays pinned and locked while the iterator is used.
#[inline]
pub unsafe fn tuples(
    relation: pg_sys::Relation,
    buffer: pg_sys::Buffer,
    block: u32,
) -> impl Iterator<Item = pg_sys::HeapTupleData> {
    let first = std::mem::offset_of!(pg_sys::PageHeaderData, pd_linp);
    let block = pg_sys::BlockIdData { bi_hi: (block >> 16) as u16, bi_lo: block as u16 };
    // SAFETY: as the caller promises.
    let (page, table, line_pointers) = unsafe {
        let page = pg_sys::BufferGetPage(buffer).cast::<u8>();
        let end = (*page.cast::<pg_sys::PageHeaderData>()).pd_lower;
        let line_pointers = usize::from(end).saturating_sub(first) / size_of::<pg_sys::ItemIdData>();
        (page, (*relation).rd_id, line_pointers)
    };
    (1..=line_pointers).filter_map(move |offset| {
        // SAFETY: as the caller promises; a normal line pointer points to a tuple on the page.
        unsafe {
            let item = *page.add(first).cast::<pg_sys::ItemIdData>().add(offset - 1);
            (item.lp_flags() == pg_sys::LP_NORMAL).then(|| pg_sys::HeapTupleData {
                t_len: item.lp_len(),
                t_self: pg_sys::ItemPointerData { ip_blkid: block, ip_posid: offset as u16 },
                t_tableOid: table,
                t_data: page.add(item.lp_off() as usize).cast(),
            })
        }
    })
}

/// Whether the first `columns` columns of a tuple are stored and not NULL. The catalog alone does not ensure it: in PostgreSQL
/// 18, a NOT NULL constraint can be NOT VALID.
///
/// # Safety
///
/// A tuple's header.
#[inline]
pub unsafe fn has_no_null(header: pg_sys::HeapTupleHeader, columns: usize) -> bool {
    // SAFETY: as the caller promises; if the tuple has a null bitmap, that has a bit for each column.
    unsafe {
        let stored = usize::from((*header).t_infomask2) & pg_sys::HEAP_NATTS_MASK as usize;
        let has_nulls = u32::from((*header).t_infomask) & pg_sys::HEAP_HASNULL != 0;
        let bits = (&raw const (*header).t_bits).cast::<u8>();
        stored >= columns && (!has_nulls || (0..columns).all(|n| *bits.add(n / 8) & (1 << (n % 8)) != 0))
    }
}

/// The ids of the last few transactions that were looked up. A few are enough, because only a few transactions at a time insert
/// into neighbouring pages.
#[derive(Default)]
pub struct RecentTransactions {
    ids: [pg_sys::TransactionId; 8],
    next: usize,
}

impl RecentTransactions {
    #[inline]
    pub fn contains(&self, id: pg_sys::TransactionId) -> bool {
        id != pg_sys::InvalidTransactionId && self.ids.contains(&id)
    }

    /// Adds a transaction, in place of the oldest one.
    pub fn add(&mut self, id: pg_sys::TransactionId) {
        if !self.contains(id) {
            self.ids[self.next] = id;
            self.next = (self.next + 1) % self.ids.len();
        }
    }
}
