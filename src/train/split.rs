//! Reads the ratings of the warehouse, and divides them into training ratings, the probe and held-out ratings.

use factor::{Algorithm, HoldOut, MatrixBuilder, Size};
use pgrx::notice;

use super::error::TrainError;
use crate::pg::progress::{Phase, Progress};
use crate::pg::snapshot::Snapshot;
use crate::pg::{guc, memory};
use crate::warehouse::dimension::MatrixRow;
use crate::warehouse::ratings::{self, HeldOut};
use crate::warehouse::unfinished;

/// Ratings are being read.
pub const READING_RATINGS: Phase = Phase { id: 5, name: "reading ratings", unit: "ratings" };

/// Ratings read between two updates of the progress. If there are more than expected, the memory is checked then, too.
const RATINGS_PER_UPDATE: usize = 64 * 1024;

/// The ratings of the warehouse, divided by what they are for.
pub struct Split {
    pub training: MatrixBuilder,
    pub probe: HeldOut,
    pub held_out: HeldOut,
    /// Rows and columns of the matrix.
    pub customers: usize,
    pub movies: usize,
}

/// Reads all ratings. `train_on` says whether the probe is trained on: 'all', or left out: 'train'. `hold_out` is the share of the other
/// ratings to hold out.
pub fn read(
    algorithm: &Algorithm,
    train_on: &str,
    hold_out: f64,
    progress: &Progress,
) -> Result<Split, TrainError> {
    let leaves_out_probe = match train_on {
        "train" => true,
        "all" => false,
        other => return Err(TrainError::TrainOn(other.into())),
    };
    if !(0.0..1.0).contains(&hold_out) {
        return Err(TrainError::HoldOut(hold_out));
    }
    let split = HoldOut::of_training(hold_out);
    let size = ratings::size(Snapshot::Transaction)?;
    let threads = guc::threads();
    let memory = |customers: usize, movies: usize, ratings, held_out| {
        let (customers, movies) = (size.customers.max(customers), size.movies.max(movies));
        let ids = (customers + movies) * size_of::<u32>();
        ids + algorithm.memory(Size { customers, movies, ratings, held_out, threads })
    };
    memory::declare("training", memory(0, 0, size.ratings, 0))?;

    notice!("reading the ratings");
    let ids = ratings::Ids::read()?;
    let mut training = MatrixBuilder::default();
    let (mut probe, mut held_out) = (HeldOut::default(), HeldOut::default());
    let (mut customers, mut movies) = (0, 0);
    let holds_out = hold_out > 0.0;
    ratings::read(Snapshot::Transaction, |customer, movie, rating, is_probe| {
        customers = customers.max(customer.index() + 1);
        movies = movies.max(movie.index() + 1);
        if is_probe && leaves_out_probe {
            probe.push(&ids, customer, movie, rating)?;
        } else if holds_out && is_held_out(&split, &ids, customer, movie) {
            held_out.push(&ids, customer, movie, rating)?;
        } else {
            training.push(customer.0, movie.0, rating)?;
        }
        let left_out = probe.ratings.len() + held_out.ratings.len();
        let read = training.len() + left_out;
        if read.is_multiple_of(RATINGS_PER_UPDATE) {
            progress.update(read as u64, size.ratings as u64, read as u64);
            // The expected number comes from the counts of the movies, which lack rows that users have inserted.
            if read > size.ratings {
                memory::recheck("training", memory(customers, movies, training.len(), left_out))?;
            }
        }
        Ok(())
    })?;
    // A load may have begun in the meantime.
    unfinished::refuse_in_load_or_restore("training")?;
    let left_out = probe.ratings.len() + held_out.ratings.len();
    memory::recheck("training", memory(customers, movies, training.len(), left_out))?;
    if training.is_empty() && left_out > 0 {
        return Err(TrainError::AllHeldOut(left_out));
    }
    if training.is_empty() {
        return Err(factor::Error::NoRatings.into());
    }
    Ok(Split { training, probe, held_out, customers, movies })
}

fn is_held_out(split: &HoldOut, ids: &ratings::Ids, customer: MatrixRow, movie: MatrixRow) -> bool {
    let (customer_id, movie_id) = ids.of(customer, movie);
    split.contains(customer_id, movie_id)
}
