//! The Netflix Prize's raw files: find, read, check and write them, and make samples of any size.
//!
//! ```text
//! Folder::open ─> Survey::take ─> leave_out_duplicates ─> units ─> RatingReader::read
//!   which files     first pass       where it must           second pass, movie by movie
//! ```

mod archive;
mod blocks;
mod date;
mod duplicates;
mod folder;
mod ids;
mod lines;
mod notice;
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
pub use date::Date;
pub use duplicates::Known;
pub use folder::Folder;
pub use ids::{IdSet, RankedIds};
pub use lines::Line;
pub use notice::{Listed, Notice};
pub use reader::{QualifyingPair, RatingReader, read_probe, read_qualifying};
pub use record::{Judged, Probe, Qualifying, Rating, Reason, Record, Subset};
pub use source::{ContentCheck, modified};
pub use survey::{Kind, Limits, Progress, Reject, Rejects, Survey, TextFile, Watch};
pub use title_form::TitleForm;
pub use titles::Title;
pub use unit::{MovieUnit, Unit};

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
        /// The folder or archive looked through.
        folder: PathBuf,
        /// What it holds instead.
        found: Vec<String>,
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

/// What the system said, without the number that Rust adds.
fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
