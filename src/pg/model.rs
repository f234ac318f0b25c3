//! Models as they stand in the tables: found, written, read.

use ndarray::ArrayView1;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys::BuiltinOid;
use pgrx::{FromDatum, IntoDatum, JsonB, pg_sys};

use super::bulk::{self, BulkInsert};
use super::catalog::{self, Privilege, Table, TableColumn};
use super::progress::Shown;
use super::scan::{Column, Seen, scan};
use super::{Error, guc, interrupt, query};

/// A trained model's row.
#[derive(Clone, Debug)]
pub struct ModelRow {
    pub model_id: i32,
    pub factors: usize,
    pub samples: usize,
    pub global_mean: f32,
}

/// What is known of a new model beside its factors.
pub struct NewModel<'a> {
    pub name: &'a str,
    pub algorithm: &'static str,
    pub params: serde_json::Value,
    pub train_on: &'a str,
    pub hold_out: f64,
    pub ratings: usize,
    pub iterations: usize,
    pub train_rmse: f64,
    pub probe_rmse: Option<f64>,
    /// What the algorithm has to tell.
    pub summary: Option<serde_json::Value>,
    pub curve: Vec<factor::Iteration>,
    pub started: std::time::Instant,
    /// Whether to deploy it; `None` to do so where no version of its name is deployed or the one that is has a higher
    /// probe RMSE.
    pub deploy: Option<bool>,
}

/// The columns of customer_factors and movie_factors: model, key, bias, factors.
pub const FACTORS: [bulk::Column; 4] = [
    bulk::Column::required(BuiltinOid::INT4OID),
    bulk::Column::required(BuiltinOid::INT4OID),
    bulk::Column::required(BuiltinOid::FLOAT4OID),
    bulk::Column::required(BuiltinOid::FLOAT4ARRAYOID),
];

/// Rows read between two looks for interrupts.
const ROWS_A_TURN: usize = 1024;

/// Finds a version of a model, the deployed one where none is said; the default model where none is named.
pub fn find(name: Option<&str>, version: Option<i32>) -> Result<ModelRow, Error> {
    catalog::require("model", &[Privilege::Select])?;
    let default = guc::default_model();
    let name = name.or(default.as_deref());
    let found = query::select(
        Seen::ByStatement,
        "SELECT model_id, factors, samples, global_mean FROM @extschema@.model
         WHERE name = coalesce($1, name) AND CASE WHEN $2 IS NULL THEN is_deployed ELSE version = $2 END
         ORDER BY is_deployed DESC, model_id DESC LIMIT 1",
        &[name.into(), version.into()],
        |row| match (row.get::<i32>(1)?, row.get::<i32>(2)?, row.get::<i32>(3)?, row.get::<f32>(4)?) {
            (Some(model_id), Some(factors), Some(samples), Some(global_mean)) => {
                let (factors, samples) = (factors as usize, samples as usize);
                Ok(ModelRow { model_id, factors, samples, global_mean })
            }
            _ => Err(Error::Null("model")),
        },
    )?;
    if let Some(row) = found.into_iter().next() {
        return Ok(row);
    }
    let query = "SELECT DISTINCT name FROM @extschema@.model ORDER BY name";
    let known = query::select(Seen::ByStatement, query, &[], |row| {
        row.get::<String>(1)?.ok_or(Error::Null("model"))
    })?;
    match (name, known) {
        (_, known) if known.is_empty() => Err(Error::NoModels),
        (Some(name), known) if known.iter().any(|known| known == name) && version.is_some() => {
            Err(Error::NoVersion { name: name.into(), version: version.unwrap_or_default() })
        }
        (Some(name), known) if known.iter().any(|known| known == name) => {
            Err(Error::NotDeployed { name: name.into() })
        }
        (Some(name), known) => Err(Error::NoModel { name: name.into(), known }),
        (None, known) => Err(Error::NoneDeployed { known }),
    }
}

/// How each iteration of a model's training went: number, errors on ratings trained on and held out, seconds.
pub fn curve(name: Option<&str>, version: Option<i32>) -> Result<Vec<(i32, f64, Option<f64>, f64)>, Error> {
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

/// Checks that the role may write models: better before an hour's training than after it.
pub fn require_write() -> Result<(), Error> {
    catalog::require("model", &[Privilege::Select, Privilege::Insert, Privilege::Update])?;
    catalog::require("model_iteration", &[Privilege::Insert])?;
    bulk::check("customer_factors", &FACTORS)?;
    bulk::check("movie_factors", &FACTORS)
}

/// Writes a model as a new version of its name; gives the version. `trained` tells which customers and movies had
/// ratings to learn from: the others' rows are left out.
pub fn write(
    new: &NewModel<'_>,
    model: &factor::Model,
    trained: impl Fn(&'static str, usize) -> bool,
    progress: &Shown,
) -> Result<i32, Error> {
    // Versions are counted: of two trainings under one name, the second to end waits for the first.
    catalog::lock_writers("model")?;
    let (version, deployed) = query::select(
        Seen::Now,
        "SELECT coalesce(max(version), 0) + 1, count(*) FILTER (WHERE is_deployed),
                min(probe_rmse) FILTER (WHERE is_deployed)
         FROM @extschema@.model WHERE name = $1",
        &[new.name.into()],
        |row| {
            let version = row.get::<i32>(1)?.ok_or(Error::Null("model"))?;
            let is_deployed = row.get::<i64>(2)? > Some(0);
            Ok((version, is_deployed.then_some(row.get::<f64>(3)?)))
        },
    )?
    .pop()
    .ok_or(Error::Null("model"))?;
    let deploy = new.deploy.unwrap_or(match (deployed, new.probe_rmse) {
        (None, _) => true,
        (Some(Some(deployed)), Some(new)) => new < deployed,
        // One that was trained on the probe, too, cannot be compared.
        (Some(_), _) => false,
    });
    if deploy {
        let withdrawn = query::run_one::<i64>(
            "WITH withdrawn AS (
                 UPDATE @extschema@.model SET is_deployed = false WHERE name = $1 AND is_deployed RETURNING 1
             )
             SELECT count(*) FROM withdrawn",
            &[new.name.into()],
        )?;
        // A REPEATABLE READ transaction cannot change what was committed after it began.
        if deployed.is_some() && withdrawn != Some(1) {
            return Err(Error::Serialization { name: new.name.into() });
        }
    }
    let model_id = query::run_one::<i32>(
        "INSERT INTO @extschema@.model (name, version, algorithm, params, is_deployed, factors, global_mean, ratings,
                            iterations, train_rmse, probe_rmse, elapsed, train_on, hold_out, samples, summary)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, make_interval(secs => $12), $13, $14, $15, $16)
         RETURNING model_id",
        &[
            new.name.into(),
            version.into(),
            new.algorithm.into(),
            JsonB(new.params.clone()).into(),
            deploy.into(),
            (model.movies.factors.ncols() as i32).into(),
            model.mean.into(),
            (new.ratings as i64).into(),
            (new.iterations as i32).into(),
            new.train_rmse.into(),
            new.probe_rmse.into(),
            new.started.elapsed().as_secs_f64().into(),
            new.train_on.into(),
            new.hold_out.into(),
            (model.samples as i32).into(),
            new.summary.clone().map(JsonB).into(),
        ],
    )?
    .ok_or(Error::Null("model"))?;
    write_curve(model_id, &new.curve)?;
    let all = (model.customers.biases.len() + model.movies.biases.len()) as u64;
    let (mut written, mut seen) = (0, 0);
    for (table, dimension, key, side) in [
        ("customer_factors", "dim_customer", "customer_key", &model.customers),
        ("movie_factors", "dim_movie", "movie_key", &model.movies),
    ] {
        // Nobody checks the foreign keys of what goes in, so that what was deleted during the training is left out,
        // and nothing more can be deleted until this is committed.
        catalog::lock_writers(dimension)?;
        let mut is_there = vec![false; side.biases.len()];
        scan(dimension, &[Column { name: key, type_oid: BuiltinOid::INT4OID }], Seen::Now, |row| {
            if let Some(there) = is_there.get_mut((row.int4(0) as usize).wrapping_sub(1)) {
                *there = true;
            }
            Ok::<_, Error>(())
        })?;
        let mut rows = BulkInsert::open(table, FACTORS)?;
        for (row, (&bias, factors)) in side.biases.iter().zip(side.factors.rows()).enumerate() {
            if is_there[row] && trained(table, row) {
                rows.push(|| {
                    let key = row as i32 + 1;
                    [model_id.into_datum(), key.into_datum(), bias.into_datum(), array(factors)]
                });
                written += 1;
            }
            seen += 1;
            if row.is_multiple_of(ROWS_A_TURN) {
                progress.update(seen, all, written);
            }
        }
        rows.finish();
    }
    Ok(version)
}

fn write_curve(model_id: i32, curve: &[factor::Iteration]) -> Result<(), Error> {
    let column = |of: fn(&factor::Iteration) -> Option<f64>| curve.iter().map(of).collect::<Vec<_>>();
    query::run_one::<i64>(
        "WITH written AS (
             INSERT INTO @extschema@.model_iteration (model_id, iteration, train_rmse, held_out_rmse, seconds)
             SELECT $1, * FROM unnest($2::int[], $3::float8[], $4::float8[], $5::float8[]) RETURNING 1
         )
         SELECT count(*) FROM written",
        &[
            model_id.into(),
            curve.iter().map(|iteration| iteration.number as i32).collect::<Vec<_>>().into(),
            column(|iteration| Some(iteration.train_rmse)).into(),
            column(|iteration| iteration.held_out_rmse).into(),
            column(|iteration| Some(iteration.elapsed.as_secs_f64())).into(),
        ],
    )?;
    Ok(())
}

fn array(factors: ArrayView1<'_, f32>) -> Option<pgrx::pg_sys::Datum> {
    factors.to_vec().into_datum()
}

/// Hands on key, bias and factors of every customer or movie that a model knows, or of the one with this key.
///
/// Reads by way of the primary key and not by SQL: what SQL returns stays in memory until the transaction ends, and
/// a statement may ask for thousands of recommendations.
pub fn read(
    row: &ModelRow,
    table: &'static str,
    key: Option<i32>,
    mut each: impl FnMut(i32, f32, ArrayView1<'_, f32>),
) -> Result<(), Error> {
    let open = Table::open(table, &[Privilege::Select], pg_sys::AccessShareLock as pg_sys::LOCKMODE)?;
    let columns = open.columns();
    let differs = |(column, made): (&TableColumn, bulk::Column)| column.type_oid != made.type_oid.value();
    if columns.len() < FACTORS.len() || columns.iter().zip(FACTORS).any(differs) {
        return Err(Error::Altered { table, column: "factors".into() });
    }
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
            let good = scratch.switch_to(|_| {
                let key = i32::from_datum(values[1], nulls[1])?;
                let bias = f32::from_datum(values[2], nulls[2])?;
                let factors = pgrx::Array::<f32>::from_datum(values[3], nulls[3])?;
                let factors = factors.as_slice().ok().filter(|factors| factors.len() == row.factors)?;
                each(key, bias, ArrayView1::from(factors));
                Some(())
            });
            if good.is_none() {
                let key = i32::from_datum(values[1], nulls[1]).unwrap_or(0);
                break Err(Error::Damaged { table, key });
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
    })?;
    Ok(side)
}

/// One customer's or movie's bias and factors, where the model has them.
pub fn read_row(row: &ModelRow, table: &'static str, key: i32) -> Result<Option<(f32, Vec<f32>)>, Error> {
    let mut found = None;
    read(row, table, Some(key), |_, bias, factors| found = Some((bias, factors.to_vec())))?;
    Ok(found)
}
