//! What holds for every algorithm, and what the tests of single algorithms share.

mod links;

use super::*;
use crate::algorithm::training::Iteration;
use crate::descent::RANGES;
use serde_json::json;
use std::sync::atomic::Ordering;

pub(super) static GO: AtomicBool = AtomicBool::new(false);

pub(super) fn list(ratings: &[(u32, u32, u8)]) -> Ratings {
    let mut list = Ratings::default();
    ratings.iter().for_each(|&(customer, movie, value)| list.push(customer, movie, value));
    list
}

pub(super) fn matrix(ratings: &[(u32, u32, u8)], customers: usize, movies: usize) -> RatingMatrix {
    RatingMatrix::new(customers, movies, &list(ratings), &GO).unwrap()
}

/// Customers and movies of two tastes. Every customer rates most movies, high if both have the same taste.
pub(super) fn two_tastes(customers: u32, movies: u32) -> Vec<(u32, u32, u8)> {
    let pairs = (0..customers).flat_map(|customer| (0..movies).map(move |movie| (customer, movie)));
    let rated = pairs.filter(|(customer, movie)| (customer * 7 + movie * 3) % 5 != 0);
    rated.map(|(c, m)| (c, m, if c % 2 == m % 2 { 5 } else { 1 + (m % 2) as u8 })).collect()
}

/// Every bit of a model's biases and factors.
pub(super) fn bits(model: &crate::model::Model) -> Vec<u32> {
    let entries = model.customers.factors.iter().chain(&model.movies.factors);
    let entries = entries.chain(&model.customers.biases).chain(&model.movies.biases);
    entries.map(|entry| entry.to_bits()).collect()
}

fn train(algorithm: &Algorithm, matrix: &RatingMatrix, held_out: &Ratings) -> Result<Trained, Error> {
    let callbacks = &mut Callbacks { cancelled: &GO, on_iteration: &mut |_| {} };
    algorithm.train(TrainingData::new(matrix, held_out), callbacks)
}

/// Every algorithm, with parameters of every kind, makes a finite model of the smallest data sets, and of data sets in which there
/// is nothing to learn.
#[test]
fn any_ratings_make_a_finite_model() {
    let grid = |customers: u32, movies: u32| {
        (0..customers).flat_map(move |customer| (0..movies).map(move |movie| (customer, movie)))
    };
    let stars = |(customer, movie): (u32, u32)| {
        (customer, movie, 1 + (crate::random::hash(u64::from(customer * 1000 + movie)) % 5) as u8)
    };
    let mut sets: Vec<Vec<(u32, u32, u8)>> = (1..=5).map(|stars| vec![(0, 0, stars)]).collect();
    for (customers, movies) in [(3, 4), (40, 30)] {
        // All ratings are equal, and in the last set all but one.
        sets.extend((1..=5).map(|stars| grid(customers, movies).map(|(c, m)| (c, m, stars)).collect()));
        sets.push(grid(customers, movies).map(|(c, m)| (c, m, if c + m == 0 { 1 } else { 4 })).collect());
        // One customer, one movie, or no customer with more than one movie.
        sets.push(grid(1, 10 * movies).map(stars).collect());
        sets.push(grid(10 * customers, 1).map(stars).collect());
        sets.push((0..customers).map(|id| stars((id, id))).collect());
        // The ratings of each customer and of each movie have the same mean.
        sets.push(
            grid(customers, movies / 2 * 2).map(|(c, m)| (c, m, 1 + 4 * ((c + m) % 2) as u8)).collect(),
        );
    }
    let families = [
        ("als", json!({})),
        ("als", json!({"cg_steps": 3})),
        ("als", json!({"cg_steps": 100, "iterations": 40})),
        ("als", json!({"cg_steps": 3, "regularization": 1e6, "bias_regularization": 0})),
        ("als", json!({"implicit_weight": 1})),
        ("als", json!({"implicit_weight": 1, "implicit_regularization": 0})),
        ("als", json!({"implicit_weight": 1, "cg_steps": 3})),
        ("als", json!({"implicit_weight": 1e6})),
        ("als", json!({"implicit_weight": 1e6, "cg_steps": 3})),
        ("als", json!({"regularization": 1e6, "bias_regularization": 1e6})),
        ("svd", json!({})),
        ("svd", json!({"regularization": 40})),
        ("svd", json!({"regularization": 1e6, "bias_regularization": 1e6, "learning_rate": 0.1})),
        ("svdpp", json!({})),
        ("svdpp", json!({"link_movies": false})),
        ("svdpp", json!({"link_regularization": 0})),
        ("svdpp", json!({"regularization": 1e6, "link_regularization": 1e6})),
        ("bpmf", json!({})),
        ("bpmf", json!({"links": false})),
        ("truncated_svd", json!({"factors": 1})),
        ("truncated_svd", json!({"factors": 1, "center": "mean"})),
        ("truncated_svd", json!({"factors": 1, "center": "none"})),
        ("baseline", json!({})),
        ("baseline", json!({"customer_damping": 0, "movie_damping": 0})),
        ("baseline", json!({"kind": "mean"})),
        ("baseline", json!({"kind": "popularity"})),
    ];
    for (index, set) in sets.iter().enumerate() {
        let list = list(set);
        // One more customer and movie, without ratings.
        let most = |of: &[u32]| of.iter().max().map_or(0, |&last| last as usize + 2);
        let matrix = RatingMatrix::new(most(&list.customers), most(&list.movies), &list, &GO).unwrap();
        let mut mean = None;
        for (name, params) in &families {
            let mut params = params.clone();
            if !["baseline", "truncated_svd"].contains(name) {
                params["factors"] = json!(8);
            }
            let algorithm = Algorithm::parse(name, &params).unwrap();
            let case = format!("{name} {params} of set {index}, {:?}", &set[..set.len().min(5)]);
            let trained = train(&algorithm, &matrix, &list).unwrap_or_else(|error| panic!("{case}: {error}"));
            let sides = [&trained.model.customers, &trained.model.movies];
            let entries = sides.iter().flat_map(|side| side.biases.iter().chain(&side.factors));
            assert!(entries.clone().all(|entry| entry.is_finite()), "{case}");
            let rmse = trained.iteration.held_out_rmse.unwrap();
            let of_mean = *mean.get_or_insert_with(|| {
                let error = |value: u8| (f64::from(value) - matrix.mean()).powi(2);
                (list.values.iter().map(|&value| error(value)).sum::<f64>() / list.len() as f64).sqrt()
            });
            // With so few ratings, posterior samples differ widely. The decomposition takes missing ratings for average ones.
            let most = match *name {
                "bpmf" => of_mean + 0.5,
                "truncated_svd" => 5.0,
                _ => of_mean + 0.1,
            };
            assert!(rmse.is_finite() && rmse < most, "{case}: {rmse}, by the mean {of_mean}");
            let unknown = (matrix.by_customer.rows() - 1, matrix.by_movie.rows() - 1);
            assert!(trained.model.predict(unknown.0, unknown.1).is_finite());
        }
    }
}

/// Training and held-out ratings: customers and movies of two tastes, customers with a positive bias, and noise.
fn ratings(customers: u32, movies: u32) -> (RatingMatrix, Ratings) {
    let (mut kept, mut held) = (Ratings::default(), Ratings::default());
    for customer in 0..customers {
        for movie in 0..movies {
            let noise = crate::random::hash(u64::from(customer * movies + movie));
            // Customers rate more movies of their own taste than others.
            let likes = customer % 2 == movie % 2;
            if noise % 10 < if likes { 6 } else { 3 } {
                let bias = u8::from(customer % 3 == 0);
                let value = (if likes { 4 } else { 2 } + (noise >> 8) as u8 % 2 + bias).min(5);
                let list = if noise >> 16 & 7 == 0 { &mut held } else { &mut kept };
                list.push(customer, movie, value);
            }
        }
    }
    (RatingMatrix::new(customers as usize, movies as usize, &kept, &GO).unwrap(), held)
}

/// Each algorithm, with each of its variants, and with parameters for small data sets.
fn all() -> Vec<Algorithm> {
    let params = [
        ("als", json!({"factors": 5, "iterations": 5, "implicit_weight": 0.5, "implicit_regularization": 1})),
        ("als", json!({"factors": 5, "iterations": 5, "cg_steps": 3})),
        ("svd", json!({"factors": 5, "iterations": 10})),
        ("svdpp", json!({"factors": 5, "iterations": 10, "regularization": 0.03})),
        ("svdpp", json!({"factors": 5, "iterations": 10, "regularization": 0.03, "link_movies": false})),
        ("bpmf", json!({"factors": 4, "burn_in": 3, "samples": 8})),
        ("bpmf", json!({"factors": 4, "burn_in": 3, "samples": 8, "links": false})),
        ("truncated_svd", json!({"factors": 2})),
        ("baseline", json!({})),
    ];
    params.iter().map(|(name, params)| Algorithm::parse(name, params).unwrap()).collect()
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    // Enough for several blocks of rows and of held-out ratings, and for all ranges of gradient descent.
    let (matrix, held_out) = ratings(5000, 110);
    assert!(matrix.by_movie.blocks(crate::least_squares::RATINGS_PER_ROW_BLOCK).unwrap().len() > 4);
    assert_eq!(matrix.by_movie.blocks(matrix.ratings().div_ceil(RANGES)).unwrap().len(), RANGES);
    assert!(held_out.len() > 16 * 1024);
    for algorithm in all() {
        let trained = |algorithm: &Algorithm, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut curve = Vec::new();
            let trained = pool.install(|| {
                let on_iteration = &mut |iteration: Iteration| {
                    curve.push((iteration.train_rmse.to_bits(), iteration.held_out_rmse.map(f64::to_bits)));
                };
                let callbacks = &mut Callbacks { cancelled: &GO, on_iteration };
                algorithm.train(TrainingData::new(&matrix, &held_out), callbacks).unwrap()
            });
            (bits(&trained.model), curve, trained.summary)
        };
        let alone = trained(&algorithm, 1);
        assert_eq!(alone.1.len(), algorithm.iterations());
        assert!(alone == trained(&algorithm, 2) && alone == trained(&algorithm, 3), "{}", algorithm.params());
        if algorithm.seed().is_some() {
            let mut params = algorithm.params();
            params["seed"] = 43.into();
            let other = Algorithm::parse(algorithm.name(), &params).unwrap();
            assert!(alone.0 != trained(&other, 2).0, "{params}");
        }
    }
}

#[test]
fn rows_without_ratings_are_zero() {
    let matrix = matrix(&[(0, 2, 4), (3, 2, 5), (3, 0, 1)], 5, 4);
    for algorithm in all() {
        let mut params = algorithm.params();
        if algorithm.factors() > 0 {
            params["factors"] = 2.into();
        }
        let algorithm = Algorithm::parse(algorithm.name(), &params).unwrap();
        let model = train(&algorithm, &matrix, &Ratings::default()).unwrap().model;
        let (customers, movies) = (&model.customers, &model.movies);
        for row in [customers.row(1), customers.row(2), customers.row(4), movies.row(1), movies.row(3)] {
            let (bias, factors) = row.unwrap();
            assert!(bias == 0.0 && factors.iter().all(|&factor| factor == 0.0), "{algorithm:?}");
        }
        for (customer, movie) in [(1, 1), (99, 99)] {
            assert!((model.predict(customer, movie) - matrix.mean() as f32).abs() < 1e-6, "{algorithm:?}");
        }
    }
}

#[test]
fn every_algorithm_learns_more_than_the_mean() {
    let (matrix, held_out) = ratings(300, 60);
    let held_out_rmse = |algorithm: &Algorithm| {
        let trained = train(algorithm, &matrix, &held_out).unwrap();
        let rmse = trained.model.evaluate(&held_out, &GO).unwrap().unwrap().rmse;
        assert_eq!(trained.iteration.held_out_rmse, Some(rmse), "{algorithm:?}");
        // The error is that of the final model, except in gradient descent, where it is that of the errors before each step.
        if !matches!(algorithm, Algorithm::Svd(_)) {
            let error = trained.model.squared_error(&matrix, &GO).unwrap();
            let train_rmse = (error / matrix.ratings() as f64).sqrt();
            assert!((train_rmse - trained.iteration.train_rmse).abs() < 1e-3, "{algorithm:?}: {train_rmse}");
        }
        rmse
    };
    let mean = held_out_rmse(&Algorithm::parse("baseline", &json!({"kind": "mean"})).unwrap());
    for algorithm in all() {
        let rmse = held_out_rmse(&algorithm);
        let most = match algorithm {
            Algorithm::Baseline(_) => mean,
            // The decomposition takes missing ratings for average ones.
            Algorithm::TruncatedSvd(_) => 0.95 * mean,
            _ => 0.8 * mean,
        };
        assert!(rmse < most, "{algorithm:?}: {rmse}, {mean}");
    }
}

#[test]
fn training_stops_after_a_cancel_before_it_and_in_the_middle() {
    let (matrix, held_out) = ratings(300, 60);
    for algorithm in all() {
        for after in 0..4.min(algorithm.iterations()) {
            let (cancelled, mut last) = (AtomicBool::new(after == 0), 0);
            let on_iteration = &mut |iteration: Iteration| {
                last = iteration.number;
                cancelled.store(last == after, Ordering::Relaxed);
            };
            let callbacks = &mut Callbacks { cancelled: &cancelled, on_iteration };
            let result = algorithm.train(TrainingData::new(&matrix, &held_out), callbacks);
            assert_eq!((result.unwrap_err(), last), (Error::Cancelled, after), "{algorithm:?}");
        }
    }
}

#[test]
fn memory_is_declared_for_every_algorithm() {
    let size = Size { customers: 10_000, movies: 1000, ratings: 1_000_000, held_out: 1000, threads: 2 };
    for algorithm in all() {
        let least = RatingMatrix::memory(10_000, 1000, 1_000_000);
        assert!((least..200 << 20).contains(&algorithm.memory(size)), "{algorithm:?}");
        let more = Size { ratings: 2_000_000, ..size };
        assert!(algorithm.memory(more) > algorithm.memory(size), "{algorithm:?}");
    }
}

#[test]
fn predictions_deviate_most_where_there_are_few_ratings() {
    let (matrix, _) = ratings(300, 60);
    let mut list = Ratings::default();
    for customer in 0..300 {
        let (movies, values) = matrix.by_customer.row(customer);
        // The first customers have two ratings each.
        let most = if customer < 50 { 2 } else { 60 };
        movies
            .iter()
            .zip(values)
            .take(most)
            .for_each(|(&movie, &value)| list.push(customer as u32, movie, value));
    }
    let matrix = RatingMatrix::new(301, 61, &list, &GO).unwrap();
    let algorithm = Algorithm::parse("bpmf", &json!({"factors": 3, "samples": 30})).unwrap();
    let model = train(&algorithm, &matrix, &Ratings::default()).unwrap().model;
    let mean = |customers: std::ops::Range<usize>| {
        let count = customers.len() as f32 * 60.0;
        let pairs = customers.flat_map(|customer| (0..60).map(move |movie| (customer, movie)));
        pairs.map(|(customer, movie)| model.deviation(customer, movie).unwrap()).sum::<f32>() / count
    };
    let (few, many) = (mean(0..50), mean(50..300));
    assert!(few > 1.3 * many && many > 0.01, "{few} {many}");
    // One deviation computed by hand. The parts of both rows are divided by the square root of the number of samples.
    let (p, q) = (model.customers.factors.row(60), model.movies.factors.row(7));
    let parts = p.iter().zip(&q).map(|(p, q)| p * q * 30.0).collect::<Vec<_>>();
    let parts = parts.chunks(5).map(|part| part.iter().sum::<f32>()).collect::<Vec<_>>();
    let mean = parts.iter().sum::<f32>() / 30.0;
    let variance = parts.iter().map(|part| (part - mean).powi(2)).sum::<f32>() / 29.0;
    assert!((model.deviation(60, 7).unwrap() - variance.sqrt()).abs() < 1e-4);
    // There is no deviation for customers without ratings, and in other models.
    assert_eq!(
        (model.deviation(300, 7), model.deviation(7, 60), model.deviation(999, 0)),
        (None, None, None)
    );
    let als = Algorithm::parse("als", &json!({"factors": 3, "iterations": 2})).unwrap();
    let model = train(&als, &matrix, &Ratings::default()).unwrap().model;
    assert_eq!(model.deviation(60, 7), None);
}

#[test]
fn parameters_are_checked_before_training() {
    let wild = Algorithm::Svd(svd::Params { decay: f64::NAN, ..svd::Params::default() });
    let error = train(&wild, &matrix(&[(0, 0, 3)], 1, 1), &Ratings::default()).unwrap_err();
    assert_eq!(error.to_string(), "decay must be from 0 to 1, not NaN");
}
