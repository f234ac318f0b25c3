//! The extension's own queries and statements. They name its tables `@extschema@.table` and run in functions whose
//! search_path holds pg_catalog alone: nothing that a user puts into any other schema is ever taken for ours.

use std::ffi::{CString, c_int};
use std::panic::AssertUnwindSafe;
use std::ptr;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::spi::{SpiClient, SpiCursor, SpiHeapTupleData};
use pgrx::{FromDatum, IntoDatum, PgSqlErrorCode, PgTryBuilder, Spi, pg_sys};

use super::snapshot::Snapshot;
use super::{Error, catalog, interrupt, memory};

/// Rows fetched at a time.
const BATCH: i64 = 1000;

/// Runs a query and makes something of each of its rows.
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
            Snapshot::Latest => now(|| open(client, &query, args, true))?,
        };
        loop {
            let rows = cursor.fetch(BATCH)?;
            if rows.is_empty() {
                return Ok(all);
            }
            for row in rows {
                memory::push(&mut all, each(row)?)?;
            }
            // SAFETY: the rows just fetched, of which all that is kept was copied; nobody looks at them again.
            unsafe {
                pg_sys::SPI_freetuptable(pg_sys::SPI_tuptable);
                pg_sys::SPI_tuptable = ptr::null_mut();
            }
            interrupt::check();
        }
    })
}

/// Does something that sees what is there now, whatever the calling statement saw as it began: what another transaction
/// committed while this one waited for a lock.
pub fn now<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the snapshot is pushed and popped here; an error of the server's, on its way, unwinds the stack of snapshots
    // with the transaction.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        let done = work();
        pg_sys::PopActiveSnapshot();
        done
    }
}

/// Does something in a subtransaction. An error of the server's undoes what was done in it and is given as its message, but
/// for one that ends the statement.
pub fn attempt<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<Result<T, String>, E> {
    let work = AssertUnwindSafe(work);
    // SAFETY: on the backend's thread, in a transaction. The subtransaction is ended in either way below, and what it changed
    // of the current memory context and resource owner is put back, as PL/pgSQL does it.
    unsafe {
        let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let end = move |is_done: bool| {
            match is_done {
                true => pg_sys::ReleaseCurrentSubTransaction(),
                false => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
            }
            pg_sys::MemoryContextSwitchTo(context);
            pg_sys::CurrentResourceOwner = owner;
        };
        PgTryBuilder::new(move || {
            let done = { work }.0();
            end(done.is_ok());
            done.map(Ok)
        })
        .catch_others(|error| match error {
            CaughtError::PostgresError(report)
                if report.sql_error_code() != PgSqlErrorCode::ERRCODE_QUERY_CANCELED =>
            {
                end(false);
                Ok(Err(report.message().into()))
            }
            error => error.rethrow(),
        })
        .execute()
    }
}

/// Does something with the search_path that the extension's own queries must have, for a function that cannot have it
/// from its beginning to its end.
pub fn pinned<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: C strings; the setting goes back to what it was, here or, after an error, as its transaction ends.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::set_config_option(
            c"search_path".as_ptr(),
            c"pg_catalog, pg_temp".as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
        let done = work();
        pg_sys::AtEOXact_GUC(true, level);
        done
    }
}

/// Does something as the owner of one of the extension's tables, with the search_path that this needs: what a function
/// promises to roles that lack the privilege.
pub fn as_owner<T>(table: &'static str, work: impl FnOnce() -> T) -> Result<T, Error> {
    /// Restores the role, however the work ends.
    struct Role(pg_sys::Oid, c_int);
    impl Drop for Role {
        fn drop(&mut self) {
            // SAFETY: what stood there before.
            unsafe { pg_sys::SetUserIdAndSecContext(self.0, self.1) };
        }
    }
    let oid = catalog::relation(table)?;
    // SAFETY: plain look-ups, and a change of role that is undone below, as PostgreSQL's own maintenance commands make it.
    unsafe {
        let mut caller = Role(pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&raw mut caller.0, &raw mut caller.1);
        let relation = pg_sys::relation_open(oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let owner = (*(*relation).rd_rel).relowner;
        pg_sys::relation_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        let context = caller.1 | pg_sys::SECURITY_LOCAL_USERID_CHANGE as c_int;
        pg_sys::SetUserIdAndSecContext(owner, context);
        Ok(pinned(work))
    }
}

/// Runs a query and hands on each of its rows.
pub fn each(
    snapshot: Snapshot,
    query: &str,
    args: &[DatumWithOid<'_>],
    each: impl FnMut(SpiHeapTupleData<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    // A list of nothings takes no memory.
    select(snapshot, query, args, each).map(drop)
}

/// The first column of a query's first row, if there is one.
pub fn select_one<T: FromDatum + IntoDatum>(
    snapshot: Snapshot,
    query: &str,
    args: &[DatumWithOid<'_>],
) -> Result<Option<T>, Error> {
    let rows = select(snapshot, query, args, |row| Ok(row.get::<T>(1)?))?;
    Ok(rows.into_iter().next().flatten())
}

/// Runs a statement that changes something.
pub fn run(statement: &str, args: &[DatumWithOid<'_>]) -> Result<(), Error> {
    Ok(Spi::run_with_args(&qualify(statement)?, args)?)
}

/// Runs a statement that changes something and returns rows: the first column of the first, if there is one.
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

/// Runs a statement that changes something, and makes something of each of the few rows that it returns.
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

/// A cursor that sees by the active snapshot, which is the calling statement's unless another was pushed; or by a new one
/// of the transaction's. (pgrx's own assigns a transaction id where it takes a new snapshot, which reading does not need and
/// a standby cannot; and where the transaction has one, it takes a new snapshot always: a stable function would see another
/// state at each row of the statement that calls it.)
fn open<'conn>(
    client: &SpiClient<'conn>,
    query: &str,
    args: &[DatumWithOid<'_>],
    by_active_snapshot: bool,
) -> Result<SpiCursor<'conn>, Error> {
    let query = CString::new(query).map_err(|_| Error::Null("query"))?;
    let mut types = args.iter().map(DatumWithOid::oid).collect::<Vec<_>>();
    let datum = |arg: &DatumWithOid<'_>| arg.datum().map_or(pg_sys::Datum::null(), |d| d.sans_lifetime());
    let mut datums = args.iter().map(datum).collect::<Vec<_>>();
    let null = |arg: &DatumWithOid<'_>| if arg.datum().is_none() { b'n' } else { b' ' };
    let nulls = args.iter().map(|arg| null(arg) as std::ffi::c_char).collect::<Vec<_>>();
    // SAFETY: a valid C string and three lists of one length, all of which outlive the call; the portal that comes
    // back, never null, keeps its own name.
    let name = unsafe {
        let portal = pg_sys::SPI_cursor_open_with_args(
            ptr::null(),
            query.as_ptr(),
            args.len() as i32,
            types.as_mut_ptr(),
            datums.as_mut_ptr(),
            nulls.as_ptr(),
            by_active_snapshot,
            0,
        );
        std::ffi::CStr::from_ptr((*portal).name).to_string_lossy().into_owned()
    };
    Ok(client.find_cursor(&name)?)
}

/// Puts the name of the extension's schema into a query.
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
