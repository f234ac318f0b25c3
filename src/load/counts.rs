//! The counts, means and days that dim_customer and dim_movie store about their members' ratings.

use pgrx::datum::Date;

use super::error::LoadError;
use super::members::greatest_key_now;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, interrupt, memory, query};
use crate::storage::scan::scan;
use crate::warehouse::dimension::Dimension;
use crate::warehouse::tables::FACT_RATINGS;

/// Members updated by one statement: each statement may read the whole table.
const MEMBERS_PER_UPDATE: usize = 1_000_000;

/// What a dimension stores about a member's ratings.
#[derive(Clone, Copy, Default, PartialEq)]
struct Tally {
    count: u32,
    sum: u32,
    /// date_key of the first and the last day; 0 if there are no ratings.
    first: u32,
    last: u32,
}

impl Tally {
    fn add(&mut self, rating: i16, date_key: i32) {
        let day = date_key as u32;
        self.count += 1;
        self.sum = self.sum.wrapping_add(rating as u32);
        self.first = if self.first == 0 { day } else { self.first.min(day) };
        self.last = self.last.max(day);
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| f64::from(self.sum) / f64::from(self.count))
    }
}

/// The result of [`recount`].
pub struct Counted {
    /// Ratings of the probe.
    pub probe: u64,
    /// Ratings with a key in the given ranges.
    pub of_load: u64,
}

/// Counts all ratings, and corrects the counts, means and days of customers and movies. The ratings whose keys lie in the ranges
/// `keys`, both ends included, are also counted separately.
pub fn recount(keys: &[(i64, i64)]) -> Result<Counted, LoadError> {
    let greatest = |dimension| Ok::<_, LoadError>(greatest_key_now(dimension)?.max(0) as usize);
    let (customers, movies) = (greatest(Dimension::Customer)?, greatest(Dimension::Movie)?);
    memory::declare("counting the ratings", (customers + movies + 2) * size_of::<Tally>())?;
    let tallies = |highest: usize| -> Result<Vec<Tally>, LoadError> {
        let mut tallies = Vec::new();
        tallies.try_reserve_exact(highest + 1).map_err(|_| pg::Error::OutOfMemory)?;
        tallies.resize(highest + 1, Tally::default());
        Ok(tallies)
    };
    let (mut customers, mut movies) = (tallies(customers)?, tallies(movies)?);
    let columns = ["customer_key", "movie_key", "date_key", "rating", "is_probe", "rating_key"];
    let mut counted = Counted { probe: 0, of_load: 0 };
    scan(&FACT_RATINGS, &columns, Snapshot::Latest, |row| {
        let tally = |tallies: &mut [Tally], key: i32| {
            if let Some(tally) = tallies.get_mut(key as usize) {
                tally.add(row.int2(3), row.int4(2));
            }
        };
        tally(&mut customers, row.int4(0));
        tally(&mut movies, row.int4(1));
        counted.probe += u64::from(row.bool(4));
        let rating_key = row.int8(5);
        let before = keys.partition_point(|&(_, last)| last < rating_key);
        counted.of_load += u64::from(keys.get(before).is_some_and(|&(first, _)| first <= rating_key));
        Ok::<_, LoadError>(())
    })?;
    update(Dimension::Movie, &movies)?;
    update(Dimension::Customer, &customers)?;
    Ok(counted)
}

/// Adds the ratings with this key or a greater one to the counts, means and days of their customers and movies.
pub fn count_from(first_rating_key: i64) -> Result<(), LoadError> {
    let new = "(SELECT * FROM @extschema@.fact_ratings WHERE rating_key >= $1) AS added";
    for dimension in Dimension::ALL {
        query::run(&add_to_counts(dimension, new), &[first_rating_key.into()])?;
    }
    Ok(())
}

/// The statement that adds new ratings to the counts, means and days of a dimension. `new` is a table expression of the new ratings.
pub fn add_to_counts(dimension: Dimension, new: &str) -> String {
    let (table, key) = (dimension.table().name, dimension.key());
    // The mean of a count below 2^50 gives the whole sum back exactly.
    format!(
        "UPDATE @extschema@.{table} AS member SET
             rating_count = member.rating_count + new.count,
             rating_mean = (round(coalesce(member.rating_mean, 0) * member.rating_count) + new.sum)
                           / (member.rating_count + new.count),
             first_rated_on = least(member.first_rated_on, new.first),
             last_rated_on = greatest(member.last_rated_on, new.last)
         FROM (SELECT {key}, count(*), sum(rating)::float8, min(date) AS first, max(date) AS last
               FROM {new} JOIN @extschema@.dim_date USING (date_key) GROUP BY {key}) AS new
         WHERE member.{key} = new.{key}"
    )
}

/// Updates the members whose row in the table differs from their tally.
fn update(dimension: Dimension, tallies: &[Tally]) -> Result<(), LoadError> {
    let (table, key) = (dimension.table().name, dimension.key());
    let query = format!(
        "SELECT {key}, rating_count, rating_mean, first_rated_on, last_rated_on FROM @extschema@.{table}"
    );
    let mut stale = Vec::new();
    query::for_each_row(Snapshot::Latest, &query, &[], |row| {
        let key = row.get::<i32>(1)?.ok_or(pg::Error::Null(table))?;
        let tally = tallies.get(key as usize).copied().unwrap_or_default();
        // A user may have written an infinite date.
        let is_finite = |day: &Date| !day.is_infinity() && !day.is_neg_infinity();
        let day = |day: Option<Date>| {
            let number =
                |day: Date| day.year() as u32 * 10_000 + u32::from(day.month()) * 100 + u32::from(day.day());
            day.filter(is_finite).map_or(0, number)
        };
        let is_right = row.get::<i64>(2)? == Some(i64::from(tally.count))
            && row.get::<f64>(3)? == tally.mean()
            && (day(row.get(4)?), day(row.get(5)?)) == (tally.first, tally.last);
        if !is_right {
            stale.push((key, tally));
        }
        Ok(())
    })?;
    let update = format!(
        "UPDATE @extschema@.{table} AS member SET rating_count = new.count, rating_mean = new.mean,
                first_rated_on = new.first, last_rated_on = new.last
         FROM unnest($1::int[], $2::bigint[], $3::float8[], $4::date[], $5::date[])
              AS new (key, count, mean, first, last)
         WHERE member.{key} = new.key"
    );
    for stale in stale.chunks(MEMBERS_PER_UPDATE) {
        let day =
            |day: u32| Date::new((day / 10_000) as i32, (day / 100 % 100) as u8, (day % 100) as u8).ok();
        query::run(
            &update,
            &[
                stale.iter().map(|(key, _)| *key).collect::<Vec<_>>().into(),
                stale.iter().map(|(_, tally)| i64::from(tally.count)).collect::<Vec<_>>().into(),
                stale.iter().map(|(_, tally)| tally.mean()).collect::<Vec<_>>().into(),
                stale.iter().map(|(_, tally)| day(tally.first)).collect::<Vec<_>>().into(),
                stale.iter().map(|(_, tally)| day(tally.last)).collect::<Vec<_>>().into(),
            ],
        )?;
        interrupt::check();
    }
    Ok(())
}
