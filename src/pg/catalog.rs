//! The extension's own tables, found through the catalog and never through search_path.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicU64, Ordering};

use pgrx::{PgTupleDesc, Spi, pg_sys};

use super::{Error, ballast};

/// What a role may be asked to be allowed to do with a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Privilege {
    Select,
    Insert,
    Update,
    Delete,
}

/// The schema that the extension was created in.
pub struct Schema {
    pub oid: pg_sys::Oid,
    /// Its name, quoted where it has to be.
    pub quoted: String,
}

/// Finds the extension's schema. An extension that is not relocatable stays in the schema it was created in, which
/// can be renamed.
pub fn schema() -> Result<Schema, Error> {
    /// The extension and its schema, as they were found last in this backend.
    static FOUND: AtomicU64 = AtomicU64::new(0);

    // Every call comes here before it takes memory.
    ballast::arm();
    let missing = Error::NoTable { table: "pg_extension" };
    // SAFETY: looks into the catalog; `true` asks it not to raise an error where there is none.
    let extension = unsafe { pg_sys::get_extension_oid(c"netflix_rec".as_ptr(), true) };
    let found = FOUND.load(Ordering::Relaxed);
    let oid = if (found >> 32) as u32 == extension.to_u32() && found != 0 {
        pg_sys::Oid::from(found as u32)
    } else {
        let query = "SELECT extnamespace FROM pg_catalog.pg_extension WHERE oid OPERATOR(pg_catalog.=) $1";
        let schema = Spi::connect(|client| {
            let rows = client.select(query, Some(1), &[extension.into()])?;
            Ok::<_, Error>(if rows.is_empty() { None } else { rows.first().get_one::<pg_sys::Oid>()? })
        })?;
        let Some(schema) = schema else { return Err(missing) };
        FOUND.store(u64::from(extension.to_u32()) << 32 | u64::from(schema.to_u32()), Ordering::Relaxed);
        schema
    };
    // SAFETY: looks into the catalog; what comes back, where not null, is a C string in the current memory context.
    let quoted = unsafe {
        let name = pg_sys::get_namespace_name(oid);
        if name.is_null() {
            return Err(missing);
        }
        CStr::from_ptr(pg_sys::quote_identifier(name)).to_string_lossy().into_owned()
    };
    Ok(Schema { oid, quoted })
}

/// The table of this name in the extension's schema.
pub fn table(name: &'static str) -> Result<pg_sys::Oid, Error> {
    let missing = Error::NoTable { table: name };
    let Ok(c_name) = CString::new(name) else { return Err(missing) };
    // SAFETY: a valid C string; the function looks into the catalog and returns an oid.
    let oid = unsafe { pg_sys::get_relname_relid(c_name.as_ptr(), schema()?.oid) };
    if oid == pg_sys::InvalidOid { Err(missing) } else { Ok(oid) }
}

/// One of the extension's tables, opened and locked; closed when dropped, while the lock stays until the transaction
/// ends.
pub struct Table {
    pub relation: pg_sys::Relation,
}

/// A column of a table, as the catalog describes it.
pub struct TableColumn {
    pub name: String,
    pub type_oid: pg_sys::Oid,
    /// In bytes; negative where it varies.
    pub width: i16,
    pub align: u8,
    pub not_null: bool,
    pub has_default: bool,
    pub is_generated: bool,
    pub is_identity: bool,
    /// Whether rows that are older than the column do not hold it.
    pub may_be_missing: bool,
    pub is_dropped: bool,
}

impl Table {
    /// Opens a table that the role may do all of this with. Anything but a plain heap table is refused, because its rows
    /// are not where they are looked for; so is a table with child tables, whose rows SQL reads as well, and a partition,
    /// whose bounds would not be checked.
    pub fn open(
        name: &'static str,
        privileges: &[Privilege],
        lock: pg_sys::LOCKMODE,
    ) -> Result<Table, Error> {
        let oid = require(name, privileges)?;
        // SAFETY: an existing relation; its catalog row lives as long as it is open.
        unsafe {
            let table = Table { relation: pg_sys::table_open(oid, lock) };
            let class = (*table.relation).rd_rel;
            if (*class).relkind as u8 != pg_sys::RELKIND_RELATION {
                return Err(Error::NotATable { table: name });
            }
            if (*class).relam != pg_sys::HEAP_TABLE_AM_OID {
                return Err(Error::NoHeap { table: name });
            }
            if (*class).relispartition {
                let parent = relative("SELECT inhparent FROM pg_catalog.pg_inherits WHERE inhrelid", oid)?;
                return Err(Error::Partition { table: name, parent: parent.unwrap_or_default() });
            }
            // The flag may be left over from children that are gone.
            if (*class).relhassubclass
                && let Some(child) =
                    relative("SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent", oid)?
            {
                return Err(Error::Child { table: name, child });
            }
            Ok(table)
        }
    }

    /// The columns in order, dropped ones included.
    pub fn columns(&self) -> Vec<TableColumn> {
        // SAFETY: it is open.
        unsafe { columns(self.relation) }
    }
}

/// The name of a table that inherits from another, or that another inherits from.
fn relative(query: &str, table: pg_sys::Oid) -> Result<Option<String>, Error> {
    let query = format!(
        "SELECT pg_catalog.format('%I.%I', nspname, relname)
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
         WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY({query} OPERATOR(pg_catalog.=) $1)) ORDER BY 1 LIMIT 1"
    );
    Spi::connect(|client| {
        let rows = client.select(query.as_str(), Some(1), &[table.into()])?;
        Ok(if rows.is_empty() { None } else { rows.first().get_one::<String>()? })
    })
}

/// The columns of a table in order, dropped ones included.
///
/// # Safety
///
/// An open relation.
pub unsafe fn columns(relation: pg_sys::Relation) -> Vec<TableColumn> {
    // SAFETY: the descriptor belongs to the open relation.
    let descriptor = unsafe { PgTupleDesc::from_pg_unchecked((*relation).rd_att) };
    let column = |attribute: &pg_sys::FormData_pg_attribute| TableColumn {
        name: attribute.name().to_owned(),
        type_oid: attribute.atttypid,
        width: attribute.attlen,
        align: attribute.attalign as u8,
        not_null: attribute.attnotnull,
        has_default: attribute.atthasdef,
        is_generated: attribute.attgenerated != 0,
        is_identity: attribute.attidentity != 0,
        may_be_missing: attribute.atthasmissing,
        is_dropped: attribute.attisdropped,
    };
    descriptor.iter().map(column).collect()
}

impl Drop for Table {
    fn drop(&mut self) {
        // While an error unwinds, the transaction's resource owner closes it.
        if !std::thread::panicking() {
            // SAFETY: it has been open since `open`.
            unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as pg_sys::LOCKMODE) };
        }
    }
}

/// Checks that the current role may do all of this with a table, and that row-level security does not stand
/// between: reading and writing tables directly passes by the checks that SQL makes.
pub fn require(name: &'static str, privileges: &[Privilege]) -> Result<pg_sys::Oid, Error> {
    let oid = table(name)?;
    for privilege in privileges {
        let (mode, privilege) = match privilege {
            Privilege::Select => (pg_sys::ACL_SELECT, "SELECT"),
            Privilege::Insert => (pg_sys::ACL_INSERT, "INSERT"),
            Privilege::Update => (pg_sys::ACL_UPDATE, "UPDATE"),
            Privilege::Delete => (pg_sys::ACL_DELETE, "DELETE"),
        };
        // SAFETY: plain look-ups for an existing table and the current role.
        let allowed = unsafe { pg_sys::pg_class_aclcheck(oid, pg_sys::GetUserId(), mode as pg_sys::AclMode) };
        if allowed != pg_sys::AclResult::ACLCHECK_OK {
            return Err(Error::Permission { table: name, privilege });
        }
    }
    // SAFETY: as above; `true` asks it not to raise an error itself.
    let row_security = unsafe { pg_sys::check_enable_rls(oid, pg_sys::InvalidOid, true) };
    if row_security == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32 {
        return Err(Error::RowSecurity { table: name });
    }
    Ok(oid)
}

/// Whether the current role may read files on the server.
pub fn may_read_server_files() -> bool {
    // SAFETY: look-ups of role membership for the current role.
    unsafe {
        pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(pg_sys::ROLE_PG_READ_SERVER_FILES))
    }
}

/// Whether the database stores text as UTF-8.
pub fn is_utf8() -> bool {
    // SAFETY: returns the database's encoding.
    unsafe { pg_sys::GetDatabaseEncoding() == pg_sys::pg_enc::PG_UTF8 as i32 }
}

/// Takes the lock that one load at a time may hold, until the transaction ends; false where another has it. It is one
/// on the extension itself: a lock on a table would be in vacuum's way, and an advisory lock is anybody's to take.
/// Whoever drops the extension waits for it.
pub fn try_lock_load() -> Result<bool, Error> {
    take_load_lock(true)
}

/// Takes the same lock, waiting for it as long as `lock_timeout` allows.
pub fn lock_load() -> Result<(), Error> {
    take_load_lock(false).map(drop)
}

fn take_load_lock(without_waiting: bool) -> Result<bool, Error> {
    // SAFETY: look-ups in the catalog; the tag is that of LockDatabaseObject, and the lock is the transaction's.
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

/// Takes the lock of one who writes rows of a table, until the transaction ends: whoever takes several in one order waits for
/// nobody in a circle.
pub fn lock_rows(name: &'static str) -> Result<(), Error> {
    let oid = table(name)?;
    // SAFETY: an existing table's oid; the lock is the transaction's.
    unsafe { pg_sys::LockRelationOid(oid, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE) };
    Ok(())
}

/// Locks out every other writer of a table until the transaction ends, waiting for those at work.
pub fn lock_writers(name: &'static str) -> Result<(), Error> {
    lock_writers_telling(name, |_| ())
}

/// The same; `waiting` is told for which processes, if it has to wait.
pub fn lock_writers_telling(name: &'static str, waiting: impl FnOnce(&[i32])) -> Result<(), Error> {
    let oid = table(name)?;
    let mode = pg_sys::ShareRowExclusiveLock as pg_sys::LOCKMODE;
    // SAFETY: an existing table's oid; the lock is the transaction's.
    unsafe {
        if !pg_sys::ConditionalLockRelationOid(oid, mode) {
            let pids = writers(oid)?;
            waiting(&pids);
            let pids = pids.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
            pgrx::notice!(
                "waiting until the transactions of these processes, which write to {name}, end: {pids}"
            );
            pg_sys::LockRelationOid(oid, mode);
        }
    }
    Ok(())
}

/// The other processes whose transactions hold a lock on a table that keeps it from being locked against writers.
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

/// Raises PostgreSQL's own error where the transaction may not write: better before long work than after it.
pub fn require_writable(function: &CStr) {
    // SAFETY: a C string; the call looks at the transaction's state and raises an error or returns.
    unsafe { pg_sys::PreventCommandIfReadOnly(function.as_ptr()) };
}

/// Whether the transaction goes on seeing what it saw first, and so not what another commits.
pub fn has_old_snapshot() -> bool {
    // SAFETY: the transaction's isolation level, read on the backend's thread.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// Refuses to run inside a transaction block, a function or a DO block: for what commits on the way and cannot be rolled back.
/// `call` is what PostgreSQL gave a function that returns a set.
#[allow(clippy::not_unsafe_ptr_arg_deref)] // no other pointer of this type is to be had
pub fn refuse_transaction_block(
    function: &'static CStr,
    call: pg_sys::FunctionCallInfo,
) -> Result<(), Error> {
    // SAFETY: the call's own information; a C string; PostgreSQL looks at the transaction's state. The second call has it commit
    // before anything else comes.
    unsafe {
        let is_called_by_client = is_called_by_client(call);
        if pg_sys::IsInTransactionBlock(is_called_by_client) {
            return Err(Error::TransactionBlock { function, is_called_by_client });
        }
        pg_sys::PreventInTransactionBlock(true, function.as_ptr());
    }
    Ok(())
}

/// Whether the statement that calls a function is the one that the client sent. Statements of functions, procedures and DO
/// blocks run below that one, with an execution state of their own or in a cursor that SPI named.
///
/// # Safety
///
/// What PostgreSQL gave a function that is being called.
unsafe fn is_called_by_client(call: pg_sys::FunctionCallInfo) -> bool {
    // SAFETY: as the caller promises; what the call runs in lives as long as it does.
    unsafe {
        let result = (*call).resultinfo.cast::<pg_sys::ReturnSetInfo>();
        let portal = pg_sys::ActivePortal;
        if result.is_null()
            || (*result).econtext.is_null()
            || portal.is_null()
            || (*portal).queryDesc.is_null()
        {
            return false;
        }
        // EXECUTE of a prepared statement names its cursor likewise, but does not list it.
        let is_named_by_spi =
            (*portal).visible && CStr::from_ptr((*portal).name).to_bytes().starts_with(b"<unnamed portal");
        (*(*portal).queryDesc).estate == (*(*result).econtext).ecxt_estate && !is_named_by_spi
    }
}

/// Whether the transaction has written something: a statement by itself, at its beginning, has not.
pub fn has_transaction_id() -> bool {
    // SAFETY: looks at the transaction's state.
    unsafe { pg_sys::GetTopTransactionIdIfAny() != pg_sys::InvalidTransactionId }
}
