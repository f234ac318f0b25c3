//! One training that is judged: a fold of a cross-validation, or of a trial of a search.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::algorithm::Algorithm;
use crate::algorithm::training::{Callbacks, TrainingData};
use crate::error::Error;
use crate::judge::ranking::{Catalog, Gain, RankingMetrics, recommend};
use crate::memory::try_with_capacity;
use crate::model::Model;
use crate::model::metrics::Metrics;
use crate::ratings::Ratings;
use crate::ratings::matrix::RatingMatrix;
use crate::ratings::split::Part;

/// How a training came out.
#[derive(Clone, Copy, Debug)]
pub struct TrialResult {
    /// Errors on the ratings that it was trained on.
    pub train: Metrics,
    /// Errors on the test ratings.
    pub test: Metrics,
    /// NDCG of the lists of ten movies, if it was asked for.
    pub ndcg: Option<f64>,
    /// Time of the training and of the judgement.
    pub elapsed: Duration,
}

/// Length of a list, and the least rating of a relevant movie, of the NDCG of a trial.
const LIST: usize = 10;
const RELEVANT: u8 = 4;

/// Trains on the ratings that `part` gives to training, and judges by those that it gives to the test set. The test ratings decide
/// nothing in the training. [`Error::NoRatings`] if either side has none, and the errors of [`Algorithm::train`]. Runs in rayon's current
/// pool.
pub fn judge_trial(
    algorithm: &Algorithm,
    matrix: &RatingMatrix,
    part: impl Fn(usize, u32) -> Part + Sync,
    with_ndcg: bool,
    cancelled: &AtomicBool,
) -> Result<TrialResult, Error> {
    let started = Instant::now();
    let (training, test) = matrix.divide(part, cancelled)?;
    let nothing = Ratings::default();
    let callbacks = &mut Callbacks { cancelled, on_iteration: &mut |_| () };
    let model = algorithm.train(TrainingData::new(&training, &nothing), callbacks)?.model;
    let train = model.evaluate_matrix(&training, cancelled)?;
    let judged = model.evaluate(&test, cancelled)?.ok_or(Error::NoRatings)?;
    let ndcg = with_ndcg.then(|| ndcg(&model, &training, &test, cancelled)).transpose()?;
    Ok(TrialResult { train, test: judged, ndcg, elapsed: started.elapsed() })
}

/// Mean NDCG of lists of [`LIST`] movies, over customers with relevant movies; 0 if there are none.
fn ndcg(
    model: &Model,
    training: &RatingMatrix,
    test: &Ratings,
    cancelled: &AtomicBool,
) -> Result<f64, Error> {
    let (mut customers, mut relevant) = (Vec::<u32>::new(), Vec::<Vec<(u32, u8)>>::new());
    // The test ratings are in the order of customers and movies.
    for (customer, movie, rating) in test.iter().filter(|&(.., rating)| rating >= RELEVANT) {
        if customers.last() != Some(&customer) {
            customers.push(customer);
            relevant.push(Vec::new());
        }
        if let Some(list) = relevant.last_mut() {
            list.push((movie, rating));
        }
    }
    if customers.is_empty() {
        return Ok(0.0);
    }
    let movies = training.by_movie.rows();
    let mut is_candidate: Vec<bool> = try_with_capacity(movies)?;
    is_candidate.extend((0..movies).map(|movie| training.by_movie.count(movie) > 0));
    let mut ratings: Vec<u64> = try_with_capacity(movies)?;
    ratings.extend((0..movies).map(|movie| training.by_movie.count(movie) as u64));
    let has_seen = |customer: u32, movie: u32| {
        training.by_customer.row(customer as usize).0.binary_search(&movie).is_ok()
    };
    let lists = recommend(model, &customers, &is_candidate, LIST, has_seen, cancelled, &mut |_| ())?;
    let catalog = Catalog {
        ratings: &ratings,
        is_candidate: &is_candidate,
        customers: training.by_customer.rated_rows() as u64,
    };
    let metrics = RankingMetrics::of(&lists, &relevant, LIST, Gain::Binary, catalog, cancelled)?;
    Ok(metrics.ndcg.mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::hash;
    use serde_json::json;

    static GO: AtomicBool = AtomicBool::new(false);

    fn matrix() -> RatingMatrix {
        let mut ratings = Ratings::default();
        for customer in 0..200u32 {
            for movie in 0..40u32 {
                let random = hash(u64::from(customer * 100 + movie));
                if random.is_multiple_of(3) {
                    // Even customers like even movies.
                    let likes = (customer + movie).is_multiple_of(2);
                    ratings.push(
                        customer,
                        movie,
                        if likes { 4 + (random / 7 % 2) as u8 } else { 1 + (random / 7 % 2) as u8 },
                    );
                }
            }
        }
        RatingMatrix::new(200, 40, &ratings, &GO).unwrap()
    }

    fn part(customer: usize, movie: u32) -> Part {
        match hash(customer as u64 * 1000 + u64::from(movie) + 7) % 10 {
            0 | 1 => Part::Test,
            9 => Part::Outside,
            _ => Part::Train,
        }
    }

    #[test]
    fn a_trial_is_judged_by_what_it_has_not_seen() {
        let matrix = matrix();
        let als =
            Algorithm::parse("als", &json!({"factors": 4, "prior_count": 0, "regularization": 0.1})).unwrap();
        let trial = judge_trial(&als, &matrix, part, true, &GO).unwrap();
        let inside = (0..200).flat_map(|customer| {
            matrix.by_customer.row(customer).0.iter().map(move |&movie| part(customer, movie))
        });
        assert_eq!(trial.train.n, inside.clone().filter(|&of| of == Part::Train).count() as u64);
        assert_eq!(trial.test.n, inside.filter(|&of| of == Part::Test).count() as u64);
        assert!(trial.train.rmse < trial.test.rmse && trial.test.rmse < 1.0, "{trial:?}");
        let mean = Algorithm::parse("baseline", &json!({"kind": "mean"})).unwrap();
        let worse = judge_trial(&mean, &matrix, part, true, &GO).unwrap();
        assert!(worse.test.rmse > trial.test.rmse);
        assert!(trial.ndcg > worse.ndcg, "{trial:?} {worse:?}");
        let stopped = judge_trial(&mean, &matrix, part, false, &AtomicBool::new(true));
        assert_eq!(stopped.unwrap_err(), Error::Cancelled);
        for only in [Part::Train, Part::Test, Part::Outside] {
            let all = judge_trial(&mean, &matrix, |_, _| only, false, &GO);
            assert_eq!(all.unwrap_err(), Error::NoRatings);
        }
    }

    #[test]
    fn changed_test_ratings_change_nothing_in_the_training() {
        let matrix = matrix();
        let mut other = Ratings::default();
        for customer in 0..200 {
            let (movies, values) = matrix.by_customer.row(customer);
            for (&movie, &value) in movies.iter().zip(values) {
                let value = if part(customer, movie) == Part::Train { value } else { 6 - value };
                other.push(customer as u32, movie, value);
            }
        }
        let other = RatingMatrix::new(200, 40, &other, &GO).unwrap();
        for name in Algorithm::NAMES {
            let params = match name {
                "bpmf" => json!({"factors": 2, "burn_in": 1, "samples": 2}),
                "baseline" => json!({}),
                "truncated_svd" => json!({"factors": 3}),
                _ => json!({"factors": 3, "iterations": 6, "tolerance": 0.001}),
            };
            let algorithm = Algorithm::parse(name, &params).unwrap();
            let of = |matrix: &RatingMatrix| judge_trial(&algorithm, matrix, part, false, &GO).unwrap();
            let (one, changed) = (of(&matrix), of(&other));
            assert_eq!(one.train, changed.train, "{name}");
            assert_ne!(one.test, changed.test, "{name}");
        }
    }
}
