//! Reads what a model has learned: the factors of customers and movies, and how its training went.

use ndarray::ArrayView1;

use crate::pg::catalog::{self, Privilege};
use crate::pg::prepared::Prepared;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, interrupt, memory, query};
use crate::storage::lookup::each_by_key;
use crate::warehouse::Error;
use crate::warehouse::dimension::{Dimension, Key};

use super::error::ModelError;
use super::find::{ModelRow, find};

/// The columns model_id, key, bias and factors, which both tables of factors begin with.
const COLUMNS: usize = 4;

/// Calls `each` with key, bias and factors of every customer or movie that a model knows, or of the one with this key.
pub fn each_row<E: From<Error> + From<pg::Error>>(
    model: &ModelRow,
    dimension: Dimension,
    key: Option<Key>,
    mut each: impl FnMut(Key, f32, ArrayView1<'_, f32>) -> Result<(), E>,
) -> Result<(), E> {
    let table = dimension.factors();
    let prefix = [model.model_id, key.map_or(0, |key| key.0)];
    let prefix = if key.is_some() { &prefix[..] } else { &prefix[..1] };
    each_by_key(table, COLUMNS, prefix, |row| {
        let key = row.int4(1).unwrap_or(0);
        let damaged = Error::Damaged { table: table.name, key };
        let Some((bias, array)) = row.float4(2).zip(row.float4s(3)) else { return Err(damaged.into()) };
        match array.as_slice() {
            Ok(factors) if factors.len() == model.factors => each(Key(key), bias, ArrayView1::from(factors)),
            _ => Err(damaged.into()),
        }
    })
}

/// One customer's or movie's bias and factors, if the model knows it.
pub fn row(model: &ModelRow, dimension: Dimension, key: Key) -> Result<Option<(f32, Vec<f32>)>, Error> {
    let mut found = None;
    each_row(model, dimension, Some(key), |_, bias, factors| {
        found = Some((bias, memory::collect(factors.iter().copied())?));
        Ok::<_, Error>(())
    })?;
    Ok(found)
}

/// The factors of all customers or movies, as many rows as `rows`, and which of them the model knows. What it does not know is zero.
pub fn side(model: &ModelRow, dimension: Dimension, rows: usize) -> Result<(factor::Side, Vec<bool>), Error> {
    let mut side = factor::Side::zeros(rows, model.factors)?;
    let mut is_known = memory::filled(false, rows)?;
    each_row(model, dimension, None, |key, bias, factors| {
        let row = key.row().index();
        if row < rows {
            side.biases[row] = bias;
            side.factors.row_mut(row).assign(&factors);
            is_known[row] = true;
        }
        Ok::<_, Error>(())
    })?;
    Ok((side, is_known))
}

/// A model, and what it knows.
pub struct WholeModel {
    pub model: factor::Model,
    pub knows_customer: Vec<bool>,
    pub knows_movie: Vec<bool>,
}

/// The memory, in bytes, that [`whole`] takes.
pub fn whole_memory(model: &ModelRow, customers: usize, movies: usize, for_fold_in: bool) -> usize {
    let vectors = customers + movies * (1 + usize::from(for_fold_in));
    let entries = (model.factors + 1) * size_of::<f32>() + size_of::<bool>();
    vectors.saturating_mul(entries)
}

/// Reads a model with so many rows of customers and movies. `for_fold_in`: also what only fold-in needs.
pub fn whole(
    model: &ModelRow,
    customers: usize,
    movies: usize,
    for_fold_in: bool,
) -> Result<WholeModel, Error> {
    static PRIOR: Prepared = Prepared("SELECT prior FROM @extschema@.model WHERE model_id = $1");
    static LINKS: Prepared = Prepared(
        "SELECT movie_key, links FROM @extschema@.movie_factors WHERE model_id = $1 AND links IS NOT NULL",
    );
    let (customers, knows_customer) = side(model, Dimension::Customer, customers)?;
    let (movies, knows_movie) = side(model, Dimension::Movie, movies)?;
    let (mut links, mut prior) = (None, Vec::new());
    if for_fold_in {
        let rows = movies.biases.len();
        LINKS.each(&[model.model_id.into()], |row| {
            interrupt::check();
            let key = Key(row.need(1, "movie_factors")?);
            let own = row.floats(2, "movie_factors")?;
            if links.is_none() {
                links = Some(factor::Side::zeros(rows, model.factors)?.factors);
            }
            if let Some(links) =
                links.as_mut().filter(|_| key.row().index() < rows && own.len() == model.factors)
            {
                links.row_mut(key.row().index()).assign(&ArrayView1::from(&own));
            }
            Ok::<_, Error>(())
        })?;
        PRIOR.each(&[model.model_id.into()], |row| {
            prior = row.floats(1, "model")?;
            Ok::<_, Error>(())
        })?;
    }
    let prior = Some(prior).filter(|prior| !prior.is_empty());
    let model =
        factor::Model { mean: model.global_mean, customers, movies, samples: model.samples, links, prior };
    Ok(WholeModel { model, knows_customer, knows_movie })
}

/// How each iteration of a model's training went: iteration, RMSE on the training ratings and on those held out, seconds.
pub fn curve(
    name: Option<&str>,
    version: Option<i64>,
) -> Result<Vec<(i32, f64, Option<f64>, f64)>, ModelError> {
    catalog::require("model_iteration", &[Privilege::Select])?;
    let row = find(name, version)?;
    let curve = query::select(
        Snapshot::Statement,
        "SELECT iteration, train_rmse, held_out_rmse, seconds FROM @extschema@.model_iteration
         WHERE model_id = $1 ORDER BY iteration",
        &[row.model_id.into()],
        |row| match (row.get::<i32>(1)?, row.get::<f64>(2)?, row.get::<f64>(3)?, row.get::<f64>(4)?) {
            (Some(iteration), Some(train), held_out, Some(seconds)) => {
                Ok((iteration, train, held_out, seconds))
            }
            _ => Err(pg::Error::Null("model_iteration")),
        },
    )?;
    Ok(curve)
}
