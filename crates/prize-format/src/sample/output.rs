//! Files under way, compressed or not.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::settings::Style;

/// A file, compressed or not, whose lines end as the style says.
pub struct Output {
    sink: Sink,
    lines: Lines,
}

enum Sink {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Output {
    pub fn create(folder: &Path, name: &str, style: Style) -> io::Result<Output> {
        let suffix = if style.gzip { ".gz" } else { "" };
        let file = BufWriter::with_capacity(1 << 16, File::create(folder.join(format!("{name}{suffix}")))?);
        let sink = match style.gzip {
            true => Sink::Gzip(GzEncoder::new(file, Compression::fast())),
            false => Sink::Plain(file),
        };
        Ok(Output { sink, lines: Lines { style, is_held: false } })
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.lines.finish(&mut self.sink)?;
        match self.sink {
            Sink::Plain(mut file) => file.flush(),
            Sink::Gzip(file) => file.finish()?.flush(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.lines.write(&mut self.sink, text)?;
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

/// Turns plain line ends into the style's, holding back the one that may be the last.
pub struct Lines {
    pub style: Style,
    pub is_held: bool,
}

impl Lines {
    pub fn write(&mut self, sink: &mut impl Write, text: &[u8]) -> io::Result<()> {
        let (false, true) = (self.style.crlf, self.style.final_newline) else {
            for piece in text.split_inclusive(|&b| b == b'\n') {
                self.release(sink)?;
                let line = piece.strip_suffix(b"\n");
                sink.write_all(line.unwrap_or(piece))?;
                self.is_held = line.is_some();
            }
            return Ok(());
        };
        sink.write_all(text)
    }

    fn release(&mut self, sink: &mut impl Write) -> io::Result<()> {
        match std::mem::take(&mut self.is_held) {
            true => sink.write_all(if self.style.crlf { b"\r\n" } else { b"\n" }),
            false => Ok(()),
        }
    }

    pub fn finish(&mut self, sink: &mut impl Write) -> io::Result<()> {
        if self.style.final_newline { self.release(sink) } else { Ok(()) }
    }
}
