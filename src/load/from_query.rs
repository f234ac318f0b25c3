//! Loads ratings from any query, in the caller's transaction: `ratings_load`.

use pgrx::notice;
use prize_format::{IdSet, Reason, Reject};

use super::error::LoadError;
use super::guard::OwnWrites;
use super::members::Keys;
use super::query_columns::{GivenRating, OffScale, RatingColumns};
use super::{calendar, checks, counts, insert_few, ledger, locks, rating_keys};
use crate::pg::snapshot::Snapshot;
use crate::pg::{Error, interrupt, lock, memory, query, role, transaction, user_query};
use crate::storage::bulk::{FixedInsert, Placement};
use crate::storage::indexes;
use crate::warehouse::dimension::{Dimension, Key};
use crate::warehouse::ratings::{self, Fact};
use crate::warehouse::tables::FACT_RATINGS;
use crate::warehouse::unfinished;

/// A valid row of the query. Rows sort by movie and customer, and then by their line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    movie_id: u32,
    customer_id: u32,
    /// Its place among the query's rows, from 1 on.
    line: u64,
    date: prize_format::Date,
    rating: u8,
    is_probe: bool,
}

/// All rows of the query.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    customers: IdSet,
    movies: IdSet,
    days: Option<(prize_format::Date, prize_format::Date)>,
    rejects: Vec<Reject>,
    rejected: u64,
    max_rejects: Option<u64>,
    /// Whether the query has a column is_probe.
    has_probe: bool,
}

/// How many rejects load_reject lists if any number of them is allowed.
const LISTED_IF_UNLIMITED: u64 = 1000;
/// How many rejects load_reject lists at most.
const LISTED_AT_MOST: u64 = 100_000;

/// Ratings looked up by one statement.
const ROWS_PER_QUERY: usize = 10_000;

/// Loads the ratings that a query returns. The query runs with the caller's search_path.
pub fn load(query: Option<&str>, max_rejects: Option<i64>) -> Result<ledger::Run, LoadError> {
    transaction::require_writable(c"ratings_load()");
    let sql = query.ok_or(Error::NullArgument("query"))?;
    let max_rejects = checks::max_rejects(max_rejects)?;
    checks::tables("ratings_load")?;
    let mut rows = Rows { max_rejects, ..Rows::default() };
    rows.read(sql)?;
    role::with_search_path(|| {
        unfinished::refuse_in_restore("ratings_load")?;
        if rows.rows.len() <= insert_few::MOST && !ratings::is_empty()? {
            unfinished::refuse_in_first_load("ratings_load")?;
            return rows.insert_few();
        }
        lock::lock_extension()?;
        if let Some(run) = ledger::unfinished()? {
            return Err(LoadError::Unfinished { path: run.path.unwrap_or_default() });
        }
        locks::lock_against_writers()?;
        rows.insert()
    })
}

impl Rows {
    /// Runs the query and checks its rows as the lines of a file are checked.
    fn read(&mut self, sql: &str) -> Result<(), LoadError> {
        let (mut line, mut scale) = (0, OffScale::default());
        user_query::for_each_row(sql, RatingColumns::choose, |columns, row| {
            line += 1;
            self.has_probe = columns.has_probe();
            scale.count(columns.stars(&row));
            let read = match columns.read(&row) {
                Ok(given) => self.add(line, given),
                Err(reason) => self.reject(line, columns.text(&row), reason),
            };
            // If all ratings are on another scale, saying so helps more than the first rejected row.
            read.map_err(|error| scale.check().err().unwrap_or(error))
        })?;
        scale.check()
    }

    fn add(&mut self, line: u64, given: GivenRating) -> Result<(), LoadError> {
        let GivenRating { customer_id, movie_id, rating, date, is_probe } = given;
        if self.rows.len() == self.rows.capacity() {
            memory::recheck("loading", 2 * self.rows.len() * size_of::<Row>())?;
            self.rows.try_reserve(1).map_err(|_| Error::OutOfMemory)?;
        }
        self.customers.insert(customer_id);
        self.movies.insert(movie_id);
        let (first, last) = self.days.get_or_insert((date, date));
        (*first, *last) = (date.min(*first), date.max(*last));
        self.rows.push(Row { movie_id, customer_id, line, date, rating, is_probe });
        Ok(())
    }

    fn reject(&mut self, line: u64, text: String, reason: Reason) -> Result<(), LoadError> {
        self.rejected += 1;
        let reject = Reject { file: 0, line, text, reason };
        if self.max_rejects.is_some_and(|max| self.rejected > max) {
            let first = self.rejects.first().cloned().unwrap_or(reject);
            return Err(LoadError::TooManyRejects { max: self.max_rejects.unwrap_or(0), first });
        }
        if self.rejected <= self.max_rejects.unwrap_or(LISTED_IF_UNLIMITED).min(LISTED_AT_MOST) {
            self.rejects.push(reject);
        }
        Ok(())
    }

    fn insert(mut self) -> Result<ledger::Run, LoadError> {
        let read = self.rows.len() as u64;
        self.rows.sort_unstable();
        let customers = std::mem::take(&mut self.customers).rank();
        let movies = std::mem::take(&mut self.movies).rank();
        self.days.map_or(Ok(()), |days| calendar::add_years(calendar::years(days)))?;
        Keys::read(Dimension::Customer)?.add(&customers, &[])?;
        Keys::read(Dimension::Movie)?.add(&movies, &[])?;
        let (customers, movies) = (Keys::read(Dimension::Customer)?, Keys::read(Dimension::Movie)?);
        let rows = self.leave_out_duplicates(&customers, &movies)?;

        let _own_writes = OwnWrites::allow();
        let is_first = !rows.is_empty() && ratings::is_empty()?;
        let first_rating_key = rating_keys::next(is_first)?;
        rating_keys::reserve(first_rating_key, rows.len() as u64)?;
        let disabled = if is_first { indexes::disable(&FACT_RATINGS)? } else { Vec::new() };
        let placement = if is_first { Placement::NewPages } else { Placement::FreeSpace };
        let mut facts = FixedInsert::<Fact>::open(placement)?;
        for (row, rating_key) in rows.iter().zip(first_rating_key..) {
            let customer_key = customers.get(row.customer_id).ok_or(Error::Null("customer_key"))?;
            let movie_key = movies.get(row.movie_id).ok_or(Error::Null("movie_key"))?;
            let (date_key, rating, is_probe) = (row.date.key() as i32, i16::from(row.rating), row.is_probe);
            facts.push(Fact { rating_key, customer_key, movie_key, date_key, rating, is_probe });
        }
        facts.finish();
        indexes::still_disabled(&FACT_RATINGS, &disabled)?.into_iter().for_each(indexes::rebuild);
        counts::count_from(first_rating_key)?;
        let probe = rows.iter().filter(|row| row.is_probe).count() as u64;
        self.record(read, rows.len() as u64, probe, first_rating_key, is_first)
    }

    /// Inserts a few rows by SQL.
    fn insert_few(mut self) -> Result<ledger::Run, LoadError> {
        let read = self.rows.len() as u64;
        self.rows.sort_unstable();
        let days = self.rows.iter().map(|row| row.date).collect::<Vec<_>>();
        locks::lock_as_writer()?;
        insert_few::ensure_days(&days)?;
        let customers =
            insert_few::ensure_members(Dimension::Customer, &std::mem::take(&mut self.customers).rank())?;
        let movies = insert_few::ensure_members(Dimension::Movie, &std::mem::take(&mut self.movies).rank())?;
        let rows = self.leave_out_duplicates(&customers, &movies)?;
        let ratings = rows
            .iter()
            .map(|row| {
                Ok(insert_few::Rating {
                    customer_key: customers.get(row.customer_id).ok_or(Error::Null("customer_key"))?,
                    movie_key: movies.get(row.movie_id).ok_or(Error::Null("movie_key"))?,
                    date_key: row.date.key() as i32,
                    rating: row.rating.into(),
                    is_probe: row.is_probe,
                })
            })
            .collect::<Result<Vec<_>, LoadError>>()?;
        let inserted = insert_few::insert(&ratings)?;
        let probe = inserted.iter().filter(|(_, is_probe)| *is_probe).count() as u64;
        self.record(read, inserted.len() as u64, probe, inserted.first().map_or(0, |&(key, _)| key), false)
    }

    /// Records the completed load in the ledger.
    fn record(
        &self,
        read: u64,
        loaded: u64,
        probe: u64,
        first_rating_key: i64,
        is_first: bool,
    ) -> Result<ledger::Run, LoadError> {
        let run_id = ledger::begin(&ledger::NewRun {
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
            disabled_indexes: &[],
            years: self.days.map(calendar::years),
            is_completed: true,
        })?;
        ledger::record_counts_since(run_id, probe)?;
        ledger::run(run_id)?.ok_or(LoadError::LedgerChanged)
    }

    /// The rows whose customer has not rated the movie before, neither in this query nor in the warehouse.
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
        for rows in kept.chunks(ROWS_PER_QUERY) {
            let mut loaded = vec![None; rows.len()];
            let key = |key: Option<Key>| key.map_or(0, |key| key.0);
            query::for_each_row(
                Snapshot::Latest,
                "SELECT pair.place, f.rating, f.date_key, f.is_probe
                 FROM unnest($1::int[], $2::int[]) WITH ORDINALITY AS pair (customer_key, movie_key, place)
                 JOIN @extschema@.fact_ratings f USING (customer_key, movie_key)",
                &[
                    rows.iter().map(|row| key(customers.get(row.customer_id))).collect::<Vec<_>>().into(),
                    rows.iter().map(|row| key(movies.get(row.movie_id))).collect::<Vec<_>>().into(),
                ],
                |row| {
                    let missing = || Error::Null("fact_ratings");
                    let place = row.get::<i64>(1)?.ok_or_else(missing)? as usize;
                    let rating = row.get::<i16>(2)?.ok_or_else(missing)? as u8;
                    let day = row.get::<i32>(3)?.ok_or_else(missing)? as u32;
                    let is_probe = row.get::<bool>(4)?.ok_or_else(missing)?;
                    loaded[place - 1] = prize_format::Date::new(day / 10_000, day / 100 % 100, day % 100)
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
                "{marked_otherwise} ratings that were loaded before keep their is_probe, which differs from the query's"
            );
        }
        conflicts.sort_unstable_by_key(|(row, ..)| row.line);
        for (Row { line, customer_id, movie_id, rating, date, .. }, rating_before, date_before) in conflicts {
            let text = format!("{customer_id},{movie_id},{rating},{date}");
            self.reject(line, text, Reason::Conflict { rating: rating_before, date: date_before })?;
        }
        Ok(new)
    }
}
