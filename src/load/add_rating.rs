//! One rating, as an application has it: `add_rating`.

use pgrx::datum::Date;
use prize_format::IdSet;

use super::dimensions::{CUSTOMERS, Keys, MOVIES};
use super::error::LoadError;
use super::few::{self, Rating};
use super::ledger;
use crate::pg::scan::Seen;
use crate::pg::{Error, query};

/// What became of the rating.
pub struct Added {
    pub rating_key: i64,
    /// `added`, `changed` or `unchanged`.
    pub action: &'static str,
    /// The rating that it took the place of.
    pub previous_rating: Option<i16>,
}

/// Adds a rating of a movie that is there, or changes it where the customer has rated the movie before.
pub fn add(customer_id: i64, movie_id: i64, rating: f64, rated_on: Date) -> Result<Added, LoadError> {
    let one = |id: i64, name| {
        let mut ids = IdSet::default();
        if !(1..=i64::from(i32::MAX)).contains(&id) {
            return Err(LoadError::Id { name, id });
        }
        ids.insert(id as u32);
        Ok(ids.rank())
    };
    let (customer, movie) = (one(customer_id, "customer_id")?, one(movie_id, "movie_id")?);
    if ![1.0, 2.0, 3.0, 4.0, 5.0].contains(&rating) {
        return Err(LoadError::Rating(rating));
    }
    let is_finite = !rated_on.is_infinity() && !rated_on.is_neg_infinity();
    let day = |date: Date| {
        prize_format::Date::new(u32::try_from(date.year()).ok()?, date.month().into(), date.day().into())
    };
    let day = Some(rated_on).filter(|_| is_finite).and_then(day).ok_or(LoadError::Day)?;

    few::lock()?;
    let movie_key = Keys::of(&MOVIES, &movie)?.get(movie_id as u32).ok_or(LoadError::NoMovie(movie_id))?;
    few::need_days(&[day])?;
    let customers = few::need(&CUSTOMERS, &customer)?;
    let customer_key = customers.get(customer_id as u32).ok_or(Error::Null("customer_key"))?;
    let new = Rating {
        customer_key,
        movie_key,
        date_key: day.key() as i32,
        rating: rating as i16,
        is_probe: false,
    };
    // Between the insert that finds the pair and the change, somebody may delete it.
    const TRIES: usize = 3;
    for _ in 0..TRIES {
        if let Some(&(rating_key, _)) = few::insert(&[Rating { ..new }])?.first() {
            return Ok(Added { rating_key, action: "added", previous_rating: None });
        }
        if let Some(changed) = change(&new)? {
            return Ok(changed);
        }
    }
    Err(LoadError::Order)
}

/// Changes a rating, if it is there.
fn change(new: &Rating) -> Result<Option<Added>, LoadError> {
    let old = query::run_rows(
        "SELECT rating_key, rating, date_key FROM @extschema@.fact_ratings
         WHERE customer_key = $1 AND movie_key = $2 FOR NO KEY UPDATE",
        &[new.customer_key.into(), new.movie_key.into()],
        |row| match (row.get::<i64>(1)?, row.get::<i16>(2)?, row.get::<i32>(3)?) {
            (Some(key), Some(rating), Some(day)) => Ok((key, rating, day)),
            _ => Err(Error::Null("fact_ratings")),
        },
    )?;
    let Some(&(rating_key, rating, date_key)) = old.first() else { return Ok(None) };
    // What an unfinished load has inserted is in no count yet, and would go if the load was given up.
    let is_counted = !ledger::give_away(rating_key)?;
    let done = |action| Ok(Some(Added { rating_key, action, previous_rating: Some(rating) }));
    if (rating, date_key) == (new.rating, new.date_key) {
        return done("unchanged");
    }
    query::run(
        "UPDATE @extschema@.fact_ratings SET rating = $2, date_key = $3 WHERE rating_key = $1",
        &[rating_key.into(), new.rating.into(), new.date_key.into()],
    )?;
    if !is_counted {
        return done("changed");
    }
    let members =
        [("dim_customer", "customer_key", new.customer_key), ("dim_movie", "movie_key", new.movie_key)];
    for (table, key, value) in members {
        let update = format!(
            "UPDATE @extschema@.{table}
             SET rating_mean = least(greatest((round(rating_mean * rating_count) + $2) / rating_count, 1), 5)
             WHERE {key} = $1 AND rating_count > 0"
        );
        query::run(&update, &[value.into(), f64::from(new.rating - rating).into()])?;
        if date_key != new.date_key {
            change_days(table, key, value, date_key, new.date_key)?;
        }
    }
    done("changed")
}

/// Mends a customer's or movie's first and last day. Where the old day was one of them, only its other ratings tell what is
/// first or last now: for a movie, that reads all ratings.
fn change_days(table: &str, key: &str, value: i32, old: i32, new: i32) -> Result<(), LoadError> {
    let was_end = query::select_one::<bool>(
        Seen::Now,
        &format!(
            "SELECT coalesce(m.first_rated_on = d.date AND $2 > $3 OR m.last_rated_on = d.date AND $2 < $3, false)
             FROM @extschema@.{table} m, @extschema@.dim_date d WHERE m.{key} = $1 AND d.date_key = $3"
        ),
        &[value.into(), new.into(), old.into()],
    )?;
    let days = match was_end {
        Some(false) => format!(
            "SELECT least(m.first_rated_on, d.date), greatest(m.last_rated_on, d.date)
             FROM @extschema@.{table} m, @extschema@.dim_date d WHERE m.{key} = $1 AND d.date_key = $2"
        ),
        _ => format!(
            "SELECT min(d.date), max(d.date)
             FROM @extschema@.fact_ratings f JOIN @extschema@.dim_date d USING (date_key) WHERE f.{key} = $1 AND $2 > 0"
        ),
    };
    query::run(
        &format!(
            "UPDATE @extschema@.{table} SET (first_rated_on, last_rated_on) = ({days}) WHERE {key} = $1"
        ),
        &[value.into(), new.into()],
    )
    .map_err(LoadError::from)
}
