//! Models' movies, kept in the backend between calls: until models are dropped or movies change, until others need the room,
//! and until `DISCARD ALL`.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use factor::{Algorithm, Catalogue, Shared};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::catalog::{self, Privilege};
use crate::pg::model::changes::{self, Marker, View};
use crate::pg::model::{self, ModelRow};
use crate::pg::prepared::Prepared;
use crate::pg::scan::{Column, Seen, scan};
use crate::pg::{self, Error, allocator, guc, interrupt, memory, report};

/// A model's movies, numbered by their ids' order, so that of two with one score the smaller number is the smaller id.
pub struct Movies {
    pub catalogue: Catalogue,
    /// Each movie's key; of all movies there were, those that the model does not know among them.
    keys: Vec<i32>,
    is_known: Vec<bool>,
    /// Each key's movie, and [`NOBODY`] where there is none; from key 1 on.
    numbers: Vec<u32>,
    norms: OnceCell<Vec<f32>>,
    shared: OnceCell<Shared>,
}

const NOBODY: u32 = u32::MAX;

impl Movies {
    /// A movie's key.
    pub fn key(&self, movie: usize) -> i32 {
        self.keys[movie]
    }

    /// All keys, by number.
    pub fn keys(&self) -> &[i32] {
        &self.keys
    }

    /// The movie of a key, whether the model knows it or not.
    pub fn number_of_any(&self, key: i32) -> Option<usize> {
        let number = *self.numbers.get((key as usize).checked_sub(1)?)?;
        (number != NOBODY).then_some(number as usize)
    }

    /// The movie of a key, where the model knows it.
    pub fn number(&self, key: i32) -> Option<usize> {
        self.number_of_any(key).filter(|&number| self.is_known[number])
    }

    /// The length of every movie's factors, by number.
    pub fn norms(&self) -> Result<&[f32], Error> {
        if let Some(norms) = self.norms.get() {
            return Ok(norms);
        }
        let norms = self.catalogue.norms()?;
        Ok(self.norms.get_or_init(|| norms))
    }

    /// Every movie that the model knows.
    pub fn known(&self) -> impl Iterator<Item = usize> {
        self.is_known.iter().enumerate().filter(|(_, known)| **known).map(|(number, _)| number)
    }

    /// What an algorithm has to know of all movies to fold a customer in.
    pub fn shared(&self, row: &ModelRow, algorithm: &Algorithm) -> Result<&Shared, Error> {
        static LINKS: Prepared = Prepared(
            "SELECT links FROM @extschema@.movie_factors WHERE model_id = $1 AND links IS NOT NULL ORDER BY movie_key",
        );
        if let Some(shared) = self.shared.get() {
            return Ok(shared);
        }
        static PRIOR: Prepared = Prepared("SELECT prior FROM @extschema@.model WHERE model_id = $1");
        let mut prior = Vec::new();
        if row.samples > 1 {
            PRIOR.each(&[row.model_id.into()], |row| {
                prior = row.floats(1, "model")?;
                Ok(())
            })?;
        }
        let mut shared = algorithm.shared(row.layout(), Some(&prior))?;
        match shared {
            Shared::Nothing | Shared::Prior(..) => {}
            Shared::Squares(_) => {
                for movie in self.known() {
                    shared.add(&self.catalogue.vector(movie)?);
                }
            }
            Shared::Products(_) => LINKS.each(&[row.model_id.into()], |row| {
                interrupt::check();
                shared.add(&row.floats(1, "movie_factors")?);
                Ok(())
            })?,
        }
        Ok(self.shared.get_or_init(|| shared))
    }
}

/// A model's movies in the cache.
struct Entry {
    model_id: i32,
    trained_at: i64,
    bytes: usize,
    /// What the statement that read them saw, where others may see otherwise.
    view: Option<View>,
    movies: Rc<Movies>,
}

thread_local! {
    /// Those used last at the end.
    static ENTRIES: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

/// A model's movies: those kept, or else read now.
pub fn movies(row: &ModelRow) -> Result<Rc<Movies>, Error> {
    // Asked each time: who reads may have changed since they were kept.
    catalog::require("movie_factors", &[Privilege::Select])?;
    catalog::require("dim_movie", &[Privilege::Select])?;
    if changes::have_come(at_end_of_transaction) {
        ENTRIES.with_borrow_mut(Vec::clear);
    }
    let kept = ENTRIES.with_borrow_mut(|entries| {
        // The setting may have been lowered since.
        make_room(entries, 0);
        let is_it = |entry: &Entry| (entry.model_id, entry.trained_at) == (row.model_id, row.trained_at);
        let at = entries.iter().position(is_it)?;
        let entry = entries.remove(at);
        if entry.view.is_some_and(|view| view != View::of_statement()) {
            return None;
        }
        let movies = Rc::clone(&entry.movies);
        entries.push(entry);
        Some(movies)
    });
    if let Some(movies) = kept {
        return Ok(movies);
    }
    let (movies, bytes) = read(row)?;
    let movies = Rc::new(movies);
    if bytes <= guc::cache_memory() {
        Marker::set()?;
        let (model_id, trained_at, view) = (row.model_id, row.trained_at, View::if_unsettled());
        ENTRIES.with_borrow_mut(|entries| {
            make_room(entries, bytes);
            entries.push(Entry { model_id, trained_at, bytes, view, movies: Rc::clone(&movies) });
        });
    }
    Ok(movies)
}

/// Drops what holds for one transaction only, what the setting has no more room for, and all where plans were discarded.
fn at_end_of_transaction(is_all_discarded: bool) {
    // Nothing is borrowed, and nothing gone, where a transaction ends; but here nothing may panic.
    let _ = ENTRIES.try_with(|entries| {
        if let Ok(mut entries) = entries.try_borrow_mut() {
            let before = entries.len();
            entries.retain(|entry| entry.view.is_none() && !is_all_discarded);
            make_room(&mut entries, 0);
            if entries.len() < before {
                allocator::trim();
            }
        }
    });
}

/// What statements that change movies or their factors run: every session reads them anew.
#[pg_trigger]
fn movies_changed<'a>(
    _: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, ErrorReport> {
    changes::tell().map_err(report)?;
    Ok(None)
}

/// Drops those used longest ago, until there is room for so many bytes.
fn make_room(entries: &mut Vec<Entry>, bytes: usize) {
    let limit = guc::cache_memory();
    while !entries.is_empty() && entries.iter().map(|entry| entry.bytes).sum::<usize>() + bytes > limit {
        entries.remove(0);
    }
}

fn read(row: &ModelRow) -> Result<(Movies, usize), Error> {
    let mut ids = Vec::new();
    let column = |name| Column { name, type_oid: pgrx::pg_sys::BuiltinOid::INT4OID };
    scan("dim_movie", &[column("movie_key"), column("movie_id")], Seen::ByStatement, |row| {
        memory::push(&mut ids, (row.int4(1), row.int4(0)))
    })?;
    ids.sort_unstable();
    let keys = memory::collect(ids.into_iter().map(|(_, key)| key))?;
    let highest = keys.iter().copied().max().unwrap_or(0) as usize;
    // With what some calls will add: the norms, and what all movies share, at most.
    let per_movie = size_of::<i32>() + size_of::<bool>() + size_of::<f32>();
    let bytes = Catalogue::memory(keys.len(), row.factors)
        + Shared::memory(row.layout())
        + keys.len() * per_movie
        + highest * size_of::<u32>();
    pg::require_memory("recommending", bytes)?;
    let mut numbers = memory::filled(NOBODY, highest)?;
    keys.iter().enumerate().for_each(|(number, &key)| numbers[key as usize - 1] = number as u32);
    let mut catalogue = Catalogue::empty(keys.len(), row.layout())?;
    let mut is_known = memory::filled(false, keys.len())?;
    model::read(row, "movie_factors", None, |key, bias, factors| {
        if let Some(&number) = numbers.get((key as usize).wrapping_sub(1)).filter(|number| **number != NOBODY)
        {
            catalogue.set(number as usize, bias, factors);
            is_known[number as usize] = true;
        }
        Ok(())
    })?;
    Ok((
        Movies { catalogue, keys, is_known, numbers, norms: OnceCell::new(), shared: OnceCell::new() },
        bytes,
    ))
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;

    #[pg_test]
    fn what_is_dropped_is_forgotten() {
        Spi::run("INSERT INTO dim_movie VALUES (1, 7, 'A', 2000, 0), (2, 9, 'B', 2001, 0)").unwrap();
        for name in ["one", "two"] {
            let model = format!(
                "INSERT INTO model (name, version, algorithm, params, is_deployed, factors, global_mean, ratings, iterations,
                                    train_rmse, elapsed, train_on, hold_out, samples)
                 VALUES ('{name}', 1, 'als', '{{}}', true, 1, 3, 1, 1, 1, '1 s', 'train', 0, 1)"
            );
            Spi::run(&model).unwrap();
        }
        Spi::run("INSERT INTO movie_factors SELECT model_id, key, 0, ARRAY[key] FROM model, unnest(ARRAY[1, 2]) AS key").unwrap();
        let kept =
            || ENTRIES.with_borrow(|entries| entries.iter().map(|entry| entry.model_id).collect::<Vec<_>>());
        let id = |name: &str| Spi::get_one::<i32>(&format!("SELECT model_id('{name}')")).unwrap().unwrap();
        let ask = |name: &str| Spi::run(&format!("SELECT similar_movies(7, model => '{name}')")).unwrap();
        let (one, two) = (id("one"), id("two"));
        ask("one");
        ask("two");
        ask("one");
        // The last asked is the last to go.
        assert_eq!(kept(), [two, one]);
        Spi::run("SELECT drop_model('two', force => true)").unwrap();
        ask("one");
        assert_eq!(kept(), [one]);
        Spi::run("SET netflix_rec.cache_memory = 0").unwrap();
        ask("one");
        assert!(kept().is_empty());
    }
}
