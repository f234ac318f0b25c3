//! Reads blocks. A block is a movie line `id:`, then a line for each record of that movie. All of the Prize's files
//! except the titles consist of blocks.

use std::io::{self, Read};

use super::lines::{Line, LineBuffer, LineReader};
use super::record::{Record, parse_id};
use super::reject::Reason;

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// `id:`. The records on the next lines belong to this movie.
    Movie(u32),
    /// A record of the last movie.
    Record(T),
    /// The line is empty.
    Blank,
    /// The line cannot be used.
    Refused(Reason),
}

/// Reads the blocks of one text. Call [`BlockReader::next`] until it returns `None`.
pub struct BlockReader<R, T> {
    lines: LineReader<R>,
    movie_id: Option<u32>,
    record: std::marker::PhantomData<T>,
}

/// An event and its line.
#[derive(Debug)]
pub struct LocatedEvent<'a, T> {
    /// What the line says.
    pub event: Event<T>,
    /// The line itself.
    pub line: Line<'a>,
}

impl<R: Read, T: Record> BlockReader<R, T> {
    /// Reads a text from its beginning.
    pub fn new(source: R) -> BlockReader<R, T> {
        BlockReader::with_buffer(LineBuffer::default(), None, source)
    }

    /// Reads a part of a text. Its first byte begins a line, and its first records belong to `movie_id`. `buffer` is
    /// the buffer of an earlier reader, or a default one.
    pub(crate) fn with_buffer(buffer: LineBuffer, movie_id: Option<u32>, source: R) -> BlockReader<R, T> {
        BlockReader {
            lines: LineReader::with_buffer(buffer, source),
            movie_id,
            record: std::marker::PhantomData,
        }
    }

    /// Returns the buffer, so that the next reader can use it.
    pub(crate) fn into_buffer(self) -> LineBuffer {
        self.lines.into_buffer()
    }

    /// The movie that a record on the next line would belong to. `None` where no valid `id:` line came before.
    pub fn movie_id(&self) -> Option<u32> {
        self.movie_id
    }

    /// The offset of the next line in the text.
    pub fn offset(&self) -> u64 {
        self.lines.offset()
    }

    /// The source. More may have been read from it than was returned as lines.
    pub fn source(&self) -> &R {
        self.lines.source()
    }

    /// The next line, or `None` after the last one.
    #[allow(clippy::should_implement_trait)] // the line borrows from the buffer, which Iterator does not allow
    pub fn next(&mut self) -> io::Result<Option<LocatedEvent<'_, T>>> {
        let Some(line) = self.lines.next()? else { return Ok(None) };
        let event = read_event(&line, &mut self.movie_id);
        Ok(Some(LocatedEvent { event, line }))
    }
}

fn read_event<T: Record>(line: &Line<'_>, movie_id: &mut Option<u32>) -> Event<T> {
    if line.too_long {
        *movie_id = None;
        return Event::Refused(Reason::TooLong);
    }
    if line.bytes.is_empty() {
        return Event::Blank;
    }
    if let [id @ .., b':'] = line.bytes {
        *movie_id = parse_id(id);
        return match *movie_id {
            Some(id) => Event::Movie(id),
            None => Event::Refused(refusal_reason(line.bytes, Reason::Movie)),
        };
    }
    match (T::parse(line.bytes), movie_id.is_some()) {
        (Ok(record), true) => Event::Record(record),
        (Ok(_), false) => Event::Refused(Reason::NoMovie),
        (Err(reason), _) => {
            if may_be_movie_line(line.bytes) {
                *movie_id = None;
            }
            Event::Refused(refusal_reason(line.bytes, reason))
        }
    }
}

/// Whether a line that cannot be used may be a damaged `id:` line. The records after such a line may belong to another
/// movie than those before it, so they are refused.
fn may_be_movie_line(line: &[u8]) -> bool {
    line.contains(&b':') || (!line.contains(&b',') && line.iter().any(u8::is_ascii_digit))
}

/// The reason to report for a line that cannot be used: [`Reason::Binary`] if the line has control bytes, because then
/// it is not text; otherwise `reason`.
pub(crate) fn refusal_reason(line: &[u8], reason: Reason) -> Reason {
    if line.iter().any(|b| b.is_ascii_control() && *b != b'\t') { Reason::Binary } else { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::record::{Probe, Rating};

    fn events<T: Record>(text: &[u8]) -> Vec<(u64, Event<T>)> {
        let mut reader = BlockReader::new(text);
        let mut events = Vec::new();
        while let Some(LocatedEvent { event, line }) = reader.next().unwrap() {
            events.push((line.number, event));
        }
        events
    }

    #[test]
    fn records_belong_to_the_movie_above_them() {
        let probe = |customer_id| Event::Record(Probe { customer_id });
        assert_eq!(
            events(b"5\n1:\r\n7\r\n\n0:\n8\n2:\n9"),
            [
                (1, Event::Refused(Reason::NoMovie)),
                (2, Event::Movie(1)),
                (3, probe(7)),
                (4, Event::Blank),
                (5, Event::Refused(Reason::Movie)),
                (6, Event::Refused(Reason::NoMovie)),
                (7, Event::Movie(2)),
                (8, probe(9)),
            ]
        );
    }

    #[test]
    fn nothing_is_read_under_a_damaged_movie_line() {
        for damaged in ["2: ", "2:\t", "2;", "2", "x2:x", ":", &"2".repeat(9000)] {
            let text = format!("1:\n7,5,2004-02-29\n{damaged}\n8,1,2004-02-29\n3:\n9,2,2004-02-29\n");
            let last = events::<Rating>(text.as_bytes()).split_off(2);
            assert!(matches!(last[0], (3, Event::Refused(_))), "{damaged}");
            assert_eq!(last[1], (4, Event::Refused(Reason::NoMovie)), "{damaged}");
            assert!(matches!(last[3], (6, Event::Record(_))), "{damaged}");
        }
        let text = b"1:\n7,5,2004-02-29\n8,x,2004-02-29\njunk\n9,1,2004-02-29\n";
        assert!(matches!(events::<Rating>(text)[4], (5, Event::Record(_))));
    }

    #[test]
    fn control_bytes_are_reported_as_binary() {
        assert_eq!(events::<Rating>(b"\x7fELF\x02\x01\n"), [(1, Event::Refused(Reason::Binary))]);
    }
}
