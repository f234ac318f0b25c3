//! Reads a text line by line through a buffer of fixed size, so that a file of any size takes the same memory. Each
//! line comes with its line number and its byte offset.

use std::io::{self, Read};

/// The most bytes that a line may have. A longer line cannot be genuine: the longest one of the Prize's files has 118
/// bytes.
pub const MAX_LINE: usize = 4096;

/// Reading fails at a line longer than this many bytes, because a file with such a line is not a text file.
const MAX_SKIPPED: u64 = 16 * 1024 * 1024;

/// A file may begin with it. If files were joined, a later line may also begin with it. It is not part of the line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Readers of long texts check after this many lines whether to stop. Reading them takes a few milliseconds.
pub const LINES_PER_CHECK: u64 = 16 * 1024;

const BUFFER_BYTES: usize = 256 * 1024;

/// The memory that lines are read into. A caller that reads many texts passes one buffer from reader to reader, because
/// allocating a buffer takes longer than reading a short text.
#[derive(Default)]
pub(crate) struct LineBuffer(Box<[u8]>);

/// A line without its line end (`\n` or `\r\n`).
#[derive(Debug)]
pub struct Line<'a> {
    /// The line number, from 1.
    pub number: u64,
    /// The offset of its first byte in the text.
    pub offset: u64,
    /// Its bytes, but at most the first 4096.
    pub bytes: &'a [u8],
    /// Whether the line has more than 4096 bytes.
    pub too_long: bool,
}

/// Reads lines. Call [`LineReader::next`] until it returns `None`.
pub struct LineReader<R> {
    source: R,
    buffer: LineBuffer,
    /// `buffer[start..end]` holds the bytes that were read from the source and are not returned yet.
    start: usize,
    end: usize,
    source_ended: bool,
    number: u64,
    offset: u64,
    /// The first bytes of the last line that was too long.
    long_line: Vec<u8>,
}

impl<R: Read> LineReader<R> {
    /// Reads a source whose first byte begins a line.
    pub fn new(source: R) -> LineReader<R> {
        LineReader::with_buffer(LineBuffer::default(), source)
    }

    /// The same, with the buffer of an earlier reader. A default buffer is allocated here.
    pub(crate) fn with_buffer(mut buffer: LineBuffer, source: R) -> LineReader<R> {
        if buffer.0.is_empty() {
            buffer.0 = vec![0; BUFFER_BYTES].into();
        }
        LineReader {
            source,
            buffer,
            start: 0,
            end: 0,
            source_ended: false,
            number: 0,
            offset: 0,
            long_line: Vec::new(),
        }
    }

    /// Returns the buffer, so that the next reader can use it.
    pub(crate) fn into_buffer(self) -> LineBuffer {
        self.buffer
    }

    /// The offset of the next line in the text.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The source. More may have been read from it than was returned as lines.
    pub fn source(&self) -> &R {
        &self.source
    }

    /// The next line, or `None` after the last one. The last line may lack its line end.
    ///
    /// Fails if reading the source fails, or if a line is longer than 16 MB.
    #[allow(clippy::should_implement_trait)] // the line borrows from the buffer, which Iterator does not allow
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let offset = self.offset;
        let mut searched = 0;
        let (length, ending) = loop {
            let unread = &self.buffer.0[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', &unread[searched..]) {
                break (searched + at, 1);
            }
            if self.source_ended {
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
            // Checked by length and not by the buffer's state, so that both passes fail at the same line.
            if self.offset - offset > MAX_SKIPPED {
                let message = format!("line {number} is longer than 16 MB: is the file binary?");
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            if found.is_some() || self.source_ended {
                break;
            }
            self.fill()?;
        }
        self.number = number;
        Ok(Line { number, offset, bytes: &self.long_line, too_long: true })
    }

    /// Moves the bytes that are not returned yet to the front of the buffer, and reads more bytes after them.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.0.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        match self.source.read(&mut self.buffer.0[self.end..]) {
            Ok(0) => self.source_ended = true,
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

    /// Returns at most so many bytes from each read, as a pipe or a slow disk may.
    struct SlowSource<'a>(&'a [u8], usize);

    impl Read for SlowSource<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(out.len()).min(self.0.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    /// Number, offset, bytes and `too_long` of each line.
    fn read_lines(bytes: &[u8], step: usize) -> Vec<(u64, u64, Vec<u8>, bool)> {
        let mut reader = LineReader::new(SlowSource(bytes, step));
        let mut lines = Vec::new();
        while let Some(line) = reader.next().unwrap() {
            lines.push((line.number, line.offset, line.bytes.to_vec(), line.too_long));
        }
        assert_eq!(reader.offset(), bytes.len() as u64);
        lines
    }

    /// The same, found by splitting the whole text.
    fn split_lines(bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>, bool)> {
        let mut lines = Vec::new();
        let mut offset = 0;
        for (i, raw) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
            let line = raw.strip_suffix(b"\n").unwrap_or(raw);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let kept = line.len().min(MAX_LINE);
            lines.push((i as u64 + 1, offset, line[..kept].to_vec(), line.len() > MAX_LINE));
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
            prop_assert_eq!(read_lines(&text, step), split_lines(&text));
        }
    }

    #[test]
    fn a_line_longer_than_several_buffers_is_one_line() {
        let mut text = vec![b'x'; 5 * BUFFER_BYTES];
        text.extend(b"\n7:\r\n");
        let lines = read_lines(&text, BUFFER_BYTES);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].3);
        assert_eq!((lines[1].0, lines[1].1, &lines[1].2[..]), (2, 5 * BUFFER_BYTES as u64 + 1, &b"7:"[..]));
    }

    #[test]
    fn a_line_without_an_end_is_an_error() {
        let mut reader = LineReader::new(b"1:\n".chain(io::repeat(0)));
        assert_eq!(reader.next().unwrap().map(|line| line.number), Some(1));
        let error = reader.next().unwrap_err();
        assert_eq!(error.to_string(), "line 2 is longer than 16 MB: is the file binary?");
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_line() {
        assert_eq!(read_lines(b"\xef\xbb\xbf1:\n5", 3)[0].2, b"1:");
        assert_eq!(read_lines(b"1:\n\xef\xbb\xbf2:\n", 3)[1].2, b"2:");
        // The mark does not count for the length of the line either, no matter how many bytes each read returns.
        for length in [MAX_LINE, MAX_LINE + 1, 2 * MAX_LINE] {
            let line = "x".repeat(length);
            let text = format!("\u{feff}{line}\n5\n");
            for step in [1, BUFFER_BYTES] {
                let (_, _, bytes, too_long) = &read_lines(text.as_bytes(), step)[0];
                assert_eq!((bytes, *too_long), (&vec![b'x'; MAX_LINE], length > MAX_LINE));
            }
        }
    }
}
