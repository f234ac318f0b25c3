//! Models as bytes, for another database: `export_model`, `import_model`.

use std::time::Duration;

use factor::{Archive, ArchivedSide, ModelMetadata, Origin};
use ndarray::ArrayView1;
use pgrx::JsonB;

use crate::pg::catalog::Privilege;
use crate::pg::prepared::Prepared;
use crate::pg::progress::Progress;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, guc, interrupt, memory, threads, transaction};
use crate::warehouse::dimension::{Dimension, Id, MatrixRow};
use crate::warehouse::tables::FACT_RATINGS;
use crate::warehouse::{Error, ratings, unfinished};

use super::deploy::Deploy;
use super::error::ModelError;
use super::find::{ModelRow, find};
use super::read;
use super::write::{Elapsed, NewModel, WRITING_MODEL, Written, check_name, require_write, write};

/// The most bytes of an archive that pg_dump can still print: two digits for each byte, in one allocation (MaxAllocSize). COPY puts
/// a row's other columns into the same allocation, so some room is left for these.
const LARGEST: usize = (0x3fff_ffff - (64 << 10)) / 2;
/// Rows copied between two checks for interrupts.
const ROWS_PER_CHECK: usize = 4096;

/// A version of a model as bytes, with the data set's own ids.
pub fn export(name: Option<&str>, version: Option<i64>) -> Result<Vec<u8>, ModelError> {
    static COUNTS: Prepared = Prepared(
        "SELECT (SELECT count(*) FROM @extschema@.customer_factors WHERE model_id = $1), count(*), count(links)
         FROM @extschema@.movie_factors WHERE model_id = $1",
    );
    /// Bytes for each row while rows are sorted by id: key, id, bias and place.
    const SORTING: usize = 32;
    let row = find(name, version)?;
    let (metadata, prior) = describe(&row)?;
    let counts = COUNTS.all(&[row.model_id.into()], |row| {
        let count = |column| Ok::<_, pg::Error>(row.need::<i64>(column, "movie_factors")? as usize);
        Ok((count(1)?, count(2)?, count(3)? > 0))
    })?;
    let counts = counts.into_iter().next().ok_or(pg::Error::Null("movie_factors"))?;
    let (customers, movies, has_links) = counts;
    // Before any row is read.
    let bytes = Archive::size(&metadata, customers, movies, has_links, prior.as_ref().map(Vec::len));
    let too_large = |bytes: usize| ModelError::TooLarge { name: row.name.clone(), bytes, most: LARGEST };
    if bytes > LARGEST {
        return Err(too_large(bytes));
    }
    // The rows as they are read and as they are sorted, the archive, and the bytea made of it.
    let sorting = Dimension::Customer.rows()?.max(Dimension::Movie.rows()?) * SORTING;
    memory::declare("export_model", bytes.saturating_mul(4).saturating_add(sorting))?;
    let (customers, movies) = (rows(&row, Dimension::Customer)?, rows(&row, Dimension::Movie)?);
    let archive = Archive { metadata, customers, movies, prior };
    let archive =
        threads::run(1, |cancelled, _: &mut (dyn FnMut(()) + Send)| archive.encode(cancelled), |()| {})??;
    // Rows may have been added since they were counted.
    if archive.len() > LARGEST { Err(too_large(archive.len())) } else { Ok(archive) }
}

/// What an archive says of the model beside its factors, and the prior that new customers are folded in with.
fn describe(row: &ModelRow) -> Result<(ModelMetadata, Option<Vec<f32>>), ModelError> {
    static ABOUT: Prepared = Prepared(
        "SELECT algorithm, params, train_on, hold_out, ratings, iterations, train_rmse, probe_rmse, summary,
                extract(epoch FROM elapsed)::float8, prior FROM @extschema@.model WHERE model_id = $1",
    );
    let curve = read::curve(Some(&row.name), Some(row.version.into()))?;
    let mut prior = Vec::new();
    let found = ABOUT.all(&[row.model_id.into()], |found| {
        prior = found.floats(11, "model")?;
        let JsonB(params) = found.need(2, "model")?;
        Ok(ModelMetadata {
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
    let metadata = found.into_iter().next().ok_or(pg::Error::Null("model"))?;
    Ok((metadata, Some(prior).filter(|prior| !prior.is_empty())))
}

/// All rows of one dimension's factors, by the data set's own ids.
fn rows(model: &ModelRow, dimension: Dimension) -> Result<ArchivedSide, ModelError> {
    static LINKS: Prepared = Prepared(
        "SELECT f.links FROM @extschema@.movie_factors f JOIN @extschema@.dim_movie m USING (movie_key)
         WHERE f.model_id = $1 AND f.links IS NOT NULL ORDER BY m.movie_id",
    );
    let (members, length) = (dimension.members()?, model.factors);
    let mut places = Vec::new();
    let mut vectors = Vec::new();
    read::each_row(model, dimension, None, |key, bias, factors| {
        let Ok(at) = members.binary_search_by_key(&key, |&(key, _)| key) else { return Ok(()) };
        let (_, id) = members[at];
        let place = places.len();
        memory::push(&mut places, (id, bias, place))?;
        vectors.try_reserve(length)?;
        vectors.extend(factors);
        Ok::<_, Error>(())
    })?;
    places.sort_unstable_by_key(|&(id, ..)| id);
    let mut rows = ArchivedSide::default();
    rows.ids.try_reserve_exact(places.len())?;
    rows.biases.try_reserve_exact(places.len())?;
    rows.factors.try_reserve_exact(vectors.len())?;
    for (row, &(id, bias, place)) in places.iter().enumerate() {
        if row.is_multiple_of(ROWS_PER_CHECK) {
            interrupt::check();
        }
        rows.ids.push(id.0);
        rows.biases.push(bias);
        rows.factors.extend_from_slice(&vectors[place * length..][..length]);
    }
    if dimension == Dimension::Movie {
        let mut links = Vec::new();
        LINKS.each(&[model.model_id.into()], |row| {
            memory::extend(&mut links, &row.floats(1, "movie_factors")?)
        })?;
        rows.links = (links.len() == rows.factors.len() && !links.is_empty()).then_some(links);
    }
    Ok(rows)
}

/// What `import_model` returns.
pub struct Imported {
    pub name: String,
    pub customers: usize,
    pub movies: usize,
    pub written: Written,
}

/// Writes an archive's model as a new version, under the archive's name or another one. Customers and movies that are not in this
/// database are left out.
pub fn import(
    bytes: Option<&[u8]>,
    name: Option<&str>,
    deploy: Option<bool>,
) -> Result<Imported, ModelError> {
    transaction::require_writable(c"import_model()");
    unfinished::refuse_in_restore("import_model")?;
    let bytes = bytes.ok_or(pg::Error::NullArgument("archive"))?;
    require_write()?;
    // The decoded archive, and its rows by key.
    memory::declare("import_model", 4 * bytes.len())?;
    let decode = |cancelled: &_, _: &mut (dyn FnMut(()) + Send)| Archive::decode(bytes, cancelled);
    let archive = threads::run(1, decode, |()| {})??;
    let origin = archive.origin()?;
    let Archive { metadata, customers, movies, prior } = archive;
    let vector = (metadata.factors as usize + 1) * size_of::<f32>();
    let rows = Dimension::Customer.rows()? + 2 * Dimension::Movie.rows()?;
    let by_key = rows.saturating_mul(vector);
    memory::declare("import_model", by_key.saturating_add(4 * bytes.len()))?;
    // The archive's RMSE may be that of another probe, so the model replaces a deployed version only if the caller says so.
    let deploy = deploy.map_or(Deploy::IfNone, Deploy::Explicit);
    let mut new = new_model(&metadata, name.unwrap_or(&metadata.name), &origin, deploy)?;
    let factors = metadata.factors as usize;
    let customers = RowsByKey::new(&customers, Dimension::Customer, factors)?;
    let movies = RowsByKey::new(&movies, Dimension::Movie, factors)?;
    let (has_customer, has_movie) = (customers.exists, movies.exists);
    let model = factor::Model {
        mean: metadata.mean,
        customers: customers.side,
        movies: movies.side,
        samples: metadata.samples as usize,
        links: movies.links,
        prior,
    };
    new.probe_rmse = probe_rmse(&model)?;
    let progress = Progress::start(&WRITING_MODEL);
    let exists = |dimension, row: MatrixRow| match dimension {
        Dimension::Customer => has_customer[row.index()],
        Dimension::Movie => has_movie[row.index()],
    };
    let written = write(&new, &model, exists, &progress)?;
    let count = |exists: &[bool]| exists.iter().filter(|exists| **exists).count();
    let (customers, movies) = (count(&has_customer), count(&has_movie));
    Ok(Imported { name: new.name.to_owned(), customers, movies, written })
}

/// The archive's description, to be written under a name.
fn new_model<'a>(
    metadata: &'a ModelMetadata,
    name: &'a str,
    origin: &Origin,
    deploy: Deploy,
) -> Result<NewModel<'a>, ModelError> {
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let iteration = |&(number, train_rmse, held_out_rmse, at): &(u32, f64, Option<f64>, f64)| {
        factor::Iteration { number: number as usize, train_rmse, held_out_rmse, elapsed: seconds(at) }
    };
    check_name(name)?;
    Ok(NewModel {
        name,
        algorithm: origin.name(),
        params: origin.params(),
        train_on: &metadata.train_on,
        split: None,
        hold_out: metadata.hold_out,
        ratings: metadata.ratings as usize,
        iterations: metadata.iterations as usize,
        train_rmse: metadata.train_rmse,
        probe_rmse: metadata.probe_rmse,
        test_rmse: None,
        held_out_rmse: None,
        judged_by: None,
        left_out: None,
        summary: metadata.summary.as_ref().and_then(|text| serde_json::from_str(text).ok()),
        curve: metadata.curve.iter().map(iteration).collect(),
        elapsed: Elapsed::Took(seconds(metadata.seconds)),
        deploy,
    })
}

/// The RMSE of an imported model on this database's probe; `None` if it has no probe, or the role may not read it.
fn probe_rmse(model: &factor::Model) -> Result<Option<f64>, ModelError> {
    match FACT_RATINGS.require(&[Privilege::Select]) {
        Err(pg::Error::Permission { .. } | pg::Error::RowSecurity { .. }) => return Ok(None),
        required => required?,
    }
    let probe = ratings::read_probe(Snapshot::Transaction)?.ratings;
    let judged = threads::run(
        guc::threads(),
        |cancelled, _: &mut (dyn FnMut(()) + Send)| model.evaluate(&probe, cancelled),
        |()| {},
    )??;
    Ok(judged.map(|metrics| metrics.rmse))
}

/// An archive's rows of one dimension, by this database's keys.
struct RowsByKey {
    side: factor::Side,
    links: Option<ndarray::Array2<f32>>,
    /// Whether the archive has this row.
    exists: Vec<bool>,
}

impl RowsByKey {
    fn new(rows: &ArchivedSide, dimension: Dimension, factors: usize) -> Result<RowsByKey, ModelError> {
        let keys = dimension.keys(&memory::collect(rows.ids.iter().map(|&id| Id(id)))?)?;
        // As many rows as this database can have ratings of, so that the model can be judged by any of them.
        let count = dimension.rows()?;
        let mut side = factor::Side::zeros(count, factors)?;
        let mut exists = memory::filled(false, count)?;
        let links = rows.links.as_ref().map(|_| factor::Side::zeros(count, factors)).transpose()?;
        let mut links = links.map(|side| side.factors);
        for (from, key) in keys.into_iter().enumerate() {
            if from.is_multiple_of(ROWS_PER_CHECK) {
                interrupt::check();
            }
            let Some(to) = key.map(|key| key.row().index()) else { continue };
            let vector = from * factors..(from + 1) * factors;
            exists[to] = true;
            side.biases[to] = rows.biases[from];
            side.factors.row_mut(to).assign(&ArrayView1::from(&rows.factors[vector.clone()]));
            if let (Some(links), Some(from)) = (&mut links, &rows.links) {
                links.row_mut(to).assign(&ArrayView1::from(&from[vector]));
            }
        }
        Ok(RowsByKey { side, links, exists })
    }
}
