//! What the glue's queries share in their use of PostgreSQL's Server Programming Interface (SPI).

use std::ffi::{CStr, c_char};

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiCursor};

use super::Error;

/// How many rows a cursor fetches at a time.
pub const ROWS_PER_FETCH: i64 = 1000;

/// A query's arguments, as SPI takes them.
pub struct Arguments {
    pub types: Vec<pg_sys::Oid>,
    pub values: Vec<pg_sys::Datum>,
    /// `n` if the argument is NULL, a space if it is not.
    pub nulls: Vec<c_char>,
}

impl Arguments {
    pub fn new(args: &[DatumWithOid<'_>]) -> Arguments {
        let value = |arg: &DatumWithOid<'_>| arg.datum().map_or(pg_sys::Datum::null(), |d| d.sans_lifetime());
        let null = |arg: &DatumWithOid<'_>| if arg.datum().is_none() { b'n' } else { b' ' };
        Arguments {
            types: args.iter().map(DatumWithOid::oid).collect(),
            values: args.iter().map(value).collect(),
            nulls: args.iter().map(|arg| null(arg) as c_char).collect(),
        }
    }
}

/// The cursor of a portal that SPI has just opened.
///
/// # Safety
///
/// The portal is valid.
pub unsafe fn cursor<'conn>(
    client: &SpiClient<'conn>,
    portal: pg_sys::Portal,
) -> Result<SpiCursor<'conn>, Error> {
    // SAFETY: as the caller promises; a portal has a name.
    let name = unsafe { CStr::from_ptr((*portal).name).to_string_lossy().into_owned() };
    Ok(client.find_cursor(&name)?)
}

/// Calls `each` with each of the rows that SPI returned last, then frees the rows.
///
/// # Safety
///
/// Connected to SPI. `each` keeps nothing of a row but copies.
pub unsafe fn take_rows<E>(
    mut each: impl FnMut(pg_sys::HeapTuple, pg_sys::TupleDesc) -> Result<(), E>,
) -> Result<(), E> {
    // SAFETY: as the caller promises; the table has `numvals` rows. Freeing it also resets `SPI_tuptable`.
    unsafe {
        let table = pg_sys::SPI_tuptable;
        if table.is_null() {
            return Ok(());
        }
        let rows = (*table).numvals as usize;
        let result = (0..rows).try_for_each(|row| each(*(*table).vals.add(row), (*table).tupdesc));
        pg_sys::SPI_freetuptable(table);
        result
    }
}
