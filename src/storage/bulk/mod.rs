//! Bulk insertion: many rows at a time straight into a table, as COPY does it.

mod fixed;

use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys;

pub use fixed::{FixedInsert, FixedRow};

use super::table::{OpenTable, Table};
use crate::pg::catalog::Privilege;
use crate::pg::{Error, interrupt};

/// The most rows in a batch.
const BATCH: usize = 1000;

/// A batch takes no more rows when its values have this many bytes, which is COPY's bound. They fill eight pages, so each page is
/// written to the WAL only once or twice. Of rows with long arrays, only one is in memory at a time.
const BATCH_BYTES: usize = 65_535;

/// Where rows go in a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Space {
    /// Where the free space map knows of room; otherwise behind the last page.
    Free,
    /// Behind the last page. Workers that fill an empty table together then need not look at each other's pages.
    Behind,
}

/// A table that rows are inserted into.
///
/// The only constraints that are checked are those of unique indexes, and no trigger fires: the caller must make sure that the
/// rows meet all other constraints. Disabled indexes get no entries.
struct Target {
    table: OpenTable,
    rows: u64,
    /// `TABLE_INSERT_…`
    options: i32,
    state: pg_sys::BulkInsertState,
    executor: *mut pg_sys::EState,
    target: *mut pg_sys::ResultRelInfo,
    /// Whether any index gets entries.
    is_indexed: bool,
    /// The memory context that the rows of one batch are made in.
    batch: PgMemoryContexts,
}

impl Target {
    fn open(table: OpenTable, space: Space) -> Target {
        let relation = table.relation;
        // SAFETY: an open table.
        let is_behind = space == Space::Behind || unsafe { is_new(relation) };
        let options = if is_behind { pg_sys::TABLE_INSERT_SKIP_FSM as i32 } else { 0 };
        // SAFETY: an open table; what is made here lives in the current memory context, and what is not closed because
        // of an error is released by the transaction's resource owner.
        unsafe {
            let executor = pg_sys::CreateExecutorState();
            let target = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
            pg_sys::InitResultRelInfo(target, relation, 1, std::ptr::null_mut(), 0);
            pg_sys::ExecOpenIndices(target, false);
            let is_indexed = (0..(*target).ri_NumIndices as usize)
                .any(|n| (**(*target).ri_IndexRelationInfo.add(n)).ii_ReadyForInserts);
            Target {
                table,
                rows: 0,
                options,
                state: pg_sys::GetBulkInsertState(),
                executor,
                target,
                is_indexed,
                batch: PgMemoryContexts::new("netflix_rec bulk insert"),
            }
        }
    }

    /// As many slots as a batch has rows. `each` makes one.
    fn slots(
        &self,
        each: impl Fn(pg_sys::TupleDesc) -> *mut pg_sys::TupleTableSlot,
    ) -> Vec<*mut pg_sys::TupleTableSlot> {
        // SAFETY: the descriptor of an open table.
        let descriptor = unsafe { (*self.table.relation).rd_att };
        (0..BATCH).map(|_| each(descriptor)).collect()
    }

    /// Inserts the rows that the slots hold.
    fn insert(&mut self, slots: &mut [*mut pg_sys::TupleTableSlot]) {
        interrupt::check();
        let Target { options, state, executor, target, is_indexed, .. } = *self;
        let relation = self.table.relation;
        // SAFETY: the slots hold rows of this relation; all that is allocated on the way goes with the batch.
        unsafe {
            self.batch.switch_to(|_| {
                let command = pg_sys::GetCurrentCommandId(true);
                pg_sys::heap_multi_insert(
                    relation,
                    slots.as_mut_ptr(),
                    slots.len() as i32,
                    command,
                    options,
                    state,
                );
                for &slot in slots.iter().filter(|_| is_indexed) {
                    insert_index_entries(target, slot, executor);
                    if !(*executor).es_per_tuple_exprcontext.is_null() {
                        let context = (*executor).es_per_tuple_exprcontext;
                        pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
                    }
                }
            });
            self.batch.reset();
        }
        self.rows += slots.len() as u64;
    }

    /// What the values of the rows take that were not inserted yet.
    fn batch_bytes(&self) -> usize {
        // SAFETY: a memory context of our own.
        unsafe { (*self.batch.value()).mem_allocated }
    }

    /// Gives the number of rows.
    fn close(self, slots: &[*mut pg_sys::TupleTableSlot]) -> u64 {
        // SAFETY: closes what `open` and `slots` made, once.
        unsafe {
            slots.iter().for_each(|&slot| pg_sys::ExecDropSingleTupleTableSlot(slot));
            pg_sys::FreeBulkInsertState(self.state);
            pg_sys::ExecCloseIndices(self.target);
            pg_sys::FreeExecutorState(self.executor);
            drop(self.table);
            pg_sys::CommandCounterIncrement();
        }
        self.rows
    }
}

/// Rows of any values under way into a table.
pub struct BulkInsert<const COLUMNS: usize> {
    target: Target,
    slots: Vec<*mut pg_sys::TupleTableSlot>,
    used: usize,
}

impl<const COLUMNS: usize> BulkInsert<COLUMNS> {
    /// Starts to insert into a table of this many columns. The role must have INSERT on it. Columns that somebody added stay
    /// NULL; [`Error::Altered`] where they cannot be NULL, or where somebody changed the table's own columns.
    pub fn open(table: &Table) -> Result<BulkInsert<COLUMNS>, Error> {
        assert_eq!(table.columns.len(), COLUMNS, "columns of {}", table.name);
        let target = Target::open(open(table, pg_sys::RowExclusiveLock)?, Space::Free);
        // SAFETY: a slot for rows of the open table, with room for all of its columns.
        let slots = target.slots(|descriptor| unsafe {
            let slot = pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsVirtual);
            for added in COLUMNS..(*descriptor).natts as usize {
                *(*slot).tts_isnull.add(added) = true;
            }
            slot
        });
        Ok(BulkInsert { target, slots, used: 0 })
    }

    /// Adds a row. `row` makes its values in memory that lasts just long enough.
    pub fn push(&mut self, row: impl FnOnce() -> [Option<pg_sys::Datum>; COLUMNS]) {
        let slot = self.slots[self.used];
        // SAFETY: the slot is the table's own, cleared, with room for as many values as the table has columns,
        // which `open` compared; the values live until the batch's context is reset, after the insertion.
        unsafe {
            let values = self.target.batch.switch_to(|_| row());
            for (column, value) in values.into_iter().enumerate() {
                *(*slot).tts_isnull.add(column) = value.is_none();
                *(*slot).tts_values.add(column) = value.unwrap_or(pg_sys::Datum::null());
            }
            pg_sys::ExecStoreVirtualTuple(slot);
        }
        self.used += 1;
        if self.used == BATCH || self.target.batch_bytes() > BATCH_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let slots = &mut self.slots[..self.used];
        self.target.insert(slots);
        for &slot in slots.iter() {
            // SAFETY: a slot of our own.
            unsafe { pg_sys::ExecClearTuple(slot) };
        }
        self.used = 0;
    }

    /// Inserts the rest. Gives the number of rows.
    pub fn finish(mut self) -> u64 {
        self.flush();
        self.target.close(&self.slots)
    }
}

/// Checks that [`BulkInsert::open`] will accept a table: before long work, not after it.
pub fn check(table: &Table) -> Result<(), Error> {
    open(table, pg_sys::AccessShareLock).map(drop)
}

fn open(table: &Table, lock: u32) -> Result<OpenTable, Error> {
    let open = table.open(&[Privilege::Insert], lock as pg_sys::LOCKMODE)?;
    let columns = open.columns();
    table.check(&columns, table.columns.len())?;
    table.check_added(&columns)?;
    Ok(open)
}

/// Whether a table was made or truncated in this transaction: it has no free space then but what this transaction left.
///
/// # Safety
///
/// An open relation.
unsafe fn is_new(relation: pg_sys::Relation) -> bool {
    const INVALID: pg_sys::SubTransactionId = 0;
    // SAFETY: as the caller promises.
    let (created, filed) = unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let filed = (*relation).rd_firstRelfilenodeSubid;
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let filed = (*relation).rd_firstRelfilelocatorSubid;
        ((*relation).rd_createSubid, filed)
    };
    created != INVALID || filed != INVALID
}

/// # Safety
///
/// The slot holds a row of the target relation that was just inserted, and the target's indexes are open.
unsafe fn insert_index_entries(
    target: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    executor: *mut pg_sys::EState,
) {
    // SAFETY: as the caller promises.
    unsafe {
        pg_sys::ExecInsertIndexTuples(
            target,
            slot,
            executor,
            false,
            false,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            #[cfg(not(any(feature = "pg14", feature = "pg15")))]
            false,
        );
    }
}
