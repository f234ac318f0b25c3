//! Planner support functions: they tell the planner how many rows a function call returns.

use std::ffi::c_void;
use std::ptr;

use pgrx::{FromDatum, Internal, pg_sys};

use super::catalog;

/// The planner's own estimate of how many rows a table has, from its current size and its last ANALYZE; at least 1.
pub fn estimated_rows(table: &'static str) -> f64 {
    let Ok(oid) = catalog::relation(table) else { return f64::INFINITY };
    let (mut pages, mut rows, mut visible) = (0, 0.0, 0.0);
    // SAFETY: an existing table, which is open while its size is read.
    unsafe {
        let relation = pg_sys::table_open(oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        pg_sys::estimate_rel_size(relation, ptr::null_mut(), &raw mut pages, &raw mut rows, &raw mut visible);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
    }
    f64::max(rows, 1.0)
}

/// The function call that is being planned.
pub struct PlannedCall {
    root: *mut pg_sys::PlannerInfo,
    arguments: *mut pg_sys::List,
}

impl PlannedCall {
    /// The value of an argument, counted from 0; `None` if it is NULL, has another type, or is not known while the call is
    /// planned.
    fn constant(&self, argument: usize, of_type: pg_sys::Oid) -> Option<pg_sys::Datum> {
        // SAFETY: the trees of a request, which live as long as the request.
        unsafe {
            if self.arguments.is_null() || argument >= (*self.arguments).length as usize {
                return None;
            }
            let given = (*(*self.arguments).elements.add(argument)).ptr_value.cast::<pg_sys::Node>();
            let value = pg_sys::estimate_expression_value(self.root, given);
            if (*value).type_ != pg_sys::NodeTag::T_Const {
                return None;
            }
            let constant = value.cast::<pg_sys::Const>();
            let is_usable = (*constant).consttype == of_type && !(*constant).constisnull;
            is_usable.then_some((*constant).constvalue)
        }
    }

    /// An argument of type `bigint`.
    pub fn int8(&self, argument: usize) -> Option<i64> {
        self.constant(argument, pg_sys::INT8OID).map(|value| value.value() as i64)
    }

    /// An argument of type `bigint[]`.
    pub fn int8s(&self, argument: usize) -> Option<pgrx::Array<'_, i64>> {
        let array = self.constant(argument, pg_sys::INT8ARRAYOID)?;
        // SAFETY: the value of a constant of this type.
        unsafe { pgrx::Array::<i64>::from_datum(array, false) }
    }
}

/// Answers the planner's request for the number of rows; any other request is left unanswered. Returns what the support
/// function must return.
pub fn estimate_rows(request: Internal, rows: impl FnOnce(&PlannedCall) -> f64) -> Internal {
    // A null pointer means no answer. An SQL NULL would be an error.
    let no_answer = Internal::from(Some(pg_sys::Datum::null()));
    let Some(datum) = request.unwrap() else { return no_answer };
    let node = datum.cast_mut_ptr::<pg_sys::Node>();
    // SAFETY: only the planner can pass a value of type `internal`, and that is a node. Its tag is read before its other
    // fields. The planner's trees live as long as the call.
    unsafe {
        if (*node).type_ != pg_sys::NodeTag::T_SupportRequestRows {
            return no_answer;
        }
        let request = node.cast::<pg_sys::SupportRequestRows>();
        let call = (*request).node;
        if call.is_null() || (*call).type_ != pg_sys::NodeTag::T_FuncExpr {
            return no_answer;
        }
        let call = PlannedCall { root: (*request).root, arguments: (*call.cast::<pg_sys::FuncExpr>()).args };
        (*request).rows = rows(&call).max(1.0);
        Internal::from(Some(pg_sys::Datum::from(request.cast::<c_void>())))
    }
}
