//! Writes a trained or imported model as a new version of its name.

use std::time::{Duration, Instant};

use ndarray::ArrayView1;
use pgrx::{IntoDatum, JsonB, pg_sys};

use crate::pg::catalog::Privilege;
use crate::pg::progress::{Phase, Progress};
use crate::pg::snapshot::Snapshot;
use crate::pg::{Error, lock, memory, query, sequence};
use crate::storage::bulk::{self, BulkInsert};
use crate::storage::scan::{self, scan};
use crate::warehouse::dimension::{Dimension, Key, MatrixRow};
use crate::warehouse::split::Split;
use crate::warehouse::tables::{
    CUSTOMER_FACTORS, MODEL, MODEL_DEPLOYMENT, MODEL_ITERATION, MODEL_VERSION, MOVIE_FACTORS,
};

use super::deploy::{Deploy, Deployed, JudgedBy, decide, record_deployment, withdraw};
use super::error::ModelError;

/// Rows are being written.
pub const WRITING_MODEL: Phase = Phase { id: 7, name: "writing the model", unit: "rows" };

/// What is stored of a new model beside its factors.
pub struct NewModel<'a> {
    pub name: &'a str,
    pub algorithm: &'static str,
    pub params: serde_json::Value,
    pub train_on: &'a str,
    /// The split that says what it was trained on, if `train_on` does not.
    pub split: Option<Split>,
    pub hold_out: f64,
    pub ratings: usize,
    pub iterations: usize,
    pub train_rmse: f64,
    pub probe_rmse: Option<f64>,
    pub test_rmse: Option<f64>,
    pub held_out_rmse: Option<f64>,
    /// What it was judged by: the split's test set or the probe or, if there is none, the held-out ratings.
    pub judged_by: Option<JudgedBy>,
    /// The digest of all ratings that it was not trained on, if they are known.
    pub left_out: Option<i64>,
    /// Results of the algorithm itself, such as singular values.
    pub summary: Option<serde_json::Value>,
    pub curve: Vec<factor::Iteration>,
    pub elapsed: Elapsed,
    pub deploy: Deploy,
}

/// How long training took.
#[derive(Clone, Copy, Debug)]
pub enum Elapsed {
    /// It is still going on.
    Since(Instant),
    /// It ended long ago.
    Took(Duration),
}

impl Elapsed {
    pub fn so_far(self) -> Duration {
        match self {
            Elapsed::Since(started) => started.elapsed(),
            Elapsed::Took(duration) => duration,
        }
    }
}

/// The outcome of [`write()`].
pub struct Written {
    pub version: i32,
    pub deployed: bool,
    /// Why it is deployed, or why not.
    pub reason: String,
}

/// The most bytes of a model's name, because it has to fit into an index.
const LONGEST_NAME: usize = 255;
/// Rows written between two updates of the progress.
const ROWS_PER_UPDATE: usize = 1024;

/// Checks the name of a new model.
pub fn check_name(name: &str) -> Result<(), ModelError> {
    match name.len() {
        1..=LONGEST_NAME => Ok(()),
        bytes => Err(ModelError::Name { bytes, most: LONGEST_NAME }),
    }
}

/// Checks that the role may write models: before an hour of training, not after it.
pub fn require_write() -> Result<(), Error> {
    MODEL.require(&[Privilege::Select, Privilege::Insert, Privilege::Update])?;
    MODEL_VERSION.require(&[Privilege::Select, Privilege::Insert])?;
    MODEL_ITERATION.require(&[Privilege::Insert])?;
    MODEL_DEPLOYMENT.require(&[Privilege::Insert])?;
    Dimension::ALL.iter().try_for_each(|dimension| {
        scan::check(dimension.table(), &[dimension.key()])?;
        bulk::check(dimension.factors())
    })
}

/// Writes a model as a new version of its name. `is_trained` says which customers and movies had ratings to learn from: the rows of
/// all others are left out.
pub fn write(
    new: &NewModel<'_>,
    model: &factor::Model,
    is_trained: impl Fn(Dimension, MatrixRow) -> bool,
    progress: &Progress,
) -> Result<Written, ModelError> {
    // Versions are numbered in sequence: of two trainings under one name, the second one waits for the first.
    lock::lock_against_writers("model")?;
    let (version, deployed) = next_version(new.name)?;
    let judged = new.test_rmse.or(new.probe_rmse).or(new.held_out_rmse).zip(new.judged_by);
    let (deploy, reason) = decide(new.deploy, judged, deployed.as_ref());
    if deploy {
        withdraw(new.name, deployed.is_some())?;
    }
    let model_id = insert_model(new, model, version, deploy)?;
    insert_curve(model_id, &new.curve)?;
    if deploy {
        record_deployment(model_id)?;
    }
    let mut progress = RowProgress {
        progress,
        all: model.customers.biases.len() + model.movies.biases.len(),
        seen: 0,
        written: 0,
    };
    let rows = FactorRows { dimension: Dimension::Customer, side: &model.customers, is_trained: &is_trained };
    let open = BulkInsert::open(&CUSTOMER_FACTORS)?;
    rows.write(open, &mut progress, |Key(key), bias, factors| {
        [model_id.into_datum(), key.into_datum(), bias.into_datum(), array(factors)]
    })?;
    let rows = FactorRows { dimension: Dimension::Movie, side: &model.movies, is_trained: &is_trained };
    let open = BulkInsert::open(&MOVIE_FACTORS)?;
    rows.write(open, &mut progress, |key, bias, factors| {
        let links = model.links.as_ref().and_then(|links| array(links.row(key.row().index())));
        [model_id.into_datum(), key.0.into_datum(), bias.into_datum(), array(factors), links]
    })?;
    Ok(Written { version, deployed: deploy, reason })
}

/// The number of the next version of a name, and the version that is deployed now.
fn next_version(name: &str) -> Result<(i32, Option<Deployed>), Error> {
    query::select(
        Snapshot::Latest,
        "SELECT greatest(coalesce(max(version), 0),
                         (SELECT max(version) FROM @extschema@.model_version WHERE name = $1)) + 1,
                min(version) FILTER (WHERE is_deployed),
                min(coalesce(test_rmse, probe_rmse, held_out_rmse)) FILTER (WHERE is_deployed),
                min(judged_ratings) FILTER (WHERE is_deployed), min(judged_digest) FILTER (WHERE is_deployed)
         FROM @extschema@.model WHERE name = $1",
        &[name.into()],
        |row| {
            let next = row.get::<i32>(1)?.ok_or(Error::Null("model"))?;
            let judged_by = row.get::<i64>(4)?.zip(row.get::<i64>(5)?);
            let judged_by = judged_by.map(|(ratings, digest)| JudgedBy { ratings, digest });
            let judged = row.get::<f64>(3)?.zip(judged_by);
            Ok((next, row.get::<i32>(2)?.map(|version| Deployed { version, judged })))
        },
    )?
    .pop()
    .ok_or(Error::Null("model"))
}

/// Inserts the model's own row, and returns its key.
fn insert_model(
    new: &NewModel<'_>,
    model: &factor::Model,
    version: i32,
    is_deployed: bool,
) -> Result<i32, Error> {
    sequence::catch_up("model", "model_id", "model_model_id_seq")?;
    let model_id = query::run_one::<i32>(
        "INSERT INTO @extschema@.model (name, version, algorithm, params, is_deployed, factors, global_mean, ratings,
                            iterations, train_rmse, probe_rmse, elapsed, train_on, hold_out, samples, summary,
                            held_out_rmse, judged_ratings, judged_digest, prior, split, split_rule, test_rmse, left_out_digest)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, make_interval(secs => $12), $13, $14, $15, $16, $17, $18, $19, $20,
                 $21, $22, $23, $24)
         RETURNING model_id",
        &[
            new.name.into(),
            version.into(),
            new.algorithm.into(),
            JsonB(new.params.clone()).into(),
            is_deployed.into(),
            (model.movies.factors.ncols() as i32).into(),
            model.mean.into(),
            (new.ratings as i64).into(),
            (new.iterations as i32).into(),
            new.train_rmse.into(),
            new.probe_rmse.into(),
            new.elapsed.so_far().as_secs_f64().into(),
            new.train_on.into(),
            new.hold_out.into(),
            (model.samples as i32).into(),
            new.summary.clone().map(JsonB).into(),
            new.held_out_rmse.into(),
            new.judged_by.map(|by| by.ratings).into(),
            new.judged_by.map(|by| by.digest).into(),
            model.prior.as_ref().map(|prior| memory::collect(prior.iter().copied())).transpose()?.into(),
            new.split.as_ref().map(|split| split.label.as_str()).into(),
            new.split.as_ref().map(|split| JsonB(split.to_json())).into(),
            new.test_rmse.into(),
            new.left_out.into(),
        ],
    )?
    .ok_or(Error::Null("model"))?;
    // The number of a dropped version is never used again for the same name.
    query::run(
        "INSERT INTO @extschema@.model_version (name, version, model_id) VALUES ($1, $2, $3)",
        &[new.name.into(), version.into(), model_id.into()],
    )?;
    Ok(model_id)
}

fn insert_curve(model_id: i32, curve: &[factor::Iteration]) -> Result<(), Error> {
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

/// How far writing a model has come.
struct RowProgress<'a> {
    progress: &'a Progress,
    all: usize,
    seen: usize,
    written: usize,
}

/// The factors of one dimension, to be written.
struct FactorRows<'a, F> {
    dimension: Dimension,
    side: &'a factor::Side,
    is_trained: &'a F,
}

impl<F: Fn(Dimension, MatrixRow) -> bool> FactorRows<'_, F> {
    /// Writes the rows that were trained; `make` makes the values of one.
    fn write<const COLUMNS: usize>(
        &self,
        mut rows: BulkInsert<COLUMNS>,
        progress: &mut RowProgress<'_>,
        make: impl Fn(Key, f32, ArrayView1<'_, f32>) -> [Option<pg_sys::Datum>; COLUMNS],
    ) -> Result<(), Error> {
        let FactorRows { dimension, side, is_trained } = *self;
        // A bulk insert checks no foreign keys. So customers and movies that were deleted during the training are left out, and the
        // lock keeps others from being deleted until this transaction commits.
        lock::lock_against_writers(dimension.table().name)?;
        let mut exists = memory::filled(false, side.biases.len())?;
        scan(dimension.table(), &[dimension.key()], Snapshot::Latest, |row| {
            if let Some(exists) = exists.get_mut(Key(row.int4(0)).row().index()) {
                *exists = true;
            }
            Ok::<_, Error>(())
        })?;
        for (at, (&bias, factors)) in side.biases.iter().zip(side.factors.rows()).enumerate() {
            let row = MatrixRow(at as u32);
            if exists[at] && is_trained(dimension, row) {
                rows.push(|| make(row.key(), bias, factors));
                progress.written += 1;
            }
            progress.seen += 1;
            if at.is_multiple_of(ROWS_PER_UPDATE) {
                let RowProgress { progress, all, seen, written } = *progress;
                progress.update(seen as u64, all as u64, written as u64);
            }
        }
        rows.finish();
        Ok(())
    }
}

fn array(factors: ArrayView1<'_, f32>) -> Option<pg_sys::Datum> {
    factors.to_vec().into_datum()
}
