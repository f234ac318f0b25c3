//! The first step of a load: reads all files, and records in the ledger what there is to do.

use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::Path;

use pgrx::{notice, warning};
use prize_format::{ContentCheck, Folder, Limits, LoadedRatings, Notice, Progress, Rating, Survey, TextFile};

use super::error::LoadError;
use super::keys::Keys;
use super::ledger::{self, Run};
use super::{calendar, file_access, rating_keys};
use crate::pg::snapshot::Snapshot;
use crate::pg::worker::{self, OnProgress, WorkCounter};
use crate::pg::{self, guc, interrupt, memory, query};
use crate::storage::indexes;
use crate::storage::scan::scan;
use crate::warehouse;
use crate::warehouse::dimension::Dimension;
use crate::warehouse::ratings;
use crate::warehouse::tables::FACT_RATINGS;

/// About how many ratings are inserted and committed together.
const RATINGS_PER_UNIT: u64 = 400_000;

/// About how many of the ratings in the warehouse are compared with the files at a time: each takes eight bytes.
const KNOWN_PER_PART: i64 = 64 << 20;

/// Plans a load, or looks whether one that is planned can go on.
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
                true => check_files(&run)?,
                false => move_files(&run, path)?,
            }
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

fn begin(
    path: &str,
    limits: Limits,
    threads: usize,
    counter: &WorkCounter,
    on_progress: OnProgress<'_>,
) -> Result<(), LoadError> {
    let is_empty = ratings::is_empty()?;
    let folder = open(path, is_empty)?;
    let mut on_threads =
        |work: &(dyn Fn(&prize_format::Watch<'_>) -> Result<(), prize_format::Error> + Sync)| {
            let job = |stop: &std::sync::atomic::AtomicBool, say: &mut (dyn FnMut(Progress) + Send)| {
                let say = std::sync::Mutex::new(say);
                let said = |progress| {
                    // Whoever finds another telling goes on with its work.
                    if let Ok(mut say) = say.try_lock() {
                        say(progress);
                    }
                };
                work(&prize_format::Watch { stop, on_progress: &said })
            };
            interrupt::run(threads, job, |progress: Progress| {
                counter.set(progress.bytes, progress.total);
                on_progress(counter);
            })?
            .map_err(LoadError::from)
        };
    let survey = std::sync::Mutex::new(None);
    on_threads(&|watch| {
        let taken = Survey::take(&folder, limits, watch)?;
        *survey.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(taken);
        Ok(())
    })?;
    let survey = survey.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut survey = survey.ok_or(LoadError::LedgerChanged)?;
    report_notices(&survey.notices);

    let (customers, movies) = (Keys::read(Dimension::Customer)?, Keys::read(Dimension::Movie)?);
    let parts = if survey.ratings() > 0 { parts(is_empty)? } else { Vec::new() };
    for (part, ratings) in parts {
        memory::require("loading", survey.memory + 8 * ratings as usize)?;
        let known = std::sync::Mutex::new(match is_empty {
            true => LoadedRatings::default(),
            false => known(&customers, &movies, &part, &survey)?,
        });
        let shared = std::sync::Mutex::new(&mut survey);
        on_threads(&|watch| {
            let mut known = known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let mut survey = shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            survey.leave_out_duplicates(&mut known, part.clone(), limits, watch)
        })?;
    }

    calendar::add_years(survey.days)?;
    customers.add(&survey.customers, &[])?;
    movies.add(&survey.movies, &survey.titles)?;
    let replaced = movies.update_titles(&survey.titles)?;
    if replaced > 0 {
        notice!("titles or years of movies that the titles file has replaced: {replaced}");
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
        is_completed: false,
    })?;
    rating_keys::reserve(first_rating_key, survey.ratings() - survey.duplicates())
}

/// Opens a folder. The first load needs ratings: without, most likely the path is wrong. A later one may bring anything else.
pub fn open(path: &str, is_first: bool) -> Result<Folder, LoadError> {
    let (path, below) = (Path::new(path), file_access::below()?);
    let open = if is_first { Folder::open_below } else { Folder::open_partial };
    Ok(open(path, below.as_deref())?)
}

/// Divides the movies, by id, so that of no part more ratings are loaded than can be looked at in one go. Gives the
/// parts, each with how many there are.
fn parts(is_empty: bool) -> Result<Vec<(RangeInclusive<u32>, i64)>, LoadError> {
    let mut parts = vec![(0..=u32::MAX, 0)];
    if is_empty {
        return Ok(parts);
    }
    let query = "SELECT movie_id, rating_count FROM @extschema@.dim_movie ORDER BY movie_id";
    query::each(Snapshot::Latest, query, &[], |row| {
        let (movie_id, ratings) = (row.get::<i32>(1)?.unwrap_or(0) as u32, row.get::<i64>(2)?.unwrap_or(0));
        let Some((part, held)) = parts.last_mut() else { return Ok(()) };
        if *held > 0 && *held + ratings > KNOWN_PER_PART {
            *part = *part.start()..=movie_id - 1;
            parts.push((movie_id..=u32::MAX, ratings));
        } else {
            *held += ratings;
        }
        Ok(())
    })?;
    Ok(parts)
}

/// Reads the ratings of these movies that are there already, as far as the survey has any for the movie.
fn known(
    customers: &Keys,
    movies: &Keys,
    part: &RangeInclusive<u32>,
    survey: &Survey,
) -> Result<LoadedRatings, LoadError> {
    let (customer_ids, movie_ids) = (customers.ids_by_key()?, movies.ids_by_key()?);
    let is_wanted = |id: &u32| part.contains(id) && survey.has_ratings_of(*id);
    let movie_ids = movie_ids.into_iter().map(|id| if is_wanted(&id) { id } else { 0 }).collect::<Vec<_>>();
    let mut known = LoadedRatings::default();
    query::each(
        Snapshot::Latest,
        "SELECT movie_id, rating_count FROM @extschema@.dim_movie WHERE rating_count > 0",
        &[],
        |row| {
            let (id, ratings) = (row.get::<i32>(1)?.unwrap_or(0) as u32, row.get::<i64>(2)?.unwrap_or(0));
            if is_wanted(&id) {
                known.reserve(id, ratings as usize).map_err(|_| pg::Error::OutOfMemory)?;
            }
            Ok(())
        },
    )?;
    let columns = ["customer_key", "movie_key", "date_key", "rating"];
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
                .ok_or(warehouse::Error::Damaged { table: FACT_RATINGS.name, key: row.int4(0) })?,
        };
        Ok(known.add(movie_id, rating)?)
    })?;
    Ok(known)
}

/// Looks whether the files that are needed still are the ones that were read. One that was touched, but holds the same,
/// will do.
fn check_files(run: &Run) -> Result<(), LoadError> {
    let files = ledger::files(run.run_id)?;
    let left = ledger::files_left(run.run_id)?;
    let mut content = ContentCheck::default();
    let mut dated = None::<(&TextFile, Option<i64>)>;
    let gone = |error: prize_format::Error| match error {
        prize_format::Error::Io { path, source } if source.kind() == ErrorKind::NotFound => {
            LoadError::FileGone { file: path.to_string_lossy().into_owned() }
        }
        error => error.into(),
    };
    for place in left {
        interrupt::check();
        let file = &files[place];
        // The members of an archive follow each other.
        let modified = match dated {
            Some((last, modified)) if last.path == file.path => modified,
            _ => prize_format::modification_time(file).map_err(gone)?,
        };
        dated = Some((file, modified));
        if modified != file.modified {
            content.run(file, &go_on)?;
            ledger::update_modified(run.run_id, place, modified)?;
        }
    }
    Ok(())
}

/// Goes on with files that were moved or copied to another folder, where all of them are there, and hold what they held.
fn move_files(run: &Run, to: &str) -> Result<(), LoadError> {
    let from = run.path.clone().unwrap_or_default();
    let refused = || LoadError::Unfinished { path: from.clone() };
    let mut files = ledger::files(run.run_id)?;
    if files.is_empty() {
        return Err(refused());
    }
    let mut content = ContentCheck::default();
    for file in &mut files {
        interrupt::check();
        let name = file.path.strip_prefix(&from).map_err(|_| refused())?;
        file.path = Path::new(to).join(name);
        match content.run(file, &go_on).and_then(|()| prize_format::modification_time(file)) {
            Ok(modified) => file.modified = modified,
            Err(prize_format::Error::Io { .. } | prize_format::Error::Changed { .. }) => {
                return Err(refused());
            }
            Err(error) => return Err(error.into()),
        }
    }
    ledger::move_files(run.run_id, to, &files)?;
    notice!("going on with the load of \"{from}\" that was interrupted: \"{to}\" holds the same files");
    Ok(())
}

fn go_on() -> Result<(), prize_format::Error> {
    interrupt::check();
    Ok(())
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
