//! The extension's own tables, found through the catalog and never through search_path.

use std::ffi::CString;

use pgrx::{Spi, pg_sys};

use super::Error;

/// What a role may be asked to be allowed to do with a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Privilege {
    Select,
    Insert,
    Update,
}

/// The table of this name in the schema that the extension was created in.
pub fn table(name: &'static str) -> Result<pg_sys::Oid, Error> {
    let schema = Spi::get_one::<pg_sys::Oid>(
        "SELECT extnamespace FROM pg_catalog.pg_extension
         WHERE extname OPERATOR(pg_catalog.=) 'netflix_rec'",
    )?;
    let missing = Error::NoTable { table: name };
    let (Some(schema), Ok(c_name)) = (schema, CString::new(name)) else { return Err(missing) };
    // SAFETY: a valid C string; the function looks into the catalog and returns an oid.
    let oid = unsafe { pg_sys::get_relname_relid(c_name.as_ptr(), schema) };
    if oid == pg_sys::InvalidOid { Err(missing) } else { Ok(oid) }
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

/// Locks out every other writer of a table until the transaction ends; false where one is at work already.
pub fn try_lock_writers(table: pg_sys::Oid) -> bool {
    // SAFETY: an existing table's oid; the lock is the transaction's.
    unsafe { pg_sys::ConditionalLockRelationOid(table, pg_sys::ShareRowExclusiveLock as pg_sys::LOCKMODE) }
}

/// The same, waiting for writers that are at work.
pub fn lock_writers(table: pg_sys::Oid) {
    // SAFETY: as above.
    unsafe { pg_sys::LockRelationOid(table, pg_sys::ShareRowExclusiveLock as pg_sys::LOCKMODE) }
}
