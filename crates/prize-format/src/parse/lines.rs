//! Lines out of a file of any size in a buffer of fixed size, each with its number and its place in the file.

use std::io::{self, Read};

/// Longer lines are refused rather than buffered: the longest genuine one has 118 bytes.
pub const MAX_LINE: usize = 4096;

/// Over a line longer than this reading fails: a file of a hundred gigabytes in one line is no text file.
const MAX_SKIPPED: u64 = 16 * 1024 * 1024;

/// May stand at the beginning of a file, and of a line where files were joined; it is no part of the line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const BUFFER: usize = 256 * 1024;

/// What lines are read into. A text may be short: who reads many of them hands the buffer on from one to the next.
#[derive(Default)]
pub(crate) struct Buffer(Box<[u8]>);

/// A line without its end (`\n` or `\r\n`).
#[derive(Debug)]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: u64,
    /// Where its first byte stands in the file.
    pub offset: u64,
    /// Its bytes; of a line over 4096 bytes, the first of them.
    pub bytes: &'a [u8],
    /// Whether it was longer than 4096 bytes.
    pub too_long: bool,
}

/// Reads lines; use [`LineReader::next`] until it gives `None`.
pub struct LineReader<R> {
    source: R,
    buffer: Buffer,
    /// What is read but not yet handed out: `buffer[start..end]`.
    start: usize,
    end: usize,
    ended: bool,
    number: u64,
    offset: u64,
    /// The head of the last line that was too long.
    long_line: Vec<u8>,
}

impl<R: Read> LineReader<R> {
    /// Reads from the beginning of a file, or from the beginning of a line on.
    pub fn new(source: R) -> LineReader<R> {
        LineReader::with(Buffer::default(), source)
    }

    /// The same, into a buffer that another reader gave back, or one that is yet to be made.
    pub(crate) fn with(mut buffer: Buffer, source: R) -> LineReader<R> {
        if buffer.0.is_empty() {
            buffer.0 = vec![0; BUFFER].into();
        }
        LineReader {
            source,
            buffer,
            start: 0,
            end: 0,
            ended: false,
            number: 0,
            offset: 0,
            long_line: Vec::new(),
        }
    }

    /// Its buffer, for the next reader.
    pub(crate) fn into_buffer(self) -> Buffer {
        self.buffer
    }

    /// Where the next line starts.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What it reads from, of which it may have read more than it gave.
    pub fn source(&self) -> &R {
        &self.source
    }

    /// The next line, or `None` after the last. A last line need not have an end.
    ///
    /// Fails as its source does, and where a line has no end for 16 MB.
    #[allow(clippy::should_implement_trait)] // it lends from its buffer, which an Iterator cannot
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let offset = self.offset;
        let mut searched = 0;
        let (length, ending) = loop {
            let unread = &self.buffer.0[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', &unread[searched..]) {
                break (searched + at, 1);
            }
            if self.ended {
                if unread.is_empty() {
                    return Ok(None);
                }
                break (unread.len(), 0);
            }
            if unread.len() > BYTE_ORDER_MARK.len() + MAX_LINE + "\r".len() {
                return self.skip_long_line().map(Some);
            }
            searched = unread.len();
            self.fill()?;
        };
        let from = self.start;
        self.start += length + ending;
        self.offset += (length + ending) as u64;
        self.number += 1;
        let mut bytes = &self.buffer.0[from..from + length];
        if let [head @ .., b'\r'] = bytes {
            bytes = head;
        }
        bytes = without_mark(bytes);
        let too_long = bytes.len() > MAX_LINE;
        Ok(Some(Line { number: self.number, offset, bytes: &bytes[..bytes.len().min(MAX_LINE)], too_long }))
    }

    fn skip_long_line(&mut self) -> io::Result<Line<'_>> {
        let (offset, number) = (self.offset, self.number + 1);
        self.long_line.clear();
        let head = without_mark(&self.buffer.0[self.start..self.end]);
        self.long_line.extend_from_slice(&head[..MAX_LINE]);
        loop {
            let unread = &self.buffer.0[self.start..self.end];
            let found = memchr::memchr(b'\n', unread);
            let skipped = found.map_or(unread.len(), |at| at + 1);
            self.start += skipped;
            self.offset += skipped as u64;
            // Wherever the buffer's end falls: both passes must say the same.
            if self.offset - offset > MAX_SKIPPED {
                let message = format!("line {number} is longer than 16 MB: is the file binary?");
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            if found.is_some() || self.ended {
                break;
            }
            self.fill()?;
        }
        self.number = number;
        Ok(Line { number, offset, bytes: &self.long_line, too_long: true })
    }

    /// Moves what is unread to the front and reads more behind it.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.0.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        match self.source.read(&mut self.buffer.0[self.end..]) {
            Ok(0) => self.ended = true,
            Ok(n) => self.end += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives at most `step` bytes a read, as a pipe or a slow disk may.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(out.len()).min(self.0.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn all(bytes: &[u8], step: usize) -> Vec<(u64, u64, Vec<u8>, bool)> {
        let mut reader = LineReader::new(Slow(bytes, step));
        let mut lines = Vec::new();
        while let Some(line) = reader.next().unwrap() {
            lines.push((line.number, line.offset, line.bytes.to_vec(), line.too_long));
        }
        assert_eq!(reader.offset(), bytes.len() as u64);
        lines
    }

    /// The same by splitting the whole text.
    fn naive(bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>, bool)> {
        let mut lines = Vec::new();
        let mut offset = 0;
        for (i, raw) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
            let line = raw.strip_suffix(b"\n").unwrap_or(raw);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let cut = line.len().min(MAX_LINE);
            lines.push((i as u64 + 1, offset, line[..cut].to_vec(), line.len() > MAX_LINE));
            offset += raw.len() as u64;
        }
        lines
    }

    proptest! {
        #[test]
        fn agrees_with_splitting_the_whole_text(
            pieces in prop::collection::vec(
                (prop_oneof![0usize..40, Just(MAX_LINE), Just(MAX_LINE + 1), Just(3 * MAX_LINE)],
                 prop_oneof![Just("\n"), Just("\r\n")]), 0..20),
            tail in 0usize..50, step in 1usize..9000,
        ) {
            let mut text = Vec::new();
            for (i, (length, ending)) in pieces.iter().enumerate() {
                text.extend(std::iter::repeat_n(b'a' + (i % 26) as u8, *length));
                text.extend(ending.as_bytes());
            }
            text.extend(std::iter::repeat_n(b'z', tail));
            prop_assert_eq!(all(&text, step), naive(&text));
        }
    }

    #[test]
    fn a_line_of_many_buffers_takes_one_place() {
        let mut text = vec![b'x'; 5 * BUFFER];
        text.extend(b"\n7:\r\n");
        let lines = all(&text, BUFFER);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].3);
        assert_eq!((lines[1].0, lines[1].1, &lines[1].2[..]), (2, 5 * BUFFER as u64 + 1, &b"7:"[..]));
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let mut reader = LineReader::new(b"1:\n".chain(io::repeat(0)));
        assert_eq!(reader.next().unwrap().map(|line| line.number), Some(1));
        let error = reader.next().unwrap_err();
        assert_eq!(error.to_string(), "line 2 is longer than 16 MB: is the file binary?");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(all(b"\xef\xbb\xbf1:\n5", 3)[0].2, b"1:");
        assert_eq!(all(b"1:\n\xef\xbb\xbf2:\n", 3)[1].2, b"2:");
        // Nor of its length, however much is read at a time.
        for length in [MAX_LINE, MAX_LINE + 1, 2 * MAX_LINE] {
            let line = "x".repeat(length);
            let text = format!("\u{feff}{line}\n5\n");
            for step in [1, BUFFER] {
                let (_, _, bytes, too_long) = &all(text.as_bytes(), step)[0];
                assert_eq!((bytes, *too_long), (&vec![b'x'; MAX_LINE], length > MAX_LINE));
            }
        }
    }
}
