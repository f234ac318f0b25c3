//! Why a rating is predicted: `explain`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::customer::Customer;
use super::error::ServeError;
use super::fold_in::{Found, fold_in, training, training_ratings};
use super::predict::{movie, prediction};
use crate::models;
use crate::pg::prepared::Prepared;
use crate::pg::{Error, memory, report};
use crate::warehouse::unfinished;

/// A line of an explanation.
type Line = (Option<i32>, Option<String>, Option<i16>, f32);

/// The parts of a prediction: the mean of all ratings, the biases of movie and customer, and the contribution of each of the customer's
/// ratings, the greatest first. Their sum is what `predict_rating` returns.
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

/// A contribution below this is rounding, and gets no line.
const NEGLIGIBLE: f32 = 1e-5;

fn lines(customer_id: i64, movie_id: i64, name: Option<&str>) -> Result<Vec<Line>, ServeError> {
    let model = models::find(name, None)?;
    unfinished::warn_of_first()?;
    let (customer, movie) = (Customer::find(&model, customer_id)?, movie(&model, movie_id)?);
    let predicted = prediction(&model, &customer.factors, &movie).0;
    let part = |what: &str, contribution: f32| (None, Some(what.to_owned()), None, contribution);
    let mut lines = vec![part("(mean of all ratings)", model.global_mean)];
    if let Some((bias, _)) = &movie {
        lines.push(part("(how the movie is liked)", *bias));
    }
    if let Some((bias, _)) = &customer.factors {
        lines.push(part("(how the customer rates)", *bias));
    }
    let mut score = lines.iter().map(|line| line.3).sum::<f32>();
    if let (Some(key), Some((_, p)), Some((_, q))) = (customer.key, &customer.factors, &movie) {
        let training = training(&model)?;
        let found = fold_in(&model, &training, &training_ratings(key, &training)?)?;
        let mut added = lines_of_ratings(&found, &found.folded.contributions(&found.rows, q)?)?;
        added.sort_unstable_by(|one, other| other.3.abs().total_cmp(&one.3.abs()).then(one.0.cmp(&other.0)));
        let expected = found.folded.expected(&found.rows, q)?;
        let explained = added.iter().map(|line| f64::from(line.3)).sum::<f64>() + expected;
        lines.try_reserve(added.len() + 3).map_err(Error::from)?;
        if expected.abs() > f64::from(NEGLIGIBLE) {
            lines.push(part("(what the model expects of every customer)", expected as f32));
        }
        lines.append(&mut added);
        let product = p.iter().zip(q).map(|(&p, &q)| f64::from(p) * f64::from(q)).sum::<f64>();
        score += product as f32;
        // Gradient descent stops before the minimum, and the ratings may have changed since the training.
        let rest = (product - explained) as f32;
        if rest.abs() > NEGLIGIBLE {
            lines.push(part("(what the ratings there are now do not explain)", rest));
        }
    }
    if (predicted - score).abs() > NEGLIGIBLE {
        lines.push(part("(limited to the rating scale)", predicted - score));
    }
    Ok(lines)
}

/// The line of each rating that was used to fold the customer in.
fn lines_of_ratings(found: &Found, contributions: &[f64]) -> Result<Vec<Line>, Error> {
    static TITLES: Prepared = Prepared(
        "SELECT m.movie_id, m.title FROM unnest($1::int[]) WITH ORDINALITY AS rated (movie_key, place)
         JOIN @extschema@.dim_movie m USING (movie_key) ORDER BY place",
    );
    let keys = memory::collect(found.rated.iter().map(|&(key, _)| key.0))?;
    let mut all = found.rated.iter().zip(contributions);
    TITLES.all(&[keys.into()], |row| {
        let (&(_, rating), &contribution) = all.next().ok_or(Error::Null("dim_movie"))?;
        Ok((row.get(1), row.get(2), Some(rating as i16), contribution as f32))
    })
}
