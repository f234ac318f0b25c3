//! Ratings from any query: `ratings_load`. All in the caller's transaction.

use pgrx::datum::Date;
use prize_format::{IdSet, Reason, Reject};

use super::dimensions::{self, CUSTOMERS, Keys, MOVIES};
use super::error::LoadError;
use super::guard::OwnWork;
use super::{few, ledger};
use crate::pg::bulk::{FixedInsert, Space};
use crate::pg::ratings::Fact;
use crate::pg::scan::Seen;
use crate::pg::{self, Error, catalog, index, interrupt, query, unfinished};

/// A row of the query that can be used. They sort by movie and customer, and then by their place among the rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    movie_id: u32,
    customer_id: u32,
    number: u64,
    date: prize_format::Date,
    rating: u8,
}

/// What the query gave.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    customers: IdSet,
    movies: IdSet,
    days: Option<(prize_format::Date, prize_format::Date)>,
    rejects: Vec<Reject>,
    rejected: u64,
    max_rejects: Option<u64>,
}

/// How many rejects are listed when any number is allowed, and at the most.
const LISTED_OF_ANY: u64 = 1000;
const LISTED_AT_MOST: u64 = 100_000;

/// Ratings looked up by one statement.
const ROWS_A_TURN: usize = 10_000;

/// Loads the ratings that a query gives; it runs with the caller's search_path.
pub fn load(sql: &str, max_rejects: Option<u64>) -> Result<ledger::Run, LoadError> {
    let sql = sql.trim().trim_end_matches([';', ' ', '\n']);
    // A table's name, or nothing: the server would find fault with a parenthesis that the user never wrote.
    if !sql.contains(char::is_whitespace) && !sql.starts_with('(') {
        return Err(LoadError::NoQuery(sql.into()));
    }
    let mut rows = Rows { max_rejects, ..Rows::default() };
    rows.read(sql)?;
    query::pinned(|| {
        unfinished::refuse_restore("ratings_load")?;
        if rows.rows.len() <= few::MOST && !ledger::is_empty("fact_ratings")? {
            unfinished::refuse_first_load("ratings_load")?;
            return rows.insert_few();
        }
        catalog::lock_load()?;
        if let Some(run) = ledger::unfinished()? {
            return Err(LoadError::Unfinished { path: run.path.unwrap_or_default() });
        }
        super::LOCKED.iter().try_for_each(|table| catalog::lock_writers(table))?;
        rows.insert()
    })
}

impl Rows {
    /// Reads what the query gives, checked as the lines of a file are.
    fn read(&mut self, sql: &str) -> Result<(), LoadError> {
        // The end of the line ends a comment.
        let sql = format!(
            "SELECT customer_id::pg_catalog.int8, movie_id::pg_catalog.int8, rating::pg_catalog.float8,
                    rated_on::pg_catalog.date
             FROM ({sql}\n) AS ratings"
        );
        let mut number = 0;
        query::each_of_any(&sql, |row| {
            number += 1;
            self.add(number, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)
        })
    }

    fn add(
        &mut self,
        number: u64,
        customer_id: Option<i64>,
        movie_id: Option<i64>,
        rating: Option<f64>,
        date: Option<Date>,
    ) -> Result<(), LoadError> {
        let checked = check(customer_id, movie_id, rating, date);
        let (customer_id, movie_id, rating, date) = match checked {
            Ok(checked) => checked,
            Err(reason) => {
                let text = |value: Option<String>| value.unwrap_or_else(|| "NULL".into());
                let (customer, movie) =
                    (customer_id.map(|id| id.to_string()), movie_id.map(|id| id.to_string()));
                // Whatever the session's DateStyle.
                let iso = |day: Date| match (day.is_infinity(), day.is_neg_infinity()) {
                    (false, false) => format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day()),
                    (_, is_negative) => if is_negative { "-infinity" } else { "infinity" }.into(),
                };
                let (rating, date) = (rating.map(|rating| rating.to_string()), date.map(iso));
                let text = format!("{},{},{},{}", text(customer), text(movie), text(rating), text(date));
                return self.reject(number, text, reason);
            }
        };
        if self.rows.len() == self.rows.capacity() {
            pg::check_memory("loading", 2 * self.rows.len() * size_of::<Row>())?;
            self.rows.try_reserve(1).map_err(|_| Error::OutOfMemory)?;
        }
        self.customers.insert(customer_id);
        self.movies.insert(movie_id);
        let (first, last) = self.days.get_or_insert((date, date));
        (*first, *last) = (date.min(*first), date.max(*last));
        self.rows.push(Row { movie_id, customer_id, number, date, rating });
        Ok(())
    }

    fn reject(&mut self, line: u64, text: String, reason: Reason) -> Result<(), LoadError> {
        self.rejected += 1;
        let reject = Reject { file: 0, line, text, reason };
        if self.max_rejects.is_some_and(|max| self.rejected > max) {
            let first = self.rejects.first().cloned().unwrap_or(reject);
            return Err(LoadError::TooManyRejects { max: self.max_rejects.unwrap_or(0), first });
        }
        if self.rejected <= self.max_rejects.unwrap_or(LISTED_OF_ANY).min(LISTED_AT_MOST) {
            self.rejects.push(reject);
        }
        Ok(())
    }

    fn insert(mut self) -> Result<ledger::Run, LoadError> {
        let read = self.rows.len() as u64;
        self.rows.sort_unstable();
        let customers = std::mem::take(&mut self.customers).rank();
        let movies = std::mem::take(&mut self.movies).rank();
        dimensions::write_calendar(self.days)?;
        Keys::read(&CUSTOMERS)?.add(&customers, &[])?;
        Keys::read(&MOVIES)?.add(&movies, &[])?;
        let (customers, movies) = (Keys::read(&CUSTOMERS)?, Keys::read(&MOVIES)?);
        let rows = self.leave_out_duplicates(&customers, &movies)?;

        let _own_work = OwnWork::begin();
        let is_first = !rows.is_empty() && ledger::is_empty("fact_ratings")?;
        let first_rating_key = ledger::next_rating_key(is_first)?;
        ledger::reserve_rating_keys(first_rating_key, rows.len() as u64)?;
        let aside = if is_first { index::set_aside("fact_ratings")? } else { Vec::new() };
        let space = if is_first { Space::Behind } else { Space::Free };
        let mut facts = FixedInsert::<Fact>::open("fact_ratings", space)?;
        for (row, rating_key) in rows.iter().zip(first_rating_key..) {
            let customer_key = customers.get(row.customer_id).ok_or(Error::Null("customer_key"))?;
            let movie_key = movies.get(row.movie_id).ok_or(Error::Null("movie_key"))?;
            let (date_key, rating) = (row.date.key() as i32, i16::from(row.rating));
            facts.push(Fact { rating_key, customer_key, movie_key, date_key, rating, is_probe: false });
        }
        facts.finish();
        index::aside("fact_ratings", &aside)?.into_iter().for_each(index::rebuild);
        dimensions::count_from(first_rating_key)?;
        self.enter(read, rows.len() as u64, first_rating_key, is_first)
    }

    /// Inserts a few rows by SQL: nobody else is kept from writing, and nothing is read that grows with the warehouse.
    fn insert_few(mut self) -> Result<ledger::Run, LoadError> {
        let read = self.rows.len() as u64;
        self.rows.sort_unstable();
        let days = self.rows.iter().map(|row| row.date).collect::<Vec<_>>();
        few::lock()?;
        few::need_days(&days)?;
        let customers = few::need(&CUSTOMERS, &std::mem::take(&mut self.customers).rank())?;
        let movies = few::need(&MOVIES, &std::mem::take(&mut self.movies).rank())?;
        let rows = self.leave_out_duplicates(&customers, &movies)?;
        let ratings = rows
            .iter()
            .map(|row| {
                Ok(few::Rating {
                    customer_key: customers.get(row.customer_id).ok_or(Error::Null("customer_key"))?,
                    movie_key: movies.get(row.movie_id).ok_or(Error::Null("movie_key"))?,
                    date_key: row.date.key() as i32,
                    rating: row.rating.into(),
                })
            })
            .collect::<Result<Vec<_>, LoadError>>()?;
        let keys = few::insert(&ratings)?;
        self.enter(read, keys.len() as u64, keys.first().copied().unwrap_or(0), false)
    }

    /// Enters the load, which is completed, in the ledger.
    fn enter(
        &self,
        read: u64,
        loaded: u64,
        first_rating_key: i64,
        is_first: bool,
    ) -> Result<ledger::Run, LoadError> {
        let run_id = ledger::begin(&ledger::Plan {
            path: None,
            files: &[],
            rejects: &self.rejects,
            units: &[],
            has_qualifying: false,
            ratings_read: read,
            duplicates: read - loaded,
            rejected: self.rejected,
            first_rating_key,
            is_first,
            indexes_aside: &[],
            is_completed: true,
        })?;
        ledger::count_since(run_id)?;
        ledger::run(run_id)?.ok_or(LoadError::Order)
    }

    /// The rows whose customer has not rated the movie before, in this query or in what is loaded.
    fn leave_out_duplicates(&mut self, customers: &Keys, movies: &Keys) -> Result<Vec<Row>, LoadError> {
        let mut kept = Vec::new();
        let all = std::mem::take(&mut self.rows);
        let mut conflicts = Vec::new();
        for same in all.chunk_by(|a, b| (a.movie_id, a.customer_id) == (b.movie_id, b.customer_id)) {
            let Some((first, rest)) = same.split_first() else { continue };
            kept.try_reserve(1).map_err(|_| Error::OutOfMemory)?;
            kept.push(*first);
            let other = rest.iter().filter(|row| (row.rating, row.date) != (first.rating, first.date));
            conflicts.extend(other.map(|row| (*row, first.rating, first.date)));
        }
        drop(all);
        let mut new = Vec::new();
        new.try_reserve_exact(kept.len()).map_err(|_| Error::OutOfMemory)?;
        for rows in kept.chunks(ROWS_A_TURN) {
            let mut loaded = vec![None; rows.len()];
            let key = |key: Option<i32>| key.unwrap_or(0);
            query::each(
                Seen::Now,
                "SELECT pair.number, f.rating, f.date_key
                 FROM unnest($1::int[], $2::int[]) WITH ORDINALITY AS pair (customer_key, movie_key, number)
                 JOIN @extschema@.fact_ratings f USING (customer_key, movie_key)",
                &[
                    rows.iter().map(|row| key(customers.get(row.customer_id))).collect::<Vec<_>>().into(),
                    rows.iter().map(|row| key(movies.get(row.movie_id))).collect::<Vec<_>>().into(),
                ],
                |row| {
                    let missing = || Error::Null("fact_ratings");
                    let number = row.get::<i64>(1)?.ok_or_else(missing)? as usize;
                    let rating = row.get::<i16>(2)?.ok_or_else(missing)? as u8;
                    let day = row.get::<i32>(3)?.ok_or_else(missing)? as u32;
                    loaded[number - 1] = prize_format::Date::new(day / 10_000, day / 100 % 100, day % 100)
                        .map(|date| (rating, date));
                    Ok(())
                },
            )?;
            for (row, loaded) in rows.iter().zip(loaded) {
                match loaded {
                    None => new.push(*row),
                    Some((rating, date)) if (rating, date) == (row.rating, row.date) => {}
                    Some((rating, date)) => conflicts.push((*row, rating, date)),
                }
            }
            interrupt::check();
        }
        conflicts.sort_unstable_by_key(|(row, ..)| row.number);
        for (Row { number, customer_id, movie_id, rating, date }, rating_before, date_before) in conflicts {
            let text = format!("{customer_id},{movie_id},{rating},{date}");
            self.reject(number, text, Reason::Conflict { rating: rating_before, date: date_before })?;
        }
        Ok(new)
    }
}

/// The values of a row as they must be.
fn check(
    customer_id: Option<i64>,
    movie_id: Option<i64>,
    rating: Option<f64>,
    date: Option<Date>,
) -> Result<(u32, u32, u8, prize_format::Date), Reason> {
    let id = |id: Option<i64>| id.filter(|id| (1..=i64::from(i32::MAX)).contains(id)).map(|id| id as u32);
    let customer_id = id(customer_id).ok_or(Reason::Customer)?;
    let movie_id = id(movie_id).ok_or(Reason::Movie)?;
    let rating = rating.filter(|rating| [1.0, 2.0, 3.0, 4.0, 5.0].contains(rating)).ok_or(Reason::Rating)?;
    let day = |date: Date| {
        prize_format::Date::new(u32::try_from(date.year()).ok()?, date.month().into(), date.day().into())
    };
    let is_finite = |date: &Date| !date.is_infinity() && !date.is_neg_infinity();
    let date = date.filter(is_finite).and_then(day).ok_or(Reason::Date)?;
    Ok((customer_id, movie_id, rating as u8, date))
}
