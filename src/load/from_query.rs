//! Ratings from any query: `ratings_load`. All in the caller's transaction.

use pgrx::notice;
use prize_format::{IdSet, Reason, Reject};

use super::dimensions::{self, CUSTOMERS, Keys, MOVIES};
use super::error::LoadError;
use super::guard::OwnWork;
use super::query_columns::{GivenRating, OffScale, RatingColumns};
use super::{few, ledger};
use crate::pg::bulk::{FixedInsert, Space};
use crate::pg::ratings::Fact;
use crate::pg::scan::Seen;
use crate::pg::{self, Error, catalog, index, interrupt, query, unfinished, user_query};

/// A row of the query that can be used. They sort by movie and customer, and then by their place among the rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    movie_id: u32,
    customer_id: u32,
    number: u64,
    date: prize_format::Date,
    rating: u8,
    is_probe: bool,
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
    /// Whether the query says which ratings are of the probe.
    has_probe: bool,
}

/// How many rejects are listed when any number is allowed, and at the most.
const LISTED_OF_ANY: u64 = 1000;
const LISTED_AT_MOST: u64 = 100_000;

/// Ratings looked up by one statement.
const ROWS_A_TURN: usize = 10_000;

/// Loads the ratings that a query gives; it runs with the caller's search_path.
pub fn load(sql: &str, max_rejects: Option<u64>) -> Result<ledger::Run, LoadError> {
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
        let (mut number, mut scale) = (0, OffScale::default());
        user_query::each(sql, RatingColumns::choose, |columns, row| {
            number += 1;
            self.has_probe = columns.has_probe();
            scale.see(columns.stars(&row));
            let read = match columns.read(&row) {
                Ok(given) => self.add(number, given),
                Err(reason) => self.reject(number, columns.text(&row), reason),
            };
            // That all are on another scale tells more than the first of them.
            read.map_err(|error| scale.check().err().unwrap_or(error))
        })?;
        scale.check()
    }

    fn add(&mut self, number: u64, given: GivenRating) -> Result<(), LoadError> {
        let GivenRating { customer_id, movie_id, rating, date, is_probe } = given;
        if self.rows.len() == self.rows.capacity() {
            pg::check_memory("loading", 2 * self.rows.len() * size_of::<Row>())?;
            self.rows.try_reserve(1).map_err(|_| Error::OutOfMemory)?;
        }
        self.customers.insert(customer_id);
        self.movies.insert(movie_id);
        let (first, last) = self.days.get_or_insert((date, date));
        (*first, *last) = (date.min(*first), date.max(*last));
        self.rows.push(Row { movie_id, customer_id, number, date, rating, is_probe });
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
            let (date_key, rating, is_probe) = (row.date.key() as i32, i16::from(row.rating), row.is_probe);
            facts.push(Fact { rating_key, customer_key, movie_key, date_key, rating, is_probe });
        }
        facts.finish();
        index::aside("fact_ratings", &aside)?.into_iter().for_each(index::rebuild);
        dimensions::count_from(first_rating_key)?;
        let probe = rows.iter().filter(|row| row.is_probe).count() as u64;
        self.enter(read, rows.len() as u64, probe, first_rating_key, is_first)
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
                    is_probe: row.is_probe,
                })
            })
            .collect::<Result<Vec<_>, LoadError>>()?;
        let inserted = few::insert(&ratings)?;
        let probe = inserted.iter().filter(|(_, is_probe)| *is_probe).count() as u64;
        self.enter(read, inserted.len() as u64, probe, inserted.first().map_or(0, |&(key, _)| key), false)
    }

    /// Enters the load, which is completed, in the ledger.
    fn enter(
        &self,
        read: u64,
        loaded: u64,
        probe: u64,
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
        ledger::count_since(run_id, probe)?;
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
        let mut marked_otherwise = 0u64;
        let mut new = Vec::new();
        new.try_reserve_exact(kept.len()).map_err(|_| Error::OutOfMemory)?;
        for rows in kept.chunks(ROWS_A_TURN) {
            let mut loaded = vec![None; rows.len()];
            let key = |key: Option<i32>| key.unwrap_or(0);
            query::each(
                Seen::Now,
                "SELECT pair.number, f.rating, f.date_key, f.is_probe
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
                    let is_probe = row.get::<bool>(4)?.ok_or_else(missing)?;
                    loaded[number - 1] = prize_format::Date::new(day / 10_000, day / 100 % 100, day % 100)
                        .map(|date| (rating, date, is_probe));
                    Ok(())
                },
            )?;
            for (row, loaded) in rows.iter().zip(loaded) {
                match loaded {
                    None => new.push(*row),
                    Some((rating, date, is_probe)) if (rating, date) == (row.rating, row.date) => {
                        marked_otherwise += u64::from(is_probe != row.is_probe);
                    }
                    Some((rating, date, _)) => conflicts.push((*row, rating, date)),
                }
            }
            interrupt::check();
        }
        if self.has_probe && marked_otherwise > 0 {
            notice!(
                "{marked_otherwise} ratings that are loaded already keep their is_probe, which the query has otherwise"
            );
        }
        conflicts.sort_unstable_by_key(|(row, ..)| row.number);
        for (Row { number, customer_id, movie_id, rating, date, .. }, rating_before, date_before) in conflicts
        {
            let text = format!("{customer_id},{movie_id},{rating},{date}");
            self.reject(number, text, Reason::Conflict { rating: rating_before, date: date_before })?;
        }
        Ok(new)
    }
}
