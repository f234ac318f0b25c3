//! Opens files on disk, and sees what they are and where they lie.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::parse::content::Content;

/// Opens a file that must be a plain one. Another may have taken its place since the folder was listed: opening a pipe would
/// wait, uninterruptibly, for somebody to write into it.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file")),
    }
}

/// What an open file is, by its first bytes. Where it is read next does not change.
pub fn begins_with(file: &File) -> io::Result<Content> {
    let (mut head, mut filled) = ([0; Content::HEAD], 0);
    while filled < head.len() {
        match file.read_at(&mut head[filled..], filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Content::of(&head[..filled]))
}

/// [`Error::Outside`] where an open file or folder does not lie below a folder, whose path is without links. What is looked at is
/// the path of what is open, as the system knows it: no link that is changed in between leads elsewhere.
pub fn check_below(file: &File, path: &Path, below: Option<&Path>) -> Result<(), Error> {
    let Some(below) = below else { return Ok(()) };
    let real = fs::read_link(by_number(file)).map_err(|source| Error::Io { path: path.into(), source })?;
    if real.starts_with(below) {
        Ok(())
    } else {
        Err(Error::Outside { path: path.into(), below: below.into() })
    }
}

/// The path that the system gives to an open file.
pub fn by_number(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}
