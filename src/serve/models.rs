//! Models come and go: `deploy_model`, `rollback_model`, `drop_model`, `export_model`, `import_model`.
//!
//! All of it happens within the caller's transaction: other sessions see a model deployed, or not yet, and never half of it.

use factor::{About, Archive, Rows};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, prelude::*};

use crate::pg::model::{self, ModelRow};
use crate::pg::prepared::Prepared;
use crate::pg::scan::Seen;
use crate::pg::{self, Error, catalog, columns, guc, interrupt, memory, query, ratings, report, unfinished};

use super::error::{LARGEST, ServeError};

/// Has a version answer for its name: the newest where none is said. Gives what it replaced, if anything.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn deploy_model(
    model: Option<&str>,
    version: default!(Option<i64>, "NULL"),
) -> Result<
    TableIterator<'static, (name!(model, String), name!(version, i32), name!(replaced, Option<i32>))>,
    ErrorReport,
> {
    Ok(TableIterator::once(deploy(model, version).map_err(report)?))
}

/// Has the version that was deployed before the one that is now answer for its name again.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn rollback_model(
    model: Option<&str>,
) -> Result<
    TableIterator<'static, (name!(model, String), name!(version, i32), name!(replaced, Option<i32>))>,
    ErrorReport,
> {
    Ok(TableIterator::once(roll_back(model).map_err(report)?))
}

/// Forgets a version of a model, or all of its versions where none is said. Refused for a deployed one unless it is forced.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn drop_model(
    model: Option<&str>,
    version: default!(Option<i64>, "NULL"),
    force: default!(Option<bool>, false),
) -> Result<TableIterator<'static, (name!(model, String), name!(version, i32))>, ErrorReport> {
    let dropped = drop_versions(model, version, force.unwrap_or(false)).map_err(report)?;
    Ok(TableIterator::new(dropped))
}

/// A version of a model, the deployed one where none is said, with the data set's own ids: for another database, where
/// `import_model` reads it.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn export_model(
    model: default!(Option<&str>, "NULL"),
    version: default!(Option<i64>, "NULL"),
) -> Result<Vec<u8>, ErrorReport> {
    export(model, version).map_err(report)
}

/// Adds what `export_model` returned as a new version, under its own name or another. Customers and movies that are not
/// here are left out. Deployed where nothing of that name is, or when told.
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
    Ok(TableIterator::once(import(archive, model, deploy).map_err(report)?))
}

/// Waits until no other session changes models, and finds a version; the newest where none is said.
fn find_to_change(
    function: &'static std::ffi::CStr,
    name: Option<&str>,
    version: Option<i64>,
) -> Result<ModelRow, ServeError> {
    static NEWEST: Prepared = Prepared("SELECT max(version) FROM @extschema@.model WHERE name = $1");
    catalog::require_writable(function);
    let name = name.ok_or(Error::NullArgument("model"))?;
    catalog::require("model", &[catalog::Privilege::Select, catalog::Privilege::Update])?;
    catalog::lock_writers("model")?;
    // The statement may have begun before others ended whom it waited for.
    query::now(|| {
        let version = match version {
            Some(version) => Some(version),
            None => NEWEST.one::<i32>(&[name.into()])?.map(i64::from),
        };
        Ok(model::find(Some(name), version)?)
    })
}

fn deploy(name: Option<&str>, version: Option<i64>) -> Result<(String, i32, Option<i32>), ServeError> {
    let row = find_to_change(c"deploy_model()", name, version)?;
    let replaced = model::deploy(&row.name, row.model_id)?;
    Ok((row.name, row.version, replaced))
}

fn roll_back(name: Option<&str>) -> Result<(String, i32, Option<i32>), ServeError> {
    let newest = find_to_change(c"rollback_model()", name, None)?;
    // What was deployed last, of what stood before the version that is deployed now.
    let earlier = query::select_one::<i32>(
        Seen::Now,
        "SELECT d.model_id FROM @extschema@.model_deployment d JOIN @extschema@.model m USING (model_id)
         WHERE m.name = $1 AND NOT m.is_deployed
           AND d.deployment_id < coalesce((SELECT max(n.deployment_id) FROM @extschema@.model_deployment n
                                           JOIN @extschema@.model p USING (model_id) WHERE p.name = $1 AND p.is_deployed),
                                          9223372036854775807)
         ORDER BY d.deployment_id DESC LIMIT 1",
        &[newest.name.as_str().into()],
    )?;
    let Some(earlier) = earlier else { return Err(ServeError::NoEarlier(newest.name)) };
    let replaced = model::roll_back(&newest.name, earlier)?;
    let version = "SELECT version FROM @extschema@.model WHERE model_id = $1";
    let version = query::select_one::<i32>(Seen::Now, version, &[earlier.into()])?;
    Ok((newest.name, version.ok_or(Error::Null("model"))?, replaced))
}

fn drop_versions(
    name: Option<&str>,
    version: Option<i64>,
    force: bool,
) -> Result<Vec<(String, i32)>, ServeError> {
    let row = find_to_change(c"drop_model()", name, version)?;
    let default = query::now(model::default_name)?;
    let versions = query::select(
        Seen::Now,
        "SELECT model_id, version, is_deployed FROM @extschema@.model
         WHERE name = $1 AND ($2 IS NULL OR version = $2) ORDER BY version",
        &[row.name.as_str().into(), version.into()],
        |row| match (row.get::<i32>(1)?, row.get::<i32>(2)?, row.get::<bool>(3)?) {
            (Some(model_id), Some(version), Some(is_deployed)) => Ok((model_id, version, is_deployed)),
            _ => Err(Error::Null("model")),
        },
    )?;
    if let Some(&(_, version, _)) = versions.iter().find(|(.., is_deployed)| *is_deployed && !force) {
        return Err(ServeError::IsDeployed { name: row.name, version });
    }
    for (model_id, ..) in &versions {
        // The rest goes with it.
        let delete = "DELETE FROM @extschema@.model WHERE model_id = $1 RETURNING model_id";
        if query::run_one::<i32>(delete, &[(*model_id).into()])?.is_none() {
            // One that a REPEATABLE READ transaction cannot see.
            return Err(Error::Serialization { name: row.name }.into());
        }
    }
    model::changes::tell()?;
    let new_default = query::now(model::default_name)?;
    if guc::default_model().is_none() && new_default != default {
        match new_default {
            Some(name) => notice!("where no model is named, \"{name}\" answers from now on"),
            None => notice!("where no model is named, none answers from now on"),
        }
    }
    Ok(versions.into_iter().map(|(_, version, _)| (row.name.clone(), version)).collect())
}

fn export(name: Option<&str>, version: Option<i64>) -> Result<Vec<u8>, ServeError> {
    static ABOUT: Prepared = Prepared(
        "SELECT algorithm, params, train_on, hold_out, ratings, iterations, train_rmse, probe_rmse, summary,
                extract(epoch FROM elapsed)::float8, prior FROM @extschema@.model WHERE model_id = $1",
    );
    static COUNTS: Prepared = Prepared(
        "SELECT (SELECT count(*) FROM @extschema@.customer_factors WHERE model_id = $1), count(*), count(links)
         FROM @extschema@.movie_factors WHERE model_id = $1",
    );
    /// Bytes of a key, an id, a bias and a place in the rows.
    const KEYED: usize = 32;
    let row = model::find(name, version)?;
    let curve = model::curve(Some(&row.name), Some(row.version.into()))?;
    let mut prior = Vec::new();
    let abouts = ABOUT.all(&[row.model_id.into()], |found| {
        prior = found.floats(11, "model")?;
        let JsonB(params) = found.need(2, "model")?;
        Ok(About {
            name: row.name.clone(),
            algorithm: found.need(1, "model")?,
            params: params.to_string(),
            train_on: found.need(3, "model")?,
            hold_out: found.need(4, "model")?,
            factors: row.factors as u32,
            samples: row.samples as u32,
            mean: row.global_mean,
            ratings: found.need::<i64>(5, "model")? as u64,
            iterations: found.need::<i32>(6, "model")? as u32,
            train_rmse: found.need(7, "model")?,
            probe_rmse: found.get(8),
            summary: found.get::<JsonB>(9).map(|JsonB(summary)| summary.to_string()),
            seconds: found.need(10, "model")?,
            curve: curve
                .iter()
                .map(|&(number, train, held_out, at)| (number as u32, train, held_out, at))
                .collect(),
        })
    })?;
    let about = abouts.into_iter().next().ok_or(Error::Null("model"))?;
    let prior = Some(prior).filter(|prior| !prior.is_empty());
    let counts = COUNTS.all(&[row.model_id.into()], |row| {
        let count = |column| Ok::<_, Error>(row.need::<i64>(column, "movie_factors")? as usize);
        Ok((count(1)?, count(2)?, count(3)? > 0))
    })?;
    let (customers, movies, has_links) = counts.into_iter().next().ok_or(Error::Null("movie_factors"))?;
    // Before any of it is read.
    let bytes = Archive::size(&about, customers, movies, has_links, prior.as_ref().map(Vec::len));
    let too_large = |bytes: usize| ServeError::TooLarge { name: row.name.clone(), bytes };
    if bytes > LARGEST {
        return Err(too_large(bytes));
    }
    // The rows as they are read and as they are sorted, the archive, and the value made of it.
    let keyed = model::highest("customer")?.max(model::highest("movie")?) * KEYED;
    pg::require_memory("export_model", bytes.saturating_mul(4).saturating_add(keyed))?;
    let (customers, movies) = (model::rows(&row, "customer")?, model::rows(&row, "movie")?);
    let archive = Archive { about, customers, movies, prior };
    let archive =
        interrupt::run(1, |cancelled, _: &mut (dyn FnMut(()) + Send)| archive.encode(cancelled), |()| {})??;
    // Rows may have come since they were counted.
    if archive.len() > LARGEST { Err(too_large(archive.len())) } else { Ok(archive) }
}

fn import(
    bytes: Option<&[u8]>,
    name: Option<&str>,
    deploy: Option<bool>,
) -> Result<(String, i32, i64, i64, bool, String), ServeError> {
    catalog::require_writable(c"import_model()");
    unfinished::refuse_restore("import_model")?;
    let bytes = bytes.ok_or(Error::NullArgument("archive"))?;
    model::require_write()?;
    // What is read of it, and laid out by key.
    pg::require_memory("import_model", 4 * bytes.len())?;
    let decode = |cancelled: &_, _: &mut (dyn FnMut(()) + Send)| Archive::decode(bytes, cancelled);
    let archive = interrupt::run(1, decode, |()| {})??;
    let algorithm = archive.algorithm()?;
    let Archive { about, customers, movies, prior } = archive;
    let vector = (about.factors as usize + 1) * size_of::<f32>();
    let rows = model::highest("customer")? + 2 * model::highest("movie")?;
    let laid_out_bytes = rows.saturating_mul(vector);
    pg::require_memory("import_model", laid_out_bytes.saturating_add(4 * bytes.len()))?;
    let mean = about.mean;
    // The RMSE that an archive states may be of another probe: it replaces a deployed version only when told to.
    let deploy = deploy.map_or(model::Deploy::IfNone, model::Deploy::Told);
    let mut new = model::NewModel::imported(&about, name.unwrap_or(&about.name), &algorithm, deploy)?;
    let sides = [(&customers, "customer"), (&movies, "movie")];
    let [customers, movies] = sides.map(|(rows, side)| laid_out(rows, side, about.factors as usize));
    let ((customers, has_customer, _), (movies, has_movie, links)) = (customers?, movies?);
    let model = factor::Model { mean, customers, movies, samples: about.samples as usize, links, prior };
    new.probe_rmse = judge(&model)?;
    let is_there = |table: &str, row: usize| match table {
        "movie_factors" => has_movie[row],
        _ => has_customer[row],
    };
    let progress = pg::progress::Shown::start(pg::progress::Phase::WritingModel);
    let model::Written { version, deployed, reason } = model::write(&new, &model, is_there, &progress)?;
    let count = |has: &[bool]| has.iter().filter(|has| **has).count() as i64;
    Ok((new.name.to_owned(), version, count(&has_customer), count(&has_movie), deployed, reason))
}

/// The RMSE of an imported model on the probe that is here; `None` where there is none, or the role may not read it. (The one that
/// the archive states is of the probe that was there.)
fn judge(model: &factor::Model) -> Result<Option<f64>, ServeError> {
    match columns::require("fact_ratings", &[catalog::Privilege::Select]) {
        Err(Error::Permission { .. } | Error::RowSecurity { .. }) => return Ok(None),
        required => required?,
    }
    let probe = ratings::read_probe(Seen::ByTransaction)?.ratings;
    let judged = interrupt::run(
        guc::threads(),
        |cancelled, _: &mut (dyn FnMut(()) + Send)| model.judge(&probe, cancelled),
        |()| {},
    )??;
    Ok(judged.map(|metrics| metrics.rmse))
}

/// Rows between two looks for interrupts.
const ROWS_A_TURN: usize = 4096;

type LaidOut = (factor::Side, Vec<bool>, Option<ndarray::Array2<f32>>);

/// Rows by this database's keys, and which of them there are.
fn laid_out(rows: &Rows, side: &'static str, factors: usize) -> Result<LaidOut, ServeError> {
    let keys = model::keys_of(side, &rows.ids)?;
    // As many rows as there can be, so that the model can be judged by any rating.
    let highest = model::highest(side)?;
    let mut laid_out = factor::Side::zeros(highest, factors)?;
    let mut is_there = memory::filled(false, highest)?;
    let links = rows.links.as_ref().map(|_| factor::Side::zeros(highest, factors)).transpose()?;
    let mut links = links.map(|side| side.factors);
    for (row, key) in keys.into_iter().enumerate() {
        if row.is_multiple_of(ROWS_A_TURN) {
            interrupt::check();
        }
        let Some(at) = key.map(|key| key as usize - 1) else { continue };
        let of = row * factors..(row + 1) * factors;
        is_there[at] = true;
        laid_out.biases[at] = rows.biases[row];
        laid_out.factors.row_mut(at).assign(&ndarray::ArrayView1::from(&rows.factors[of.clone()]));
        if let (Some(to), Some(from)) = (&mut links, &rows.links) {
            to.row_mut(at).assign(&ndarray::ArrayView1::from(&from[of]));
        }
    }
    Ok((laid_out, is_there, links))
}
