//! fact_ratings: its rows as they are written, and read into the lists that the crates compute on.

use std::mem::offset_of;

use pgrx::pg_sys;

use super::Error;
use super::bulk::FixedRow;
use super::catalog::Privilege;
use super::columns;
use super::query::select_one;
use super::scan::{Column, Seen, scan};

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
