//! The triggers that protect the star schema from the writes of others.

use std::cell::Cell;
use std::convert::Infallible;

use pgrx::heap_tuple::PgHeapTuple;
use pgrx::prelude::*;

use crate::pg::{Report, report, sequence};
use crate::warehouse::dimension::Dimension;
use crate::warehouse::unfinished;

thread_local! {
    /// How many [`OwnWrites`] there are in this process.
    static OWN_WRITES: Cell<u32> = const { Cell::new(0) };
}

/// Until this is dropped, the triggers allow writes, because the extension itself makes them.
pub struct OwnWrites(());

impl OwnWrites {
    pub fn allow() -> OwnWrites {
        OWN_WRITES.set(OWN_WRITES.get() + 1);
        OwnWrites(())
    }
}

impl Drop for OwnWrites {
    fn drop(&mut self) {
        OWN_WRITES.set(OWN_WRITES.get() - 1);
    }
}

/// Refuses writes to the star schema while a first load is unfinished: until it has rebuilt the indexes, nothing checks that keys are
/// unique.
#[pg_trigger]
pub(crate) fn refuse_while_indexes_are_disabled<'a>(_trigger: &'a PgTrigger<'a>) -> Nothing<'a> {
    if OWN_WRITES.get() == 0 {
        raise(unfinished::refuse_first_load("writing to the star schema"));
    }
    Ok(None)
}

/// Before rows of a dimension can be deleted, records the greatest key in a sequence, so that no other row ever gets it: models know
/// customers and movies by their keys.
#[pg_trigger]
pub(crate) fn retire_keys<'a>(trigger: &'a PgTrigger<'a>) -> Nothing<'a> {
    let Some(dimension) = trigger.table_name().ok().and_then(|name| Dimension::of_table(&name)) else {
        return Ok(None);
    };
    // Logical replication fires triggers for rows only.
    let key = trigger.old().and_then(|row| row.get_by_name::<i32>(dimension.key()).ok().flatten());
    raise(match key {
        Some(key) => sequence::advance(dimension.retired_keys(), key.into()),
        None => sequence::catch_up(dimension.table().name, dimension.key(), dimension.retired_keys()),
    });
    Ok(None)
}

/// A statement trigger returns no row. (pgrx would report a returned error as a panic.)
type Nothing<'a> = Result<Option<PgHeapTuple<'a, pgrx::AllocatedByRust>>, Infallible>;

fn raise(result: Result<(), impl Report>) {
    if let Err(error) = result {
        report(error).report(PgLogLevel::ERROR);
    }
}
