//! A titles file in memory: all of its lines are needed before any of them can be read.

use crate::error::Error;
use crate::parse::lines::Line;

/// The lines of a titles file that are not blank.
#[derive(Default)]
pub struct TitlesText {
    text: Vec<u8>,
    lines: Vec<Kept>,
    /// Bytes of memory that were accounted for.
    pub accounted: usize,
}

struct Kept {
    number: u64,
    /// Where it ends in the text; it begins where the one before ends.
    end: usize,
    too_long: bool,
}

impl TitlesText {
    /// Adds a line.
    pub fn push(&mut self, line: &Line<'_>) -> Result<(), Error> {
        if line.bytes.is_empty() {
            return Ok(());
        }
        self.text.try_reserve(line.bytes.len()).map_err(|_| Error::OutOfMemory)?;
        self.lines.try_reserve(1).map_err(|_| Error::OutOfMemory)?;
        self.text.extend(line.bytes);
        self.lines.push(Kept { number: line.number, end: self.text.len(), too_long: line.too_long });
        Ok(())
    }

    /// How many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.lines.capacity() * size_of::<Kept>()
    }

    /// The lines, in their order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> + Clone {
        let mut from = 0;
        self.lines.iter().map(move |&Kept { number, end, too_long }| {
            let bytes = &self.text[std::mem::replace(&mut from, end)..end];
            Line { number, offset: 0, bytes, too_long }
        })
    }
}
