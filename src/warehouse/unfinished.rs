//! Whether a load or a restore of the warehouse is unfinished. What is there then is a part of the data, and must not be taken for
//! all of it.

use pgrx::datum::Array;
use pgrx::{pg_sys, warning};

use crate::storage::indexes;
use crate::storage::lookup::each_row;

use super::Error;
use super::tables::FACT_RATINGS;

/// A load that was begun and not completed.
#[derive(Debug)]
pub struct Load {
    /// Its folder; `None` if that is unknown.
    pub path: Option<String>,
    /// Indexes of fact_ratings that it has disabled.
    disabled: Vec<pg_sys::Oid>,
}

impl Load {
    /// Whether unique indexes of fact_ratings are disabled until it is completed. (In a restored database they are not, because
    /// CREATE EXTENSION has made new ones.)
    pub fn has_disabled_indexes(&self) -> Result<bool, Error> {
        Ok(!indexes::still_disabled(&FACT_RATINGS, &self.disabled)?.is_empty())
    }
}

/// The unfinished load, if there is one now. The role needs no privilege on the ledger, because roles that may only ask for
/// recommendations or insert ratings call this, too.
pub fn load() -> Result<Option<Load>, Error> {
    let mut found = None;
    each_row("load_run", Some("load_run_unfinished"), |row| {
        if row.get_by_name::<&str>("status").ok().flatten() == Some("loading") {
            let path = row.get_by_name::<String>("path").ok().flatten();
            found = Some((row.get_by_name::<i64>("run_id").ok().flatten(), path));
        }
    })?;
    let Some((run_id, path)) = found else { return Ok(None) };
    let mut disabled = Vec::new();
    each_row("load_inserted", None, |row| {
        if row.get_by_name::<i64>("run_id").ok().flatten() == run_id {
            let oids = row.get_by_name::<Array<'_, pg_sys::Oid>>("disabled_indexes").ok().flatten();
            disabled = oids.map(|oids| oids.iter().flatten().collect()).unwrap_or_default();
        }
    })?;
    Ok(Some(Load { path, disabled }))
}

/// Whether a restore is unfinished: keys and foreign keys are dropped until it ends.
pub fn restore() -> Result<bool, Error> {
    let mut is_restoring = false;
    each_row("restore_constraint", None, |_| is_restoring = true)?;
    Ok(is_restoring)
}

/// Refuses a call that needs all of the ratings, if a load or a restore is unfinished.
pub fn refuse(what: &'static str) -> Result<(), Error> {
    refuse_restore(what)?;
    match load()? {
        Some(load) => Err(Error::UnfinishedLoad { what, path: load.path }),
        None => Ok(()),
    }
}

/// The same if the first load, or a restore, is unfinished.
pub fn refuse_first(what: &'static str) -> Result<(), Error> {
    refuse_restore(what)?;
    refuse_first_load(what)
}

/// The same if a restore is unfinished.
pub fn refuse_restore(what: &'static str) -> Result<(), Error> {
    if restore()? { Err(Error::UnfinishedRestore { what }) } else { Ok(()) }
}

/// The same if the first load is unfinished, because unique indexes of fact_ratings are disabled until it ends.
pub fn refuse_first_load(what: &'static str) -> Result<(), Error> {
    match load()? {
        Some(load) if load.has_disabled_indexes()? => Err(Error::UnfinishedLoad { what, path: load.path }),
        _ => Ok(()),
    }
}

/// Warns that an answer is made from a part of the ratings.
pub fn warn() -> Result<(), Error> {
    if restore()? {
        warning!("a restore is not finished: the answer is based on a part of the data");
    } else if load()?.is_some() {
        warning!("a load is not finished: the answer is based on a part of the ratings");
    }
    Ok(())
}

/// The same if the first load, or a restore, is unfinished. A later load is no reason to warn whoever asks for recommendations.
pub fn warn_of_first() -> Result<(), Error> {
    let is_first = match load()? {
        Some(load) => load.has_disabled_indexes()?,
        None => false,
    };
    if is_first || restore()? { warn() } else { Ok(()) }
}
