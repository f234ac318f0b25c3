//! Support functions: they tell the planner how many rows a serving function will return.

use pgrx::Internal;
use pgrx::prelude::*;

use crate::pg::planner::{PlannedCall, estimate_rows, estimated_rows};

/// Rows expected if the number asked for is not known when the statement is planned.
const DEFAULT: f64 = 10.0;

/// The default of recommend_all's `customer_ids`, which means every customer: no array that a caller would pass. NULL and an empty array
/// mean nobody, because a subquery without rows gives these.
pub const EVERYBODY: i64 = i64::MIN;

/// How many rows a call asks for by its argument `n`, which stands at this place.
fn asked_for(call: &PlannedCall, argument: usize) -> f64 {
    call.int8(argument).map_or(DEFAULT, |n| n as f64)
}

/// For functions such as `recommend(customer_id, n, ...)`: as many rows as the second argument asks for, and at most as many as there
/// are movies.
#[pg_extern(immutable, parallel_safe)]
fn movies_by_second_argument(request: Internal) -> Internal {
    estimate_rows(request, |call| asked_for(call, 1).min(estimated_rows("dim_movie")))
}

/// The same for the third argument.
#[pg_extern(immutable, parallel_safe)]
fn movies_by_third_argument(request: Internal) -> Internal {
    estimate_rows(request, |call| asked_for(call, 2).min(estimated_rows("dim_movie")))
}

/// The same for functions that return customers.
#[pg_extern(immutable, parallel_safe)]
fn customers_by_second_argument(request: Internal) -> Internal {
    estimate_rows(request, |call| asked_for(call, 1).min(estimated_rows("dim_customer")))
}

/// For `recommend_all(n, ..., customer_ids, ...)`: as many rows as the first argument asks for, and at most as many as there are
/// movies, for each customer of the array in the fourth argument. All customers count if the array is the default or not known.
#[pg_extern(immutable, parallel_safe)]
fn rows_for_all_customers(request: Internal) -> Internal {
    let rows = |call: &PlannedCall| {
        let customers = match call.int8s(3) {
            Some(ids) if !ids.iter().eq([Some(EVERYBODY)]) => ids.len() as f64,
            _ => estimated_rows("dim_customer"),
        };
        asked_for(call, 0).min(estimated_rows("dim_movie")) * customers
    };
    estimate_rows(request, rows)
}
