//! Which movies may be recommended.

use pgrx::datum::{Array, DatumWithOid};

use super::cache::Movies;
use super::error::ServeError;
use crate::pg::prepared::Prepared;
use crate::pg::{Error, memory};
use crate::warehouse::dimension::Key;

/// The conditions that a recommended movie must meet.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    min_year: Option<i64>,
    max_year: Option<i64>,
    exclude_movie_ids: Vec<i64>,
    min_ratings: Option<i64>,
}

/// A SQL condition: whether a movie passes the filter. A movie without a year passes only if the filter has no years. It is for
/// queries of `dim_movie m` whose first four parameters are [`Filter::args`].
macro_rules! passes {
    () => {
        "((($1 IS NULL AND $2 IS NULL) OR m.release_year BETWEEN coalesce($1, -32768) AND coalesce($2, 32767)) IS TRUE
          AND ($3 IS NULL OR m.rating_count >= $3)
          AND NOT m.movie_id = ANY ($4::bigint[]))"
    };
}

/// A movie that passes: its place in the given list, from 0 on, its id, title and year.
pub type Passed = (usize, i32, Option<String>, Option<i16>);

/// One of the best movies that pass.
pub struct Ranked {
    pub key: Key,
    pub id: i32,
    pub title: Option<String>,
    pub year: Option<i16>,
    pub score: f32,
}

/// How many movies are looked up for each one that is wanted, before all movies are read.
const LOOKED_UP: usize = 10;
/// For more movies than this, reading all movies once takes less time.
const LONG: usize = 100;

impl Filter {
    /// The filter of a call, by its arguments.
    pub fn new(
        min_year: Option<i64>,
        max_year: Option<i64>,
        exclude_movie_ids: Option<Array<'_, i64>>,
        min_ratings: Option<i64>,
    ) -> Result<Filter, ServeError> {
        let ids = exclude_movie_ids.iter().flat_map(Array::iter);
        let ids = ids.map(|id| id.ok_or(ServeError::NullElement("exclude_movie_ids")));
        Ok(Filter { min_year, max_year, exclude_movie_ids: memory::try_collect(ids)?, min_ratings })
    }

    /// The best `n` movies that pass, the best first. `ranking(n, excluded)` returns keys and scores of the best `n` movies that are not
    /// excluded.
    pub fn best(
        &self,
        n: usize,
        ranking: impl Fn(usize, &[Key]) -> Result<Vec<(Key, f32)>, ServeError>,
    ) -> Result<Vec<Ranked>, ServeError> {
        let passing = |asked: usize, excluded: &[Key]| {
            let best = ranking(asked, excluded)?;
            let passed = self.passing(memory::collect(best.iter().map(|&(key, _)| key))?)?;
            let is_enough = passed.len() >= n || best.len() < asked;
            let ranked = passed.into_iter().take(n).map(|(place, id, title, year)| {
                let (key, score) = best[place];
                Ranked { key, id, title, year, score }
            });
            Ok::<_, ServeError>(if is_enough { Some(memory::collect(ranked)?) } else { None })
        };
        let found = match self.is_empty() {
            true => passing(n, &[])?,
            // Ten times as many as are wanted usually contain enough that pass.
            false if n <= LONG => passing(n * LOOKED_UP, &[])?,
            false => None,
        };
        let found = match found {
            None if !self.is_empty() => passing(n, &self.excluded()?)?,
            found => found,
        };
        match found {
            Some(found) => Ok(found),
            // Some of the best are movies that were deleted, and are still in the session's cache.
            None => Ok(passing(usize::MAX, &[])?.unwrap_or_default()),
        }
    }

    pub fn is_empty(&self) -> bool {
        let Filter { min_year, max_year, exclude_movie_ids, min_ratings } = self;
        min_year.is_none() && max_year.is_none() && min_ratings.is_none() && exclude_movie_ids.is_empty()
    }

    /// The keys of the movies that do not pass, sorted.
    pub fn excluded(&self) -> Result<Vec<Key>, ServeError> {
        static EXCLUDED: Prepared = Prepared(concat!(
            "SELECT m.movie_key FROM @extschema@.dim_movie m WHERE NOT ",
            passes!(),
            " ORDER BY m.movie_key"
        ));
        if self.is_empty() {
            return Ok(Vec::new());
        }
        Ok(EXCLUDED.all(&self.args()?, |row| Ok(Key(row.need(1, "dim_movie")?)))?)
    }

    /// Those of the given movies that pass, in the same order.
    pub fn passing(&self, keys: Vec<Key>) -> Result<Vec<Passed>, ServeError> {
        static PASSING: Prepared = Prepared(concat!(
            "SELECT best.rank::int, m.movie_id, m.title, m.release_year
             FROM unnest($5::int[]) WITH ORDINALITY AS best (movie_key, rank)
             JOIN @extschema@.dim_movie m USING (movie_key) WHERE ",
            passes!(),
            " ORDER BY best.rank"
        ));
        let [min_year, max_year, min_ratings, ids] = self.args()?;
        let keys = memory::collect(keys.into_iter().map(|key| key.0))?;
        Ok(PASSING.all(&[min_year, max_year, min_ratings, ids, keys.into()], |row| {
            let place = row.need::<i32>(1, "dim_movie")? as usize - 1;
            Ok((place, row.need::<i32>(2, "dim_movie")?, row.get::<String>(3), row.get::<i16>(4)))
        })?)
    }

    fn args(&self) -> Result<[DatumWithOid<'static>; 4], ServeError> {
        let ids = memory::collect(self.exclude_movie_ids.iter().copied())?;
        Ok([self.min_year.into(), self.max_year.into(), self.min_ratings.into(), ids.into()])
    }
}

/// For each movie, by index, whether it is left out.
pub fn mask(movies: &Movies, left_out: &[&[Key]]) -> Result<Vec<bool>, Error> {
    let mut mask = memory::filled(false, movies.catalogue.movies())?;
    let indices = left_out.iter().copied().flatten().filter_map(|&key| movies.index(key));
    indices.for_each(|index| mask[index] = true);
    Ok(mask)
}

/// The keys of the movies that a customer has rated, sorted.
pub fn seen(customer: Key) -> Result<Vec<Key>, Error> {
    static SEEN: Prepared =
        Prepared("SELECT movie_key FROM @extschema@.fact_ratings WHERE customer_key = $1 ORDER BY movie_key");
    SEEN.all(&[customer.0.into()], |row| Ok(Key(row.need(1, "fact_ratings")?)))
}
