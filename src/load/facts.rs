//! The second pass: ratings and qualifying pairs into their tables, movie by movie.

use std::collections::HashMap;

use pgrx::pg_sys::BuiltinOid;
use pgrx::prelude::*;
use prize_format::Survey;

use super::Pace;
use super::dimensions::Dimension;
use super::error::LoadError;
use crate::pg::bulk::{self, BulkInsert, Indexes};
use crate::pg::scan::{Column, Seen, scan};
use crate::pg::{self, Error, interrupt, query};

/// rating_key, customer_key, movie_key, date_key, rating, is_probe
pub const FACT: [bulk::Column; 6] = [
    bulk::Column::required(BuiltinOid::INT8OID),
    bulk::Column::required(BuiltinOid::INT4OID),
    bulk::Column::required(BuiltinOid::INT4OID),
    bulk::Column::required(BuiltinOid::INT4OID),
    bulk::Column::required(BuiltinOid::INT2OID),
    bulk::Column::required(BuiltinOid::BOOLOID),
];
/// customer_key, movie_key, date_key, rating
pub const QUALIFYING: [bulk::Column; 4] = [
    bulk::Column::required(BuiltinOid::INT4OID),
    bulk::Column::required(BuiltinOid::INT4OID),
    bulk::Column::required(BuiltinOid::INT4OID),
    bulk::Column::optional(BuiltinOid::INT2OID),
];

/// Pairs read between two looks at the memory they take.
const PAIRS_A_TURN: usize = 64 * 1024;

/// What became of the ratings.
#[derive(Default)]
pub struct Loaded {
    pub inserted: u64,
    pub duplicates: u64,
    /// Those inserted that are of the probe.
    pub probe: u64,
}

/// The pairs that a table holds before the load: for each movie key, its customers' keys, sorted.
struct Present(HashMap<i32, Vec<i32>>);

impl Present {
    /// `held` is how many bytes the load takes beside them.
    fn read(table: &'static str, held: usize) -> Result<Present, LoadError> {
        let int = |name| Column { name, type_oid: BuiltinOid::INT4OID };
        let mut movies = HashMap::<i32, Vec<i32>>::new();
        let mut pairs = 0usize;
        scan(table, &[int("customer_key"), int("movie_key")], Seen::Now, |row| {
            let customers = movies.entry(row.int4(1)).or_default();
            customers.try_reserve(1).map_err(|_| prize_format::Error::OutOfMemory)?;
            customers.push(row.int4(0));
            pairs += 1;
            if pairs.is_multiple_of(PAIRS_A_TURN) {
                // A list may have twice the room that it needs.
                pg::check_memory("loading", held + pairs * 2 * size_of::<i32>())?;
            }
            Ok::<_, LoadError>(())
        })?;
        movies.values_mut().for_each(|customers| customers.sort_unstable());
        Ok(Present(movies))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contains(&self, movie_key: i32, customer_key: i32) -> bool {
        self.0.get(&movie_key).is_some_and(|customers| customers.binary_search(&customer_key).is_ok())
    }

    /// An empty table's indexes are quicker built when it is full.
    fn indexes(&self) -> Indexes {
        if self.is_empty() { Indexes::Rebuild } else { Indexes::Maintain }
    }
}

/// Inserts the ratings that are not there yet, those of the probe marked as such. `held` is how many bytes the load
/// takes already.
pub fn load(
    survey: &Survey,
    customers: &mut Dimension<'_>,
    movies: &mut Dimension<'_>,
    held: usize,
) -> Result<Loaded, LoadError> {
    let present = Present::read("fact_ratings", held)?;
    let mut rating_key = query::select_one::<i64>(
        Seen::Now,
        "SELECT coalesce(max(rating_key), 0) FROM @extschema@.fact_ratings",
        &[],
    )?
    .ok_or(Error::Null("fact_ratings"))?;
    let mut loaded = Loaded::default();
    let mut facts = BulkInsert::open("fact_ratings", FACT, present.indexes())?;
    let mut reader = survey.read_ratings();
    let mut ratings = Vec::new();
    let (all, mut done, mut pace) = (survey.ratings(), 0, Pace::new());
    while let Some((movie_id, duplicates)) = reader.next(&mut ratings)? {
        interrupt::check();
        if pace.is_due() {
            notice!("{done} of {all} ratings are in");
        }
        done += ratings.len() as u64 + duplicates;
        loaded.duplicates += duplicates;
        let movie_key = movies.key(movie_id).ok_or(Error::Null("movie_key"))?;
        let probe = probe_of(&survey.probe, movie_id);
        for rating in &ratings {
            let customer_key = customers.key(rating.customer_id).ok_or(Error::Null("customer_key"))?;
            if present.contains(movie_key, customer_key) {
                loaded.duplicates += 1;
                continue;
            }
            let is_probe = probe.binary_search(&(movie_id, rating.customer_id)).is_ok();
            loaded.probe += u64::from(is_probe);
            rating_key += 1;
            customers.count(rating.customer_id, rating);
            movies.count(movie_id, rating);
            facts.push(|| {
                [
                    rating_key.into_datum(),
                    customer_key.into_datum(),
                    movie_key.into_datum(),
                    (rating.date.key() as i32).into_datum(),
                    i16::from(rating.rating).into_datum(),
                    is_probe.into_datum(),
                ]
            });
        }
    }
    if present.is_empty() {
        notice!("building the indexes of fact_ratings");
    }
    loaded.inserted = facts.finish();
    Ok(loaded)
}

/// A movie's pairs of the probe.
fn probe_of(probe: &[(u32, u32)], movie_id: u32) -> &[(u32, u32)] {
    let from = probe.partition_point(|&(movie, _)| movie < movie_id);
    let to = probe.partition_point(|&(movie, _)| movie <= movie_id);
    &probe[from..to]
}

/// Marks the probe's ratings that were there before. Gives how many of the probe's pairs have a rating.
pub fn mark_probe(probe: &[(u32, u32)]) -> Result<u64, LoadError> {
    let mut found = 0;
    for pairs in probe.chunks(10_000) {
        let (movies, customers): (Vec<i32>, Vec<i32>) =
            pairs.iter().map(|&(movie, customer)| (movie as i32, customer as i32)).unzip();
        let rated = query::run_one::<i64>(
            "WITH rated AS (
                 SELECT f.rating_key, f.is_probe FROM unnest($1::int[], $2::int[]) AS pair (movie_id, customer_id)
                 JOIN @extschema@.dim_movie USING (movie_id) JOIN @extschema@.dim_customer USING (customer_id)
                 JOIN @extschema@.fact_ratings f USING (customer_key, movie_key)
             ), marked AS (
                 UPDATE @extschema@.fact_ratings f SET is_probe = true FROM rated
                 WHERE f.rating_key = rated.rating_key AND NOT rated.is_probe
             )
             SELECT count(*) FROM rated",
            &[movies.into(), customers.into()],
        )?;
        found += rated.unwrap_or(0) as u64;
        interrupt::check();
    }
    Ok(found)
}

/// Inserts the qualifying pairs that are not there yet.
pub fn load_qualifying(
    survey: &Survey,
    customers: &Dimension<'_>,
    movies: &Dimension<'_>,
    held: usize,
) -> Result<u64, LoadError> {
    let present = Present::read("qualifying", held)?;
    let mut pairs = BulkInsert::open("qualifying", QUALIFYING, present.indexes())?;
    for (at, &(movie_id, customer_id, date)) in survey.qualifying.iter().enumerate() {
        if at.is_multiple_of(1024) {
            interrupt::check();
        }
        let movie_key = movies.key(movie_id).ok_or(Error::Null("movie_key"))?;
        let customer_key = customers.key(customer_id).ok_or(Error::Null("customer_key"))?;
        if !present.contains(movie_key, customer_key) {
            pairs.push(|| {
                [customer_key.into_datum(), movie_key.into_datum(), (date.key() as i32).into_datum(), None]
            });
        }
    }
    Ok(pairs.finish())
}
