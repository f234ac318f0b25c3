//! Bulk insertion: many rows at a time straight into a table, as COPY does it.

mod fixed;

use pgrx::memcxt::PgMemoryContexts;
#[cfg(any(test, feature = "pg_test"))]
use pgrx::pg_schema;
use pgrx::pg_sys;

pub use fixed::{FixedInsert, FixedRow};

use super::catalog::{Privilege, Table};
use super::{Error, columns, interrupt};

/// Rows a batch, at the most.
const BATCH: usize = 1000;

/// Bytes of values a batch, beyond which no more rows are added: COPY's bound. They are eight pages' worth, so that a page
/// is still filled, and written to the log, once or twice; of long arrays there is only one row in memory at a time.
const BATCH_BYTES: usize = 65_535;

/// Where rows go in a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Space {
    /// Where there is free space, as the free space map knows; behind the last page otherwise.
    Free,
    /// Behind the last page: of workers that fill an empty table together, none has to look at what others have begun.
    Behind,
}

/// A table that rows go into.
///
/// They are written straight into it: constraints other than unique indexes are not checked and triggers do not fire.
/// The caller proves the constraints by construction. Indexes that are set aside are left alone.
struct Target {
    table: Table,
    rows: u64,
    /// `TABLE_INSERT_…`
    options: i32,
    state: pg_sys::BulkInsertState,
    executor: *mut pg_sys::EState,
    target: *mut pg_sys::ResultRelInfo,
    /// Whether there is an index that is to be maintained.
    is_indexed: bool,
    /// What the rows of one batch are made in.
    batch: PgMemoryContexts,
}

impl Target {
    fn open(table: Table, space: Space) -> Target {
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
    /// Starts to insert into one of the extension's tables, of the columns that `columns::made` lists. The role must be
    /// allowed to. Columns that somebody added behind them stay NULL; [`Error::Altered`] where they cannot be, or where
    /// somebody changed the others.
    pub fn open(table: &'static str) -> Result<BulkInsert<COLUMNS>, Error> {
        assert_eq!(columns::made(table).len(), COLUMNS, "columns of {table}");
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

/// Whether a later [`BulkInsert::open`] will find the table as it should be: asked before long work, not after.
pub fn check(table: &'static str) -> Result<(), Error> {
    open(table, pg_sys::AccessShareLock).map(drop)
}

fn open(name: &'static str, lock: u32) -> Result<Table, Error> {
    let table = Table::open(name, &[Privilege::Insert], lock as pg_sys::LOCKMODE)?;
    let columns = table.columns();
    columns::check(name, &columns, columns::made(name).len())?;
    columns::check_added(name, &columns)?;
    Ok(table)
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

#[cfg(any(test, feature = "pg_test"))]
#[pg_schema]
mod tests {
    use super::*;
    use crate::pg::index;
    use pgrx::prelude::*;

    fn insert(keys: std::ops::Range<i32>) -> u64 {
        let mut rows = BulkInsert::open("dim_customer").unwrap();
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
        let aside = index::set_aside("dim_customer").unwrap();
        assert_eq!(index::aside("dim_customer", &aside).unwrap().len(), 2);
        // What is not among them looks alike, but is somebody else's.
        assert_eq!(index::aside("dim_customer", &aside[..1]).unwrap(), aside[..1]);
        assert_eq!(insert(1..2501), 2500);
        assert_eq!(count("customer_id = 20000"), (1, 1));
        index::aside("dim_customer", &aside).unwrap().into_iter().for_each(index::rebuild);
        assert_eq!(index::aside("dim_customer", &aside).unwrap(), []);
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
        let aside = index::set_aside("dim_customer").unwrap();
        insert(1..5);
        insert(4..6);
        aside.into_iter().for_each(index::rebuild);
    }

    /// What opening a table for inserts says after a statement, and then after the statement that it hints at.
    fn altered(statement: &str) -> Option<(String, String)> {
        Spi::run(statement).unwrap();
        let open = || FixedInsert::<crate::pg::ratings::Fact>::open("fact_ratings", Space::Free);
        match open() {
            Ok(rows) => {
                rows.finish();
                None
            }
            Err(Error::Altered { column, undo, .. }) => {
                Spi::run(&undo).unwrap();
                open().unwrap().finish();
                Some((column, undo))
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[pg_test]
    fn an_altered_table_is_not_written_and_the_hint_undoes_it() {
        let found = |statement: &str, column: &str, undo: &str| {
            let (found, undone) = altered(&format!("ALTER TABLE fact_ratings {statement}")).unwrap();
            let schema = Spi::get_one::<String>("SELECT current_schema()::text").unwrap().unwrap();
            let undo = undo.replace("ALTER TABLE", &format!("ALTER TABLE {schema}.fact_ratings"));
            assert_eq!((found.as_str(), undone), (column, undo), "{statement}");
        };
        assert_eq!(altered("SELECT 1"), None);
        assert_eq!(altered("ALTER TABLE fact_ratings ADD note text"), None);
        assert_eq!(altered("ALTER TABLE fact_ratings DROP note"), None);
        // A default of a column that each row has a value for is never asked.
        assert_eq!(altered("ALTER TABLE fact_ratings ALTER is_probe SET DEFAULT true"), None);

        found("ADD mark int DEFAULT 3", "mark", "ALTER TABLE ALTER COLUMN mark DROP DEFAULT;");
        found("ADD kept int NOT NULL", "kept", "ALTER TABLE ALTER COLUMN kept DROP NOT NULL;");
        found(
            r#"ADD "Both" int NOT NULL DEFAULT 3"#,
            "Both",
            r#"ALTER TABLE ALTER COLUMN "Both" DROP DEFAULT, ALTER COLUMN "Both" DROP NOT NULL;"#,
        );
        found(
            "ADD serial int GENERATED ALWAYS AS IDENTITY",
            "serial",
            "ALTER TABLE ALTER COLUMN serial DROP IDENTITY, ALTER COLUMN serial DROP NOT NULL;",
        );
        found(
            "ADD twice int GENERATED ALWAYS AS (rating * 2) STORED",
            "twice",
            "ALTER TABLE DROP COLUMN twice;",
        );
        Spi::run("CREATE DOMAIN always_given AS int NOT NULL; CREATE DOMAIN plain AS int").unwrap();
        assert_eq!(altered("ALTER TABLE fact_ratings ADD easy plain"), None);
        found("ADD given always_given", "given", "ALTER TABLE DROP COLUMN given;");

        found(
            "ALTER movie_key DROP NOT NULL",
            "movie_key",
            "ALTER TABLE ALTER COLUMN movie_key SET NOT NULL;",
        );
        found("RENAME is_probe TO held_out", "is_probe", "ALTER TABLE RENAME COLUMN held_out TO is_probe;");
        // Two keys that have changed names.
        found(
            "RENAME customer_key TO x; ALTER TABLE fact_ratings RENAME movie_key TO customer_key;
             ALTER TABLE fact_ratings RENAME x TO movie_key",
            "customer_key",
            "ALTER TABLE RENAME COLUMN customer_key TO customer_key_; \
             ALTER TABLE RENAME COLUMN movie_key TO customer_key; \
             ALTER TABLE RENAME COLUMN customer_key_ TO movie_key;",
        );
        // One that somebody put another in the place of.
        found(
            "RENAME rating TO stars; ALTER TABLE fact_ratings ADD rating int",
            "rating",
            "ALTER TABLE RENAME COLUMN rating TO rating_; ALTER TABLE RENAME COLUMN stars TO rating;",
        );
    }

    #[pg_test]
    fn another_type_or_a_dropped_column_is_noticed() {
        let altered = |table: &'static str, statement: &str| {
            Spi::run(statement).unwrap();
            match check(table) {
                Err(Error::Altered { column, undo, .. }) => (column, undo),
                other => panic!("{other:?}"),
            }
        };
        // The type of a column that no view reads can change.
        let change = "ALTER TABLE customer_factors ALTER bias TYPE double precision";
        let (column, undo) = altered("customer_factors", change);
        assert_eq!(column, "bias");
        Spi::run(&undo).unwrap();
        check("customer_factors").unwrap();
        let (column, undo) =
            altered("dim_customer", "ALTER TABLE dim_customer ALTER rating_mean SET NOT NULL");
        assert_eq!(column, "rating_mean");
        Spi::run(&undo).unwrap();
        check("dim_customer").unwrap();
        let (column, undo) =
            altered("movie_factors", "ALTER TABLE movie_factors DROP links CASCADE, ADD links real[]");
        assert_eq!(column, "links");
        assert!(undo.contains("backup"), "{undo}");
    }

    #[pg_test]
    fn a_batch_is_bounded_by_bytes() {
        Spi::run("INSERT INTO dim_customer SELECT n, n, 0 FROM generate_series(1, 50) n").unwrap();
        let model = model();
        let factors = vec![0f32; 250_000];
        let mut rows = BulkInsert::open("customer_factors").unwrap();
        for key in 1..=50 {
            rows.push(|| {
                [model.into_datum(), key.into_datum(), 0f32.into_datum(), factors.clone().into_datum()]
            });
        }
        let held = Spi::get_one::<i64>(
            "SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts WHERE name = 'netflix_rec bulk insert'",
        );
        let held = held.unwrap().unwrap();
        assert!(held < 4 << 20, "{held}");
        assert_eq!(rows.finish(), 50);
        // What would be compressed to nothing is stored as it is.
        let stored = Spi::get_one::<i64>("SELECT sum(pg_column_size(factors))::bigint FROM customer_factors");
        let stored = stored.unwrap().unwrap();
        assert!(stored > 50 * 1_000_000, "{stored}");
    }

    /// A model without factors.
    fn model() -> i32 {
        let model = Spi::get_one::<i32>(
            "INSERT INTO model (name, version, algorithm, params, train_on, hold_out, is_deployed, factors, samples,
                                global_mean, ratings, iterations, train_rmse, elapsed)
             VALUES ('long', 1, 'als', '{}', 'all', 0, false, 3000, 1, 3, 1, 1, 1, '1 s') RETURNING model_id",
        );
        model.unwrap().unwrap()
    }

    #[pg_test]
    fn long_values_are_stored_out_of_line() {
        Spi::run("INSERT INTO dim_customer VALUES (1, 1, 0)").unwrap();
        let model = model();
        let factors = (0..3000).map(|n| n as f32 / 7.0).collect::<Vec<_>>();
        let mut rows = BulkInsert::open("customer_factors").unwrap();
        rows.push(|| [model.into_datum(), 1.into_datum(), 0f32.into_datum(), factors.clone().into_datum()]);
        assert_eq!(rows.finish(), 1);
        let read = Spi::get_one::<Vec<f32>>("SELECT factors FROM customer_factors").unwrap().unwrap();
        assert_eq!(read, factors);
    }
}
