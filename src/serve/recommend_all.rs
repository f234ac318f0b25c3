//! Recommendations for every customer at once: `recommend_all`.

use std::ops::Range;
use std::rc::Rc;

use factor::{Catalogue, MatrixBuilder, Side, Sparse};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::cache::{self, Movies};
use super::customer::{Customer, Source};
use super::error::ServeError;
use super::filter::{Filter, mask, seen};
use super::planner::EVERYBODY;
use super::recommend::{Name, checked_n, names};
use crate::models::{self, ModelRow, read};
use crate::pg::catalog::{self, Privilege};
use crate::pg::prepared::Prepared;
use crate::pg::snapshot::Snapshot;
use crate::pg::{Error, guc, interrupt, memory, report, role, threads};
use crate::warehouse::dimension::{Dimension, Id, Key};
use crate::warehouse::tables::FACT_RATINGS;
use crate::warehouse::{self, ratings, unfinished};

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

/// The most customers whose lists are made together, and the most lines in memory at a time (unless one customer has more).
const CUSTOMERS_PER_BATCH: usize = 4096;
const LINES_PER_BATCH: usize = 1 << 18;
/// Bytes for each id of the argument until its customer is found: in arrays, and in the rows of the query.
const BYTES_PER_ID: usize = 128;

/// The list of `recommend` for every customer, in the order of their keys; or for the customers of an array, each once, in the order
/// of the array.
///
/// The function has no search_path setting, which PostgreSQL would set and reset for each row. All its queries run before the first
/// row.
#[pg_extern(stable, support = rows_for_all_customers)]
#[allow(clippy::too_many_arguments)] // named ones, with defaults
pub(crate) fn recommend_all(
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
    let Some(customer_ids) = customer_ids else { return Ok(TableIterator::empty()) };
    let filter = Filter::new(min_year, max_year, exclude_movie_ids, min_ratings).map_err(report)?;
    let is_for_all = customer_ids.len() == 1 && customer_ids.get(0) == Some(Some(EVERYBODY));
    let customer_ids = (!is_for_all).then_some(customer_ids);
    let make = || Lists::new(n, model, remove_seen.unwrap_or(true), customer_ids, &filter);
    let lists = role::with_search_path(make).map_err(report)?;
    Ok(TableIterator::new(lists.map(|line| {
        let Line { customer_id, rank, movie_id, title, year, rating, source } = line;
        (customer_id, rank, movie_id, title, year, rating, source.name())
    })))
}

/// All lists. They are made for some thousand customers at a time, when the caller asks for their rows.
struct Lists {
    n: usize,
    model: ModelRow,
    movies: Rc<Movies>,
    names: Vec<Option<Name>>,
    /// For each movie, by index, whether it is recommended to nobody.
    excluded: Vec<bool>,
    customers: Vec<Listed>,
    /// A row for each customer; zeros if nothing is known of the customer, so that only the movies' biases count.
    side: Side,
    seen: SeenMovies,
    /// How many customers' lists are made.
    made: usize,
    /// The lines that are made and not returned yet.
    ready: std::vec::IntoIter<Line>,
}

struct Listed {
    id: i64,
    key: Option<Key>,
    source: Source,
}

/// The movies that customers have rated, which are left out.
enum SeenMovies {
    Nothing,
    /// Of all customers: rows of the rating matrix.
    Scanned(Sparse),
    /// Of the given customers, in their order: keys of movies, sorted.
    LookedUp(Vec<Vec<Key>>),
}

impl SeenMovies {
    fn contains(&self, customer: usize, customer_key: Option<Key>, movie_key: Key) -> bool {
        match self {
            SeenMovies::Nothing => false,
            SeenMovies::LookedUp(rows) => rows[customer].binary_search(&movie_key).is_ok(),
            SeenMovies::Scanned(sparse) => customer_key.is_some_and(|key| {
                let row = key.row().index();
                row < sparse.rows() && sparse.row(row).0.binary_search(&movie_key.row().0).is_ok()
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
        let n = checked_n(n)?;
        let model = models::find(name, None)?;
        unfinished::warn_in_first_load_or_restore()?;
        let excluded = filter.excluded()?;
        let movies = cache::movies(&model)?;
        let for_all = customer_ids.is_none();
        let mut customers = match customer_ids {
            Some(ids) => {
                memory::declare("recommend_all", ids.len() * BYTES_PER_ID)?;
                of_ids(&ids)?
            }
            None => everybody()?,
        };
        // If a row-level security policy applies to the role, a query for each customer finds the ratings that it may see.
        let is_scanned = for_all
            && !matches!(
                catalog::require(FACT_RATINGS.name, &[Privilege::Select]),
                Err(Error::RowSecurity { .. })
            );
        let ratings =
            if remove_seen && is_scanned { ratings::size(Snapshot::Statement)? } else { Default::default() };
        memory::declare("recommend_all", bytes(&model, customers.len(), &ratings))?;
        let side = factors(&model, &mut customers, for_all)?;
        let seen = match remove_seen {
            false => SeenMovies::Nothing,
            true if is_scanned => SeenMovies::Scanned(scanned(&model, customers.len(), &ratings)?),
            true => SeenMovies::LookedUp(looked_up(&model, &customers)?),
        };
        let names_of_all = names(movies.keys())?;
        let mut excluded = mask(&movies, &[&excluded])?;
        excluded.iter_mut().zip(&names_of_all).for_each(|(excluded, name)| *excluded |= name.is_none());
        Ok(Lists {
            n,
            names: names_of_all,
            excluded,
            movies,
            model,
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
        let together = (LINES_PER_BATCH / longest).clamp(1, CUSTOMERS_PER_BATCH);
        let batch = self.made..(self.made + together).min(self.customers.len());
        let lists = self.best(batch.clone())?;
        let mut lines = Vec::new();
        for (at, list) in batch.clone().zip(lists) {
            let Listed { id: customer_id, source, .. } = self.customers[at];
            let named = list
                .iter()
                .filter_map(|&(movie, score)| self.names[movie as usize].as_ref().map(|name| (name, score)));
            lines.try_reserve(list.len()).map_err(Error::from)?;
            lines.extend((1..).zip(named).map(|(rank, (name, score))| {
                let (movie_id, title, year) = name.clone();
                let rating = factor::clamp(score);
                Line { customer_id, rank, movie_id, title, year, rating, source }
            }));
        }
        self.made = batch.end;
        self.ready = lines.into_iter();
        Ok(())
    }

    /// The best movies of these customers: indices and scores.
    fn best(&self, batch: Range<usize>) -> Result<Vec<Vec<(i32, f32)>>, ServeError> {
        let Lists { n, excluded, customers, side, seen, .. } = self;
        let (catalogue, keys) = (&self.movies.catalogue, self.movies.keys());
        let mean = self.model.global_mean;
        let left_out = |customer: usize, movie: usize| {
            excluded[movie] || seen.contains(customer, customers[customer].key, keys[movie])
        };
        // The threads may use these, and nothing else of `self`.
        let inputs = Inputs { catalogue, left_out: &left_out };
        let lists = threads::run(
            guc::threads(),
            |cancelled, _: &mut (dyn FnMut(()) + Send)| {
                let Inputs { catalogue, left_out } = inputs;
                catalogue.top_n(*n, mean, side, batch, left_out, cancelled)
            },
            |()| {},
        )??;
        Ok(lists)
    }
}

#[derive(Clone, Copy)]
struct Inputs<'a, F> {
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
fn bytes(model: &ModelRow, customers: usize, ratings: &ratings::Size) -> usize {
    let vectors = customers * ((model.factors + 1) * size_of::<f32>() + size_of::<Listed>());
    let seen = MatrixBuilder::memory(ratings.customers, 0, ratings.ratings, guc::threads());
    let lines = LINES_PER_BATCH * 2 * size_of::<Line>();
    let catalogue = Catalogue::memory(ratings.movies, model.factors);
    catalogue + vectors + lines + if ratings.ratings > 0 { seen } else { 0 }
}

/// All customers, by key.
fn everybody() -> Result<Vec<Listed>, Error> {
    let customer =
        |(key, id): (Key, Id)| Listed { id: id.0.into(), key: Some(key), source: Source::Popularity };
    memory::collect(Dimension::Customer.members()?.into_iter().map(customer))
}

/// The customers of an array, each once.
fn of_ids(ids: &Array<'_, i64>) -> Result<Vec<Listed>, ServeError> {
    static KEYS: Prepared = Prepared(
        "SELECT c.customer_key FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (customer_id, place)
         LEFT JOIN @extschema@.dim_customer c USING (customer_id) ORDER BY place",
    );
    // As in `recommend`, a NULL id gets no list.
    let mut placed = memory::collect(ids.iter().flatten().zip(0usize..))?;
    placed.sort_unstable();
    placed.dedup_by_key(|&mut (id, _)| id);
    placed.sort_unstable_by_key(|&(_, place)| place);
    let ids = memory::collect(placed.into_iter().map(|(id, _)| id))?;
    let asked = memory::collect(ids.iter().copied())?;
    let keys = KEYS.all(&[DatumWithOid::from(asked)], |row| Ok(row.get::<i32>(1).map(Key)))?;
    let customer = |(id, key): (i64, Option<Key>)| Listed { id, key, source: Source::Popularity };
    Ok(memory::collect(ids.into_iter().zip(keys).map(customer))?)
}

/// The customers' biases and factors, a row for each; sets the source of each customer.
fn factors(model: &ModelRow, customers: &mut [Listed], for_all: bool) -> Result<Side, ServeError> {
    let mut side = Side::zeros(customers.len(), model.factors)?;
    let mut put =
        |listed: &mut Listed, at: usize, source, bias: f32, factors: ndarray::ArrayView1<'_, f32>| {
            listed.source = source;
            side.biases[at] = bias;
            side.factors.row_mut(at).assign(&factors);
        };
    if for_all {
        read::each_row(model, Dimension::Customer, None, |key, bias, factors| {
            if let Ok(at) = customers.binary_search_by_key(&Some(key), |listed| listed.key) {
                put(&mut customers[at], at, Source::Model, bias, factors);
            }
            Ok::<_, ServeError>(())
        })?;
    }
    let unknown = customers.iter_mut().enumerate().filter(|(_, listed)| listed.source == Source::Popularity);
    for (at, listed) in unknown {
        interrupt::check();
        let found = Customer::of_key(model, listed.key)?;
        if let Some((bias, factors)) = found.factors {
            put(listed, at, found.source, bias, ndarray::ArrayView1::from(&factors));
        }
    }
    Ok(side)
}

/// The movies that each customer has rated, by a query for each customer.
fn looked_up(model: &ModelRow, customers: &[Listed]) -> Result<Vec<Vec<Key>>, ServeError> {
    let mut bytes = bytes(model, customers.len(), &ratings::Size::default());
    let mut all = Vec::new();
    for customer in customers {
        let keys = customer.key.map_or(Ok(Vec::new()), seen)?;
        bytes += size_of::<Vec<i32>>() + keys.capacity() * size_of::<Key>();
        memory::recheck("recommend_all", bytes)?;
        memory::push(&mut all, keys)?;
    }
    Ok(all)
}

/// All ratings, by customer.
fn scanned(model: &ModelRow, customers: usize, size: &ratings::Size) -> Result<Sparse, ServeError> {
    let mut builder = MatrixBuilder::default();
    let (mut rows, mut columns) = (size.customers, size.movies);
    ratings::read(Snapshot::Statement, |rated| {
        rows = rows.max(rated.customer.index() + 1);
        columns = columns.max(rated.movie.index() + 1);
        builder.push(rated.customer.0, rated.movie.0, rated.rating)?;
        if builder.len().is_multiple_of(1 << 16) && builder.len() > size.ratings {
            let size = ratings::Size { ratings: builder.len(), ..*size };
            memory::recheck("recommend_all", bytes(model, customers, &size))?;
        }
        Ok::<_, warehouse::Error>(())
    })?;
    let sparse = threads::run(
        guc::threads(),
        |cancelled, _: &mut (dyn FnMut(()) + Send)| builder.build_by_customer(rows, columns, cancelled),
        |()| {},
    )??;
    Ok(sparse)
}
