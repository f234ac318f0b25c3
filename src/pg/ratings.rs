//! fact_ratings: its rows as they are written, and read into the lists that the crates compute on.

use std::mem::offset_of;

use factor::{Digest, Ratings};
use pgrx::pg_sys;

use super::Error;
use super::bulk::FixedRow;
use super::catalog::Privilege;
use super::columns;
use super::query::select_one;
use super::scan::{Column, Seen, scan};
use super::{memory, model};

/// A row of fact_ratings.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Fact {
    pub rating_key: i64,
    pub customer_key: i32,
    pub movie_key: i32,
    /// yyyymmdd
    pub date_key: i32,
    pub rating: i16,
    pub is_probe: bool,
}

// SAFETY: each field begins where the one before it ends, and is as wide as its column.
unsafe impl FixedRow for Fact {
    const COLUMNS: &'static [columns::Column] = &columns::FACT_RATINGS;
    const OFFSETS: &'static [usize] = &[
        offset_of!(Fact, rating_key),
        offset_of!(Fact, customer_key),
        offset_of!(Fact, movie_key),
        offset_of!(Fact, date_key),
        offset_of!(Fact, rating),
        offset_of!(Fact, is_probe),
    ];
    const BYTES: usize = offset_of!(Fact, is_probe) + size_of::<bool>();
}

/// How many there are, by the dimensions' own counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    /// The highest customer key, and so the rows of a matrix of customers.
    pub customers: usize,
    /// The highest movie key.
    pub movies: usize,
    /// Ratings, the probe's included, as the loads counted them.
    pub ratings: usize,
}

/// Looks the warehouse's size up. Refused where row-level security would hide a part of it.
pub fn size(seen: Seen) -> Result<Size, Error> {
    for table in ["dim_customer", "dim_movie", "fact_ratings"] {
        columns::require(table, &[Privilege::Select])?;
    }
    let count = |query| Ok::<_, Error>(select_one::<i64>(seen, query, &[])?.unwrap_or(0) as usize);
    Ok(Size {
        customers: count("SELECT max(customer_key)::bigint FROM @extschema@.dim_customer")?,
        movies: count("SELECT max(movie_key)::bigint FROM @extschema@.dim_movie")?,
        ratings: count("SELECT sum(rating_count)::bigint FROM @extschema@.dim_movie")?,
    })
}

/// The data set's own ids of customers and movies, by key less 1; 0 where there is none.
pub struct Ids {
    customers: Vec<u32>,
    movies: Vec<u32>,
}

impl Ids {
    /// Reads them.
    pub fn read() -> Result<Ids, Error> {
        let by_key = |side: &'static str| {
            let ids = model::ids(side)?;
            let mut by_key = memory::filled(0u32, ids.last().map_or(0, |&(key, _)| key as usize))?;
            ids.into_iter().for_each(|(key, id)| by_key[key as usize - 1] = id as u32);
            Ok::<_, Error>(by_key)
        };
        Ok(Ids { customers: by_key("customer")?, movies: by_key("movie")? })
    }

    /// The ids of a customer and a movie that [`read`] hands on.
    #[inline]
    pub fn of(&self, customer: u32, movie: u32) -> (u32, u32) {
        let id = |ids: &[u32], at: u32| ids.get(at as usize).copied().unwrap_or(0);
        (id(&self.customers, customer), id(&self.movies, movie))
    }
}

/// Ratings that models are judged by.
#[derive(Default)]
pub struct Judges {
    pub ratings: Ratings,
    /// Two sets of them are the same where their digests are.
    pub digest: Digest,
}

impl Judges {
    /// Adds a rating that [`read`] has handed on.
    pub fn push(&mut self, ids: &Ids, customer: u32, movie: u32, rating: u8) -> Result<(), Error> {
        let (customer_id, movie_id) = ids.of(customer, movie);
        self.digest.add(customer_id, movie_id, rating);
        Ok(self.ratings.try_push(customer, movie, rating)?)
    }
}

/// Reads the ratings of the probe.
pub fn read_probe(seen: Seen) -> Result<Judges, Error> {
    let (ids, mut probe) = (Ids::read()?, Judges::default());
    read(
        seen,
        |customer, movie, rating, is_probe| {
            if is_probe { probe.push(&ids, customer, movie, rating) } else { Ok(()) }
        },
    )?;
    Ok(probe)
}

/// Reads all ratings and hands on customer, movie, rating and whether it is of the probe. Keys count from 1, what is
/// handed on from 0.
pub fn read(seen: Seen, mut each: impl FnMut(u32, u32, u8, bool) -> Result<(), Error>) -> Result<(), Error> {
    let column = |name, type_oid| Column { name, type_oid };
    let columns = [
        column("customer_key", pg_sys::BuiltinOid::INT4OID),
        column("movie_key", pg_sys::BuiltinOid::INT4OID),
        column("rating", pg_sys::BuiltinOid::INT2OID),
        column("is_probe", pg_sys::BuiltinOid::BOOLOID),
    ];
    scan("fact_ratings", &columns, seen, |row| {
        let number = |column| (row.int4(column) as u32).wrapping_sub(1);
        each(number(0), number(1), row.int2(2) as u8, row.bool(3))
    })
}
