//! Checks whether files are still what they were in the first pass.

use std::io::{self, Read};

use super::stream::Stream;
use super::text_file::TextFile;
use crate::error::Error;

/// A file's modification time in microseconds since 1970, if the operating system knows it.
pub fn modification_time(file: &TextFile) -> Result<Option<i64>, Error> {
    Ok(Stream::open(&file.path, file.below.clone())?.1)
}

/// Compares texts with what the first pass saw of them. The last file stays open, so that an archive is read only once
/// if its members are checked in their order.
#[derive(Default)]
pub struct ContentCheck(Option<Stream>);

impl ContentCheck {
    /// [`Error::Changed`] if the text has changed. `check` is called several times a second; its error stops the
    /// reading.
    pub fn run(&mut self, file: &TextFile, check: &dyn Fn() -> Result<(), Error>) -> Result<(), Error> {
        let failed = |source| Error::Io { path: file.path.clone(), source };
        let stream = match &mut self.0 {
            Some(open) if open.path == file.path => open,
            other => other.insert(Stream::open(&file.path, file.below.clone())?.0),
        };
        stream.seek(file.position, check)?;
        // One byte more, to see whether the file has grown. In an archive, something follows every member.
        let one_more = u64::from(file.member.is_none());
        let mut text = Checksummed::new(stream.take(file.bytes + one_more));
        let mut buffer = vec![0; 256 * 1024];
        while text.read(&mut buffer).map_err(failed)? > 0 {
            check()?;
        }
        if text.bytes == file.bytes && text.checksum() == file.checksum {
            Ok(())
        } else {
            Err(Error::Changed { path: file.path.clone() })
        }
    }
}

/// A source that counts the bytes read from it, and computes their CRC-32.
pub struct Checksummed<R> {
    pub source: R,
    pub bytes: u64,
    hasher: crc32fast::Hasher,
}

impl<R> Checksummed<R> {
    pub fn new(source: R) -> Checksummed<R> {
        Checksummed { source, bytes: 0, hasher: crc32fast::Hasher::new() }
    }

    /// The CRC-32 of the bytes read so far.
    pub fn checksum(&self) -> u32 {
        self.hasher.clone().finalize()
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
