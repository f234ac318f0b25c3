//! What a file holds, judged by its first bytes, because its name may be wrong. Also: how to get the text out of it.

use std::ffi::OsString;
use std::path::Path;

/// What a file, or the gzipped text in it, seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Anything that is none of the others.
    Text,
    /// A gzip file (RFC 1952).
    Gzip,
    /// A tar archive of any variant.
    Tar,
    /// A zip archive.
    Zip,
    /// A file that `bzip2` made.
    Bzip2,
    /// A file that `xz` made.
    Xz,
    /// A zstd file (RFC 8878).
    Zstd,
    /// An archive that `7z` made.
    SevenZip,
    /// An archive that `rar` made.
    Rar,
    /// Text in UTF-16, with or without a byte order mark.
    Utf16,
    /// A web page, such as one that asks to log in.
    Html,
    /// JSON, such as an error message of a web site.
    Json,
    /// The small file that Git stores in place of a file of Git LFS, until Git LFS fetches the file itself.
    LfsPointer,
}

impl Content {
    /// How many of the first bytes are needed: the size of a tar header.
    pub const HEAD_BYTES: usize = 512;

    /// Detects what begins with these bytes. There are fewer than [`Content::HEAD_BYTES`] of them where the file is
    /// shorter.
    pub fn detect(head: &[u8]) -> Content {
        const MAGIC: [(&[u8], Content); 10] = [
            (b"\x1f\x8b\x08", Content::Gzip),
            (b"PK\x03\x04", Content::Zip),
            (b"PK\x05\x06", Content::Zip),
            (b"BZh", Content::Bzip2),
            (b"\xfd7zXZ\0", Content::Xz),
            (b"\x28\xb5\x2f\xfd", Content::Zstd),
            (b"7z\xbc\xaf\x27\x1c", Content::SevenZip),
            (b"Rar!\x1a\x07", Content::Rar),
            (b"\xff\xfe", Content::Utf16),
            (b"\xfe\xff", Content::Utf16),
        ];
        if let Some(&(_, content)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
            return content;
        }
        if is_tar(head) {
            return Content::Tar;
        }
        if is_utf16(head) {
            return Content::Utf16;
        }
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        match text {
            [b'<', ..] => Content::Html,
            [b'{', ..] => Content::Json,
            _ if text.starts_with(b"version https://git-lfs") => Content::LfsPointer,
            _ => Content::Text,
        }
    }

    /// Its name in a sentence, with its article.
    pub fn name(self) -> &'static str {
        match self {
            Content::Text => "text",
            Content::Gzip => "a gzip file",
            Content::Tar => "a tar archive",
            Content::Zip => "a zip archive",
            Content::Bzip2 => "a bzip2 file",
            Content::Xz => "an xz file",
            Content::Zstd => "a zstd file",
            Content::SevenZip => "a 7z archive",
            Content::Rar => "a rar archive",
            Content::Utf16 => "text in UTF-16",
            Content::Html => "an HTML page",
            Content::Json => "JSON",
            Content::LfsPointer => "a Git LFS pointer",
        }
    }

    /// Whether it is an archive or a compressed file.
    pub fn is_packed(self) -> bool {
        !matches!(self, Content::Text | Content::Utf16 | Content::Html | Content::Json | Content::LfsPointer)
    }

    /// How to get the text that the file should hold: a sentence, with the command for it if there is one.
    pub fn remedy(self, path: &Path) -> String {
        let folder = quoted(path.parent().unwrap_or(Path::new("/")));
        // Some programs unpack only a file whose name has their ending. Others would write over the file that they
        // read.
        let unpack = |ending: &str, command: &dyn Fn(&str) -> String| {
            let name = quoted(path);
            if has_ending(path, ending) {
                return format!("Unpack it: {}", command(&name));
            }
            let mut renamed = OsString::from(path);
            renamed.push(format!(".{ending}"));
            let renamed = quoted(Path::new(&renamed));
            format!("Unpack it: mv {name} {renamed} && {}", command(&renamed))
        };
        let is_packed_tar = path.file_stem().is_some_and(|stem| has_ending(Path::new(stem), "tar"));
        match self {
            Content::Gzip if is_packed_tar || has_ending(path, "tgz") => Content::Tar.remedy(path),
            Content::Gzip => unpack("gz", &|name| format!("gunzip {name}")),
            Content::Zip => unpack("zip", &|name| format!("unzip {name} -d {folder}")),
            Content::Bzip2 => unpack("bz2", &|name| format!("bunzip2 {name}")),
            Content::Xz => unpack("xz", &|name| format!("unxz {name}")),
            Content::Zstd => unpack("zst", &|name| format!("unzstd {name}")),
            Content::SevenZip => unpack("7z", &|name| format!("7z x {name} -o{folder}")),
            Content::Rar => unpack("rar", &|name| format!("unrar x {name} {folder}/")),
            Content::Tar => format!("Unpack it: tar -xf {} -C {folder}", quoted(path)),
            Content::Utf16 => {
                let (from, mut to) = (quoted(path), OsString::from(path));
                to.push(".utf8");
                let to = quoted(Path::new(&to));
                format!("Convert it: iconv -f UTF-16 -t UTF-8 {from} >{to} && mv {to} {from}")
            }
            Content::Html | Content::Json => {
                "Download it again: a web site sent this in place of the file.".into()
            }
            Content::LfsPointer => "Fetch the file itself: git lfs pull".into(),
            Content::Text => "Replace it with the archive, or remove it.".into(),
        }
    }
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending))
}

/// A path in quotes for a shell.
pub fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}

/// Whether it is a tar header: all variants of tar have the same checksum at the same place.
fn is_tar(head: &[u8]) -> bool {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let Some(header) = head.get(..512) else { return false };
    let digits =
        header[CHECKSUM].iter().skip_while(|&&b| b == b' ').take_while(|b| (b'0'..=b'7').contains(b));
    let checksum = digits.fold(0, |sum, digit| sum * 8 + u32::from(digit - b'0'));
    let sum = header.iter().zip(0..).map(|(&b, at)| if CHECKSUM.contains(&at) { 32 } else { u32::from(b) });
    checksum != 0 && sum.sum::<u32>() == checksum
}

/// Whether every second one of the first 16 bytes is zero, as in UTF-16 text in the Latin alphabet.
fn is_utf16(head: &[u8]) -> bool {
    let pairs = head[..head.len().min(16)].as_chunks::<2>().0;
    let all = |matches: fn(&[u8; 2]) -> bool| pairs.len() >= 4 && pairs.iter().all(matches);
    all(|pair| pair[0] != 0 && pair[1] == 0) || all(|pair| pair[0] == 0 && pair[1] != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_show_the_content() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let utf16_be = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        let mut header = tar::Header::new_old();
        header.set_path("mv_1.txt").unwrap();
        header.set_size(3);
        header.set_cksum();
        for (head, content) in [
            (&b""[..], Content::Text),
            (b"1:\n7,5,2004-02-29\n", Content::Text),
            (b"\xef\xbb\xbf1:\n", Content::Text),
            (b"1,2003,A Title\n", Content::Text),
            (b"\x1f\x8b\x08\0", Content::Gzip),
            (b"PK\x03\x04\x14", Content::Zip),
            (b"BZh91AY&SY", Content::Bzip2),
            (b"\xfd7zXZ\0\0", Content::Xz),
            (b"\x28\xb5\x2f\xfd$", Content::Zstd),
            (b"7z\xbc\xaf\x27\x1c\0", Content::SevenZip),
            (b"Rar!\x1a\x07\x01", Content::Rar),
            (&utf16("\u{feff}1:\r\n"), Content::Utf16),
            (&utf16_be("\u{feff}1:\r\n"), Content::Utf16),
            (&utf16("1:\n7,5\n"), Content::Utf16),
            (&utf16_be("1:\n7,5\n"), Content::Utf16),
            (b"\r\n <!DOCTYPE html>", Content::Html),
            (b"\xef\xbb\xbf<?xml version", Content::Html),
            (b"{\"code\":403}", Content::Json),
            (b"version https://git-lfs.github.com/spec/v1\n", Content::LfsPointer),
            (header.as_bytes(), Content::Tar),
            (&header.as_bytes()[..511], Content::Text),
            (&[0; 512], Content::Text),
        ] {
            assert_eq!(Content::detect(head), content, "{head:?}");
        }
    }

    #[test]
    fn a_remedy_can_be_pasted_into_a_shell() {
        let path = Path::new("/d/it's/combined_data_1.txt");
        assert_eq!(
            Content::Zip.remedy(path),
            "Unpack it: mv '/d/it'\\''s/combined_data_1.txt' '/d/it'\\''s/combined_data_1.txt.zip' \
             && unzip '/d/it'\\''s/combined_data_1.txt.zip' -d '/d/it'\\''s'"
        );
        let tar = Path::new("/d/training_set.tar.gz");
        assert_eq!(Content::Gzip.remedy(tar), "Unpack it: tar -xf '/d/training_set.tar.gz' -C '/d'");
        assert_eq!(Content::Xz.remedy(Path::new("/d/a.xz")), "Unpack it: unxz '/d/a.xz'");
    }
}
