//! A text of the data set: what it is for, where it is, and what the first pass found in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A text of the data set: a file, or a member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFile {
    /// What it is for.
    pub kind: TextKind,
    /// The file on disk.
    pub path: PathBuf,
    /// The folder that the file must lie in, after links are followed. `None`: any folder.
    pub below: Option<Arc<Path>>,
    /// The member's name, if the file is an archive.
    pub member: Option<String>,
    /// The offset of its first byte in the decompressed file.
    pub position: u64,
    /// Its decompressed length in bytes.
    pub bytes: u64,
    /// The file's modification time in microseconds since 1970, if the operating system knows it.
    pub modified: Option<i64>,
    /// The CRC-32 of the decompressed text.
    pub checksum: u32,
    /// The number of lines with a title, rating or pair.
    pub records: u64,
    /// The number of lines that could not be used.
    pub rejected: u64,
}

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// `movie_titles.csv` or `.txt`
    Titles,
    /// A part of the training set.
    Ratings,
    /// `probe.txt`
    Probe,
    /// `qualifying.txt`
    Qualifying,
    /// `judging.txt`
    Judging,
}

impl TextKind {
    /// Whether ratings can be loaded without it. An error in an optional file does not stop a load of ratings.
    pub fn is_optional(self) -> bool {
        self != TextKind::Ratings
    }
}
