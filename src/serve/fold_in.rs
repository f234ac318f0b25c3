//! Customers found from their ratings, without training: what `recommend_for` asks, `refresh_customer`, and `explain`.

use std::ops::ControlFlow;

use factor::{Algorithm, FoldedIn, HoldOut, Rated};
use pgrx::datum::{Array, DatumWithOid};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, prelude::*};

use crate::pg::model::{self, ModelRow};
use crate::pg::prepared::Prepared;
use crate::pg::{self, Error, catalog, interrupt, memory, query, report, unfinished};

use super::cache;
use super::customer::{Customer, customer_key};
use super::error::ServeError;

/// A customer found, and the ratings that it was found by: those alone whose movies the model knows.
pub struct Found {
    pub folded: FoldedIn,
    /// Keys and ratings.
    pub rated: Vec<(i32, f32)>,
    /// The same ratings, with what the model knows of their movies.
    rows: Rated,
}

/// How a model was trained.
struct Recipe {
    algorithm: Algorithm,
    has_prior: bool,
    spares_probe: bool,
    held: Option<HoldOut>,
}

fn recipe(row: &ModelRow) -> Result<Recipe, Error> {
    static RECIPE: Prepared = Prepared(
        "SELECT algorithm, params, train_on, hold_out, prior IS NOT NULL FROM @extschema@.model WHERE model_id = $1",
    );
    let recipes = RECIPE.all(&[row.model_id.into()], |row| {
        let JsonB(params) = row.need(2, "model")?;
        let algorithm = Algorithm::parse(&row.need::<String>(1, "model")?, &params)?;
        let hold_out: f64 = row.need(4, "model")?;
        let held = (hold_out > 0.0).then(|| HoldOut::of_training(hold_out));
        let spares_probe = row.need::<String>(3, "model")? == "train";
        Ok(Recipe { algorithm, has_prior: row.need(5, "model")?, spares_probe, held })
    })?;
    recipes.into_iter().next().ok_or(Error::Null("model"))
}

/// Finds the customer of these ratings: keys and stars.
pub fn fold_in(row: &ModelRow, rated: &[(i32, f32)]) -> Result<Found, ServeError> {
    solve(row, &recipe(row)?, rated)
}

fn solve(row: &ModelRow, recipe: &Recipe, rated: &[(i32, f32)]) -> Result<Found, ServeError> {
    static LINKS: Prepared = Prepared(
        "SELECT links FROM unnest($2::int[]) WITH ORDINALITY AS wanted (movie_key, place)
         LEFT JOIN @extschema@.movie_factors f ON f.model_id = $1 AND f.movie_key = wanted.movie_key ORDER BY place",
    );
    // Before all that takes memory.
    let Recipe { algorithm, has_prior, .. } = recipe;
    algorithm.check_fold_in(*has_prior)?;
    let movies = cache::movies(row)?;
    let shared = movies.shared(row, algorithm)?;
    let known = rated.iter().filter_map(|&(key, rating)| Some((key, rating, movies.number(key)?)));
    let known = memory::collect(known)?;
    let ratings = Rated::memory(known.len(), row.factors, algorithm.folds_in_links());
    pg::require_memory("folding in", ratings + FoldedIn::memory(row.layout()))?;
    let keys = memory::collect(known.iter().map(|&(key, ..)| key))?;
    let args = [DatumWithOid::from(row.model_id), keys.into()];
    let mut rows = Rated::with_room(known.len(), row.factors, algorithm.folds_in_links())?;
    let mut of = known.iter();
    LINKS.each(&args, |row| {
        let links = row.floats(1, "movie_factors")?;
        let &(_, rating, number) = of.next().ok_or(Error::Null("movie_factors"))?;
        let catalogue = &movies.catalogue;
        Ok(rows.push(rating, catalogue.bias(number), catalogue.entries(number), &links)?)
    })?;
    let mut proceed = || {
        interrupt::check();
        ControlFlow::Continue(())
    };
    let folded = algorithm.fold_in(row.global_mean, &rows, shared, &mut proceed)?;
    let rated = memory::collect(known.into_iter().map(|(key, rating, _)| (key, rating)))?;
    Ok(Found { folded, rated, rows })
}

/// Keys and ratings for ids and ratings.
pub fn by_ids(movie_ids: &Array<'_, i64>, ratings: &Array<'_, f64>) -> Result<Vec<(i32, f32)>, ServeError> {
    static KEYS: Prepared = Prepared(
        "SELECT m.movie_key FROM unnest($1::bigint[]) WITH ORDINALITY AS rated (movie_id, place)
         LEFT JOIN @extschema@.dim_movie m USING (movie_id) ORDER BY place",
    );
    if movie_ids.len() != ratings.len() {
        return Err(ServeError::Lengths { movies: movie_ids.len(), ratings: ratings.len() });
    }
    let ids = movie_ids.iter().map(|id| id.ok_or(ServeError::NullElement("movie_ids")));
    let ids = memory::try_collect(ids)?;
    let ratings = ratings.iter().map(|rating| rating.ok_or(ServeError::NullElement("ratings")));
    let ratings = memory::try_collect(ratings)?;
    let (lowest, highest) = (f64::from(factor::SCALE.0), f64::from(factor::SCALE.1));
    if let Some(&rating) = ratings.iter().find(|rating| !(lowest..=highest).contains(*rating)) {
        return Err(ServeError::Rating(rating));
    }
    let mut sorted = memory::collect(ids.iter().copied())?;
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(ServeError::RatedTwice(pair[0]));
    }
    let asked = memory::collect(ids.iter().copied())?;
    let keys = KEYS.all(&[asked.into()], |row| Ok(row.get::<i32>(1)))?;
    let rated = ids.into_iter().zip(keys).zip(ratings);
    memory::try_collect(
        rated.map(|((id, key), rating)| Ok((key.ok_or(ServeError::NoMovie(id))?, rating as f32))),
    )
}

/// The bias and factors of a customer whom the model does not know, by the ratings there are now; none where there is no rating
/// that tells anything, or the model cannot fold in.
pub fn newcomer(row: &ModelRow, customer_key: i32) -> Result<Option<(f32, Vec<f32>)>, ServeError> {
    let recipe = recipe(row)?;
    if recipe.algorithm.check_fold_in(recipe.has_prior).is_err() {
        return Ok(None);
    }
    let rated = trained_on(customer_key, &recipe)?;
    if rated.is_empty() {
        return Ok(None);
    }
    match solve(row, &recipe, &rated) {
        Ok(Found { rated, .. }) if rated.is_empty() => Ok(None),
        Ok(Found { folded, .. }) => Ok(Some((folded.bias, folded.factors))),
        // So few ratings do not tell who it is.
        Err(ServeError::Pg(Error::Factor(factor::Error::Undetermined { .. }))) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A customer's ratings of the kind that a model is trained on: keys and stars, ascending by key.
fn trained_on(customer_key: i32, recipe: &Recipe) -> Result<Vec<(i32, f32)>, Error> {
    static RATINGS: Prepared = Prepared(
        "SELECT movie_key, rating, is_probe FROM @extschema@.fact_ratings WHERE customer_key = $1 ORDER BY movie_key",
    );
    static WITH_IDS: Prepared = Prepared(
        "SELECT f.movie_key, f.rating, f.is_probe, c.customer_id, m.movie_id FROM @extschema@.fact_ratings f
         JOIN @extschema@.dim_customer c USING (customer_key) JOIN @extschema@.dim_movie m USING (movie_key)
         WHERE f.customer_key = $1 ORDER BY f.movie_key",
    );
    let mut rated = Vec::new();
    let query = if recipe.held.is_some() { &WITH_IDS } else { &RATINGS };
    query.each(&[customer_key.into()], |row| {
        let key: i32 = row.need(1, "fact_ratings")?;
        let rating: i16 = row.need(2, "fact_ratings")?;
        let is_spared = recipe.spares_probe && row.need::<bool>(3, "fact_ratings")?;
        let is_held_out = match &recipe.held {
            Some(held) => {
                let id = |column| Ok::<_, Error>(row.need::<i32>(column, "fact_ratings")? as u32);
                held.contains(id(4)?, id(5)?)
            }
            None => false,
        };
        if !is_spared && !is_held_out {
            memory::push(&mut rated, (key, f32::from(rating)))?;
        }
        Ok(())
    })?;
    Ok(rated)
}

/// Finds a customer's factors anew from the ratings there are now, and writes them into the model: for those who rated since
/// it was trained, or for the first time. Tells from how many ratings; of a customer without any, the model forgets.
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
    catalog::require_writable(c"refresh_customer()");
    unfinished::refuse_first("refresh_customer")?;
    let row = model::find(name, None)?;
    let recipe = recipe(&row)?;
    let customer_key = customer_key(customer_id)?.ok_or(ServeError::NoCustomer(customer_id))?;
    let rated = trained_on(customer_key, &recipe)?;
    let Found { folded, rated, .. } = solve(&row, &recipe, &rated)?;
    if rated.is_empty() {
        let delete = "DELETE FROM @extschema@.customer_factors WHERE model_id = $1 AND customer_key = $2";
        query::run(delete, &[row.model_id.into(), customer_key.into()])?;
        return Ok(0);
    }
    query::run(
        "INSERT INTO @extschema@.customer_factors (model_id, customer_key, bias, factors) VALUES ($1, $2, $3, $4)
         ON CONFLICT (model_id, customer_key) DO UPDATE SET bias = excluded.bias, factors = excluded.factors",
        &[row.model_id.into(), customer_key.into(), folded.bias.into(), folded.factors.into()],
    )?;
    Ok(rated.len() as i32)
}

/// A line of an explanation.
type Line = (Option<i32>, Option<String>, Option<i16>, f32);

/// What a prediction is made of: the mean of all ratings, how the movie is liked and how the customer rates, and what each
/// of the customer's ratings adds, the greatest first. All of it sums up to `predict_rating`.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn explain(
    customer_id: Option<i64>,
    movie_id: Option<i64>,
    model: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(movie_id, Option<i32>),
            name!(title, Option<String>),
            name!(rating, Option<i16>),
            name!(contribution, f32),
        ),
    >,
    ErrorReport,
> {
    let (Some(customer_id), Some(movie_id)) = (customer_id, movie_id) else {
        return Ok(TableIterator::empty());
    };
    Ok(TableIterator::new(lines(customer_id, movie_id, model).map_err(report)?))
}

/// What is less than this is rounding, and not worth a line.
const NOTHING: f32 = 1e-5;

fn lines(customer_id: i64, movie_id: i64, name: Option<&str>) -> Result<Vec<Line>, ServeError> {
    let row = model::find(name, None)?;
    unfinished::warn_of_first()?;
    let (customer, movie) = (Customer::find(&row, customer_id)?, super::movie(&row, movie_id)?);
    let predicted = super::prediction(&row, &customer.factors, &movie).0;
    let told = |what: &str, contribution: f32| (None, Some(what.to_owned()), None, contribution);
    let mut lines = vec![told("(mean of all ratings)", row.global_mean)];
    if let Some((bias, _)) = &movie {
        lines.push(told("(how the movie is liked)", *bias));
    }
    if let Some((bias, _)) = &customer.factors {
        lines.push(told("(how the customer rates)", *bias));
    }
    let mut score = lines.iter().map(|line| line.3).sum::<f32>();
    if let (Some(key), Some((_, p)), Some((_, q))) = (customer.key, &customer.factors, &movie) {
        let recipe = recipe(&row)?;
        let found = solve(&row, &recipe, &trained_on(key, &recipe)?)?;
        let mut added = described(&found, &found.folded.contributions(&found.rows, q)?)?;
        added.sort_unstable_by(|one, other| other.3.abs().total_cmp(&one.3.abs()).then(one.0.cmp(&other.0)));
        let expected = found.folded.expected(&found.rows, q)?;
        let explained = added.iter().map(|line| f64::from(line.3)).sum::<f64>() + expected;
        lines.try_reserve(added.len() + 3).map_err(Error::from)?;
        if expected.abs() > f64::from(NOTHING) {
            lines.push(told("(what the model expects of every customer)", expected as f32));
        }
        lines.append(&mut added);
        let product = p.iter().zip(q).map(|(&p, &q)| f64::from(p) * f64::from(q)).sum::<f64>();
        score += product as f32;
        // Of gradient descent, which does not go to the end, or where there are other ratings than were trained on.
        let rest = (product - explained) as f32;
        if rest.abs() > NOTHING {
            lines.push(told("(what the ratings there are now do not explain)", rest));
        }
    }
    if (predicted - score).abs() > NOTHING {
        lines.push(told("(cut to the scale of ratings)", predicted - score));
    }
    Ok(lines)
}

/// The line of each rating that a customer was found by.
fn described(found: &Found, contributions: &[f64]) -> Result<Vec<Line>, Error> {
    static TITLES: Prepared = Prepared(
        "SELECT m.movie_id, m.title FROM unnest($1::int[]) WITH ORDINALITY AS rated (movie_key, place)
         JOIN @extschema@.dim_movie m USING (movie_key) ORDER BY place",
    );
    let keys = memory::collect(found.rated.iter().map(|&(key, _)| key))?;
    let mut all = found.rated.iter().zip(contributions);
    TITLES.all(&[keys.into()], |row| {
        let (&(_, rating), &contribution) = all.next().ok_or(Error::Null("dim_movie"))?;
        Ok((row.get(1), row.get(2), Some(rating as i16), contribution as f32))
    })
}
