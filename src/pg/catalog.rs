//! The extension's schema and relations, which are found in the catalog and never by search_path, and the role's privileges on
//! them.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicU64, Ordering};

use pgrx::{Spi, pg_sys};

use super::{Error, error_reserve};

/// A privilege on a table.
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
    /// The name of the schema, quoted if necessary.
    pub quoted: String,
}

/// Looks up the extension's schema. The extension is not relocatable, so it stays in the schema that it was created in. But
/// that schema can be renamed.
pub fn schema() -> Result<Schema, Error> {
    /// Upper 32 bits: the extension's oid. Lower 32 bits: its schema's oid. 0 before the first look-up.
    static CACHED: AtomicU64 = AtomicU64::new(0);

    // Every call of the extension comes here before it allocates much.
    error_reserve::arm();
    let missing = Error::NoTable { table: "pg_extension" };
    // SAFETY: a catalog look-up; because of `true`, it raises no error if there is no such extension.
    let extension = unsafe { pg_sys::get_extension_oid(c"netflix_rec".as_ptr(), true) };
    let cached = CACHED.load(Ordering::Relaxed);
    let oid = if (cached >> 32) as u32 == extension.to_u32() && cached != 0 {
        pg_sys::Oid::from(cached as u32)
    } else {
        let query = "SELECT extnamespace FROM pg_catalog.pg_extension WHERE oid OPERATOR(pg_catalog.=) $1";
        let schema = Spi::connect(|client| {
            let rows = client.select(query, Some(1), &[extension.into()])?;
            Ok::<_, Error>(if rows.is_empty() { None } else { rows.first().get_one::<pg_sys::Oid>()? })
        })?;
        let Some(schema) = schema else { return Err(missing) };
        CACHED.store(u64::from(extension.to_u32()) << 32 | u64::from(schema.to_u32()), Ordering::Relaxed);
        schema
    };
    // SAFETY: a catalog look-up; the result is null or a C string in the current memory context.
    let quoted = unsafe {
        let name = pg_sys::get_namespace_name(oid);
        if name.is_null() {
            return Err(missing);
        }
        CStr::from_ptr(pg_sys::quote_identifier(name)).to_string_lossy().into_owned()
    };
    Ok(Schema { oid, quoted })
}

/// The oid of a table, view, index or sequence in the extension's schema.
pub fn relation(name: &'static str) -> Result<pg_sys::Oid, Error> {
    let missing = Error::NoTable { table: name };
    let Ok(c_name) = CString::new(name) else { return Err(missing) };
    // SAFETY: a valid C string; a catalog look-up that returns an oid.
    let oid = unsafe { pg_sys::get_relname_relid(c_name.as_ptr(), schema()?.oid) };
    if oid == pg_sys::InvalidOid { Err(missing) } else { Ok(oid) }
}

/// Checks that the current role has these privileges on a table, and that no row-level security policy applies to the role.
/// Direct reads and writes need this check, because they bypass those that SQL makes. Returns the table's oid.
pub fn require(name: &'static str, privileges: &[Privilege]) -> Result<pg_sys::Oid, Error> {
    let oid = relation(name)?;
    for privilege in privileges {
        let (mode, privilege) = match privilege {
            Privilege::Select => (pg_sys::ACL_SELECT, "SELECT"),
            Privilege::Insert => (pg_sys::ACL_INSERT, "INSERT"),
            Privilege::Update => (pg_sys::ACL_UPDATE, "UPDATE"),
            Privilege::Delete => (pg_sys::ACL_DELETE, "DELETE"),
        };
        // SAFETY: catalog look-ups for an existing table and the current role.
        let allowed = unsafe { pg_sys::pg_class_aclcheck(oid, pg_sys::GetUserId(), mode as pg_sys::AclMode) };
        if allowed != pg_sys::AclResult::ACLCHECK_OK {
            return Err(Error::Permission { table: name, privilege });
        }
    }
    // SAFETY: as above; because of `true`, it raises no error itself.
    let row_security = unsafe { pg_sys::check_enable_rls(oid, pg_sys::InvalidOid, true) };
    if row_security == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32 {
        return Err(Error::RowSecurity { table: name });
    }
    Ok(oid)
}

/// Whether the current role may read files on the server.
pub fn may_read_server_files() -> bool {
    // SAFETY: a look-up of the current role's memberships.
    unsafe {
        pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(pg_sys::ROLE_PG_READ_SERVER_FILES))
    }
}

/// Whether the database stores text as UTF-8.
pub fn is_utf8() -> bool {
    // SAFETY: returns the database's encoding.
    unsafe { pg_sys::GetDatabaseEncoding() == pg_sys::pg_enc::PG_UTF8 as i32 }
}
