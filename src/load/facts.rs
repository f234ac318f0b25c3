//! The second pass: ratings and qualifying pairs into their tables, movie by movie.

use pgrx::prelude::*;
use prize_format::Survey;

use super::dimensions::Dimension;
use super::error::LoadError;
use crate::pg::bulk::{BulkInsert, Indexes};
use crate::pg::scan::{Column, scan};
use crate::pg::{Error, interrupt};

/// What became of the ratings.
#[derive(Default)]
pub struct Loaded {
    pub inserted: u64,
    pub duplicates: u64,
    /// Pairs of the probe without a rating.
    pub probe_missing: u64,
}

/// The pairs that a table holds before the load: for each movie key, its customers' keys, sorted, with the top bit
/// set where the pair is of the probe.
struct Present(Vec<Vec<u32>>);

const PROBE: u32 = 1 << 31;

impl Present {
    fn read(table: &'static str) -> Result<Present, LoadError> {
        let int = |name| Column { name, type_oid: pg_sys::BuiltinOid::INT4OID };
        let mut columns = vec![int("customer_key"), int("movie_key")];
        let has_probe = table == "fact_ratings";
        if has_probe {
            columns.push(Column { name: "is_probe", type_oid: pg_sys::BuiltinOid::BOOLOID });
        }
        let mut movies = Vec::<Vec<u32>>::new();
        scan(table, &columns, |row| {
            let movie = row.int4(1) as usize;
            if movie >= movies.len() {
                movies.resize(movie + 1, Vec::new());
            }
            let probe = if has_probe && row.bool(2) { PROBE } else { 0 };
            movies[movie].push(row.int4(0) as u32 | probe);
            Ok::<_, Error>(())
        })?;
        movies.iter_mut().for_each(|customers| customers.sort_unstable_by_key(|key| key & !PROBE));
        Ok(Present(movies))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the pair is there, and if so whether it is of the probe.
    fn find(&self, movie_key: i32, customer_key: i32) -> Option<bool> {
        let customers = self.0.get(movie_key as usize)?;
        let at = customers.binary_search_by_key(&(customer_key as u32), |key| key & !PROBE).ok()?;
        Some(customers[at] & PROBE != 0)
    }

    /// An empty table's indexes are quicker built when it is full.
    fn indexes(&self) -> Indexes {
        if self.is_empty() { Indexes::Rebuild } else { Indexes::Maintain }
    }
}

/// Inserts the ratings that are not there yet, and marks those of the probe.
pub fn load(
    survey: &Survey,
    customers: &mut Dimension<'_>,
    movies: &mut Dimension<'_>,
) -> Result<Loaded, LoadError> {
    let present = Present::read("fact_ratings")?;
    let mut rating_key = Spi::get_one::<i64>("SELECT coalesce(max(rating_key), 0) FROM fact_ratings")?
        .ok_or(Error::Null("fact_ratings"))?;
    let mut loaded = Loaded::default();
    let mut newly_probe = Vec::new();
    let mut probe_found = 0;
    let mut facts = BulkInsert::open("fact_ratings", present.indexes())?;
    let mut reader = survey.read_ratings();
    let mut ratings = Vec::new();
    while let Some((movie_id, duplicates)) = reader.next(&mut ratings)? {
        loaded.duplicates += duplicates;
        let movie_key = movies.key(movie_id).ok_or(Error::Null("movie_key"))?;
        let probe = probe_of(survey, movie_id);
        for rating in &ratings {
            let is_probe = probe.binary_search(&(movie_id, rating.customer_id)).is_ok();
            probe_found += u64::from(is_probe);
            let customer_key = customers.key(rating.customer_id).ok_or(Error::Null("customer_key"))?;
            if let Some(was_probe) = present.find(movie_key, customer_key) {
                loaded.duplicates += 1;
                if is_probe && !was_probe {
                    newly_probe.push((movie_key, customer_key));
                }
                continue;
            }
            rating_key += 1;
            customers.count(rating.customer_id, rating);
            movies.count(movie_id, rating);
            let key = rating_key;
            facts.push(|| {
                [
                    key.into_datum(),
                    customer_key.into_datum(),
                    movie_key.into_datum(),
                    (rating.date.key() as i32).into_datum(),
                    i16::from(rating.rating).into_datum(),
                    is_probe.into_datum(),
                ]
            });
        }
    }
    notice!("building the indexes of fact_ratings");
    loaded.inserted = facts.finish();
    loaded.probe_missing = survey.probe.len() as u64 - probe_found;
    mark_probe(&newly_probe)?;
    Ok(loaded)
}

/// A movie's pairs of the probe.
fn probe_of(survey: &Survey, movie_id: u32) -> &[(u32, u32)] {
    let from = survey.probe.partition_point(|&(movie, _)| movie < movie_id);
    let to = survey.probe.partition_point(|&(movie, _)| movie <= movie_id);
    &survey.probe[from..to]
}

/// Ratings that were loaded before the probe was.
fn mark_probe(pairs: &[(i32, i32)]) -> Result<(), LoadError> {
    for pairs in pairs.chunks(10_000) {
        let (movies, customers): (Vec<i32>, Vec<i32>) = pairs.iter().copied().unzip();
        Spi::run_with_args(
            "UPDATE fact_ratings f SET is_probe = true
             FROM unnest($1::int[], $2::int[]) AS pair (movie_key, customer_key)
             WHERE f.movie_key = pair.movie_key AND f.customer_key = pair.customer_key",
            &[movies.into(), customers.into()],
        )?;
        interrupt::check();
    }
    Ok(())
}

/// Inserts the qualifying pairs that are not there yet.
pub fn load_qualifying(
    survey: &Survey,
    customers: &Dimension<'_>,
    movies: &Dimension<'_>,
) -> Result<u64, LoadError> {
    let present = Present::read("qualifying")?;
    let mut pairs = BulkInsert::open("qualifying", present.indexes())?;
    for &(movie_id, customer_id, date) in &survey.qualifying {
        let movie_key = movies.key(movie_id).ok_or(Error::Null("movie_key"))?;
        let customer_key = customers.key(customer_id).ok_or(Error::Null("customer_key"))?;
        if present.find(movie_key, customer_key).is_none() {
            pairs.push(|| {
                [customer_key.into_datum(), movie_key.into_datum(), (date.key() as i32).into_datum(), None]
            });
        }
    }
    Ok(pairs.finish())
}
