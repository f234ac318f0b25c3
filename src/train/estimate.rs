//! What a training would take: `train_estimate`.

use factor::{Algorithm, Size};

use super::error::TrainError;
use crate::pg::snapshot::Snapshot;
use crate::pg::{guc, threads};
use crate::warehouse::ratings;

/// How many ratings are read and sorted in a second, and how many rows are written, as `benches/train.sh` measures on two cores.
const READ_PER_SECOND: f64 = 15e6;
const WRITTEN_PER_SECOND: f64 = 250e3;

/// Bytes and seconds of a training on the ratings of the warehouse.
pub fn estimate(algorithm: &Algorithm) -> Result<(usize, f64), TrainError> {
    let ratings::Size { customers, movies, ratings } = ratings::size(Snapshot::Transaction)?;
    let threads = guc::threads();
    let size = Size { customers, movies, ratings, held_out: 0, threads };
    let job = |cancelled: &_, _: &mut (dyn FnMut(()) + Send)| algorithm.estimate(size, cancelled);
    let training = threads::run(threads, job, |()| {})??;
    let rows = (customers + movies) as f64;
    let seconds = training.as_secs_f64() + ratings as f64 / READ_PER_SECOND + rows / WRITTEN_PER_SECOND;
    Ok((algorithm.memory(size), seconds))
}
