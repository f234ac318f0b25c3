//! A titles file in memory. All of its lines are kept, because its form is detected from all of them before any is
//! parsed.

use crate::error::Error;
use crate::parse::lines::Line;

/// The lines of a titles file that are not blank.
#[derive(Default)]
pub struct TitlesText {
    text: Vec<u8>,
    lines: Vec<KeptLine>,
    /// The bytes of memory that are reported to the pass.
    pub bytes_reported: usize,
}

struct KeptLine {
    number: u64,
    /// The offset of its end in `text`. It begins at the end of the line before.
    end: usize,
    too_long: bool,
}

impl TitlesText {
    /// Adds a line, unless it is blank.
    pub fn push(&mut self, line: &Line<'_>) -> Result<(), Error> {
        if line.bytes.is_empty() {
            return Ok(());
        }
        self.text.try_reserve(line.bytes.len()).map_err(|_| Error::OutOfMemory)?;
        self.lines.try_reserve(1).map_err(|_| Error::OutOfMemory)?;
        self.text.extend(line.bytes);
        self.lines.push(KeptLine { number: line.number, end: self.text.len(), too_long: line.too_long });
        Ok(())
    }

    /// The bytes of memory that the lines take.
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.lines.capacity() * size_of::<KeptLine>()
    }

    /// The lines, in their order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> + Clone {
        let mut start = 0;
        self.lines.iter().map(move |&KeptLine { number, end, too_long }| {
            let bytes = &self.text[std::mem::replace(&mut start, end)..end];
            Line { number, offset: 0, bytes, too_long }
        })
    }
}
