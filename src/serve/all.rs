//! Recommendations for every customer at once: `recommend_all`.

use std::ops::Range;
use std::rc::Rc;

use factor::{Catalogue, MatrixBuilder, Side, Sparse};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::catalog::{self, Privilege};
use crate::pg::model::{self, ModelRow};
use crate::pg::prepared::Prepared;
use crate::pg::scan::Seen;
use crate::pg::{self, Error, guc, interrupt, memory, query, ratings, report, unfinished};

use super::cache::{self, Movies};
use super::customer::{Customer, Source};
use super::error::ServeError;
use super::filter::{Filter, ids_of, mask, seen};
use super::recommend::{Name, checked, names};

/// A line of a list.
struct Line {
    customer_id: i64,
    rank: i32,
    movie_id: i32,
    title: Option<String>,
    year: Option<i16>,
    rating: f32,
    source: Source,
}

/// Customers whose lists are made together, and lines that are ready before the first of them is handed on, at most (but
/// for a single customer's).
const CUSTOMERS_A_TURN: usize = 4096;
const LINES_A_TURN: usize = 1 << 18;
/// Bytes that an id which is asked for takes until its customer is found: in arrays, and in the rows that come back.
const MEMORY_AN_ID: usize = 128;

/// What stands for every customer: no array of ids that somebody makes. NULL and an empty array are nobody, as they are what a
/// subquery over nobody gives.
const EVERYBODY: i64 = i64::MIN;

/// What `recommend` lists, for every customer, in the order of their keys; or for some, each once, in the order in which they are
/// given.
///
/// It has no search_path of its own, which would be set and undone once a row: its queries all run before the first.
#[pg_extern(stable, support = rows_for_all_customers)]
#[allow(clippy::too_many_arguments)] // named ones, with defaults
fn recommend_all(
    n: default!(Option<i64>, 10),
    model: default!(Option<&str>, "NULL"),
    remove_seen: default!(Option<bool>, true),
    customer_ids: default!(Option<Array<'_, i64>>, "'{-9223372036854775808}'"),
    min_year: default!(Option<i64>, "NULL"),
    max_year: default!(Option<i64>, "NULL"),
    exclude_movie_ids: default!(Option<Array<'_, i64>>, "NULL"),
    min_ratings: default!(Option<i64>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(customer_id, i64),
            name!(rank, i32),
            name!(movie_id, i32),
            name!(title, Option<String>),
            name!(release_year, Option<i16>),
            name!(predicted_rating, f32),
            name!(source, &'static str),
        ),
    >,
    ErrorReport,
> {
    let exclude_movie_ids = ids_of(exclude_movie_ids).map_err(report)?;
    let filter = Filter { min_year, max_year, exclude_movie_ids, min_ratings };
    let Some(customer_ids) = customer_ids else { return Ok(TableIterator::empty()) };
    let is_for_all = customer_ids.len() == 1 && customer_ids.get(0) == Some(Some(EVERYBODY));
    let customer_ids = (!is_for_all).then_some(customer_ids);
    let make = || Lists::new(n, model, remove_seen.unwrap_or(true), customer_ids, &filter);
    let lists = query::pinned(make).map_err(report)?;
    Ok(TableIterator::new(lists.map(|line| {
        let Line { customer_id, rank, movie_id, title, year, rating, source } = line;
        (customer_id, rank, movie_id, title, year, rating, source.name())
    })))
}

/// All lists, made some thousand customers at a time as they are asked for.
struct Lists {
    n: usize,
    row: ModelRow,
    movies: Rc<Movies>,
    names: Vec<Option<Name>>,
    /// For each movie, whether it is recommended to nobody.
    excluded: Vec<bool>,
    customers: Vec<Listed>,
    /// A row a customer; zeros where nothing is known of it, so that the movies' biases are all that counts.
    side: Side,
    seen: SeenMovies,
    /// Which customers' lists are made.
    made: usize,
    /// The lines that were made and not handed on yet.
    ready: std::vec::IntoIter<Line>,
}

struct Listed {
    id: i64,
    key: Option<i32>,
    source: Source,
}

/// What customers have rated, where that is left out.
enum SeenMovies {
    Nothing,
    /// Rows by key, from 1 on, of keys of movies less 1.
    Scanned(Sparse),
    /// A row a customer, of keys of movies.
    Asked(Vec<Vec<i32>>),
}

impl SeenMovies {
    fn contains(&self, customer: usize, customer_key: Option<i32>, movie_key: i32) -> bool {
        match self {
            SeenMovies::Nothing => false,
            SeenMovies::Asked(rows) => rows[customer].binary_search(&movie_key).is_ok(),
            SeenMovies::Scanned(sparse) => customer_key.is_some_and(|key| {
                let row = key as usize - 1;
                row < sparse.rows() && sparse.row(row).0.binary_search(&(movie_key as u32 - 1)).is_ok()
            }),
        }
    }
}

impl Lists {
    fn new(
        n: Option<i64>,
        name: Option<&str>,
        remove_seen: bool,
        customer_ids: Option<Array<'_, i64>>,
        filter: &Filter,
    ) -> Result<Lists, ServeError> {
        let n = checked(n)?;
        let row = model::find(name, None)?;
        unfinished::warn_of_first()?;
        let excluded = filter.excluded()?;
        let movies = cache::movies(&row)?;
        let for_all = customer_ids.is_none();
        let mut customers = match customer_ids {
            Some(ids) => {
                pg::require_memory("recommend_all", ids.len() * MEMORY_AN_ID)?;
                of_ids(&ids)?
            }
            None => everybody()?,
        };
        // Where a policy hides ratings from the role, those it may see are asked for customer by customer.
        let is_scanned = for_all
            && !matches!(
                catalog::require("fact_ratings", &[Privilege::Select]),
                Err(Error::RowSecurity { .. })
            );
        let ratings =
            if remove_seen && is_scanned { ratings::size(Seen::ByStatement)? } else { Default::default() };
        pg::require_memory("recommend_all", memory(&row, customers.len(), &ratings))?;
        let side = factors(&row, &mut customers, for_all)?;
        let seen = match remove_seen {
            false => SeenMovies::Nothing,
            true if is_scanned => SeenMovies::Scanned(scanned(&row, customers.len(), &ratings)?),
            true => SeenMovies::Asked(asked(&row, &customers)?),
        };
        let names_of_all = names(movies.keys())?;
        let mut excluded = mask(&movies, &[&excluded])?;
        excluded.iter_mut().zip(&names_of_all).for_each(|(excluded, name)| *excluded |= name.is_none());
        Ok(Lists {
            n,
            names: names_of_all,
            excluded,
            movies,
            row,
            customers,
            side,
            seen,
            made: 0,
            ready: Vec::new().into_iter(),
        })
    }

    /// Makes the next customers' lists.
    fn make(&mut self) -> Result<(), ServeError> {
        let longest = self.n.min(self.movies.catalogue.movies()).max(1);
        let together = (LINES_A_TURN / longest).clamp(1, CUSTOMERS_A_TURN);
        let turn = self.made..(self.made + together).min(self.customers.len());
        let lists = self.best(turn.clone())?;
        let mut lines = Vec::new();
        for (at, list) in turn.clone().zip(lists) {
            let Listed { id: customer_id, source, .. } = self.customers[at];
            let named = list.iter().filter_map(|&(number, score)| {
                self.names[number as usize].as_ref().map(|name| (name, score))
            });
            lines.try_reserve(list.len()).map_err(Error::from)?;
            lines.extend((1..).zip(named).map(|(rank, (name, score))| {
                let (movie_id, title, year) = name.clone();
                let rating = factor::cut(score);
                Line { customer_id, rank, movie_id, title, year, rating, source }
            }));
        }
        self.made = turn.end;
        self.ready = lines.into_iter();
        Ok(())
    }

    /// The best movies, by number, of these customers.
    fn best(&self, turn: Range<usize>) -> Result<Vec<Vec<(i32, f32)>>, ServeError> {
        let Lists { n, excluded, customers, side, seen, .. } = self;
        let (catalogue, keys) = (&self.movies.catalogue, self.movies.keys());
        let mean = self.row.global_mean;
        let left_out = |customer: usize, movie: usize| {
            excluded[movie] || seen.contains(customer, customers[customer].key, keys[movie])
        };
        // What a thread may look at.
        let shared = Shared { catalogue, left_out: &left_out };
        let lists = interrupt::run(
            guc::threads(),
            |cancelled, _: &mut (dyn FnMut(()) + Send)| {
                let Shared { catalogue, left_out } = shared;
                catalogue.best(*n, mean, side, turn, left_out, cancelled)
            },
            |()| {},
        )??;
        Ok(lists)
    }
}

#[derive(Clone, Copy)]
struct Shared<'a, F> {
    catalogue: &'a Catalogue,
    left_out: &'a F,
}

impl Iterator for Lists {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.ready.next() {
                return Some(line);
            }
            if self.made == self.customers.len() {
                return None;
            }
            if let Err(error) = self.make() {
                report(error).report(PgLogLevel::ERROR);
            }
        }
    }
}

/// Bytes that all of it takes.
fn memory(row: &ModelRow, customers: usize, ratings: &ratings::Size) -> usize {
    let vectors = customers * ((row.factors + 1) * size_of::<f32>() + size_of::<Listed>());
    let seen = MatrixBuilder::memory(ratings.customers, 0, ratings.ratings, guc::threads());
    let lines = LINES_A_TURN * 2 * size_of::<Line>();
    let catalogue = Catalogue::memory(ratings.movies, row.factors);
    catalogue + vectors + lines + if ratings.ratings > 0 { seen } else { 0 }
}

/// All customers, by key.
fn everybody() -> Result<Vec<Listed>, Error> {
    let customer =
        |(key, id): (i32, i32)| Listed { id: id.into(), key: Some(key), source: Source::Popularity };
    memory::collect(model::ids("customer")?.into_iter().map(customer))
}

/// Those who are asked for, each once.
fn of_ids(ids: &Array<'_, i64>) -> Result<Vec<Listed>, ServeError> {
    static KEYS: Prepared = Prepared(
        "SELECT c.customer_key FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (customer_id, place)
         LEFT JOIN @extschema@.dim_customer c USING (customer_id) ORDER BY place",
    );
    // As of `recommend`, NULL is nobody.
    let mut placed = memory::collect(ids.iter().flatten().zip(0usize..))?;
    placed.sort_unstable();
    placed.dedup_by_key(|&mut (id, _)| id);
    placed.sort_unstable_by_key(|&(_, place)| place);
    let ids = memory::collect(placed.into_iter().map(|(id, _)| id))?;
    let asked = memory::collect(ids.iter().copied())?;
    let keys = KEYS.all(&[DatumWithOid::from(asked)], |row| Ok(row.get::<i32>(1)))?;
    let customer = |(id, key): (i64, Option<i32>)| Listed { id, key, source: Source::Popularity };
    Ok(memory::collect(ids.into_iter().zip(keys).map(customer))?)
}

/// The customers' biases and factors, a row each, and what they come from.
fn factors(row: &ModelRow, customers: &mut [Listed], for_all: bool) -> Result<Side, ServeError> {
    let mut side = Side::zeros(customers.len(), row.factors)?;
    let mut put =
        |listed: &mut Listed, at: usize, source, bias: f32, factors: ndarray::ArrayView1<'_, f32>| {
            listed.source = source;
            side.biases[at] = bias;
            side.factors.row_mut(at).assign(&factors);
        };
    if for_all {
        model::read(row, "customer_factors", None, |key, bias, factors| {
            if let Ok(at) = customers.binary_search_by_key(&Some(key), |listed| listed.key) {
                put(&mut customers[at], at, Source::Model, bias, factors);
            }
            Ok(())
        })?;
    }
    let unknown = customers.iter_mut().enumerate().filter(|(_, listed)| listed.source == Source::Popularity);
    for (at, listed) in unknown {
        interrupt::check();
        let found = Customer::of_key(row, listed.key)?;
        if let Some((bias, factors)) = found.factors {
            put(listed, at, found.source, bias, ndarray::ArrayView1::from(&factors));
        }
    }
    Ok(side)
}

/// Each customer's ratings, asked for one by one.
fn asked(row: &ModelRow, customers: &[Listed]) -> Result<Vec<Vec<i32>>, ServeError> {
    let mut bytes = memory(row, customers.len(), &ratings::Size::default());
    let mut all = Vec::new();
    for customer in customers {
        let keys = customer.key.map_or(Ok(Vec::new()), seen)?;
        bytes += size_of::<Vec<i32>>() + keys.capacity() * size_of::<i32>();
        pg::check_memory("recommend_all", bytes)?;
        memory::push(&mut all, keys)?;
    }
    Ok(all)
}

/// All ratings, by customer.
fn scanned(row: &ModelRow, customers: usize, size: &ratings::Size) -> Result<Sparse, ServeError> {
    let mut builder = MatrixBuilder::default();
    let (mut rows, mut columns) = (size.customers, size.movies);
    ratings::read(Seen::ByStatement, |customer, movie, rating, _| {
        rows = rows.max(customer as usize + 1);
        columns = columns.max(movie as usize + 1);
        builder.push(customer, movie, rating)?;
        if builder.len().is_multiple_of(1 << 16) && builder.len() > size.ratings {
            let size = ratings::Size { ratings: builder.len(), ..*size };
            pg::check_memory("recommend_all", memory(row, customers, &size))?;
        }
        Ok(())
    })?;
    let sparse = interrupt::run(
        guc::threads(),
        |cancelled, _: &mut (dyn FnMut(()) + Send)| builder.build_by_customer(rows, columns, cancelled),
        |()| {},
    )??;
    Ok(sparse)
}
