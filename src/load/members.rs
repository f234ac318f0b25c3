//! Customers and movies: looks up their keys, and inserts new ones with their keys, titles and years.

use pgrx::prelude::*;
use prize_format::{IdSet, RankedIds, Title};

use super::error::LoadError;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, memory, query, sequence};
use crate::storage::bulk::BulkInsert;
use crate::storage::scan::scan;
use crate::warehouse::dimension::{Dimension, Key};
use crate::warehouse::tables::{DIM_CUSTOMER, DIM_MOVIE};

/// Titles updated by one statement.
const TITLES_PER_UPDATE: usize = 1_000_000;

/// The keys of all customers or movies, by id.
pub struct Keys {
    dimension: Dimension,
    ids: RankedIds,
    /// By rank of the id.
    keys: Vec<Key>,
}

impl Keys {
    /// Reads all keys that there are now.
    pub fn read(dimension: Dimension) -> Result<Keys, LoadError> {
        let (mut ids, mut pairs) = (IdSet::default(), Vec::new());
        scan(dimension.table(), &[dimension.key(), dimension.id()], Snapshot::Latest, |row| {
            let (key, id) = (Key(row.int4(0)), row.int4(1) as u32);
            ids.insert(id);
            pairs.try_reserve(1).map_err(|_| prize_format::Error::OutOfMemory)?;
            pairs.push((id, key));
            Ok::<_, LoadError>(())
        })?;
        pairs.sort_unstable();
        let keys = pairs.into_iter().map(|(_, key)| key).collect();
        Ok(Keys { dimension, ids: ids.rank(), keys })
    }

    /// Looks up the keys of a few ids.
    pub fn look_up(dimension: Dimension, wanted: &RankedIds) -> Result<Keys, LoadError> {
        let (table, key, id) = (dimension.table().name, dimension.key(), dimension.id());
        let query =
            format!("SELECT {key}, {id} FROM @extschema@.{table} WHERE {id} = ANY ($1) ORDER BY {id}");
        let wanted = wanted.iter().map(|id| id as i32).collect::<Vec<_>>();
        let (mut ids, mut keys) = (IdSet::default(), Vec::new());
        query::for_each_row(Snapshot::Latest, &query, &[wanted.into()], |row| {
            let int = |column| row.get::<i32>(column)?.ok_or(pg::Error::Null(table));
            keys.push(Key(int(1)?));
            ids.insert(int(2)? as u32);
            Ok(())
        })?;
        Ok(Keys { dimension, ids: ids.rank(), keys })
    }

    /// The key of an id.
    #[inline]
    pub fn get(&self, id: u32) -> Option<Key> {
        Some(self.keys[self.ids.rank(id)?])
    }

    /// The id of each key, at the key's own place; 0 for a key that nobody has.
    pub fn ids_by_key(&self) -> Result<Vec<u32>, LoadError> {
        let highest = self.keys.iter().map(|key| key.0).max().unwrap_or(0).max(0) as usize;
        memory::recheck("loading", (highest + 1) * size_of::<u32>())?;
        let mut ids = Vec::new();
        ids.try_reserve_exact(highest + 1).map_err(|_| prize_format::Error::OutOfMemory)?;
        ids.resize(highest + 1, 0);
        for (id, &key) in self.ids.iter().zip(&self.keys) {
            ids[key.0.max(0) as usize] = id;
        }
        Ok(ids)
    }

    /// Inserts the ids that are new, in the order of the ids, with the keys that follow the greatest one. `titles`, sorted by id, are
    /// those of movies.
    pub fn add(&self, wanted: &RankedIds, titles: &[Title]) -> Result<(), LoadError> {
        let new = wanted.iter().filter(|&id| self.ids.rank(id).is_none());
        let mut key = greatest_key_ever(self.dimension)?;
        let mut next = || {
            key = key.checked_add(1).ok_or(LoadError::TooMany(self.dimension.plural()))?;
            Ok::<_, LoadError>(key)
        };
        let no_ratings = 0i64;
        match self.dimension {
            Dimension::Customer => {
                let mut rows = BulkInsert::open(&DIM_CUSTOMER)?;
                for id in new {
                    let key = next()?;
                    rows.push(|| {
                        [
                            key.into_datum(),
                            (id as i32).into_datum(),
                            no_ratings.into_datum(),
                            None,
                            None,
                            None,
                        ]
                    });
                }
                rows.finish();
            }
            Dimension::Movie => {
                let mut rows = BulkInsert::open(&DIM_MOVIE)?;
                for id in new {
                    let key = next()?;
                    let title =
                        titles.binary_search_by_key(&id, |title| title.movie_id).ok().map(|at| &titles[at]);
                    let name = title.and_then(|title| title.title.as_deref());
                    let year = title.and_then(|title| title.release_year).map(|year| year as i16);
                    rows.push(|| {
                        [
                            key.into_datum(),
                            (id as i32).into_datum(),
                            name.into_datum(),
                            year.into_datum(),
                            no_ratings.into_datum(),
                            None,
                            None,
                            None,
                        ]
                    });
                }
                rows.finish();
            }
        }
        Ok(())
    }

    /// Updates title and year of the movies that were there before. A line without a title changes nothing if the movie has one. Returns
    /// how many movies that had a title were changed.
    pub fn update_titles(&self, titles: &[Title]) -> Result<u64, LoadError> {
        let is_old = |title: &&Title| self.get(title.movie_id).is_some();
        let mut replaced = 0;
        for titles in titles.iter().filter(is_old).collect::<Vec<_>>().chunks(TITLES_PER_UPDATE) {
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

/// The greatest key that any member has or had.
pub fn greatest_key_ever(dimension: Dimension) -> Result<i32, LoadError> {
    let greatest = greatest_key_now(dimension)?;
    Ok(i64::from(greatest).max(sequence::last_value(dimension.retired_keys())?) as i32)
}

/// The greatest key that a member has now.
pub fn greatest_key_now(dimension: Dimension) -> Result<i32, LoadError> {
    let query = format!("SELECT max({}) FROM @extschema@.{}", dimension.key(), dimension.table().name);
    Ok(query::select_one::<i32>(Snapshot::Latest, &query, &[])?.unwrap_or(0))
}
