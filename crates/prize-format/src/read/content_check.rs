//! Whether files are still what they were when they were surveyed.

use std::io::{self, Read};

use super::stream::Stream;
use super::text_file::TextFile;
use crate::error::Error;

/// When a file was last changed, in microseconds since 1970, where the system knows.
pub fn modified(file: &TextFile) -> Result<Option<i64>, Error> {
    Ok(Stream::open(&file.path, file.below.clone())?.1)
}

/// Looks whether files are still those that were surveyed, each file on disk read once where they come in their order.
#[derive(Default)]
pub struct ContentCheck(Option<Stream>);

impl ContentCheck {
    /// [`Error::Changed`] where the text is another. `check` is asked now and then whether to go on.
    pub fn run(&mut self, file: &TextFile, check: &dyn Fn() -> Result<(), Error>) -> Result<(), Error> {
        let failed = |source| Error::Io { path: file.path.clone(), source };
        let stream = match &mut self.0 {
            Some(open) if open.path == file.path => open,
            other => other.insert(Stream::open(&file.path, file.below.clone())?.0),
        };
        stream.seek(file.position, check)?;
        // One byte more, to see whether it ends where it did; in an archive, something follows.
        let more = u64::from(file.member.is_none());
        let mut text = Checksummed::new(stream.take(file.bytes + more));
        let mut buffer = vec![0; 256 * 1024];
        while text.read(&mut buffer).map_err(failed)? > 0 {
            check()?;
        }
        if text.bytes == file.bytes && text.hasher.finalize() == file.checksum {
            Ok(())
        } else {
            Err(Error::Changed { path: file.path.clone() })
        }
    }
}

/// Sums up the bytes that pass through.
pub struct Checksummed<R> {
    pub source: R,
    pub bytes: u64,
    pub hasher: crc32fast::Hasher,
}

impl<R> Checksummed<R> {
    /// Nothing has passed yet.
    pub fn new(source: R) -> Checksummed<R> {
        Checksummed { source, bytes: 0, hasher: crc32fast::Hasher::new() }
    }
}

impl<R: Read> Read for Checksummed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(out)?;
        self.bytes += n as u64;
        self.hasher.update(&out[..n]);
        Ok(n)
    }
}
