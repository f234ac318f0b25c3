//! The units of work that a load has yet to do.

use crate::load::error::LoadError;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, query};

/// The unit_no of the last unit that is left to do; 0 if none is.
pub fn last_unit(run_id: i64) -> Result<usize, LoadError> {
    let query = "SELECT max(unit_no) FROM @extschema@.load_unit WHERE run_id = $1";
    Ok(query::select_one::<i32>(Snapshot::Latest, query, &[run_id.into()])?.unwrap_or(0) as usize)
}

/// A row of load_unit.
pub struct StoredUnit {
    /// Empty for the qualifying set.
    pub plan: Vec<u8>,
    /// The key that the load's first rating would have.
    pub first_rating_key: i64,
}

/// Removes a unit from the list, so that this transaction loads it; `None` if another transaction has done so. If another one is
/// doing so, this call waits until that ends.
pub fn take_unit(run_id: i64, unit_no: usize) -> Result<Option<StoredUnit>, LoadError> {
    let delete = "DELETE FROM @extschema@.load_unit WHERE run_id = $1 AND unit_no = $2
                  RETURNING plan, first_rating_key";
    let units = query::run_rows(delete, &[run_id.into(), (unit_no as i32).into()], |row| {
        let missing = || pg::Error::Null("load_unit");
        Ok(StoredUnit {
            plan: row.get(1)?.ok_or_else(missing)?,
            first_rating_key: row.get(2)?.ok_or_else(missing)?,
        })
    })?;
    Ok(units.into_iter().next())
}
