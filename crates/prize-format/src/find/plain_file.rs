//! Opens files on disk, and checks what they hold and where they lie.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::parse::content::Content;

/// Opens a plain file. Anything else is an error, because the file may have been replaced since the folder was listed:
/// opening a pipe would wait, without a way to stop it, until another process writes into it.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file")),
    }
}

/// What an open file holds, judged by its first bytes. Its read position does not change.
pub fn content_of_open(file: &File) -> io::Result<Content> {
    let (mut head, mut filled) = ([0; Content::HEAD_BYTES], 0);
    while filled < head.len() {
        match file.read_at(&mut head[filled..], filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Content::detect(&head[..filled]))
}

/// The same for a path. `None` where the file cannot be opened, or does not lie in the folder `below`.
pub fn content_of_path(path: &Path, below: Option<&Path>) -> Option<Content> {
    let file = open_plain(path).ok()?;
    check_below(&file, path, below).ok()?;
    content_of_open(&file).ok()
}

/// [`Error::Outside`] if an open file or folder does not lie in the folder `below`, whose path must be free of links.
/// The check uses the path that the operating system knows for the open file, so that a link that is changed at the
/// same time makes no difference.
pub fn check_below(file: &File, path: &Path, below: Option<&Path>) -> Result<(), Error> {
    let Some(below) = below else { return Ok(()) };
    let real = fs::read_link(path_of_open(file)).map_err(|source| Error::Io { path: path.into(), source })?;
    if real.starts_with(below) {
        Ok(())
    } else {
        Err(Error::Outside { path: path.into(), below: below.into() })
    }
}

/// A path that leads to an open file, whatever happens to the path by which it was opened.
pub fn path_of_open(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}
