//! Bulk insertion: many rows at a time straight into a table, as COPY does it.

mod fixed;

use pgrx::memcxt::PgMemoryContexts;
#[cfg(any(test, feature = "pg_test"))]
use pgrx::pg_schema;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid;

pub use fixed::{FixedInsert, FixedRow};

use super::catalog::{Privilege, Table, TableColumn};
use super::{Error, interrupt};

/// A column of the rows that are inserted.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub type_oid: BuiltinOid,
    /// Whether a row may have NULL there.
    pub is_optional: bool,
}

impl Column {
    /// One that every row has a value for.
    pub const fn required(type_oid: BuiltinOid) -> Column {
        Column { type_oid, is_optional: false }
    }

    /// One that some rows have no value for.
    pub const fn optional(type_oid: BuiltinOid) -> Column {
        Column { type_oid, is_optional: true }
    }
}

/// Rows a batch.
const BATCH: usize = 1000;

/// A table that rows go into.
///
/// They are written straight into it: constraints other than unique indexes are not checked and triggers do not fire.
/// The caller proves the constraints by construction. Indexes that are set aside are left alone.
struct Target {
    table: Table,
    rows: u64,
    state: pg_sys::BulkInsertState,
    executor: *mut pg_sys::EState,
    target: *mut pg_sys::ResultRelInfo,
    /// Whether there is an index that is to be maintained.
    is_indexed: bool,
    /// What the rows of one batch are made in.
    batch: PgMemoryContexts,
}

impl Target {
    fn open(table: Table) -> Target {
        let relation = table.relation;
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
        let Target { state, executor, target, is_indexed, .. } = *self;
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
                    pg_sys::TABLE_INSERT_SKIP_FSM as i32,
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
    /// Starts to insert into one of the extension's tables, which has these columns. The role must be allowed to.
    /// Columns that somebody added behind them stay NULL; [`Error::Altered`] where they cannot be, or where somebody
    /// changed the others.
    pub fn open(table: &'static str, columns: [Column; COLUMNS]) -> Result<BulkInsert<COLUMNS>, Error> {
        let target = Target::open(open(table, &columns, pg_sys::RowExclusiveLock)?);
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
        if self.used == BATCH {
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

/// Whether a later [`BulkInsert::open`] will find the table as it should be: asked before long work, not after.
pub fn check(table: &'static str, columns: &[Column]) -> Result<(), Error> {
    open(table, columns, pg_sys::AccessShareLock).map(drop)
}

fn open(name: &'static str, wanted: &[Column], lock: u32) -> Result<Table, Error> {
    let table = Table::open(name, &[Privilege::Insert], lock as pg_sys::LOCKMODE)?;
    let columns = table.columns();
    let as_made = |(at, column): (usize, &TableColumn)| match wanted.get(at) {
        // Nobody checks the rows: a NULL in a column that must not be NULL would be read as something else.
        Some(wanted) => {
            let fits = !(wanted.is_optional && column.not_null);
            !column.is_dropped && column.type_oid == wanted.type_oid.value() && fits
        }
        // One that somebody added is fine where it can be NULL.
        None => column.is_dropped || !(column.not_null || column.has_default),
    };
    let altered =
        columns.iter().enumerate().find(|&column| !as_made(column)).map(|(_, column)| column.name.clone());
    let missing = || (columns.len() < wanted.len()).then(|| format!("{}", columns.len() + 1));
    match altered.or_else(missing) {
        Some(column) => Err(Error::Altered { table: name, column }),
        None => Ok(table),
    }
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

#[cfg(any(test, feature = "pg_test"))]
#[pg_schema]
mod tests {
    use super::*;
    use crate::pg::index;
    use pgrx::prelude::*;

    const CUSTOMER: [Column; 6] = [
        Column::required(BuiltinOid::INT4OID),
        Column::required(BuiltinOid::INT4OID),
        Column::required(BuiltinOid::INT8OID),
        Column::optional(BuiltinOid::FLOAT8OID),
        Column::optional(BuiltinOid::DATEOID),
        Column::optional(BuiltinOid::DATEOID),
    ];

    fn insert(keys: std::ops::Range<i32>) -> u64 {
        let mut rows = BulkInsert::open("dim_customer", CUSTOMER).unwrap();
        for key in keys {
            let id = key * 10;
            rows.push(|| [key.into_datum(), id.into_datum(), 0i64.into_datum(), None, None, None]);
        }
        rows.finish()
    }

    /// Finds a row by way of an index, and by way of the table.
    fn count(condition: &str) -> (i64, i64) {
        let count = |scan: &str| {
            Spi::run(&format!("SET LOCAL enable_seqscan = {scan}; SET LOCAL enable_bitmapscan = {scan}"))
                .unwrap();
            let query = format!("SELECT count(*) FROM dim_customer WHERE {condition}");
            Spi::get_one::<i64>(&query).unwrap().unwrap()
        };
        (count("off"), count("on"))
    }

    #[pg_test]
    fn rows_are_found_by_index_and_by_scan() {
        index::set_aside("dim_customer").unwrap();
        assert_eq!(index::aside("dim_customer").unwrap().len(), 2);
        assert_eq!(insert(1..2501), 2500);
        assert_eq!(count("customer_id = 20000"), (1, 1));
        index::aside("dim_customer").unwrap().into_iter().for_each(index::rebuild);
        assert_eq!(index::aside("dim_customer").unwrap(), []);
        assert_eq!(count("customer_id = 20000"), (1, 1));
        assert_eq!(insert(2501..5001), 2500);
        assert_eq!(count("customer_id IN (20000, 25010, 50000)"), (3, 3));
        assert_eq!(count("customer_key BETWEEN 1 AND 5000"), (5000, 5000));
        assert_eq!(insert(5001..5001), 0);
        let plan = Spi::explain("SELECT FROM dim_customer WHERE customer_id = 20000").unwrap();
        assert!(format!("{:?}", plan.0).contains("Index"), "{plan:?}");
    }

    #[pg_test(error = "duplicate key value violates unique constraint \"dim_customer_pkey\"")]
    fn a_duplicate_is_refused_at_once() {
        insert(1..5);
        insert(4..6);
    }

    #[pg_test(error = "could not create unique index \"dim_customer_pkey\"")]
    fn a_duplicate_is_refused_when_indexes_are_rebuilt() {
        index::set_aside("dim_customer").unwrap();
        insert(1..5);
        insert(4..6);
        index::aside("dim_customer").unwrap().into_iter().for_each(index::rebuild);
    }

    #[pg_test]
    fn an_altered_table_is_not_written() {
        let altered = |statement: &str| {
            Spi::run(statement).unwrap();
            match BulkInsert::open("dim_customer", CUSTOMER) {
                Ok(rows) => {
                    rows.finish();
                    None
                }
                Err(Error::Altered { column, .. }) => Some(column),
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(altered("SELECT 1"), None);
        assert_eq!(altered("ALTER TABLE dim_customer ADD COLUMN note text"), None);
        assert_eq!(altered("ALTER TABLE dim_customer DROP COLUMN note"), None);
        assert_eq!(altered("ALTER TABLE dim_customer ADD mark int DEFAULT 3").as_deref(), Some("mark"));
        assert_eq!(altered("ALTER TABLE dim_customer DROP mark"), None);
        assert_eq!(
            altered("ALTER TABLE dim_customer ALTER rating_mean SET NOT NULL").as_deref(),
            Some("rating_mean")
        );
        assert_eq!(altered("ALTER TABLE dim_customer ALTER rating_mean DROP NOT NULL"), None);
        // The type of a column that no view reads can change.
        Spi::run("ALTER TABLE customer_factors ALTER bias TYPE double precision").unwrap();
        let rows = BulkInsert::open("customer_factors", crate::pg::model::CUSTOMER_FACTORS);
        assert!(matches!(rows, Err(Error::Altered { column, .. }) if column == "bias"));
    }

    #[pg_test]
    fn long_values_are_stored_out_of_line() {
        Spi::run("INSERT INTO dim_customer VALUES (1, 1, 0)").unwrap();
        let model = Spi::get_one::<i32>(
            "INSERT INTO model (name, version, algorithm, params, train_on, hold_out, is_deployed, factors, samples,
                                global_mean, ratings, iterations, train_rmse, elapsed)
             VALUES ('long', 1, 'als', '{}', 'all', 0, false, 3000, 1, 3, 1, 1, 1, '1 s') RETURNING model_id",
        );
        let model = model.unwrap().unwrap();
        let factors = (0..3000).map(|n| n as f32 / 7.0).collect::<Vec<_>>();
        let mut rows = BulkInsert::open("customer_factors", crate::pg::model::CUSTOMER_FACTORS).unwrap();
        rows.push(|| [model.into_datum(), 1.into_datum(), 0f32.into_datum(), factors.clone().into_datum()]);
        assert_eq!(rows.finish(), 1);
        let read = Spi::get_one::<Vec<f32>>("SELECT factors FROM customer_factors").unwrap().unwrap();
        assert_eq!(read, factors);
    }
}
