//! The contents of an archive, and the errors of reading one.

use std::sync::atomic::AtomicBool;

use crate::error::{Error, check};

/// Values of a column that are read or written between two checks of the cancel flag.
pub(super) const VALUES_PER_CHECK: usize = 1 << 16;

/// The version of the format that is written. Version 1, which has no [`Archive::prior`], can be read, too.
pub const FORMAT: u32 = 2;

/// Why an archive could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ArchiveError {
    /// The bytes are not an archive: their first bytes are not those of one.
    #[error("it begins with other bytes")]
    Foreign,
    /// The archive was written by a later version of this crate.
    #[error("it has format {0}, and this version reads formats 1 to {FORMAT}")]
    Format(u32),
    /// The archive is too short or too long.
    #[error("it has {found} bytes and should have {expected}")]
    Length {
        /// The length in bytes that its header states.
        expected: u64,
        /// Its length in bytes.
        found: u64,
    },
    /// The bytes were changed after they were written.
    #[error("its checksum does not match")]
    Checksum,
    /// The contents are not CBOR, or not a map of the right fields.
    #[error("its contents cannot be read: {0}")]
    Contents(String),
    /// A value is impossible, or two values contradict each other.
    #[error("{0}")]
    Invalid(String),
    /// The system refused memory.
    #[error("could not allocate {bytes} bytes")]
    OutOfMemory {
        /// How many bytes were requested.
        bytes: usize,
    },
    /// The cancel flag was set.
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

/// [`ArchiveError::Cancelled`] if the cancel flag is set.
pub(super) fn check_cancelled(cancelled: &AtomicBool) -> Result<(), ArchiveError> {
    Ok(check(cancelled)?)
}

/// A model and everything that is known about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Archive {
    /// Everything but the vectors.
    pub metadata: ModelMetadata,
    /// The customers.
    pub customers: ArchivedSide,
    /// The movies.
    pub movies: ArchivedSide,
    /// See [`crate::Model::prior`].
    pub prior: Option<Vec<f32>>,
}

/// The name of a model, how it was trained, and its errors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelMetadata {
    /// The model's name.
    pub name: String,
    /// The algorithm that trained it: one of [`crate::Algorithm::NAMES`], or `blend`.
    pub algorithm: String,
    /// The algorithm's parameters, as a JSON object.
    pub params: String,
    /// What it was trained on: `train` (without the probe) or `all`.
    pub train_on: String,
    /// Share of the ratings that was held out, from 0 to below 1.
    pub hold_out: f64,
    /// Length of each vector, over all samples.
    pub factors: u32,
    /// How many posterior samples each vector has, see [`crate::SampleLayout`].
    pub samples: u32,
    /// Mean of the training ratings, in stars.
    pub mean: f32,
    /// Number of training ratings.
    pub ratings: u64,
    /// Number of iterations.
    pub iterations: u32,
    /// RMSE on the training ratings, in stars.
    pub train_rmse: f64,
    /// RMSE on the probe, in stars, if there is one.
    pub probe_rmse: Option<f64>,
    /// [`crate::Trained::summary`] as JSON text.
    pub summary: Option<String>,
    /// Duration of the training, in seconds.
    pub seconds: f64,
    /// The errors after each iteration, by ascending number: the iteration's number, the RMSE on the training ratings, the RMSE on
    /// the held-out ratings, and the seconds since the training began.
    pub curve: Vec<CurvePoint>,
}

/// One point of [`ModelMetadata::curve`].
pub(super) type CurvePoint = (u32, f64, Option<f64>, f64);

/// The rows of one side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArchivedSide {
    /// The ids of the data set, from 1 on, in ascending order.
    pub ids: Vec<i32>,
    /// One bias per row.
    pub biases: Vec<f32>,
    /// The vectors of all rows, one after the other: rows x [`ModelMetadata::factors`] numbers.
    pub factors: Vec<f32>,
    /// See [`crate::Model::links`], one row after the other. Only movies can have them.
    pub links: Option<Vec<f32>>,
}
