//! Adds one rating, or changes it: `add_rating`.

use pgrx::datum::Date;
use prize_format::IdSet;

use super::error::LoadError;
use super::insert_few::{self, Rating};
use super::members::Keys;
use super::{ledger, locks};
use crate::pg::snapshot::Snapshot;
use crate::pg::{Error, query};
use crate::warehouse::dimension::{Dimension, Key};

/// The outcome.
pub struct Added {
    pub rating_key: i64,
    /// `added`, `changed` or `unchanged`.
    pub action: &'static str,
    /// The rating that it replaced.
    pub previous_rating: Option<i16>,
}

/// Adds a rating of a movie that exists. If the customer has rated the movie before, changes that rating.
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

    locks::lock_as_writer()?;
    let movie_key =
        Keys::look_up(Dimension::Movie, &movie)?.get(movie_id as u32).ok_or(LoadError::NoMovie(movie_id))?;
    insert_few::ensure_days(&[day])?;
    let customers = insert_few::ensure_members(Dimension::Customer, &customer)?;
    let customer_key = customers.get(customer_id as u32).ok_or(Error::Null("customer_key"))?;
    let new = Rating {
        customer_key,
        movie_key,
        date_key: day.key() as i32,
        rating: rating as i16,
        is_probe: false,
    };
    // Another session may delete the pair between the insert that finds it and the change.
    const TRIES: usize = 3;
    for _ in 0..TRIES {
        if let Some(&(rating_key, _)) = insert_few::insert(&[Rating { ..new }])?.first() {
            return Ok(Added { rating_key, action: "added", previous_rating: None });
        }
        if let Some(changed) = change(&new)? {
            return Ok(changed);
        }
    }
    Err(LoadError::PairChanged)
}

/// Changes a rating, if it exists.
fn change(new: &Rating) -> Result<Option<Added>, LoadError> {
    let old = query::run_rows(
        "SELECT rating_key, rating, date_key FROM @extschema@.fact_ratings
         WHERE customer_key = $1 AND movie_key = $2 FOR NO KEY UPDATE",
        &[new.customer_key.0.into(), new.movie_key.0.into()],
        |row| match (row.get::<i64>(1)?, row.get::<i16>(2)?, row.get::<i32>(3)?) {
            (Some(key), Some(rating), Some(day)) => Ok((key, rating, day)),
            _ => Err(Error::Null("fact_ratings")),
        },
    )?;
    let Some(&(rating_key, rating, date_key)) = old.first() else { return Ok(None) };
    // A rating that an unfinished load has inserted is in no count yet, and netflix_load_abandon would delete it.
    let is_counted = !ledger::disown(rating_key)?;
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
    let members = [(Dimension::Customer, new.customer_key), (Dimension::Movie, new.movie_key)];
    for (dimension, member) in members {
        let update = format!(
            "UPDATE @extschema@.{table}
             SET rating_mean = least(greatest((round(rating_mean * rating_count) + $2) / rating_count, 1), 5)
             WHERE {key} = $1 AND rating_count > 0",
            table = dimension.table().name,
            key = dimension.key()
        );
        query::run(&update, &[member.0.into(), f64::from(new.rating - rating).into()])?;
        if date_key != new.date_key {
            change_days(dimension, member, date_key, new.date_key)?;
        }
    }
    done("changed")
}

/// Updates the first and last day of a customer or movie. If the old day was one of them, all ratings of the customer or movie are
/// read; for a movie, these are all ratings there are.
fn change_days(dimension: Dimension, member: Key, old: i32, new: i32) -> Result<(), LoadError> {
    let (table, key, value) = (dimension.table().name, dimension.key(), member.0);
    let was_end = query::select_one::<bool>(
        Snapshot::Latest,
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
