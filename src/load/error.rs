//! Why a data set could not be loaded.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use pgrx::PgSqlErrorCode;
use prize_format::{Listed, Obstacle, Reason, Reject};

use crate::pg::user_query::Refusal;
use crate::pg::{Error, Report, guc, machine, progress};

const CHANGED: &str = "Put the file back as it was and call again to go on, or give the load up and begin anew: \
                       SELECT * FROM netflix_load_abandon();";

const ABANDON: &str = "It was changed while the load was interrupted. Put it right and call again to go on, or give the \
                       load up and begin anew: SELECT * FROM netflix_load_abandon();";

const MAY_NOT_READ: &str = "A role without the privileges of pg_read_server_files may load what lies below the folder that \
                            netflix_rec.data_directory names: have an administrator set it, or put the files there.";

const GONE: &str = "Put it back and call again; or, if the folder was moved, call with the path where all of its files are \
                    now, unchanged; or give the load up: SELECT * FROM netflix_load_abandon();";

const QUERY: &str = "Write one with these columns: SELECT customer_id, movie_id, rating, rated_on";

/// A foreign key by which a table of somebody else's refers to one of the extension's.
#[derive(Debug)]
pub struct ForeignKey {
    pub name: String,
    /// The table that has it, and the one that it refers to.
    pub from: String,
    pub to: String,
}

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
    Workers(i64),
    #[error("netflix_load() cannot run in a transaction that has written something")]
    InTransaction,
    /// Its process and what that is at, where they are known.
    #[error("another load into this warehouse is running")]
    Running(Option<(i32, &'static str)>),
    #[error("a load of \"{path}\" was interrupted and is not finished")]
    Unfinished { path: String },
    #[error("\"{file}\" is gone, which the load that was interrupted has yet to read")]
    FileGone { file: String },
    #[error("more than {max} rows could not be used")]
    TooManyRejects { max: u64, first: Reject },
    #[error("{what} {id} is missing in {table}, where the load had put it")]
    Gone { what: &'static str, table: &'static str, id: u32 },
    #[error("fact_ratings holds a rating twice: {0}")]
    Repeated(String),
    #[error("{what} on table {table} would run with the rights of the tables' owner")]
    Foreign { what: String, table: String },
    #[error("there is no unfinished load")]
    NothingUnfinished,
    #[error("{name} must be from 1 to 2147483647: {id}")]
    Id { name: &'static str, id: i64 },
    #[error("rating must be 1, 2, 3, 4 or 5: {0}")]
    Rating(f64),
    #[error("rated_on must be a day from 1900-01-01 to 2099-12-31")]
    Day,
    #[error("movie {0} does not exist")]
    NoMovie(i64),
    #[error("the load's ledger was changed while it ran")]
    Order,
    #[error("{0} cannot run in a REPEATABLE READ or SERIALIZABLE transaction")]
    OldSnapshot(&'static str),
    /// The warehouse cannot be emptied.
    #[error("cannot empty the warehouse: {} refers to {} by a foreign key", .0.from, .0.to)]
    Referenced(ForeignKey),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the query returns no column {name}")]
    NoColumn { name: &'static str, found: Vec<String> },
    #[error("the query returns two columns {0}")]
    ColumnTwice(&'static str),
    #[error("column {name} is of type {type_name}, not {wanted}")]
    ColumnType { name: String, type_name: String, wanted: &'static str },
    #[error(
        "column {0} is of type timestamp with time zone: which day it is differs from time zone to time zone"
    )]
    TimeZone(String),
    #[error("ratings are not on the scale of 1 to 5 whole stars: they go from {lowest} to {highest}")]
    Scale { off: u64, rows: u64, lowest: f64, highest: f64, convert: String },
    #[error("there are too many {0} for a key of type int")]
    TooMany(&'static str),
    #[error(transparent)]
    Files(#[from] prize_format::Error),
    #[error(transparent)]
    Pg(#[from] Error),
}

impl LoadError {
    /// Another session holds the lock on loads.
    pub fn running() -> LoadError {
        let load = progress::entries().into_iter().find(|entry| entry.is_load);
        LoadError::Running(load.map(|entry| (entry.pid, entry.phase)))
    }
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
            LoadError::FileGone { .. } => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
            LoadError::Unfinished { .. } | LoadError::Order => {
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            LoadError::Gone { .. } => PgSqlErrorCode::ERRCODE_FOREIGN_KEY_VIOLATION,
            LoadError::Repeated(_) => PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
            LoadError::Foreign { .. } => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            LoadError::NothingUnfinished => PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            LoadError::Id { .. } | LoadError::Rating(_) => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            LoadError::Day => PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
            LoadError::NoMovie(_) => PgSqlErrorCode::ERRCODE_FOREIGN_KEY_VIOLATION,
            LoadError::TooManyRejects { .. } => PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            LoadError::Referenced(_) => PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
            LoadError::OldSnapshot(_) => PgSqlErrorCode::ERRCODE_INVALID_TRANSACTION_STATE,
            LoadError::Refused(_) => PgSqlErrorCode::ERRCODE_SYNTAX_ERROR,
            LoadError::NoColumn { .. } => PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            LoadError::ColumnTwice(_) => PgSqlErrorCode::ERRCODE_AMBIGUOUS_COLUMN,
            LoadError::ColumnType { .. } | LoadError::TimeZone(_) => {
                PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH
            }
            LoadError::Scale { .. } => PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            LoadError::TooMany(_) => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            LoadError::Files(error) => match error {
                prize_format::Error::Io { source, .. } | prize_format::Error::Unreachable { source, .. } => {
                    match source.kind() {
                        ErrorKind::NotFound => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
                        ErrorKind::NotADirectory => PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                        ErrorKind::PermissionDenied => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                        ErrorKind::InvalidData => PgSqlErrorCode::ERRCODE_BAD_COPY_FILE_FORMAT,
                        _ => PgSqlErrorCode::ERRCODE_IO_ERROR,
                    }
                }
                prize_format::Error::Outside { .. } => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                prize_format::Error::NoRatings { .. } | prize_format::Error::SeveralFolders { .. } => {
                    PgSqlErrorCode::ERRCODE_UNDEFINED_FILE
                }
                prize_format::Error::NotAs { .. } | prize_format::Error::NoFile { .. } => {
                    PgSqlErrorCode::ERRCODE_BAD_COPY_FILE_FORMAT
                }
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
            LoadError::Files(prize_format::Error::NoRatings { found, .. }) => Some(match found.is_empty() {
                true => "It holds no files.".into(),
                false => format!("It holds {found}."),
            }),
            LoadError::Files(prize_format::Error::SeveralFolders { found, .. }) => {
                let found = found.iter().map(PathBuf::as_path).collect::<Listed>();
                Some(format!("They are {found}."))
            }
            LoadError::Files(prize_format::Error::Unreachable { obstacle, .. }) => Some(obstacle.to_string()),
            LoadError::Files(prize_format::Error::TooManyRejects { path, reject, .. }) => {
                let Reject { line, reason, text, .. } = reject;
                Some(format!("The first is {}, line {line}: {reason}: \"{text}\"", path.display()))
            }
            LoadError::TooManyRejects { first: Reject { line, text, reason, .. }, .. } => {
                Some(format!("The first is row {line}: {reason}: \"{text}\""))
            }
            LoadError::NoColumn { found, .. } => Some(format!("It returns: {}.", found.join(", "))),
            LoadError::Scale { off, rows, .. } => {
                Some(format!("Of the first {rows} rows with a rating, {off} are not 1, 2, 3, 4 or 5."))
            }
            LoadError::Running(Some((pid, phase))) => Some(format!("Process {pid} is at it: {phase}.")),
            LoadError::Pg(error) => error.detail(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            LoadError::MayNotReadFiles => MAY_NOT_READ.into(),
            LoadError::RelativePath(path) => relative(path),
            LoadError::Encoding => "Create the database with ENCODING 'UTF8' TEMPLATE template0.".into(),
            LoadError::InTransaction => "It commits as it goes: call it by itself.".into(),
            LoadError::Unfinished { path } => format!(
                "Finish it first: SELECT * FROM netflix_load('{}'); or, if that folder was moved, with the path where all of \
                 its files are now, unchanged; or give it up: SELECT * FROM netflix_load_abandon();",
                path.replace('\'', "''")
            ),
            LoadError::FileGone { .. } => GONE.into(),
            LoadError::Gone { .. } | LoadError::Repeated(_) => ABANDON.into(),
            LoadError::TooManyRejects { .. } => {
                "Nothing was loaded. Mend the query, or raise max_rejects; NULL allows any number.".into()
            }
            LoadError::Order => "Call again.".into(),
            LoadError::Foreign { .. } => "Have the tables' owner call.".into(),
            LoadError::NothingUnfinished => "The table load_run lists the loads.".into(),
            LoadError::NoMovie(id) => format!(
                "ratings_load adds it with its first rating: SELECT * FROM ratings_load('SELECT 7 AS customer_id, \
                 {id} AS movie_id, 5 AS rating, current_date AS rated_on');"
            ),
            LoadError::Running(_) => "Wait for it to end; loading the same files twice adds nothing.".into(),
            LoadError::OldSnapshot(_) => {
                "It has to see what others have loaded: use READ COMMITTED, the default.".into()
            }
            LoadError::Referenced(ForeignKey { name, from, .. }) => format!(
                "Drop it, and add it again when ratings are loaded: ALTER TABLE {from} DROP CONSTRAINT {name};"
            ),
            LoadError::Refused(_) => QUERY.into(),
            LoadError::NoColumn { .. } => {
                format!("{QUERY}. A column of another name gets this one by AS: SELECT stars AS rating.")
            }
            LoadError::ColumnTwice(_) => QUERY.into(),
            LoadError::ColumnType { name, .. } => {
                let to = match name.as_str() {
                    "rated_on" => "date",
                    "is_probe" => "boolean",
                    _ => "integer",
                };
                format!("Cast it in the query: SELECT x::{to} AS {name}.")
            }
            LoadError::TimeZone(name) => {
                format!("Say in the query whose day is meant: SELECT (x AT TIME ZONE 'UTC')::date AS {name}.")
            }
            LoadError::Scale { convert, .. } => format!(
                "Nothing was loaded. Convert them in the query: SELECT customer_id, movie_id, {convert} AS rating, rated_on FROM ..."
            ),
            LoadError::Files(prize_format::Error::NoRatings { folder, packed, .. }) => match packed {
                Some((path, content)) => {
                    format!(
                        "{} (If that is done, give the folder that it was unpacked to.)",
                        content.remedy(path)
                    )
                }
                None => format!(
                    "{} should hold training_set/mv_*.txt, training_set.tar or combined_data_*.txt.",
                    if folder.is_dir() { "It" } else { "Its folder" }
                ),
            },
            LoadError::Files(prize_format::Error::SeveralFolders { found, .. }) => match found.first() {
                Some(first) => {
                    format!("Name the one to load: SELECT * FROM netflix_load('{}');", sql(first))
                }
                None => return None,
            },
            LoadError::Files(
                error @ (prize_format::Error::NotAs { .. } | prize_format::Error::NoFile { .. }),
            ) => return error.remedy(),
            LoadError::Files(prize_format::Error::MemoryLimit { .. }) => format!("{}.", guc::raise_memory()),
            LoadError::Files(prize_format::Error::Unreachable { path, obstacle, .. }) => match obstacle {
                Obstacle::NoFolder(_) => format!(
                    "Give the folder that it lies in: SELECT * FROM netflix_load('{}');",
                    sql(path.parent().unwrap_or(path))
                ),
                _ => {
                    let whose = format!(
                        "The server looks for it on its own machine, or in its container, as the operating system user \"{}\".",
                        machine::user()
                    );
                    match obstacle.remedy() {
                        Some(remedy) => format!("{whose} To let every user pass: {remedy}"),
                        None => whose,
                    }
                }
            },
            LoadError::Files(prize_format::Error::Io { source, .. })
                if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) =>
            {
                format!(
                    "The server looks for it on its own machine, or in its container, as the operating system user \"{}\".",
                    machine::user()
                )
            }
            LoadError::Files(prize_format::Error::TooManyRejects { reject, .. })
                if reject.reason == Reason::Rating =>
            {
                "Nothing was loaded. If the ratings are on another scale, half stars or 0 to 10 for example, load the file into a \
                 table of your own, and convert them: SELECT * FROM ratings_load('SELECT customer_id, movie_id, ceil(rating) AS \
                 rating, rated_on FROM ...'). Otherwise mend the file, or raise max_rejects; NULL allows any number."
                    .into()
            }
            LoadError::Files(prize_format::Error::TooManyRejects { .. }) => {
                "Nothing was loaded. Mend the file, or raise max_rejects; NULL allows any number.".into()
            }
            LoadError::Files(prize_format::Error::Outside { .. }) => MAY_NOT_READ.into(),
            LoadError::Files(prize_format::Error::Changed { .. }) => CHANGED.into(),
            LoadError::Pg(error) => return error.hint(),
            _ => return None,
        })
    }
}

/// A path as a string of SQL holds it.
fn sql(path: &Path) -> String {
    path.to_string_lossy().replace('\'', "''")
}

/// What to do about a path that does not begin at the root: where people come from tells what they meant.
fn relative(path: &str) -> String {
    let bytes = path.as_bytes();
    let is_of_windows = path.contains('\\') || matches!(bytes, [b'a'..=b'z' | b'A'..=b'Z', b':', ..]);
    if let Some(path) = path.strip_prefix("file:") {
        let path = format!("/{}", path.trim_start_matches("//localhost/").trim_start_matches('/'));
        return format!(
            "It is an address, not a path: SELECT * FROM netflix_load('{}');",
            sql(Path::new(&path))
        );
    }
    if path.contains("://") {
        return "The server downloads nothing: download the files to a folder on its machine, and give the path of that.".into();
    }
    if is_of_windows {
        return "It is a path of Windows, and the server runs on Linux, on its own machine or in its container: copy the \
                folder there or mount it, and give its path there, from / on. (In WSL, C:\\data is /mnt/c/data.)"
            .into();
    }
    if path.starts_with(['~', '$']) {
        return format!(
            "No shell replaces the beginning of it, and the server runs as the operating system user \"{}\", whose home \
             folder is another: give the path from / on.",
            machine::user()
        );
    }
    "The server reads the files, on its own machine and from its own folder: give the path from / on.".into()
}
