//! Why a data set could not be loaded.

use std::io::ErrorKind;

use pgrx::PgSqlErrorCode;
use prize_format::Reject;

use crate::pg::{Error, Report};

const CHANGED: &str = "Put the file back as it was and call again to go on, or empty the warehouse and load it anew: \
                       SELECT netflix_reset();";

const QUERY: &str = "Write one with these columns: SELECT customer_id, movie_id, rating, rated_on";

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("permission denied to read files on the server")]
    MayNotReadFiles,
    #[error("path must be absolute: \"{0}\"")]
    RelativePath(String),
    #[error("max_rejects must not be negative: {0}")]
    NegativeRejects(i64),
    #[error("the database's encoding is not UTF8")]
    Encoding,
    #[error("workers must be from 0 to 256: {0}")]
    Workers(i32),
    #[error("netflix_load() cannot run in a transaction that has written something")]
    InTransaction,
    /// Its process and what that is at, where they are known.
    #[error("another load into this warehouse is running")]
    Running(Option<(i32, &'static str)>),
    #[error("a load of \"{path}\" was interrupted and is not finished")]
    Unfinished { path: String },
    #[error("more than {max} rows could not be used")]
    TooManyRejects { max: u64, first: Reject },
    #[error("the ratings of movie {0} have changed since they were first read")]
    ChangedMovie(u32),
    #[error("the load's ledger was changed while it ran")]
    Order,
    #[error("netflix_load cannot run in a REPEATABLE READ or SERIALIZABLE transaction")]
    OldSnapshot,
    #[error("\"{0}\" is no query")]
    NoQuery(String),
    #[error("there are too many {0} for a key of type int")]
    TooMany(&'static str),
    #[error(transparent)]
    Files(#[from] prize_format::Error),
    #[error(transparent)]
    Pg(#[from] Error),
}

impl From<pgrx::spi::Error> for LoadError {
    fn from(error: pgrx::spi::Error) -> LoadError {
        LoadError::Pg(error.into())
    }
}

impl Report for LoadError {
    fn code(&self) -> PgSqlErrorCode {
        match self {
            LoadError::MayNotReadFiles => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            LoadError::RelativePath(_) => PgSqlErrorCode::ERRCODE_INVALID_NAME,
            LoadError::NegativeRejects(_) => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            LoadError::Encoding => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            LoadError::Workers(_) => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            LoadError::InTransaction => PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            LoadError::Running(_) => PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
            LoadError::Unfinished { .. } | LoadError::Order => {
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            LoadError::ChangedMovie(_) => PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            LoadError::TooManyRejects { .. } => PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            LoadError::OldSnapshot => PgSqlErrorCode::ERRCODE_INVALID_TRANSACTION_STATE,
            LoadError::NoQuery(_) => PgSqlErrorCode::ERRCODE_SYNTAX_ERROR,
            LoadError::TooMany(_) => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            LoadError::Files(error) => match error {
                prize_format::Error::Io { source, .. } => match source.kind() {
                    ErrorKind::NotFound => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
                    ErrorKind::NotADirectory => PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                    ErrorKind::PermissionDenied => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                    ErrorKind::InvalidData => PgSqlErrorCode::ERRCODE_BAD_COPY_FILE_FORMAT,
                    _ => PgSqlErrorCode::ERRCODE_IO_ERROR,
                },
                prize_format::Error::NoRatings { .. } => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
                prize_format::Error::TooManyRejects { .. } => PgSqlErrorCode::ERRCODE_BAD_COPY_FILE_FORMAT,
                prize_format::Error::Changed { .. } => PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
                prize_format::Error::OutOfMemory => PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
                prize_format::Error::MemoryLimit { .. } => {
                    PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED
                }
                prize_format::Error::DamagedUnit => PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                prize_format::Error::Stopped => PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
            },
            LoadError::Pg(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            LoadError::Files(prize_format::Error::NoRatings { found, .. }) if found.is_empty() => {
                Some("The folder holds no files.".into())
            }
            LoadError::Files(prize_format::Error::NoRatings { found, .. }) => {
                const NAMED: usize = 8;
                let more = if found.len() > NAMED { ", …" } else { "" };
                Some(format!("The folder holds {}{more}.", found[..found.len().min(NAMED)].join(", ")))
            }
            LoadError::Files(prize_format::Error::TooManyRejects { path, reject, .. }) => {
                let Reject { line, reason, text, .. } = reject;
                Some(format!("The first is {}, line {line}: {reason}: \"{text}\"", path.display()))
            }
            LoadError::TooManyRejects { first: Reject { line, text, reason, .. }, .. } => {
                Some(format!("The first is row {line}: {reason}: \"{text}\""))
            }
            LoadError::Running(Some((pid, phase))) => Some(format!("Process {pid} is at it: {phase}.")),
            LoadError::Pg(error) => error.detail(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            LoadError::MayNotReadFiles => {
                "Only roles with privileges of pg_read_server_files may load: GRANT pg_read_server_files TO the role."
                    .into()
            }
            LoadError::RelativePath(_) => {
                "The server reads the files, from its own folder: give the path from / on.".into()
            }
            LoadError::Encoding => "Create the database with ENCODING 'UTF8' TEMPLATE template0.".into(),
            LoadError::InTransaction => "It commits as it goes: call it by itself.".into(),
            LoadError::Unfinished { path } => format!(
                "Finish it first: SELECT * FROM netflix_load('{}'); or empty the warehouse: SELECT netflix_reset();",
                path.replace('\'', "''")
            ),
            LoadError::ChangedMovie(_) => CHANGED.into(),
            LoadError::TooManyRejects { .. } => {
                "Nothing was loaded. Mend the query, or raise max_rejects; NULL allows any number.".into()
            }
            LoadError::Order => "Call again.".into(),
            LoadError::Running(_) => "Wait for it to end; loading the same files twice adds nothing.".into(),
            LoadError::OldSnapshot => {
                "It has to see what others have loaded: use READ COMMITTED, the default.".into()
            }
            LoadError::NoQuery(name) if name.is_empty() => QUERY.into(),
            LoadError::NoQuery(name) => format!("{QUERY} FROM {name}"),
            LoadError::Files(prize_format::Error::NoRatings { found, .. }) => {
                let packed = |name: &&String| [".tgz", ".zip", ".tar.gz", ".xz", ".7z"].iter().any(|end| name.ends_with(end));
                match found.iter().find(packed) {
                    Some(name) => format!("Unpack {name} first."),
                    None => "It should hold training_set/mv_*.txt, training_set.tar or combined_data_*.txt.".into(),
                }
            }
            LoadError::Files(prize_format::Error::MemoryLimit { .. }) => "Raise netflix_rec.max_memory.".into(),
            LoadError::Files(prize_format::Error::Io { source, .. })
                if source.kind() == ErrorKind::PermissionDenied =>
            {
                "The server's operating system user must be able to read the folder and every file in it.".into()
            }
            LoadError::Files(prize_format::Error::Io { source, .. })
                if source.kind() == ErrorKind::NotFound =>
            {
                "The path is looked up on the server's machine.".into()
            }
            LoadError::Files(prize_format::Error::TooManyRejects { .. }) => {
                "Nothing was loaded. Mend the file, or raise max_rejects; NULL allows any number.".into()
            }
            LoadError::Files(prize_format::Error::Changed { .. }) => {
                CHANGED.into()
            }
            LoadError::Pg(error) => return error.hint(),
            _ => return None,
        })
    }
}
