//! What is like what, and who would like a movie: `similar_movies`, `similar_customers`, `recommend_users`.

use factor::Best;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::model::{self, ModelRow};
use crate::pg::prepared::Prepared;
use crate::pg::{self, Error, memory, report, unfinished};

use super::cache;
use super::customer::customer_key;
use super::error::ServeError;
use super::filter::{Filter, ids_of, mask};
use super::recommend::checked;

/// The movies whose factors point most nearly where a movie's do: similarity is the cosine between them, from -1 to 1.
///
/// Of a movie that is NULL, or that the model does not know, there are none.
#[pg_extern(stable, support = movies_by_second_argument)]
#[search_path(pg_catalog, pg_temp)]
fn similar_movies(
    movie_id: Option<i64>,
    n: default!(Option<i64>, 10),
    model: default!(Option<&str>, "NULL"),
    min_year: default!(Option<i64>, "NULL"),
    max_year: default!(Option<i64>, "NULL"),
    exclude_movie_ids: default!(Option<Array<'_, i64>>, "NULL"),
    min_ratings: default!(Option<i64>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(rank, i32),
            name!(movie_id, i32),
            name!(title, Option<String>),
            name!(release_year, Option<i16>),
            name!(similarity, f32),
        ),
    >,
    ErrorReport,
> {
    let Some(movie_id) = movie_id else { return Ok(TableIterator::empty()) };
    let exclude_movie_ids = ids_of(exclude_movie_ids).map_err(report)?;
    let filter = Filter { min_year, max_year, exclude_movie_ids, min_ratings };
    Ok(TableIterator::new(movies_like(movie_id, n, model, &filter).map_err(report)?))
}

fn movies_like(
    movie_id: i64,
    n: Option<i64>,
    name: Option<&str>,
    filter: &Filter,
) -> Result<Vec<(i32, i32, Option<String>, Option<i16>, f32)>, ServeError> {
    let n = checked(n)?;
    let row = with_factors(name)?;
    let movies = cache::movies(&row)?;
    let Some(this) = super::movie_key(movie_id)?.and_then(|key| movies.number(key)) else {
        return Ok(Vec::new());
    };
    let products = movies.catalogue.products(&movies.catalogue.vector(this)?)?;
    let norms = movies.norms()?;
    let ranking = |n: usize, excluded: &[i32]| {
        let mask = mask(&movies, &[excluded])?;
        let mut best = Best::new(n, norms.len())?;
        for number in movies.known().filter(|&number| number != this && !mask[number]) {
            // Nothing points nowhere.
            if let Some(cosine) = cosine(products[number], norms[this], norms[number]) {
                best.push(number as i32, cosine);
            }
        }
        let best = best.into_sorted().into_iter();
        Ok(memory::collect(best.map(|(number, cosine)| (movies.key(number as usize), cosine)))?)
    };
    let ranked = (1..).zip(filter.best(n, ranking)?);
    Ok(memory::collect(ranked.map(|(rank, best)| (rank, best.id, best.title, best.year, best.score)))?)
}

fn cosine(product: f32, one: f32, other: f32) -> Option<f32> {
    (one > 0.0 && other > 0.0).then(|| (product / (one * other)).clamp(-1.0, 1.0))
}

/// The customers whose factors point most nearly where a customer's do: similarity is the cosine between them.
///
/// Of a customer that is NULL, or that the model does not know, there are none. Reads all customers' factors.
#[pg_extern(stable, support = customers_by_second_argument)]
#[search_path(pg_catalog, pg_temp)]
fn similar_customers(
    customer_id: Option<i64>,
    n: default!(Option<i64>, 10),
    model: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<'static, (name!(rank, i32), name!(customer_id, i32), name!(similarity, f32))>,
    ErrorReport,
> {
    let Some(customer_id) = customer_id else { return Ok(TableIterator::empty()) };
    Ok(TableIterator::new(customers_like(customer_id, n, model).map_err(report)?))
}

fn customers_like(
    customer_id: i64,
    n: Option<i64>,
    name: Option<&str>,
) -> Result<Vec<(i32, i32, f32)>, ServeError> {
    let n = checked(n)?;
    let row = with_factors(name)?;
    let Some(this) = customer_key(customer_id)? else { return Ok(Vec::new()) };
    let Some((_, factors)) = model::read_row(&row, "customer_factors", this)? else { return Ok(Vec::new()) };
    let customers = customers()?;
    let layout = row.layout();
    let norm = layout.product(&factors, &factors).sqrt();
    let mut best = Best::new(n, customers.len())?;
    model::read(&row, "customer_factors", None, |key, _, others| {
        // Rows are read as slices.
        let others = others.to_slice().unwrap_or_default();
        let (product, other) = (layout.product(&factors, others), layout.product(others, others).sqrt());
        if let Some(cosine) = cosine(product, norm, other).filter(|_| key != this)
            && let Some(id) = id_of(&customers, key)
        {
            best.push(id, cosine);
        }
        Ok(())
    })?;
    let best = best.into_sorted().into_iter().enumerate();
    Ok(memory::collect(best.map(|(at, (id, cosine))| (at as i32 + 1, id, cosine)))?)
}

/// The customers who would like a movie best, of those that the model knows and who have not rated it yet.
///
/// Of a movie that is NULL, or that the model does not know, there are none. Reads all customers' factors.
#[pg_extern(stable, support = customers_by_second_argument)]
#[search_path(pg_catalog, pg_temp)]
fn recommend_users(
    movie_id: Option<i64>,
    n: default!(Option<i64>, 10),
    model: default!(Option<&str>, "NULL"),
    remove_seen: default!(Option<bool>, true),
) -> Result<
    TableIterator<'static, (name!(rank, i32), name!(customer_id, i32), name!(predicted_rating, f32))>,
    ErrorReport,
> {
    let Some(movie_id) = movie_id else { return Ok(TableIterator::empty()) };
    let best = customers_for(movie_id, n, model, remove_seen.unwrap_or(true)).map_err(report)?;
    Ok(TableIterator::new(best))
}

/// Customers asked about at a time.
const ASKED: usize = 1000;

fn customers_for(
    movie_id: i64,
    n: Option<i64>,
    name: Option<&str>,
    remove_seen: bool,
) -> Result<Vec<(i32, i32, f32)>, ServeError> {
    static RATED: Prepared = Prepared(
        "SELECT customer_key FROM @extschema@.fact_ratings WHERE movie_key = $1 AND customer_key = ANY ($2::int[])",
    );
    let n = checked(n)?;
    let row = model::find(name, None)?;
    unfinished::warn_of_first()?;
    let Some(movie_key) = super::movie_key(movie_id)? else { return Ok(Vec::new()) };
    let Some((bias, factors)) = model::read_row(&row, "movie_factors", movie_key)? else {
        return Ok(Vec::new());
    };
    let movie = (bias, ndarray::ArrayView1::from(&factors));
    let customers = customers()?;
    let mut scored = Vec::new();
    model::read(&row, "customer_factors", None, |key, bias, factors| match id_of(&customers, key) {
        Some(id) => {
            memory::push(&mut scored, (factor::score(row.global_mean, (bias, factors), movie), id, key))
        }
        None => Ok(()),
    })?;
    scored.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    let mut best = Vec::new();
    // Those who would like a movie best are often those who have rated it: asked for as far down as it takes.
    for asked in scored.chunks(ASKED) {
        let keys = asked.iter().map(|&(.., key)| key).collect::<Vec<_>>();
        let args = [DatumWithOid::from(movie_key), keys.into()];
        let mut rated = match remove_seen {
            true => RATED.all(&args, |row| row.need::<i32>(1, "fact_ratings"))?,
            false => Vec::new(),
        };
        rated.sort_unstable();
        for &(score, id, key) in asked {
            if best.len() == n {
                return Ok(best);
            }
            if rated.binary_search(&key).is_err() {
                let rank = best.len() as i32 + 1;
                memory::push(&mut best, (rank, id, factor::cut(score)))?;
            }
        }
    }
    Ok(best)
}

/// The model, if it has factors to compare.
fn with_factors(name: Option<&str>) -> Result<ModelRow, ServeError> {
    let row = model::find(name, None)?;
    if row.factors == 0 { Err(ServeError::NoFactors) } else { Ok(row) }
}

/// Each customer's id, by key; room for them, and for a score each, is asked for.
fn customers() -> Result<Vec<(i32, i32)>, Error> {
    let customers = model::highest("customer")?;
    pg::require_memory(
        "ranking customers",
        customers * (size_of::<(i32, i32)>() + size_of::<(f32, i32, i32)>()),
    )?;
    model::ids("customer")
}

/// The id of a key.
fn id_of(customers: &[(i32, i32)], key: i32) -> Option<i32> {
    customers.binary_search_by_key(&key, |&(key, _)| key).ok().map(|at| customers[at].1)
}
