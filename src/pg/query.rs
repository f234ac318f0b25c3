//! The extension's own queries and statements.
//!
//! They name its tables `@extschema@.table`. They run in functions whose search_path holds pg_catalog only, so an object that a
//! user creates in another schema is never used by mistake.

use std::ffi::CString;
use std::ptr;

use pgrx::datum::DatumWithOid;
use pgrx::spi::{SpiClient, SpiCursor, SpiHeapTupleData};
use pgrx::{FromDatum, IntoDatum, Spi, pg_sys};

use super::snapshot::{self, Snapshot};
use super::spi::{self, Arguments, ROWS_PER_FETCH};
use super::{Error, catalog, interrupt, memory};

/// Runs a query and collects what `each` returns for each row.
pub fn select<T>(
    snapshot: Snapshot,
    query: &str,
    args: &[DatumWithOid<'_>],
    mut each: impl FnMut(SpiHeapTupleData<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let query = qualify(query)?;
    let mut all = Vec::new();
    Spi::connect(|client| {
        let mut cursor = match snapshot {
            Snapshot::Statement => open(client, &query, args, true)?,
            Snapshot::Transaction => open(client, &query, args, false)?,
            // The cursor keeps the snapshot as long as it needs it.
            Snapshot::Latest => snapshot::with_latest(|| open(client, &query, args, true))?,
        };
        loop {
            let rows = cursor.fetch(ROWS_PER_FETCH)?;
            if rows.is_empty() {
                return Ok(all);
            }
            for row in rows {
                memory::push(&mut all, each(row)?)?;
            }
            // SAFETY: the rows just fetched. `each` has copied what it keeps, and nobody reads them again.
            unsafe { pg_sys::SPI_freetuptable(pg_sys::SPI_tuptable) };
            interrupt::check();
        }
    })
}

/// Runs a query and calls `each` with each row.
pub fn for_each_row(
    snapshot: Snapshot,
    query: &str,
    args: &[DatumWithOid<'_>],
    each: impl FnMut(SpiHeapTupleData<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    // A list of `()` takes no memory.
    select(snapshot, query, args, each).map(drop)
}

/// The first column of a query's first row; `None` if that is NULL or there is no row.
pub fn select_one<T: FromDatum + IntoDatum>(
    snapshot: Snapshot,
    query: &str,
    args: &[DatumWithOid<'_>],
) -> Result<Option<T>, Error> {
    let rows = select(snapshot, query, args, |row| Ok(row.get::<T>(1)?))?;
    Ok(rows.into_iter().next().flatten())
}

/// Runs a statement that writes.
pub fn run(statement: &str, args: &[DatumWithOid<'_>]) -> Result<(), Error> {
    Ok(Spi::run_with_args(&qualify(statement)?, args)?)
}

/// Runs a statement that writes and returns rows. Returns the first column of the first row; `None` if that is NULL or there is
/// no row.
pub fn run_one<T: FromDatum + IntoDatum>(
    statement: &str,
    args: &[DatumWithOid<'_>],
) -> Result<Option<T>, Error> {
    let statement = qualify(statement)?;
    Spi::connect_mut(|client| {
        let rows = client.update(statement.as_str(), None, args)?;
        Ok(if rows.is_empty() { None } else { rows.first().get_one::<T>()? })
    })
}

/// Runs a statement that writes and returns a few rows. Collects what `each` returns for each row.
pub fn run_rows<T>(
    statement: &str,
    args: &[DatumWithOid<'_>],
    mut each: impl FnMut(SpiHeapTupleData<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let statement = qualify(statement)?;
    Spi::connect_mut(|client| {
        memory::try_collect(client.update(statement.as_str(), None, args)?.map(&mut each))
    })
}

/// Opens a cursor that uses the active snapshot, or a new snapshot of the transaction. The active snapshot is that of the
/// calling statement unless another one was pushed.
///
/// pgrx's own function is not used for two reasons. For a new snapshot it assigns a transaction id, which a query does not need
/// and a standby cannot assign. And once the transaction has an id, it always takes a new snapshot, so a stable function would
/// see a different state for each row of the statement that calls it.
fn open<'conn>(
    client: &SpiClient<'conn>,
    query: &str,
    args: &[DatumWithOid<'_>],
    use_active_snapshot: bool,
) -> Result<SpiCursor<'conn>, Error> {
    let query = CString::new(query).map_err(|_| Error::Null("query"))?;
    let mut arguments = Arguments::new(args);
    // SAFETY: a valid C string and three lists of one length, all of which outlive the call; the portal is never null.
    unsafe {
        let portal = pg_sys::SPI_cursor_open_with_args(
            ptr::null(),
            query.as_ptr(),
            args.len() as i32,
            arguments.types.as_mut_ptr(),
            arguments.values.as_mut_ptr(),
            arguments.nulls.as_mut_ptr(),
            use_active_snapshot,
            0,
        );
        spi::cursor(client, portal)
    }
}

/// Replaces `@extschema@` in a query with the name of the extension's schema.
fn qualify(query: &str) -> Result<String, Error> {
    Ok(query.replace("@extschema@", &catalog::schema()?.quoted))
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    #[pg_test]
    fn rows_come_in_order_however_many() {
        for rows in [0, 1, 999, 1000, 1001, 2500] {
            let query = "SELECT n, 'row ' || n FROM generate_series(1, $1) AS n";
            for snapshot in [Snapshot::Statement, Snapshot::Latest] {
                let all = select(snapshot, query, &[rows.into()], |row| {
                    Ok((row.get::<i32>(1)?.unwrap(), row.get::<String>(2)?.unwrap()))
                });
                let wanted = (1..=rows).map(|n| (n, format!("row {n}"))).collect::<Vec<_>>();
                assert_eq!(all.unwrap(), wanted);
            }
        }
        assert_eq!(select_one::<i32>(Snapshot::Latest, "SELECT 1 WHERE false", &[]).unwrap(), None);
        assert_eq!(select_one::<i32>(Snapshot::Statement, "SELECT $1", &[None::<i32>.into()]).unwrap(), None);
    }

    #[pg_test]
    fn a_statement_does_not_see_what_it_changes() {
        let count = |snapshot| {
            let query = "SELECT count(*) FROM @extschema@.dim_movie";
            select_one::<i64>(snapshot, query, &[]).unwrap().unwrap()
        };
        run("INSERT INTO @extschema@.dim_movie VALUES (1, 1, 'A', 2000, 0)", &[]).unwrap();
        let delete = "DELETE FROM @extschema@.dim_movie WHERE movie_key = $1 RETURNING title";
        assert_eq!(run_one::<String>(delete, &[2.into()]).unwrap(), None);
        assert_eq!((count(Snapshot::Statement), count(Snapshot::Latest)), (0, 1));
    }
}
