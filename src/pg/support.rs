//! What the planner is told of functions that return as many rows as they are asked for, or as there are.

use std::ffi::c_void;
use std::ptr;

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::{FromDatum, Internal};

/// Rows that are expected where the number asked for is not known as the statement is planned.
const USUAL: f64 = 10.0;

/// Tells the planner how many rows a call of `recommend(customer_id, n, ...)` or the like returns: as many as it asks for by its
/// second argument, or as there are movies.
#[pg_extern(immutable, parallel_safe)]
fn movies_by_second_argument(request: Internal) -> Internal {
    // SAFETY: the planner's own, as it calls a support function.
    unsafe { estimate(request, |call| call.asked_for(1).min(rows_of("dim_movie"))) }
}

/// The same by the third argument.
#[pg_extern(immutable, parallel_safe)]
fn movies_by_third_argument(request: Internal) -> Internal {
    // SAFETY: as above.
    unsafe { estimate(request, |call| call.asked_for(2).min(rows_of("dim_movie"))) }
}

/// The same for functions that list customers.
#[pg_extern(immutable, parallel_safe)]
fn customers_by_second_argument(request: Internal) -> Internal {
    // SAFETY: as above.
    unsafe { estimate(request, |call| call.asked_for(1).min(rows_of("dim_customer"))) }
}

/// For `recommend_all(n, ..., customer_ids, ...)`: as many as it asks for by its first argument, or as there are movies, for each
/// customer of the array that is its fourth; for each there is, where the array is the default's or not known.
#[pg_extern(immutable, parallel_safe)]
fn rows_for_all_customers(request: Internal) -> Internal {
    let rows = |call: &Call| {
        let customers = match call.array(3) {
            Some(ids) if !ids.iter().eq([Some(i64::MIN)]) => ids.len() as f64,
            _ => rows_of("dim_customer"),
        };
        call.asked_for(0).min(rows_of("dim_movie")) * customers
    };
    // SAFETY: as above.
    unsafe { estimate(request, rows) }
}

/// Rows of a table, as the planner itself takes it to have: by its size now, and its last ANALYZE. At least one.
fn rows_of(table: &'static str) -> f64 {
    let Ok(oid) = super::catalog::table(table) else { return f64::INFINITY };
    let (mut pages, mut rows, mut visible) = (0, 0.0, 0.0);
    // SAFETY: an existing table, open while its size is looked at.
    unsafe {
        let relation = pg_sys::table_open(oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        pg_sys::estimate_rel_size(relation, ptr::null_mut(), &raw mut pages, &raw mut rows, &raw mut visible);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
    }
    f64::max(rows, 1.0)
}

/// A call that is planned.
struct Call {
    root: *mut pg_sys::PlannerInfo,
    arguments: *mut pg_sys::List,
}

impl Call {
    /// What an argument is known to be, counted from 0; `None` where it is not known yet or is NULL.
    fn constant(&self, argument: usize, of_type: pg_sys::Oid) -> Option<pg_sys::Datum> {
        // SAFETY: made of a request, whose trees live while the planner asks.
        unsafe {
            if self.arguments.is_null() || argument >= (*self.arguments).length as usize {
                return None;
            }
            let given = (*(*self.arguments).elements.add(argument)).ptr_value.cast::<pg_sys::Node>();
            let known = pg_sys::estimate_expression_value(self.root, given);
            if (*known).type_ != pg_sys::NodeTag::T_Const {
                return None;
            }
            let constant = known.cast::<pg_sys::Const>();
            let is_it = (*constant).consttype == of_type && !(*constant).constisnull;
            is_it.then_some((*constant).constvalue)
        }
    }

    /// The value of an argument that says how many rows are asked for.
    fn asked_for(&self, argument: usize) -> f64 {
        let number = self.constant(argument, pg_sys::INT8OID);
        number.map_or(USUAL, |value| value.value() as i64 as f64)
    }

    /// An argument that is an array of integers.
    fn array(&self, argument: usize) -> Option<pgrx::Array<'_, i64>> {
        let array = self.constant(argument, pg_sys::INT8ARRAYOID)?;
        // SAFETY: a constant's value, of this type.
        unsafe { pgrx::Array::<i64>::from_datum(array, false) }
    }
}

/// Answers a request for a number of rows, and no other one.
///
/// # Safety
///
/// The argument is a node of the planner's, as support functions are called with.
unsafe fn estimate(request: Internal, rows: impl FnOnce(&Call) -> f64) -> Internal {
    // Not NULL, which the planner would take for a mistake.
    let none = Internal::from(Some(pg_sys::Datum::null()));
    let Some(datum) = request.unwrap() else { return none };
    let node = datum.cast_mut_ptr::<pg_sys::Node>();
    // SAFETY: a node tells what it is before anything else is read of it; the planner's trees live while it asks.
    unsafe {
        if (*node).type_ != pg_sys::NodeTag::T_SupportRequestRows {
            return none;
        }
        let request = node.cast::<pg_sys::SupportRequestRows>();
        let call = (*request).node;
        if call.is_null() || (*call).type_ != pg_sys::NodeTag::T_FuncExpr {
            return none;
        }
        let call = Call { root: (*request).root, arguments: (*call.cast::<pg_sys::FuncExpr>()).args };
        (*request).rows = rows(&call).max(1.0);
        Internal::from(Some(pg_sys::Datum::from(request.cast::<c_void>())))
    }
}
