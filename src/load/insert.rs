//! The second step of a load: inserts ratings and qualifying pairs, unit by unit.

use pgrx::prelude::*;
use prize_format::{QualifyingPair, Rating, RatingReader, Subset, TextFile, TextKind, Unit, read_qualifying};

use super::calendar::Calendar;
use super::error::LoadError;
use super::ledger::{self, StoredUnit};
use super::members::Keys;
use crate::pg::progress::CopyProgress;
use crate::pg::snapshot::Snapshot;
use crate::pg::worker::{self, OnProgress, WorkCounter};
use crate::pg::{self, catalog, interrupt, memory, query};
use crate::storage::bulk::{BulkInsert, FixedInsert, Placement};
use crate::storage::indexes;
use crate::warehouse::dimension::{Dimension, Key};
use crate::warehouse::ratings::Fact;
use crate::warehouse::tables::{FACT_RATINGS, QUALIFYING};

/// The outcome of a unit.
struct Inserted {
    /// Ranges of the ratings' keys, both ends included.
    keys: Vec<(i64, i64)>,
    /// How many ratings others had inserted before.
    left_out: u64,
}

/// What inserting any unit needs.
struct Loader {
    table: pg_sys::Oid,
    files: Vec<TextFile>,
    customers: Keys,
    movies: Keys,
    calendar: Calendar,
    /// Whether others may have inserted ratings since the load was planned.
    others_may_have_written: bool,
    /// Where the ratings go in their table.
    placement: Placement,
}

/// Inserts units that no other worker has taken, until none is left. Each unit commits.
///
/// `is_resumed` says that the load was interrupted, so that others may have written rows in the meantime. Otherwise they are locked
/// out.
pub fn insert(
    run_id: i64,
    is_resumed: bool,
    counter: &WorkCounter,
    on_progress: OnProgress<'_>,
) -> Result<(), LoadError> {
    let (mut loader, units, bytes) = worker::transaction(|| Loader::prepare(run_id, is_resumed))?;
    counter.set_total(bytes);
    let progress = worker::is_worker().then(|| CopyProgress::start(loader.table, bytes));
    let go_on = || {
        interrupt::check();
        Ok(())
    };
    let files = std::mem::take(&mut loader.files);
    let (mut reader, mut done) = (RatingReader::new(&files, &go_on), (0, 0));
    loop {
        interrupt::check();
        let unit_no = counter.take() as usize + 1;
        if unit_no > units {
            return Ok(());
        }
        worker::transaction(|| {
            let Some(StoredUnit { plan, first_rating_key }) = ledger::take_unit(run_id, unit_no)? else {
                return Ok(());
            };
            if plan.is_empty() {
                loader.load_qualifying(&files)?;
                let is_its =
                    |file: &usize| matches!(files[*file].kind, TextKind::Qualifying | TextKind::Judging);
                return ledger::mark_loaded(run_id, &(0..files.len()).filter(is_its).collect::<Vec<_>>());
            }
            let unit = Unit::from_bytes(&plan)?;
            let inserted = loader.load_unit(&unit, first_rating_key, &mut reader, &mut |bytes, rows| {
                counter.add(bytes, rows);
                on_progress(counter);
                done = (done.0 + bytes, done.1 + rows);
                if let Some(progress) = &progress {
                    progress.update(done.0, done.1);
                }
            })?;
            ledger::record_inserted(run_id, &inserted.keys, inserted.left_out)?;
            ledger::mark_loaded(run_id, &unit.files())
        })?;
    }
}

impl Loader {
    /// Reads what is the same for all units. Returns it, the unit_no of the last unit, and the bytes of all units that are left.
    fn prepare(run_id: i64, is_resumed: bool) -> Result<(Loader, usize, u64), LoadError> {
        let run = ledger::run(run_id)?.ok_or(LoadError::LedgerChanged)?;
        let disabled = indexes::still_disabled(&FACT_RATINGS, &run.disabled_indexes)?;
        let loader = Loader {
            table: catalog::relation(FACT_RATINGS.name)?,
            files: ledger::files(run_id)?,
            customers: Keys::read(Dimension::Customer)?,
            movies: Keys::read(Dimension::Movie)?,
            calendar: Calendar::read()?,
            others_may_have_written: is_resumed && disabled.is_empty(),
            placement: if run.is_first { Placement::NewPages } else { Placement::FreeSpace },
        };
        let bytes = ledger::files_left(run_id)?
            .iter()
            .map(|&file| &loader.files[file])
            .filter(|file| file.kind == TextKind::Ratings)
            .map(|file| file.bytes)
            .sum();
        Ok((loader, ledger::last_unit(run_id)?, bytes))
    }

    fn load_unit(
        &mut self,
        unit: &Unit,
        first_rating_key: i64,
        reader: &mut RatingReader<'_>,
        done: &mut dyn FnMut(u64, u64),
    ) -> Result<Inserted, LoadError> {
        let mut facts = FixedInsert::<Fact>::open(self.placement)?;
        let mut ratings = Vec::new();
        let mut inserted = Inserted { keys: Vec::with_capacity(unit.movies.len()), left_out: 0 };
        for movie in &unit.movies {
            interrupt::check();
            reader.read(movie, &mut ratings)?;
            let read = ratings.len();
            let movie_key = self.movie_key(movie.movie_id)?;
            if self.others_may_have_written {
                self.leave_out_rated(movie_key, &mut ratings)?;
            }
            let first = first_rating_key + movie.ratings_before as i64;
            let mut probe = movie.probe.iter().copied().peekable();
            for (rating, rating_key) in ratings.iter().zip(first..) {
                let (customer_key, date_key) = self.customer_and_day(rating)?;
                while probe.next_if(|&customer_id| customer_id < rating.customer_id).is_some() {}
                let is_probe = probe.next_if_eq(&rating.customer_id).is_some();
                let rating = i16::from(rating.rating);
                facts.push(Fact { rating_key, customer_key, movie_key, date_key, rating, is_probe });
            }
            if !ratings.is_empty() {
                inserted.keys.push((first, first + ratings.len() as i64 - 1));
            }
            inserted.left_out += (read - ratings.len()) as u64;
            done(movie.bytes(), ratings.len() as u64);
        }
        facts.finish();
        Ok(inserted)
    }

    /// Leaves out the ratings of customers who have rated the movie meanwhile.
    fn leave_out_rated(&self, movie_key: Key, ratings: &mut Vec<Rating>) -> Result<(), LoadError> {
        let keys = ratings.iter().map(|rating| self.customer_key(rating)).collect::<Result<Vec<_>, _>>()?;
        let mut rated = std::collections::HashSet::new();
        // In chunks: for all customers of a popular movie, the planner may prefer to read the whole table.
        for keys in keys.chunks(10_000) {
            interrupt::check();
            query::for_each_row(
                Snapshot::Latest,
                "SELECT f.customer_key FROM unnest($1::int[]) AS customer (customer_key)
                 JOIN @extschema@.fact_ratings f USING (customer_key) WHERE f.movie_key = $2",
                &[keys.iter().map(|key| key.0).collect::<Vec<_>>().into(), movie_key.0.into()],
                |row| {
                    rated.extend(row.get::<i32>(1)?.map(Key));
                    Ok(())
                },
            )?;
        }
        if !rated.is_empty() {
            let mut keys = keys.into_iter();
            ratings.retain(|_| keys.next().is_none_or(|key| !rated.contains(&key)));
        }
        Ok(())
    }

    fn movie_key(&self, movie_id: u32) -> Result<Key, LoadError> {
        self.movies.get(movie_id).ok_or(LoadError::MemberGone {
            what: "movie",
            table: "dim_movie",
            id: movie_id,
        })
    }

    fn customer_key(&self, rating: &Rating) -> Result<Key, LoadError> {
        let id = rating.customer_id;
        self.customers.get(id).ok_or(LoadError::MemberGone { what: "customer", table: "dim_customer", id })
    }

    /// The keys of a rating's customer and day. Both exist since the load was planned.
    fn customer_and_day(&self, rating: &Rating) -> Result<(Key, i32), LoadError> {
        Ok((self.customer_key(rating)?, self.calendar.key(rating.date)?))
    }

    /// Inserts the qualifying pairs that are new. Adds rating and subset to the others, if judging.txt tells them.
    fn load_qualifying(&mut self, files: &[TextFile]) -> Result<(), LoadError> {
        let pairs = read_qualifying(files, &|| {
            interrupt::check();
            Ok(())
        })?;
        memory::declare("loading the qualifying set", pairs.len() * 2 * size_of::<QualifyingPair>())?;
        let (present, last_line) = self.present()?;
        let mut answered = Vec::new();
        let mut rows = BulkInsert::open(&QUALIFYING)?;
        for (at, pair) in pairs.iter().enumerate() {
            if at.is_multiple_of(1024) {
                interrupt::check();
            }
            let movie_key = self.movie_key(pair.movie_id)?;
            let rating =
                Rating { customer_id: pair.customer_id, rating: pair.rating.unwrap_or(0), date: pair.date };
            let (customer_key, date_key) = self.customer_and_day(&rating)?;
            let (rating, subset) = (pair.rating.map(i16::from), pair.subset.map(subset_name));
            match present
                .binary_search_by_key(&(movie_key, customer_key), |&(movie, customer, _)| (movie, customer))
            {
                Ok(at) if present[at].2 || rating.is_none() => {}
                Ok(_) => answered.push((customer_key.0, movie_key.0, rating, subset)),
                Err(_) => rows.push(|| {
                    [
                        customer_key.0.into_datum(),
                        movie_key.0.into_datum(),
                        date_key.into_datum(),
                        rating.into_datum(),
                        subset.into_datum(),
                        last_line.saturating_add(pair.number as i32).into_datum(),
                    ]
                }),
            }
        }
        rows.finish();
        for answered in answered.chunks(10_000) {
            query::run(
                "UPDATE @extschema@.qualifying AS pair
                 SET rating = coalesce(pair.rating, new.rating), subset = coalesce(pair.subset, new.subset)
                 FROM unnest($1::int[], $2::int[], $3::smallint[], $4::text[])
                      AS new (customer_key, movie_key, rating, subset)
                 WHERE pair.customer_key = new.customer_key AND pair.movie_key = new.movie_key",
                &[
                    answered.iter().map(|pair| pair.0).collect::<Vec<_>>().into(),
                    answered.iter().map(|pair| pair.1).collect::<Vec<_>>().into(),
                    answered.iter().map(|pair| pair.2).collect::<Vec<_>>().into(),
                    answered.iter().map(|pair| pair.3).collect::<Vec<_>>().into(),
                ],
            )?;
            interrupt::check();
        }
        Ok(())
    }

    /// The qualifying pairs that the table has: movie, customer, and whether rating and subset are known, sorted; and the greatest
    /// line_no.
    fn present(&self) -> Result<(Vec<(Key, Key, bool)>, i32), LoadError> {
        let (mut present, mut last_line) = (Vec::new(), 0);
        let query = "SELECT movie_key, customer_key, rating IS NOT NULL AND subset IS NOT NULL, line_no
                     FROM @extschema@.qualifying";
        query::for_each_row(Snapshot::Latest, query, &[], |row| {
            let key = |column| Ok::<_, pg::Error>(Key(row.get::<i32>(column)?.unwrap_or(0)));
            present.push((key(1)?, key(2)?, row.get::<bool>(3)? == Some(true)));
            last_line = last_line.max(row.get::<i32>(4)?.unwrap_or(0));
            Ok(())
        })?;
        present.sort_unstable();
        Ok((present, last_line))
    }
}

/// The value of the column `subset`.
fn subset_name(subset: Subset) -> &'static str {
    match subset {
        Subset::Quiz => "quiz",
        Subset::Test => "test",
    }
}
