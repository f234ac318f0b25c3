//! The first step of a load: reads all files, inserts new customers, movies and days, disables the indexes of an empty fact_ratings,
//! and records in the ledger what there is to do.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use pgrx::{notice, warning};
use prize_format::{Folder, Limits, LoadedRatings, Notice, Progress, Rating, Survey, Watch};

use super::error::LoadError;
use super::members::Keys;
use super::{calendar, file_access, ledger, rating_keys, resume};
use crate::pg::snapshot::Snapshot;
use crate::pg::worker::{self, OnProgress, WorkCounter};
use crate::pg::{self, guc, memory, query, threads};
use crate::storage::indexes;
use crate::storage::scan::scan;
use crate::warehouse::dimension::Dimension;
use crate::warehouse::ratings;
use crate::warehouse::tables::FACT_RATINGS;

/// About how many ratings are inserted and committed together.
const RATINGS_PER_UNIT: u64 = 400_000;

/// About how many of the ratings in the warehouse are compared with the files at a time: each takes eight bytes.
const LOADED_PER_PART: i64 = 64 << 20;

/// Plans a load, or checks that the interrupted one can go on.
pub fn plan(
    path: &str,
    max_rejects: Option<u64>,
    threads: usize,
    counter: &WorkCounter,
    on_progress: OnProgress<'_>,
) -> Result<(), LoadError> {
    worker::transaction(|| match ledger::unfinished()? {
        Some(run) => {
            match run.path.as_deref() == Some(path) {
                true => resume::check_files(&run)?,
                false => resume::move_files(&run, path)?,
            }
            // Others may have deleted days.
            run.years.map_or(Ok(()), calendar::add_years)?;
            match indexes::still_disabled(&FACT_RATINGS, &run.disabled_indexes)?.is_empty() {
                true => ledger::replace_taken_keys(run.run_id, run.ratings_planned),
                // The triggers have refused all writes of others.
                false => Ok(()),
            }
        }
        None => begin(
            path,
            Limits { rejects: max_rejects, memory: guc::max_memory() },
            threads,
            counter,
            on_progress,
        ),
    })
}

/// Plans a new load.
fn begin(
    path: &str,
    limits: Limits,
    threads: usize,
    counter: &WorkCounter,
    on_progress: OnProgress<'_>,
) -> Result<(), LoadError> {
    let is_empty = ratings::is_empty()?;
    let folder = open(path, is_empty)?;
    let mut work = OnThreads { threads, counter, on_progress };
    let mut survey = work.run(|watch| Survey::take(&folder, limits, watch))?;
    report_notices(&survey.notices);

    let (customers, movies) = (Keys::read(Dimension::Customer)?, Keys::read(Dimension::Movie)?);
    let parts = if survey.ratings() > 0 { parts(is_empty)? } else { Vec::new() };
    for (part, ratings) in parts {
        memory::declare("loading", survey.memory + 8 * ratings as usize)?;
        let mut loaded = match is_empty {
            true => LoadedRatings::default(),
            false => loaded_ratings(&customers, &movies, &part, &survey)?,
        };
        work.run(|watch| survey.leave_out_duplicates(&mut loaded, part, limits, watch))?;
    }

    let years = survey.days.map(calendar::years);
    years.map_or(Ok(()), calendar::add_years)?;
    customers.add(&survey.customers, &[])?;
    movies.add(&survey.movies, &survey.titles)?;
    let replaced = movies.update_titles(&survey.titles)?;
    if replaced > 0 {
        notice!("movies whose title or year the titles file has replaced: {replaced}");
    }
    let units = survey.units(RATINGS_PER_UNIT);
    let is_first = is_empty && !units.is_empty();
    let first_rating_key = rating_keys::next(is_empty)?;
    // Late, because it locks readers out until this transaction commits.
    let disabled_indexes = if is_first { indexes::disable(&FACT_RATINGS)? } else { Vec::new() };
    ledger::begin(&ledger::NewRun {
        path: Some(path),
        files: &survey.files,
        rejects: &survey.rejects.kept,
        units: &units,
        has_qualifying: survey.qualifying > 0,
        ratings_read: survey.ratings(),
        duplicates: survey.duplicates(),
        rejected: survey.rejects.count,
        first_rating_key,
        is_first,
        disabled_indexes: &disabled_indexes,
        years,
        is_completed: false,
    })?;
    rating_keys::reserve(first_rating_key, survey.ratings() - survey.duplicates())
}

/// Work of prize-format on a thread pool, while this thread reports the progress.
struct OnThreads<'a> {
    threads: usize,
    counter: &'a WorkCounter,
    on_progress: OnProgress<'a>,
}

impl OnThreads<'_> {
    fn run<T: Send>(
        &mut self,
        work: impl FnOnce(&Watch<'_>) -> Result<T, prize_format::Error> + Send,
    ) -> Result<T, LoadError> {
        let job = |stop: &AtomicBool, report: &mut (dyn FnMut(Progress) + Send)| {
            let report = Mutex::new(report);
            let on_progress = |progress| {
                // A thread does not wait while another one reports.
                if let Ok(mut report) = report.try_lock() {
                    report(progress);
                }
            };
            work(&Watch { stop, on_progress: &on_progress })
        };
        let done = threads::run(self.threads, job, |progress: Progress| {
            self.counter.set(progress.bytes, progress.total);
            (self.on_progress)(self.counter);
        })?;
        Ok(done?)
    }
}

/// Opens a folder. The first load needs rating files, because a folder without them is most likely the wrong path. A later load may
/// bring other files only.
pub fn open(path: &str, is_first: bool) -> Result<Folder, LoadError> {
    let (path, below) = (Path::new(path), file_access::below()?);
    let open = if is_first { Folder::open_below } else { Folder::open_partial };
    Ok(open(path, below.as_deref())?)
}

/// Divides the movie ids into ranges, so that the ratings in the warehouse of one range fit into memory. Returns each range with the
/// number of these ratings.
fn parts(is_empty: bool) -> Result<Vec<(RangeInclusive<u32>, i64)>, LoadError> {
    let mut parts = vec![(0..=u32::MAX, 0)];
    if is_empty {
        return Ok(parts);
    }
    let query = "SELECT movie_id, rating_count FROM @extschema@.dim_movie ORDER BY movie_id";
    query::for_each_row(Snapshot::Latest, query, &[], |row| {
        let (movie_id, ratings) = (row.get::<i32>(1)?.unwrap_or(0) as u32, row.get::<i64>(2)?.unwrap_or(0));
        let Some((part, sum)) = parts.last_mut() else { return Ok(()) };
        if *sum > 0 && *sum + ratings > LOADED_PER_PART {
            *part = *part.start()..=movie_id - 1;
            parts.push((movie_id..=u32::MAX, ratings));
        } else {
            *sum += ratings;
        }
        Ok(())
    })?;
    Ok(parts)
}

/// Reads the warehouse's ratings of the movies in `part`, if the files have ratings of them, too.
fn loaded_ratings(
    customers: &Keys,
    movies: &Keys,
    part: &RangeInclusive<u32>,
    survey: &Survey,
) -> Result<LoadedRatings, LoadError> {
    let (customer_ids, movie_ids) = (customers.ids_by_key()?, movies.ids_by_key()?);
    let is_wanted = |id: &u32| part.contains(id) && survey.has_ratings_of(*id);
    let movie_ids = movie_ids.into_iter().map(|id| if is_wanted(&id) { id } else { 0 }).collect::<Vec<_>>();
    let mut loaded = LoadedRatings::default();
    query::for_each_row(
        Snapshot::Latest,
        "SELECT movie_id, rating_count FROM @extschema@.dim_movie WHERE rating_count > 0",
        &[],
        |row| {
            let (id, ratings) = (row.get::<i32>(1)?.unwrap_or(0) as u32, row.get::<i64>(2)?.unwrap_or(0));
            if is_wanted(&id) {
                loaded.reserve(id, ratings as usize).map_err(|_| pg::Error::OutOfMemory)?;
            }
            Ok(())
        },
    )?;
    let columns = ["customer_key", "movie_key", "date_key", "rating", "rating_key"];
    scan(&FACT_RATINGS, &columns, Snapshot::Latest, |row| {
        let id = |ids: &[u32], key: i32| ids.get(key as usize).copied().unwrap_or(0);
        let movie_id = id(&movie_ids, row.int4(1));
        if movie_id == 0 {
            return Ok::<_, LoadError>(());
        }
        let day = row.int4(2) as u32;
        let rating = Rating {
            customer_id: id(&customer_ids, row.int4(0)),
            rating: row.int2(3) as u8,
            date: prize_format::Date::new(day / 10_000, day / 100 % 100, day % 100)
                .ok_or_else(|| LoadError::BadDay { date_key: day as i32, rating_key: row.int8(4) })?,
        };
        Ok(loaded.add(movie_id, rating)?)
    })?;
    Ok(loaded)
}

/// Reports what a folder holds that was not read.
pub fn report_notices(notices: &[Notice]) {
    for found in notices {
        match found.is_loss() {
            true => warning!("{found}"),
            false => notice!("{found}"),
        }
    }
}
