//! Restores of a dump at full size: `netflix_restore_begin`, `netflix_restore_end`.
//!
//! A dump holds the extension's rows, but not its tables: CREATE EXTENSION makes these, with their keys and foreign keys. These would
//! be checked for each row that pg_restore copies, and a parallel restore may copy a table before the one it refers to. So the
//! constraints are dropped before the restore, and created again when all rows are there.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::error::{hinted, wrap_errors};
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, Diagnostics, Error, Report, interrupt, query, report, transaction};
use crate::warehouse::{self, unfinished};

/// What the caller may get wrong.
#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error("table {0} is not empty")]
    NotEmpty(String),
    #[error("no restore was begun")]
    NotBegun,
    #[error(transparent)]
    Warehouse(#[from] warehouse::Error),
}

wrap_errors!(RestoreError::Warehouse, Error);

impl Report for RestoreError {
    fn diagnostics(&self) -> Diagnostics {
        let not_in_state = PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        match self {
            RestoreError::NotEmpty(_) => hinted(
                not_in_state,
                "Restore into a database where CREATE EXTENSION has just made the tables.",
            ),
            RestoreError::NotBegun => {
                hinted(not_in_state, "SELECT netflix_restore_begin(); comes first, then pg_restore.")
            }
            RestoreError::Warehouse(error) => error.diagnostics(),
        }
    }
}

/// Drops the keys and foreign keys of all tables of the extension, which must be empty. `netflix_restore_end` creates them again.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn netflix_restore_begin() -> Result<(), ErrorReport> {
    begin().map_err(report)
}

/// Creates the keys and foreign keys that `netflix_restore_begin` has dropped, and analyzes the tables. If a row violates one of them,
/// the call fails and changes nothing.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn netflix_restore_end() -> Result<(), ErrorReport> {
    end().map_err(report)
}

/// A key or foreign key that was dropped.
struct Constraint {
    table: String,
    name: String,
    definition: String,
}

fn begin() -> Result<(), RestoreError> {
    transaction::require_writable(c"netflix_restore_begin()");
    if unfinished::restore()? {
        return Ok(());
    }
    for table in tables()? {
        let query = format!("SELECT EXISTS (SELECT FROM @extschema@.{table})");
        if query::select_one::<bool>(Snapshot::Latest, &query, &[])? == Some(true) {
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
    // Foreign keys first, because they depend on the keys that they refer to.
    for Constraint { table, name, .. } in constraints()?.into_iter().rev() {
        query::run(&format!("ALTER TABLE @extschema@.{table} DROP CONSTRAINT {name}"), &[])?;
    }
    Ok(())
}

fn end() -> Result<(), RestoreError> {
    transaction::require_writable(c"netflix_restore_end()");
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

/// The dropped constraints, in the order to create them; names are quoted.
fn constraints() -> Result<Vec<Constraint>, Error> {
    let query = "SELECT quote_ident(table_name), quote_ident(constraint_name), definition
                 FROM @extschema@.restore_constraint ORDER BY place";
    query::select(Snapshot::Latest, query, &[], |row| {
        let text = |column| row.get::<String>(column)?.ok_or(Error::Null("restore_constraint"));
        Ok(Constraint { table: text(1)?, name: text(2)?, definition: text(3)? })
    })
}

/// The tables whose rows a dump holds; names are quoted.
fn tables() -> Result<Vec<String>, Error> {
    let query = "SELECT quote_ident(r.relname)
                 FROM pg_extension e CROSS JOIN unnest(e.extconfig) AS config (oid) JOIN pg_class r ON r.oid = config.oid
                 WHERE e.extname = 'netflix_rec' AND r.relkind = 'r' ORDER BY r.relname";
    query::select(Snapshot::Latest, query, &[], |row| {
        row.get::<String>(1)?.ok_or(pg::Error::Null("pg_class"))
    })
}
