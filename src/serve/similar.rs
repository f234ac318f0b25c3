//! Which movies or customers are similar, and who would like a movie: `similar_movies`, `similar_customers`, `recommend_users`.

use factor::TopN;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::cache;
use super::error::ServeError;
use super::filter::{Filter, mask};
use super::recommend::checked_n;
use crate::models::{self, ModelRow, read};
use crate::pg::prepared::Prepared;
use crate::pg::{Error, memory, report};
use crate::warehouse::dimension::{Dimension, Id, Key};
use crate::warehouse::unfinished;

/// The movies that are most similar to a movie: by the cosine between their factors, from -1 to 1.
///
/// A movie that is NULL, or that the model does not know, returns no rows.
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
    let filter = Filter::new(min_year, max_year, exclude_movie_ids, min_ratings).map_err(report)?;
    Ok(TableIterator::new(movies_like(movie_id, n, model, &filter).map_err(report)?))
}

fn movies_like(
    movie_id: i64,
    n: Option<i64>,
    name: Option<&str>,
    filter: &Filter,
) -> Result<Vec<(i32, i32, Option<String>, Option<i16>, f32)>, ServeError> {
    let n = checked_n(n)?;
    let model = with_factors(name)?;
    let movies = cache::movies(&model)?;
    let this = Dimension::Movie.key_of(movie_id)?.and_then(|key| movies.index(key));
    let Some(this) = this else { return Ok(Vec::new()) };
    let products = movies.catalogue.products(&movies.catalogue.vector(this)?)?;
    let norms = movies.norms()?;
    let ranking = |n: usize, excluded: &[Key]| {
        let mask = mask(&movies, &[excluded])?;
        let mut best = TopN::new(n, norms.len())?;
        for movie in movies.known().filter(|&movie| movie != this && !mask[movie]) {
            // A vector of zeros has no direction.
            if let Some(cosine) = cosine(products[movie], norms[this], norms[movie]) {
                best.push(movie as i32, cosine);
            }
        }
        let best = best.into_sorted().into_iter();
        Ok(memory::collect(best.map(|(movie, cosine)| (movies.key(movie as usize), cosine)))?)
    };
    let ranked = (1..).zip(filter.best(n, ranking)?);
    Ok(memory::collect(ranked.map(|(rank, best)| (rank, best.id, best.title, best.year, best.score)))?)
}

fn cosine(product: f32, one: f32, other: f32) -> Option<f32> {
    (one > 0.0 && other > 0.0).then(|| (product / (one * other)).clamp(-1.0, 1.0))
}

/// The customers who are most similar to a customer: by the cosine between their factors, from -1 to 1.
///
/// A customer that is NULL, or that the model does not know, returns no rows. Reads the factors of all customers.
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
    let n = checked_n(n)?;
    let model = with_factors(name)?;
    let Some(this) = Dimension::Customer.key_of(customer_id)? else { return Ok(Vec::new()) };
    let Some((_, factors)) = read::row(&model, Dimension::Customer, this)? else { return Ok(Vec::new()) };
    let customers = customers()?;
    let layout = model.layout();
    let norm = layout.product(&factors, &factors).sqrt();
    let mut best = TopN::new(n, customers.len())?;
    read::each_row(&model, Dimension::Customer, None, |key, _, others| {
        // The factors that are read are contiguous.
        let others = others.to_slice().unwrap_or_default();
        let (product, other) = (layout.product(&factors, others), layout.product(others, others).sqrt());
        if let Some(cosine) = cosine(product, norm, other).filter(|_| key != this)
            && let Some(Id(id)) = id_of(&customers, key)
        {
            best.push(id, cosine);
        }
        Ok::<_, ServeError>(())
    })?;
    let best = best.into_sorted().into_iter().enumerate();
    Ok(memory::collect(best.map(|(at, (id, cosine))| (at as i32 + 1, id, cosine)))?)
}

/// The customers who would like a movie best, of those that the model knows and who have not rated it yet.
///
/// A movie that is NULL, or that the model does not know, returns no rows. Reads the factors of all customers.
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

/// Customers whose ratings one query looks up.
const CUSTOMERS_PER_QUERY: usize = 1000;

fn customers_for(
    movie_id: i64,
    n: Option<i64>,
    name: Option<&str>,
    remove_seen: bool,
) -> Result<Vec<(i32, i32, f32)>, ServeError> {
    static RATED: Prepared = Prepared(
        "SELECT customer_key FROM @extschema@.fact_ratings WHERE movie_key = $1 AND customer_key = ANY ($2::int[])",
    );
    let n = checked_n(n)?;
    let model = models::find(name, None)?;
    unfinished::warn_in_first_load_or_restore()?;
    let Some(movie) = Dimension::Movie.key_of(movie_id)? else { return Ok(Vec::new()) };
    let Some((bias, factors)) = read::row(&model, Dimension::Movie, movie)? else {
        return Ok(Vec::new());
    };
    let movie_key = movie;
    let movie = (bias, ndarray::ArrayView1::from(&factors));
    let customers = customers()?;
    let mut scored = Vec::new();
    read::each_row(&model, Dimension::Customer, None, |key, bias, factors| {
        if let Some(id) = id_of(&customers, key) {
            let score = factor::score(model.global_mean, (bias, factors), movie);
            memory::push(&mut scored, (score, id, key))?;
        }
        Ok::<_, ServeError>(())
    })?;
    scored.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    let mut best = Vec::new();
    // Customers who would like a movie best have often rated it. So their ratings are looked up, until enough customers remain.
    for asked in scored.chunks(CUSTOMERS_PER_QUERY) {
        let keys = asked.iter().map(|&(.., Key(key))| key).collect::<Vec<_>>();
        let args = [DatumWithOid::from(movie_key.0), keys.into()];
        let mut rated = match remove_seen {
            true => RATED.all(&args, |row| Ok(Key(row.need(1, "fact_ratings")?)))?,
            false => Vec::new(),
        };
        rated.sort_unstable();
        for &(score, Id(id), key) in asked {
            if best.len() == n {
                return Ok(best);
            }
            if rated.binary_search(&key).is_err() {
                let rank = best.len() as i32 + 1;
                memory::push(&mut best, (rank, id, factor::clamp(score)))?;
            }
        }
    }
    Ok(best)
}

/// The model, if it has factors to compare.
fn with_factors(name: Option<&str>) -> Result<ModelRow, ServeError> {
    let model = models::find(name, None)?;
    if model.factors == 0 { Err(ServeError::NoFactors) } else { Ok(model) }
}

/// Key and id of all customers, by key. Checks that there is memory for them, and for a score of each.
fn customers() -> Result<Vec<(Key, Id)>, Error> {
    let bytes = size_of::<(Key, Id)>() + size_of::<(f32, Id, Key)>();
    memory::require("ranking customers", Dimension::Customer.rows()? * bytes)?;
    Dimension::Customer.members()
}

/// The id of a key.
fn id_of(customers: &[(Key, Id)], key: Key) -> Option<Id> {
    customers.binary_search_by_key(&key, |&(key, _)| key).ok().map(|at| customers[at].1)
}
