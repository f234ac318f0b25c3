//! Locks on the extension and its tables. The end of the transaction releases them.

use pgrx::{Spi, pg_sys};

use super::{Error, catalog};

/// Takes a lock on the extension itself, which only one transaction at a time can hold. Returns false if another transaction
/// holds it. DROP EXTENSION waits for this lock. (A lock on a table would block vacuum, and an advisory lock could be taken by
/// any user.)
pub fn try_lock_extension() -> Result<bool, Error> {
    take_extension_lock(true)
}

/// Takes the same lock as [`try_lock_extension`]. Waits for it as long as `lock_timeout` allows.
pub fn lock_extension() -> Result<(), Error> {
    take_extension_lock(false).map(drop)
}

fn take_extension_lock(without_waiting: bool) -> Result<bool, Error> {
    // SAFETY: a catalog look-up; the same lock tag as in LockDatabaseObject. The transaction owns the lock.
    unsafe {
        let extension = pg_sys::get_extension_oid(c"netflix_rec".as_ptr(), true);
        if extension == pg_sys::InvalidOid {
            return Err(Error::NoTable { table: "pg_extension" });
        }
        let tag = pg_sys::LOCKTAG {
            locktag_field1: pg_sys::MyDatabaseId.to_u32(),
            locktag_field2: pg_sys::ExtensionRelationId.to_u32(),
            locktag_field3: extension.to_u32(),
            locktag_field4: 0,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        };
        let mode = pg_sys::ShareUpdateExclusiveLock as pg_sys::LOCKMODE;
        let for_the_session = false;
        let acquired = pg_sys::LockAcquire(&raw const tag, mode, for_the_session, without_waiting);
        Ok(acquired != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL)
    }
}

/// Takes a lock on something that has this number in a table, which only one transaction, or one session with `for_the_session`, can
/// hold. Returns false if another one holds it. It does not lock the row itself. `pg_locks` shows it as a lock of type `object`.
/// PostgreSQL releases it at the end of the transaction or of the session. Of its two lock methods, only that of advisory locks does so
/// when a session ends outside a transaction.
pub fn try_lock_row(table: &'static str, number: i64, for_the_session: bool) -> Result<bool, Error> {
    let table = catalog::relation(table)?;
    // SAFETY: a lock tag of a database object; the transaction or the session owns the lock.
    unsafe {
        let tag = pg_sys::LOCKTAG {
            locktag_field1: pg_sys::MyDatabaseId.to_u32(),
            locktag_field2: table.to_u32(),
            locktag_field3: number as u32,
            locktag_field4: 0,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        };
        let mode = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;
        let acquired = pg_sys::LockAcquire(&raw const tag, mode, for_the_session, true);
        Ok(acquired != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL)
    }
}

/// Locks a table as INSERT, UPDATE and DELETE do (RowExclusiveLock). Transactions that lock several tables in the same order
/// cannot deadlock.
pub fn lock_as_writer(name: &'static str) -> Result<(), Error> {
    let oid = catalog::relation(name)?;
    // SAFETY: an existing table's oid; the transaction owns the lock.
    unsafe { pg_sys::LockRelationOid(oid, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE) };
    Ok(())
}

/// Locks a table against all other writers (ShareRowExclusiveLock). Waits for the transactions that write to it now.
pub fn lock_against_writers(name: &'static str) -> Result<(), Error> {
    lock_against_writers_notifying(name, |_| ())
}

/// Takes the same lock as [`lock_against_writers`]. If it must wait, it first calls `on_wait` with the ids of the processes for which it
/// waits.
pub fn lock_against_writers_notifying(name: &'static str, on_wait: impl FnOnce(&[i32])) -> Result<(), Error> {
    let oid = catalog::relation(name)?;
    let mode = pg_sys::ShareRowExclusiveLock as pg_sys::LOCKMODE;
    // SAFETY: an existing table's oid; the transaction owns the lock.
    unsafe {
        if !pg_sys::ConditionalLockRelationOid(oid, mode) {
            let pids = writers(oid)?;
            on_wait(&pids);
            let pids = pids.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
            pgrx::notice!(
                "waiting until the transactions of these processes, which write to {name}, end: {pids}"
            );
            pg_sys::LockRelationOid(oid, mode);
        }
    }
    Ok(())
}

/// The other processes whose transactions hold a lock on the table that conflicts with ShareRowExclusiveLock.
fn writers(table: pg_sys::Oid) -> Result<Vec<i32>, Error> {
    let query = "SELECT DISTINCT pid FROM pg_catalog.pg_locks
                 WHERE locktype = 'relation' AND relation = $1 AND granted AND pid <> pg_catalog.pg_backend_pid()
                   AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
                   AND mode NOT IN ('AccessShareLock', 'RowShareLock') ORDER BY pid";
    Spi::connect(|client| {
        let rows = client.select(query, None, &[table.into()])?;
        Ok(rows.map(|row| row.get::<i32>(1)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    })
}
