//! Customers and movies, the two dimensions of ratings and models; and the three ways to name one of them: key, id and row.

use crate::pg::prepared::Prepared;
use crate::pg::snapshot::Snapshot;
use crate::pg::{Error, memory};
use crate::storage::scan::scan;
use crate::storage::table::Table;

use super::tables::{CUSTOMER_FACTORS, DIM_CUSTOMER, DIM_MOVIE, MOVIE_FACTORS};

/// A surrogate key, `customer_key` or `movie_key`: from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Key(pub i32);

/// The data set's own id, `customer_id` or `movie_id`: from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Id(pub i32);

/// A customer's row, or a movie's column, in a rating matrix, and a row of a model's factors: the key less 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct MatrixRow(pub u32);

impl Key {
    /// Its row. (A key below 1, which the table's CHECK refuses, gets a row beyond every matrix.)
    #[inline]
    pub fn row(self) -> MatrixRow {
        MatrixRow((self.0 as u32).wrapping_sub(1))
    }
}

impl MatrixRow {
    /// The key of this row.
    pub fn key(self) -> Key {
        Key((self.0 + 1) as i32)
    }

    /// Its place in a list of all rows.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    Customer,
    Movie,
}

impl Dimension {
    /// Both, in the order in which loads lock their tables.
    pub const ALL: [Dimension; 2] = [Dimension::Customer, Dimension::Movie];

    /// The table of its members.
    pub fn table(self) -> &'static Table {
        match self {
            Dimension::Customer => &DIM_CUSTOMER,
            Dimension::Movie => &DIM_MOVIE,
        }
    }

    /// The table of its members' factors.
    pub fn factors(self) -> &'static Table {
        match self {
            Dimension::Customer => &CUSTOMER_FACTORS,
            Dimension::Movie => &MOVIE_FACTORS,
        }
    }

    /// The column of the surrogate key.
    pub fn key(self) -> &'static str {
        match self {
            Dimension::Customer => "customer_key",
            Dimension::Movie => "movie_key",
        }
    }

    /// The column of the data set's own id.
    pub fn id(self) -> &'static str {
        match self {
            Dimension::Customer => "customer_id",
            Dimension::Movie => "movie_id",
        }
    }

    /// What its members are called.
    pub fn plural(self) -> &'static str {
        match self {
            Dimension::Customer => "customers",
            Dimension::Movie => "movies",
        }
    }

    /// The sequence that remembers the greatest key of a deleted member, because a key must never be reused.
    pub fn retired_keys(self) -> &'static str {
        match self {
            Dimension::Customer => "dim_customer_customer_key_seq",
            Dimension::Movie => "dim_movie_movie_key_seq",
        }
    }

    /// The dimension of this table, if it is one.
    pub fn of_table(name: &str) -> Option<Dimension> {
        Dimension::ALL.into_iter().find(|dimension| dimension.table().name == name)
    }

    /// The key of the member with this id, if there is one.
    pub fn key_of(self, id: i64) -> Result<Option<Key>, Error> {
        static CUSTOMER: Prepared =
            Prepared("SELECT customer_key FROM @extschema@.dim_customer WHERE customer_id = $1");
        static MOVIE: Prepared = Prepared("SELECT movie_key FROM @extschema@.dim_movie WHERE movie_id = $1");
        let query = match self {
            Dimension::Customer => &CUSTOMER,
            Dimension::Movie => &MOVIE,
        };
        Ok(query.one(&[id.into()])?.map(Key))
    }

    /// How many rows a matrix needs for all members: the greatest key, as the calling statement sees it.
    pub fn rows(self) -> Result<usize, Error> {
        static CUSTOMER: Prepared = Prepared("SELECT max(customer_key) FROM @extschema@.dim_customer");
        static MOVIE: Prepared = Prepared("SELECT max(movie_key) FROM @extschema@.dim_movie");
        let query = match self {
            Dimension::Customer => &CUSTOMER,
            Dimension::Movie => &MOVIE,
        };
        Ok(query.one::<i32>(&[])?.unwrap_or(0) as usize)
    }

    /// Key and id of all members, by key, as the calling statement sees them.
    pub fn members(self) -> Result<Vec<(Key, Id)>, Error> {
        let mut members = Vec::new();
        scan(self.table(), &[self.key(), self.id()], Snapshot::Statement, |row| {
            memory::push(&mut members, (Key(row.int4(0)), Id(row.int4(1))))
        })?;
        members.sort_unstable();
        Ok(members)
    }

    /// The key of each of these ids, where there is one.
    pub fn keys(self, ids: &[Id]) -> Result<Vec<Option<Key>>, Error> {
        let mut members = self.members()?;
        members.sort_unstable_by_key(|&(_, id)| id);
        let key = |id: &Id| members.binary_search_by_key(id, |&(_, id)| id).ok().map(|at| members[at].0);
        memory::collect(ids.iter().map(key))
    }
}
