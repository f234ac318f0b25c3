//! Reads fixed-width columns of a table at fixed offsets in its tuples, ten times as fast as SQL does.

use std::ptr;

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

use super::column_offset::{no_fixed_offset, offset};
use super::heap_pages::{MAX_TUPLES_PER_PAGE, RecentTransactions, for_each_page, has_no_null, tuples};
use super::table::{OpenTable, Table};
use crate::pg::Error;
use crate::pg::catalog::Privilege;
use crate::pg::snapshot::Snapshot;

/// The columns of a row that [`scan`] was asked for, in that order.
pub struct Row<'a> {
    data: *const u8,
    offsets: &'a [usize],
}

impl Row<'_> {
    /// The value of a column of type `int`.
    pub fn int4(&self, column: usize) -> i32 {
        // SAFETY: `scan` checked that every row has a value of this type at this offset.
        unsafe { self.data.add(self.offsets[column]).cast::<i32>().read_unaligned() }
    }

    /// The value of a column of type `bigint`.
    pub fn int8(&self, column: usize) -> i64 {
        // SAFETY: as above.
        unsafe { self.data.add(self.offsets[column]).cast::<i64>().read_unaligned() }
    }

    /// The value of a column of type `smallint`.
    pub fn int2(&self, column: usize) -> i16 {
        // SAFETY: as above.
        unsafe { self.data.add(self.offsets[column]).cast::<i16>().read_unaligned() }
    }

    /// The value of a column of type `bool`.
    pub fn bool(&self, column: usize) -> bool {
        // SAFETY: as above.
        unsafe { self.data.add(self.offsets[column]).read() != 0 }
    }
}

/// Checks that [`scan`] can read these columns. A long call checks this first, so that it does not fail at its end.
pub fn check(table: &Table, wanted: &[&str]) -> Result<(), Error> {
    let open = table.open(&[Privilege::Select], pg_sys::AccessShareLock as pg_sys::LOCKMODE)?;
    offsets(&open, table, wanted).map(drop)
}

/// Calls `row` with each row that the snapshot sees, in the order in which the rows are stored. The role must have SELECT on
/// the table.
///
/// `wanted` names columns of the table. These, and all columns before them, must be NOT NULL and of fixed width.
/// [`Error::Altered`] if somebody has changed that.
pub fn scan<E: From<Error>>(
    table: &Table,
    wanted: &[&str],
    snapshot: Snapshot,
    mut row: impl FnMut(Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let open = table.open(&[Privilege::Select], pg_sys::AccessShareLock as pg_sys::LOCKMODE)?;
    let (offsets, columns) = offsets(&open, table, wanted)?;
    let null_found = || {
        let column = wanted.last().copied().unwrap_or_default();
        let undo = format!(
            "Some rows have NULL in this column or in one before it. This statement says which column: \
             {} ALTER COLUMN {column} SET NOT NULL;",
            table.alter()
        );
        Error::Altered { table: table.name, column: column.into(), undo }
    };
    // SAFETY: an open heap table. The offsets hold for a row if all its columns up to the last one read are stored and not
    // NULL, which `has_no_null` checks. If PostgreSQL raises an error, the transaction's resource owner releases the snapshot.
    unsafe {
        let snapshot = pg_sys::RegisterSnapshot(match snapshot {
            Snapshot::Statement => pg_sys::GetActiveSnapshot(),
            Snapshot::Transaction => pg_sys::GetTransactionSnapshot(),
            Snapshot::Latest => pg_sys::GetLatestSnapshot(),
        });
        let result = VisibleTuples::new(open.relation, snapshot).each(|header| {
            if !has_no_null(header, columns) {
                return Err(null_found().into());
            }
            let data = header.cast::<u8>().add((*header).t_hoff.into());
            row(Row { data, offsets: &offsets })
        });
        pg_sys::UnregisterSnapshot(snapshot);
        result
    }
}

/// The offset of each wanted column, in bytes from the first column; and the number of columns up to the last wanted one.
fn offsets(open: &OpenTable, table: &Table, wanted: &[&str]) -> Result<(Vec<usize>, usize), Error> {
    let found = open.columns();
    let index = |name: &&str| table.columns.iter().position(|column| column.name == *name);
    let indexes = wanted.iter().map(index).collect::<Option<Vec<_>>>().ok_or(Error::Null(table.name))?;
    let count = indexes.iter().max().map_or(0, |last| last + 1);
    table.check(&found, count)?;
    let offset = |&index: &usize| offset(&found, index).ok_or_else(|| no_fixed_offset(table, &found[index]));
    Ok((indexes.iter().map(offset).collect::<Result<_, Error>>()?, count))
}

unsafe extern "C-unwind" {
    // storage/predicate.h, which pgrx does not bind. It is called by `pg_guard_ffi_boundary`, because it may raise an error.
    fn PredicateLockRelation(relation: pg_sys::Relation, snapshot: pg_sys::Snapshot);
}

/// The tuples of a table that a snapshot sees, as a sequential scan returns them.
///
/// Unlike a sequential scan, it looks up the status of each inserting transaction once and not for each tuple. After a bulk
/// load, a sequential scan would set the hint bits of all tuples, and so write every page again.
struct VisibleTuples {
    relation: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
    /// Transactions whose rows the snapshot sees.
    visible: RecentTransactions,
    is_serializable: bool,
}

impl VisibleTuples {
    /// # Safety
    ///
    /// An open heap table and a registered snapshot.
    unsafe fn new(relation: pg_sys::Relation, snapshot: pg_sys::Snapshot) -> VisibleTuples {
        // SAFETY: as the caller promises. The predicate lock lets PostgreSQL detect conflicts between serializable
        // transactions.
        let is_serializable = unsafe {
            pg_guard_ffi_boundary(|| PredicateLockRelation(relation, snapshot));
            pg_sys::XactIsoLevel == pg_sys::XACT_SERIALIZABLE as i32
        };
        VisibleTuples { relation, snapshot, visible: RecentTransactions::default(), is_serializable }
    }

    /// Calls `each` with the header of each visible tuple, in the order in which the tuples are stored.
    ///
    /// # Safety
    ///
    /// The table is still open and the snapshot still registered.
    unsafe fn each<E>(
        &mut self,
        mut each: impl FnMut(pg_sys::HeapTupleHeader) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut seen = [ptr::null_mut(); MAX_TUPLES_PER_PAGE];
        // SAFETY: as the caller promises. While a page is pinned, it stays in its buffer, and the tuples that were visible
        // under the lock stay on the page.
        unsafe {
            for_each_page(self.relation, |buffer, block| {
                let mut count = 0;
                pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
                self.refuse_old_snapshot(buffer);
                for mut tuple in tuples(self.relation, buffer, block) {
                    let is_visible =
                        self.is_known_visible(tuple.t_data) || self.is_visible(&mut tuple, buffer);
                    if is_visible && count < MAX_TUPLES_PER_PAGE {
                        seen[count] = tuple.t_data;
                        count += 1;
                    }
                }
                pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_UNLOCK as i32);
                seen[..count].iter().try_for_each(|&header| each(header))
            })
        }
    }

    /// Raises PostgreSQL's own error if rows that the snapshot should see may have been removed from a page. Only 14 to 16 have
    /// the setting `old_snapshot_threshold`, which allows that.
    ///
    /// # Safety
    ///
    /// A buffer of the table, pinned and locked.
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

    /// Whether the header alone, with what is known of its inserting transaction, shows that the snapshot sees the tuple.
    ///
    /// # Safety
    ///
    /// A tuple's header.
    unsafe fn is_known_visible(&self, header: pg_sys::HeapTupleHeader) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            let frozen = pg_sys::HEAP_XMIN_FROZEN | pg_sys::HEAP_XMAX_INVALID;
            let is_frozen = u32::from((*header).t_infomask) & (frozen | pg_sys::HEAP_MOVED) == frozen;
            is_frozen
                || depends_on_xmin_only(header) && self.visible.contains((*header).t_choice.t_heap.t_xmin)
        }
    }

    /// Whether the snapshot sees the tuple, by PostgreSQL's own check.
    ///
    /// # Safety
    ///
    /// A tuple of the buffer's page, which is pinned and locked.
    #[inline(never)]
    unsafe fn is_visible(&mut self, tuple: &mut pg_sys::HeapTupleData, buffer: pg_sys::Buffer) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            let header = tuple.t_data;
            let is_visible = pg_sys::HeapTupleSatisfiesVisibility(tuple, self.snapshot, buffer);
            pg_sys::HeapCheckForSerializableConflictOut(
                is_visible,
                self.relation,
                tuple,
                buffer,
                self.snapshot,
            );
            let xmin = (*header).t_choice.t_heap.t_xmin;
            // Of this transaction's own rows, the snapshot sees only those that are older than itself.
            let is_own = || pg_sys::TransactionIdIsCurrentTransactionId(xmin);
            if is_visible && depends_on_xmin_only(header) && !self.is_serializable && !is_own() {
                self.visible.add(xmin);
            }
            is_visible
        }
    }
}

/// Whether the inserting transaction alone decides who sees a tuple.
///
/// # Safety
///
/// A tuple's header.
unsafe fn depends_on_xmin_only(header: pg_sys::HeapTupleHeader) -> bool {
    // SAFETY: as the caller promises.
    let bits = unsafe { u32::from((*header).t_infomask) };
    // HEAP_XMIN_INVALID is set if the inserting transaction was rolled back. It is also set if the tuple is frozen; another
    // transaction may have the same id by now.
    bits & (pg_sys::HEAP_XMAX_INVALID | pg_sys::HEAP_MOVED | pg_sys::HEAP_XMIN_INVALID)
        == pg_sys::HEAP_XMAX_INVALID
}
