//! Writes text files with the wanted line ends, gzipped or not.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::settings::Style;

/// A file that is being written. The text that it is given has plain line ends (`\n`); the file gets those of the
/// style.
pub struct Output {
    sink: Sink,
    line_ends: LineEnds,
}

enum Sink {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Output {
    /// Creates a file in a folder. If it is gzipped, `.gz` is added to its name.
    pub fn create(folder: &Path, name: &str, style: Style) -> io::Result<Output> {
        let suffix = if style.gzip { ".gz" } else { "" };
        let file = BufWriter::with_capacity(1 << 16, File::create(folder.join(format!("{name}{suffix}")))?);
        let sink = match style.gzip {
            true => Sink::Gzip(GzEncoder::new(file, Compression::fast())),
            false => Sink::Plain(file),
        };
        Ok(Output { sink, line_ends: LineEnds::new(style) })
    }

    /// Writes what is still to be written. Must be called at the end.
    pub fn finish(mut self) -> io::Result<()> {
        self.line_ends.finish(&mut self.sink)?;
        match self.sink {
            Sink::Plain(mut file) => file.flush(),
            Sink::Gzip(file) => file.finish()?.flush(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.line_ends.write(&mut self.sink, text)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Plain(file) => file.write(bytes),
            Sink::Gzip(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Plain(file) => file.flush(),
            Sink::Gzip(file) => file.flush(),
        }
    }
}

/// Replaces plain line ends by those of the style. A line end is written only when more text follows, because the last
/// one may have to be left out.
pub struct LineEnds {
    style: Style,
    /// Whether a line end is still to be written.
    is_pending: bool,
}

impl LineEnds {
    pub fn new(style: Style) -> LineEnds {
        LineEnds { style, is_pending: false }
    }

    /// Writes text with plain line ends.
    pub fn write(&mut self, sink: &mut impl Write, text: &[u8]) -> io::Result<()> {
        let (false, true) = (self.style.crlf, self.style.final_newline) else {
            for piece in text.split_inclusive(|&b| b == b'\n') {
                self.write_pending(sink)?;
                let line = piece.strip_suffix(b"\n");
                sink.write_all(line.unwrap_or(piece))?;
                self.is_pending = line.is_some();
            }
            return Ok(());
        };
        sink.write_all(text)
    }

    fn write_pending(&mut self, sink: &mut impl Write) -> io::Result<()> {
        match std::mem::take(&mut self.is_pending) {
            true => sink.write_all(if self.style.crlf { b"\r\n" } else { b"\n" }),
            false => Ok(()),
        }
    }

    /// Writes the last line end, unless the style leaves it out.
    pub fn finish(&mut self, sink: &mut impl Write) -> io::Result<()> {
        if self.style.final_newline { self.write_pending(sink) } else { Ok(()) }
    }
}
