//! Customers, movies and days: their keys, and the counts that go with them.

use pgrx::datum::Date;
use pgrx::pg_sys::BuiltinOid;
use pgrx::prelude::*;
use prize_format::{IdSet, RankedIds, Title};

use super::error::LoadError;
use crate::pg::bulk::BulkInsert;
use crate::pg::scan::{Column, Seen, scan};
use crate::pg::{self, Error, interrupt, query, sequence};

/// The names of a dimension's table and columns.
pub struct Names {
    pub plural: &'static str,
    pub table: &'static str,
    pub key: &'static str,
    pub id: &'static str,
    /// The sequence that remembers the keys of rows that are gone.
    pub keys_gone: &'static str,
}

pub const CUSTOMERS: Names = Names {
    plural: "customers",
    table: "dim_customer",
    key: "customer_key",
    id: "customer_id",
    keys_gone: "dim_customer_customer_key_seq",
};
pub const MOVIES: Names = Names {
    plural: "movies",
    table: "dim_movie",
    key: "movie_key",
    id: "movie_id",
    keys_gone: "dim_movie_movie_key_seq",
};

/// Rows updated by one statement: each may read the whole table.
const ROWS_A_TURN: usize = 1_000_000;

/// The keys of a dimension's members, by id.
pub struct Keys {
    names: &'static Names,
    ids: RankedIds,
    /// By rank of the id.
    keys: Vec<i32>,
}

impl Keys {
    /// Reads those that the table knows now.
    pub fn read(names: &'static Names) -> Result<Keys, LoadError> {
        let int = |name| Column { name, type_oid: BuiltinOid::INT4OID };
        let (mut ids, mut pairs) = (IdSet::default(), Vec::new());
        scan(names.table, &[int(names.key), int(names.id)], Seen::Now, |row| {
            let (key, id) = (row.int4(0), row.int4(1) as u32);
            ids.insert(id);
            pairs.try_reserve(1).map_err(|_| prize_format::Error::OutOfMemory)?;
            pairs.push((id, key));
            Ok::<_, LoadError>(())
        })?;
        pairs.sort_unstable();
        let keys = pairs.into_iter().map(|(_, key)| key).collect();
        Ok(Keys { names, ids: ids.rank(), keys })
    }

    /// Looks up those of a few ids.
    pub fn of(names: &'static Names, wanted: &RankedIds) -> Result<Keys, LoadError> {
        let query = format!(
            "SELECT {key}, {id} FROM @extschema@.{table} WHERE {id} = ANY ($1) ORDER BY {id}",
            key = names.key,
            id = names.id,
            table = names.table
        );
        let wanted = wanted.iter().map(|id| id as i32).collect::<Vec<_>>();
        let (mut ids, mut keys) = (IdSet::default(), Vec::new());
        query::each(Seen::Now, &query, &[wanted.into()], |row| {
            let int = |column| row.get::<i32>(column)?.ok_or(Error::Null(names.table));
            keys.push(int(1)?);
            ids.insert(int(2)? as u32);
            Ok(())
        })?;
        Ok(Keys { names, ids: ids.rank(), keys })
    }

    /// The key of an id.
    #[inline]
    pub fn get(&self, id: u32) -> Option<i32> {
        Some(self.keys[self.ids.rank(id)?])
    }

    /// The id of each key, 0 where there is none.
    pub fn ids(&self) -> Result<Vec<u32>, LoadError> {
        let highest = self.keys.iter().copied().max().unwrap_or(0).max(0) as usize;
        pg::check_memory("loading", (highest + 1) * size_of::<u32>())?;
        let mut ids = Vec::new();
        ids.try_reserve_exact(highest + 1).map_err(|_| prize_format::Error::OutOfMemory)?;
        ids.resize(highest + 1, 0);
        for (id, &key) in self.ids.iter().zip(&self.keys) {
            ids[key.max(0) as usize] = id;
        }
        Ok(ids)
    }

    /// Inserts those of the ids that are new, with the keys that follow, in id order. `titles`, by id, are of the new ones
    /// among movies.
    pub fn add(&self, wanted: &RankedIds, titles: &[Title]) -> Result<(), LoadError> {
        let new = wanted.iter().filter(|&id| self.ids.rank(id).is_none());
        let mut key = last_key(self.names)?;
        let mut next = || {
            key = key.checked_add(1).ok_or(LoadError::TooMany(self.names.plural))?;
            Ok::<_, LoadError>(key)
        };
        let none = 0i64;
        if self.names.table == "dim_movie" {
            let mut rows = BulkInsert::open("dim_movie")?;
            for id in new {
                let key = next()?;
                let title =
                    titles.binary_search_by_key(&id, |title| title.movie_id).ok().map(|at| &titles[at]);
                rows.push(|| {
                    let name = title.and_then(|title| title.title.as_deref()).into_datum();
                    let year =
                        title.and_then(|title| title.release_year).map(|year| year as i16).into_datum();
                    [
                        key.into_datum(),
                        (id as i32).into_datum(),
                        name,
                        year,
                        none.into_datum(),
                        None,
                        None,
                        None,
                    ]
                });
            }
            rows.finish();
            return Ok(());
        }
        let mut rows = BulkInsert::open(self.names.table)?;
        for id in new {
            let key = next()?;
            rows.push(|| [key.into_datum(), (id as i32).into_datum(), none.into_datum(), None, None, None]);
        }
        rows.finish();
        Ok(())
    }

    /// Gives movies that were there before the titles and years of these, by id. A line without a title changes none. Gives how
    /// many had others.
    pub fn retitle(&self, titles: &[Title]) -> Result<u64, LoadError> {
        let is_old = |title: &&Title| self.get(title.movie_id).is_some();
        let mut replaced = 0;
        for titles in titles.iter().filter(is_old).collect::<Vec<_>>().chunks(ROWS_A_TURN) {
            let ids = titles.iter().map(|title| title.movie_id as i32).collect::<Vec<_>>();
            let names = titles.iter().map(|title| title.title.clone()).collect::<Vec<_>>();
            let years = titles.iter().map(|title| title.release_year.map(|y| y as i16)).collect::<Vec<_>>();
            let count = query::run_one::<i64>(
                "WITH changed AS (
                     UPDATE @extschema@.dim_movie AS movie SET title = new.title, release_year = new.release_year
                     FROM unnest($1::int[], $2::text[], $3::smallint[]) AS new (movie_id, title, release_year)
                          JOIN @extschema@.dim_movie AS old USING (movie_id)
                     WHERE movie.movie_id = new.movie_id AND (new.title IS NOT NULL OR old.title IS NULL)
                       AND (old.title, old.release_year) IS DISTINCT FROM (new.title, new.release_year)
                     RETURNING old.title IS NOT NULL AS had_one
                 )
                 SELECT count(*) FROM changed WHERE had_one",
                &[ids.into(), names.into(), years.into()],
            )?;
            replaced += count.unwrap_or(0) as u64;
        }
        Ok(replaced)
    }
}

/// The greatest key that any row has or had.
pub fn last_key(names: &Names) -> Result<i32, LoadError> {
    let query = format!("SELECT max({}) FROM @extschema@.{}", names.key, names.table);
    let highest = query::select_one::<i32>(Seen::Now, &query, &[])?.unwrap_or(0);
    Ok(i64::from(highest).max(sequence::last(names.keys_gone)?) as i32)
}

/// What a dimension tells of its member's ratings.
#[derive(Clone, Copy, Default, PartialEq)]
struct Tally {
    count: u32,
    sum: u32,
    /// Keys of the first and the last day; 0 where there is none.
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

/// What a recount found.
pub struct Counted {
    /// Ratings of the probe.
    pub probe: u64,
    /// Ratings whose keys are among those that were asked for.
    pub of_load: u64,
}

/// Counts all ratings, and mends the counts, means and days of the customers and movies where they are others. `keys` are
/// ranges of rating keys, their ends included, whose ratings are counted apart.
pub fn recount(keys: &[(i64, i64)]) -> Result<Counted, LoadError> {
    let highest = |names: &Names| -> Result<usize, LoadError> {
        let query = format!("SELECT max({}) FROM @extschema@.{}", names.key, names.table);
        Ok(query::select_one::<i32>(Seen::Now, &query, &[])?.unwrap_or(0).max(0) as usize)
    };
    let (customers, movies) = (highest(&CUSTOMERS)?, highest(&MOVIES)?);
    pg::require_memory("counting the ratings", (customers + movies + 2) * size_of::<Tally>())?;
    let tallies = |highest: usize| -> Result<Vec<Tally>, LoadError> {
        let mut tallies = Vec::new();
        tallies.try_reserve_exact(highest + 1).map_err(|_| Error::OutOfMemory)?;
        tallies.resize(highest + 1, Tally::default());
        Ok(tallies)
    };
    let (mut customers, mut movies) = (tallies(customers)?, tallies(movies)?);
    let column = |name, type_oid| Column { name, type_oid };
    let columns = [
        column("customer_key", BuiltinOid::INT4OID),
        column("movie_key", BuiltinOid::INT4OID),
        column("date_key", BuiltinOid::INT4OID),
        column("rating", BuiltinOid::INT2OID),
        column("is_probe", BuiltinOid::BOOLOID),
        column("rating_key", BuiltinOid::INT8OID),
    ];
    let mut counted = Counted { probe: 0, of_load: 0 };
    scan("fact_ratings", &columns, Seen::Now, |row| {
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
    write(&MOVIES, &movies)?;
    write(&CUSTOMERS, &customers)?;
    Ok(counted)
}

/// Adds the ratings with keys from this one on to the counts, means and days of their customers and movies.
pub fn count_from(first_rating_key: i64) -> Result<(), LoadError> {
    let new = "(SELECT * FROM @extschema@.fact_ratings WHERE rating_key >= $1) AS added";
    for names in [CUSTOMERS, MOVIES] {
        query::run(&add_to_counts(&names, new), &[first_rating_key.into()])?;
    }
    Ok(())
}

/// The statement that adds new ratings, rows of `new`, to the counts, means and days of a dimension.
pub fn add_to_counts(names: &Names, new: &str) -> String {
    let Names { table, key, .. } = names;
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

/// Updates those members whose tallies are not what the table says.
fn write(names: &Names, tallies: &[Tally]) -> Result<(), LoadError> {
    let Names { table, key, .. } = names;
    let query = format!(
        "SELECT {key}, rating_count, rating_mean, first_rated_on, last_rated_on FROM @extschema@.{table}"
    );
    let mut stale = Vec::new();
    query::each(Seen::Now, &query, &[], |row| {
        let key = row.get::<i32>(1)?.ok_or(Error::Null(table))?;
        let tally = tallies.get(key as usize).copied().unwrap_or_default();
        // Somebody may have written a day that is none.
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
    for stale in stale.chunks(ROWS_A_TURN) {
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

/// The days of the calendar.
pub struct Days {
    /// Their date_keys.
    keys: RankedIds,
}

impl Days {
    /// Reads those that there are now.
    pub fn read() -> Result<Days, LoadError> {
        let mut keys = IdSet::default();
        query::each(Seen::Now, "SELECT date_key FROM @extschema@.dim_date", &[], |row| {
            if let Some(key) = row.get::<i32>(1)? {
                keys.insert(key.max(0) as u32);
            }
            Ok(())
        })?;
        Ok(Days { keys: keys.rank() })
    }

    /// Adds a day's year to the calendar where the day is missing.
    #[inline]
    pub fn need(&mut self, day: prize_format::Date) -> Result<(), LoadError> {
        if self.keys.rank(day.key()).is_none() {
            write_calendar(Some((day, day)))?;
            *self = Days::read()?;
        }
        Ok(())
    }
}

/// Adds the days of every year from the first to the last.
pub fn write_calendar(days: Option<(prize_format::Date, prize_format::Date)>) -> Result<(), LoadError> {
    let Some((first, last)) = days else { return Ok(()) };
    let year = |date: prize_format::Date| date.ymd().0 as i32;
    query::run(
        "INSERT INTO @extschema@.dim_date (date_key, date, year, quarter, month, month_name, week, day, day_of_week,
                                           day_name, is_weekend)
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
