//! The movies that a customer would like best: `recommend`, and `recommend_for` of somebody who is not in the data.

use factor::{Best, Taste};
use ndarray::ArrayView1;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::model::{self, ModelRow};
use crate::pg::{memory, report, unfinished};

use super::cache;
use super::customer::Customer;
use super::error::ServeError;
use super::filter::{Filter, ids_of, mask, seen};
use super::fold_in;

/// A movie recommended.
type Recommended = (i32, i32, Option<String>, Option<i16>, f32, Option<f32>);
/// The same, and what it is recommended by.
type WithSource = (i32, i32, Option<String>, Option<i16>, f32, Option<f32>, &'static str);

/// What is asked for.
struct Wanted<'a> {
    n: usize,
    model: Option<&'a str>,
    filter: Filter,
    /// Standard deviations that a movie is ranked below its prediction.
    lower_bound: f32,
}

impl<'a> Wanted<'a> {
    fn new(
        n: Option<i64>,
        model: Option<&'a str>,
        filter: Filter,
        lower_bound: Option<f64>,
    ) -> Result<Wanted<'a>, ServeError> {
        let lower_bound = lower_bound.unwrap_or(0.0);
        if !(0.0..=100.0).contains(&lower_bound) {
            return Err(ServeError::LowerBound(lower_bound));
        }
        Ok(Wanted { n: checked(n)?, model, filter, lower_bound: lower_bound as f32 })
    }
}

/// How many of the best, 10 where it is not said.
pub fn checked(n: Option<i64>) -> Result<usize, ServeError> {
    match n.unwrap_or(10) {
        n @ 1.. => Ok(n as usize),
        n => Err(ServeError::TooFew(n)),
    }
}

/// The movies a customer would like best, of those that the model knows and the customer has not rated yet.
///
/// `source` says what they are predicted by: `model`, by the factors that the model has of the customer; `fold-in`, by the
/// ratings of a customer who is new since the training; `popularity`, by the movies' biases alone, as nothing is known of the
/// customer. A NULL customer gets none.
#[pg_extern(stable, support = movies_by_second_argument)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::too_many_arguments)] // named ones, with defaults
fn recommend(
    customer_id: Option<i64>,
    n: default!(Option<i64>, 10),
    model: default!(Option<&str>, "NULL"),
    remove_seen: default!(Option<bool>, true),
    min_year: default!(Option<i64>, "NULL"),
    max_year: default!(Option<i64>, "NULL"),
    exclude_movie_ids: default!(Option<Array<'_, i64>>, "NULL"),
    min_ratings: default!(Option<i64>, "NULL"),
    lower_bound: default!(Option<f64>, 0.0),
) -> Result<
    TableIterator<
        'static,
        (
            name!(rank, i32),
            name!(movie_id, i32),
            name!(title, Option<String>),
            name!(release_year, Option<i16>),
            name!(predicted_rating, f32),
            name!(predicted_sd, Option<f32>),
            name!(source, &'static str),
        ),
    >,
    ErrorReport,
> {
    let exclude_movie_ids = ids_of(exclude_movie_ids).map_err(report)?;
    let filter = Filter { min_year, max_year, exclude_movie_ids, min_ratings };
    let best = match customer_id {
        Some(id) => Wanted::new(n, model, filter, lower_bound)
            .and_then(|wanted| for_customer(id, &wanted, remove_seen.unwrap_or(true)))
            .map_err(report)?,
        None => Vec::new(),
    };
    Ok(TableIterator::new(best))
}

/// The movies that somebody who is not in the data would like best, given ratings of some.
///
/// Ratings of movies that the model does not know count for nothing. NULLs in place of the arrays get none.
#[pg_extern(stable, support = movies_by_third_argument)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::too_many_arguments)] // named ones, with defaults
fn recommend_for(
    movie_ids: Option<Array<'_, i64>>,
    ratings: Option<Array<'_, f64>>,
    n: default!(Option<i64>, 10),
    model: default!(Option<&str>, "NULL"),
    remove_seen: default!(Option<bool>, true),
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
            name!(predicted_rating, f32),
        ),
    >,
    ErrorReport,
> {
    let (Some(movie_ids), Some(ratings)) = (movie_ids, ratings) else { return Ok(TableIterator::empty()) };
    let exclude_movie_ids = ids_of(exclude_movie_ids).map_err(report)?;
    let filter = Filter { min_year, max_year, exclude_movie_ids, min_ratings };
    let best = Wanted::new(n, model, filter, None)
        .and_then(|wanted| for_ratings(&movie_ids, &ratings, &wanted, remove_seen.unwrap_or(true)))
        .map_err(report)?;
    Ok(TableIterator::new(
        best.into_iter().map(|(rank, id, title, year, rating, _)| (rank, id, title, year, rating)),
    ))
}

fn for_customer(
    customer_id: i64,
    wanted: &Wanted<'_>,
    remove_seen: bool,
) -> Result<Vec<WithSource>, ServeError> {
    let row = model::find(wanted.model, None)?;
    unfinished::warn_of_first()?;
    if wanted.lower_bound > 0.0 && row.samples == 1 {
        return Err(ServeError::NoSamples(row.name));
    }
    let customer = Customer::find(&row, customer_id)?;
    let source = customer.source.name();
    let seen = match customer.key {
        Some(key) if remove_seen => seen(key)?,
        _ => Vec::new(),
    };
    let (bias, factors) = customer.numbers(row.factors)?;
    let best = by_factors(&row, (bias, &factors), &seen, wanted)?.into_iter();
    let with_source = |(rank, id, title, year, rating, sd)| (rank, id, title, year, rating, sd, source);
    Ok(memory::collect(best.map(with_source))?)
}

fn for_ratings(
    movie_ids: &Array<'_, i64>,
    ratings: &Array<'_, f64>,
    wanted: &Wanted<'_>,
    remove_seen: bool,
) -> Result<Vec<Recommended>, ServeError> {
    let row = model::find(wanted.model, None)?;
    let rated = fold_in::by_ids(movie_ids, ratings)?;
    let mut keys = memory::collect(rated.iter().map(|&(key, _)| key))?;
    keys.sort_unstable();
    let found = fold_in::fold_in(&row, &rated)?;
    let seen = if remove_seen { &keys[..] } else { &[] };
    by_factors(&row, (found.folded.bias, &found.folded.factors), seen, wanted)
}

/// The best by a model, but for those that were seen.
fn by_factors(
    row: &ModelRow,
    (bias, factors): (f32, &[f32]),
    seen: &[i32],
    wanted: &Wanted<'_>,
) -> Result<Vec<Recommended>, ServeError> {
    let movies = cache::movies(row)?;
    let scores = movies.catalogue.score(Taste { base: row.global_mean + bias, factors })?;
    let below = match wanted.lower_bound > 0.0 {
        true => movies.catalogue.deviations(factors)?,
        false => Vec::new(),
    };
    let ranking = |n: usize, excluded: &[i32]| {
        let mask = mask(&movies, &[seen, excluded])?;
        let mut best = Best::new(n, scores.len())?;
        // What no training makes, an import may bring: a score that is no number is nobody's best.
        for number in movies.known().filter(|&number| !mask[number] && scores[number].is_finite()) {
            let deviation = below.get(number).copied().unwrap_or(0.0);
            best.push(number as i32, scores[number] - wanted.lower_bound * deviation);
        }
        let best = best.into_sorted().into_iter().map(|(number, _)| number as usize);
        Ok(memory::collect(best.map(|number| (movies.key(number), scores[number])))?)
    };
    let deviation = |key: i32| {
        let Some(number) = movies.number(key).filter(|_| row.samples > 1) else { return Ok(None) };
        let of_movie = movies.catalogue.vector(number)?;
        Ok::<_, ServeError>(row.layout().deviation(ArrayView1::from(factors), ArrayView1::from(&of_movie)))
    };
    let ranked = (1..).zip(wanted.filter.best(wanted.n, ranking)?);
    memory::try_collect(ranked.map(|(rank, best)| {
        let deviation = deviation(best.key)?;
        Ok((rank, best.id, best.title, best.year, factor::cut(best.score), deviation))
    }))
}

/// A movie's id, title and year.
pub type Name = (i32, Option<String>, Option<i16>);

/// The names of movies, by key, in the order of the keys; none where somebody deleted a movie that a session still keeps.
pub fn names(keys: &[i32]) -> Result<Vec<Option<Name>>, ServeError> {
    let mut names = memory::filled(None, keys.len())?;
    for (place, id, title, year) in Filter::default().passing(memory::collect(keys.iter().copied())?)? {
        names[place] = Some((id, title, year));
    }
    Ok(names)
}
