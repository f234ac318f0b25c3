//! Inserts a few ratings by ordinary SQL, under ordinary locks: triggers fire, constraints are checked, and others can go on writing.
//! The time it takes does not grow with the warehouse.

use std::collections::BTreeSet;

use prize_format::RankedIds;

use super::error::LoadError;
use super::members::{self, Keys};
use super::{calendar, counts};
use crate::pg::snapshot::Snapshot;
use crate::pg::{Error, query, sequence};
use crate::warehouse::dimension::{Dimension, Key};

/// The most ratings that count as few. Beyond that, a bulk insert takes less time.
pub const MOST: usize = 10_000;

/// A rating by keys.
pub struct Rating {
    pub customer_key: Key,
    pub movie_key: Key,
    pub date_key: i32,
    pub rating: i16,
    pub is_probe: bool,
}

/// The keys of these customers or movies. Adds those that are new.
pub fn ensure_members(dimension: Dimension, wanted: &RankedIds) -> Result<Keys, LoadError> {
    let keys = Keys::look_up(dimension, wanted)?;
    if wanted.iter().all(|id| keys.get(id).is_some()) {
        return Ok(keys);
    }
    // Two sessions that add customers at the same time would find the same next key. The second one waits, and then looks again.
    sequence::lock(dimension.retired_keys())?;
    let keys = Keys::look_up(dimension, wanted)?;
    let new = wanted.iter().filter(|&id| keys.get(id).is_none()).map(|id| id as i32).collect::<Vec<_>>();
    let last = members::greatest_key_ever(dimension)?;
    if i64::from(last) + new.len() as i64 > i64::from(i32::MAX) {
        return Err(LoadError::TooMany(dimension.plural()));
    }
    let (table, key, id) = (dimension.table().name, dimension.key(), dimension.id());
    query::run(
        &format!(
            "INSERT INTO @extschema@.{table} ({key}, {id}, rating_count)
             SELECT $1 + place::int, id, 0 FROM unnest($2::int[]) WITH ORDINALITY AS new (id, place)"
        ),
        &[last.into(), new.into()],
    )?;
    Keys::look_up(dimension, wanted)
}

/// Adds the years of the days that the calendar lacks.
pub fn ensure_days(days: &[prize_format::Date]) -> Result<(), LoadError> {
    let known = query::select(
        Snapshot::Latest,
        "SELECT date_key FROM @extschema@.dim_date WHERE date_key = ANY ($1)",
        &[days.iter().map(|day| day.key() as i32).collect::<Vec<_>>().into()],
        |row| row.get::<i32>(1)?.ok_or(Error::Null("dim_date")),
    )?;
    let missing = days.iter().filter(|day| !known.contains(&(day.key() as i32)));
    // In the same order in all sessions, so that they cannot wait for each other.
    let years = missing.map(|day| day.ymd().0 as i32).collect::<BTreeSet<_>>();
    years.into_iter().try_for_each(|year| calendar::add_years((year, year)))
}

/// Inserts ratings whose customers, movies and days exist, and adds them to the counts of both. Leaves out a pair that another session
/// has inserted meanwhile. Returns the key of each rating, sorted, and whether it belongs to the probe.
pub fn insert(ratings: &[Rating]) -> Result<Vec<(i64, bool)>, LoadError> {
    let column = |of: fn(&Rating) -> i32| ratings.iter().map(of).collect::<Vec<_>>();
    let (customers, movies) = (column(|rating| rating.customer_key.0), column(|rating| rating.movie_key.0));
    sequence::catch_up("fact_ratings", "rating_key", "fact_ratings_rating_key_seq")?;
    // All sessions lock the rows that they are about to change in the same order, so that they cannot deadlock.
    for (dimension, keys) in [(Dimension::Customer, &customers), (Dimension::Movie, &movies)] {
        let (table, key) = (dimension.table().name, dimension.key());
        query::run(
            &format!(
                "SELECT FROM @extschema@.{table} WHERE {key} = ANY ($1) ORDER BY {key} FOR NO KEY UPDATE"
            ),
            &[keys.clone().into()],
        )?;
    }
    let keys = query::run_rows(
        &format!(
            "WITH new AS (
                 INSERT INTO @extschema@.fact_ratings (customer_key, movie_key, date_key, rating, is_probe)
                 SELECT customer_key, movie_key, date_key, rating, is_probe
                 FROM unnest($1::int[], $2::int[], $3::int[], $4::smallint[], $5::bool[])
                      WITH ORDINALITY AS new (customer_key, movie_key, date_key, rating, is_probe, place)
                 ORDER BY place
                 ON CONFLICT (customer_key, movie_key) DO NOTHING
                 RETURNING rating_key, customer_key, movie_key, date_key, rating, is_probe
             ), customers AS ({}), movies AS ({})
             SELECT rating_key, is_probe FROM new ORDER BY rating_key",
            counts::add_to_counts(Dimension::Customer, "new"),
            counts::add_to_counts(Dimension::Movie, "new")
        ),
        &[
            customers.into(),
            movies.into(),
            column(|rating| rating.date_key).into(),
            ratings.iter().map(|rating| rating.rating).collect::<Vec<_>>().into(),
            ratings.iter().map(|rating| rating.is_probe).collect::<Vec<_>>().into(),
        ],
        |row| row.get::<i64>(1)?.zip(row.get::<bool>(2)?).ok_or(Error::Null("fact_ratings")),
    )?;
    Ok(keys)
}
