//! Runs a query that a user passes as text. The text is parsed unchanged, so PostgreSQL's errors name the user's own lines. The
//! query runs with the user's search_path and privileges.

mod prepare;
pub mod row;

use std::ffi::CString;
use std::ptr;

use pgrx::{Spi, pg_sys};

use self::prepare::prepare;
use self::row::{Column, Row};
use super::spi::{self, ROWS_PER_FETCH};
use super::{Error, interrupt};

/// Why a query is not run.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("query must be one statement, not {}", if *.0 == 0 { "none".into() } else { .0.to_string() })]
    Statements(usize),
    #[error("query must be a SELECT that writes nothing")]
    NotSelect,
}

/// Runs a query. Calls `choose` once with the query's columns, then `each` with each row and what `choose` returned.
pub fn for_each_row<C, E: From<Error> + From<Refusal> + From<pgrx::spi::Error>>(
    query: &str,
    choose: impl FnOnce(&[Column]) -> Result<C, E>,
    mut each: impl FnMut(&C, Row) -> Result<(), E>,
) -> Result<(), E> {
    let query = CString::new(query).map_err(|_| Error::Null("query"))?;
    Spi::connect_mut(|client| {
        // SAFETY: a C string, which the plan copies; the plan lives as long as this connection to SPI.
        let (plan, columns) = unsafe {
            let plan = prepare(&query);
            if plan.is_null() {
                Spi::check_status(pg_sys::SPI_result)?;
                return Err(Refusal::NotSelect.into());
            }
            (plan, columns(plan)?)
        };
        let chosen = choose(&columns)?;
        // SAFETY: a plan of one SELECT without parameters. The cursor is not read-only, because the functions that the query
        // calls may write.
        let mut cursor = unsafe {
            let portal = pg_sys::SPI_cursor_open(ptr::null(), plan, ptr::null_mut(), ptr::null(), false);
            spi::cursor(client, portal)?
        };
        loop {
            if cursor.fetch(ROWS_PER_FETCH)?.is_empty() {
                return Ok(());
            }
            // SAFETY: the rows just fetched. A `Row` returns copies only.
            unsafe { spi::take_rows(|tuple, descriptor| each(&chosen, Row { tuple, descriptor }))? };
            interrupt::check();
        }
    })
}

/// The columns of a plan; an error unless the plan is of exactly one SELECT.
///
/// # Safety
///
/// A plan that SPI has prepared.
unsafe fn columns(plan: pg_sys::SPIPlanPtr) -> Result<Vec<Column>, Refusal> {
    // SAFETY: the plan's own lists and trees, which live as long as the plan.
    unsafe {
        let sources = pg_sys::SPI_plan_get_plan_sources(plan);
        let statements = if sources.is_null() { 0 } else { (*sources).length as usize };
        if statements != 1 {
            return Err(Refusal::Statements(statements));
        }
        let source = (*(*sources).elements).ptr_value.cast::<pg_sys::CachedPlanSource>();
        let queries = (*source).query_list;
        let query = match queries.is_null() {
            true => ptr::null_mut(),
            false => (*(*queries).elements).ptr_value.cast::<pg_sys::Query>(),
        };
        let is_select = !query.is_null()
            && (*queries).length == 1
            && (*query).commandType == pg_sys::CmdType::CMD_SELECT
            && !(*query).hasModifyingCTE;
        let descriptor = (*source).resultDesc;
        if !is_select || descriptor.is_null() {
            return Err(Refusal::NotSelect);
        }
        Ok(Column::all_of(descriptor))
    }
}
