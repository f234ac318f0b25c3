//! Runs work with the search_path that the extension's own queries need, or as the owner of a table.

use std::ffi::c_int;

use pgrx::pg_sys;

use super::{Error, catalog};

/// Runs `work` with the search_path that the extension's own queries need. For a function that cannot have this search_path
/// from its beginning to its end.
pub fn with_search_path<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: C strings. The setting is restored here or, after an error, when the transaction ends.
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
        let result = work();
        pg_sys::AtEOXact_GUC(true, level);
        result
    }
}

/// Runs `work` as the owner of one of the extension's tables, with the search_path that this needs. For what a function does on
/// behalf of roles that lack the privilege.
pub fn as_owner<T>(table: &'static str, work: impl FnOnce() -> T) -> Result<T, Error> {
    /// Restores the role when dropped, also if the work raises an error.
    struct Caller(pg_sys::Oid, c_int);
    impl Drop for Caller {
        fn drop(&mut self) {
            // SAFETY: the role and security context that were set before.
            unsafe { pg_sys::SetUserIdAndSecContext(self.0, self.1) };
        }
    }
    let oid = catalog::relation(table)?;
    // SAFETY: catalog look-ups, and a change of role as PostgreSQL's own maintenance commands make it; `caller` undoes it.
    unsafe {
        let mut caller = Caller(pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&raw mut caller.0, &raw mut caller.1);
        let relation = pg_sys::relation_open(oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        let owner = (*(*relation).rd_rel).relowner;
        pg_sys::relation_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        let context = caller.1 | pg_sys::SECURITY_LOCAL_USERID_CHANGE as c_int;
        pg_sys::SetUserIdAndSecContext(owner, context);
        Ok(with_search_path(work))
    }
}
