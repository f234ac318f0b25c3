//! Models written, and versions deployed and withdrawn.

use std::time::Duration;

use factor::About;
use ndarray::ArrayView1;
use pgrx::pg_sys::BuiltinOid;
use pgrx::{IntoDatum, JsonB, pg_sys};

use super::ROWS_A_TURN;
use crate::pg::bulk::{self, BulkInsert};
use crate::pg::catalog::{self, Privilege};
use crate::pg::columns;
use crate::pg::progress::Shown;
use crate::pg::ratings::Judges;
use crate::pg::scan::{self, Column, Seen, scan};
use crate::pg::{Error, memory, query, sequence};

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
    pub held_out_rmse: Option<f64>,
    /// What it is judged by: the probe or, where there is none, what was held out.
    pub judged_by: Option<JudgedBy>,
    /// What the algorithm has to tell.
    pub summary: Option<serde_json::Value>,
    pub curve: Vec<factor::Iteration>,
    /// How long it took, so far.
    pub elapsed: Elapsed,
    pub deploy: Deploy,
}

/// The ratings that a model was judged by, and not trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgedBy {
    pub ratings: i64,
    pub digest: i64,
}

impl JudgedBy {
    pub fn of(judges: &Judges) -> JudgedBy {
        JudgedBy { ratings: judges.ratings.len() as i64, digest: judges.digest.to_i64() }
    }
}

/// What became of a new model.
pub struct Written {
    pub version: i32,
    pub deployed: bool,
    /// Why it is deployed, or why not.
    pub reason: String,
}

/// Whether a new version is deployed.
#[derive(Clone, Copy, Debug)]
pub enum Deploy {
    /// As told.
    Told(bool),
    /// Where no version of its name is deployed.
    IfNone,
    /// As `IfNone`, and also where the deployed version was judged by the same ratings and has a higher RMSE.
    IfBetter,
}

/// How long training took.
#[derive(Clone, Copy, Debug)]
pub enum Elapsed {
    /// It goes on, since then.
    Since(std::time::Instant),
    /// It ended long ago.
    Took(std::time::Duration),
}

impl Elapsed {
    pub fn so_far(self) -> std::time::Duration {
        match self {
            Elapsed::Since(started) => started.elapsed(),
            Elapsed::Took(duration) => duration,
        }
    }
}

impl<'a> NewModel<'a> {
    /// What an archive tells, to be written under a name.
    pub fn imported(
        about: &'a About,
        name: &'a str,
        algorithm: &factor::Algorithm,
        deploy: Deploy,
    ) -> Result<NewModel<'a>, Error> {
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let iteration = |&(number, train_rmse, held_out_rmse, at): &(u32, f64, Option<f64>, f64)| {
            factor::Iteration { number: number as usize, train_rmse, held_out_rmse, elapsed: seconds(at) }
        };
        check_name(name)?;
        Ok(NewModel {
            name,
            algorithm: algorithm.name(),
            params: algorithm.params(),
            train_on: &about.train_on,
            hold_out: about.hold_out,
            ratings: about.ratings as usize,
            iterations: about.iterations as usize,
            train_rmse: about.train_rmse,
            probe_rmse: about.probe_rmse,
            held_out_rmse: None,
            judged_by: None,
            summary: about.summary.as_ref().and_then(|text| serde_json::from_str(text).ok()),
            curve: about.curve.iter().map(iteration).collect(),
            elapsed: Elapsed::Took(seconds(about.seconds)),
            deploy,
        })
    }
}

/// Bytes in a model's name: it has to fit into an index.
const LONGEST_NAME: usize = 255;

/// Checks what is to be a model's name.
pub fn check_name(name: &str) -> Result<(), Error> {
    match name.len() {
        1..=LONGEST_NAME => Ok(()),
        bytes => Err(Error::Name { bytes, most: LONGEST_NAME }),
    }
}

/// Checks that the role may write models: better before an hour's training than after it.
pub fn require_write() -> Result<(), Error> {
    columns::require("model", &[Privilege::Select, Privilege::Insert, Privilege::Update])?;
    columns::require("model_version", &[Privilege::Select, Privilege::Insert])?;
    columns::require("model_iteration", &[Privilege::Insert])?;
    columns::require("model_deployment", &[Privilege::Insert])?;
    scan::check("dim_customer", &[key_column("customer_key")])?;
    scan::check("dim_movie", &[key_column("movie_key")])?;
    bulk::check("customer_factors")?;
    bulk::check("movie_factors")
}

fn key_column(name: &'static str) -> Column {
    Column { name, type_oid: BuiltinOid::INT4OID }
}

/// Writes a model as a new version of its name. `trained` tells which customers and movies had
/// ratings to learn from: the others' rows are left out.
pub fn write(
    new: &NewModel<'_>,
    model: &factor::Model,
    trained: impl Fn(&'static str, usize) -> bool,
    progress: &Shown,
) -> Result<Written, Error> {
    // Versions are counted: of two trainings under one name, the second to end waits for the first.
    catalog::lock_writers("model")?;
    let (version, deployed) = query::select(
        Seen::Now,
        "SELECT greatest(coalesce(max(version), 0),
                         (SELECT max(version) FROM @extschema@.model_version WHERE name = $1)) + 1,
                min(version) FILTER (WHERE is_deployed),
                min(coalesce(probe_rmse, held_out_rmse)) FILTER (WHERE is_deployed),
                min(judged_ratings) FILTER (WHERE is_deployed), min(judged_digest) FILTER (WHERE is_deployed)
         FROM @extschema@.model WHERE name = $1",
        &[new.name.into()],
        |row| {
            let next = row.get::<i32>(1)?.ok_or(Error::Null("model"))?;
            let judged_by = row.get::<i64>(4)?.zip(row.get::<i64>(5)?);
            let judged_by = judged_by.map(|(ratings, digest)| JudgedBy { ratings, digest });
            let judged = row.get::<f64>(3)?.zip(judged_by);
            Ok((next, row.get::<i32>(2)?.map(|version| Deployed { version, judged })))
        },
    )?
    .pop()
    .ok_or(Error::Null("model"))?;
    let (deploy, reason) = decide(new, deployed.as_ref());
    if deploy {
        withdraw(new.name, deployed.is_some())?;
    }
    sequence::catch_up("model", "model_id", "model_model_id_seq")?;
    let model_id = query::run_one::<i32>(
        "INSERT INTO @extschema@.model (name, version, algorithm, params, is_deployed, factors, global_mean, ratings,
                            iterations, train_rmse, probe_rmse, elapsed, train_on, hold_out, samples, summary,
                            held_out_rmse, judged_ratings, judged_digest, prior)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, make_interval(secs => $12), $13, $14, $15, $16, $17, $18, $19, $20)
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
            new.elapsed.so_far().as_secs_f64().into(),
            new.train_on.into(),
            new.hold_out.into(),
            (model.samples as i32).into(),
            new.summary.clone().map(JsonB).into(),
            new.held_out_rmse.into(),
            new.judged_by.map(|by| by.ratings).into(),
            new.judged_by.map(|by| by.digest).into(),
            model.prior.as_ref().map(|prior| memory::collect(prior.iter().copied())).transpose()?.into(),
        ],
    )?
    .ok_or(Error::Null("model"))?;
    // What a dropped version was called means no other model ever after.
    query::run(
        "INSERT INTO @extschema@.model_version (name, version, model_id) VALUES ($1, $2, $3)",
        &[new.name.into(), version.into(), model_id.into()],
    )?;
    write_curve(model_id, &new.curve)?;
    if deploy {
        note_deployment(model_id)?;
    }
    let mut written = RowsWritten {
        progress,
        all: model.customers.biases.len() + model.movies.biases.len(),
        seen: 0,
        rows: 0,
    };
    let rows = RowsOf {
        table: "customer_factors",
        dimension: "dim_customer",
        key: "customer_key",
        side: &model.customers,
    };
    let of = |row| trained(rows.table, row);
    rows.write(of, &mut written, |key, bias, factors| {
        [model_id.into_datum(), key.into_datum(), bias.into_datum(), array(factors)]
    })?;
    let rows =
        RowsOf { table: "movie_factors", dimension: "dim_movie", key: "movie_key", side: &model.movies };
    let of = |row| trained(rows.table, row);
    rows.write(of, &mut written, |key, bias, factors| {
        let links = model.links.as_ref().and_then(|links| array(links.row(key as usize - 1)));
        [model_id.into_datum(), key.into_datum(), bias.into_datum(), array(factors), links]
    })?;
    Ok(Written { version, deployed: deploy, reason })
}

/// The version of a name that is deployed: its RMSE, and by which ratings it was judged.
struct Deployed {
    version: i32,
    judged: Option<(f64, JudgedBy)>,
}

/// Whether a new version is to be deployed, and why.
fn decide(new: &NewModel<'_>, deployed: Option<&Deployed>) -> (bool, String) {
    let judged = new.probe_rmse.or(new.held_out_rmse).zip(new.judged_by);
    match (new.deploy, deployed) {
        (Deploy::Told(deploy), _) => (deploy, format!("deploy => {deploy}")),
        (_, None) => (true, "no version was deployed".into()),
        (Deploy::IfNone, Some(Deployed { version, .. })) => (
            false,
            format!("version {version} is deployed, and models from elsewhere are not compared with it"),
        ),
        (Deploy::IfBetter, Some(Deployed { version, judged: other })) => match (judged, other) {
            (None, _) => (false, "nothing was held out to judge it by".into()),
            (_, None) => (false, format!("version {version} was not judged here")),
            (Some((_, by)), Some((_, other_by))) if by != *other_by => {
                (false, format!("version {version} was judged by other ratings"))
            }
            (Some((rmse, by)), Some((other, _))) => {
                let is = if rmse < *other { "is" } else { "is not" };
                let of = by.ratings;
                (
                    rmse < *other,
                    format!(
                        "RMSE {rmse:.4} {is} below {other:.4} of version {version}, by the same {of} ratings"
                    ),
                )
            }
        },
    }
}

/// How far writing a model has come.
struct RowsWritten<'a> {
    progress: &'a Shown,
    all: usize,
    seen: usize,
    rows: usize,
}

/// One side of a model, and where it belongs.
struct RowsOf<'a> {
    table: &'static str,
    dimension: &'static str,
    key: &'static str,
    side: &'a factor::Side,
}

impl RowsOf<'_> {
    /// Writes those rows that were trained.
    fn write<const COLUMNS: usize>(
        &self,
        is_trained: impl Fn(usize) -> bool,
        written: &mut RowsWritten<'_>,
        make: impl Fn(i32, f32, ArrayView1<'_, f32>) -> [Option<pg_sys::Datum>; COLUMNS],
    ) -> Result<(), Error> {
        let RowsOf { table, dimension, key, side } = *self;
        // Nobody checks the foreign keys of what goes in, so that what was deleted during the training is left out,
        // and nothing more can be deleted until this is committed.
        catalog::lock_writers(dimension)?;
        let mut is_there = memory::filled(false, side.biases.len())?;
        scan(dimension, &[key_column(key)], Seen::Now, |row| {
            if let Some(there) = is_there.get_mut((row.int4(0) as usize).wrapping_sub(1)) {
                *there = true;
            }
            Ok::<_, Error>(())
        })?;
        let mut rows = BulkInsert::open(table)?;
        for (row, (&bias, factors)) in side.biases.iter().zip(side.factors.rows()).enumerate() {
            if is_there[row] && is_trained(row) {
                rows.push(|| make(row as i32 + 1, bias, factors));
                written.rows += 1;
            }
            written.seen += 1;
            if row.is_multiple_of(ROWS_A_TURN) {
                written.progress.update(written.seen as u64, written.all as u64, written.rows as u64);
            }
        }
        rows.finish();
        Ok(())
    }
}

/// Has a version answer for its name, and gives the version that did before. The table is locked against other writers.
pub fn deploy(name: &str, model_id: i32) -> Result<Option<i32>, Error> {
    let replaced = set_deployed(name, model_id)?;
    note_deployment(model_id)?;
    Ok(replaced)
}

/// The same for one that was deployed before; what came after that is forgotten, so that going back again goes further.
pub fn roll_back(name: &str, model_id: i32) -> Result<Option<i32>, Error> {
    let replaced = set_deployed(name, model_id)?;
    query::run(
        "DELETE FROM @extschema@.model_deployment d USING @extschema@.model m
         WHERE m.model_id = d.model_id AND m.name = $1
           AND d.deployment_id > (SELECT max(deployment_id) FROM @extschema@.model_deployment WHERE model_id = $2)",
        &[name.into(), model_id.into()],
    )?;
    Ok(replaced)
}

fn set_deployed(name: &str, model_id: i32) -> Result<Option<i32>, Error> {
    let query = "SELECT version FROM @extschema@.model WHERE name = $1 AND is_deployed";
    let replaced = query::select_one::<i32>(Seen::Now, query, &[name.into()])?;
    withdraw(name, replaced.is_some())?;
    let set = "UPDATE @extschema@.model SET is_deployed = true WHERE model_id = $1 RETURNING model_id";
    match query::run_one::<i32>(set, &[model_id.into()])? {
        Some(_) => Ok(replaced),
        // One that a REPEATABLE READ transaction cannot see.
        None => Err(Error::Serialization { name: name.into() }),
    }
}

/// Has no version of a name deployed any more.
fn withdraw(name: &str, is_deployed: bool) -> Result<(), Error> {
    let withdrawn = query::run_one::<i64>(
        "WITH withdrawn AS (
             UPDATE @extschema@.model SET is_deployed = false WHERE name = $1 AND is_deployed RETURNING 1
         )
         SELECT count(*) FROM withdrawn",
        &[name.into()],
    )?;
    // A REPEATABLE READ transaction cannot change what was committed after it began.
    if is_deployed && withdrawn != Some(1) {
        return Err(Error::Serialization { name: name.into() });
    }
    Ok(())
}

fn note_deployment(model_id: i32) -> Result<(), Error> {
    sequence::catch_up("model_deployment", "deployment_id", "model_deployment_deployment_id_seq")?;
    query::run("INSERT INTO @extschema@.model_deployment (model_id) VALUES ($1)", &[model_id.into()])
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
