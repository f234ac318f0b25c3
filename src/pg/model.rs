//! Models as they stand in the tables: found, written, read.

use ndarray::ArrayView1;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::BuiltinOid;
use pgrx::{IntoDatum, JsonB, Spi};

use super::bulk::{BulkInsert, Indexes};
use super::catalog::{self, Privilege};
use super::{Error, guc, interrupt};

/// A trained model's row.
#[derive(Clone, Debug)]
pub struct ModelRow {
    pub model_id: i32,
    pub factors: usize,
    pub global_mean: f32,
}

/// What is known of a new model beside its factors.
pub struct NewModel<'a> {
    pub name: &'a str,
    pub algorithm: &'a str,
    pub params: serde_json::Value,
    pub ratings: usize,
    pub iterations: usize,
    pub train_rmse: f64,
    pub probe_rmse: Option<f64>,
    pub started: std::time::Instant,
    /// Whether to deploy it; `None` where it is the first of its name or better than the deployed one.
    pub deploy: Option<bool>,
}

/// The columns of customer_factors and movie_factors: model, key, bias, factors.
pub const FACTORS: [BuiltinOid; 4] =
    [BuiltinOid::INT4OID, BuiltinOid::INT4OID, BuiltinOid::FLOAT4OID, BuiltinOid::FLOAT4ARRAYOID];

/// Rows fetched from a cursor at a time.
const FETCH: i64 = 10_000;

/// Finds the deployed version of a model; the default one where none is named.
pub fn find(name: Option<&str>) -> Result<ModelRow, Error> {
    catalog::require("model", &[Privilege::Select])?;
    let default = guc::default_model();
    let name = name.or(default.as_deref());
    let found = Spi::connect(|client| {
        let rows = client.select(
            "SELECT model_id, factors, global_mean FROM model
             WHERE is_deployed AND name = coalesce($1, name) ORDER BY model_id DESC LIMIT 1",
            Some(1),
            &[name.into()],
        )?;
        if rows.is_empty() {
            return Ok(None);
        }
        let (Some(model_id), Some(factors), Some(global_mean)) = rows.first().get_three::<i32, i32, f32>()?
        else {
            return Err(Error::Null("model"));
        };
        Ok(Some(ModelRow { model_id, factors: factors as usize, global_mean }))
    })?;
    if let Some(row) = found {
        return Ok(row);
    }
    let known = Spi::get_one::<Vec<String>>("SELECT array_agg(DISTINCT name ORDER BY name) FROM model")?;
    match (name, known.unwrap_or_default()) {
        (_, known) if known.is_empty() => Err(Error::NoModels),
        (Some(name), known) if known.iter().any(|known| known == name) => {
            Err(Error::NotDeployed { name: name.into() })
        }
        (Some(name), known) => Err(Error::NoModel { name: name.into(), known }),
        (None, known) => Err(Error::NoneDeployed { known }),
    }
}

/// Checks that the role may write models: better before an hour's training than after it.
pub fn require_write() -> Result<(), Error> {
    catalog::require("model", &[Privilege::Select, Privilege::Insert, Privilege::Update])?;
    catalog::require("customer_factors", &[Privilege::Insert])?;
    catalog::require("movie_factors", &[Privilege::Insert])?;
    Ok(())
}

/// Writes a model as a new version of its name; gives the version. `trained` tells which customers and movies had
/// ratings to learn from: the others' rows are left out.
pub fn write(
    new: &NewModel<'_>,
    model: &factor::Model,
    trained: impl Fn(&'static str, usize) -> bool,
) -> Result<i32, Error> {
    // Versions are counted: of two trainings under one name, the second to end waits for the first.
    catalog::lock_writers(catalog::table("model")?);
    let (version, best) = Spi::get_two_with_args::<i32, f64>(
        "SELECT coalesce(max(version), 0) + 1, coalesce(min(probe_rmse) FILTER (WHERE is_deployed), 'infinity')
         FROM model WHERE name = $1",
        &[new.name.into()],
    )?;
    let (Some(version), Some(best)) = (version, best) else { return Err(Error::Null("model")) };
    let better = new.probe_rmse.is_some_and(|rmse| rmse < best);
    let deploy = new.deploy.unwrap_or(version == 1 || better);
    if deploy {
        Spi::run_with_args(
            "UPDATE model SET is_deployed = false WHERE name = $1 AND is_deployed",
            &[new.name.into()],
        )?;
    }
    let model_id = Spi::get_one_with_args::<i32>(
        "INSERT INTO model (name, version, algorithm, params, is_deployed, factors, global_mean, ratings,
                            iterations, train_rmse, probe_rmse, elapsed)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, make_interval(secs => $12)) RETURNING model_id",
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
        ],
    )?
    .ok_or(Error::Null("model"))?;
    for (table, side) in [("customer_factors", &model.customers), ("movie_factors", &model.movies)] {
        let mut rows = BulkInsert::open(table, FACTORS, Indexes::Maintain)?;
        for (row, (&bias, factors)) in side.biases.iter().zip(side.factors.rows()).enumerate() {
            if trained(table, row) {
                rows.push(|| {
                    let key = row as i32 + 1;
                    [model_id.into_datum(), key.into_datum(), bias.into_datum(), array(factors)]
                });
            }
        }
        rows.finish();
    }
    Ok(version)
}

fn array(factors: ArrayView1<'_, f32>) -> Option<pgrx::pg_sys::Datum> {
    factors.to_vec().into_datum()
}

/// Hands on key, bias and factors of every customer or movie that a model knows, in no particular order.
pub fn read(
    row: &ModelRow,
    table: &'static str,
    mut each: impl FnMut(i32, f32, ArrayView1<'_, f32>),
) -> Result<(), Error> {
    let key = if table == "movie_factors" { "movie_key" } else { "customer_key" };
    let query = format!("SELECT {key}, bias, factors FROM {table} WHERE model_id = $1");
    Spi::connect(|client| {
        let mut cursor = client.try_open_cursor(query.as_str(), &[row.model_id.into()])?;
        loop {
            let batch = cursor.fetch(FETCH)?;
            if batch.is_empty() {
                return Ok(());
            }
            for tuple in batch {
                let (Some(key), Some(bias), Some(factors)) =
                    (tuple.get::<i32>(1)?, tuple.get::<f32>(2)?, tuple.get::<Vec<f32>>(3)?)
                else {
                    return Err(Error::Null(table));
                };
                if factors.len() != row.factors {
                    return Err(Error::Damaged { table, key });
                }
                each(key, bias, ArrayView1::from(&factors));
            }
            interrupt::check();
        }
    })
}

/// Reads one side's factors into a matrix of as many rows as the highest key. What the model does not know is zero.
pub fn read_side(row: &ModelRow, table: &'static str, rows: usize) -> Result<factor::Side, Error> {
    let mut side = factor::Side::zeros(rows, row.factors);
    read(row, table, |key, bias, factors| {
        let at = (key - 1) as usize;
        if at < rows {
            side.biases[at] = bias;
            side.factors.row_mut(at).assign(&factors);
        }
    })?;
    Ok(side)
}

/// One customer's bias and factors, where the model has them.
pub fn read_customer(row: &ModelRow, customer_key: i32) -> Result<Option<(f32, Vec<f32>)>, Error> {
    Spi::connect(|client| {
        let found = client.select(
            "SELECT bias, factors FROM customer_factors WHERE model_id = $1 AND customer_key = $2",
            Some(1),
            &[DatumWithOid::from(row.model_id), customer_key.into()],
        )?;
        if found.is_empty() {
            return Ok(None);
        }
        match found.first().get_two::<f32, Vec<f32>>()? {
            (Some(bias), Some(factors)) => Ok(Some((bias, factors))),
            _ => Err(Error::Null("customer_factors")),
        }
    })
}
