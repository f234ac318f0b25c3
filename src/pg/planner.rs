//! What a support function learns of the call that is planned, and how it answers.

use std::ffi::c_void;
use std::ptr;

use pgrx::{FromDatum, Internal, pg_sys};

use super::catalog;

/// How many rows a table has by the planner's own estimate, which takes its size now and its last ANALYZE. At least 1.
pub fn rows_of(table: &'static str) -> f64 {
    let Ok(oid) = catalog::relation(table) else { return f64::INFINITY };
    let (mut pages, mut rows, mut visible) = (0, 0.0, 0.0);
    // SAFETY: an existing table, open while its size is looked at.
    unsafe {
        let relation = pg_sys::table_open(oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        pg_sys::estimate_rel_size(relation, ptr::null_mut(), &raw mut pages, &raw mut rows, &raw mut visible);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
    }
    f64::max(rows, 1.0)
}

/// The function call that is planned.
pub struct Call {
    root: *mut pg_sys::PlannerInfo,
    arguments: *mut pg_sys::List,
}

impl Call {
    /// The value of an argument, counted from 0; `None` if it is NULL, of another type or not known yet.
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

    /// An argument of type `bigint`.
    pub fn int8(&self, argument: usize) -> Option<i64> {
        self.constant(argument, pg_sys::INT8OID).map(|value| value.value() as i64)
    }

    /// An argument of type `bigint[]`.
    pub fn int8s(&self, argument: usize) -> Option<pgrx::Array<'_, i64>> {
        let array = self.constant(argument, pg_sys::INT8ARRAYOID)?;
        // SAFETY: a constant's value, of this type.
        unsafe { pgrx::Array::<i64>::from_datum(array, false) }
    }
}

/// What a support function returns: it answers the planner's request for a number of rows, and no other request.
pub fn estimate_rows(request: Internal, rows: impl FnOnce(&Call) -> f64) -> Internal {
    // Not NULL, which the planner would report as an error.
    let none = Internal::from(Some(pg_sys::Datum::null()));
    let Some(datum) = request.unwrap() else { return none };
    let node = datum.cast_mut_ptr::<pg_sys::Node>();
    // SAFETY: only the planner calls with a value of type `internal`, and that is a node. Its tag is read before anything else of it;
    // the planner's trees live as long as the call.
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
