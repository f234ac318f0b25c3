//! The files of a data set, of which the last few are open.

use std::io::{self, Read};

use super::content_check::ContentCheck;
use super::stream::Stream;
use super::text_file::TextFile;
use crate::error::Error;
use crate::parse::lines::Buffer;

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
