//! The movies that a customer would like best: `recommend`; and `recommend_for`, for somebody who is not in the data.

use factor::{CustomerQuery, TopN};
use ndarray::ArrayView1;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::cache;
use super::customer::Customer;
use super::error::ServeError;
use super::filter::{Filter, mask, seen};
use super::fold_in::{fold_in, given_ratings, training};
use crate::models::{self, ModelRow};
use crate::pg::{memory, report};
use crate::warehouse::dimension::Key;
use crate::warehouse::unfinished;

/// Rank, id, title, year, predicted rating and standard deviation of a recommended movie.
type Recommended = (i32, i32, Option<String>, Option<i16>, f32, Option<f32>);
/// The same, and the source of the customer's factors.
type WithSource = (i32, i32, Option<String>, Option<i16>, f32, Option<f32>, &'static str);

/// The arguments of a call.
struct Wanted<'a> {
    n: usize,
    model: Option<&'a str>,
    filter: Filter,
    /// By how many standard deviations below its prediction a movie is ranked.
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
        Ok(Wanted { n: checked_n(n)?, model, filter, lower_bound: lower_bound as f32 })
    }
}

/// Checks how many of the best are asked for; 10 if it is NULL.
pub fn checked_n(n: Option<i64>) -> Result<usize, ServeError> {
    match n.unwrap_or(10) {
        n @ 1.. => Ok(n as usize),
        n => Err(ServeError::TooFew(n)),
    }
}

/// The movies that a customer would like best, of those that the model knows and the customer has not rated yet.
///
/// `source` says where the customer's factors come from: `model`, from the training; `fold-in`, from the ratings of a customer who is
/// new since the training; `popularity`, if nothing is known of the customer, so that only the movies' biases count. A NULL customer
/// gets no movies.
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
    let Some(customer_id) = customer_id else { return Ok(TableIterator::empty()) };
    let best = Filter::new(min_year, max_year, exclude_movie_ids, min_ratings)
        .and_then(|filter| Wanted::new(n, model, filter, lower_bound))
        .and_then(|wanted| for_customer(customer_id, &wanted, remove_seen.unwrap_or(true)))
        .map_err(report)?;
    Ok(TableIterator::new(best))
}

/// The movies that somebody who is not in the data would like best, given ratings of some movies.
///
/// Ratings of movies that the model does not know have no effect. If an array is NULL, no movies are returned.
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
    let filter = Filter::new(min_year, max_year, exclude_movie_ids, min_ratings).map_err(report)?;
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
    let model = models::find(wanted.model, None)?;
    unfinished::warn_in_first_load_or_restore()?;
    if wanted.lower_bound > 0.0 && model.samples == 1 {
        return Err(ServeError::NoSamples(model.name));
    }
    let customer = Customer::find(&model, customer_id)?;
    let source = customer.source.name();
    let seen = match customer.key {
        Some(key) if remove_seen => seen(key)?,
        _ => Vec::new(),
    };
    let (bias, factors) = customer.bias_and_factors(model.factors)?;
    let best = by_factors(&model, (bias, &factors), &seen, wanted)?.into_iter();
    let with_source = |(rank, id, title, year, rating, sd)| (rank, id, title, year, rating, sd, source);
    Ok(memory::collect(best.map(with_source))?)
}

fn for_ratings(
    movie_ids: &Array<'_, i64>,
    ratings: &Array<'_, f64>,
    wanted: &Wanted<'_>,
    remove_seen: bool,
) -> Result<Vec<Recommended>, ServeError> {
    let model = models::find(wanted.model, None)?;
    let rated = given_ratings(movie_ids, ratings)?;
    let keys = memory::collect(rated.iter().map(|&(key, _)| key))?;
    let found = fold_in(&model, &training(&model)?, &rated)?;
    let seen = if remove_seen { &keys[..] } else { &[] };
    by_factors(&model, (found.folded.bias, &found.folded.factors), seen, wanted)
}

/// The best movies for these factors, without those that were seen.
fn by_factors(
    model: &ModelRow,
    (bias, factors): (f32, &[f32]),
    seen: &[Key],
    wanted: &Wanted<'_>,
) -> Result<Vec<Recommended>, ServeError> {
    let movies = cache::movies(model)?;
    let scores = movies.catalogue.score(CustomerQuery { base: model.global_mean + bias, factors })?;
    let below = match wanted.lower_bound > 0.0 {
        true => movies.catalogue.deviations(factors)?,
        false => Vec::new(),
    };
    let ranking = |n: usize, excluded: &[Key]| {
        let mask = mask(&movies, &[seen, excluded])?;
        let mut best = TopN::new(n, scores.len())?;
        // An imported model may have factors whose score is not finite.
        for movie in movies.known().filter(|&movie| !mask[movie] && scores[movie].is_finite()) {
            let deviation = below.get(movie).copied().unwrap_or(0.0);
            best.push(movie as i32, scores[movie] - wanted.lower_bound * deviation);
        }
        let best = best.into_sorted().into_iter().map(|(movie, _)| movie as usize);
        Ok(memory::collect(best.map(|movie| (movies.key(movie), scores[movie])))?)
    };
    let deviation = |key: Key| {
        let Some(movie) = movies.index(key).filter(|_| model.samples > 1) else { return Ok(None) };
        let of_movie = movies.catalogue.vector(movie)?;
        Ok::<_, ServeError>(model.layout().deviation(ArrayView1::from(factors), ArrayView1::from(&of_movie)))
    };
    let ranked = (1..).zip(wanted.filter.best(wanted.n, ranking)?);
    memory::try_collect(ranked.map(|(rank, best)| {
        let deviation = deviation(best.key)?;
        Ok((rank, best.id, best.title, best.year, factor::clamp(best.score), deviation))
    }))
}

/// A movie's id, title and year.
pub type Name = (i32, Option<String>, Option<i16>);

/// The names of movies, in the order of the keys; `None` for a movie that was deleted and is still in the session's cache.
pub fn names(keys: &[Key]) -> Result<Vec<Option<Name>>, ServeError> {
    let mut names = memory::filled(None, keys.len())?;
    for (place, id, title, year) in Filter::default().passing(memory::collect(keys.iter().copied())?)? {
        names[place] = Some((id, title, year));
    }
    Ok(names)
}
