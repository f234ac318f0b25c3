//! Why a data set could not be loaded.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use pgrx::PgSqlErrorCode::{self, *};
use prize_format::{NameList, Obstacle, Reason, Reject};

use super::phases::PHASES;
use crate::pg::error::{hinted, wrap_errors};
use crate::pg::user_query::Refusal;
use crate::pg::{self, Diagnostics, Report, guc, machine, progress};
use crate::warehouse;

const CHANGED: &str = "Put the file back as it was and call again to resume, or give up the load and start again: \
                       SELECT * FROM netflix_load_abandon();";

const ABANDON: &str = "It was changed while the load was interrupted. Correct it and call again to resume, or give up the \
                       load and start again: SELECT * FROM netflix_load_abandon();";

const MAY_NOT_READ: &str = "A role without the privileges of pg_read_server_files may load files below the folder that \
                            netflix_rec.data_directory names: let an administrator set it, or put the files there.";

const GONE: &str = "Put it back and call again; or, if the folder was moved, call with the path where all of its files are \
                    now, unchanged; or give up the load: SELECT * FROM netflix_load_abandon();";

const OTHER_SCALE: &str = "Nothing was loaded. If the ratings are on another scale, half stars or 0 to 10 for example, load the \
                           file into a table of your own, and convert them: SELECT * FROM ratings_load('SELECT customer_id, \
                           movie_id, ceil(rating) AS rating, rated_on FROM ...'). Otherwise correct the file, or raise max_rejects; \
                           NULL allows any number.";

const QUERY: &str = "Write one with these columns: SELECT customer_id, movie_id, rating, rated_on";

/// A foreign key of a user's table to one of the extension's tables.
#[derive(Debug)]
pub struct ForeignKey {
    pub name: String,
    /// The referencing table, and the referenced one.
    pub from: String,
    pub to: String,
}

/// What can go wrong.
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
    /// Its process and phase, if they are known.
    #[error("another load into this warehouse is running")]
    Running(Option<(i32, &'static str)>),
    #[error("a load of \"{path}\" was interrupted and is not finished")]
    Unfinished { path: String },
    #[error("\"{file}\" does not exist any more, but the interrupted load still has to read it")]
    FileGone { file: String },
    #[error("more than {max} rows could not be used")]
    TooManyRejects { max: u64, first: Reject },
    #[error("{what} {id} is missing in {table}: it was deleted after the load had added it")]
    Gone { what: &'static str, table: &'static str, id: u32 },
    #[error("fact_ratings has a duplicate rating: {0}")]
    Repeated(String),
    #[error("{what} on table {table} would run with the rights of the tables' owner")]
    UserCode { what: String, table: String },
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
    LedgerChanged,
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
    #[error("column {0} is of type timestamp with time zone: its day depends on the time zone")]
    TimeZone(String),
    #[error("ratings are not on the scale of 1 to 5 whole stars: they go from {lowest} to {highest}")]
    Scale { off: u64, rows: u64, lowest: f64, highest: f64, convert: String },
    #[error("there are too many {0} for a key of type int")]
    TooMany(&'static str),
    #[error(transparent)]
    Files(#[from] prize_format::Error),
    #[error(transparent)]
    Warehouse(#[from] warehouse::Error),
}

wrap_errors!(LoadError::Warehouse, pg::Error, pgrx::spi::Error);

impl LoadError {
    /// Another session holds the lock that a load needs.
    pub fn running() -> LoadError {
        let is_load = |entry: &progress::ProgressEntry| PHASES.iter().any(|phase| phase.id == entry.phase.id);
        let load = progress::entries().into_iter().find(is_load);
        LoadError::Running(load.map(|entry| (entry.pid, entry.phase.name)))
    }
}

impl Report for LoadError {
    fn diagnostics(&self) -> Diagnostics {
        let not_in_state = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        match self {
            LoadError::MayNotReadFiles => hinted(ERRCODE_INSUFFICIENT_PRIVILEGE, MAY_NOT_READ),
            LoadError::RelativePath(path) => hinted(ERRCODE_INVALID_NAME, relative(path)),
            LoadError::NegativeRejects(_) | LoadError::Workers(_) => ERRCODE_INVALID_PARAMETER_VALUE.into(),
            LoadError::Encoding => hinted(
                ERRCODE_FEATURE_NOT_SUPPORTED,
                "Create the database with ENCODING 'UTF8' TEMPLATE template0.",
            ),
            LoadError::InTransaction => {
                hinted(ERRCODE_ACTIVE_SQL_TRANSACTION, "It commits as it goes: call it by itself.")
            }
            LoadError::Running(load) => {
                let hint = "Wait for it to end; loading the same files twice adds nothing.";
                let diagnostics = hinted(ERRCODE_LOCK_NOT_AVAILABLE, hint);
                match load {
                    Some((pid, phase)) => diagnostics.with_detail(format!("Process {pid} runs it: {phase}.")),
                    None => diagnostics,
                }
            }
            LoadError::Unfinished { path } => hinted(
                not_in_state,
                format!(
                    "Finish it first: SELECT * FROM netflix_load('{}'); or, if that folder was moved, with the path where all of \
                     its files are now, unchanged; or give it up: SELECT * FROM netflix_load_abandon();",
                    path.replace('\'', "''")
                ),
            ),
            LoadError::FileGone { .. } => hinted(ERRCODE_UNDEFINED_FILE, GONE),
            LoadError::TooManyRejects { first: Reject { line, text, reason, .. }, .. } => {
                let hint = "Nothing was loaded. Correct the query, or raise max_rejects; NULL allows any number.";
                hinted(ERRCODE_DATA_EXCEPTION, hint)
                    .with_detail(format!("The first is row {line}: {reason}: \"{text}\""))
            }
            LoadError::Gone { .. } => hinted(ERRCODE_FOREIGN_KEY_VIOLATION, ABANDON),
            LoadError::Repeated(_) => hinted(ERRCODE_UNIQUE_VIOLATION, ABANDON),
            LoadError::UserCode { .. } => {
                hinted(ERRCODE_INSUFFICIENT_PRIVILEGE, "Have the tables' owner call.")
            }
            LoadError::NothingUnfinished => hinted(not_in_state, "The table load_run lists the loads."),
            LoadError::Id { .. } | LoadError::Rating(_) => ERRCODE_INVALID_PARAMETER_VALUE.into(),
            LoadError::Day => ERRCODE_DATETIME_FIELD_OVERFLOW.into(),
            LoadError::NoMovie(id) => hinted(
                ERRCODE_FOREIGN_KEY_VIOLATION,
                format!(
                    "ratings_load adds it with its first rating: SELECT * FROM ratings_load('SELECT 7 AS customer_id, \
                     {id} AS movie_id, 5 AS rating, current_date AS rated_on');"
                ),
            ),
            LoadError::LedgerChanged => hinted(not_in_state, "Call again."),
            LoadError::OldSnapshot(_) => hinted(
                ERRCODE_INVALID_TRANSACTION_STATE,
                "It has to see what others have loaded: use READ COMMITTED, the default.",
            ),
            LoadError::Referenced(ForeignKey { name, from, .. }) => hinted(
                ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "Drop it, and add it again when ratings are loaded: ALTER TABLE {from} DROP CONSTRAINT {name};"
                ),
            ),
            LoadError::Refused(_) => hinted(ERRCODE_SYNTAX_ERROR, QUERY),
            LoadError::NoColumn { found, .. } => hinted(
                ERRCODE_UNDEFINED_COLUMN,
                format!("{QUERY}. A column of another name gets this one by AS: SELECT stars AS rating."),
            )
            .with_detail(format!("It returns: {}.", found.join(", "))),
            LoadError::ColumnTwice(_) => hinted(ERRCODE_AMBIGUOUS_COLUMN, QUERY),
            LoadError::ColumnType { name, .. } => {
                let to = match name.as_str() {
                    "rated_on" => "date",
                    "is_probe" => "boolean",
                    _ => "integer",
                };
                hinted(
                    ERRCODE_DATATYPE_MISMATCH,
                    format!("Cast it in the query: SELECT x::{to} AS {name}."),
                )
            }
            LoadError::TimeZone(name) => hinted(
                ERRCODE_DATATYPE_MISMATCH,
                format!("Say in the query whose day is meant: SELECT (x AT TIME ZONE 'UTC')::date AS {name}."),
            ),
            LoadError::Scale { convert, off, rows, .. } => hinted(
                ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "Nothing was loaded. Convert them in the query: SELECT customer_id, movie_id, {convert} AS rating, rated_on FROM ..."
                ),
            )
            .with_detail(format!("Of the first {rows} rows with a rating, {off} are not 1, 2, 3, 4 or 5.")),
            LoadError::TooMany(_) => ERRCODE_PROGRAM_LIMIT_EXCEEDED.into(),
            LoadError::Files(error) => error.diagnostics(),
            LoadError::Warehouse(error) => error.diagnostics(),
        }
    }
}

impl Report for prize_format::Error {
    fn diagnostics(&self) -> Diagnostics {
        use prize_format::Error;
        match self {
            Error::Io { source, .. } => {
                let sqlstate = sqlstate_of(source.kind());
                match source.kind() {
                    ErrorKind::PermissionDenied | ErrorKind::NotFound => hinted(sqlstate, where_it_looks()),
                    _ => sqlstate.into(),
                }
            }
            Error::Unreachable { path, source, obstacle } => {
                let hint = match obstacle {
                    Obstacle::NotAFolder(_) => format!(
                        "Give the folder that it lies in: SELECT * FROM netflix_load('{}');",
                        sql(path.parent().unwrap_or(path))
                    ),
                    _ => match obstacle.remedy() {
                        Some(remedy) => format!("{} To let every user pass: {remedy}", where_it_looks()),
                        None => where_it_looks(),
                    },
                };
                hinted(sqlstate_of(source.kind()), hint).with_detail(obstacle.to_string())
            }
            Error::Outside { .. } => hinted(ERRCODE_INSUFFICIENT_PRIVILEGE, MAY_NOT_READ),
            Error::NoRatings { folder, found, packed } => {
                let hint = match packed {
                    Some((path, content)) => format!(
                        "{} (If that is done, give the folder that it was unpacked to.)",
                        content.remedy(path)
                    ),
                    None => format!(
                        "{} should hold training_set/mv_*.txt, training_set.tar or combined_data_*.txt.",
                        if folder.is_dir() { "It" } else { "Its folder" }
                    ),
                };
                hinted(ERRCODE_UNDEFINED_FILE, hint).with_detail(match found.is_empty() {
                    true => "It holds no files.".into(),
                    false => format!("It holds {found}."),
                })
            }
            Error::SeveralFolders { found, .. } => {
                let name = |first: &PathBuf| {
                    format!("Name the one to load: SELECT * FROM netflix_load('{}');", sql(first))
                };
                let listed = found.iter().map(PathBuf::as_path).collect::<NameList>();
                Diagnostics { hint: found.first().map(name), ..ERRCODE_UNDEFINED_FILE.into() }
                    .with_detail(format!("They are {listed}."))
            }
            Error::WrongContent { .. } | Error::NotAFile { .. } => {
                Diagnostics { hint: self.remedy(), ..ERRCODE_BAD_COPY_FILE_FORMAT.into() }
            }
            Error::TooManyRejects { path, reject, .. } => {
                let Reject { line, reason, text, .. } = reject;
                let hint = match reason {
                    Reason::Rating => OTHER_SCALE,
                    _ => {
                        "Nothing was loaded. Correct the file, or raise max_rejects; NULL allows any number."
                    }
                };
                hinted(ERRCODE_BAD_COPY_FILE_FORMAT, hint).with_detail(format!(
                    "The first is {}, line {line}: {reason}: \"{text}\"",
                    path.display()
                ))
            }
            Error::Changed { .. } => hinted(ERRCODE_OBJECT_IN_USE, CHANGED),
            Error::OutOfMemory => ERRCODE_OUT_OF_MEMORY.into(),
            Error::MemoryLimit { .. } => {
                hinted(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, format!("{}.", guc::raise_memory_hint()))
            }
            Error::DamagedUnit => ERRCODE_DATA_CORRUPTED.into(),
            Error::Stopped => ERRCODE_QUERY_CANCELED.into(),
        }
    }
}

fn sqlstate_of(kind: ErrorKind) -> PgSqlErrorCode {
    match kind {
        ErrorKind::NotFound => ERRCODE_UNDEFINED_FILE,
        ErrorKind::NotADirectory => ERRCODE_WRONG_OBJECT_TYPE,
        ErrorKind::PermissionDenied => ERRCODE_INSUFFICIENT_PRIVILEGE,
        ErrorKind::InvalidData => ERRCODE_BAD_COPY_FILE_FORMAT,
        _ => ERRCODE_IO_ERROR,
    }
}

fn where_it_looks() -> String {
    format!(
        "The server looks for it on its own machine, or in its container, as the operating system user \"{}\".",
        machine::user()
    )
}

/// A path as the content of a SQL string.
fn sql(path: &Path) -> String {
    path.to_string_lossy().replace('\'', "''")
}

/// What to do about a path that does not begin at the root. Its form tells what the caller is used to.
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
            "No shell expands the beginning of the path, and the server runs as the operating system user \"{}\", whose home \
             folder is another: give the path from / on.",
            machine::user()
        );
    }
    "The server reads the files, on its own machine and from its own folder: give the path from / on.".into()
}
