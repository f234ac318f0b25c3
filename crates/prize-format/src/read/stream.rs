//! Files on disk as streams of text: plain or gzipped, and archives of them. Their bytes tell which, not their names.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::gzip::{Counted, Members};
use crate::error::Error;
use crate::find::plain_file::{begins_with, check_below, open_plain};
use crate::parse::content::Content;

/// A file on disk, read as the text or archive it holds; what is gzipped is unpacked on the way, whatever its name.
pub struct Stream {
    pub(super) path: PathBuf,
    below: Option<Arc<Path>>,
    bytes: Bytes,
    /// How many bytes of what it holds have been read.
    pub(super) position: u64,
}

enum Bytes {
    Plain(Counted),
    Gzip(Box<Members>),
}

impl Stream {
    /// Opens a file, which must lie below a folder if one is given. Gives it, and when it was last changed, in microseconds
    /// since 1970, where the system knows.
    pub fn open(path: &Path, below: Option<Arc<Path>>) -> Result<(Stream, Option<i64>), Error> {
        let failed = |source| Error::Io { path: path.into(), source };
        let file = open_plain(path).map_err(failed)?;
        check_below(&file, path, below.as_deref())?;
        let modified = file.metadata().map_err(failed)?.modified().ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = since.and_then(|since| i64::try_from(since.as_micros()).ok());
        let file = Counted { file, read: 0 };
        let bytes = match begins_with(&file.file).map_err(failed)? {
            Content::Gzip => Bytes::Gzip(Box::new(Members::new(file))),
            _ => Bytes::Plain(file),
        };
        Ok((Stream { path: path.into(), below, bytes, position: 0 }, modified))
    }

    /// Whether the file on disk is read as it is.
    pub fn is_plain(&self) -> bool {
        matches!(self.bytes, Bytes::Plain(_))
    }

    /// How many bytes were read from the disk.
    pub fn read_from_disk(&self) -> u64 {
        match &self.bytes {
            Bytes::Plain(file) => file.read,
            Bytes::Gzip(members) => members.read_from_disk(),
        }
    }

    /// Goes to a place in what the file holds. In a packed file, forward is reading, and `check` is asked now and then
    /// whether to go on; backward is reading from the start.
    pub fn seek(&mut self, position: u64, check: &dyn Fn() -> Result<(), Error>) -> Result<(), Error> {
        let failed = |path: &Path, source| Error::Io { path: path.into(), source };
        match &mut self.bytes {
            Bytes::Plain(file) => {
                file.file.seek(SeekFrom::Start(position)).map_err(|e| failed(&self.path, e))?;
                self.position = position;
            }
            Bytes::Gzip(_) => {
                if position < self.position {
                    *self = Stream::open(&self.path, self.below.clone())?.0;
                }
                let path = self.path.clone();
                while self.position < position {
                    check()?;
                    let wanted = (position - self.position).min(1 << 20);
                    let skipped = io::copy(&mut self.take(wanted), &mut io::sink());
                    if skipped.map_err(|e| failed(&path, e))? < wanted {
                        return Err(Error::Changed { path });
                    }
                }
            }
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = match &mut self.bytes {
            Bytes::Plain(file) => file.read(out)?,
            Bytes::Gzip(members) => members.read(out)?,
        };
        self.position += n as u64;
        Ok(n)
    }
}
