//! Why a data set could not be read, and what to do about it.

pub mod name_list;
pub mod obstacle;

use std::io;
use std::path::{Path, PathBuf};

use crate::parse::content::Content;
use crate::parse::reject::Reject;
use name_list::Listed;
use obstacle::{Obstacle, obstacle};

/// Why a data set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system would not open, list or read it.
    #[error("could not read \"{}\": {}", path.display(), describe(source))]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The same, where it is known what stands in the way.
    #[error("could not read \"{}\": {}", path.display(), describe(source))]
    Unreachable {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
        /// What stands in the way.
        obstacle: Obstacle,
    },
    /// No rating file is there.
    #[error("no rating files in \"{}\"", folder.display())]
    NoRatings {
        /// The folder or archive looked through.
        folder: PathBuf,
        /// What it holds instead.
        found: Listed,
        /// The first of these that has to be unpacked.
        packed: Option<(PathBuf, Content)>,
    },
    /// Rating files lie in several folders, and none in the one that was named.
    #[error("several folders in \"{}\" hold rating files", folder.display())]
    SeveralFolders {
        /// The folder looked through.
        folder: PathBuf,
        /// Those that hold rating files.
        found: Vec<PathBuf>,
    },
    /// A file is not what it should be.
    #[error("{} holds {}, not {wanted}", place(path, member.as_deref()), content.name())]
    NotAs {
        /// The file on disk.
        path: PathBuf,
        /// Its name there, where that is an archive.
        member: Option<String>,
        /// Whether the file on disk is gzipped, and this is what was packed.
        is_gzipped: bool,
        /// What it is.
        content: Content,
        /// What it should be.
        wanted: &'static str,
    },
    /// A member of an archive has the name of a rating file, and cannot be read out of the archive.
    #[error("{} is {kind}: its ratings would be missing", place(path, Some(member)))]
    NoFile {
        /// The archive.
        path: PathBuf,
        /// Its name there.
        member: String,
        /// What it is instead.
        kind: &'static str,
    },
    /// A link leads out of the folder that files must lie below.
    #[error("\"{}\" leads out of \"{}\"", path.display(), below.display())]
    Outside {
        /// Which file or folder.
        path: PathBuf,
        /// The folder.
        below: PathBuf,
    },
    /// More lines had to be refused than are allowed.
    #[error("more than {max} lines could not be used")]
    TooManyRejects {
        /// How many are allowed.
        max: u64,
        /// The file of the first of them.
        path: PathBuf,
        /// The first of them.
        reject: Reject,
    },
    /// A file changed between the two passes.
    #[error("\"{}\" has changed since it was first read", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// The system would not give more memory.
    #[error("out of memory")]
    OutOfMemory,
    /// What was found takes more memory than allowed.
    #[error("more memory is needed than is allowed")]
    MemoryLimit {
        /// How many bytes, at least.
        needed: usize,
    },
    /// A unit that was kept cannot be read.
    #[error("a unit of work cannot be unpacked")]
    DamagedUnit,
    /// The watch asked to stop.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// What a person can do about a file that is not what it should be.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Error::NotAs { path, member: Some(_), .. } | Error::NoFile { path, .. } => {
                Some(Content::Tar.remedy(path))
            }
            // What was packed has to be unpacked first; tar does both.
            Error::NotAs { path, is_gzipped: true, content, .. } if *content != Content::Tar => {
                Some(Content::Gzip.remedy(path))
            }
            Error::NotAs { path, content, .. } => Some(content.remedy(path)),
            _ => None,
        }
    }

    /// Why a file was left aside, and what to do: part of a sentence that names it.
    pub(crate) fn why(&self) -> String {
        const AGAIN: &str = "Put a good copy there and load the folder again";
        match (self, self.remedy()) {
            (Error::Io { source, .. }, _) => format!("{}. {AGAIN}", describe(source)),
            (Error::NotAs { content, .. }, Some(remedy)) => {
                format!("it holds {}. {AGAIN}. {remedy}", content.name())
            }
            _ => format!("{self}. {AGAIN}"),
        }
    }
}

impl Error {
    /// The same, with what stands in the way where the system would not open something. For somebody who may read nothing
    /// but what lies below a folder, only what lies there is looked at.
    pub(crate) fn explained(self, below: Option<&Path>) -> Error {
        match self {
            Error::Io { path, source } => match obstacle(&path, &source, below) {
                Some(obstacle) => Error::Unreachable { path, source, obstacle },
                None => Error::Io { path, source },
            },
            error => error,
        }
    }
}

/// [`Error::Unreachable`], or what else the system said of a path that could not be opened.
pub fn unreachable(path: &Path, source: io::Error, below: Option<&Path>) -> Error {
    Error::Io { path: path.into(), source }.explained(below)
}

/// A file, or what an archive holds.
fn place(path: &Path, member: Option<&str>) -> String {
    match member {
        Some(member) => format!("\"{member}\" in \"{}\"", path.display()),
        None => format!("\"{}\"", path.display()),
    }
}

/// What the system said, without the number that Rust adds.
fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
