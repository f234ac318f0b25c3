//! Finds, reads, checks and writes the Netflix Prize's raw files. It knows nothing about PostgreSQL.
//!
//! # Use
//!
//! A load reads the files twice. The first pass finds what is in them, the second pass reads the ratings movie by
//! movie:
//!
//! 1. [`Folder::open`] finds the files of the data set in a folder.
//! 2. [`Survey::take`] is the first pass. It reads every file in parallel, and finds the customers, the movies, the
//!    titles, where each movie's ratings are, and the lines that cannot be used.
//! 3. [`Survey::leave_out_duplicates`] finds the ratings that are there twice or are loaded already.
//! 4. [`Survey::units`] divides the second pass into units, which can be stored and loaded in any order.
//! 5. [`RatingReader::read`] reads the ratings of one movie of a unit. [`read_probe`] and [`read_qualifying`] read the
//!    pairs.
//!
//! # Where to find what
//!
//! Each folder imports only from the folders above it in this list. To understand how a rating file is read, read the
//! files in this order.
//!
//! | folder | what it does | files to read first |
//! | --- | --- | --- |
//! | `parse/` | turns bytes into lines, records and titles; opens no files | `lines.rs`, `record.rs`, `blocks.rs`; for titles `title.rs`, `title_form.rs` |
//! | `error/` | errors, with the reason and what to do about it | `mod.rs` |
//! | `find/` | finds the data set's files in a folder or an archive, and says which are not read | `names.rs`, `folder.rs`, `archive.rs` |
//! | `read/` | files as streams, and the second pass | `stream.rs`, `unit.rs`, `ratings.rs` |
//! | `check/` | the first pass, and what is between the passes | `survey.rs`, `jobs.rs`, `text_reader.rs`, `duplicates.rs` |
//! | `sample/` | writes made-up data sets in the same format | `settings.rs`, `generate.rs` |

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
