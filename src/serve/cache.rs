//! The movies of models, which a backend caches between calls. They are dropped from the cache when models are dropped, when movies
//! change, when the cache is full, and by `DISCARD ALL`.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use factor::{Catalogue, FactorRanges, FoldInContext, Origin};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::models::{self, ModelRow, read};
use crate::pg::catalog::{self, Privilege};
use crate::pg::invalidation::{self, SnapshotId};
use crate::pg::prepared::Prepared;
use crate::pg::snapshot::Snapshot;
use crate::pg::{allocator, discard, guc, interrupt, memory, report};
use crate::storage::scan::scan;
use crate::warehouse::Error;
use crate::warehouse::dimension::{Dimension, Key};

/// A model's movies. Their indices follow the order of their ids: of two movies with the same score, the smaller id comes first.
pub struct Movies {
    pub catalogue: Catalogue,
    /// The key of each movie, by index. Movies that the model does not know are among them.
    keys: Vec<Key>,
    is_known: Vec<bool>,
    /// The index of each movie by row, that is key less 1; [`NO_MOVIE`] for a key that no movie has.
    indices: Vec<u32>,
    norms: OnceCell<Vec<f32>>,
    fold_in_context: OnceCell<FoldInContext>,
}

const NO_MOVIE: u32 = u32::MAX;

impl Movies {
    /// A movie's key.
    pub fn key(&self, movie: usize) -> Key {
        self.keys[movie]
    }

    /// All keys, by index.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The index of the movie with this key, if the model knows it.
    pub fn index(&self, key: Key) -> Option<usize> {
        let index = self.indices.get(key.row().index()).copied().filter(|&index| index != NO_MOVIE)? as usize;
        self.is_known[index].then_some(index)
    }

    /// The Euclidean norm of each movie's factors, by index. `factors` are the model's.
    pub fn norms(&self, factors: &FactorRanges) -> Result<&[f32], Error> {
        if let Some(norms) = self.norms.get() {
            return Ok(norms);
        }
        let norms = self.catalogue.norms(factors)?;
        Ok(self.norms.get_or_init(|| norms))
    }

    /// The indices of the movies that the model knows.
    pub fn known(&self) -> impl Iterator<Item = usize> {
        self.is_known.iter().enumerate().filter(|(_, known)| **known).map(|(index, _)| index)
    }

    /// What is computed from all movies once, to fold any customer in.
    pub fn fold_in_context(&self, model: &ModelRow, origin: &Origin) -> Result<&FoldInContext, Error> {
        static LINKS: Prepared = Prepared(
            "SELECT links FROM @extschema@.movie_factors WHERE model_id = $1 AND links IS NOT NULL ORDER BY movie_key",
        );
        if let Some(context) = self.fold_in_context.get() {
            return Ok(context);
        }
        static PRIOR: Prepared = Prepared("SELECT prior FROM @extschema@.model WHERE model_id = $1");
        let mut prior = Vec::new();
        PRIOR.each(&[model.model_id.into()], |row| {
            prior = row.floats(1, "model")?;
            Ok::<_, Error>(())
        })?;
        let mut context = origin.fold_in_context(model.layout(), Some(&prior))?;
        if context.needs_factors() {
            for movie in self.known() {
                context.add_factors(&self.catalogue.vector(movie)?);
            }
        }
        if context.needs_links() {
            LINKS.each(&[model.model_id.into()], |row| {
                interrupt::check();
                context.add_links(&row.floats(1, "movie_factors")?);
                Ok::<_, Error>(())
            })?;
        }
        Ok(self.fold_in_context.get_or_init(|| context))
    }
}

/// The table for which invalidation messages are sent.
const SIGNAL_TABLE: &str = "model";

/// A model's movies in the cache.
struct Entry {
    model_id: i32,
    trained_at: i64,
    bytes: usize,
    /// The snapshot of the statement that read them, if other statements may see something else.
    snapshot: Option<SnapshotId>,
    movies: Rc<Movies>,
}

thread_local! {
    /// The one that was used last is at the end.
    static ENTRIES: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

/// A model's movies, from the cache or, if they are not in it, from the tables.
pub fn movies(model: &ModelRow) -> Result<Rc<Movies>, Error> {
    // At each call, because the role may be another than when they were cached.
    catalog::require("movie_factors", &[Privilege::Select])?;
    catalog::require("dim_movie", &[Privilege::Select])?;
    if invalidation::were_received(SIGNAL_TABLE, at_end_of_transaction) {
        ENTRIES.with_borrow_mut(Vec::clear);
    }
    let cached = ENTRIES.with_borrow_mut(|entries| {
        // The setting may have been lowered since.
        make_room(entries, 0);
        let is_it = |entry: &Entry| (entry.model_id, entry.trained_at) == (model.model_id, model.trained_at);
        let at = entries.iter().position(is_it)?;
        let entry = entries.remove(at);
        if entry.snapshot.is_some_and(|snapshot| snapshot != SnapshotId::of_statement()) {
            return None;
        }
        let movies = Rc::clone(&entry.movies);
        entries.push(entry);
        Some(movies)
    });
    if let Some(movies) = cached {
        return Ok(movies);
    }
    let (movies, bytes) = read_movies(model)?;
    let movies = Rc::new(movies);
    if bytes <= guc::cache_memory() {
        discard::set_marker()?;
        let (model_id, trained_at, snapshot) = (model.model_id, model.trained_at, SnapshotId::if_outdated());
        ENTRIES.with_borrow_mut(|entries| {
            make_room(entries, bytes);
            entries.push(Entry { model_id, trained_at, bytes, snapshot, movies: Rc::clone(&movies) });
        });
    }
    Ok(movies)
}

/// Drops what is valid in this transaction only, and what exceeds the setting; drops everything if plans were discarded.
fn at_end_of_transaction(is_all_discarded: bool) {
    // Nothing is borrowed when a transaction ends. But if it were, this callback must not panic.
    let _ = ENTRIES.try_with(|entries| {
        if let Ok(mut entries) = entries.try_borrow_mut() {
            let before = entries.len();
            entries.retain(|entry| entry.snapshot.is_none() && !is_all_discarded);
            make_room(&mut entries, 0);
            if entries.len() < before {
                allocator::trim();
            }
        }
    });
}

/// The trigger of statements that change movies or their factors: every session reads them again.
#[pg_trigger]
fn movies_changed<'a>(
    _: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, ErrorReport> {
    invalidation::send(SIGNAL_TABLE).map_err(report)?;
    Ok(None)
}

/// Drops the entries that were used least recently, until there is room for so many bytes.
fn make_room(entries: &mut Vec<Entry>, bytes: usize) {
    let limit = guc::cache_memory();
    while !entries.is_empty() && entries.iter().map(|entry| entry.bytes).sum::<usize>() + bytes > limit {
        entries.remove(0);
    }
}

fn read_movies(model: &ModelRow) -> Result<(Movies, usize), Error> {
    let mut movies = Vec::new();
    let dimension = Dimension::Movie;
    scan(dimension.table(), &[dimension.key(), dimension.id()], Snapshot::Statement, |row| {
        memory::push(&mut movies, (row.int4(1), Key(row.int4(0))))
    })?;
    movies.sort_unstable();
    let keys = memory::collect(movies.into_iter().map(|(_, key)| key))?;
    let rows = keys.iter().max().map_or(0, |key| key.0) as usize;
    // This includes what some calls add later: the norms, and the most that the context for folding in can take.
    let per_movie = size_of::<Key>() + size_of::<bool>() + size_of::<f32>();
    let bytes = Catalogue::memory(keys.len(), model.factors)
        + models::find::origin(model)?.context_memory(model.layout())
        + keys.len() * per_movie
        + rows * size_of::<u32>();
    memory::declare("recommending", bytes)?;
    let mut indices = memory::filled(NO_MOVIE, rows)?;
    keys.iter().enumerate().for_each(|(index, key)| indices[key.row().index()] = index as u32);
    let mut catalogue = Catalogue::empty(keys.len(), model.layout())?;
    let mut is_known = memory::filled(false, keys.len())?;
    read::each_row(model, dimension, None, |key, bias, factors| {
        let index = indices.get(key.row().index()).copied().filter(|&index| index != NO_MOVIE);
        if let Some(index) = index {
            catalogue.set(index as usize, bias, factors);
            is_known[index as usize] = true;
        }
        Ok::<_, Error>(())
    })?;
    let (norms, fold_in_context) = (OnceCell::new(), OnceCell::new());
    Ok((Movies { catalogue, keys, is_known, indices, norms, fold_in_context }, bytes))
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
