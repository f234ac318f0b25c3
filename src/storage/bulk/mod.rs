//! Bulk insertion: inserts many rows at a time into a table, as COPY does.

mod fixed;

use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys;

pub use fixed::{FixedInsert, FixedRow};

use super::table::{OpenTable, Table};
use crate::pg::catalog::Privilege;
use crate::pg::{Error, interrupt};

/// The greatest number of rows in a batch.
const ROWS_PER_BATCH: usize = 1000;

/// A batch is inserted when its values have this many bytes, as in COPY. They fill eight pages, so each page is written to the
/// WAL only once or twice. If rows have long arrays, only one row is in memory at a time.
const BYTES_PER_BATCH: usize = 65_535;

/// On which pages of a table rows are inserted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placement {
    /// On pages that have space according to the free space map. If there are none, on new pages.
    FreeSpace,
    /// On new pages. For workers that fill an empty table together: each inserts into pages of its own.
    NewPages,
}

/// A table into which rows are inserted.
///
/// Only the constraints of unique indexes are checked, and no trigger fires. The caller must make sure that the rows satisfy
/// all other constraints. Disabled indexes get no entries.
struct Target {
    table: OpenTable,
    rows: u64,
    /// Flags `TABLE_INSERT_…`.
    options: i32,
    state: pg_sys::BulkInsertState,
    executor: *mut pg_sys::EState,
    result_relation: *mut pg_sys::ResultRelInfo,
    /// Whether any index gets entries.
    is_indexed: bool,
    /// The memory context of the rows of one batch.
    batch: PgMemoryContexts,
}

impl Target {
    fn open(table: OpenTable, placement: Placement) -> Target {
        let relation = table.relation;
        // SAFETY: an open table.
        let skips_free_space = placement == Placement::NewPages || unsafe { is_new(relation) };
        let options = if skips_free_space { pg_sys::TABLE_INSERT_SKIP_FSM as i32 } else { 0 };
        // SAFETY: an open table. All is allocated in the current memory context. If PostgreSQL raises an error, the
        // transaction's resource owner releases what is open.
        unsafe {
            let executor = pg_sys::CreateExecutorState();
            let result_relation =
                pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
            pg_sys::InitResultRelInfo(result_relation, relation, 1, std::ptr::null_mut(), 0);
            pg_sys::ExecOpenIndices(result_relation, false);
            let is_indexed = (0..(*result_relation).ri_NumIndices as usize)
                .any(|n| (**(*result_relation).ri_IndexRelationInfo.add(n)).ii_ReadyForInserts);
            Target {
                table,
                rows: 0,
                options,
                state: pg_sys::GetBulkInsertState(),
                executor,
                result_relation,
                is_indexed,
                batch: PgMemoryContexts::new("netflix_rec bulk insert"),
            }
        }
    }

    /// Makes as many slots as a batch has rows. `each` makes one slot.
    fn slots(
        &self,
        each: impl Fn(pg_sys::TupleDesc) -> *mut pg_sys::TupleTableSlot,
    ) -> Vec<*mut pg_sys::TupleTableSlot> {
        // SAFETY: the descriptor of an open table.
        let descriptor = unsafe { (*self.table.relation).rd_att };
        (0..ROWS_PER_BATCH).map(|_| each(descriptor)).collect()
    }

    /// Inserts the rows in the slots.
    fn insert(&mut self, slots: &mut [*mut pg_sys::TupleTableSlot]) {
        interrupt::check();
        let Target { options, state, executor, result_relation, is_indexed, .. } = *self;
        let relation = self.table.relation;
        // SAFETY: the slots hold rows of this relation. All that is allocated meanwhile is freed with the batch.
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
                    insert_index_entries(result_relation, slot, executor);
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

    /// The memory of the values that are not inserted yet, in bytes.
    fn batch_bytes(&self) -> usize {
        // SAFETY: a memory context that this value owns.
        unsafe { (*self.batch.value()).mem_allocated }
    }

    /// Ends the insertion and returns the number of rows.
    fn close(self, slots: &[*mut pg_sys::TupleTableSlot]) -> u64 {
        // SAFETY: closes once what `open` and `slots` made.
        unsafe {
            slots.iter().for_each(|&slot| pg_sys::ExecDropSingleTupleTableSlot(slot));
            pg_sys::FreeBulkInsertState(self.state);
            pg_sys::ExecCloseIndices(self.result_relation);
            pg_sys::FreeExecutorState(self.executor);
            drop(self.table);
            pg_sys::CommandCounterIncrement();
        }
        self.rows
    }
}

/// Inserts rows of any types into a table with `COLUMNS` columns.
pub struct BulkInsert<const COLUMNS: usize> {
    target: Target,
    slots: Vec<*mut pg_sys::TupleTableSlot>,
    used: usize,
}

impl<const COLUMNS: usize> BulkInsert<COLUMNS> {
    /// Starts to insert. The role must have INSERT on the table. Columns that somebody has added get NULL. [`Error::Altered`]
    /// if they cannot be NULL, or if somebody has changed the table's own columns.
    pub fn open(table: &Table) -> Result<BulkInsert<COLUMNS>, Error> {
        assert_eq!(table.columns.len(), COLUMNS, "columns of {}", table.name);
        let target = Target::open(open(table, pg_sys::RowExclusiveLock)?, Placement::FreeSpace);
        // SAFETY: a slot for rows of the open table, with room for all its columns.
        let slots = target.slots(|descriptor| unsafe {
            let slot = pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsVirtual);
            for added in COLUMNS..(*descriptor).natts as usize {
                *(*slot).tts_isnull.add(added) = true;
            }
            slot
        });
        Ok(BulkInsert { target, slots, used: 0 })
    }

    /// Adds a row. `row` makes its values, in a memory context that is reset after the batch is inserted.
    pub fn push(&mut self, row: impl FnOnce() -> [Option<pg_sys::Datum>; COLUMNS]) {
        let slot = self.slots[self.used];
        // SAFETY: a cleared slot with room for all columns of the table, whose number `open` has checked. The values are valid
        // until the batch's context is reset after the insertion.
        unsafe {
            let values = self.target.batch.switch_to(|_| row());
            for (column, value) in values.into_iter().enumerate() {
                *(*slot).tts_isnull.add(column) = value.is_none();
                *(*slot).tts_values.add(column) = value.unwrap_or(pg_sys::Datum::null());
            }
            pg_sys::ExecStoreVirtualTuple(slot);
        }
        self.used += 1;
        if self.used == ROWS_PER_BATCH || self.target.batch_bytes() > BYTES_PER_BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let slots = &mut self.slots[..self.used];
        self.target.insert(slots);
        for &slot in slots.iter() {
            // SAFETY: a slot that this value owns.
            unsafe { pg_sys::ExecClearTuple(slot) };
        }
        self.used = 0;
    }

    /// Inserts the last batch. Returns the number of all rows inserted.
    pub fn finish(mut self) -> u64 {
        self.flush();
        self.target.close(&self.slots)
    }
}

/// Checks that [`BulkInsert::open`] accepts a table. A long call checks this first, so that it does not fail at its end.
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

/// Whether a table was created or truncated in this transaction. Such a table has little free space: only what this transaction
/// itself has left.
///
/// # Safety
///
/// An open relation.
unsafe fn is_new(relation: pg_sys::Relation) -> bool {
    const INVALID: pg_sys::SubTransactionId = 0;
    // SAFETY: as the caller promises.
    let (created, new_file) = unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let new_file = (*relation).rd_firstRelfilenodeSubid;
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let new_file = (*relation).rd_firstRelfilelocatorSubid;
        ((*relation).rd_createSubid, new_file)
    };
    created != INVALID || new_file != INVALID
}

/// # Safety
///
/// The slot holds a row that was just inserted into the result relation, whose indexes are open.
unsafe fn insert_index_entries(
    result_relation: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    executor: *mut pg_sys::EState,
) {
    // SAFETY: as the caller promises.
    unsafe {
        pg_sys::ExecInsertIndexTuples(
            result_relation,
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
