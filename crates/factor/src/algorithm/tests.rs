//! What holds of every algorithm.

use super::*;
use crate::ratings::Ratings;
use serde_json::json;
use std::sync::atomic::AtomicBool;

fn message(name: &str, params: Value) -> String {
    Algorithm::parse(name, &params).unwrap_err().to_string()
}

#[test]
fn parameters_come_back_as_they_went_in() {
    for name in Algorithm::NAMES {
        let default = Algorithm::parse(name, &json!({})).unwrap();
        assert_eq!(default.name(), name);
        assert_eq!(Algorithm::parse(name, &default.params()), Ok(default.clone()));
        if name != "baseline" {
            let other = Algorithm::parse(name, &json!({"factors": 7.0, "seed": -3})).unwrap();
            assert_eq!((other.params()["factors"].as_u64(), other.seed()), (Some(7), Some(-3)));
            assert_ne!(other, default);
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    assert_eq!(message("alz", json!({})), "there is no algorithm \"alz\"");
    assert_eq!(message("als", json!([3])), "parameters must be a JSON object");
    let unknown = message("als", json!({"facters": 3}));
    assert!(unknown.starts_with("unknown parameter \"facters\", expected one of \"factors\", "), "{unknown}");
    for (value, shown) in [
        (json!("many"), "\"many\""),
        (json!(null), "null"),
        (json!([1]), "[1]"),
        (json!({"a": 1}), "{\"a\":1}"),
        (json!(true), "true"),
        (json!("x".repeat(90)), &format!("\"{}...", "x".repeat(39))),
    ] {
        let told = |range: &str| format!("must be a number {range}, not {shown}");
        let factors = format!("factors {}", told("from 1 to 1024"));
        assert_eq!(message("als", json!({"factors": value})), factors);
        let regularization = format!("regularization {}", told("from 0 to 1000000"));
        assert_eq!(message("als", json!({"regularization": value})), regularization);
    }
    for value in [json!(-1), json!(1.5), json!("Infinity"), json!("NaN"), json!(1e300)] {
        let shown = value.as_str().map_or_else(|| value.to_string(), String::from);
        let told = message("bpmf", json!({"samples": value}));
        assert_eq!(told, format!("samples must be a whole number from 2 to 1000, not {shown}"));
    }
    // Numbers that JSON may have and no type has.
    let text = |text: &str| Algorithm::parse_text("als", text).unwrap_err().to_string();
    assert_eq!(
        text(r#"{"seed": 7, "factors": 1e999}"#),
        "factors must be a whole number from 1 to 1024, not Infinity"
    );
    assert_eq!(
        text(r#"{"regularization": -1e999}"#),
        "regularization must be from 0 to 1000000, not -Infinity"
    );
    assert_eq!(text("[3]"), "parameters must be a JSON object");
    assert!(text(r#"{"factors": "#).starts_with("the parameters are not JSON: EOF"));
    assert!(text(r#"{"factors": [1e999]}"#).starts_with("the parameters are not JSON: number out of range"));
    let plain = Algorithm::parse_text("als", r#"{"factors": 7}"#).unwrap();
    assert_eq!(plain, Algorithm::parse("als", &json!({"factors": 7})).unwrap());
    assert_eq!(message("als", json!({"factors": 0})), "factors must be from 1 to 1024, not 0");
    assert_eq!(message("svd", json!({"decay": 1.5})), "decay must be from 0 to 1, not 1.5");
    assert_eq!(message("svd", json!({"decay": null})), "decay must be a number from 0 to 1, not null");
    assert_eq!(message("svd", json!({"seed": 1.5})), "seed must be a whole number of 64 bits, not 1.5");
    for number in ["NaN", "Infinity", "-Infinity"] {
        assert_eq!(
            message("svdpp", json!({"regularization": number})),
            format!("regularization must be from 0 to 1000000, not {number}")
        );
    }
    assert!(
        message("baseline", json!({"kind": "best"})).starts_with("parameter kind: unknown variant \"best\"")
    );
}

/// What every algorithm makes, with parameters of every kind, of the smallest data sets and of such that leave nothing to
/// learn: numbers, and no error.
#[test]
fn whatever_the_ratings_are_there_is_a_model() {
    let go = AtomicBool::new(false);
    let grid = |customers: u32, movies: u32| {
        (0..customers).flat_map(move |customer| (0..movies).map(move |movie| (customer, movie)))
    };
    let stars = |(customer, movie): (u32, u32)| {
        (customer, movie, 1 + (crate::random::hash(u64::from(customer * 1000 + movie)) % 5) as u8)
    };
    let mut sets: Vec<Vec<(u32, u32, u8)>> = (1..=5).map(|stars| vec![(0, 0, stars)]).collect();
    for (customers, movies) in [(3, 4), (40, 30)] {
        // All alike, but for one in the last.
        sets.extend((1..=5).map(|stars| grid(customers, movies).map(|(c, m)| (c, m, stars)).collect()));
        sets.push(grid(customers, movies).map(|(c, m)| (c, m, if c + m == 0 { 1 } else { 4 })).collect());
        // One customer, one movie, or customers and movies who meet in nothing.
        sets.push(grid(1, 10 * movies).map(stars).collect());
        sets.push(grid(10 * customers, 1).map(stars).collect());
        sets.push((0..customers).map(|number| stars((number, number))).collect());
        // A customer's and a movie's ratings have the same mean, which is that of all.
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
    for (number, set) in sets.iter().enumerate() {
        let mut list = Ratings::default();
        set.iter().for_each(|&(customer, movie, value)| list.push(customer, movie, value));
        // A customer and a movie more, without ratings.
        let most = |of: &[u32]| of.iter().max().map_or(0, |&last| last as usize + 2);
        let matrix = RatingMatrix::new(most(&list.customers), most(&list.movies), &list, &go).unwrap();
        let mut mean = None;
        for (name, params) in &families {
            let mut params = params.clone();
            if !["baseline", "truncated_svd"].contains(name) {
                params["factors"] = json!(8);
            }
            let algorithm = Algorithm::parse(name, &params).unwrap();
            let run = &mut Run { held_out: &list, cancelled: &go, on_iteration: &mut |_| {} };
            let told = format!("{name} {params} of set {number}, {:?}", &set[..set.len().min(5)]);
            let (trained, _) =
                algorithm.train(&matrix, run).unwrap_or_else(|error| panic!("{told}: {error}"));
            let sides = [&trained.model.customers, &trained.model.movies];
            let numbers = sides.iter().flat_map(|side| side.biases.iter().chain(&side.factors));
            assert!(numbers.clone().all(|number| number.is_finite()), "{told}");
            let rmse = trained.iteration.held_out_rmse.unwrap();
            let of_mean = *mean.get_or_insert_with(|| {
                let error = |value: u8| (f64::from(value) - matrix.mean()).powi(2);
                (list.values.iter().map(|&value| error(value)).sum::<f64>() / list.len() as f64).sqrt()
            });
            // Samples of what so few ratings leave open scatter; a decomposition takes missing ratings for what it centres by.
            let most = match *name {
                "bpmf" => of_mean + 0.5,
                "truncated_svd" => 5.0,
                _ => of_mean + 0.1,
            };
            assert!(rmse.is_finite() && rmse < most, "{told}: {rmse}, by the mean {of_mean}");
            let unknown = (matrix.by_customer.rows() - 1, matrix.by_movie.rows() - 1);
            assert!(trained.model.predict(unknown.0, unknown.1).is_finite());
        }
    }
}

/// Two tastes, some kind customers, and moods that these do not explain.
fn ratings(customers: u32, movies: u32) -> (RatingMatrix, Ratings) {
    let (mut kept, mut held) = (Ratings::default(), Ratings::default());
    for customer in 0..customers {
        for movie in 0..movies {
            let noise = crate::random::hash(u64::from(customer * movies + movie));
            // Everybody rates what is to their taste, and some of the rest.
            let likes = customer % 2 == movie % 2;
            if noise % 10 < if likes { 6 } else { 3 } {
                let kindness = u8::from(customer % 3 == 0);
                let value = (if likes { 4 } else { 2 } + (noise >> 8) as u8 % 2 + kindness).min(5);
                let list = if noise >> 16 & 7 == 0 { &mut held } else { &mut kept };
                list.push(customer, movie, value);
            }
        }
    }
    (RatingMatrix::new(customers as usize, movies as usize, &kept, &GO).unwrap(), held)
}

static GO: AtomicBool = AtomicBool::new(false);

/// Each algorithm, and what it offers, with parameters for a test.
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

fn bits(model: &crate::model::Model) -> Vec<u32> {
    let numbers = model.customers.factors.iter().chain(&model.movies.factors);
    let numbers = numbers.chain(&model.customers.biases).chain(&model.movies.biases);
    numbers.map(|number| number.to_bits()).collect()
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    // Enough for several blocks of rows and of ratings.
    let (matrix, held_out) = ratings(1500, 60);
    assert!(matrix.by_movie.blocks(8192).unwrap().len() > 3);
    for algorithm in all() {
        let trained = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut curve = Vec::new();
            let (trained, summary) = pool.install(|| {
                let on_iteration = &mut |iteration: crate::algorithm::run::Iteration| {
                    curve.push((iteration.train_rmse.to_bits(), iteration.held_out_rmse.map(f64::to_bits)));
                };
                let run = &mut Run { held_out: &held_out, cancelled: &GO, on_iteration };
                algorithm.train(&matrix, run).unwrap()
            });
            (bits(&trained.model), curve, summary)
        };
        let alone = trained(1);
        assert_eq!(alone.1.len(), algorithm.iterations());
        assert!(alone == trained(2) && alone == trained(3), "{algorithm:?}");
    }
}

#[test]
fn every_algorithm_learns_more_than_the_mean() {
    let (matrix, held_out) = ratings(300, 60);
    let judge = |algorithm: &Algorithm| {
        let run = &mut Run { held_out: &held_out, cancelled: &GO, on_iteration: &mut |_| {} };
        let trained = algorithm.train(&matrix, run).unwrap().0;
        let judged = trained.model.judge(&held_out, &GO).unwrap().unwrap().rmse;
        assert_eq!(trained.iteration.held_out_rmse, Some(judged), "{algorithm:?}");
        // Of the model that was made, not of one before it. (Gradient descent sees errors as they were.)
        if !matches!(algorithm, Algorithm::Svd(_)) {
            let error = trained.model.squared_error(&matrix, &GO).unwrap();
            let rmse = (error / matrix.ratings() as f64).sqrt();
            assert!((rmse - trained.iteration.train_rmse).abs() < 1e-3, "{algorithm:?}: {rmse}");
        }
        judged
    };
    let mean = judge(&Algorithm::parse("baseline", &json!({"kind": "mean"})).unwrap());
    for algorithm in all() {
        let rmse = judge(&algorithm);
        let most = match algorithm {
            Algorithm::Baseline(_) => mean,
            // Missing ratings count as average there.
            Algorithm::TruncatedSvd(_) => 0.95 * mean,
            _ => 0.8 * mean,
        };
        assert!(rmse < most, "{algorithm:?}: {rmse}, {mean}");
    }
}

#[test]
fn a_cancel_is_heard_before_and_in_the_middle() {
    let (matrix, held_out) = ratings(300, 60);
    for algorithm in all() {
        let stopped = AtomicBool::new(true);
        let run = &mut Run { held_out: &held_out, cancelled: &stopped, on_iteration: &mut |_| {} };
        assert_eq!(algorithm.train(&matrix, run).unwrap_err(), Error::Cancelled, "{algorithm:?}");
        if algorithm.iterations() > 2 {
            let (cancelled, mut heard) = (AtomicBool::new(false), 0);
            let on_iteration = &mut |iteration: crate::algorithm::run::Iteration| {
                heard = iteration.number;
                cancelled.store(heard == 2, std::sync::atomic::Ordering::Relaxed);
            };
            let run = &mut Run { held_out: &held_out, cancelled: &cancelled, on_iteration };
            assert_eq!(algorithm.train(&matrix, run).unwrap_err(), Error::Cancelled, "{algorithm:?}");
            assert_eq!(heard, 2, "{algorithm:?}");
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
fn samples_scatter_most_where_least_is_known() {
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
    let run = &mut Run { held_out: &Ratings::default(), cancelled: &GO, on_iteration: &mut |_| {} };
    let model = algorithm.train(&matrix, run).unwrap().0.model;
    let mean = |customers: std::ops::Range<usize>| {
        let number = customers.len() as f32 * 60.0;
        let pairs = customers.flat_map(|customer| (0..60).map(move |movie| (customer, movie)));
        pairs.map(|(customer, movie)| model.deviation(customer, movie).unwrap()).sum::<f32>() / number
    };
    let (few, many) = (mean(0..50), mean(50..300));
    assert!(few > 1.3 * many && many > 0.01, "{few} {many}");
    // By hand, of one pair: parts are a root of the number of samples too small, twice.
    let (p, q) = (model.customers.factors.row(60), model.movies.factors.row(7));
    let parts = p.iter().zip(&q).map(|(p, q)| p * q * 30.0).collect::<Vec<_>>();
    let parts = parts.chunks(5).map(|part| part.iter().sum::<f32>()).collect::<Vec<_>>();
    let mean = parts.iter().sum::<f32>() / 30.0;
    let variance = parts.iter().map(|part| (part - mean).powi(2)).sum::<f32>() / 29.0;
    assert!((model.deviation(60, 7).unwrap() - variance.sqrt()).abs() < 1e-4);
    // Of those that it knows nothing of, and of other models, there is none.
    assert_eq!(
        (model.deviation(300, 7), model.deviation(7, 60), model.deviation(999, 0)),
        (None, None, None)
    );
    let run = &mut Run { held_out: &Ratings::default(), cancelled: &GO, on_iteration: &mut |_| {} };
    let als = Algorithm::parse("als", &json!({"factors": 3, "iterations": 2})).unwrap();
    assert_eq!(als.train(&matrix, run).unwrap().0.model.deviation(60, 7), None);
}

#[test]
fn links_without_regularization_are_finite_and_learned() {
    let (matrix, held_out) = ratings(300, 60);
    // A customer and a movie more, without ratings.
    let mut list = Ratings::default();
    for customer in 0..300 {
        let (movies, values) = matrix.by_customer.row(customer);
        movies.iter().zip(values).for_each(|(&movie, &value)| list.push(customer as u32, movie, value));
    }
    let matrix = RatingMatrix::new(301, 61, &list, &GO).unwrap();
    let algorithm = Algorithm::parse("svdpp", &json!({"factors": 4, "link_regularization": 0})).unwrap();
    let run = &mut Run { held_out: &held_out, cancelled: &GO, on_iteration: &mut |_| {} };
    let model = algorithm.train(&matrix, run).unwrap().0.model;
    let links = model.links.unwrap();
    assert!(links.iter().all(|link| link.is_finite()));
    assert!(links.row(60).iter().all(|&link| link == 0.0));
    assert!(links.rows().into_iter().take(60).all(|row| row.iter().any(|&link| link != 0.0)));
}

/// Who rated what says nothing here: a few movies that some customers rated nearly all of, beside many customers who came once.
#[test]
fn links_do_no_harm_where_there_is_nothing_to_learn_from_them() {
    let mut rng = crate::random::generator(7);
    let (eager, once, movies) = (700, 2500, 60);
    let mut normal =
        |scale: f32| scale * rand_distr::Distribution::<f32>::sample(&rand_distr::StandardNormal, &mut rng);
    let mut side =
        |rows: usize| (0..rows).map(|_| [normal(0.6), normal(0.5), normal(0.45)]).collect::<Vec<_>>();
    let (of_customers, of_movies) = (side(eager + once), side(movies));
    let (mut kept, mut held) = (Ratings::default(), Ratings::default());
    for (customer, p) in of_customers.iter().enumerate() {
        for (movie, q) in of_movies.iter().enumerate() {
            let chance = crate::random::hash((customer * movies + movie) as u64);
            let rates = if customer < eager { chance % 100 < 84 } else { customer % movies == movie };
            if rates {
                let score = 3.5 + p[2] + q[2] + p[0] * q[0] + p[1] * q[1] + normal(0.8);
                let list = if customer < eager && chance >> 32 & 7 == 0 { &mut held } else { &mut kept };
                list.push(customer as u32, movie as u32, score.round().clamp(1.0, 5.0) as u8);
            }
        }
    }
    let matrix = RatingMatrix::new(eager + once, movies, &kept, &GO).unwrap();
    let judge = |name: &str, params: Value| {
        let algorithm = Algorithm::parse(name, &params).unwrap();
        let run = &mut Run { held_out: &held, cancelled: &GO, on_iteration: &mut |_| {} };
        algorithm.train(&matrix, run).unwrap().0.iteration.held_out_rmse.unwrap()
    };
    let unlinked = json!({"link_regularization": 1e6, "link_movies": false});
    let (svdpp, plain) = (judge("svdpp", json!({})), judge("svdpp", unlinked));
    assert!(svdpp < plain + 0.001, "svdpp {svdpp}, without links {plain}");
    let (bpmf, plain) = (judge("bpmf", json!({})), judge("bpmf", json!({"links": false})));
    assert!(bpmf < plain + 0.002, "bpmf {bpmf}, without links {plain}");
    let (als, svd) = (judge("als", json!({})), judge("svd", json!({})));
    assert!(bpmf < svdpp.min(als).min(svd) + 0.001, "bpmf {bpmf}, svdpp {svdpp}, als {als}, svd {svd}");
}

#[test]
fn a_model_of_before_there_was_a_prior_count_keeps_its_own() {
    let stored = json!({
        "factors": 20, "iterations": 20, "regularization": 0.1, "bias_regularization": 0.017, "link_regularization": 4.0,
        "link_movies": true, "tolerance": 0.0, "seed": 42,
    });
    let prior_count =
        |params: &Value| Algorithm::parse("svdpp", params).unwrap().params()["prior_count"].as_f64();
    assert_eq!(prior_count(&stored), Some(60.0));
    let mut named = stored.clone();
    named["prior_count"] = json!(7);
    assert_eq!(prior_count(&named), Some(7.0));
    assert_eq!(prior_count(&json!({"regularization": 0.1})), Some(200.0));
}
