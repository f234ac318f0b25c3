//! Reads fact_ratings into the lists that the crates compute on.

use pgrx::{Spi, pg_sys};

use super::Error;
use super::scan::{Column, scan};

/// How many there are, by the dimensions' own counts.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The highest customer key, and so the rows of a matrix of customers.
    pub customers: usize,
    /// The highest movie key.
    pub movies: usize,
    /// Ratings, the probe's included.
    pub ratings: usize,
}

/// Looks the warehouse's size up.
pub fn size() -> Result<Size, Error> {
    let (customers, movies, ratings) = Spi::get_three::<i32, i32, i64>(
        "SELECT coalesce((SELECT max(customer_key) FROM dim_customer), 0),
                coalesce(max(movie_key), 0),
                coalesce(sum(rating_count), 0)::bigint FROM dim_movie",
    )?;
    let count = |n: Option<i64>| n.map(|n| n as usize).ok_or(Error::Null("dim_movie"));
    Ok(Size {
        customers: count(customers.map(i64::from))?,
        movies: count(movies.map(i64::from))?,
        ratings: count(ratings)?,
    })
}

/// Reads all ratings and hands on customer, movie, rating and whether it is of the probe. Keys count from 1, what is
/// handed on from 0.
pub fn read(mut each: impl FnMut(u32, u32, u8, bool) -> Result<(), factor::Error>) -> Result<(), Error> {
    let column = |name, type_oid| Column { name, type_oid };
    let columns = [
        column("customer_key", pg_sys::BuiltinOid::INT4OID),
        column("movie_key", pg_sys::BuiltinOid::INT4OID),
        column("rating", pg_sys::BuiltinOid::INT2OID),
        column("is_probe", pg_sys::BuiltinOid::BOOLOID),
    ];
    scan("fact_ratings", &columns, |row| {
        let number = |column| (row.int4(column) as u32).wrapping_sub(1);
        Ok::<_, Error>(each(number(0), number(1), row.int2(2) as u8, row.bool(3))?)
    })
}
