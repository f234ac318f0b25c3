//! Reads what charts of the ratings show.

use ::chart::Count;

use super::Drawing;
use super::error::ReportError;
use crate::pg::prepared::Prepared;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, query};

/// Ratings by month, weekday and stars, in one scan, which PostgreSQL can divide between workers.
pub static COUNTS: Prepared = Prepared(
    "SELECT d.year::int, d.month::int, d.day_of_week::int, f.rating::int, sum(f.number)::bigint
    FROM (SELECT date_key, rating, count(*) AS number FROM @extschema@.fact_ratings GROUP BY date_key, rating) AS f
    JOIN @extschema@.dim_date d USING (date_key)
    GROUP BY d.year, d.month, d.day_of_week, f.rating ORDER BY d.year, d.month, d.day_of_week, f.rating",
);

/// How many customers have so many ratings, and how many movies.
pub const CUSTOMERS: &str =
    "SELECT rating_count, count(*) FROM @extschema@.dim_customer GROUP BY rating_count ORDER BY rating_count";
pub const MOVIES: &str =
    "SELECT rating_count, count(*) FROM @extschema@.dim_movie GROUP BY rating_count ORDER BY rating_count";

pub fn counts() -> Result<Vec<Count>, pg::Error> {
    COUNTS.all(&[], |row| {
        let whole = |column| row.need::<i32>(column, "dim_date");
        let count = row.need::<i64>(5, "fact_ratings")?;
        Ok(Count { year: whole(1)?, month: whole(2)?, day_of_week: whole(3)?, stars: whole(4)?, count })
    })
}

/// Pairs of a number of ratings and how many have it.
pub fn pairs(query: &str) -> Result<Vec<(i64, i64)>, pg::Error> {
    query::select(Snapshot::Statement, query, &[], |row| {
        Ok((row.get::<i64>(1)?.unwrap_or(0), row.get::<i64>(2)?.unwrap_or(0)))
    })
}

pub fn distribution() -> Result<Drawing, ReportError> {
    let stars = ::chart::stars(&counts()?);
    Ok(Box::new(move |canvas| ::chart::distribution(&stars, canvas)))
}

pub fn by_month() -> Result<Drawing, ReportError> {
    let months = ::chart::months(&counts()?);
    Ok(Box::new(move |canvas| ::chart::by_month(&months, canvas)))
}

pub fn mean_by_month() -> Result<Drawing, ReportError> {
    let months = ::chart::months(&counts()?);
    Ok(Box::new(move |canvas| ::chart::mean_by_month(&months, canvas)))
}

pub fn by_weekday() -> Result<Drawing, ReportError> {
    let days = ::chart::weekdays(&counts()?);
    Ok(Box::new(move |canvas| ::chart::by_weekday(&days, canvas)))
}

pub fn activity() -> Result<Drawing, ReportError> {
    let (customers, movies) = (pairs(CUSTOMERS)?, pairs(MOVIES)?);
    Ok(Box::new(move |canvas| ::chart::activity(&customers, &movies, canvas)))
}
