//! Which files of the server a role may have loaded.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use prize_format::unreachable;

use super::error::LoadError;
use crate::pg::{catalog, guc};

/// The folder that files must lie below, wherever links lead, to be read for the current role; `None` for one that may read every
/// file of the server.
pub fn below() -> Result<Option<PathBuf>, LoadError> {
    if catalog::may_read_server_files() {
        return Ok(None);
    }
    let folder = guc::data_directory().ok_or(LoadError::MayNotReadFiles)?;
    let folder = Path::new(OsStr::from_bytes(folder.to_bytes()));
    // The processes of a server all have the same root.
    Ok(Some(fs::canonicalize(folder).map_err(|_| LoadError::MayNotReadFiles)?))
}

/// Refuses a path that does not lie below a folder where there is one, before anything is looked for there: the answer does not
/// tell whether it is there. (As it is opened, it is looked at again: it may be a link.)
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

/// The path of a folder without links and detours, by which the ledger knows it. What lies elsewhere than it may is refused.
pub fn locate(path: &Path, below: Option<&Path>) -> Result<PathBuf, LoadError> {
    let real = fs::canonicalize(path).map_err(|source| unreachable(path, source, below))?;
    match below {
        Some(below) if !real.starts_with(below) => {
            Err(prize_format::Error::Outside { path: path.into(), below: below.into() }.into())
        }
        _ => Ok(real),
    }
}
