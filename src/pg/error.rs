//! Errors of this layer, and the conversion of any Rust error to a PostgreSQL error.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;

/// What PostgreSQL reports about an error in addition to its message.
#[derive(Debug)]
pub struct Diagnostics {
    pub sqlstate: PgSqlErrorCode,
    /// More about where and how the error happened.
    pub detail: Option<String>,
    /// What the user can do.
    pub hint: Option<String>,
}

impl From<PgSqlErrorCode> for Diagnostics {
    fn from(sqlstate: PgSqlErrorCode) -> Diagnostics {
        Diagnostics { sqlstate, detail: None, hint: None }
    }
}

impl Diagnostics {
    /// Adds a detail.
    pub fn with_detail(self, detail: impl Into<String>) -> Diagnostics {
        Diagnostics { detail: Some(detail.into()), ..self }
    }
}

/// Diagnostics with a SQLSTATE and a hint.
pub fn hinted(sqlstate: PgSqlErrorCode, hint: impl Into<String>) -> Diagnostics {
    Diagnostics { sqlstate, detail: None, hint: Some(hint.into()) }
}

/// An error that a user may see. Its `Display` text is the message.
pub trait Report: std::error::Error {
    /// SQLSTATE, detail and hint. A variant that wraps an error of a lower layer returns the diagnostics of that error.
    fn diagnostics(&self) -> Diagnostics;
}

/// Converts an error to the PostgreSQL error that the SQL function then raises.
#[track_caller]
pub fn report(error: impl Report) -> ErrorReport {
    let Diagnostics { sqlstate, detail, hint } = error.diagnostics();
    let mut report = ErrorReport::new(sqlstate, error.to_string(), "netflix_rec");
    if let Some(detail) = detail {
        report = report.set_detail(detail);
    }
    if let Some(hint) = hint {
        report = report.set_hint(hint);
    }
    report
}

/// Implements `From` for errors of lower layers, so that `?` converts them. They become a variant that wraps the error of the
/// next lower layer.
macro_rules! wrap_errors {
    ($error:ident::$variant:ident, $($lower:ty),+) => {
        $(impl From<$lower> for $error {
            fn from(error: $lower) -> $error {
                $error::$variant(error.into())
            }
        })+
    };
}
pub(crate) use wrap_errors;

/// An error between a capability and PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A function that commits while it runs was called in a transaction that the caller could roll back.
    #[error("{} cannot run inside {}", function.to_string_lossy(), if *is_called_by_client { "a transaction block" } else { "a function" })]
    TransactionBlock {
        /// The function's name with parentheses.
        function: &'static std::ffi::CStr,
        /// Whether the client's own statement calls it; false if a statement of a function does.
        is_called_by_client: bool,
    },
    /// The role lacks a privilege.
    #[error("permission denied for table {table}")]
    Permission { table: &'static str, privilege: &'static str },
    /// Row-level security hides rows from the role.
    #[error("row-level security on table {table} applies to this role")]
    RowSecurity { table: &'static str },
    /// A column was changed. `undo` is a hint: usually the statement that changes it back.
    #[error("column {column} of table {table} is not as the extension made it")]
    Altered { table: &'static str, column: String, undo: String },
    /// A view, a partitioned table or another kind of relation has the table's name.
    #[error("{table} is not an ordinary table")]
    NotATable { table: &'static str },
    /// The table has another access method than heap, so its pages cannot be read directly.
    #[error("the access method of table {table} is not heap")]
    NotHeap { table: &'static str, undo: String },
    /// Another table inherits from one of the extension's.
    #[error("table {child} inherits from {table}")]
    Child { table: &'static str, child: String, undo: String },
    /// One of the extension's tables was made a partition.
    #[error("table {table} is a partition of {parent}")]
    Partition { table: &'static str, parent: String, undo: String },
    /// One of the extension's tables was dropped or renamed.
    #[error("the extension's table {table} does not exist")]
    NoTable { table: &'static str },
    /// A call needs more memory than `netflix_rec.max_memory` allows. `needed` and `limit` are in bytes.
    #[error("{what} needs about {} MB of memory, more than netflix_rec.max_memory allows", needed.div_ceil(1 << 20))]
    MemoryLimit { what: &'static str, needed: usize, limit: usize },
    /// Threads could not be started.
    #[error("could not start worker threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// A thread panicked.
    #[error("a worker thread failed: {0}")]
    Panicked(String),
    /// A background worker ended without reporting an error.
    #[error("a background worker ended unexpectedly")]
    WorkerLost,
    /// A background worker has loaded another version of the library than the session.
    #[error("the extension's library was replaced while this session ran")]
    LibraryReplaced,
    /// The system refused to allocate memory.
    #[error("out of memory")]
    OutOfMemory,
    /// One of the extension's own queries failed.
    #[error("{0}")]
    Spi(#[from] pgrx::spi::Error),
    /// A NULL where PostgreSQL or the extension's tables allow none.
    #[error("unexpected NULL in {0}")]
    Null(&'static str),
    /// A required argument is NULL.
    #[error("{0} must not be NULL")]
    NullArgument(&'static str),
}

impl Report for Error {
    fn diagnostics(&self) -> Diagnostics {
        use PgSqlErrorCode::*;
        let not_in_state = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        match self {
            Error::Permission { table, privilege } => hinted(
                ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("Have its owner GRANT {privilege} ON {table} to the role."),
            ),
            Error::RowSecurity { .. } => hinted(
                ERRCODE_INSUFFICIENT_PRIVILEGE,
                "Use a role that row-level security does not apply to.",
            ),
            Error::Altered { undo, .. }
            | Error::NotHeap { undo, .. }
            | Error::Child { undo, .. }
            | Error::Partition { undo, .. } => hinted(not_in_state, undo.as_str()),
            Error::NotATable { table } => {
                hinted(not_in_state, format!("Rename the table that CREATE EXTENSION made back to {table}."))
            }
            Error::NoTable { .. } => ERRCODE_UNDEFINED_TABLE.into(),
            Error::TransactionBlock { is_called_by_client: true, .. } => hinted(
                ERRCODE_ACTIVE_SQL_TRANSACTION,
                "It commits as it goes: send it alone, in autocommit. psycopg: connection.autocommit = True; SQLAlchemy: \
                 execution_options(isolation_level=\"AUTOCOMMIT\"); JDBC: connection.setAutoCommit(true); psql: one statement \
                 for each -c.",
            ),
            Error::TransactionBlock { .. } => hinted(
                ERRCODE_ACTIVE_SQL_TRANSACTION,
                "It commits as it goes: call it by a statement of its own, and not in a function, a procedure or a DO block.",
            ),
            Error::MemoryLimit { limit, .. } => {
                let raise = super::guc::raise_memory_hint();
                hinted(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, format!("{raise}."))
                    .with_detail(format!("The limit is {} MB.", limit >> 20))
            }
            Error::Threads(_) => hinted(
                ERRCODE_INSUFFICIENT_RESOURCES,
                "Lower netflix_rec.threads, or let the server have more memory or processes.",
            ),
            Error::WorkerLost => hinted(
                ERRCODE_CONNECTION_FAILURE,
                "The server's log may tell why. Run the same call again to go on.",
            ),
            Error::LibraryReplaced => hinted(
                not_in_state,
                "Reconnect: this session still uses the old library, but its workers load the new one.",
            ),
            Error::OutOfMemory => ERRCODE_OUT_OF_MEMORY.into(),
            Error::NullArgument(_) => ERRCODE_NULL_VALUE_NOT_ALLOWED.into(),
            Error::Panicked(_) | Error::Spi(_) | Error::Null(_) => ERRCODE_INTERNAL_ERROR.into(),
        }
    }
}
