//! Empties the warehouse: `netflix_reset`.

use super::error::{ForeignKey, LoadError};
use super::guard::OwnWork;
use super::ledger;
use crate::pg::scan::Seen;
use crate::pg::{catalog, index, query};

/// Every table of the extension that holds data.
const TABLES: [&str; 16] = [
    "fact_ratings",
    "qualifying",
    "dim_date",
    "dim_movie",
    "dim_customer",
    "load_run",
    "load_inserted",
    "load_file",
    "load_unit",
    "load_reject",
    "model",
    "model_version",
    "model_iteration",
    "model_deployment",
    "customer_factors",
    "movie_factors",
];

/// Empties all tables of the extension, and no other's.
pub fn reset() -> Result<(), LoadError> {
    catalog::require_writable(c"netflix_reset()");
    if !catalog::try_lock_load()? {
        return Err(LoadError::running());
    }
    // TRUNCATE would wait for all that read, refuse then, and advise to empty the user's table, too.
    if let Some(constraint) = foreign_key()? {
        return Err(LoadError::Referenced(constraint));
    }
    let set_aside = ledger::unfinished()?.map(|run| run.indexes_aside).unwrap_or_default();
    let _own_work = OwnWork::begin();
    let tables = TABLES.map(|table| format!("ONLY @extschema@.{table}")).join(", ");
    query::run(&format!("TRUNCATE {tables} RESTART IDENTITY"), &[])?;
    // An index that was set aside is built anew by TRUNCATE, but not put to use.
    index::aside("fact_ratings", &set_aside)?.into_iter().for_each(index::rebuild);
    Ok(())
}

fn foreign_key() -> Result<Option<ForeignKey>, LoadError> {
    let mut ours = Vec::new();
    for table in TABLES {
        ours.push(catalog::table(table)?);
    }
    let found = query::select(
        Seen::Now,
        // What was made for a partition is dropped with the partitioned table's.
        "SELECT quote_ident(made.conname), made.conrelid::regclass::text, made.confrelid::regclass::text
         FROM pg_constraint c JOIN pg_constraint made ON made.oid = CASE c.conparentid WHEN 0 THEN c.oid ELSE c.conparentid END
         WHERE c.contype = 'f' AND c.confrelid = ANY ($1::oid[]) AND c.conrelid <> ALL ($1::oid[])
         ORDER BY made.conrelid, made.conname LIMIT 1",
        &[ours.into()],
        |row| {
            let text = |column| Ok::<_, crate::pg::Error>(row.get::<String>(column)?.unwrap_or_default());
            Ok(ForeignKey { name: text(1)?, from: text(2)?, to: text(3)? })
        },
    )?;
    Ok(found.into_iter().next())
}
