//! Answers with a trained model: what a customer would like best, what is like what, and why. Models themselves are managed
//! in `models`.

mod all;
mod cache;
mod customer;
mod error;
mod filter;
mod fold_in;
mod models;
mod recommend;
mod similar;

use ndarray::ArrayView1;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::model::{self, ModelRow};
use crate::pg::prepared::Prepared;
use crate::pg::{Error, report};

use customer::Customer;
use error::ServeError;

/// The rating predicted, from 1 to 5. Beside it, of a Bayesian model, the standard deviation of what its samples predict: how
/// unsure the model is of the mean of such ratings, not how far one of them may be from it.
///
/// A customer who is new since the training is folded in from the ratings there are now. Where the model knows the movie alone,
/// or the customer alone, the other's bias is all that is predicted by. None of NULLs.
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

/// The same rating as one value, for a select list, a condition or an aggregate. NULL of NULLs.
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
    let row = model::find(name, None)?;
    let customer = Customer::find(&row, customer_id)?;
    Ok(prediction(&row, &customer.factors, &movie(&row, movie_id)?))
}

/// What a model has of a movie: its bias and factors.
fn movie(row: &ModelRow, movie_id: i64) -> Result<Option<(f32, Vec<f32>)>, Error> {
    movie_key(movie_id)?.map_or(Ok(None), |key| model::read_row(row, "movie_factors", key))
}

/// What is predicted, and the standard deviation of samples.
fn prediction(
    row: &ModelRow,
    customer: &Option<(f32, Vec<f32>)>,
    movie: &Option<(f32, Vec<f32>)>,
) -> (f32, Option<f32>) {
    match (customer, movie) {
        (Some((b_u, p)), Some((b_i, q))) => {
            let (p, q) = (ArrayView1::from(p), ArrayView1::from(q));
            let score = factor::score(row.global_mean, (*b_u, p), (*b_i, q));
            (factor::cut(score), row.layout().deviation(p, q))
        }
        (Some((bias, _)), None) | (None, Some((bias, _))) => (factor::cut(row.global_mean + bias), None),
        (None, None) => (factor::cut(row.global_mean), None),
    }
}

fn movie_key(movie_id: i64) -> Result<Option<i32>, Error> {
    static KEY: Prepared = Prepared("SELECT movie_key FROM @extschema@.dim_movie WHERE movie_id = $1");
    KEY.one(&[movie_id.into()])
}
