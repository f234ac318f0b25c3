//! A file on disk as a stream of its content. A gzipped file is decompressed. Its first bytes show whether it is
//! gzipped, because its name may be wrong.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::gzip::{CountedFile, GzipMembers};
use crate::error::Error;
use crate::find::plain_file::{check_below, content_of_open, open_plain};
use crate::parse::content::Content;

/// A file on disk, read as the text or the tar archive that it holds.
pub struct Stream {
    pub(super) path: PathBuf,
    below: Option<Arc<Path>>,
    source: Source,
    /// The offset of the next byte in the content.
    pub(super) position: u64,
}

enum Source {
    Plain(CountedFile),
    Gzip(Box<GzipMembers>),
}

impl Stream {
    /// Opens a file. If `below` is given, the file must lie in that folder. Returns the stream, and the file's
    /// modification time in microseconds since 1970, if the operating system knows it.
    pub fn open(path: &Path, below: Option<Arc<Path>>) -> Result<(Stream, Option<i64>), Error> {
        let failed = |source| Error::Io { path: path.into(), source };
        let file = open_plain(path).map_err(failed)?;
        check_below(&file, path, below.as_deref())?;
        let modified = file.metadata().map_err(failed)?.modified().ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = since.and_then(|since| i64::try_from(since.as_micros()).ok());
        let file = CountedFile { file, bytes_read: 0 };
        let source = match content_of_open(&file.file).map_err(failed)? {
            Content::Gzip => Source::Gzip(Box::new(GzipMembers::new(file))),
            _ => Source::Plain(file),
        };
        Ok((Stream { path: path.into(), below, source, position: 0 }, modified))
    }

    /// Whether the file is not gzipped.
    pub fn is_plain(&self) -> bool {
        matches!(self.source, Source::Plain(_))
    }

    /// The number of bytes that were read from the disk.
    pub fn bytes_from_disk(&self) -> u64 {
        match &self.source {
            Source::Plain(file) => file.bytes_read,
            Source::Gzip(members) => members.bytes_from_disk(),
        }
    }

    /// Moves to an offset in the content. In a gzipped file, moving forward means reading up to there, and moving
    /// backward means reading from the beginning. `check` is called several times a second; its error stops the
    /// reading.
    pub fn seek(&mut self, position: u64, check: &dyn Fn() -> Result<(), Error>) -> Result<(), Error> {
        let failed = |path: &Path, source| Error::Io { path: path.into(), source };
        match &mut self.source {
            Source::Plain(file) => {
                file.file.seek(SeekFrom::Start(position)).map_err(|e| failed(&self.path, e))?;
                self.position = position;
            }
            Source::Gzip(_) => {
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
        let n = match &mut self.source {
            Source::Plain(file) => file.read(out)?,
            Source::Gzip(members) => members.read(out)?,
        };
        self.position += n as u64;
        Ok(n)
    }
}
