//! The movies that a customer would like best: `recommend`, and `recommend_for` of somebody who is not in the data.

use factor::{Best, Taste, baseline};
use ndarray::ArrayView1;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::model::{self, ModelRow};
use crate::pg::prepared::Prepared;
use crate::pg::{Error, memory, report, unfinished};

use super::cache;
use super::error::ServeError;
use super::filter::{Filter, ids_of, mask, seen};
use super::fold_in;

/// A movie recommended.
type Recommended = (i32, i32, Option<String>, Option<i16>, f32, Option<f32>);

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
        n: Option<i32>,
        model: Option<&'a str>,
        filter: Filter,
        lower_bound: Option<f32>,
    ) -> Result<Wanted<'a>, ServeError> {
        let lower_bound = lower_bound.unwrap_or(0.0);
        if !(0.0..=100.0).contains(&lower_bound) {
            return Err(ServeError::LowerBound(lower_bound));
        }
        Ok(Wanted { n: checked(n)?, model, filter, lower_bound })
    }
}

/// How many of the best, 10 where it is not said.
pub fn checked(n: Option<i32>) -> Result<usize, ServeError> {
    match n.unwrap_or(10) {
        n @ 1.. => Ok(n as usize),
        n => Err(ServeError::TooFew(n)),
    }
}

/// The movies a customer would like best, of those that the model knows and the customer has not rated yet.
///
/// A customer without factors (not in the data, or new since the training) gets the movies that are liked best by
/// all, by damped mean. A NULL customer gets none.
#[pg_extern(stable, support = movies_by_second_argument)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::too_many_arguments)] // named ones, with defaults
fn recommend(
    customer_id: Option<i32>,
    n: default!(Option<i32>, 10),
    model: default!(Option<&str>, "NULL"),
    remove_seen: default!(Option<bool>, true),
    min_year: default!(Option<i32>, "NULL"),
    max_year: default!(Option<i32>, "NULL"),
    exclude_movie_ids: default!(Option<Array<'_, i32>>, "NULL"),
    min_ratings: default!(Option<i64>, "NULL"),
    lower_bound: default!(Option<f32>, 0.0),
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
    movie_ids: Option<Array<'_, i32>>,
    ratings: Option<Array<'_, f32>>,
    n: default!(Option<i32>, 10),
    model: default!(Option<&str>, "NULL"),
    remove_seen: default!(Option<bool>, true),
    min_year: default!(Option<i32>, "NULL"),
    max_year: default!(Option<i32>, "NULL"),
    exclude_movie_ids: default!(Option<Array<'_, i32>>, "NULL"),
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
    customer_id: i32,
    wanted: &Wanted<'_>,
    remove_seen: bool,
) -> Result<Vec<Recommended>, ServeError> {
    let row = model::find(wanted.model, None)?;
    unfinished::warn_of_first()?;
    if wanted.lower_bound > 0.0 && row.samples == 1 {
        return Err(ServeError::NoSamples(row.name));
    }
    let customer_key = super::customer_key(customer_id)?;
    let seen = match customer_key {
        Some(key) if remove_seen => seen(key)?,
        _ => Vec::new(),
    };
    let customer = match customer_key {
        Some(key) => model::read_row(&row, "customer_factors", key)?,
        None => None,
    };
    match customer {
        Some((bias, factors)) => by_factors(&row, (bias, &factors), &seen, wanted),
        None => popular(&seen, wanted),
    }
}

fn for_ratings(
    movie_ids: &Array<'_, i32>,
    ratings: &Array<'_, f32>,
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

/// A movie's key and its score.
type Scored = (i32, f32);

/// Movies looked up, for each that is wanted, before all movies are.
const LOOKED_UP: usize = 10;
/// Lists that are longer are filtered by reading all movies once: sooner done.
const LONG: usize = 100;

/// The best `n` that pass the filter. `ranking(n, lists)` gives the best `n` whose keys are in none of the lists, `deviation` a
/// movie's, by key.
fn filtered(
    wanted: &Wanted<'_>,
    seen: &[i32],
    ranking: impl Fn(usize, &[&[i32]]) -> Result<Vec<Scored>, ServeError>,
    deviation: impl Fn(i32) -> Result<Option<f32>, ServeError>,
) -> Result<Vec<Recommended>, ServeError> {
    let Wanted { n, ref filter, .. } = *wanted;
    let passing = |asked: usize, left_out: &[&[i32]]| {
        let best = ranking(asked, left_out)?;
        let passed = filter.passing(memory::collect(best.iter().map(|&(key, _)| key))?)?;
        let is_enough = passed.len() >= n || best.len() < asked;
        let described = passed.into_iter().take(n).zip(1..).map(|((place, id, title, year), rank)| {
            let (key, score) = best[place];
            Ok((rank, id, title, year, factor::cut(score), deviation(key)?))
        });
        is_enough.then(|| memory::try_collect::<_, ServeError>(described)).transpose()
    };
    let found = match filter.is_empty() {
        true => passing(n, &[seen])?,
        // Ten times as many as are wanted usually contain enough that pass.
        false if n <= LONG => passing(n * LOOKED_UP, &[seen])?,
        false => None,
    };
    let found = match found {
        None if !filter.is_empty() => passing(n, &[seen, &filter.excluded()?])?,
        found => found,
    };
    match found {
        Some(found) => Ok(found),
        // Some of the best are movies that somebody deleted and the session still keeps.
        None => Ok(passing(usize::MAX, &[seen])?.unwrap_or_default()),
    }
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
    let ranking = |n: usize, left_out: &[&[i32]]| {
        let mask = mask(&movies, left_out)?;
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
        Ok(row.layout().deviation(ArrayView1::from(factors), ArrayView1::from(&of_movie)))
    };
    filtered(wanted, seen, ranking, deviation)
}

/// Movies by what all think of them: keys and damped means, best first, ties by id.
pub fn by_mean() -> Result<Vec<(i32, f32)>, Error> {
    static MEANS: Prepared = Prepared(
        "SELECT movie_key, rating_count, rating_mean FROM @extschema@.dim_movie WHERE rating_count > 0 ORDER BY movie_id",
    );
    let (mut keys, mut rated) = (Vec::new(), Vec::new());
    MEANS.each(&[], |row| {
        memory::push(&mut keys, row.need::<i32>(1, "dim_movie")?)?;
        let counted = row.need::<i64>(2, "dim_movie")? as u64;
        memory::push(&mut rated, (counted, row.need::<f64>(3, "dim_movie")?))
    })?;
    baseline::damp_means(&mut rated, baseline::MOVIE_DAMPING);
    let means = rated.into_iter().map(|(_, mean)| mean as f32).enumerate();
    let mut means = memory::collect(keys.into_iter().zip(means))?;
    means.sort_unstable_by(|(_, (one_at, one)), (_, (other_at, other))| {
        other.total_cmp(one).then(one_at.cmp(other_at))
    });
    memory::collect(means.into_iter().map(|(key, (_, mean))| (key, mean)))
}

/// The best by what all think of them, but for those that were seen.
fn popular(seen: &[i32], wanted: &Wanted<'_>) -> Result<Vec<Recommended>, ServeError> {
    let means = by_mean()?;
    let ranking = |n: usize, left_out: &[&[i32]]| {
        let is_left_out = |key: &i32| left_out.iter().any(|keys| keys.binary_search(key).is_ok());
        Ok(memory::collect(means.iter().filter(|(key, _)| !is_left_out(key)).take(n).copied())?)
    };
    filtered(wanted, seen, ranking, |_| Ok(None))
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
