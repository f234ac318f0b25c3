//! Bytes whose first ones can be looked at before they are read.

use std::io::{self, Read};

use crate::parse::content::Content;

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
