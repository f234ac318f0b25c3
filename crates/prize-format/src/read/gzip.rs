//! A gzipped file as the text it holds.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

/// The members of a gzipped file, one after the other. Zeros behind the last one are no part of it, as for gzip itself: they
/// fill up the blocks of a tape.
pub struct Members {
    /// None behind the last one.
    decoder: Option<GzDecoder<BufReader<Counted>>>,
    /// What had been read from the disk at the end.
    read: u64,
}

impl Members {
    pub fn new(file: Counted) -> Members {
        let decoder = Some(GzDecoder::new(BufReader::new(file)));
        Members { decoder, read: 0 }
    }

    /// Goes on to the next member, if there is one.
    fn next(&mut self) -> io::Result<()> {
        let Some(decoder) = self.decoder.take() else { return Ok(()) };
        let mut source = decoder.into_inner();
        let mut is_padded = false;
        loop {
            let bytes = source.fill_buf()?;
            let (length, zeros) = (bytes.len(), bytes.iter().take_while(|&&b| b == 0).count());
            is_padded |= zeros > 0;
            source.consume(zeros);
            if zeros < length && is_padded {
                let message = "something follows the zeros behind a gzip member";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            if zeros == length && length > 0 {
                continue;
            }
            self.read = source.get_ref().read;
            self.decoder = (length > 0).then(|| GzDecoder::new(source));
            return Ok(());
        }
    }

    pub fn read_from_disk(&self) -> u64 {
        self.decoder.as_ref().map_or(self.read, |decoder| decoder.get_ref().get_ref().read)
    }
}

impl Read for Members {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let n = decoder.read(out).map_err(unpacking)?;
            if n > 0 || out.is_empty() {
                return Ok(n);
            }
            self.next()?;
        }
        Ok(0)
    }
}

/// What is wrong with a file that cannot be unpacked, in a person's words.
fn unpacking(error: io::Error) -> io::Error {
    let message = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the gzip file ends too early: it was not copied or downloaded whole",
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => "the gzip file is damaged",
        _ => return error,
    };
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// A file that knows how much of it was read.
pub struct Counted {
    pub file: File,
    pub read: u64,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(out)?;
        self.read += n as u64;
        Ok(n)
    }
}
