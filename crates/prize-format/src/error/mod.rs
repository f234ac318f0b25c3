//! Why a data set could not be read, and what to do about it.

pub mod name_list;
pub mod obstacle;

use std::io;
use std::path::{Path, PathBuf};

use crate::parse::content::Content;
use crate::parse::reject::Reject;
use name_list::NameList;
use obstacle::{Obstacle, find_obstacle};

/// Why a data set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system could not open, list or read a file or folder.
    #[error("could not read \"{}\": {}", path.display(), describe(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The same, if the reason is known.
    #[error("could not read \"{}\": {}", path.display(), describe(source))]
    Unreachable {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
        /// The reason.
        obstacle: Obstacle,
    },
    /// There is no rating file.
    #[error("no rating files in \"{}\"", folder.display())]
    NoRatings {
        /// The folder or archive that was searched.
        folder: PathBuf,
        /// The names of what it holds instead.
        found: NameList,
        /// The first archive or compressed file among them.
        packed: Option<(PathBuf, Content)>,
    },
    /// The given folder has no rating files, but several folders in it have.
    #[error("several folders in \"{}\" hold rating files", folder.display())]
    SeveralFolders {
        /// The given folder.
        folder: PathBuf,
        /// The folders that hold rating files.
        found: Vec<PathBuf>,
    },
    /// A file does not hold what it should.
    #[error("{} holds {}, not {wanted}", place(path, member.as_deref()), content.name())]
    WrongContent {
        /// The file on disk.
        path: PathBuf,
        /// The member's name, if the error is about a member of an archive.
        member: Option<String>,
        /// Whether the file on disk is gzipped. `content` is then what it holds after decompression.
        is_gzipped: bool,
        /// What it holds.
        content: Content,
        /// What it should hold.
        wanted: &'static str,
    },
    /// A member of an archive has the name of a rating file, but is not a plain file, so its ratings cannot be read.
    #[error("{} is {kind}: its ratings would be missing", place(path, Some(member)))]
    NotAFile {
        /// The archive.
        path: PathBuf,
        /// The member's name.
        member: String,
        /// What it is instead.
        kind: &'static str,
    },
    /// A path lies outside the folder that all files must lie in. Usually a symbolic link leads there.
    #[error("\"{}\" lies outside \"{}\"", path.display(), below.display())]
    Outside {
        /// The file or folder.
        path: PathBuf,
        /// The folder that all files must lie in.
        below: PathBuf,
    },
    /// The number of lines of ratings that cannot be used is over the limit.
    #[error("more than {max} lines could not be used")]
    TooManyRejects {
        /// The limit.
        max: u64,
        /// The file of the first such line.
        path: PathBuf,
        /// The first such line.
        reject: Reject,
    },
    /// A file has changed between the two passes.
    #[error("\"{}\" has changed since it was first read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// An allocation failed.
    #[error("out of memory")]
    OutOfMemory,
    /// The survey needs more memory than is allowed.
    #[error("more memory is needed than is allowed")]
    MemoryLimit {
        /// The least number of bytes that is needed.
        needed: usize,
    },
    /// The stored bytes of a unit are damaged, or the unit belongs to other files.
    #[error("a stored unit of work is damaged")]
    DamagedUnit,
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// How to get the right content for a file that holds something else: a sentence, with the command if there is one.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Error::WrongContent { path, member: Some(_), .. } | Error::NotAFile { path, .. } => {
                Some(Content::Tar.remedy(path))
            }
            // A gzipped file has to be decompressed first. For a gzipped archive, tar does both steps.
            Error::WrongContent { path, is_gzipped: true, content, .. } if *content != Content::Tar => {
                Some(Content::Gzip.remedy(path))
            }
            Error::WrongContent { path, content, .. } => Some(content.remedy(path)),
            _ => None,
        }
    }

    /// Why a file was skipped, and what to do about it. A sentence that names the file comes before this text.
    pub(crate) fn why_skipped(&self) -> String {
        const REPLACE: &str = "Put a good copy there and load the folder again";
        match (self, self.remedy()) {
            (Error::Io { source, .. }, _) => format!("{}. {REPLACE}", describe(source)),
            (Error::WrongContent { content, .. }, Some(remedy)) => {
                format!("it holds {}. {REPLACE}. {remedy}", content.name())
            }
            _ => format!("{self}. {REPLACE}"),
        }
    }
}

impl Error {
    /// Turns [`Error::Io`] into [`Error::Unreachable`] if the reason can be found. If the caller may read only files in
    /// the folder `below`, nothing outside that folder is looked at.
    pub(crate) fn with_obstacle(self, below: Option<&Path>) -> Error {
        match self {
            Error::Io { path, source } => match find_obstacle(&path, &source, below) {
                Some(obstacle) => Error::Unreachable { path, source, obstacle },
                None => Error::Io { path, source },
            },
            error => error,
        }
    }
}

/// The error for a path that could not be opened: [`Error::Unreachable`] where the reason can be found, otherwise
/// [`Error::Io`]. `below` is the folder that the caller's files must lie in, if there is one.
pub fn path_error(path: &Path, source: io::Error, below: Option<&Path>) -> Error {
    Error::Io { path: path.into(), source }.with_obstacle(below)
}

/// A file, or a member of an archive, in a sentence.
fn place(path: &Path, member: Option<&str>) -> String {
    match member {
        Some(member) => format!("\"{member}\" in \"{}\"", path.display()),
        None => format!("\"{}\"", path.display()),
    }
}

/// The operating system's message, without the error number that Rust adds.
fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
