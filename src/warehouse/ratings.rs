//! fact_ratings: its rows as loads write them, and as training and evaluation read them.

use factor::{Digest, Ratings};

use crate::pg::catalog::Privilege;
use crate::pg::memory;
use crate::pg::progress::Phase;
use crate::pg::query::select_one;
use crate::pg::snapshot::Snapshot;
use crate::storage::bulk::FixedRow;
use crate::storage::scan::scan;
use crate::storage::table::Table;

use super::Error;
use super::dimension::{Dimension, Id, Key, MatrixRow};
use super::tables::{DIM_CUSTOMER, DIM_MOVIE, FACT_RATINGS};

/// All ratings are being read.
pub const READING_RATINGS: Phase = Phase { id: 5, name: "reading ratings", unit: "ratings" };

/// A row of fact_ratings.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    pub rating_key: i64,
    pub customer_key: Key,
    pub movie_key: Key,
    /// yyyymmdd
    pub date_key: i32,
    pub rating: i16,
    pub is_probe: bool,
}

impl FixedRow for Fact {
    const TABLE: &'static Table = &FACT_RATINGS;
    const OFFSETS: &'static [usize] = &[0, 8, 12, 16, 20, 22];
    const BYTES: usize = 23;

    #[inline]
    fn write(&self, bytes: &mut [u8]) {
        bytes[..8].copy_from_slice(&self.rating_key.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.customer_key.0.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.movie_key.0.to_ne_bytes());
        bytes[16..20].copy_from_slice(&self.date_key.to_ne_bytes());
        bytes[20..22].copy_from_slice(&self.rating.to_ne_bytes());
        bytes[22] = u8::from(self.is_probe);
    }
}

/// The size of the rating matrix.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    /// The greatest customer key: a matrix has as many rows.
    pub customers: usize,
    /// The greatest movie key.
    pub movies: usize,
    /// Ratings, the probe's included, by the counts of dim_movie.
    pub ratings: usize,
}

/// Looks up the size of the warehouse. Refused if row-level security would hide a part of it.
pub fn size(snapshot: Snapshot) -> Result<Size, Error> {
    for table in [&DIM_CUSTOMER, &DIM_MOVIE, &FACT_RATINGS] {
        table.require(&[Privilege::Select])?;
    }
    let count = |query| Ok::<_, Error>(select_one::<i64>(snapshot, query, &[])?.unwrap_or(0) as usize);
    Ok(Size {
        customers: count("SELECT max(customer_key)::bigint FROM @extschema@.dim_customer")?,
        movies: count("SELECT max(movie_key)::bigint FROM @extschema@.dim_movie")?,
        ratings: count("SELECT sum(rating_count)::bigint FROM @extschema@.dim_movie")?,
    })
}

/// Whether there are no ratings now.
pub fn is_empty() -> Result<bool, Error> {
    let query = "SELECT NOT EXISTS (SELECT FROM @extschema@.fact_ratings)";
    Ok(select_one::<bool>(Snapshot::Latest, query, &[])? == Some(true))
}

/// The ids of customers and movies by row; 0 for a row without a customer or movie.
pub struct Ids {
    customers: Vec<u32>,
    movies: Vec<u32>,
}

impl Ids {
    /// Reads the ids of all customers and movies.
    pub fn read() -> Result<Ids, Error> {
        let by_row = |dimension: Dimension| {
            let members = dimension.members()?;
            let mut ids = memory::filled(0, members.last().map_or(0, |(key, _)| key.0 as usize))?;
            members.into_iter().for_each(|(key, Id(id))| ids[key.row().index()] = id as u32);
            Ok::<_, Error>(ids)
        };
        Ok(Ids { customers: by_row(Dimension::Customer)?, movies: by_row(Dimension::Movie)? })
    }

    /// The ids of a customer and a movie, as the splits and digests of `factor` take them.
    #[inline]
    pub fn of(&self, customer: MatrixRow, movie: MatrixRow) -> (u32, u32) {
        let id = |ids: &[u32], row: MatrixRow| ids.get(row.index()).copied().unwrap_or(0);
        (id(&self.customers, customer), id(&self.movies, movie))
    }

    /// The rows of all customers, in the order of their ids.
    pub fn customers_by_id(&self) -> Result<Vec<u32>, Error> {
        let rows = (0..self.customers.len() as u32).filter(|&row| self.customers[row as usize] != 0);
        let mut rows = memory::collect(rows)?;
        rows.sort_unstable_by_key(|&row| self.customers[row as usize]);
        Ok(rows)
    }

    /// Adds a rating to a digest.
    #[inline]
    pub fn digest(&self, rated: &Rated, digest: &mut Digest) {
        let (customer_id, movie_id) = self.of(rated.customer, rated.movie);
        digest.add(customer_id, movie_id, rated.rating);
    }
}

/// A held-out set: ratings that models are judged by.
#[derive(Default)]
pub struct HeldOut {
    pub ratings: Ratings,
    /// Equal digests mean equal sets.
    pub digest: Digest,
}

impl HeldOut {
    /// Adds a rating that [`read`] has passed on.
    pub fn push(&mut self, ids: &Ids, rated: &Rated) -> Result<(), Error> {
        ids.digest(rated, &mut self.digest);
        Ok(self.ratings.try_push(rated.customer.0, rated.movie.0, rated.rating)?)
    }
}

/// A rating as [`read`] passes it on.
#[derive(Clone, Copy, Debug)]
pub struct Rated {
    pub customer: MatrixRow,
    pub movie: MatrixRow,
    pub rating: u8,
    /// yyyymmdd
    pub day: i32,
    pub is_probe: bool,
}

/// Reads the ratings of the probe.
pub fn read_probe(snapshot: Snapshot) -> Result<HeldOut, Error> {
    let (ids, mut probe) = (Ids::read()?, HeldOut::default());
    read(snapshot, |rated| if rated.is_probe { probe.push(&ids, &rated) } else { Ok(()) })?;
    Ok(probe)
}

/// Reads all ratings, and calls `each` with each.
pub fn read(snapshot: Snapshot, mut each: impl FnMut(Rated) -> Result<(), Error>) -> Result<(), Error> {
    scan(&FACT_RATINGS, &["customer_key", "movie_key", "rating", "date_key", "is_probe"], snapshot, |row| {
        each(Rated {
            customer: Key(row.int4(0)).row(),
            movie: Key(row.int4(1)).row(),
            rating: row.int2(2) as u8,
            day: row.int4(3),
            is_probe: row.bool(4),
        })
    })
}
