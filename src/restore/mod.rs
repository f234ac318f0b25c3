//! Restores of a dump at full size: `netflix_restore_begin`, `netflix_restore_end`.
//!
//! A dump holds the extension's rows, but not its tables: CREATE EXTENSION makes these, with their keys and foreign keys. Rows
//! that are copied into them are checked one by one, and a parallel restore copies a table before the one it refers to. So
//! the constraints are put away before the restore, and built when all rows are there.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::scan::Seen;
use crate::pg::{self, Error, Report, catalog, interrupt, query, report, unfinished};

/// What the caller may get wrong.
#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error("table {0} is not empty")]
    NotEmpty(String),
    #[error("no restore was begun")]
    NotBegun,
    #[error(transparent)]
    Pg(#[from] Error),
}

impl Report for RestoreError {
    fn code(&self) -> PgSqlErrorCode {
        match self {
            RestoreError::NotEmpty(_) | RestoreError::NotBegun => {
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            RestoreError::Pg(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            RestoreError::NotEmpty(_) => {
                Some("Restore into a database where CREATE EXTENSION has just made the tables.".into())
            }
            RestoreError::NotBegun => {
                Some("SELECT netflix_restore_begin(); comes first, then pg_restore.".into())
            }
            RestoreError::Pg(error) => error.hint(),
        }
    }
}

/// Puts away the keys and foreign keys of all tables of the extension, which must be empty, until `netflix_restore_end`.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn netflix_restore_begin() -> Result<(), ErrorReport> {
    begin().map_err(report)
}

/// Builds the keys and foreign keys that `netflix_restore_begin` has put away, and analyzes the tables. A row that breaks one
/// is an error, and leaves all as it was.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn netflix_restore_end() -> Result<(), ErrorReport> {
    end().map_err(report)
}

/// A key or a foreign key, put away.
struct Constraint {
    table: String,
    name: String,
    definition: String,
}

fn begin() -> Result<(), RestoreError> {
    catalog::require_writable(c"netflix_restore_begin()");
    if unfinished::restore()? {
        return Ok(());
    }
    for table in tables()? {
        let query = format!("SELECT EXISTS (SELECT FROM @extschema@.{table})");
        if query::select_one::<bool>(Seen::Now, &query, &[])? == Some(true) {
            return Err(RestoreError::NotEmpty(table));
        }
    }
    query::run(
        "INSERT INTO @extschema@.restore_constraint (place, table_name, constraint_name, definition)
         SELECT row_number() OVER (ORDER BY c.contype = 'f', c.contype, r.relname, c.conname), r.relname, c.conname,
                pg_get_constraintdef(c.oid)
         FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
         JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype = 'e'
         JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
         WHERE e.extname = 'netflix_rec' AND c.contype IN ('p', 'u', 'f') AND r.relname <> 'restore_constraint'",
        &[],
    )?;
    // Foreign keys first: they need the keys that they refer to.
    for Constraint { table, name, .. } in constraints()?.into_iter().rev() {
        query::run(&format!("ALTER TABLE @extschema@.{table} DROP CONSTRAINT {name}"), &[])?;
    }
    Ok(())
}

fn end() -> Result<(), RestoreError> {
    catalog::require_writable(c"netflix_restore_end()");
    let constraints = constraints()?;
    if constraints.is_empty() {
        return Err(RestoreError::NotBegun);
    }
    for Constraint { table, name, definition } in &constraints {
        interrupt::check();
        notice!("building {name}");
        let statement = format!("ALTER TABLE @extschema@.{table} ADD CONSTRAINT {name} {definition}");
        query::run(&statement, &[])?;
    }
    query::run("DELETE FROM @extschema@.restore_constraint", &[])?;
    for table in tables()? {
        query::run(&format!("ANALYZE @extschema@.{table}"), &[])?;
    }
    Ok(())
}

/// The constraints that are put away, in the order to build them; their names quoted.
fn constraints() -> Result<Vec<Constraint>, Error> {
    let query = "SELECT quote_ident(table_name), quote_ident(constraint_name), definition
                 FROM @extschema@.restore_constraint ORDER BY place";
    query::select(Seen::Now, query, &[], |row| {
        let text = |column| row.get::<String>(column)?.ok_or(Error::Null("restore_constraint"));
        Ok(Constraint { table: text(1)?, name: text(2)?, definition: text(3)? })
    })
}

/// The names, quoted, of the tables whose rows a dump holds.
fn tables() -> Result<Vec<String>, Error> {
    let query = "SELECT quote_ident(r.relname)
                 FROM pg_extension e CROSS JOIN unnest(e.extconfig) AS config (oid) JOIN pg_class r USING (oid)
                 WHERE e.extname = 'netflix_rec' AND r.relkind = 'r' ORDER BY r.relname";
    query::select(Seen::Now, query, &[], |row| row.get::<String>(1)?.ok_or(pg::Error::Null("pg_class")))
}
