//! What an archive holds, and why one cannot be read.

use std::sync::atomic::AtomicBool;

use crate::error::{Error, check};

/// Numbers of a column between two checks of the cancel flag.
pub(super) const VALUES_PER_CHECK: usize = 1 << 16;

/// The version of the format that is written. Those before it are read, too: the first had no [`Archive::prior`].
pub const FORMAT: u32 = 2;

/// Why an archive could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ArchiveError {
    /// It begins with something else.
    #[error("it does not begin as one")]
    Foreign,
    /// It was written by a later version.
    #[error("it has format {0}, and this version reads formats 1 to {FORMAT}")]
    Format(u32),
    /// Something is missing of it, or too much.
    #[error("it has {found} bytes and should have {expected}")]
    Length {
        /// As its header has it.
        expected: u64,
        /// As many as there are.
        found: u64,
    },
    /// Its bytes are not those that were written.
    #[error("its checksum does not match")]
    Checksum,
    /// It is no CBOR, or not such a map.
    #[error("its contents cannot be read: {0}")]
    Contents(String),
    /// It contradicts itself.
    #[error("{0}")]
    Invalid(String),
    /// The system would not give this much memory.
    #[error("could not allocate {bytes} bytes")]
    OutOfMemory {
        /// How much was asked for.
        bytes: usize,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl From<Error> for ArchiveError {
    fn from(error: Error) -> ArchiveError {
        match error {
            Error::OutOfMemory { bytes } => ArchiveError::OutOfMemory { bytes },
            Error::Cancelled => ArchiveError::Cancelled,
            error => ArchiveError::Invalid(error.to_string()),
        }
    }
}

pub(super) fn go_on(cancelled: &AtomicBool) -> Result<(), ArchiveError> {
    Ok(check(cancelled)?)
}

/// A model with all that is known of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Archive {
    /// What a model's row has.
    pub about: About,
    /// Customers, by id.
    pub customers: Rows,
    /// Movies, by id.
    pub movies: Rows,
    /// As [`crate::Model::prior`].
    pub prior: Option<Vec<f32>>,
}

/// What a model's row has, and how its training went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// Its name.
    pub name: String,
    /// By which it was trained: one of [`crate::Algorithm::NAMES`].
    pub algorithm: String,
    /// The algorithm's parameters: JSON.
    pub params: String,
    /// `train` or `all`.
    pub train_on: String,
    /// Share of ratings held out.
    pub hold_out: f64,
    /// Length of each vector.
    pub factors: u32,
    /// Samples side by side in each vector.
    pub samples: u32,
    /// Mean of the ratings trained on.
    pub mean: f32,
    /// How many these were.
    pub ratings: u64,
    /// Iterations made.
    pub iterations: u32,
    /// RMSE on the ratings trained on.
    pub train_rmse: f64,
    /// RMSE on the probe.
    pub probe_rmse: Option<f64>,
    /// What else the algorithm found: JSON.
    pub summary: Option<String>,
    /// How long training took.
    pub seconds: f64,
    /// How each iteration went, by number.
    pub curve: Vec<Point>,
}

/// An iteration's number, RMSE on ratings trained on and held out, and seconds.
pub(super) type Point = (u32, f64, Option<f64>, f64);

/// One side's rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The data set's own ids, ascending.
    pub ids: Vec<i32>,
    /// One a row.
    pub biases: Vec<f32>,
    /// Vectors one behind the other.
    pub factors: Vec<f32>,
    /// As [`crate::Model::links`], of movies alone.
    pub links: Option<Vec<f32>>,
}
