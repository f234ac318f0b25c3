//! Brings one customer's factors up to date without training: `refresh_customer`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::error::ServeError;
use super::fold_in::{Found, fold_in, training, training_ratings};
use crate::models;
use crate::pg::{query, report, transaction};
use crate::warehouse::dimension::Dimension;
use crate::warehouse::unfinished;

/// Finds a customer's factors from the ratings there are now, and writes them into the model: for a customer who has rated movies
/// since the training. Returns how many ratings were used. A customer without ratings is deleted from the model.
///
/// A NULL customer changes nothing.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn refresh_customer(
    customer_id: Option<i64>,
    model: default!(Option<&str>, "NULL"),
) -> Result<TableIterator<'static, (name!(customer_id, i64), name!(ratings, i32))>, ErrorReport> {
    let Some(customer_id) = customer_id else { return Ok(TableIterator::empty()) };
    let ratings = refresh(customer_id, model).map_err(report)?;
    Ok(TableIterator::once((customer_id, ratings)))
}

fn refresh(customer_id: i64, name: Option<&str>) -> Result<i32, ServeError> {
    transaction::require_writable(c"refresh_customer()");
    unfinished::refuse_first("refresh_customer")?;
    let model = models::find(name, None)?;
    let training = training(&model)?;
    let customer = Dimension::Customer.key_of(customer_id)?.ok_or(ServeError::NoCustomer(customer_id))?;
    let rated = training_ratings(customer, &training)?;
    let Found { folded, rated, .. } = fold_in(&model, &training, &rated)?;
    if rated.is_empty() {
        let delete = "DELETE FROM @extschema@.customer_factors WHERE model_id = $1 AND customer_key = $2";
        query::run(delete, &[model.model_id.into(), customer.0.into()])?;
        return Ok(0);
    }
    query::run(
        "INSERT INTO @extschema@.customer_factors (model_id, customer_key, bias, factors) VALUES ($1, $2, $3, $4)
         ON CONFLICT (model_id, customer_key) DO UPDATE SET bias = excluded.bias, factors = excluded.factors",
        &[model.model_id.into(), customer.0.into(), folded.bias.into(), folded.factors.into()],
    )?;
    Ok(rated.len() as i32)
}
