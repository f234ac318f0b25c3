//! Answers with a trained model: `recommend`.

use std::collections::HashMap;

use factor::{baseline, top_n};
use ndarray::ArrayView1;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiHeapTupleData as Row;

use crate::pg::scan::Seen;
use crate::pg::{Error, Report, model, query, report};

/// What the caller may get wrong.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("n must be at least 1, not {0}")]
    TooFew(i32),
    #[error(transparent)]
    Pg(#[from] Error),
}

impl Report for ServeError {
    fn code(&self) -> PgSqlErrorCode {
        match self {
            ServeError::TooFew(_) => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            ServeError::Pg(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            ServeError::TooFew(_) => None,
            ServeError::Pg(error) => error.detail(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ServeError::TooFew(_) => None,
            ServeError::Pg(error) => error.hint(),
        }
    }
}

/// A movie recommended.
type Recommended = (i32, i32, Option<String>, Option<i16>, f32);

/// The movies a customer would like best, of those that the model knows and the customer has not rated yet.
///
/// A customer without factors (not in the data, or new since the training) gets the movies that are liked best by
/// all, by damped mean. A NULL customer gets none.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn recommend(
    customer_id: Option<i32>,
    n: default!(Option<i32>, 10),
    model: default!(Option<&str>, "NULL"),
    remove_seen: default!(Option<bool>, true),
) -> Result<
    TableIterator<
        'static,
        (
            name!(rank, i32),
            name!(movie_id, i32),
            name!(title, Option<String>),
            name!(release_year, Option<i16>),
            name!(predicted_rating, f32),
        ),
    >,
    ErrorReport,
> {
    let best = match customer_id {
        Some(id) => best_movies(id, n.unwrap_or(10), model, remove_seen.unwrap_or(true)).map_err(report)?,
        None => Vec::new(),
    };
    Ok(TableIterator::new(best))
}

fn best_movies(
    customer_id: i32,
    n: i32,
    name: Option<&str>,
    remove_seen: bool,
) -> Result<Vec<Recommended>, ServeError> {
    if n < 1 {
        return Err(ServeError::TooFew(n));
    }
    let row = model::find(name, None)?;
    let customer_key = customer_key(customer_id)?;
    let seen = match customer_key {
        Some(key) if remove_seen => seen(key)?,
        _ => Vec::new(),
    };
    let customer = match customer_key {
        Some(key) => model::read_row(&row, "customer_factors", key)?,
        None => None,
    };
    let scores = match customer {
        Some((bias, factors)) => {
            let mut scores = Vec::new();
            let customer = (bias, ArrayView1::from(&factors));
            model::read(&row, "movie_factors", None, |key, bias, factors| {
                scores.push((key, factor::score(row.global_mean, customer, (bias, factors))));
            })?;
            scores
        }
        None => damped_means()?,
    };
    let movie_ids = movie_ids()?;
    let unseen = scores.into_iter().filter(|(key, _)| seen.binary_search(key).is_err());
    let candidates = unseen.filter_map(|(key, score)| Some((*movie_ids.get(&key)?, score)));
    Ok(describe(&top_n(n as usize, candidates))?)
}

/// The rating predicted, from 1 to 5. Beside it, of a Bayesian model, the standard deviation of what its samples predict: how
/// unsure the model is of the mean of such ratings, not how far one of them may be from it.
///
/// Of a customer or a movie that the model does not know, the other's bias is all that is predicted by. None of NULLs.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn predict_rating(
    customer_id: Option<i32>,
    movie_id: Option<i32>,
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

fn predict(customer_id: i32, movie_id: i32, name: Option<&str>) -> Result<(f32, Option<f32>), ServeError> {
    let row = model::find(name, None)?;
    let movie_key = "SELECT movie_key FROM @extschema@.dim_movie WHERE movie_id = $1";
    let movie_key = query::select_one(Seen::ByStatement, movie_key, &[movie_id.into()])?;
    let of = |table, key: Option<i32>| key.map_or(Ok(None), |key| model::read_row(&row, table, key));
    let customer = of("customer_factors", customer_key(customer_id)?)?;
    let movie = of("movie_factors", movie_key)?;
    Ok(match (&customer, &movie) {
        (Some((b_u, p)), Some((b_i, q))) => {
            let (p, q) = (ArrayView1::from(p), ArrayView1::from(q));
            let score = factor::score(row.global_mean, (*b_u, p), (*b_i, q));
            (factor::cut(score), factor::deviation(p, q, row.samples))
        }
        (Some((bias, _)), None) | (None, Some((bias, _))) => (factor::cut(row.global_mean + bias), None),
        (None, None) => (row.global_mean, None),
    })
}

fn customer_key(customer_id: i32) -> Result<Option<i32>, Error> {
    let query = "SELECT customer_key FROM @extschema@.dim_customer WHERE customer_id = $1";
    query::select_one(Seen::ByStatement, query, &[customer_id.into()])
}

/// Keys of the movies that a customer rated, ascending.
fn seen(customer_key: i32) -> Result<Vec<i32>, Error> {
    let query = "SELECT movie_key FROM @extschema@.fact_ratings WHERE customer_key = $1 ORDER BY movie_key";
    let key = |row: Row<'_>| row.get::<i32>(1)?.ok_or(Error::Null("fact_ratings"));
    query::select(Seen::ByStatement, query, &[customer_key.into()], key)
}

/// Each movie's id, by its key.
fn movie_ids() -> Result<HashMap<i32, i32>, Error> {
    let query = "SELECT movie_key, movie_id FROM @extschema@.dim_movie";
    let pair = |row: Row<'_>| match (row.get::<i32>(1)?, row.get::<i32>(2)?) {
        (Some(key), Some(id)) => Ok((key, id)),
        _ => Err(Error::Null("dim_movie")),
    };
    Ok(query::select(Seen::ByStatement, query, &[], pair)?.into_iter().collect())
}

/// The mean rating of each movie that has any, drawn towards the mean of all ratings; with the movie's key.
fn damped_means() -> Result<Vec<(i32, f32)>, Error> {
    let query = "SELECT movie_key, rating_count, rating_mean,
                        sum(rating_count * rating_mean) OVER () / sum(rating_count) OVER ()
                 FROM @extschema@.dim_movie WHERE rating_count > 0";
    query::select(Seen::ByStatement, query, &[], |row| {
        let columns = (row.get::<i32>(1)?, row.get::<i64>(2)?, row.get::<f64>(3)?, row.get::<f64>(4)?);
        let (Some(key), Some(count), Some(mean), Some(usual)) = columns else {
            return Err(Error::Null("dim_movie"));
        };
        Ok((key, baseline::damped_mean(count as u64, mean, usual, baseline::MOVIE_DAMPING) as f32))
    })
}

/// Adds titles and years, in the order given.
fn describe(best: &[(i32, f32)]) -> Result<Vec<Recommended>, Error> {
    let ids = best.iter().map(|&(movie_id, _)| movie_id).collect::<Vec<_>>();
    let query = "SELECT rank::int, m.title, m.release_year
                 FROM unnest($1::int[]) WITH ORDINALITY AS best (movie_id, rank)
                 JOIN @extschema@.dim_movie m USING (movie_id) ORDER BY rank";
    query::select(Seen::ByStatement, query, &[ids.into()], |row| {
        let rank = row.get::<i32>(1)?.ok_or(Error::Null("dim_movie"))?;
        let (movie_id, score) = best[rank as usize - 1];
        Ok((rank, movie_id, row.get::<String>(2)?, row.get::<i16>(3)?, factor::cut(score)))
    })
}
