//! Customers, movies and days: their keys, and the counts that go with them.

use pgrx::datum::Date;
use pgrx::pg_sys::BuiltinOid;
use pgrx::prelude::*;
use prize_format::{RankedIds, Rating, Title};

use super::error::LoadError;
use crate::pg::bulk::{self, BulkInsert, Indexes};
use crate::pg::scan::Seen;
use crate::pg::{Error, interrupt, query};

/// The names of a dimension's table and columns.
pub struct Names {
    plural: &'static str,
    table: &'static str,
    key: &'static str,
    id: &'static str,
}

pub const CUSTOMERS: Names =
    Names { plural: "customers", table: "dim_customer", key: "customer_key", id: "customer_id" };
pub const MOVIES: Names = Names { plural: "movies", table: "dim_movie", key: "movie_key", id: "movie_id" };

/// customer_key, customer_id, rating_count, rating_mean, first_rated_on, last_rated_on
pub const CUSTOMER: [bulk::Column; 6] = [
    bulk::Column::required(BuiltinOid::INT4OID),
    bulk::Column::required(BuiltinOid::INT4OID),
    bulk::Column::required(BuiltinOid::INT8OID),
    bulk::Column::optional(BuiltinOid::FLOAT8OID),
    bulk::Column::optional(BuiltinOid::DATEOID),
    bulk::Column::optional(BuiltinOid::DATEOID),
];
/// movie_key, movie_id, title, release_year, and the same counts
pub const MOVIE: [bulk::Column; 8] = [
    bulk::Column::required(BuiltinOid::INT4OID),
    bulk::Column::required(BuiltinOid::INT4OID),
    bulk::Column::optional(BuiltinOid::TEXTOID),
    bulk::Column::optional(BuiltinOid::INT2OID),
    bulk::Column::required(BuiltinOid::INT8OID),
    bulk::Column::optional(BuiltinOid::FLOAT8OID),
    bulk::Column::optional(BuiltinOid::DATEOID),
    bulk::Column::optional(BuiltinOid::DATEOID),
];

/// Rows updated by one statement.
const ROWS_A_TURN: usize = 10_000;

/// The members of a dimension that a data set names: those known already and those new to it.
pub struct Dimension<'a> {
    names: &'static Names,
    ids: &'a RankedIds,
    /// By rank of the id.
    members: Vec<Member>,
}

/// A customer or a movie.
#[derive(Clone, Copy, Default)]
struct Member {
    key: i32,
    is_new: bool,
    is_touched: bool,
    ratings: Tally,
}

/// What a dimension tells of its member's ratings.
#[derive(Clone, Copy, Default)]
struct Tally {
    count: i64,
    sum: i64,
    first: Option<prize_format::Date>,
    last: Option<prize_format::Date>,
}

impl Tally {
    fn add(&mut self, rating: &Rating) {
        self.count += 1;
        self.sum += i64::from(rating.rating);
        self.first = Some(self.first.map_or(rating.date, |first| first.min(rating.date)));
        self.last = self.last.max(Some(rating.date));
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// rating_count, rating_mean, first_rated_on, last_rated_on
    fn datums(&self) -> [Option<pg_sys::Datum>; 4] {
        let day = |day: Option<prize_format::Date>| day.and_then(to_postgres).into_datum();
        [self.count.into_datum(), self.mean().into_datum(), day(self.first), day(self.last)]
    }
}

impl<'a> Dimension<'a> {
    /// Finds the keys of the ids that the table knows; the others get the keys that follow, in id order.
    pub fn look_up(names: &'static Names, ids: &'a RankedIds) -> Result<Dimension<'a>, LoadError> {
        let Names { table, key, id, .. } = names;
        let mut members = vec![Member { is_new: true, ..Member::default() }; ids.len()];
        let query = format!(
            "SELECT {id}, {key}, rating_count, coalesce(rating_mean, 0), first_rated_on, last_rated_on
             FROM @extschema@.{table}"
        );
        let mut highest = 0;
        query::select(Seen::Now, &query, &[], |row| {
            let missing = || Error::Null(table);
            let id = row.get::<i32>(1)?.ok_or_else(missing)?;
            let key = row.get::<i32>(2)?.ok_or_else(missing)?;
            highest = highest.max(key);
            if let Some(rank) = ids.rank(id as u32) {
                let count = row.get::<i64>(3)?.ok_or_else(missing)?;
                let mean = row.get::<f64>(4)?.ok_or_else(missing)?;
                let ratings = Tally {
                    count,
                    // The mean of a count below 2^50 gives the whole sum back exactly.
                    sum: (mean * count as f64).round() as i64,
                    first: row.get::<Date>(5)?.and_then(from_postgres),
                    last: row.get::<Date>(6)?.and_then(from_postgres),
                };
                members[rank] = Member { key, is_new: false, is_touched: false, ratings };
            }
            Ok(())
        })?;
        for member in members.iter_mut().filter(|member| member.is_new) {
            highest = i32::checked_add(highest, 1).ok_or(LoadError::TooMany(names.plural))?;
            member.key = highest;
        }
        Ok(Dimension { names, ids, members })
    }

    /// The key of an id of this data set.
    pub fn key(&self, id: u32) -> Option<i32> {
        Some(self.members[self.ids.rank(id)?].key)
    }

    /// Counts a new rating and gives the key.
    pub fn count(&mut self, id: u32, rating: &Rating) -> Option<i32> {
        let member = &mut self.members[self.ids.rank(id)?];
        member.is_touched = true;
        member.ratings.add(rating);
        Some(member.key)
    }

    /// Inserts new members and updates the counts of those that got new ratings. `titles`, by id, is for movies.
    pub fn write(&self, titles: &[Title]) -> Result<(), LoadError> {
        let title =
            |id: u32| titles.binary_search_by_key(&id, |title| title.movie_id).ok().map(|at| &titles[at]);
        let new = self.ids.iter().zip(&self.members).filter(|(_, member)| member.is_new);
        match self.names.table {
            "dim_movie" => {
                let mut rows = BulkInsert::open("dim_movie", MOVIE, Indexes::Maintain)?;
                for (id, member) in new {
                    let title = title(id);
                    rows.push(|| {
                        let name = title.map(|title| title.title.as_str());
                        let year = title.and_then(|title| title.release_year).map(|year| year as i16);
                        let [count, mean, first, last] = member.ratings.datums();
                        let key = member.key.into_datum();
                        let id = (id as i32).into_datum();
                        [key, id, name.into_datum(), year.into_datum(), count, mean, first, last]
                    });
                }
                rows.finish();
            }
            table => {
                let mut rows = BulkInsert::open(table, CUSTOMER, Indexes::Maintain)?;
                for (id, member) in new {
                    rows.push(|| {
                        let [count, mean, first, last] = member.ratings.datums();
                        [member.key.into_datum(), (id as i32).into_datum(), count, mean, first, last]
                    });
                }
                rows.finish();
            }
        }
        self.update_counts()?;
        self.update_titles(titles)
    }

    fn update_counts(&self) -> Result<(), LoadError> {
        let Names { table, key, .. } = self.names;
        let update = format!(
            "UPDATE @extschema@.{table} AS member SET rating_count = new.count, rating_mean = new.mean,
                    first_rated_on = new.first, last_rated_on = new.last
             FROM unnest($1::int[], $2::bigint[], $3::float8[], $4::date[], $5::date[])
                  AS new (key, count, mean, first, last)
             WHERE member.{key} = new.key"
        );
        let touched = self.members.iter().filter(|member| member.is_touched && !member.is_new);
        for members in touched.collect::<Vec<_>>().chunks(ROWS_A_TURN) {
            let column = |value: fn(&Member) -> i64| members.iter().map(|m| value(m)).collect::<Vec<_>>();
            let day = |day: fn(&Tally) -> Option<prize_format::Date>| {
                members.iter().map(|m| day(&m.ratings).and_then(to_postgres)).collect::<Vec<_>>()
            };
            let keys = members.iter().map(|m| m.key).collect::<Vec<_>>();
            let means = members.iter().map(|m| m.ratings.mean()).collect::<Vec<_>>();
            query::run(
                &update,
                &[
                    keys.into(),
                    column(|m| m.ratings.count).into(),
                    means.into(),
                    day(|t| t.first).into(),
                    day(|t| t.last).into(),
                ],
            )?;
            interrupt::check();
        }
        Ok(())
    }

    /// Movies that were there before their titles get them.
    fn update_titles(&self, titles: &[Title]) -> Result<(), LoadError> {
        let is_old =
            |title: &&Title| self.ids.rank(title.movie_id).is_some_and(|rank| !self.members[rank].is_new);
        for titles in titles.iter().filter(is_old).collect::<Vec<_>>().chunks(ROWS_A_TURN) {
            let ids = titles.iter().map(|title| title.movie_id as i32).collect::<Vec<_>>();
            let names = titles.iter().map(|title| title.title.clone()).collect::<Vec<_>>();
            let years = titles.iter().map(|title| title.release_year.map(|y| y as i16)).collect::<Vec<_>>();
            query::run(
                "UPDATE @extschema@.dim_movie AS movie SET title = new.title, release_year = new.release_year
                 FROM unnest($1::int[], $2::text[], $3::smallint[]) AS new (movie_id, title, release_year)
                 WHERE movie.movie_id = new.movie_id AND movie.title IS NULL",
                &[ids.into(), names.into(), years.into()],
            )?;
        }
        Ok(())
    }
}

/// Adds the days of every year from the first to the last.
pub fn write_calendar(days: Option<(prize_format::Date, prize_format::Date)>) -> Result<(), LoadError> {
    let Some((first, last)) = days else { return Ok(()) };
    let year = |date: prize_format::Date| date.ymd().0 as i32;
    query::run(
        "INSERT INTO @extschema@.dim_date
         SELECT to_char(day::timestamp, 'YYYYMMDD')::int, day, extract(year FROM day), extract(quarter FROM day),
                extract(month FROM day), to_char(day::timestamp, 'FMMonth'), extract(week FROM day), extract(day FROM day),
                extract(isodow FROM day), to_char(day::timestamp, 'FMDay'), extract(isodow FROM day) >= 6
         FROM (SELECT make_date($1, 1, 1) + n AS day
               FROM generate_series(0, make_date($2, 12, 31) - make_date($1, 1, 1)) AS n) AS days
         ON CONFLICT DO NOTHING",
        &[year(first).into(), year(last).into()],
    )?;
    Ok(())
}

fn to_postgres(date: prize_format::Date) -> Option<Date> {
    let (year, month, day) = date.ymd();
    Date::new(year as i32, month as u8, day as u8).ok()
}

fn from_postgres(date: Date) -> Option<prize_format::Date> {
    prize_format::Date::new(date.year() as u32, date.month().into(), date.day().into())
}
