//! Reads a table's fixed-width columns at fixed places in its rows: ten times as fast as by way of SQL.

#[cfg(any(test, feature = "pg_test"))]
use pgrx::pg_schema;
use pgrx::{check_for_interrupts, pg_sys};

use super::Error;
use super::catalog::{Privilege, Table, TableColumn};

/// A column to read: its name and type.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub type_oid: pg_sys::BuiltinOid,
}

/// Rows between two looks for interrupts.
const ROWS_A_TURN: u64 = 64 * 1024;

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

/// Which rows a scan sees.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// Those that the calling statement sees: for a function that promises to be stable.
    ByStatement,
    /// Those that a statement of the transaction would see if it began now.
    ByTransaction,
    /// Those there now, whatever the isolation level: what another transaction committed while this one waited for a
    /// lock.
    Now,
}

/// Hands on each row, in the order they are stored in. The role must be allowed to read the table.
///
/// Columns must be `NOT NULL` and stand behind such columns of fixed width alone, as the extension makes them;
/// [`Error::Altered`] where somebody changed that.
pub fn scan<E: From<Error>>(
    table: &'static str,
    columns: &[Column],
    seen: Seen,
    mut row: impl FnMut(Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let open = Table::open(table, &[Privilege::Select], pg_sys::AccessShareLock as pg_sys::LOCKMODE)?;
    let (offsets, last) = offsets(&open, table, columns)?;
    let altered = || Error::Altered { table, column: columns.last().map_or("", |column| column.name).into() };
    // SAFETY: an open heap table; each tuple lives until the next is asked for; the offsets hold for every row because
    // all columns up to the last one read are of fixed width, stored and not null, which is looked at where a row has
    // fewer columns or any null. What an error of the server's leaves open is released by the transaction's resource
    // owner.
    unsafe {
        let snapshot = pg_sys::RegisterSnapshot(match seen {
            Seen::ByStatement => pg_sys::GetActiveSnapshot(),
            Seen::ByTransaction => pg_sys::GetTransactionSnapshot(),
            Seen::Now => pg_sys::GetLatestSnapshot(),
        });
        // Not in step with other scans of the table: the rows come in the same order each time.
        let in_step = false;
        let scan =
            pg_sys::table_beginscan_strat(open.relation, snapshot, 0, std::ptr::null_mut(), true, in_step);
        let mut rows = 0u64;
        let result = loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break Ok(());
            }
            let header = (*tuple).t_data;
            if !is_whole(header, last) {
                break Err(altered().into());
            }
            let data = header.cast::<u8>().add((*header).t_hoff.into());
            if let Err(error) = row(Row { data, offsets: &offsets }) {
                break Err(error);
            }
            rows += 1;
            if rows.is_multiple_of(ROWS_A_TURN) {
                check_for_interrupts!();
            }
        };
        pg_sys::table_endscan(scan);
        pg_sys::UnregisterSnapshot(snapshot);
        result
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

/// Where each column stands in a row, counted from the first one; and how many there are up to the last of them.
fn offsets(open: &Table, table: &'static str, columns: &[Column]) -> Result<(Vec<usize>, usize), Error> {
    let found = open.columns();
    let mut last = 0;
    let place = |column: &Column| {
        let is_it = |candidate: &TableColumn| {
            candidate.name == column.name && candidate.type_oid == column.type_oid.value()
        };
        let number = found.iter().position(is_it);
        let offset = number.and_then(|number| offset(&found, number));
        last = last.max(number.map_or(0, |number| number + 1));
        offset.ok_or_else(|| Error::Altered { table, column: column.name.into() })
    };
    Ok((columns.iter().map(place).collect::<Result<_, Error>>()?, last))
}

/// Where the column of this number, from 0, stands in a row; none where that is not the same place in every row.
pub(super) fn offset(columns: &[TableColumn], number: usize) -> Option<usize> {
    let mut end = 0usize;
    let mut start = 0;
    for column in columns.get(..=number)? {
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

#[cfg(any(test, feature = "pg_test"))]
#[pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    const COLUMNS: [Column; 3] = [
        Column { name: "rating", type_oid: pg_sys::BuiltinOid::INT2OID },
        Column { name: "customer_key", type_oid: pg_sys::BuiltinOid::INT4OID },
        Column { name: "is_probe", type_oid: pg_sys::BuiltinOid::BOOLOID },
    ];

    fn read() -> Result<Vec<(i16, i32, bool)>, Error> {
        let mut rows = Vec::new();
        scan("fact_ratings", &COLUMNS, Seen::Now, |row| {
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
    fn a_view_in_the_tables_place_is_refused() {
        Spi::run("ALTER TABLE fact_ratings RENAME TO elsewhere; CREATE VIEW fact_ratings AS TABLE elsewhere")
            .unwrap();
        assert!(matches!(read(), Err(Error::NoHeap { table: "fact_ratings" })));
        Spi::run(
            "DROP VIEW fact_ratings;
             CREATE TABLE fact_ratings (LIKE elsewhere) PARTITION BY RANGE (customer_key)",
        )
        .unwrap();
        assert!(matches!(read(), Err(Error::NoHeap { table: "fact_ratings" })));
    }
}
