//! Which files of the server a role may have loaded.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

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

/// Refuses a folder that the current role may not have loaded, before anything is looked for there: the answer does not tell
/// whether it is there. Files are checked again as they are opened.
pub fn check(path: &Path) -> Result<(), LoadError> {
    let Some(below) = below()? else { return Ok(()) };
    let is_written_so = |folder: &Path| {
        path.starts_with(folder) && !path.components().any(|part| part == Component::ParentDir)
    };
    let setting = guc::data_directory();
    let setting = setting.as_ref().map(|folder| Path::new(OsStr::from_bytes(folder.to_bytes())));
    let is_below = setting.is_some_and(is_written_so)
        || is_written_so(&below)
        || fs::canonicalize(path).is_ok_and(|path| path.starts_with(&below));
    if is_below { Ok(()) } else { Err(LoadError::MayNotReadFiles) }
}
