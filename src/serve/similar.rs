//! Which movies or customers are similar: `similar_movies`, `similar_customers`.

use factor::{FactorRanges, TopN};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::all_customers::{customers, id_of};
use super::cache;
use super::error::ServeError;
use super::filter::{Filter, mask};
use super::recommend::checked_n;
use crate::models::{self, ModelRow, read};
use crate::pg::{memory, report};
use crate::warehouse::dimension::{Dimension, Id, Key};

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
    let (model, factors) = with_factors(name)?;
    let movies = cache::movies(&model)?;
    let this = Dimension::Movie.key_of(movie_id)?.and_then(|key| movies.index(key));
    let Some(this) = this else { return Ok(Vec::new()) };
    let products = movies.catalogue.products(&movies.catalogue.vector(this)?, &factors)?;
    let norms = movies.norms(&factors)?;
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
    let (model, ranges) = with_factors(name)?;
    let Some(this) = Dimension::Customer.key_of(customer_id)? else { return Ok(Vec::new()) };
    let Some((_, factors)) = read::row(&model, Dimension::Customer, this)? else { return Ok(Vec::new()) };
    let customers = customers()?;
    let norm = ranges.product(&factors, &factors).sqrt();
    let mut best = TopN::new(n, customers.len())?;
    read::each_row(&model, Dimension::Customer, None, |key, _, others| {
        // The factors that are read are contiguous.
        let others = others.to_slice().unwrap_or_default();
        let (product, other) = (ranges.product(&factors, others), ranges.product(others, others).sqrt());
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

/// The model and which entries of its rows are factors, if it has any to compare.
fn with_factors(name: Option<&str>) -> Result<(ModelRow, FactorRanges), ServeError> {
    let model = models::find(name, None)?;
    let ranges = models::find::origin(&model)?.factor_ranges(model.layout());
    if ranges.is_empty() { Err(ServeError::NoFactors) } else { Ok((model, ranges)) }
}
