//! Reads the ratings of the warehouse, and divides them into training ratings, test ratings and held-out ratings.

use factor::{Algorithm, Digest, HoldOut, MatrixBuilder, Part, Size};
use pgrx::notice;

use super::error::TrainError;
use crate::pg::progress::Progress;
use crate::pg::snapshot::Snapshot;
use crate::pg::{guc, memory};
use crate::warehouse::ratings::{self, HeldOut};
use crate::warehouse::split::{Divider, Split};
use crate::warehouse::unfinished;

/// Ratings read between two updates of the progress. If there are more than expected, the memory is checked then, too.
const RATINGS_PER_UPDATE: usize = 64 * 1024;

/// The ratings of the warehouse, divided by what they are for.
pub struct Divided {
    pub training: MatrixBuilder,
    /// The test set of the split.
    pub test: HeldOut,
    pub held_out: HeldOut,
    /// Of all ratings that are not trained on.
    pub left_out: Digest,
    /// Rows and columns of the matrix.
    pub customers: usize,
    pub movies: usize,
}

/// The split of a training: the one of this name; otherwise the probe is left out, or nothing is, as `train_on` says.
pub fn find(train_on: &str, split: Option<&str>) -> Result<Option<Split>, TrainError> {
    match (train_on, split) {
        ("train", None) => Ok(Some(Split::probe())),
        ("train", Some(name)) => Ok(Some(Split::find(name)?)),
        ("all", None) => Ok(None),
        ("all", Some(name)) => Err(TrainError::TrainOnAll(name.into())),
        (other, _) => Err(TrainError::TrainOn(other.into())),
    }
}

/// Reads all ratings. `hold_out` is the share of the split's training ratings to hold out.
pub fn read(
    algorithm: &Algorithm,
    split: Option<&Split>,
    hold_out: f64,
    progress: &Progress,
) -> Result<Divided, TrainError> {
    if !(0.0..1.0).contains(&hold_out) {
        return Err(TrainError::HoldOut(hold_out));
    }
    let holds_out = HoldOut::of_training(hold_out);
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
    let divider = |split| Divider::new("training", split, &ids, size, Snapshot::Transaction);
    let divider = split.map(divider).transpose()?;
    let mut training = MatrixBuilder::default();
    let (mut test, mut held_out) = (HeldOut::default(), HeldOut::default());
    let (mut outside, mut left_out) = (0, Digest::default());
    let (mut customers, mut movies) = (0, 0);
    ratings::read(Snapshot::Transaction, |rated| {
        customers = customers.max(rated.customer.index() + 1);
        movies = movies.max(rated.movie.index() + 1);
        let is_held_out = || {
            let (customer_id, movie_id) = ids.of(rated.customer, rated.movie);
            hold_out > 0.0 && holds_out.contains(customer_id, movie_id)
        };
        match divider.as_ref().map_or(Part::Train, |divider| divider.part(&ids, &rated)) {
            Part::Train if is_held_out() => held_out.push(&ids, &rated)?,
            Part::Train => training.push(rated.customer.0, rated.movie.0, rated.rating)?,
            Part::Test => test.push(&ids, &rated)?,
            Part::Outside => {
                outside += 1;
                ids.digest(&rated, &mut left_out);
            }
        }
        let apart = test.ratings.len() + held_out.ratings.len();
        let read = training.len() + apart + outside;
        if read.is_multiple_of(RATINGS_PER_UPDATE) {
            progress.update(read as u64, size.ratings as u64, read as u64);
            // The expected number comes from the counts of the movies, which lack rows that users have inserted.
            if read > size.ratings {
                memory::recheck("training", memory(customers, movies, training.len(), apart))?;
            }
        }
        Ok(())
    })?;
    // A load may have begun in the meantime.
    unfinished::refuse_in_load_or_restore("training")?;
    let apart = test.ratings.len() + held_out.ratings.len();
    memory::recheck("training", memory(customers, movies, training.len(), apart))?;
    if training.is_empty() && apart + outside > 0 {
        return Err(TrainError::AllHeldOut(apart + outside));
    }
    if training.is_empty() {
        return Err(factor::Error::NoRatings.into());
    }
    left_out.add_all(test.digest);
    left_out.add_all(held_out.digest);
    Ok(Divided { training, test, held_out, left_out, customers, movies })
}
