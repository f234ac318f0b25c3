//! Shows what a source holds before it is read.

use std::io::{self, Read};

use crate::parse::content::Content;

/// A source whose first bytes can be looked at before they are read.
pub struct Peeked<R> {
    pub source: R,
    head: [u8; Content::HEAD_BYTES],
    /// The bytes of `head` that have been read.
    returned: usize,
    /// The bytes of `head` that were taken from the source.
    filled: usize,
}

impl<R: Read> Peeked<R> {
    pub fn new(source: R) -> Peeked<R> {
        Peeked { source, head: [0; Content::HEAD_BYTES], returned: 0, filled: 0 }
    }

    /// What the source holds, judged by its first bytes. `None` if it is empty. Call this before anything is read.
    pub fn content(&mut self) -> io::Result<Option<Content>> {
        while self.filled < Content::HEAD_BYTES {
            match self.source.read(&mut self.head[self.filled..]) {
                Ok(0) => break,
                Ok(n) => self.filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok((self.filled > 0).then(|| Content::detect(&self.head[..self.filled])))
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.returned == self.filled {
            return self.source.read(out);
        }
        let n = out.len().min(self.filled - self.returned);
        out[..n].copy_from_slice(&self.head[self.returned..self.returned + n]);
        self.returned += n;
        Ok(n)
    }
}
