//! The customers who would like a movie best: `recommend_users`.

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::all_customers::{customers, id_of};
use super::error::ServeError;
use super::recommend::checked_n;
use crate::models::{self, read};
use crate::pg::prepared::Prepared;
use crate::pg::{memory, report};
use crate::warehouse::dimension::{Dimension, Id, Key};
use crate::warehouse::unfinished;

/// The customers who would like a movie best, of those that the model knows and who have not rated it yet.
///
/// A movie that is NULL, or that the model does not know, returns no rows. Reads the factors of all customers.
#[pg_extern(stable, support = customers_by_second_argument)]
#[search_path(pg_catalog, pg_temp)]
fn recommend_users(
    movie_id: Option<i64>,
    n: default!(Option<i64>, 10),
    model: default!(Option<&str>, "NULL"),
    remove_seen: default!(Option<bool>, true),
) -> Result<
    TableIterator<'static, (name!(rank, i32), name!(customer_id, i32), name!(predicted_rating, f32))>,
    ErrorReport,
> {
    let Some(movie_id) = movie_id else { return Ok(TableIterator::empty()) };
    let best = customers_for(movie_id, n, model, remove_seen.unwrap_or(true)).map_err(report)?;
    Ok(TableIterator::new(best))
}

/// Customers whose ratings one query looks up.
const CUSTOMERS_PER_QUERY: usize = 1000;

fn customers_for(
    movie_id: i64,
    n: Option<i64>,
    name: Option<&str>,
    remove_seen: bool,
) -> Result<Vec<(i32, i32, f32)>, ServeError> {
    static RATED: Prepared = Prepared(
        "SELECT customer_key FROM @extschema@.fact_ratings WHERE movie_key = $1 AND customer_key = ANY ($2::int[])",
    );
    let n = checked_n(n)?;
    let model = models::find(name, None)?;
    unfinished::warn_in_first_load_or_restore()?;
    let Some(movie) = Dimension::Movie.key_of(movie_id)? else { return Ok(Vec::new()) };
    let Some((bias, factors)) = read::row(&model, Dimension::Movie, movie)? else {
        return Ok(Vec::new());
    };
    let movie_key = movie;
    let movie = (bias, ndarray::ArrayView1::from(&factors));
    let customers = customers()?;
    let mut scored = Vec::new();
    read::each_row(&model, Dimension::Customer, None, |key, bias, factors| {
        if let Some(id) = id_of(&customers, key) {
            let score = factor::score(model.global_mean, (bias, factors), movie);
            memory::push(&mut scored, (score, id, key))?;
        }
        Ok::<_, ServeError>(())
    })?;
    scored.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    let mut best = Vec::new();
    // Customers who would like a movie best have often rated it. So their ratings are looked up, until enough customers remain.
    for asked in scored.chunks(CUSTOMERS_PER_QUERY) {
        let keys = asked.iter().map(|&(.., Key(key))| key).collect::<Vec<_>>();
        let args = [DatumWithOid::from(movie_key.0), keys.into()];
        let mut rated = match remove_seen {
            true => RATED.all(&args, |row| Ok(Key(row.need(1, "fact_ratings")?)))?,
            false => Vec::new(),
        };
        rated.sort_unstable();
        for &(score, Id(id), key) in asked {
            if best.len() == n {
                return Ok(best);
            }
            if rated.binary_search(&key).is_err() {
                let rank = best.len() as i32 + 1;
                memory::push(&mut best, (rank, id, factor::clamp(score)))?;
            }
        }
    }
    Ok(best)
}
