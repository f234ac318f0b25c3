//! What a load checks before it does anything.

use super::error::LoadError;
use crate::pg::catalog::{self, Privilege};
use crate::pg::transaction;
use crate::storage::bulk;
use crate::storage::table::Table;
use crate::warehouse::tables::*;

/// The tables that a load reads or writes, and the privileges that its role needs.
static TABLES: [(&Table, &[Privilege]); 9] = {
    use Privilege::{Delete, Insert, Select, Update};
    [
        (&DIM_DATE, &[Select, Insert]),
        (&DIM_CUSTOMER, &[Select, Insert, Update]),
        (&DIM_MOVIE, &[Select, Insert, Update]),
        (&FACT_RATINGS, &[Select, Insert, Update]),
        (&QUALIFYING, &[Select, Insert, Update]),
        (&LOAD_RUN, &[Select, Insert, Update]),
        (&LOAD_FILE, &[Select, Insert, Update]),
        (&LOAD_UNIT, &[Select, Insert, Delete]),
        (&LOAD_REJECT, &[Select, Insert]),
    ]
};

/// Checks how many rejected lines are allowed; `None` for any number.
pub fn max_rejects(max_rejects: Option<i64>) -> Result<Option<u64>, LoadError> {
    match max_rejects {
        Some(max @ ..0) => Err(LoadError::NegativeRejects(max)),
        max => Ok(max.map(|max| max as u64)),
    }
}

/// Checks that the role may write the tables, and that they are as they were made.
pub fn tables() -> Result<(), LoadError> {
    if !catalog::is_utf8() {
        return Err(LoadError::Encoding);
    }
    if transaction::uses_one_snapshot() {
        return Err(LoadError::OldSnapshot("netflix_load"));
    }
    for (table, privileges) in TABLES {
        table.require(privileges)?;
    }
    [&FACT_RATINGS, &QUALIFYING, &DIM_CUSTOMER, &DIM_MOVIE].into_iter().try_for_each(bulk::check)?;
    Ok(())
}
