//! Reads a table's fixed-width columns at fixed places in its rows: ten times as fast as by way of SQL.

use std::ptr;

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

use super::table::{OpenTable, Table, TableColumn};
use crate::pg::catalog::Privilege;
use crate::pg::snapshot::Snapshot;
use crate::pg::{Error, interrupt};

/// Pages read between two checks for interrupts.
const PAGES_PER_CHECK: u32 = 256;

/// The values of a row's columns, in the order they were asked for.
pub struct Row<'a> {
    data: *const u8,
    offsets: &'a [usize],
}

impl Row<'_> {
    /// A column of type `int`.
    pub fn int4(&self, column: usize) -> i32 {
        // SAFETY: `scan` checked that such a column stands there in every row.
        unsafe { self.data.add(self.offsets[column]).cast::<i32>().read_unaligned() }
    }

    /// A column of type `bigint`.
    pub fn int8(&self, column: usize) -> i64 {
        // SAFETY: as above.
        unsafe { self.data.add(self.offsets[column]).cast::<i64>().read_unaligned() }
    }

    /// A column of type `smallint`.
    pub fn int2(&self, column: usize) -> i16 {
        // SAFETY: as above.
        unsafe { self.data.add(self.offsets[column]).cast::<i16>().read_unaligned() }
    }

    /// A column of type `bool`.
    pub fn bool(&self, column: usize) -> bool {
        // SAFETY: as above.
        unsafe { self.data.add(self.offsets[column]).read() != 0 }
    }
}

/// Checks that [`scan`] will be able to read these columns: before long work, not after it.
pub fn check(table: &Table, wanted: &[&str]) -> Result<(), Error> {
    let open = table.open(&[Privilege::Select], pg_sys::AccessShareLock as pg_sys::LOCKMODE)?;
    offsets(&open, table, wanted).map(drop)
}

/// Calls `row` with each row that the snapshot sees, in the order in which they are stored. The role must have SELECT on the
/// table.
///
/// `wanted` names columns of the table that are NOT NULL and stand behind columns of fixed width only; [`Error::Altered`] where
/// somebody changed that.
pub fn scan<E: From<Error>>(
    table: &Table,
    wanted: &[&str],
    snapshot: Snapshot,
    mut row: impl FnMut(Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let open = table.open(&[Privilege::Select], pg_sys::AccessShareLock as pg_sys::LOCKMODE)?;
    let (offsets, last) = offsets(&open, table, wanted)?;
    let altered = || {
        let column = wanted.last().copied().unwrap_or_default();
        let undo = format!(
            "Some rows have NULL in it or in a column before it: {} ALTER COLUMN {column} SET NOT NULL; tells which.",
            table.alter()
        );
        Error::Altered { table: table.name, column: column.into(), undo }
    };
    // SAFETY: an open heap table; the offsets hold for every row because all columns up to the last one read are of fixed
    // width, stored and not null, which is looked at where a row has fewer columns or any null. What an error of the
    // server's leaves open is released by the transaction's resource owner.
    unsafe {
        let snapshot = pg_sys::RegisterSnapshot(match snapshot {
            Snapshot::Statement => pg_sys::GetActiveSnapshot(),
            Snapshot::Transaction => pg_sys::GetTransactionSnapshot(),
            Snapshot::Latest => pg_sys::GetLatestSnapshot(),
        });
        let result = Pages::new(open.relation, snapshot).each(|header| {
            if !is_whole(header, last) {
                return Err(altered().into());
            }
            let data = header.cast::<u8>().add((*header).t_hoff.into());
            row(Row { data, offsets: &offsets })
        });
        pg_sys::UnregisterSnapshot(snapshot);
        result
    }
}

unsafe extern "C-unwind" {
    // storage/predicate.h, which pgrx does not bind. An error passes through `pg_guard_ffi_boundary` alone.
    fn PredicateLockRelation(relation: pg_sys::Relation, snapshot: pg_sys::Snapshot);
}

/// A table's pages, read one after another as a sequential scan does, but that a transaction's fate is looked up once and
/// not for each of its rows: after a bulk load, that would write every page again to note it there.
struct Pages {
    relation: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
    /// Transactions whose rows the snapshot sees.
    visible: Transactions,
    is_serializable: bool,
}

/// The most rows that a page can have: each takes a header of 24 bytes and a pointer of 4.
const ROWS_A_PAGE: usize = (pg_sys::BLCKSZ as usize - 24) / 28;

impl Pages {
    /// # Safety
    ///
    /// An open heap table and a registered snapshot.
    unsafe fn new(relation: pg_sys::Relation, snapshot: pg_sys::Snapshot) -> Pages {
        // SAFETY: as the caller promises; what is locked is for serializable transactions to notice each other.
        let is_serializable = unsafe {
            pg_guard_ffi_boundary(|| PredicateLockRelation(relation, snapshot));
            pg_sys::XactIsoLevel == pg_sys::XACT_SERIALIZABLE as i32
        };
        Pages { relation, snapshot, visible: Transactions::default(), is_serializable }
    }

    /// Hands on each row that the snapshot sees, in the order they are stored in.
    ///
    /// # Safety
    ///
    /// The table is open and the snapshot registered still.
    unsafe fn each<E>(
        &mut self,
        mut row: impl FnMut(pg_sys::HeapTupleHeader) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut seen = [ptr::null_mut(); ROWS_A_PAGE];
        // SAFETY: as the caller promises. A page stays where it is while it is pinned, and so do the rows that were
        // visible when it was locked.
        unsafe {
            each_page(self.relation, |buffer, block| {
                let mut count = 0;
                pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
                self.refuse_old_snapshot(buffer);
                for mut tuple in rows(self.relation, buffer, block) {
                    let is_visible = self.is_known(tuple.t_data) || self.is_visible(&mut tuple, buffer);
                    if is_visible && count < ROWS_A_PAGE {
                        seen[count] = tuple.t_data;
                        count += 1;
                    }
                }
                pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_UNLOCK as i32);
                seen[..count].iter().try_for_each(|&header| row(header))
            })
        }
    }

    /// Raises PostgreSQL's own error where rows that the snapshot should see may have been removed from a page: 14 to 16
    /// have `old_snapshot_threshold`.
    ///
    /// # Safety
    ///
    /// A buffer of the table's, pinned and locked.
    #[inline]
    unsafe fn refuse_old_snapshot(&self, buffer: pg_sys::Buffer) {
        // SAFETY: as the caller promises; the setting is fixed when the server starts. An error releases lock and pin.
        #[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
        unsafe {
            if pg_sys::old_snapshot_threshold >= 0 {
                pg_sys::TestForOldSnapshot(self.snapshot, self.relation, pg_sys::BufferGetPage(buffer));
            }
        }
        #[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
        let _ = buffer;
    }

    /// Whether it takes no more than a look to see that the snapshot sees a row.
    ///
    /// # Safety
    ///
    /// A row's header.
    unsafe fn is_known(&self, row: pg_sys::HeapTupleHeader) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            let frozen = pg_sys::HEAP_XMIN_FROZEN | pg_sys::HEAP_XMAX_INVALID;
            let is_frozen = u32::from((*row).t_infomask) & (frozen | pg_sys::HEAP_MOVED) == frozen;
            is_frozen || is_simple(row) && self.visible.contains((*row).t_choice.t_heap.t_xmin)
        }
    }

    /// # Safety
    ///
    /// A row of the buffer's page, which is pinned and locked.
    #[inline(never)]
    unsafe fn is_visible(&mut self, tuple: &mut pg_sys::HeapTupleData, buffer: pg_sys::Buffer) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            let row = tuple.t_data;
            let is_visible = pg_sys::HeapTupleSatisfiesVisibility(tuple, self.snapshot, buffer);
            pg_sys::HeapCheckForSerializableConflictOut(
                is_visible,
                self.relation,
                tuple,
                buffer,
                self.snapshot,
            );
            let inserted_by = (*row).t_choice.t_heap.t_xmin;
            // Of this transaction's rows, those that came after the snapshot are not seen.
            let is_own = || pg_sys::TransactionIdIsCurrentTransactionId(inserted_by);
            if is_visible && is_simple(row) && !self.is_serializable && !is_own() {
                self.visible.add(inserted_by);
            }
            is_visible
        }
    }
}

/// Hands on a table's pages one after another, each with its number, pinned but not locked. As a sequential scan does, it
/// does not let a large table take all of the shared buffers.
///
/// # Safety
///
/// An open heap table. Should an error of the server's be raised, the transaction's end releases the pin.
pub(super) unsafe fn each_page<E>(
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

/// The rows of a page, whoever sees them, in the order of their places.
///
/// # Safety
///
/// The buffer holds this block of the table, and stays pinned and locked as long as the rows are looked for.
#[inline]
pub(super) unsafe fn rows(
    relation: pg_sys::Relation,
    buffer: pg_sys::Buffer,
    block: u32,
) -> impl Iterator<Item = pg_sys::HeapTupleData> {
    let first = std::mem::offset_of!(pg_sys::PageHeaderData, pd_linp);
    let place = pg_sys::BlockIdData { bi_hi: (block >> 16) as u16, bi_lo: block as u16 };
    // SAFETY: as the caller promises.
    let (page, table, items) = unsafe {
        let page = pg_sys::BufferGetPage(buffer).cast::<u8>();
        let end = (*page.cast::<pg_sys::PageHeaderData>()).pd_lower;
        let items = usize::from(end).saturating_sub(first) / size_of::<pg_sys::ItemIdData>();
        (page, (*relation).rd_id, items)
    };
    (1..=items).filter_map(move |offset| {
        // SAFETY: as the caller promises; an item pointer in normal use points to a row of the page.
        unsafe {
            let item = *page.add(first).cast::<pg_sys::ItemIdData>().add(offset - 1);
            (item.lp_flags() == pg_sys::LP_NORMAL).then(|| pg_sys::HeapTupleData {
                t_len: item.lp_len(),
                t_self: pg_sys::ItemPointerData { ip_blkid: place, ip_posid: offset as u16 },
                t_tableOid: table,
                t_data: page.add(item.lp_off() as usize).cast(),
            })
        }
    })
}

/// Whether nothing but its inserting transaction decides on who sees a row.
///
/// # Safety
///
/// A row's header.
unsafe fn is_simple(row: pg_sys::HeapTupleHeader) -> bool {
    // SAFETY: as the caller promises.
    let bits = unsafe { u32::from((*row).t_infomask) };
    // The number of one that was frozen may be another's by now; that of one that was rolled back says nothing.
    bits & (pg_sys::HEAP_XMAX_INVALID | pg_sys::HEAP_MOVED | pg_sys::HEAP_XMIN_INVALID)
        == pg_sys::HEAP_XMAX_INVALID
}

/// A few transactions: as many as write into neighbouring pages at a time.
#[derive(Default)]
pub(super) struct Transactions {
    ids: [pg_sys::TransactionId; 8],
    next: usize,
}

impl Transactions {
    #[inline]
    pub fn contains(&self, id: pg_sys::TransactionId) -> bool {
        id != pg_sys::InvalidTransactionId && self.ids.contains(&id)
    }

    /// Adds one, which takes the oldest one's place.
    pub fn add(&mut self, id: pg_sys::TransactionId) {
        if !self.contains(id) {
            self.ids[self.next] = id;
            self.next = (self.next + 1) % self.ids.len();
        }
    }
}

/// Whether a row holds its first columns, none of them null: PostgreSQL 18 can have a NOT NULL that was never checked.
///
/// # Safety
///
/// The header is a tuple's.
pub(super) unsafe fn is_whole(header: pg_sys::HeapTupleHeader, columns: usize) -> bool {
    // SAFETY: as the caller promises; the bitmap of nulls, where there is one, has a bit for each column.
    unsafe {
        let held = usize::from((*header).t_infomask2) & pg_sys::HEAP_NATTS_MASK as usize;
        let has_nulls = u32::from((*header).t_infomask) & pg_sys::HEAP_HASNULL != 0;
        let bits = (&raw const (*header).t_bits).cast::<u8>();
        held >= columns && (!has_nulls || (0..columns).all(|n| *bits.add(n / 8) & (1 << (n % 8)) != 0))
    }
}

/// The offset of each column in a row, in bytes from the first column; and how many columns there are up to the last of them.
fn offsets(open: &OpenTable, table: &Table, wanted: &[&str]) -> Result<(Vec<usize>, usize), Error> {
    let found = open.columns();
    let place = |name: &&str| table.columns.iter().position(|column| column.name == *name);
    let places = wanted.iter().map(place).collect::<Option<Vec<_>>>().ok_or(Error::Null(table.name))?;
    let count = places.iter().max().map_or(0, |last| last + 1);
    table.check(&found, count)?;
    let offset = |&place: &usize| offset(&found, place).ok_or_else(|| misplaced(table, &found[place]));
    Ok((places.iter().map(offset).collect::<Result<_, Error>>()?, count))
}

/// The error for a column that has not the same offset in every row.
pub(super) fn misplaced(table: &Table, column: &TableColumn) -> Error {
    let undo = "Its rows are of several layouts: restore the table from a backup.".into();
    Error::Altered { table: table.name, column: column.name.clone(), undo }
}

/// The offset of a column in a row, in bytes from the first column; `None` if rows differ in it. `place` counts from 0.
pub(super) fn offset(columns: &[TableColumn], place: usize) -> Option<usize> {
    let mut end = 0usize;
    let mut start = 0;
    for column in columns.get(..=place)? {
        if column.width <= 0 || !column.not_null || column.may_be_missing || column.is_dropped {
            return None;
        }
        start = end.next_multiple_of(match column.align {
            b'd' => 8,
            b'i' => 4,
            b's' => 2,
            _ => 1,
        });
        end = start + column.width as usize;
    }
    Some(start)
}
