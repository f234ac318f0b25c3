//! What the planner is told of functions that return as many rows as they are asked for.

use std::ffi::c_void;

use pgrx::Internal;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Rows that are expected where the number asked for is not known as the statement is planned.
const USUAL: f64 = 10.0;

/// Tells the planner how many rows a call of `recommend(customer_id, n, …)` or the like returns: as many as it asks for by
/// its second argument.
#[pg_extern(immutable, parallel_safe)]
fn rows_by_second_argument(request: Internal) -> Internal {
    // SAFETY: the planner's own, as it calls a support function.
    unsafe { estimate(request, |argument| argument(1).unwrap_or(USUAL)) }
}

/// The same by the third argument.
#[pg_extern(immutable, parallel_safe)]
fn rows_by_third_argument(request: Internal) -> Internal {
    // SAFETY: as above.
    unsafe { estimate(request, |argument| argument(2).unwrap_or(USUAL)) }
}

/// For `recommend_all(n, …)`: as many as it asks for by its first argument, for each customer there is.
#[pg_extern(immutable, parallel_safe)]
fn rows_for_all_customers(request: Internal) -> Internal {
    // SAFETY: as above.
    unsafe { estimate(request, |argument| argument(0).unwrap_or(USUAL) * customers()) }
}

/// Customers, as the statistics have it: at least one.
fn customers() -> f64 {
    let Ok(oid) = super::catalog::table("dim_customer") else { return 1.0 };
    // SAFETY: looks into the catalog; the tuple is released here.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, oid.into());
        if tuple.is_null() {
            return 1.0;
        }
        let class = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        let rows = f64::from((*class).reltuples);
        pg_sys::ReleaseSysCache(tuple);
        rows.max(1.0)
    }
}

/// Answers a request for a number of rows, and no other one.
///
/// # Safety
///
/// The argument is a node of the planner's, as support functions are called with.
unsafe fn estimate(request: Internal, rows: impl FnOnce(&dyn Fn(usize) -> Option<f64>) -> f64) -> Internal {
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
        let arguments = (*call.cast::<pg_sys::FuncExpr>()).args;
        let argument = |number: usize| -> Option<f64> {
            if arguments.is_null() || number >= (*arguments).length as usize {
                return None;
            }
            let given = (*(*arguments).elements.add(number)).ptr_value.cast::<pg_sys::Node>();
            let known = pg_sys::estimate_expression_value((*request).root, given);
            if (*known).type_ != pg_sys::NodeTag::T_Const {
                return None;
            }
            let constant = known.cast::<pg_sys::Const>();
            let is_number = (*constant).consttype == pg_sys::INT4OID && !(*constant).constisnull;
            is_number.then(|| f64::from((*constant).constvalue.value() as i32))
        };
        (*request).rows = rows(&argument).max(1.0);
        Internal::from(Some(pg_sys::Datum::from(request.cast::<c_void>())))
    }
}
