//! Files on disk as streams of text: plain or gzipped, and archives of them. Their bytes tell which, not their names.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use flate2::bufread::GzDecoder;

use crate::lines::Buffer;
use crate::{Content, Error, TextFile};

/// A file on disk, read as the text or archive it holds; what is gzipped is unpacked on the way, whatever its name.
pub struct Stream {
    path: PathBuf,
    below: Option<Arc<Path>>,
    bytes: Bytes,
    /// How many bytes of what it holds have been read.
    position: u64,
}

enum Bytes {
    Plain(Counted),
    Gzip(Box<Members>),
}

/// The members of a gzipped file, one after the other. Zeros behind the last one are no part of it, as for gzip itself: they
/// fill up the blocks of a tape.
struct Members {
    /// None behind the last one.
    decoder: Option<GzDecoder<BufReader<Counted>>>,
    /// What had been read from the disk at the end.
    read: u64,
}

impl Members {
    fn new(file: Counted) -> Members {
        let decoder = Some(GzDecoder::new(BufReader::new(file)));
        Members { decoder, read: 0 }
    }

    /// Goes on to the next member, if there is one.
    fn next(&mut self) -> io::Result<()> {
        let Some(decoder) = self.decoder.take() else { return Ok(()) };
        let mut source = decoder.into_inner();
        let mut is_padded = false;
        loop {
            let bytes = source.fill_buf()?;
            let (length, zeros) = (bytes.len(), bytes.iter().take_while(|&&b| b == 0).count());
            is_padded |= zeros > 0;
            source.consume(zeros);
            if zeros < length && is_padded {
                let message = "something follows the zeros behind a gzip member";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            if zeros == length && length > 0 {
                continue;
            }
            self.read = source.get_ref().read;
            self.decoder = (length > 0).then(|| GzDecoder::new(source));
            return Ok(());
        }
    }

    fn read_from_disk(&self) -> u64 {
        self.decoder.as_ref().map_or(self.read, |decoder| decoder.get_ref().get_ref().read)
    }
}

impl Read for Members {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let n = decoder.read(out).map_err(unpacking)?;
            if n > 0 || out.is_empty() {
                return Ok(n);
            }
            self.next()?;
        }
        Ok(0)
    }
}

/// What is wrong with a file that cannot be unpacked, in a person's words.
fn unpacking(error: io::Error) -> io::Error {
    let message = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the gzip file ends too early: it was not copied or downloaded whole",
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => "the gzip file is damaged",
        _ => return error,
    };
    io::Error::new(io::ErrorKind::InvalidData, message)
}

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

/// Bytes whose first ones can be looked at before they are read.
pub struct Peeked<R> {
    pub source: R,
    head: [u8; Content::HEAD],
    given: usize,
    filled: usize,
}

impl<R: Read> Peeked<R> {
    /// Nothing has been looked at yet.
    pub fn new(source: R) -> Peeked<R> {
        Peeked { source, head: [0; Content::HEAD], given: 0, filled: 0 }
    }

    /// What they are; to be asked before any is read. `None` where there are none.
    pub fn content(&mut self) -> io::Result<Option<Content>> {
        while self.filled < Content::HEAD {
            match self.source.read(&mut self.head[self.filled..]) {
                Ok(0) => break,
                Ok(n) => self.filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok((self.filled > 0).then(|| Content::of(&self.head[..self.filled])))
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given == self.filled {
            return self.source.read(out);
        }
        let n = out.len().min(self.filled - self.given);
        out[..n].copy_from_slice(&self.head[self.given..self.given + n]);
        self.given += n;
        Ok(n)
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

/// Whether a file's name says that it is packed.
pub fn is_gzipped(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// The files of a data set, of which the last few are open: packed ones are read forward, from wherever one is that
/// was read up to a place before.
pub struct Opened<'a> {
    files: &'a [TextFile],
    /// Asks whether to go on.
    pub(crate) check: &'a (dyn Fn() -> Result<(), Error> + Sync),
    /// The one used last stands last.
    open: Vec<Stream>,
    /// Lent to the reader of a part, which gives it back when it has come to the end.
    pub(crate) buffer: Buffer,
}

/// How many files are open at a time.
const OPEN: usize = 8;

impl<'a> Opened<'a> {
    /// None is open yet. `check` is asked now and then whether to go on.
    pub fn new(files: &'a [TextFile], check: &'a (dyn Fn() -> Result<(), Error> + Sync)) -> Opened<'a> {
        Opened { files, check, open: Vec::new(), buffer: Buffer::default() }
    }

    /// Asks whether to go on.
    pub fn check(&self) -> Result<(), Error> {
        (self.check)()
    }

    /// A part of a text: `bytes` of it from `offset` on. [`Error::Changed`] where the file is not the one that was
    /// surveyed.
    pub fn part(&mut self, file: usize, offset: u64, bytes: u64) -> Result<io::Take<&mut Stream>, Error> {
        let text = &self.files[file];
        let position = text.position + offset;
        let is_before =
            |open: &Stream| open.path == text.path && (open.is_plain() || open.position <= position);
        let nearest = (0..self.open.len()).filter(|&n| is_before(&self.open[n]));
        let stream = match nearest.max_by_key(|&n| self.open[n].position) {
            Some(nearest) => self.open.remove(nearest),
            None => {
                let (stream, modified) = Stream::open(&text.path, text.below.clone())?;
                // On some network and container mounts a file's time changes though no byte of it does.
                if modified != text.modified {
                    ContentCheck::default().run(text, self.check)?;
                }
                if self.open.len() == OPEN {
                    self.open.remove(0);
                }
                stream
            }
        };
        self.open.push(stream);
        let last = self.open.len() - 1;
        let stream = &mut self.open[last];
        stream.seek(position, self.check)?;
        Ok(stream.take(bytes))
    }
}
