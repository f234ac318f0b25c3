//! A text of the data set: what it is for, where it is, and what the first pass saw of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A text of the data set: a file, or a member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFile {
    /// What it is for.
    pub kind: Kind,
    /// The file on disk.
    pub path: PathBuf,
    /// The folder that it must lie below, wherever links lead; anywhere, where that is `None`.
    pub below: Option<Arc<Path>>,
    /// Its name in that file, where it is an archive.
    pub member: Option<String>,
    /// Where it begins in what the file holds, unpacked.
    pub position: u64,
    /// Its length in bytes, unpacked.
    pub bytes: u64,
    /// When the file was last changed, in microseconds since 1970, where the system knows.
    pub modified: Option<i64>,
    /// The CRC-32 of the text, unpacked.
    pub checksum: u32,
    /// Lines that hold a title, rating or pair.
    pub records: u64,
    /// Lines that could not be used.
    pub rejected: u64,
}

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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

impl Kind {
    /// Whether ratings can be loaded without it. Nothing that is wrong with such a file stops a load of ratings.
    pub fn is_optional(self) -> bool {
        self != Kind::Ratings
    }
}
