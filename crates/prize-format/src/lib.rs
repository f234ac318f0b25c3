//! The Netflix Prize's raw files: find, read, check and write them, and make samples of any size.
//!
//! ```text
//! Folder::open ─> Survey::take ─> Survey::read_ratings
//!   which files     first pass      second pass, movie by movie
//! ```

mod blocks;
mod date;
mod folder;
mod ids;
mod lines;
mod reader;
mod record;
pub mod sample;
mod survey;
mod titles;

pub use date::Date;
pub use folder::Folder;
pub use ids::RankedIds;
pub use reader::RatingReader;
pub use record::{Rating, Reason};
pub use survey::{Progress, Reject, Rejects, Survey, SurveyedFile, Watch};
pub use titles::Title;

use std::path::PathBuf;

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
    /// No rating file is there.
    #[error("no rating files in \"{}\"", folder.display())]
    NoRatings {
        /// The folder looked through.
        folder: PathBuf,
        /// What it holds instead.
        found: Vec<String>,
    },
    /// More lines had to be refused than are allowed.
    #[error("more than {max} lines could not be used")]
    TooManyRejects {
        /// How many are allowed.
        max: u64,
        /// The file that went beyond it.
        path: PathBuf,
        /// The line that did.
        reject: Reject,
    },
    /// A file changed between the two passes.
    #[error("\"{}\" changed while it was being read", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// The system would not give more memory.
    #[error("out of memory")]
    OutOfMemory,
    /// The watch asked to stop.
    #[error("stopped")]
    Stopped,
}

/// What the system said, without the number that Rust adds.
fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
