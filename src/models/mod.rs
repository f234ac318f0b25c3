//! Models and their versions: `deploy_model`, `rollback_model`, `drop_model`, `export_model`, `import_model`, `model_id`.
//!
//! Training and importing write a model, and all capabilities that answer with one find and read it here.

mod archive;
pub mod deploy;
pub mod error;
pub mod find;
pub mod read;
pub mod write;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::report;

use archive::Imported;
pub use error::ModelError;
pub use find::{ModelRow, find};

/// Deploys a version: the newest if none is given. Returns which version it replaces, if any.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn deploy_model(
    model: Option<&str>,
    version: default!(Option<i64>, "NULL"),
) -> Result<
    TableIterator<'static, (name!(model, String), name!(version, i32), name!(replaced, Option<i32>))>,
    ErrorReport,
> {
    Ok(TableIterator::once(deploy::deploy(model, version).map_err(report)?))
}

/// Deploys the version that was deployed before the present one.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn rollback_model(
    model: Option<&str>,
) -> Result<
    TableIterator<'static, (name!(model, String), name!(version, i32), name!(replaced, Option<i32>))>,
    ErrorReport,
> {
    Ok(TableIterator::once(deploy::roll_back(model).map_err(report)?))
}

/// Drops a version of a model, or all of its versions if none is given. A deployed version is dropped only with `force`.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn drop_model(
    model: Option<&str>,
    version: default!(Option<i64>, "NULL"),
    force: default!(Option<bool>, false),
) -> Result<TableIterator<'static, (name!(model, String), name!(version, i32))>, ErrorReport> {
    let dropped = deploy::drop_versions(model, version, force.unwrap_or(false)).map_err(report)?;
    Ok(TableIterator::new(dropped))
}

/// A version of a model, the deployed one if none is given, as bytes that `import_model` reads in another database.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn export_model(
    model: default!(Option<&str>, "NULL"),
    version: default!(Option<i64>, "NULL"),
) -> Result<Vec<u8>, ErrorReport> {
    archive::export(model, version).map_err(report)
}

/// Adds what `export_model` returned as a new version, under its own name or another one. Customers and movies that are not in
/// this database are left out. Deployed if no version of that name is, or if `deploy` is true.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn import_model(
    archive: Option<&[u8]>,
    model: default!(Option<&str>, "NULL"),
    deploy: default!(Option<bool>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(model, String),
            name!(version, i32),
            name!(customers, i64),
            name!(movies, i64),
            name!(deployed, bool),
            name!(reason, String),
        ),
    >,
    ErrorReport,
> {
    let Imported { name, customers, movies, written } =
        archive::import(archive, model, deploy).map_err(report)?;
    let write::Written { version, deployed, reason } = written;
    Ok(TableIterator::once((name, version, customers as i64, movies as i64, deployed, reason)))
}

/// The key of a version of a model: of the deployed one if none is given.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
pub(crate) fn model_id(
    model: default!(Option<&str>, "NULL"),
    version: default!(Option<i64>, "NULL"),
) -> Result<i32, ErrorReport> {
    Ok(find(model, version).map_err(report)?.model_id)
}
