//! What [`crate::storage`] does, tested on the extension's tables.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::pg::Error;
    use crate::pg::snapshot::Snapshot;
    use crate::storage::bulk::{self, BulkInsert, FixedInsert, Placement};
    use crate::storage::scan::scan;
    use crate::storage::table::Table;
    use crate::storage::{btree, indexes};
    use crate::warehouse::ratings::Fact;
    use crate::warehouse::tables::{CUSTOMER_FACTORS, DIM_CUSTOMER, FACT_RATINGS, MOVIE_FACTORS};

    fn read() -> Result<Vec<(i16, i32, bool)>, Error> {
        let mut rows = Vec::new();
        scan(&FACT_RATINGS, &["rating", "customer_key", "is_probe"], Snapshot::Latest, |row| {
            rows.push((row.int2(0), row.int4(1), row.bool(2)));
            Ok::<_, Error>(())
        })?;
        Ok(rows)
    }

    #[pg_test]
    fn reads_what_sql_reads() {
        Spi::run(
            "INSERT INTO dim_customer SELECT n, n, 0 FROM generate_series(1, 50) n;
             INSERT INTO dim_movie SELECT n, n, NULL, NULL, 0 FROM generate_series(1, 40) n;
             INSERT INTO dim_date VALUES (20050101, '2005-01-01', 2005, 1, 1, 'January', 53, 1, 6, 'Saturday', true);
             INSERT INTO fact_ratings
             SELECT row_number() OVER (), c, m, 20050101, 1 + (c + m) % 5, c % 3 = 0
             FROM generate_series(1, 50) c, generate_series(1, 40) m;
             DELETE FROM fact_ratings WHERE customer_key = 7;
             UPDATE fact_ratings SET rating = 5 WHERE customer_key = 8",
        )
        .unwrap();
        let rows = read().unwrap();
        let wanted =
            Spi::get_one::<i64>("SELECT sum(rating * customer_key + is_probe::int) FROM fact_ratings");
        let found = rows.iter().map(|&(r, c, p)| i64::from(r) * i64::from(c) + i64::from(p)).sum::<i64>();
        assert_eq!(rows.len(), 49 * 40);
        assert_eq!(Some(found), wanted.unwrap());
    }

    #[pg_test]
    fn an_altered_table_is_not_misread() {
        let altered = |statement: &str| {
            Spi::run(statement).unwrap();
            matches!(read(), Err(Error::Altered { table: "fact_ratings", .. }))
        };
        assert!(!altered("SELECT 1"));
        // Another type, by way of another column: views read this one.
        assert!(altered(
            "ALTER TABLE fact_ratings RENAME rating TO old;
             ALTER TABLE fact_ratings ADD rating int NOT NULL"
        ));
        assert!(!altered(
            "ALTER TABLE fact_ratings DROP rating;
             ALTER TABLE fact_ratings RENAME old TO rating"
        ));
        assert!(!altered("ALTER TABLE fact_ratings ADD COLUMN note text DEFAULT 'x'"));
        assert!(altered("ALTER TABLE fact_ratings ALTER COLUMN date_key DROP NOT NULL"));
        assert!(!altered("ALTER TABLE fact_ratings ALTER COLUMN date_key SET NOT NULL"));
        Spi::run(
            "INSERT INTO dim_customer VALUES (1, 1, 0);
             INSERT INTO dim_movie VALUES (1, 1, NULL, NULL, 0);
             INSERT INTO dim_date VALUES (20050101, '2005-01-01', 2005, 1, 1, 'January', 53, 1, 6, 'Saturday', true);
             INSERT INTO fact_ratings VALUES (1, 1, 1, 20050101, 3, false)",
        )
        .unwrap();
        assert!(altered(
            "ALTER TABLE fact_ratings RENAME is_probe TO old;
             ALTER TABLE fact_ratings ADD is_probe bool NOT NULL DEFAULT true"
        ));
    }

    #[pg_test]
    fn names_that_changed_places_are_noticed() {
        Spi::run(
            "ALTER TABLE fact_ratings RENAME customer_key TO x;
             ALTER TABLE fact_ratings RENAME movie_key TO customer_key;
             ALTER TABLE fact_ratings RENAME x TO movie_key",
        )
        .unwrap();
        assert!(matches!(read(), Err(Error::Altered { column, .. }) if column == "customer_key"));
    }

    #[pg_test]
    fn rows_that_sql_reads_elsewhere_are_not_left_out() {
        Spi::run("CREATE TABLE apart () INHERITS (fact_ratings)").unwrap();
        assert!(matches!(read(), Err(Error::Child { child, .. }) if child.ends_with(".apart")));
        Spi::run("ALTER TABLE apart NO INHERIT fact_ratings").unwrap();
        assert!(read().is_ok());
        Spi::run(
            "CREATE TABLE whole (LIKE fact_ratings) PARTITION BY RANGE (rating_key);
             ALTER TABLE whole ATTACH PARTITION fact_ratings FOR VALUES FROM (1) TO (10)",
        )
        .unwrap();
        assert!(matches!(read(), Err(Error::Partition { parent, .. }) if parent.ends_with(".whole")));
        Spi::run("ALTER TABLE whole DETACH PARTITION fact_ratings").unwrap();
        assert!(read().is_ok());
    }

    #[cfg(not(feature = "pg14"))]
    #[pg_test]
    fn another_access_method_is_refused() {
        Spi::run(
            "CREATE ACCESS METHOD heap_too TYPE TABLE HANDLER heap_tableam_handler;
             ALTER TABLE fact_ratings SET ACCESS METHOD heap_too",
        )
        .unwrap();
        assert!(matches!(read(), Err(Error::NotHeap { table: "fact_ratings", .. })));
    }

    #[pg_test]
    fn a_view_in_the_tables_place_is_refused() {
        Spi::run("ALTER TABLE fact_ratings RENAME TO elsewhere; CREATE VIEW fact_ratings AS TABLE elsewhere")
            .unwrap();
        assert!(matches!(read(), Err(Error::NotATable { table: "fact_ratings" })));
        Spi::run(
            "DROP VIEW fact_ratings;
             CREATE TABLE fact_ratings (LIKE elsewhere) PARTITION BY RANGE (customer_key)",
        )
        .unwrap();
        assert!(matches!(read(), Err(Error::NotATable { table: "fact_ratings" })));
    }

    fn insert(keys: std::ops::Range<i32>) -> u64 {
        let mut rows = BulkInsert::open(&DIM_CUSTOMER).unwrap();
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
        let disabled = indexes::disable(&DIM_CUSTOMER).unwrap();
        assert_eq!(indexes::still_disabled(&DIM_CUSTOMER, &disabled).unwrap().len(), 2);
        // What is not among them looks alike, but is somebody else's.
        assert_eq!(indexes::still_disabled(&DIM_CUSTOMER, &disabled[..1]).unwrap(), disabled[..1]);
        assert_eq!(insert(1..2501), 2500);
        assert_eq!(count("customer_id = 20000"), (1, 1));
        indexes::still_disabled(&DIM_CUSTOMER, &disabled).unwrap().into_iter().for_each(indexes::rebuild);
        assert_eq!(indexes::still_disabled(&DIM_CUSTOMER, &disabled).unwrap(), []);
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
        let disabled = indexes::disable(&DIM_CUSTOMER).unwrap();
        insert(1..5);
        insert(4..6);
        disabled.into_iter().for_each(indexes::rebuild);
    }

    /// What opening a table for inserts says after a statement, and then after the statement that it hints at.
    fn altered(statement: &str) -> Option<(String, String)> {
        Spi::run(statement).unwrap();
        let open = || FixedInsert::<Fact>::open(Placement::FreeSpace);
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
        let altered = |table: &Table, statement: &str| {
            Spi::run(statement).unwrap();
            match bulk::check(table) {
                Err(Error::Altered { column, undo, .. }) => (column, undo),
                other => panic!("{other:?}"),
            }
        };
        // The type of a column that no view reads can change.
        let change = "ALTER TABLE customer_factors ALTER bias TYPE double precision";
        let (column, undo) = altered(&CUSTOMER_FACTORS, change);
        assert_eq!(column, "bias");
        Spi::run(&undo).unwrap();
        bulk::check(&CUSTOMER_FACTORS).unwrap();
        let (column, undo) =
            altered(&DIM_CUSTOMER, "ALTER TABLE dim_customer ALTER rating_mean SET NOT NULL");
        assert_eq!(column, "rating_mean");
        Spi::run(&undo).unwrap();
        bulk::check(&DIM_CUSTOMER).unwrap();
        let (column, undo) =
            altered(&MOVIE_FACTORS, "ALTER TABLE movie_factors DROP links CASCADE, ADD links real[]");
        assert_eq!(column, "links");
        assert!(undo.contains("backup"), "{undo}");
    }

    #[pg_test]
    fn a_batch_is_bounded_by_bytes() {
        Spi::run("INSERT INTO dim_customer SELECT n, n, 0 FROM generate_series(1, 50) n").unwrap();
        let model = model();
        let factors = vec![0f32; 250_000];
        let mut rows = BulkInsert::open(&CUSTOMER_FACTORS).unwrap();
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
        let mut rows = BulkInsert::open(&CUSTOMER_FACTORS).unwrap();
        rows.push(|| [model.into_datum(), 1.into_datum(), 0f32.into_datum(), factors.clone().into_datum()]);
        assert_eq!(rows.finish(), 1);
        let read = Spi::get_one::<Vec<f32>>("SELECT factors FROM customer_factors").unwrap().unwrap();
        assert_eq!(read, factors);
    }

    fn rebuild_quickly(index: &str) -> bool {
        btree::rebuild(Spi::get_one(&format!("SELECT '{index}'::regclass::oid")).unwrap().unwrap())
    }

    #[pg_test]
    fn the_tables_of_the_extension_are_built_quickly() {
        Spi::run(
            "INSERT INTO dim_customer SELECT n, n, 0 FROM generate_series(1, 500) n;
             INSERT INTO dim_movie SELECT n, n, NULL, NULL, 0 FROM generate_series(1, 40) n;
             INSERT INTO dim_date VALUES (20050101, '2005-01-01', 2005, 1, 1, 'January', 53, 1, 6, 'Saturday', true);
             INSERT INTO fact_ratings
             SELECT row_number() OVER (), c, m, 20050101, 3, false
             FROM generate_series(1, 40) m, generate_series(1, 500) c",
        )
        .unwrap();
        assert!(rebuild_quickly("fact_ratings_pkey"));
        assert!(rebuild_quickly("fact_ratings_customer_key_movie_key_key"));
        Spi::run("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off").unwrap();
        let found = Spi::get_one::<i64>(
            "SELECT sum(r.rating_key)::bigint FROM fact_ratings r JOIN fact_ratings s USING (customer_key, movie_key)
             WHERE s.rating_key IN (1, 777, 20000)",
        );
        assert_eq!(found.unwrap(), Some(20778));
        Spi::run("INSERT INTO fact_ratings VALUES (20001, 1, 1, 20050101, 3, false) ON CONFLICT DO NOTHING")
            .unwrap();
        assert_eq!(Spi::get_one::<i64>("SELECT count(*) FROM fact_ratings").unwrap(), Some(20000));
    }
}
