//! From a Rust error to a PostgreSQL error: the one place where it is made.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;

use super::{columns, guc};

/// An error that a user may see: its text is the message.
pub trait Report: std::error::Error {
    /// The SQLSTATE.
    fn code(&self) -> PgSqlErrorCode;

    /// More about where and how it happened.
    fn detail(&self) -> Option<String> {
        None
    }

    /// What to do about it.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Makes the error that the SQL function then raises.
#[track_caller]
pub fn report(error: impl Report) -> ErrorReport {
    let mut report = ErrorReport::new(error.code(), error.to_string(), "netflix_rec");
    if let Some(detail) = error.detail() {
        report = report.set_detail(detail);
    }
    if let Some(hint) = error.hint() {
        report = report.set_hint(hint);
    }
    report
}

/// What can go wrong between any capability and the server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What commits on the way is called where it could be rolled back.
    #[error("{} cannot run inside {}", function.to_string_lossy(), if *is_called_by_client { "a transaction block" } else { "a function" })]
    TransactionBlock {
        /// As it is called.
        function: &'static std::ffi::CStr,
        /// Whether it is the client's own statement that calls it.
        is_called_by_client: bool,
    },
    /// The role lacks a privilege.
    #[error("permission denied for table {table}")]
    Permission { table: &'static str, privilege: &'static str },
    /// Row-level security hides rows from the role.
    #[error("row-level security on table {table} applies to this role")]
    RowSecurity { table: &'static str },
    /// A table is not as the extension made it.
    #[error("column {column} of table {table} is not as the extension made it")]
    Altered { table: &'static str, column: String, undo: String },
    /// A view, a partitioned table or the like stands in a table's place.
    #[error("{table} is not an ordinary table")]
    NotATable { table: &'static str },
    /// A table of another access method, whose pages cannot be read directly.
    #[error("the access method of table {table} is not heap")]
    NoHeap { table: &'static str },
    /// Another table inherits from one of the extension's.
    #[error("table {child} inherits from {table}")]
    Child { table: &'static str, child: String },
    /// One of the extension's tables was made a partition.
    #[error("table {table} is a partition of {parent}")]
    Partition { table: &'static str, parent: String },
    /// The extension's tables are not there.
    #[error("the extension's table {table} does not exist")]
    NoTable { table: &'static str },
    /// A load was begun and not completed.
    #[error("{what} has to wait: a load{} is not finished", of(path))]
    UnfinishedLoad { what: &'static str, path: Option<String> },
    /// Constraints are put away.
    #[error("{what} has to wait: a restore is not finished")]
    UnfinishedRestore { what: &'static str },
    /// More memory is needed than is allowed.
    #[error("{what} needs about {} MB of memory, more than netflix_rec.max_memory allows", needed.div_ceil(1 << 20))]
    MemoryLimit { what: &'static str, needed: usize, limit: usize },
    /// Threads could not be started.
    #[error("could not start worker threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// A thread panicked.
    #[error("a worker thread failed: {0}")]
    Panicked(String),
    /// A background worker ended and said nothing.
    #[error("a background worker ended unexpectedly")]
    WorkerLost,
    /// A background worker has another version of the library than this session.
    #[error("the extension's library was replaced while this session ran")]
    LibraryReplaced,
    /// No model of this name.
    #[error("model \"{name}\" does not exist")]
    NoModel { name: String, known: Vec<String> },
    /// A name that no model can have.
    #[error("the model's name must be 1 to {most} bytes long, not {bytes}")]
    Name { bytes: usize, most: usize },
    /// No such version of the name.
    #[error("model \"{name}\" has no version {version}")]
    NoVersion { name: String, version: i64 },
    /// There are no models at all.
    #[error("there is no trained model yet")]
    NoModels,
    /// No version of the name is deployed.
    #[error("model \"{name}\" has no deployed version")]
    NotDeployed { name: String },
    /// No version of any name is deployed.
    #[error("no model is deployed")]
    NoneDeployed { known: Vec<String> },
    /// Another transaction changed which versions there are, or which is deployed, and this one cannot see it.
    #[error("could not serialize access: the versions of model \"{name}\" were changed meanwhile")]
    Serialization { name: String },
    /// The system would not give more memory.
    #[error("out of memory")]
    OutOfMemory,
    /// A query of the extension's own failed.
    #[error("{0}")]
    Spi(#[from] pgrx::spi::Error),
    /// A NULL where none can be.
    #[error("unexpected NULL in {0}")]
    Null(&'static str),
    /// An argument that must be given is NULL.
    #[error("{0} must not be NULL")]
    NullArgument(&'static str),
    /// Factors of the wrong length.
    #[error("row {key} of table {table} does not fit its model")]
    Damaged { table: &'static str, key: i32 },
    /// From the factorisation.
    #[error(transparent)]
    Factor(#[from] factor::Error),
}

fn of(path: &Option<String>) -> String {
    path.as_ref().map_or(String::new(), |path| format!(" of \"{path}\""))
}

impl Report for Error {
    fn code(&self) -> PgSqlErrorCode {
        match self {
            Error::Permission { .. } | Error::RowSecurity { .. } => {
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE
            }
            Error::Altered { .. }
            | Error::NotATable { .. }
            | Error::NoHeap { .. }
            | Error::Child { .. }
            | Error::Partition { .. }
            | Error::UnfinishedLoad { .. }
            | Error::UnfinishedRestore { .. } => PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Error::TransactionBlock { .. } => PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            Error::NoTable { .. } => PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            Error::MemoryLimit { .. } => PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            Error::Threads(_) => PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
            Error::NoModel { .. } | Error::NoVersion { .. } | Error::NoModels => {
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT
            }
            Error::NotDeployed { .. } | Error::NoneDeployed { .. } | Error::LibraryReplaced => {
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            Error::Serialization { .. } => PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
            Error::Name { .. } => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            Error::NullArgument(_) => PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            Error::Factor(error) => match error {
                factor::Error::NoRatings => PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
                factor::Error::Parameter { .. } | factor::Error::Params { .. } => {
                    PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE
                }
                factor::Error::Algorithm { .. } => PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                factor::Error::Singular { .. }
                | factor::Error::Undetermined { .. }
                | factor::Error::Diverged { .. }
                | factor::Error::NoConvergence => PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                factor::Error::OutOfMemory { .. } => PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
                factor::Error::Cancelled => PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
                factor::Error::NoFoldIn { .. } => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                factor::Error::OutOfBounds { .. } => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            },
            Error::Damaged { .. } => PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            Error::OutOfMemory => PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
            Error::WorkerLost => PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE,
            Error::Panicked(_) | Error::Spi(_) | Error::Null(_) => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Error::MemoryLimit { limit, .. } => Some(format!("The limit is {} MB.", limit >> 20)),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Permission { table, privilege } => {
                format!("Have its owner GRANT {privilege} ON {table} to the role.")
            }
            Error::RowSecurity { .. } => "Use a role that row-level security does not apply to.".into(),
            Error::Altered { undo, .. } => undo.clone(),
            Error::NotATable { table } => {
                format!("Give the table that CREATE EXTENSION made its name {table} back.")
            }
            Error::NoHeap { table } if cfg!(feature = "pg14") => {
                format!(
                    "Make {table} a heap table again: restore it where default_table_access_method is heap."
                )
            }
            Error::NoHeap { table } => format!("{} SET ACCESS METHOD heap;", columns::alter(table)),
            Error::Child { table, child } => {
                let parent = columns::alter(table).replacen("ALTER TABLE ", "", 1);
                format!("ALTER TABLE {child} NO INHERIT {parent};")
            }
            Error::Partition { table, parent } => {
                let table = columns::alter(table).replacen("ALTER TABLE ", "", 1);
                format!("ALTER TABLE {parent} DETACH PARTITION {table};")
            }
            Error::UnfinishedLoad { path, .. } => format!(
                "Finish it: SELECT * FROM netflix_load('{}'); or give it up: SELECT * FROM netflix_load_abandon();",
                path.as_deref().unwrap_or_default().replace('\'', "''")
            ),
            Error::UnfinishedRestore { .. } => "Finish it: SELECT netflix_restore_end();".into(),
            Error::MemoryLimit { what: "training", .. } => {
                format!("{}, or ask for fewer factors or samples.", guc::raise_memory())
            }
            Error::MemoryLimit { .. } => format!("{}.", guc::raise_memory()),
            Error::Threads(_) => {
                "Lower netflix_rec.threads, or let the server have more memory or processes.".into()
            }
            Error::NoModel { known, .. } => format!("There is: {}.", known.join(", ")),
            Error::NoVersion { .. } => "The view models lists the versions there are.".into(),
            Error::NoneDeployed { known } => {
                format!("SELECT deploy_model('name') deploys a model. There is: {}.", known.join(", "))
            }
            Error::Serialization { .. } => {
                "Do it again in a new transaction; in a READ COMMITTED one it would have waited instead."
                    .into()
            }
            Error::TransactionBlock { is_called_by_client: true, .. } => {
                "It commits as it goes: send it alone, in autocommit. psycopg: connection.autocommit = True; SQLAlchemy: \
                 execution_options(isolation_level=\"AUTOCOMMIT\"); JDBC: connection.setAutoCommit(true); psql: one statement \
                 for each -c."
                    .into()
            }
            Error::TransactionBlock { .. } => {
                "It commits as it goes: call it by a statement of its own, and not in a function, a procedure or a DO block."
                    .into()
            }
            Error::WorkerLost => "The server's log may tell why. Run the same call again to go on.".into(),
            Error::LibraryReplaced => {
                "Connect anew: this session goes on with the old one, and its workers would have the new one."
                    .into()
            }
            Error::Damaged { .. } => "Train the model again.".into(),
            Error::NoModels => "Train one: SELECT * FROM train_als();".into(),
            Error::NotDeployed { name } => {
                format!("Deploy a version: SELECT * FROM deploy_model('{}');", name.replace('\'', "''"))
            }
            Error::Factor(factor::Error::NoRatings) => {
                "Load some first: SELECT * FROM netflix_load('/path/to/the/files');".into()
            }
            Error::Factor(factor::Error::NoFoldIn { .. }) => {
                "Train it again: train_bpmf keeps the prior since then.".into()
            }
            Error::Factor(factor::Error::Undetermined { .. }) => {
                "Train with regularization and bias_regularization above 0.".into()
            }
            Error::Factor(factor::Error::Singular { .. } | factor::Error::NoConvergence) => {
                "Raise the regularization, or ask for fewer factors.".into()
            }
            Error::Factor(factor::Error::Algorithm { .. }) => {
                format!("There is: {}.", factor::Algorithm::NAMES.join(", "))
            }
            Error::Factor(factor::Error::Diverged { .. }) => "Lower learning_rate.".into(),
            Error::Factor(factor::Error::OutOfMemory { .. }) => {
                "Ask for fewer factors, or free memory on the server.".into()
            }
            _ => return None,
        })
    }
}
