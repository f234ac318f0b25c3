//! Models as they stand in the tables: found and read; and written, in a file of its own, as is what sessions hear of changes.

pub mod changes;
mod write;

use factor::{Rows, Samples};
use ndarray::ArrayView1;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys::BuiltinOid;
use pgrx::{FromDatum, pg_sys};

use super::catalog::{self, Privilege, Table};
use super::columns::{self, CUSTOMER_FACTORS};
use super::prepared::Prepared;
use super::scan::{Column, Seen, scan};
use super::{Error, guc, interrupt, memory, query};

pub use write::{
    Deploy, Elapsed, JudgedBy, NewModel, Written, check_name, deploy, require_write, roll_back, write,
};

/// A trained model's row.
#[derive(Clone, Debug)]
pub struct ModelRow {
    pub model_id: i32,
    pub name: String,
    pub version: i32,
    /// When it was trained, in microseconds since 2000: with the id it tells a model from any other that ever had this id.
    pub trained_at: i64,
    pub factors: usize,
    pub samples: usize,
    pub global_mean: f32,
}

impl ModelRow {
    /// How its vectors are laid out.
    pub fn layout(&self) -> Samples {
        Samples::of_rows(self.samples, self.factors)
    }
}

/// Rows read between two looks for interrupts.
const ROWS_A_TURN: usize = 1024;

/// Finds a version of a model, the deployed one where none is said; the default model where none is named. That is the one of
/// `netflix_rec.default_model`; or else, of all that are deployed, the one whose name was trained first: a training under another
/// name does not change what an application hears.
pub fn find(name: Option<&str>, version: Option<i64>) -> Result<ModelRow, Error> {
    static FIND: Prepared = Prepared(
        "SELECT model_id, factors, samples, global_mean, trained_at, name, version
         FROM @extschema@.model
         WHERE CASE WHEN $1 IS NULL THEN is_deployed AND $2 IS NULL
                    ELSE name = $1 AND CASE WHEN $2 IS NULL THEN is_deployed ELSE version = $2 END END
         ORDER BY (SELECT min(v.model_id) FROM @extschema@.model_version v WHERE v.name = model.name), model_id LIMIT 1",
    );
    catalog::require("model", &[Privilege::Select])?;
    catalog::require("model_version", &[Privilege::Select])?;
    let mut default = guc::default_model();
    if name.is_none() && default.is_none() && version.is_some() {
        // A version is one of a name.
        default = default_name()?;
    }
    let name = name.or(default.as_deref());
    let found = FIND.all(&[name.into(), version.into()], |row| {
        let at: TimestampWithTimeZone = row.need(5, "model")?;
        Ok(ModelRow {
            model_id: row.need(1, "model")?,
            trained_at: at.into(),
            factors: row.need::<i32>(2, "model")? as usize,
            samples: row.need::<i32>(3, "model")? as usize,
            global_mean: row.need(4, "model")?,
            name: row.need(6, "model")?,
            version: row.need(7, "model")?,
        })
    })?;
    if let Some(row) = found.into_iter().next() {
        return Ok(row);
    }
    let known = names()?;
    Err(match (name, version) {
        _ if known.is_empty() => Error::NoModels,
        (None, _) => Error::NoneDeployed { known },
        (Some(name), _) if !known.iter().any(|known| known == name) => {
            Error::NoModel { name: name.into(), known }
        }
        (Some(name), Some(version)) => Error::NoVersion { name: name.into(), version },
        (Some(name), None) => Error::NotDeployed { name: name.into() },
    })
}

/// The name of the model that answers where none is named and no setting names one.
pub fn default_name() -> Result<Option<String>, Error> {
    static NAME: Prepared = Prepared(
        "SELECT name FROM @extschema@.model WHERE is_deployed
         ORDER BY (SELECT min(v.model_id) FROM @extschema@.model_version v WHERE v.name = model.name), model_id LIMIT 1",
    );
    NAME.one::<String>(&[])
}

/// All models' names.
fn names() -> Result<Vec<String>, Error> {
    let query = "SELECT DISTINCT name FROM @extschema@.model ORDER BY name";
    query::select(Seen::ByStatement, query, &[], |row| row.get::<String>(1)?.ok_or(Error::Null("model")))
}

/// How each iteration of a model's training went: number, errors on ratings trained on and held out, seconds.
pub fn curve(name: Option<&str>, version: Option<i64>) -> Result<Vec<(i32, f64, Option<f64>, f64)>, Error> {
    catalog::require("model_iteration", &[Privilege::Select])?;
    let row = find(name, version)?;
    query::select(
        Seen::ByStatement,
        "SELECT iteration, train_rmse, held_out_rmse, seconds FROM @extschema@.model_iteration
         WHERE model_id = $1 ORDER BY iteration",
        &[row.model_id.into()],
        |row| match (row.get::<i32>(1)?, row.get::<f64>(2)?, row.get::<f64>(3)?, row.get::<f64>(4)?) {
            (Some(iteration), Some(train), held_out, Some(seconds)) => {
                Ok((iteration, train, held_out, seconds))
            }
            _ => Err(Error::Null("model_iteration")),
        },
    )
}

/// A side's rows with the data set's own ids, ascending. `side` is `customer` or `movie`.
pub fn rows(row: &ModelRow, side: &'static str) -> Result<Rows, Error> {
    static LINKS: Prepared = Prepared(
        "SELECT f.links FROM @extschema@.movie_factors f JOIN @extschema@.dim_movie m USING (movie_key)
         WHERE f.model_id = $1 AND f.links IS NOT NULL ORDER BY m.movie_id",
    );
    let (dimension, table) = tables(side);
    let (ids, length) = (ids(side)?, row.factors);
    let mut keyed = Vec::new();
    let mut vectors = Vec::new();
    read(row, table, None, |key, bias, factors| {
        let Ok(at) = ids.binary_search_by_key(&key, |&(key, _)| key) else { return Ok(()) };
        let place = keyed.len();
        memory::push(&mut keyed, (ids[at].1, bias, place))?;
        vectors.try_reserve(length)?;
        vectors.extend(factors);
        Ok(())
    })?;
    keyed.sort_unstable_by_key(|&(id, ..)| id);
    let mut rows = Rows::default();
    rows.ids.try_reserve_exact(keyed.len())?;
    rows.biases.try_reserve_exact(keyed.len())?;
    rows.factors.try_reserve_exact(vectors.len())?;
    for (row, &(id, bias, at)) in keyed.iter().enumerate() {
        if row.is_multiple_of(ROWS_A_TURN) {
            interrupt::check();
        }
        rows.ids.push(id);
        rows.biases.push(bias);
        rows.factors.extend_from_slice(&vectors[at * length..][..length]);
    }
    if dimension == "dim_movie" {
        let mut links = Vec::new();
        LINKS.each(&[row.model_id.into()], |row| memory::extend(&mut links, &row.floats(1, table)?))?;
        rows.links = (links.len() == rows.factors.len() && !links.is_empty()).then_some(links);
    }
    Ok(rows)
}

/// The keys of ids, where there are any. `side` is `customer` or `movie`.
pub fn keys_of(side: &'static str, wanted: &[i32]) -> Result<Vec<Option<i32>>, Error> {
    let mut by_id = ids(side)?;
    by_id.iter_mut().for_each(|(key, id)| std::mem::swap(key, id));
    by_id.sort_unstable();
    let key = |id: &i32| by_id.binary_search_by_key(id, |&(id, _)| id).ok().map(|at| by_id[at].1);
    memory::collect(wanted.iter().map(key))
}

fn tables(side: &str) -> (&'static str, &'static str) {
    match side {
        "movie" => ("dim_movie", "movie_factors"),
        _ => ("dim_customer", "customer_factors"),
    }
}

/// The highest key of a side: as many rows may there be. `side` is `customer` or `movie`.
pub fn highest(side: &'static str) -> Result<usize, Error> {
    static CUSTOMER: Prepared = Prepared("SELECT max(customer_key) FROM @extschema@.dim_customer");
    static MOVIE: Prepared = Prepared("SELECT max(movie_key) FROM @extschema@.dim_movie");
    let query = if side == "movie" { &MOVIE } else { &CUSTOMER };
    Ok(query.one::<i32>(&[])?.unwrap_or(0) as usize)
}

/// All keys and ids of a side, by key. `side` is `customer` or `movie`.
pub fn ids(side: &'static str) -> Result<Vec<(i32, i32)>, Error> {
    let (dimension, _) = tables(side);
    let (key, id) = if side == "movie" { ("movie_key", "movie_id") } else { ("customer_key", "customer_id") };
    let column = |name| Column { name, type_oid: BuiltinOid::INT4OID };
    let mut ids = Vec::new();
    scan(dimension, &[column(key), column(id)], Seen::ByStatement, |row| {
        memory::push(&mut ids, (row.int4(0), row.int4(1)))
    })?;
    ids.sort_unstable();
    Ok(ids)
}

/// Hands on key, bias and factors of every customer or movie that a model knows, or of the one with this key.
///
/// Reads by way of the primary key and not by SQL: what SQL returns stays in memory until the transaction ends, and
/// a statement may ask for thousands of recommendations.
pub fn read(
    row: &ModelRow,
    table: &'static str,
    key: Option<i32>,
    mut each: impl FnMut(i32, f32, ArrayView1<'_, f32>) -> Result<(), Error>,
) -> Result<(), Error> {
    let open = Table::open(table, &[Privilege::Select], pg_sys::AccessShareLock as pg_sys::LOCKMODE)?;
    let columns = open.columns();
    columns::check(table, &columns, CUSTOMER_FACTORS.len())?;
    let mut scratch = PgMemoryContexts::new("netflix_rec factors");
    let (mut values, mut nulls) = (vec![pg_sys::Datum::null(); columns.len()], vec![true; columns.len()]);
    let mut rows = 0usize;
    // SAFETY: an open heap table and its primary key's index, whose columns are model and key; a tuple lives until the
    // next is asked for, and what is unpacked of it until the scratch context is reset.
    unsafe {
        let mut keys = [pg_sys::ScanKeyData::default(); 2];
        let wanted = [Some(row.model_id), key];
        for (at, wanted) in wanted.into_iter().flatten().enumerate() {
            pg_sys::ScanKeyInit(
                &raw mut keys[at],
                at as i16 + 1,
                pg_sys::BTEqualStrategyNumber as u16,
                pg_sys::F_INT4EQ.into(),
                pg_sys::Datum::from(wanted),
            );
        }
        let count = 1 + i32::from(key.is_some());
        #[cfg(not(feature = "pg18"))]
        let index = pg_sys::RelationGetPrimaryKeyIndex(open.relation);
        #[cfg(feature = "pg18")]
        let index = pg_sys::RelationGetPrimaryKeyIndex(open.relation, false);
        let snapshot = pg_sys::GetActiveSnapshot();
        let scan = pg_sys::systable_beginscan(
            open.relation,
            index,
            index != pg_sys::InvalidOid,
            snapshot,
            count,
            keys.as_mut_ptr(),
        );
        let result = loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break Ok(());
            }
            let descriptor = (*open.relation).rd_att;
            pg_sys::heap_deform_tuple(tuple, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            let handed_on = scratch.switch_to(|_| {
                let key = i32::from_datum(values[1], nulls[1])?;
                let bias = f32::from_datum(values[2], nulls[2])?;
                let factors = pgrx::Array::<f32>::from_datum(values[3], nulls[3])?;
                let factors = factors.as_slice().ok().filter(|factors| factors.len() == row.factors)?;
                Some(each(key, bias, ArrayView1::from(factors)))
            });
            let damaged = || {
                let key = i32::from_datum(values[1], nulls[1]).unwrap_or(0);
                Err(Error::Damaged { table, key })
            };
            if let Err(error) = handed_on.unwrap_or_else(damaged) {
                break Err(error);
            }
            rows += 1;
            if rows.is_multiple_of(ROWS_A_TURN) {
                scratch.reset();
                interrupt::check();
            }
        };
        pg_sys::systable_endscan(scan);
        result
    }
}

/// Reads one side's factors into a matrix of as many rows as the highest key. What the model does not know is zero.
pub fn read_side(row: &ModelRow, table: &'static str, rows: usize) -> Result<factor::Side, Error> {
    let mut side = factor::Side::zeros(rows, row.factors)?;
    read(row, table, None, |key, bias, factors| {
        let at = (key - 1) as usize;
        if at < rows {
            side.biases[at] = bias;
            side.factors.row_mut(at).assign(&factors);
        }
        Ok(())
    })?;
    Ok(side)
}

/// One customer's or movie's bias and factors, where the model has them.
pub fn read_row(row: &ModelRow, table: &'static str, key: i32) -> Result<Option<(f32, Vec<f32>)>, Error> {
    let mut found = None;
    read(row, table, Some(key), |_, bias, factors| {
        found = Some((bias, memory::collect(factors.iter().copied())?));
        Ok(())
    })?;
    Ok(found)
}
