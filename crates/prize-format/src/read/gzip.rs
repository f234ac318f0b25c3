//! Decompresses a gzipped file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

/// Reads the members of a gzipped file one after the other. Zeros after the last member are ignored, as gzip itself
/// does: they are padding to the block size of a tape.
pub struct GzipMembers {
    /// `None` after the last member.
    decoder: Option<GzDecoder<BufReader<CountedFile>>>,
    /// The bytes that were read from the disk when the last member had ended.
    bytes_at_end: u64,
}

impl GzipMembers {
    pub fn new(file: CountedFile) -> GzipMembers {
        let decoder = Some(GzDecoder::new(BufReader::new(file)));
        GzipMembers { decoder, bytes_at_end: 0 }
    }

    /// Moves on to the next member, if there is one.
    fn next_member(&mut self) -> io::Result<()> {
        let Some(decoder) = self.decoder.take() else { return Ok(()) };
        let mut source = decoder.into_inner();
        let mut has_padding = false;
        loop {
            let bytes = source.fill_buf()?;
            let (length, zeros) = (bytes.len(), bytes.iter().take_while(|&&b| b == 0).count());
            has_padding |= zeros > 0;
            source.consume(zeros);
            if zeros < length && has_padding {
                let message = "data follows the zeros after the last gzip member";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            if zeros == length && length > 0 {
                continue;
            }
            self.bytes_at_end = source.get_ref().bytes_read;
            self.decoder = (length > 0).then(|| GzDecoder::new(source));
            return Ok(());
        }
    }

    /// The number of bytes that were read from the disk.
    pub fn bytes_from_disk(&self) -> u64 {
        self.decoder.as_ref().map_or(self.bytes_at_end, |decoder| decoder.get_ref().get_ref().bytes_read)
    }
}

impl Read for GzipMembers {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let n = decoder.read(out).map_err(explained)?;
            if n > 0 || out.is_empty() {
                return Ok(n);
            }
            self.next_member()?;
        }
        Ok(0)
    }
}

/// The decoder's error with a message that a user understands.
fn explained(error: io::Error) -> io::Error {
    let message = match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the gzip file ends too early: it was not copied or downloaded completely"
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => "the gzip file is damaged",
        _ => return error,
    };
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// A file that counts the bytes that are read from it.
pub struct CountedFile {
    pub file: File,
    pub bytes_read: u64,
}

impl Read for CountedFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(out)?;
        self.bytes_read += n as u64;
        Ok(n)
    }
}
