//! Reads a table's fixed-width columns at fixed places in its rows: ten times as fast as by way of SQL.

#[cfg(any(test, feature = "pg_test"))]
use pgrx::pg_schema;
use pgrx::{check_for_interrupts, pg_sys};

use super::Error;
use super::catalog::{self, Privilege};

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

/// Hands on each row that a new snapshot sees, in no particular order. The role must be allowed to read the table.
///
/// The snapshot is new so that what another transaction committed while this one waited for a lock is seen, as SQL
/// in a volatile function sees it.
///
/// Columns must be `NOT NULL` and stand behind such columns of fixed width alone, as the extension makes them;
/// [`Error::Altered`] where somebody changed that.
pub fn scan<E: From<Error>>(
    table: &'static str,
    columns: &[Column],
    row: impl FnMut(Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let oid = catalog::require(table, &[Privilege::Select])?;
    // SAFETY: an existing table, locked while it is read; what an error of the server's leaves open is released by
    // the transaction's resource owner.
    unsafe {
        let relation = pg_sys::table_open(oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let result = match offsets(relation, table, columns) {
            Ok(offsets) => each_row(relation, &offsets, row),
            Err(altered) => Err(altered.into()),
        };
        pg_sys::table_close(relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        result
    }
}

/// # Safety
///
/// The relation is open, and its rows hold values of the types that will be read at these offsets.
unsafe fn each_row<E>(
    relation: pg_sys::Relation,
    offsets: &[usize],
    mut row: impl FnMut(Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    // SAFETY: each tuple lives until the next is asked for; the offsets are right, as the caller promises.
    unsafe {
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetTransactionSnapshot());
        let scan = pg_sys::table_beginscan(relation, snapshot, 0, std::ptr::null_mut());
        let mut rows = 0u64;
        let result = loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break Ok(());
            }
            let header = (*tuple).t_data;
            let data = header.cast::<u8>().add((*header).t_hoff.into());
            if let Err(error) = row(Row { data, offsets }) {
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

/// Where each column stands in a row, counted from the first one.
///
/// # Safety
///
/// The relation is open.
unsafe fn offsets(
    relation: pg_sys::Relation,
    table: &'static str,
    columns: &[Column],
) -> Result<Vec<usize>, Error> {
    // SAFETY: the descriptor belongs to the open relation.
    let attributes = unsafe { (*(*relation).rd_att).attrs.as_slice((*(*relation).rd_att).natts as usize) };
    let find = |column: &Column| {
        let mut offset = 0usize;
        for attribute in attributes {
            let fixed = attribute.attlen > 0 && attribute.attnotnull && !attribute.attisdropped;
            if !fixed {
                return None;
            }
            let align = match attribute.attalign as u8 {
                b'd' => 8,
                b'i' => 4,
                b's' => 2,
                _ => 1,
            };
            offset = offset.next_multiple_of(align);
            // SAFETY: an attribute's name is a C string of at most 63 bytes.
            let name = unsafe { std::ffi::CStr::from_ptr(attribute.attname.data.as_ptr()) };
            if name.to_bytes() == column.name.as_bytes() {
                return (attribute.atttypid == column.type_oid.value()).then_some(offset);
            }
            offset += attribute.attlen as usize;
        }
        None
    };
    columns
        .iter()
        .map(|column| find(column).ok_or(Error::Altered { table, column: column.name.into() }))
        .collect()
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
        scan("fact_ratings", &COLUMNS, |row| {
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
        assert!(!altered("ALTER TABLE fact_ratings ADD COLUMN note text DEFAULT 'x'"));
        assert!(altered("ALTER TABLE fact_ratings ALTER COLUMN date_key DROP NOT NULL"));
        assert!(!altered("ALTER TABLE fact_ratings ALTER COLUMN date_key SET NOT NULL"));
        assert!(altered("ALTER TABLE fact_ratings ALTER COLUMN rating TYPE int"));
    }
}
