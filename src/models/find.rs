//! Finds a version of a model: by its name, by its version, or the default one.

use factor::{Origin, SampleLayout};
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;

use crate::pg::catalog::{self, Privilege};
use crate::pg::prepared::Prepared;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, guc, query};
use crate::warehouse;

use super::error::ModelError;

/// A version of a model, without its factors.
#[derive(Clone, Debug)]
pub struct ModelRow {
    pub model_id: i32,
    pub name: String,
    pub version: i32,
    /// When it was trained, in microseconds since 2000. Together with the id it identifies a model for ever: after a
    /// netflix_reset, ids are used again.
    pub trained_at: i64,
    /// The length of a row of factors.
    pub factors: usize,
    /// How many posterior samples a row of factors holds; 1 for a model that is not Bayesian.
    pub samples: usize,
    pub global_mean: f32,
}

impl ModelRow {
    /// How a row of factors is divided into samples.
    pub fn layout(&self) -> SampleLayout {
        SampleLayout::of_row_length(self.samples, self.factors)
    }
}

/// Finds a version of a model: the deployed one if no version is given. If no name is given either, it is the default model: the one
/// that `netflix_rec.default_model` names; otherwise, of the names that have a deployed version, the one that was trained first.
/// A training under another name therefore does not change the answers that an application gets.
pub fn find(name: Option<&str>, version: Option<i64>) -> Result<ModelRow, ModelError> {
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
        // A version belongs to a name.
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
        _ if known.is_empty() => ModelError::NoModels,
        (None, _) => ModelError::NoneDeployed { known },
        (Some(name), _) if !known.iter().any(|known| known == name) => {
            ModelError::NoModel { name: name.into(), known }
        }
        (Some(name), Some(version)) => ModelError::NoVersion { name: name.into(), version },
        (Some(name), None) => ModelError::NotDeployed { name: name.into() },
    })
}

/// What a model was made by, with its parameters.
pub fn origin(model: &ModelRow) -> Result<Origin, warehouse::Error> {
    static ORIGIN: Prepared = Prepared("SELECT algorithm, params FROM @extschema@.model WHERE model_id = $1");
    let mut origin = None;
    ORIGIN.each(&[model.model_id.into()], |row| {
        let JsonB(params) = row.need(2, "model")?;
        origin = Some(Origin::parse(&row.need::<String>(1, "model")?, &params)?);
        Ok::<_, warehouse::Error>(())
    })?;
    match origin.ok_or(pg::Error::Null("model"))? {
        Origin::Blend(blend) if blend.length() != model.factors => {
            Err(warehouse::Error::Damaged { table: "model", key: model.model_id })
        }
        origin => Ok(origin),
    }
}

/// Finds a version by one text: `name`, for the deployed version, or `name@version`.
pub fn by_label(label: &str) -> Result<ModelRow, ModelError> {
    let version = |text: &str| text.parse::<i64>().ok();
    match (find(Some(label), None), label.rsplit_once('@')) {
        (Err(ModelError::NoModel { .. }), Some((name, number))) if version(number).is_some() => {
            find(Some(name), version(number))
        }
        (found, _) => found,
    }
}

/// The names that have a deployed version, in the order in which the names were first trained.
static DEPLOYED_NAMES: Prepared = Prepared(
    "SELECT name FROM @extschema@.model WHERE is_deployed
     ORDER BY (SELECT min(v.model_id) FROM @extschema@.model_version v WHERE v.name = model.name), model_id",
);

/// The name of the default model, if no setting names one.
pub fn default_name() -> Result<Option<String>, pg::Error> {
    DEPLOYED_NAMES.one::<String>(&[])
}

/// The names of all models that have a deployed version, in the order in which the names were first trained.
pub fn deployed_names() -> Result<Vec<String>, ModelError> {
    catalog::require("model", &[Privilege::Select])?;
    catalog::require("model_version", &[Privilege::Select])?;
    Ok(DEPLOYED_NAMES.all(&[], |row| row.need(1, "model"))?)
}

/// The names of all models.
fn names() -> Result<Vec<String>, pg::Error> {
    let query = "SELECT DISTINCT name FROM @extschema@.model ORDER BY name";
    query::select(Snapshot::Statement, query, &[], |row| {
        row.get::<String>(1)?.ok_or(pg::Error::Null("model"))
    })
}
