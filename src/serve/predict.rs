//! The rating that a customer would give a movie: `predict_rating`, `predicted_rating`.

use ndarray::ArrayView1;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::customer::Customer;
use super::error::ServeError;
use crate::models::{self, ModelRow, read};
use crate::pg::report;
use crate::warehouse::dimension::Dimension;

/// The predicted rating, from 1 to 5. For a Bayesian model also the standard deviation of its samples' predictions: how unsure the
/// model is of the mean of such ratings. (A single rating can differ from that mean by more.)
///
/// A customer who is new since the training is folded in from the ratings there are now. If the model knows only the movie or only
/// the customer, the prediction is the mean of all ratings plus that one's bias. A NULL argument returns no row.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn predict_rating(
    customer_id: Option<i64>,
    movie_id: Option<i64>,
    model: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<'static, (name!(predicted_rating, f32), name!(predicted_sd, Option<f32>))>,
    ErrorReport,
> {
    let (Some(customer_id), Some(movie_id)) = (customer_id, movie_id) else {
        return Ok(TableIterator::empty());
    };
    Ok(TableIterator::once(predict(customer_id, movie_id, model).map_err(report)?))
}

/// The same rating as one value, for a select list, a condition or an aggregate. A NULL argument returns NULL.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn predicted_rating(
    customer_id: Option<i64>,
    movie_id: Option<i64>,
    model: default!(Option<&str>, "NULL"),
) -> Result<Option<f32>, ErrorReport> {
    let (Some(customer_id), Some(movie_id)) = (customer_id, movie_id) else { return Ok(None) };
    Ok(Some(predict(customer_id, movie_id, model).map_err(report)?.0))
}

fn predict(customer_id: i64, movie_id: i64, name: Option<&str>) -> Result<(f32, Option<f32>), ServeError> {
    let model = models::find(name, None)?;
    let customer = Customer::find(&model, customer_id)?;
    Ok(prediction(&model, &customer.factors, &movie(&model, movie_id)?))
}

/// A movie's bias and factors, if the model knows it.
pub fn movie(model: &ModelRow, movie_id: i64) -> Result<Option<(f32, Vec<f32>)>, ServeError> {
    let Some(key) = Dimension::Movie.key_of(movie_id)? else { return Ok(None) };
    Ok(read::row(model, Dimension::Movie, key)?)
}

/// The predicted rating, and the standard deviation of the samples' predictions.
pub fn prediction(
    model: &ModelRow,
    customer: &Option<(f32, Vec<f32>)>,
    movie: &Option<(f32, Vec<f32>)>,
) -> (f32, Option<f32>) {
    match (customer, movie) {
        (Some((b_u, p)), Some((b_i, q))) => {
            let (p, q) = (ArrayView1::from(p), ArrayView1::from(q));
            let score = factor::score(model.global_mean, (*b_u, p), (*b_i, q));
            (factor::clamp(score), model.layout().deviation(p, q))
        }
        (Some((bias, _)), None) | (None, Some((bias, _))) => (factor::clamp(model.global_mean + bias), None),
        (None, None) => (factor::clamp(model.global_mean), None),
    }
}
