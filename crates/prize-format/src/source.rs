//! Files on disk as streams of text: plain or gzipped, and archives of them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use flate2::read::MultiGzDecoder;

use crate::{Error, TextFile};

/// A file on disk, read as the text or archive it holds; what ends in `.gz` is unpacked on the way.
pub struct Stream {
    path: PathBuf,
    bytes: Bytes,
    /// How many bytes of what it holds have been read.
    position: u64,
}

enum Bytes {
    Plain(Counted),
    Gzip(Box<MultiGzDecoder<Counted>>),
}

/// A file that knows how much of it was read.
struct Counted {
    file: File,
    read: u64,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(out)?;
        self.read += n as u64;
        Ok(n)
    }
}

impl Stream {
    /// Opens a file. Gives it, and when it was last changed, in microseconds since 1970, where the system knows.
    pub fn open(path: &Path) -> Result<(Stream, Option<i64>), Error> {
        let failed = |source| Error::Io { path: path.into(), source };
        let file = File::open(path).map_err(failed)?;
        let modified = file.metadata().map_err(failed)?.modified().ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = since.and_then(|since| i64::try_from(since.as_micros()).ok());
        let file = Counted { file, read: 0 };
        let bytes = match is_gzipped(path) {
            true => Bytes::Gzip(Box::new(MultiGzDecoder::new(file))),
            false => Bytes::Plain(file),
        };
        Ok((Stream { path: path.into(), bytes, position: 0 }, modified))
    }

    /// How many bytes were read from the disk.
    pub fn read_from_disk(&self) -> u64 {
        match &self.bytes {
            Bytes::Plain(file) => file.read,
            Bytes::Gzip(decoder) => decoder.get_ref().read,
        }
    }

    /// Goes to a place in what the file holds. In a packed file, forward is reading; backward is reading from the start.
    pub fn seek(&mut self, position: u64) -> Result<(), Error> {
        let failed = |path: &Path, source| Error::Io { path: path.into(), source };
        match &mut self.bytes {
            Bytes::Plain(file) => {
                file.file.seek(SeekFrom::Start(position)).map_err(|e| failed(&self.path, e))?;
                self.position = position;
            }
            Bytes::Gzip(_) => {
                if position < self.position {
                    *self = Stream::open(&self.path)?.0;
                }
                let wanted = position - self.position;
                let path = self.path.clone();
                let skipped = io::copy(&mut self.take(wanted), &mut io::sink());
                if skipped.map_err(|e| failed(&path, e))? < wanted {
                    return Err(Error::Changed { path });
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
            Bytes::Gzip(decoder) => decoder.read(out)?,
        };
        self.position += n as u64;
        Ok(n)
    }
}

/// When a file was last changed, in microseconds since 1970, where the system knows.
pub fn modified(path: &Path) -> Result<Option<i64>, Error> {
    Ok(Stream::open(path)?.1)
}

impl TextFile {
    /// Looks whether the text is still the one that was surveyed: [`Error::Changed`] where it is not. `check` is called
    /// now and then, and may end the process.
    pub fn check_content(&self, check: &mut dyn FnMut()) -> Result<(), Error> {
        let failed = |source| Error::Io { path: self.path.clone(), source };
        let mut stream = Stream::open(&self.path)?.0;
        stream.seek(self.position)?;
        // One byte more, to see whether it ends where it did; in an archive, something follows.
        let more = u64::from(self.member.is_none());
        let (mut hasher, mut bytes, mut buffer) = (crc32fast::Hasher::new(), 0, vec![0; 256 * 1024]);
        let mut text = stream.take(self.bytes + more);
        loop {
            check();
            let n = text.read(&mut buffer).map_err(failed)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            bytes += n as u64;
        }
        let is_same = bytes == self.bytes && hasher.finalize() == self.checksum;
        if is_same { Ok(()) } else { Err(Error::Changed { path: self.path.clone() }) }
    }
}

/// Whether a file's name says that it is packed.
pub fn is_gzipped(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// The files of a data set, of which one is open at a time: whoever reads in the order of the files opens each once.
pub struct Opened<'a> {
    files: &'a [TextFile],
    open: Option<Stream>,
}

impl<'a> Opened<'a> {
    /// None is open yet.
    pub fn new(files: &'a [TextFile]) -> Opened<'a> {
        Opened { files, open: None }
    }

    /// A part of a text: `bytes` of it from `offset` on. [`Error::Changed`] where the file is not the one that was
    /// surveyed.
    pub fn part(&mut self, file: usize, offset: u64, bytes: u64) -> Result<io::Take<&mut Stream>, Error> {
        let text = &self.files[file];
        if self.open.as_ref().is_none_or(|open| open.path != text.path) {
            let (stream, modified) = Stream::open(&text.path)?;
            if modified != text.modified {
                return Err(Error::Changed { path: text.path.clone() });
            }
            self.open = Some(stream);
        }
        let missing = Error::Changed { path: text.path.clone() };
        let stream = self.open.as_mut().ok_or(missing)?;
        stream.seek(text.position + offset)?;
        Ok(stream.take(bytes))
    }
}
