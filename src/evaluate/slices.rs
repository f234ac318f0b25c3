//! Errors by kinds of ratings: `evaluate_slices`.

use std::collections::BTreeMap;

use factor::{ErrorSums, Metrics, Part, clamp};

use super::error::EvaluateError;
use super::judged::{Judged, Loaded, Warehouse, note_sample, warn_if_trained_on};
use crate::models::ModelRow;
use crate::pg::memory;

/// What ratings are sliced by.
#[derive(Clone, Copy, Debug)]
pub enum By {
    CustomerRatings,
    MovieRatings,
    Rating,
    Month,
    Known,
}

impl By {
    /// Their names.
    const NAMES: [&str; 5] = ["customer_ratings", "movie_ratings", "rating", "month", "known"];

    pub fn find(name: &str) -> Result<By, EvaluateError> {
        match name {
            "customer_ratings" => Ok(By::CustomerRatings),
            "movie_ratings" => Ok(By::MovieRatings),
            "rating" => Ok(By::Rating),
            "month" => Ok(By::Month),
            "known" => Ok(By::Known),
            other => Err(EvaluateError::SliceBy { by: other.into(), known: &By::NAMES }),
        }
    }
}

/// The least number of training ratings of each slice, but the first one, which has none.
const COUNTS: [u32; 10] = [1, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000];
const KNOWN: [&str; 4] = ["both known", "customer unknown", "movie unknown", "both unknown"];

/// A rating of the judged set, until all training ratings are counted.
struct Pair {
    customer: u32,
    movie: u32,
    score: f32,
    rating: u8,
}

/// The errors of each slice that has ratings, in order: number and name of the slice, and errors.
pub fn slices(row: ModelRow, judged: &Judged, by: By) -> Result<Vec<(i32, String, Metrics)>, EvaluateError> {
    let warehouse = Warehouse::open()?;
    let size = warehouse.size;
    let counts = (size.customers + size.movies) * size_of::<u32>();
    memory::declare("evaluate_slices", Loaded::memory(&row, &size) + counts)?;
    let model = Loaded::read(row, &size)?;
    let mut sums = BTreeMap::<i32, ErrorSums>::new();
    let mut pairs = Vec::new();
    let (mut of_customer, mut of_movie) =
        (memory::filled(0u32, size.customers)?, memory::filled(0u32, size.movies)?);
    let is_trained_on = warehouse.read(
        "evaluate_slices",
        judged,
        &[&model.row],
        |rated| {
            let score = model.predict(rated);
            let slice = match by {
                By::CustomerRatings | By::MovieRatings => {
                    let (customer, movie) = (rated.customer.0, rated.movie.0);
                    return Ok(memory::push(
                        &mut pairs,
                        Pair { customer, movie, score, rating: rated.rating },
                    )?);
                }
                By::Rating => i32::from(rated.rating),
                By::Month => rated.day / 100,
                By::Known => {
                    let (customer, movie) = model.knows_each(rated.customer, rated.movie);
                    i32::from(!customer) + 2 * i32::from(!movie)
                }
            };
            sums.entry(slice).or_default().add(clamp(score), rated.rating);
            Ok(())
        },
        |rated, part| {
            if part != Part::Train {
                return Ok(());
            }
            of_customer.get_mut(rated.customer.index()).into_iter().for_each(|count| *count += 1);
            of_movie.get_mut(rated.movie.index()).into_iter().for_each(|count| *count += 1);
            Ok(())
        },
    )?;
    for Pair { customer, movie, score, rating } in pairs {
        let count = match by {
            By::CustomerRatings => of_customer.get(customer as usize),
            _ => of_movie.get(movie as usize),
        };
        let slice = COUNTS.partition_point(|least| count.is_some_and(|count| least <= count));
        sums.entry(slice as i32).or_default().add(clamp(score), rating);
    }
    if sums.is_empty() {
        return Err(EvaluateError::EmptySplit(judged.label().into()));
    }
    warn_if_trained_on(judged, &model.row, is_trained_on.first().copied().flatten());
    note_sample(judged);
    let metrics = sums.iter().filter_map(|(&slice, sums)| Some((slice, name(by, slice), sums.metrics()?)));
    Ok(metrics.collect())
}

fn name(by: By, slice: i32) -> String {
    match by {
        By::Rating => slice.to_string(),
        By::Month => format!("{:04}-{:02}", slice / 100, slice % 100),
        By::Known => KNOWN.get(slice as usize).copied().unwrap_or_default().into(),
        By::CustomerRatings | By::MovieRatings => {
            let least = |slice: usize| COUNTS.get(slice).copied();
            match (usize::try_from(slice - 1).ok().and_then(least), least(slice as usize)) {
                (None, _) => "0".into(),
                (Some(low), Some(high)) => format!("{low} to {}", high - 1),
                (Some(low), None) => format!("{low} and more"),
            }
        }
    }
}
