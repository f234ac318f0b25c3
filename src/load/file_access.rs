//! Which files of the server a role may load.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use prize_format::path_error;

use super::error::LoadError;
use crate::pg::{catalog, guc};

/// The folder that the current role may load files from. A link must not lead out of it. `None` if the role may read every file of the
/// server.
pub fn below() -> Result<Option<PathBuf>, LoadError> {
    if catalog::may_read_server_files() {
        return Ok(None);
    }
    let folder = guc::data_directory().ok_or(LoadError::MayNotReadFiles)?;
    let folder = Path::new(OsStr::from_bytes(folder.to_bytes()));
    // The processes of a server all have the same root.
    Ok(Some(fs::canonicalize(folder).map_err(|_| LoadError::MayNotReadFiles)?))
}

/// Refuses a path that is not below this folder, without looking for it: the answer does not reveal whether the path exists. (It is
/// checked again when it is opened, because it may be a link.)
pub fn check(path: &Path, below: Option<&Path>) -> Result<(), LoadError> {
    let Some(below) = below else { return Ok(()) };
    let is_written_so = |folder: &Path| {
        path.starts_with(folder) && !path.components().any(|part| part == Component::ParentDir)
    };
    let setting = guc::data_directory();
    let setting = setting.as_ref().map(|folder| Path::new(OsStr::from_bytes(folder.to_bytes())));
    let is_below = setting.is_some_and(is_written_so)
        || is_written_so(below)
        || fs::canonicalize(path).is_ok_and(|path| path.starts_with(below));
    if is_below { Ok(()) } else { Err(LoadError::MayNotReadFiles) }
}

/// The canonical path of a folder, by which the ledger knows it. Refused if it is not below this folder.
pub fn locate(path: &Path, below: Option<&Path>) -> Result<PathBuf, LoadError> {
    let real = fs::canonicalize(path).map_err(|source| path_error(path, source, below))?;
    match below {
        Some(below) if !real.starts_with(below) => {
            Err(prize_format::Error::Outside { path: path.into(), below: below.into() }.into())
        }
        _ => Ok(real),
    }
}
