//! What the caller of a function on models may get wrong.

use pgrx::PgSqlErrorCode::*;

use crate::pg::error::{hinted, wrap_errors};
use crate::pg::{self, Diagnostics, Report};
use crate::warehouse;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// There are no models at all.
    #[error("there is no trained model yet")]
    NoModels,
    /// No model of this name.
    #[error("model \"{name}\" does not exist")]
    NoModel { name: String, known: Vec<String> },
    /// No such version of the name.
    #[error("model \"{name}\" has no version {version}")]
    NoVersion { name: String, version: i64 },
    /// No version of the name is deployed.
    #[error("model \"{name}\" has no deployed version")]
    NotDeployed { name: String },
    /// No version of any name is deployed.
    #[error("no model is deployed")]
    NoneDeployed { known: Vec<String> },
    /// A name that no model can have.
    #[error("the model's name must be 1 to {most} bytes long, not {bytes}")]
    Name { bytes: usize, most: usize },
    /// A deployed version cannot be dropped, unless that is forced.
    #[error("version {version} of model \"{name}\" is deployed")]
    IsDeployed { name: String, version: i32 },
    /// A part of a blend is dropped only if that is forced.
    #[error(
        "version {version} of model \"{name}\" is a part of version {blend_version} of model \"{blend}\""
    )]
    IsPart { name: String, version: i32, blend: String, blend_version: i32 },
    /// No other version was deployed before.
    #[error("model \"{0}\" has no earlier deployment to go back to")]
    NoEarlier(String),
    /// Another transaction changed which versions there are, or which one is deployed, and this one cannot see it.
    #[error("could not serialize access: the versions of model \"{name}\" were changed meanwhile")]
    Serialization { name: String },
    /// A `bytea` cannot hold the exported model.
    #[error("model \"{name}\" is too large to be exported: {bytes} bytes, where at most {most} can be")]
    TooLarge { name: String, bytes: usize, most: usize },
    /// Bytes that `export_model` did not make.
    #[error("this is not an exported model: {0}")]
    Archive(factor::ArchiveError),
    /// From a lower layer.
    #[error(transparent)]
    Warehouse(#[from] warehouse::Error),
}

wrap_errors!(
    ModelError::Warehouse,
    pg::Error,
    pgrx::spi::Error,
    std::collections::TryReserveError,
    factor::Error
);

impl From<factor::ArchiveError> for ModelError {
    fn from(error: factor::ArchiveError) -> ModelError {
        match error {
            factor::ArchiveError::OutOfMemory { bytes } => factor::Error::OutOfMemory { bytes }.into(),
            factor::ArchiveError::Cancelled => factor::Error::Cancelled.into(),
            error => ModelError::Archive(error),
        }
    }
}

impl Report for ModelError {
    fn diagnostics(&self) -> Diagnostics {
        let not_in_state = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        match self {
            ModelError::NoModels => hinted(ERRCODE_UNDEFINED_OBJECT, "Train one: SELECT * FROM train_als();"),
            ModelError::NoModel { known, .. } => {
                hinted(ERRCODE_UNDEFINED_OBJECT, format!("Known names: {}.", known.join(", ")))
            }
            ModelError::NoVersion { .. } => {
                hinted(ERRCODE_UNDEFINED_OBJECT, "The view models lists the versions there are.")
            }
            ModelError::NotDeployed { name } => hinted(
                not_in_state,
                format!("Deploy a version: SELECT * FROM deploy_model('{}');", name.replace('\'', "''")),
            ),
            ModelError::NoneDeployed { known } => hinted(
                not_in_state,
                format!("SELECT deploy_model('name') deploys a model. Known names: {}.", known.join(", ")),
            ),
            ModelError::Name { .. } => ERRCODE_INVALID_PARAMETER_VALUE.into(),
            ModelError::IsDeployed { .. } => {
                hinted(not_in_state, "Deploy another version first, or drop it nonetheless: force => true.")
            }
            ModelError::IsPart { .. } => hinted(
                not_in_state,
                "The blend has a copy of it, and goes on without it: drop it nonetheless with force => true.",
            ),
            ModelError::NoEarlier(_) => hinted(
                not_in_state,
                "The view models lists the versions there are; deploy_model() deploys any of them.",
            ),
            ModelError::Serialization { .. } => hinted(
                ERRCODE_T_R_SERIALIZATION_FAILURE,
                "Run it again in a new transaction. A READ COMMITTED transaction would have waited instead.",
            ),
            ModelError::TooLarge { .. } => hinted(
                ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                "Dump its tables instead, which pg_dump does without such a limit, or train the model with fewer factors or samples.",
            ),
            ModelError::Archive(error) => hinted(
                ERRCODE_INVALID_BINARY_REPRESENTATION,
                match error {
                    factor::ArchiveError::Format(_) => {
                        "Import it with an extension that is at least as new as the one that exported it."
                    }
                    _ => "Import what export_model() returned, all of it.",
                },
            ),
            ModelError::Warehouse(error) => error.diagnostics(),
        }
    }
}
