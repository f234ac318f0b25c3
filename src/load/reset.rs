//! Empties the warehouse: `netflix_reset`.

use super::error::{ForeignKey, LoadError};
use super::guard::OwnWrites;
use super::ledger;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, catalog, lock, query, transaction};
use crate::storage::indexes;
use crate::warehouse::tables::{ALL, FACT_RATINGS};

/// Empties all tables of the extension, and no other's.
pub fn reset() -> Result<(), LoadError> {
    transaction::require_writable(c"netflix_reset()");
    if !lock::try_lock_extension()? {
        return Err(LoadError::running());
    }
    // Before TRUNCATE, which would wait for all readers, then refuse, and advise to empty the user's table as well.
    if let Some(constraint) = foreign_key()? {
        return Err(LoadError::Referenced(constraint));
    }
    let disabled = ledger::unfinished()?.map(|run| run.disabled_indexes).unwrap_or_default();
    let _own_writes = OwnWrites::allow();
    let tables = ALL.map(|table| format!("ONLY @extschema@.{}", table.name)).join(", ");
    query::run(&format!("TRUNCATE {tables} RESTART IDENTITY"), &[])?;
    // TRUNCATE rebuilds a disabled index, but does not enable it.
    indexes::still_disabled(&FACT_RATINGS, &disabled)?.into_iter().for_each(indexes::rebuild);
    Ok(())
}

/// A user's foreign key that refers to a table of the extension, if there is one.
fn foreign_key() -> Result<Option<ForeignKey>, LoadError> {
    let mut ours = Vec::new();
    for table in ALL {
        ours.push(catalog::relation(table.name)?);
    }
    let found = query::select(
        Snapshot::Latest,
        // A constraint of a partition is dropped with that of the partitioned table.
        "SELECT quote_ident(made.conname), made.conrelid::regclass::text, made.confrelid::regclass::text
         FROM pg_constraint c JOIN pg_constraint made ON made.oid = CASE c.conparentid WHEN 0 THEN c.oid ELSE c.conparentid END
         WHERE c.contype = 'f' AND c.confrelid = ANY ($1::oid[]) AND c.conrelid <> ALL ($1::oid[])
         ORDER BY made.conrelid, made.conname LIMIT 1",
        &[ours.into()],
        |row| {
            let text = |column| Ok::<_, pg::Error>(row.get::<String>(column)?.unwrap_or_default());
            Ok(ForeignKey { name: text(1)?, from: text(2)?, to: text(3)? })
        },
    )?;
    Ok(found.into_iter().next())
}
