//! A few ratings by ordinary SQL, under ordinary locks: triggers fire, constraints are checked, others go on writing. What it
//! takes does not grow with the warehouse.

use prize_format::RankedIds;

use super::dimensions::{self, CUSTOMERS, Keys, MOVIES, Names};
use super::error::LoadError;
use crate::pg::scan::Seen;
use crate::pg::{Error, catalog, query, sequence};

/// How many are few: beyond, the indexes of all rows at once cost less than one by one.
pub const MOST: usize = 10_000;

/// A rating by keys.
pub struct Rating {
    pub customer_key: i32,
    pub movie_key: i32,
    pub date_key: i32,
    pub rating: i16,
    pub is_probe: bool,
}

/// Takes the locks that the inserts will take, in the order in which loads lock the tables.
pub fn lock() -> Result<(), LoadError> {
    Ok(super::LOCKED.iter().try_for_each(|table| catalog::lock_rows(table))?)
}

/// The keys of these customers or movies. Those that are new are added.
pub fn need(names: &'static Names, wanted: &RankedIds) -> Result<Keys, LoadError> {
    let keys = Keys::of(names, wanted)?;
    if wanted.iter().all(|id| keys.get(id).is_some()) {
        return Ok(keys);
    }
    // Two who add customers at a time would find the same next key. The second waits, and then looks again.
    sequence::lock_keys(names.keys_gone)?;
    let keys = Keys::of(names, wanted)?;
    let new = wanted.iter().filter(|&id| keys.get(id).is_none()).map(|id| id as i32).collect::<Vec<_>>();
    let last = dimensions::last_key(names)?;
    if i64::from(last) + new.len() as i64 > i64::from(i32::MAX) {
        return Err(LoadError::TooMany(names.plural));
    }
    let Names { table, key, id, .. } = names;
    query::run(
        &format!(
            "INSERT INTO @extschema@.{table} ({key}, {id}, rating_count)
             SELECT $1 + place::int, id, 0 FROM unnest($2::int[]) WITH ORDINALITY AS new (id, place)"
        ),
        &[last.into(), new.into()],
    )?;
    Keys::of(names, wanted)
}

/// Adds the years of those days that the calendar does not have.
pub fn need_days(days: &[prize_format::Date]) -> Result<(), LoadError> {
    let known = query::select(
        Seen::Now,
        "SELECT date_key FROM @extschema@.dim_date WHERE date_key = ANY ($1)",
        &[days.iter().map(|day| day.key() as i32).collect::<Vec<_>>().into()],
        |row| row.get::<i32>(1)?.ok_or(Error::Null("dim_date")),
    )?;
    let mut missing = days.iter().filter(|day| !known.contains(&(day.key() as i32))).peekable();
    while let Some(&day) = missing.next() {
        // The days of one year mostly come together.
        if missing.peek().is_none_or(|next| next.ymd().0 != day.ymd().0) {
            dimensions::write_calendar(Some((day, day)))?;
        }
    }
    Ok(())
}

/// Inserts ratings whose customers, movies and days are there, and adds them to the counts of both. A pair that somebody else
/// has inserted meanwhile is left out. Gives their keys, sorted, and
/// which of them are of the probe.
pub fn insert(ratings: &[Rating]) -> Result<Vec<(i64, bool)>, LoadError> {
    let column = |of: fn(&Rating) -> i32| ratings.iter().map(of).collect::<Vec<_>>();
    let (customers, movies) = (column(|rating| rating.customer_key), column(|rating| rating.movie_key));
    sequence::catch_up("fact_ratings", "rating_key", "fact_ratings_rating_key_seq")?;
    // All take the rows they are about to change in one order, so that none waits for another in a circle.
    for (Names { table, key, .. }, keys) in [(CUSTOMERS, &customers), (MOVIES, &movies)] {
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
            dimensions::add_to_counts(&CUSTOMERS, "new"),
            dimensions::add_to_counts(&MOVIES, "new")
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
