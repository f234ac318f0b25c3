//! The second phase: ratings and qualifying pairs into their tables, unit by unit.

use pgrx::prelude::*;
use prize_format::{Kind, QualifyingPair, Rating, RatingReader, TextFile, Unit, read_qualifying};

use super::dimensions::{CUSTOMERS, Keys, MOVIES};
use super::error::LoadError;
use super::ledger;
use super::order::Watch;
use crate::pg::bulk::{BulkInsert, FixedInsert, Space};
use crate::pg::progress::ShownAsCopy;
use crate::pg::ratings::Fact;
use crate::pg::scan::Seen;
use crate::pg::worker::{self, Board};
use crate::pg::{self, Error, catalog, interrupt, query};

/// What loading any unit takes.
struct Loader {
    table: pg_sys::Oid,
    files: Vec<TextFile>,
    customers: Keys,
    movies: Keys,
    /// The first and last day of the calendar.
    days: (i32, i32),
    first_rating_key: i64,
    /// Where the ratings go in their table.
    space: Space,
}

/// Loads units that nobody has taken until none is left, and commits each.
pub fn load(run_id: i64, board: &Board, watch: Watch<'_>) -> Result<(), LoadError> {
    let (loader, units, bytes) = worker::transaction(|| Loader::prepare(run_id))?;
    board.set_total(bytes);
    let shown = worker::is_worker().then(|| ShownAsCopy::start(loader.table, bytes));
    let go_on = || {
        interrupt::check();
        Ok(())
    };
    let (mut reader, mut done) = (RatingReader::new(&loader.files, &go_on), (0, 0));
    loop {
        interrupt::check();
        let unit_no = board.take() as usize + 1;
        if unit_no > units {
            return Ok(());
        }
        worker::transaction(|| {
            let Some(plan) = ledger::take_unit(run_id, unit_no)? else { return Ok(()) };
            if plan.is_empty() {
                loader.load_qualifying()?;
                let is_its =
                    |file: &&usize| matches!(loader.files[**file].kind, Kind::Qualifying | Kind::Judging);
                let files = (0..loader.files.len()).collect::<Vec<_>>();
                return ledger::loaded(run_id, &files.iter().filter(is_its).copied().collect::<Vec<_>>());
            }
            let unit = Unit::from_bytes(&plan)?;
            loader.load_unit(&unit, &mut reader, &mut |bytes, rows| {
                board.add(bytes, rows);
                watch(board);
                done = (done.0 + bytes, done.1 + rows);
                if let Some(shown) = &shown {
                    shown.update(done.0, done.1);
                }
            })?;
            ledger::loaded(run_id, &unit.files())
        })?;
    }
}

impl Loader {
    /// Reads what is the same for all units. Gives it, the number of the last unit, and the bytes of all that are left.
    fn prepare(run_id: i64) -> Result<(Loader, usize, u64), LoadError> {
        let run = ledger::run(run_id)?.ok_or(LoadError::Order)?;
        let day = |query| Ok::<_, Error>(query::select_one::<i32>(Seen::Now, query, &[])?.unwrap_or(0));
        let loader = Loader {
            table: catalog::table("fact_ratings")?,
            files: ledger::files(run_id)?,
            customers: Keys::read(&CUSTOMERS)?,
            movies: Keys::read(&MOVIES)?,
            days: (
                day("SELECT min(date_key) FROM @extschema@.dim_date")?,
                day("SELECT max(date_key) FROM @extschema@.dim_date")?,
            ),
            first_rating_key: run.first_rating_key,
            space: if run.is_first() { Space::Behind } else { Space::Free },
        };
        let bytes = ledger::files_left(run_id)?
            .iter()
            .map(|&file| &loader.files[file])
            .filter(|file| file.kind == Kind::Ratings)
            .map(|file| file.bytes)
            .sum();
        Ok((loader, ledger::units(run_id)?, bytes))
    }

    fn load_unit(
        &self,
        unit: &Unit,
        reader: &mut RatingReader<'_>,
        done: &mut dyn FnMut(u64, u64),
    ) -> Result<(), LoadError> {
        let mut facts = FixedInsert::<Fact>::open("fact_ratings", self.space)?;
        let mut ratings = Vec::new();
        for movie in &unit.movies {
            interrupt::check();
            reader.read(movie, &mut ratings)?;
            let movie_key = self.movies.get(movie.movie_id).ok_or(Error::Null("movie_key"))?;
            let keys = self.first_rating_key + movie.first as i64..;
            let mut probe = movie.probe.iter().copied().peekable();
            for (rating, rating_key) in ratings.iter().zip(keys) {
                let (customer_key, date_key) = self.known(rating, movie.movie_id)?;
                while probe.next_if(|&customer_id| customer_id < rating.customer_id).is_some() {}
                let is_probe = probe.next_if_eq(&rating.customer_id).is_some();
                let rating = i16::from(rating.rating);
                facts.push(Fact { rating_key, customer_key, movie_key, date_key, rating, is_probe });
            }
            done(movie.bytes(), ratings.len() as u64);
        }
        facts.finish();
        Ok(())
    }

    /// The keys of a rating's customer and day: the dimensions know both, unless its file has changed.
    fn known(&self, rating: &Rating, movie_id: u32) -> Result<(i32, i32), LoadError> {
        let date_key = rating.date.key() as i32;
        match self.customers.get(rating.customer_id) {
            Some(customer_key) if (self.days.0..=self.days.1).contains(&date_key) => {
                Ok((customer_key, date_key))
            }
            _ => Err(LoadError::ChangedMovie(movie_id)),
        }
    }

    /// Inserts the qualifying pairs that are not there yet, and adds the ratings that were withheld where they are known.
    fn load_qualifying(&self) -> Result<(), LoadError> {
        let pairs = read_qualifying(&self.files, &|| {
            interrupt::check();
            Ok(())
        })?;
        pg::require_memory("loading the qualifying set", pairs.len() * 2 * size_of::<QualifyingPair>())?;
        let present = self.present()?;
        let mut answered = Vec::new();
        let mut rows = BulkInsert::open("qualifying")?;
        for (at, pair) in pairs.iter().enumerate() {
            if at.is_multiple_of(1024) {
                interrupt::check();
            }
            let movie_key = self.movies.get(pair.movie_id).ok_or(Error::Null("movie_key"))?;
            let rating =
                Rating { customer_id: pair.customer_id, rating: pair.rating.unwrap_or(0), date: pair.date };
            let (customer_key, date_key) = self.known(&rating, pair.movie_id)?;
            let rating = pair.rating.map(i16::from);
            match present
                .binary_search_by_key(&(movie_key, customer_key), |&(movie, customer, _)| (movie, customer))
            {
                Ok(at) if present[at].2 || rating.is_none() => {}
                Ok(_) => answered.push((customer_key, movie_key, rating)),
                Err(_) => rows.push(|| {
                    [
                        customer_key.into_datum(),
                        movie_key.into_datum(),
                        date_key.into_datum(),
                        rating.into_datum(),
                    ]
                }),
            }
        }
        rows.finish();
        for answered in answered.chunks(10_000) {
            query::run(
                "UPDATE @extschema@.qualifying AS pair SET rating = new.rating
                 FROM unnest($1::int[], $2::int[], $3::smallint[]) AS new (customer_key, movie_key, rating)
                 WHERE pair.customer_key = new.customer_key AND pair.movie_key = new.movie_key AND pair.rating IS NULL",
                &[
                    answered.iter().map(|pair| pair.0).collect::<Vec<_>>().into(),
                    answered.iter().map(|pair| pair.1).collect::<Vec<_>>().into(),
                    answered.iter().map(|pair| pair.2).collect::<Vec<_>>().into(),
                ],
            )?;
            interrupt::check();
        }
        Ok(())
    }

    /// The qualifying pairs that are there already: movie, customer and whether the rating is known, sorted.
    fn present(&self) -> Result<Vec<(i32, i32, bool)>, LoadError> {
        let mut present = Vec::new();
        let query = "SELECT movie_key, customer_key, rating IS NOT NULL FROM @extschema@.qualifying";
        query::each(Seen::Now, query, &[], |row| {
            let int = |column| Ok::<_, Error>(row.get::<i32>(column)?.unwrap_or(0));
            present.push((int(1)?, int(2)?, row.get::<bool>(3)? == Some(true)));
            Ok(())
        })?;
        present.sort_unstable();
        Ok(present)
    }
}
