//! The Netflix Prize's raw files: find, read, check and write them, and make samples of any size.
//!
//! ```text
//! Folder::open ─> Survey::take ─> leave_out_duplicates ─> units ─> RatingReader::read
//!   which files     first pass       where it must           second pass, movie by movie
//! ```

mod check;
mod error;
mod find;
mod parse;
mod read;
pub mod sample;

pub use check::duplicates::LoadedRatings;
pub use check::ids::{IdSet, RankedIds};
pub use check::pass::{Limits, Progress, Watch};
pub use check::survey::{Rejects, Survey};
pub use error::name_list::NameList;
pub use error::obstacle::Obstacle;
pub use error::{Error, path_error};
pub use find::folder::Folder;
pub use find::notice::Notice;
pub use parse::blocks::{BlockReader, Event, LocatedEvent};
pub use parse::content::Content;
pub use parse::date::Date;
pub use parse::lines::Line;
pub use parse::record::{Judged, Probe, Qualifying, Rating, Record, Subset};
pub use parse::reject::{Reason, Reject};
pub use parse::title::Title;
pub use parse::title_form::TitleForm;
pub use read::content_check::{ContentCheck, modification_time};
pub use read::pairs::{QualifyingPair, read_probe, read_qualifying};
pub use read::ratings::RatingReader;
pub use read::text_file::{TextFile, TextKind};
pub use read::unit::{MovieUnit, Unit};
