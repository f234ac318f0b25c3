//! The Netflix Prize's raw files: find, read, check and write them, and make samples of any size.
//!
//! ```text
//! Folder::open ─> Survey::take ─> leave_out_duplicates ─> units ─> RatingReader::read
//!   which files     first pass       where it must           second pass, movie by movie
//! ```

mod archive;
mod blocks;
mod content;
mod date;
mod duplicates;
mod folder;
mod ids;
mod lines;
mod notice;
mod optional;
mod reach;
mod reader;
mod record;
pub mod sample;
mod source;
mod steps;
mod survey;
mod surveyor;
mod title_form;
mod titles;
mod titles_text;
mod unit;

pub use blocks::{BlockReader, Event, Located};
pub use content::Content;
pub use date::Date;
pub use duplicates::Known;
pub use folder::Folder;
pub use ids::{IdSet, RankedIds};
pub use lines::Line;
pub use notice::{Listed, Notice};
pub use reach::{Obstacle, unreachable};
pub use reader::{QualifyingPair, RatingReader, read_probe, read_qualifying};
pub use record::{Judged, Probe, Qualifying, Rating, Reason, Record, Subset};
pub use source::{ContentCheck, modified};
pub use survey::{Kind, Limits, Progress, Reject, Rejects, Survey, TextFile, Watch};
pub use title_form::TitleForm;
pub use titles::Title;
pub use unit::{MovieUnit, Unit};

use std::path::{Path, PathBuf};

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
