//! Which version of a model answers calls that name the model: `deploy_model`, `rollback_model`, and the decision on a new version; and
//! `drop_model`.
//!
//! All of it happens in the caller's transaction: other sessions see it once that commits.

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::pg::catalog::{self, Privilege};
use crate::pg::prepared::Prepared;
use crate::pg::snapshot::{self, Snapshot};
use crate::pg::{Error, guc, invalidation, lock, query, sequence, transaction};

use super::error::ModelError;
use super::find::{ModelRow, default_name, find};

/// Whether a new version shall be deployed.
#[derive(Clone, Copy, Debug)]
pub enum Deploy {
    /// As the caller says.
    Explicit(bool),
    /// If no version of its name is deployed.
    IfNone,
    /// As `IfNone`; also if the deployed version was judged by the same ratings and has a higher RMSE.
    IfBetter,
}

/// Identifies the held-out set that a model was judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgedBy {
    pub ratings: i64,
    pub digest: i64,
}

/// The deployed version of a name: its RMSE, and what it was judged by.
pub struct Deployed {
    pub version: i32,
    pub judged: Option<(f64, JudgedBy)>,
}

/// Decides whether a new version is deployed, and says why. `judged` is its RMSE and what it was judged by.
pub fn decide(
    deploy: Deploy,
    judged: Option<(f64, JudgedBy)>,
    deployed: Option<&Deployed>,
) -> (bool, String) {
    match (deploy, deployed) {
        (Deploy::Explicit(deploy), _) => (deploy, format!("deploy => {deploy}")),
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

/// Deploys a version, the newest if none is given. Returns name, version, and the version that it replaces.
pub fn deploy(name: Option<&str>, version: Option<i64>) -> Result<(String, i32, Option<i32>), ModelError> {
    let row = find_to_change(c"deploy_model()", name, version)?;
    let replaced = set_deployed(&row.name, row.model_id)?;
    record_deployment(row.model_id)?;
    Ok((row.name, row.version, replaced))
}

/// Deploys the version that was deployed before the present one. What was deployed after it is forgotten, so that the next rollback
/// goes back further.
pub fn roll_back(name: Option<&str>) -> Result<(String, i32, Option<i32>), ModelError> {
    let newest = find_to_change(c"rollback_model()", name, None)?;
    // The deployment of another version that came last before the present version's latest deployment.
    let earlier = query::select_one::<i32>(
        Snapshot::Latest,
        "SELECT d.model_id FROM @extschema@.model_deployment d JOIN @extschema@.model m USING (model_id)
         WHERE m.name = $1 AND NOT m.is_deployed
           AND d.deployment_id < coalesce((SELECT max(n.deployment_id) FROM @extschema@.model_deployment n
                                           JOIN @extschema@.model p USING (model_id) WHERE p.name = $1 AND p.is_deployed),
                                          9223372036854775807)
         ORDER BY d.deployment_id DESC LIMIT 1",
        &[newest.name.as_str().into()],
    )?;
    let Some(earlier) = earlier else { return Err(ModelError::NoEarlier(newest.name)) };
    let replaced = set_deployed(&newest.name, earlier)?;
    query::run(
        "DELETE FROM @extschema@.model_deployment d USING @extschema@.model m
         WHERE m.model_id = d.model_id AND m.name = $1
           AND d.deployment_id > (SELECT max(deployment_id) FROM @extschema@.model_deployment WHERE model_id = $2)",
        &[newest.name.as_str().into(), earlier.into()],
    )?;
    let version = "SELECT version FROM @extschema@.model WHERE model_id = $1";
    let version = query::select_one::<i32>(Snapshot::Latest, version, &[earlier.into()])?;
    Ok((newest.name, version.ok_or(Error::Null("model"))?, replaced))
}

/// Drops a version, or all versions of a name if none is given. A deployed version is dropped only if `force` is true.
pub fn drop_versions(
    name: Option<&str>,
    version: Option<i64>,
    force: bool,
) -> Result<Vec<(String, i32)>, ModelError> {
    let row = find_to_change(c"drop_model()", name, version)?;
    let default = snapshot::with_latest(default_name)?;
    let versions = query::select(
        Snapshot::Latest,
        "SELECT model_id, version, is_deployed FROM @extschema@.model
         WHERE name = $1 AND ($2 IS NULL OR version = $2) ORDER BY version",
        &[row.name.as_str().into(), version.into()],
        |row| match (row.get::<i32>(1)?, row.get::<i32>(2)?, row.get::<bool>(3)?) {
            (Some(model_id), Some(version), Some(is_deployed)) => Ok((model_id, version, is_deployed)),
            _ => Err(Error::Null("model")),
        },
    )?;
    if let Some(&(_, version, _)) = versions.iter().find(|(.., is_deployed)| *is_deployed && !force) {
        return Err(ModelError::IsDeployed { name: row.name, version });
    }
    match part_of_a_blend(&row.name, &versions)? {
        Some(part) if !force => return Err(part),
        Some(part) => notice!("{part}, which has a copy of it and goes on without it"),
        None => {}
    }
    for (model_id, ..) in &versions {
        // Foreign keys delete its rows in the other tables.
        let delete = "DELETE FROM @extschema@.model WHERE model_id = $1 RETURNING model_id";
        if query::run_one::<i32>(delete, &[(*model_id).into()])?.is_none() {
            // A REPEATABLE READ transaction cannot see this version.
            return Err(ModelError::Serialization { name: row.name });
        }
    }
    invalidation::send("model")?;
    let new_default = snapshot::with_latest(default_name)?;
    if guc::default_model().is_none() && new_default != default {
        match new_default {
            Some(name) => notice!("\"{name}\" is the default model from now on"),
            None => notice!("there is no default model from now on"),
        }
    }
    Ok(versions.into_iter().map(|(_, version, _)| (row.name.clone(), version)).collect())
}

/// The error about a version that is a part of a blend, if one of these is. `versions` are those to drop: model_id, version, and
/// whether it is deployed. An imported blend, which has no digest, was made of models of another database.
fn part_of_a_blend(name: &str, versions: &[(i32, i32, bool)]) -> Result<Option<ModelError>, Error> {
    let column = |of: fn(&(i32, i32, bool)) -> i32| versions.iter().map(of).collect::<Vec<_>>();
    let parts = query::select(
        Snapshot::Latest,
        "SELECT (part ->> 'version')::int, b.name, b.version
         FROM @extschema@.model AS b, jsonb_array_elements(b.params -> 'parts') AS part
         WHERE b.algorithm = 'blend' AND b.left_out_digest IS NOT NULL AND part ->> 'model' = $1 AND (part ->> 'version')::int = ANY ($2) AND b.model_id <> ALL ($3)
         ORDER BY b.model_id LIMIT 1",
        &[name.into(), column(|&(_, version, _)| version).into(), column(|&(model_id, ..)| model_id).into()],
        |row| match (row.get::<i32>(1)?, row.get::<String>(2)?, row.get::<i32>(3)?) {
            (Some(version), Some(blend), Some(blend_version)) => {
                Ok(ModelError::IsPart { name: name.into(), version, blend, blend_version })
            }
            _ => Err(Error::Null("model")),
        },
    )?;
    Ok(parts.into_iter().next())
}

/// Locks the table of models against other writers, and finds a version: the newest if none is given.
fn find_to_change(
    function: &'static CStr,
    name: Option<&str>,
    version: Option<i64>,
) -> Result<ModelRow, ModelError> {
    static NEWEST: Prepared = Prepared("SELECT max(version) FROM @extschema@.model WHERE name = $1");
    transaction::require_writable(function);
    let name = name.ok_or(Error::NullArgument("model"))?;
    catalog::require("model", &[Privilege::Select, Privilege::Update])?;
    lock::lock_against_writers("model")?;
    // With a new snapshot: the statement's may be older than what the transactions that were waited for have committed.
    snapshot::with_latest(|| {
        let version = match version {
            Some(version) => Some(version),
            None => NEWEST.one::<i32>(&[name.into()])?.map(i64::from),
        };
        find(Some(name), version)
    })
}

/// Makes a version the deployed one of its name, and returns the version that was. The table is locked against other writers.
fn set_deployed(name: &str, model_id: i32) -> Result<Option<i32>, ModelError> {
    let query = "SELECT version FROM @extschema@.model WHERE name = $1 AND is_deployed";
    let replaced = query::select_one::<i32>(Snapshot::Latest, query, &[name.into()])?;
    withdraw(name, replaced.is_some())?;
    let set = "UPDATE @extschema@.model SET is_deployed = true WHERE model_id = $1 RETURNING model_id";
    match query::run_one::<i32>(set, &[model_id.into()])? {
        Some(_) => Ok(replaced),
        // A REPEATABLE READ transaction cannot see this version.
        None => Err(ModelError::Serialization { name: name.into() }),
    }
}

/// Withdraws the deployed version of a name; `is_deployed` says whether there is one.
pub fn withdraw(name: &str, is_deployed: bool) -> Result<(), ModelError> {
    let withdrawn = query::run_one::<i64>(
        "WITH withdrawn AS (
             UPDATE @extschema@.model SET is_deployed = false WHERE name = $1 AND is_deployed RETURNING 1
         )
         SELECT count(*) FROM withdrawn",
        &[name.into()],
    )?;
    // A REPEATABLE READ transaction cannot change what was committed after it began.
    if is_deployed && withdrawn != Some(1) {
        return Err(ModelError::Serialization { name: name.into() });
    }
    Ok(())
}

/// Adds a deployment to the history that rollback_model goes back in.
pub fn record_deployment(model_id: i32) -> Result<(), Error> {
    sequence::catch_up("model_deployment", "deployment_id", "model_deployment_deployment_id_seq")?;
    query::run("INSERT INTO @extschema@.model_deployment (model_id) VALUES ($1)", &[model_id.into()])
}
