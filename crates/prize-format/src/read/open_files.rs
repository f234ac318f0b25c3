//! Opens parts of a data set's texts, and keeps a few files open for the next part.

use std::io::{self, Read};

use super::content_check::ContentCheck;
use super::stream::Stream;
use super::text_file::TextFile;
use crate::error::Error;
use crate::parse::lines::LineBuffer;

/// The files of a data set. The files that were used last stay open. So a gzipped file is read on from where it stands, if that
/// is before the next part, and not from its beginning.
pub struct OpenFiles<'a> {
    files: &'a [TextFile],
    /// Called several times a second. Its error stops the reading.
    pub(crate) check: &'a (dyn Fn() -> Result<(), Error> + Sync),
    /// In the order of use: the file used last is last.
    open: Vec<Stream>,
    /// The buffer for the reader of a part. Put it back when the part is read.
    pub(crate) buffer: LineBuffer,
}

/// The most files that are open at a time.
const MAX_OPEN: usize = 8;

impl<'a> OpenFiles<'a> {
    /// No file is opened yet.
    pub fn new(files: &'a [TextFile], check: &'a (dyn Fn() -> Result<(), Error> + Sync)) -> OpenFiles<'a> {
        OpenFiles { files, check, open: Vec::new(), buffer: LineBuffer::default() }
    }

    /// The error of `check`, if the reading should stop.
    pub fn check(&self) -> Result<(), Error> {
        (self.check)()
    }

    /// Opens a part of a text: `bytes` bytes from `offset` on. `file` is the text's index. [`Error::Changed`] if the
    /// file has changed since the first pass.
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
                // On some network and container mounts, a file's modification time changes although the file does not.
                if modified != text.modified {
                    ContentCheck::default().run(text, self.check)?;
                }
                if self.open.len() == MAX_OPEN {
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
