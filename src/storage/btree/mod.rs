//! Rebuilds a unique index of integers, several times as fast as PostgreSQL, whose sort handles any type.
//!
//! PostgreSQL's own `reindex_index` does everything but the build itself: locks, the new relfilenode, the catalog, statistics.
//! It calls the index's `ambuild` function, by a pointer in the index's relcache entry. This module replaces that pointer
//! meanwhile.
//!
//! The relcache entry cannot be kept open, because PostgreSQL refuses to reindex an index that is open. If the entry is rebuilt
//! meanwhile, which only a flood of invalidation messages causes, the pointer is the original one, and PostgreSQL builds the
//! index. PostgreSQL also builds it if the index or its table does not meet the conditions of [`rebuild`].

mod buckets;
mod entry;
mod heap;
mod key;
mod pages;
mod sorter;
mod write;

use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(any(test, feature = "pg_test"))]
use pgrx::pg_schema;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::{pg_guard, pg_sys};

use self::entry::Unfit;
use self::key::Key;
use self::pages::{PAGE, Page, Tree};
use self::write::{PAGES_PER_WRITE, Writer};
use crate::pg::guc;

/// Whether [`rebuild`] is running. If not, [`build`] calls the original function, in case a replaced pointer was left behind.
static IS_REBUILDING: AtomicBool = AtomicBool::new(false);
/// Whether the last build was the quick one of this module.
static WAS_QUICK: AtomicBool = AtomicBool::new(false);

// PostgreSQL exports these functions, but pgrx does not declare them. Those that may raise an error are called by
// `pg_guard_ffi_boundary`.
unsafe extern "C-unwind" {
    fn btbuild(
        heap: pg_sys::Relation,
        index: pg_sys::Relation,
        info: *mut pg_sys::IndexInfo,
    ) -> *mut pg_sys::IndexBuildResult;
    fn _bt_initmetapage(page: pg_sys::Page, root: u32, level: u32, all_equal_image: bool);
    fn _bt_allequalimage(index: pg_sys::Relation, debug_message: bool) -> bool;
}

/// Rebuilds an index, as `REINDEX INDEX` does. A duplicate key raises the same error. Checks no privilege.
///
/// Returns whether the quick build was used. It is used under these conditions:
///
/// - `netflix_rec.quick_index_build` is on;
/// - the index is unique, over one `int`, one `bigint` or two `int` columns of an ordinary heap table;
/// - these columns, and all columns before them, are NOT NULL and of fixed width;
/// - no row was updated or deleted;
/// - the values are not far apart;
/// - the sort needs no more than `netflix_rec.max_memory`.
pub fn rebuild(index: pg_sys::Oid) -> bool {
    let no_lock = pg_sys::NoLock as pg_sys::LOCKMODE;
    let _rebuilding = Rebuilding::start();
    // SAFETY: the locks are taken in the same order as in reindex_index, and kept until the transaction ends. Each relcache
    // entry has its own copy of the access method's functions.
    unsafe {
        pg_sys::CommandCounterIncrement();
        let table = pg_sys::IndexGetRelation(index, false);
        pg_sys::LockRelationOid(table, pg_sys::ShareLock as pg_sys::LOCKMODE);
        let relation = pg_sys::index_open(index, pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE);
        let class = (*relation).rd_rel;
        let persistence = (*class).relpersistence;
        let original = (*(*relation).rd_indam).ambuild;
        if (*class).relam == pg_sys::BTREE_AM_OID && guc::quick_index_build() {
            (*(*relation).rd_indam).ambuild = Some(build);
        }
        pg_sys::index_close(relation, no_lock);

        let mut params = pg_sys::ReindexParams::default();
        pg_sys::reindex_index(
            #[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
            std::ptr::null(),
            index,
            false,
            persistence,
            &raw mut params,
        );

        let relation = pg_sys::index_open(index, no_lock);
        (*(*relation).rd_indam).ambuild = original;
        pg_sys::index_close(relation, no_lock);
        pg_sys::CommandCounterIncrement();
    }
    WAS_QUICK.load(Ordering::Relaxed)
}

struct Rebuilding;

impl Rebuilding {
    fn start() -> Rebuilding {
        WAS_QUICK.store(false, Ordering::Relaxed);
        IS_REBUILDING.store(true, Ordering::Relaxed);
        Rebuilding
    }
}

impl Drop for Rebuilding {
    fn drop(&mut self) {
        IS_REBUILDING.store(false, Ordering::Relaxed);
    }
}

/// The `ambuild` function: PostgreSQL calls it to fill the index's new file.
#[pg_guard]
unsafe extern "C-unwind" fn build(
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
    info: *mut pg_sys::IndexInfo,
) -> *mut pg_sys::IndexBuildResult {
    // SAFETY: PostgreSQL passes an open and locked table and index.
    unsafe {
        if IS_REBUILDING.load(Ordering::Relaxed)
            && let Some(key) = Key::find(heap, index, info)
            && let Ok(rows) = build_quickly(heap, index, key)
        {
            WAS_QUICK.store(true, Ordering::Relaxed);
            let result = pg_sys::palloc0(size_of::<pg_sys::IndexBuildResult>()).cast();
            *result = pg_sys::IndexBuildResult { heap_tuples: rows as f64, index_tuples: rows as f64 };
            return result;
        }
        pg_guard_ffi_boundary(|| btbuild(heap, index, info))
    }
}

/// Builds the index and returns the number of rows. On [`Unfit`], the index's file is empty.
///
/// # Safety
///
/// An open permanent table, its open index with an empty file, and the key of the index. Both relations are locked.
unsafe fn build_quickly(heap: pg_sys::Relation, index: pg_sys::Relation, key: Key) -> Result<u64, Unfit> {
    // SAFETY: as the caller promises.
    unsafe {
        let sorter = heap::collect_entries(heap, key, guc::max_memory())?;
        let rows = sorter.len();
        let mut tree = Tree::new(key.columns, leaf_free(index));
        let mut writer = Writer::new(index);
        let sorted = sorter.for_each_sorted(|entry| {
            tree.push(entry);
            if tree.finished.len() >= PAGES_PER_WRITE {
                writer.write(&mut tree);
            }
        });
        if sorted.is_err() {
            writer.truncate();
            return Err(Unfit);
        }
        let root = tree.finish();
        let mut meta = Box::new(Page([0; PAGE]));
        let (block, level) = root.unwrap_or((0, 0));
        let all_equal_image = pg_guard_ffi_boundary(|| _bt_allequalimage(index, false));
        _bt_initmetapage(meta.0.as_mut_ptr().cast(), block, level, all_equal_image);
        tree.finished.push((0, meta));
        writer.write(&mut tree);
        writer.finish();
        Ok(rows)
    }
}

/// The bytes that the index's fillfactor leaves free on a leaf page.
///
/// # Safety
///
/// An open B-tree index.
unsafe fn leaf_free(index: pg_sys::Relation) -> usize {
    /// The first fields of PostgreSQL's `BTOptions`.
    #[repr(C)]
    struct Options {
        length: i32,
        fill_factor: i32,
    }
    const DEFAULT_FILL_FACTOR: i32 = 90;
    // SAFETY: as the caller promises; the options of a B-tree, if it has any, begin with these fields.
    let fill_factor = unsafe {
        let options = (*index).rd_options.cast::<Options>();
        if options.is_null() { DEFAULT_FILL_FACTOR } else { (*options).fill_factor }
    };
    PAGE * (100 - fill_factor) as usize / 100
}

#[cfg(any(test, feature = "pg_test"))]
#[pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    /// A hash of each page of the index, without the LSN and the checksum, which differ from build to build.
    fn pages(index: &str) -> Vec<String> {
        let query = format!(
            "SELECT coalesce(array_agg(md5(overlay(page PLACING '\\x00000000000000000000' FROM 1)) ORDER BY n), '{{}}')
             FROM generate_series(0, pg_relation_size('{index}') / 8192 - 1) n, get_raw_page('{index}', n) page"
        );
        Spi::get_one(&query).unwrap().unwrap()
    }

    fn rebuild_named(index: &str) -> bool {
        rebuild(Spi::get_one(&format!("SELECT '{index}'::regclass::oid")).unwrap().unwrap())
    }

    /// Makes a table `t` and its index `i`. Rebuilds the index by this module and by PostgreSQL, and compares the pages.
    /// Returns the number of pages and whether the quick build was used.
    fn compare(statements: &str) -> (usize, bool) {
        Spi::run(&format!(
            "CREATE EXTENSION IF NOT EXISTS pageinspect; CREATE EXTENSION IF NOT EXISTS amcheck;
             SET LOCAL client_min_messages = warning; DROP TABLE IF EXISTS t; {statements}"
        ))
        .unwrap();
        let is_quick = rebuild_named("i");
        let ours = pages("i");
        let statistics = "SELECT array_agg(reltuples || ' ' || relpages ORDER BY oid) FROM pg_class WHERE relname IN ('t', 'i')";
        let our_statistics = Spi::get_one::<Vec<String>>(statistics).unwrap();
        Spi::run("SELECT bt_index_check('i', true); REINDEX INDEX i").unwrap();
        let theirs = pages("i");
        assert_eq!(ours.len(), theirs.len());
        for (block, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(ours, theirs, "page {block} of {}", theirs.len());
        }
        assert_eq!(our_statistics, Spi::get_one::<Vec<String>>(statistics).unwrap());
        (ours.len(), is_quick)
    }

    const PAIRS: &str = "CREATE TABLE t (id bigint NOT NULL, a int NOT NULL, b int NOT NULL, note text);
                         CREATE UNIQUE INDEX i ON t (a, b);";
    const BIGINT: &str = "CREATE TABLE t (a int NOT NULL, id bigint PRIMARY KEY);
                          ALTER INDEX t_pkey RENAME TO i;";

    fn pairs(rows: &str) -> (usize, bool) {
        compare(&format!("{PAIRS} INSERT INTO t (id, a, b) SELECT n, {rows}"))
    }

    fn bigints(rows: &str) -> (usize, bool) {
        compare(&format!("{BIGINT} INSERT INTO t SELECT 1, {rows}"))
    }

    #[pg_test]
    fn small_indexes_are_the_same() {
        assert_eq!(pairs("1, 1 FROM generate_series(1, 0) n"), (1, true));
        assert_eq!(pairs("1, 1 FROM generate_series(1, 1) n"), (2, true));
        // One leaf that is almost full or full, then two leaves; a high key of one column or of two.
        for rows in 365..370 {
            let (pages, is_quick) = pairs(&format!("n, n % 7 FROM generate_series(1, {rows}) n"));
            assert_eq!((pages, is_quick), (if rows <= 367 { 2 } else { 4 }, true), "{rows}");
            assert!(pairs(&format!("5, n FROM generate_series(1, {rows}) n")).1);
            assert!(bigints(&format!("n FROM generate_series(1, {rows}) n")).1);
        }
    }

    #[pg_test]
    fn rows_in_any_order_are_the_same() {
        Spi::run("SELECT setseed(0.25)").unwrap();
        let (pages, is_quick) =
            pairs("n % 1000, n / 1000 FROM generate_series(0, 199999) n ORDER BY random()");
        assert!(pages > 500 && is_quick);
        // The order of a load, then that of two loads at the same time.
        assert!(pairs("n % 1000, n / 1000 FROM generate_series(0, 99999) n").1);
        assert!(pairs("n % 1000, n / 1000 + n % 2 * 50 FROM generate_series(0, 49999) n").1);
        assert!(bigints("n FROM generate_series(1, 100000) n ORDER BY random()").1);
        assert!(bigints("n FROM generate_series(1, 100000) n ORDER BY -n").1);
        assert!(
            bigints("n % 4 * 1000000 + n FROM generate_series(1, 100000) n ORDER BY n / 4000, n % 4, n").1
        );
        let int4 = "CREATE TABLE t (a int PRIMARY KEY); ALTER INDEX t_pkey RENAME TO i;";
        assert!(compare(&format!("{int4} INSERT INTO t SELECT -n FROM generate_series(1, 9999) n")).1);
    }

    #[pg_test]
    fn a_tree_of_three_levels_is_the_same() {
        let settings = "ALTER INDEX i SET (fillfactor = 10);";
        let rows = "INSERT INTO t (id, a, b) SELECT n, n % 300, n / 300 FROM generate_series(0, 59999) n";
        let (pages, is_quick) = compare(&format!("{PAIRS} {settings} {rows}"));
        assert!(pages > 1400 && is_quick);
        let level = Spi::get_one::<i64>("SELECT level FROM bt_metap('i')").unwrap();
        assert_eq!(level, Some(2));
    }

    #[pg_test]
    fn negative_and_extreme_keys_are_the_same() {
        assert!(pairs("n - 500, 700 - n FROM generate_series(1, 1500) n").1);
        assert!(bigints("n - 5000 FROM generate_series(1, 10000) n ORDER BY n % 10").1);
        assert!(bigints("n * 100000000000000 FROM generate_series(-2000, 2000) n").1);
        assert!(bigints("unnest(ARRAY[9223372036854775807, -9223372036854775808, 0, -1, 1])").1);
        assert!(
            pairs("a, b FROM (VALUES (1, 2147483647, -2147483648), (2, -2147483648, 2147483647)) v(n, a, b)")
                .1
        );
        // Too many keys that are too far apart.
        assert!(!bigints("n * 100000000000000 FROM generate_series(-9000, 9000) n").1);
    }

    #[pg_test]
    fn fill_factors_are_observed() {
        for fill_factor in [10, 50, 89, 100] {
            let settings = format!("ALTER INDEX i SET (fillfactor = {fill_factor});");
            let rows = "INSERT INTO t (id, a, b) SELECT n, n % 100, n / 100 FROM generate_series(0, 9999) n";
            assert!(compare(&format!("{PAIRS} {settings} {rows}")).1);
        }
    }

    #[pg_test]
    fn frozen_rows_and_rows_of_a_rolled_back_insert() {
        let rows = "INSERT INTO t SELECT 1, n FROM generate_series(1, 1000) n;";
        let rolled_back = "DO $$ BEGIN INSERT INTO t SELECT 1, n FROM generate_series(500, 3000) n;
                      EXCEPTION WHEN unique_violation THEN NULL; END $$;";
        let more = "INSERT INTO t SELECT 1, n FROM generate_series(2001, 4000) n;";
        assert!(compare(&format!("{BIGINT} {rows} {rolled_back} {more}")).1);
        assert!(compare(&format!("{BIGINT} COPY t FROM PROGRAM 'seq -f \"1\t%.0f\" 5000' (FREEZE)")).1);
    }

    #[pg_test]
    fn postgresql_builds_all_other_indexes() {
        let rows = "INSERT INTO t (id, a, b) SELECT n, n, n FROM generate_series(1, 1000) n;";
        let by_postgresql = |statements: &str| assert!(!compare(statements).1, "{statements}");
        by_postgresql(&format!("{PAIRS} {rows} DELETE FROM t WHERE a % 10 = 0"));
        by_postgresql(&format!("{PAIRS} {rows} UPDATE t SET a = a + 2000 WHERE a % 10 = 0"));
        by_postgresql(&format!("{PAIRS} {rows} UPDATE t SET id = 0 WHERE a % 10 = 0"));
        by_postgresql(&format!("CREATE UNLOGGED {}", PAIRS.trim_start_matches("CREATE")));
        by_postgresql(
            "CREATE TABLE t (a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX i ON t (b DESC, a)",
        );
        by_postgresql("CREATE TABLE t (a int NOT NULL, b int NOT NULL); CREATE INDEX i ON t (b, a)");
        by_postgresql(
            "CREATE TABLE t (a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX i ON t (b) INCLUDE (a)",
        );
        by_postgresql("CREATE TABLE t (a int NOT NULL); CREATE UNIQUE INDEX i ON t (a) WHERE a > 1");
        by_postgresql("CREATE TABLE t (a int NOT NULL); CREATE UNIQUE INDEX i ON t ((a + 1))");
        by_postgresql("CREATE TABLE t (a int); CREATE UNIQUE INDEX i ON t (a)");
        by_postgresql("CREATE TABLE t (b text, a int NOT NULL); CREATE UNIQUE INDEX i ON t (a)");
        by_postgresql(
            "CREATE TABLE t (a bigint NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX i ON t (a, b)",
        );
        by_postgresql(
            "CREATE TABLE t (a int NOT NULL, b int NOT NULL, c int NOT NULL); CREATE UNIQUE INDEX i ON t (a, b, c)",
        );
    }

    #[pg_test]
    fn postgresql_builds_if_the_setting_is_off() {
        Spi::run("SET LOCAL netflix_rec.quick_index_build = off").unwrap();
        assert!(!pairs("n % 1000, n / 1000 FROM generate_series(0, 1999) n").1);
        Spi::run("SET LOCAL netflix_rec.quick_index_build = on").unwrap();
        assert!(pairs("n % 1000, n / 1000 FROM generate_series(0, 1999) n").1);
    }

    #[pg_test]
    fn an_index_of_another_kind_is_rebuilt() {
        Spi::run("CREATE TABLE h (a int NOT NULL); CREATE INDEX h_a ON h USING hash (a)").unwrap();
        assert!(!rebuild_named("h_a"));
    }

    fn rebuild_with_duplicates(rows: &str) {
        Spi::run(&format!(
            "CREATE TABLE t (a int NOT NULL, b int NOT NULL, CONSTRAINT i UNIQUE (a, b));
             UPDATE pg_index SET indisready = false WHERE indexrelid = 'i'::regclass; {rows}"
        ))
        .unwrap();
        rebuild_named("i");
    }

    #[pg_test(error = "could not create unique index \"i\"")]
    fn a_duplicate_is_refused() {
        // The duplicate is the last key, when most of the index is written.
        rebuild_with_duplicates(
            "INSERT INTO t SELECT n, n % 7 FROM generate_series(1, 99999) n; INSERT INTO t VALUES (99999, 4)",
        );
    }

    #[pg_test(error = "could not create unique index \"i\"")]
    fn a_duplicate_in_long_runs_is_refused() {
        rebuild_with_duplicates("INSERT INTO t SELECT 1, n % 9999 FROM generate_series(1, 10000) n");
    }
}
