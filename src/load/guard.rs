//! What keeps the star schema whole while others write to it: triggers that see a statement before it does anything.

use std::cell::Cell;
use std::convert::Infallible;

use pgrx::heap_tuple::PgHeapTuple;
use pgrx::prelude::*;

use super::dimensions::{CUSTOMERS, MOVIES, Names};
use crate::pg::{Error, report, sequence, unfinished};

thread_local! {
    /// How many pieces of work of the extension's own are under way in this process.
    static OWN_WORK: Cell<u32> = const { Cell::new(0) };
}

/// Work of the extension's own, which the triggers let pass until this is dropped.
pub struct OwnWork(());

impl OwnWork {
    pub fn begin() -> OwnWork {
        OWN_WORK.set(OWN_WORK.get() + 1);
        OwnWork(())
    }
}

impl Drop for OwnWork {
    fn drop(&mut self) {
        OWN_WORK.set(OWN_WORK.get() - 1);
    }
}

/// Refuses to write the star schema while a first load is unfinished: until its indexes are built, keys are not unique.
#[pg_trigger]
pub(crate) fn refuse_while_keys_are_aside<'a>(_trigger: &'a PgTrigger<'a>) -> Nothing<'a> {
    if OWN_WORK.get() == 0 {
        raise(unfinished::refuse_first_load("writing to the star schema"));
    }
    Ok(None)
}

/// Notes the greatest key of a dimension before rows may go, so that no other row ever gets it: models know customers and
/// movies by their keys.
#[pg_trigger]
pub(crate) fn retire_keys<'a>(trigger: &'a PgTrigger<'a>) -> Nothing<'a> {
    let names: &Names = match trigger.table_name() {
        Ok(table) if table == MOVIES.table => &MOVIES,
        _ => &CUSTOMERS,
    };
    // A change that comes by logical replication fires triggers for rows alone.
    let key = trigger.old().and_then(|row| row.get_by_name::<i32>(names.key).ok().flatten());
    raise(match key {
        Some(key) => sequence::advance(names.keys_gone, key.into()),
        None => sequence::catch_up(names.table, names.key, names.keys_gone),
    });
    Ok(None)
}

/// A statement trigger has no row to return. (An error that it returned would be reported as a panic.)
type Nothing<'a> = Result<Option<PgHeapTuple<'a, pgrx::AllocatedByRust>>, Infallible>;

fn raise(result: Result<(), Error>) {
    if let Err(error) = result {
        report(error).report(PgLogLevel::ERROR);
    }
}
