//! Which movies may be recommended.

use crate::pg::Error;
use crate::pg::prepared::Prepared;

use super::cache::Movies;
use super::error::ServeError;

/// What is asked of movies beside that they are liked.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub min_year: Option<i32>,
    pub max_year: Option<i32>,
    pub exclude_movie_ids: Option<Vec<Option<i32>>>,
    pub min_ratings: Option<i64>,
}

impl Filter {
    /// The keys of movies that may not be recommended, ascending; of a movie without a year, that depends on no year being
    /// asked for.
    pub fn excluded(&self) -> Result<Vec<i32>, ServeError> {
        static EXCLUDED: Prepared = Prepared(
            "SELECT movie_key FROM @extschema@.dim_movie
             WHERE NOT ((($1 IS NULL AND $2 IS NULL) OR release_year BETWEEN coalesce($1, -32768) AND coalesce($2, 32767)) IS TRUE
                        AND ($3 IS NULL OR rating_count >= $3)
                        AND NOT movie_id = ANY ($4::int[]))
             ORDER BY movie_key",
        );
        let Filter { min_year, max_year, exclude_movie_ids, min_ratings } = self;
        let ids = exclude_movie_ids.iter().flatten();
        let ids = ids
            .map(|id| id.ok_or(ServeError::NullElement("exclude_movie_ids")))
            .collect::<Result<Vec<_>, _>>()?;
        if min_year.is_none() && max_year.is_none() && min_ratings.is_none() && ids.is_empty() {
            return Ok(Vec::new());
        }
        let args = [(*min_year).into(), (*max_year).into(), (*min_ratings).into(), ids.into()];
        Ok(EXCLUDED.all(&args, |row| row.need::<i32>(1, "dim_movie"))?)
    }
}

/// For each movie whether it is left out.
pub fn mask(movies: &Movies, left_out: &[&[i32]]) -> Vec<bool> {
    let mut mask = vec![false; movies.catalogue.movies()];
    let numbers = left_out.iter().copied().flatten().filter_map(|&key| movies.number(key));
    numbers.for_each(|number| mask[number] = true);
    mask
}

/// Keys of the movies that a customer rated, ascending.
pub fn seen(customer_key: i32) -> Result<Vec<i32>, Error> {
    static SEEN: Prepared =
        Prepared("SELECT movie_key FROM @extschema@.fact_ratings WHERE customer_key = $1 ORDER BY movie_key");
    SEEN.all(&[customer_key.into()], |row| row.need::<i32>(1, "fact_ratings"))
}
