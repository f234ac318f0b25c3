use super::*;
use crate::algorithm::blend::stacking::Stacking;
use crate::algorithm::stored::Origin;
use crate::algorithm::training::{Callbacks, TrainingData};
use crate::random::hash;
use crate::ratings::Ratings;
use crate::ratings::matrix::RatingMatrix;
use serde_json::json;
use std::ops::ControlFlow;

static GO: AtomicBool = AtomicBool::new(false);
const CUSTOMERS: usize = 60;
const MOVIES: usize = 25;

/// The last customer and the last movie have no ratings.
fn matrix() -> RatingMatrix {
    let mut list = Ratings::default();
    for customer in 0..CUSTOMERS as u32 - 1 {
        for movie in 0..MOVIES as u32 - 1 {
            let chance = hash(u64::from(customer * 100 + movie));
            if !chance.is_multiple_of(3) {
                let liked = if customer % 2 == movie % 2 { 3 } else { 1 };
                list.push(customer, movie, (liked + chance / 7 % 3) as u8);
            }
        }
    }
    RatingMatrix::new(CUSTOMERS, MOVIES, &list, &GO).unwrap()
}

fn models(matrix: &RatingMatrix) -> Vec<(Algorithm, Model)> {
    let none = Ratings::default();
    let of = |(name, params): (&str, Value)| {
        let algorithm = Algorithm::parse(name, &params).unwrap();
        let callbacks = &mut Callbacks { cancelled: &GO, on_iteration: &mut |_| {} };
        let model = algorithm.train(TrainingData::new(matrix, &none), callbacks).unwrap().model;
        (algorithm, model)
    };
    let all = [
        ("als", json!({"factors": 3, "iterations": 3, "implicit_weight": 0.5})),
        ("svdpp", json!({"factors": 2, "iterations": 3})),
        ("bpmf", json!({"factors": 2, "burn_in": 2, "samples": 3})),
        ("truncated_svd", json!({"factors": 2})),
        ("baseline", json!({})),
    ];
    all.into_iter().map(of).collect()
}

fn counts(matrix: &RatingMatrix) -> (Vec<u32>, Vec<u32>) {
    let of = |rows: usize, count: &dyn Fn(usize) -> usize| (0..rows).map(|row| count(row) as u32).collect();
    (of(CUSTOMERS, &|row| matrix.by_customer.count(row)), of(MOVIES, &|row| matrix.by_movie.count(row)))
}

fn blend(models: &[(Algorithm, Model)], counts: bool) -> Blend {
    let part = |(at, (algorithm, model)): (usize, &(Algorithm, Model))| {
        let by = |of: f64| if counts { of } else { 0.0 };
        let weights = Weights {
            constant: 0.4 - 0.15 * at as f64,
            by_customer: by(0.03 * at as f64),
            by_movie: by(0.05 - 0.02 * at as f64),
        };
        Part {
            model: algorithm.name().into(),
            version: 1,
            algorithm: algorithm.clone(),
            mean: model.mean,
            samples: model.samples,
            weights,
        }
    };
    let intercept = Weights { constant: 0.2, by_customer: 0.0, by_movie: 0.0 };
    let intercept =
        if counts { Weights { by_customer: -0.1, by_movie: 0.07, ..intercept } } else { intercept };
    Blend { parts: models.iter().enumerate().map(part).collect(), intercept, counts, regularization: 10.0 }
}

/// The sum that a blend stands for, from what its parts predict.
fn sum(blend: &Blend, predictions: &[f64], g: f64, h: f64) -> f64 {
    let at = |weights: &Weights| weights.constant + weights.by_customer * g + weights.by_movie * h;
    let parts = blend.parts.iter().zip(predictions);
    at(&blend.intercept) + parts.map(|(part, prediction)| at(&part.weights) * prediction).sum::<f64>()
}

#[test]
fn a_blend_predicts_the_weighted_sum() {
    let matrix = matrix();
    let models = models(&matrix);
    let parts = models.iter().map(|(_, model)| model).collect::<Vec<_>>();
    let (customer_ratings, movie_ratings) = counts(&matrix);
    for with_counts in [false, true] {
        let blend = blend(&models, with_counts);
        let model = blend.model(&parts, &customer_ratings, &movie_ratings, &GO).unwrap();
        assert_eq!(model.movies.factors.ncols(), blend.length());
        // Beyond the last row, a customer or movie is unknown.
        for customer in 0..=CUSTOMERS {
            for movie in 0..=MOVIES {
                let of = |model: &&Model| f64::from(model.predict_unclamped(customer, movie));
                let predictions = parts.iter().map(of).collect::<Vec<_>>();
                let log = |counts: &[u32], row: usize| log_count(counts.get(row).copied().unwrap_or(0));
                let expected =
                    sum(&blend, &predictions, log(&customer_ratings, customer), log(&movie_ratings, movie));
                let found = f64::from(model.predict_unclamped(customer, movie));
                assert!((found - expected).abs() < 1e-4, "{customer} {movie}: {found} {expected}");
            }
        }
        assert_eq!(Origin::parse("blend", &blend.params()).unwrap(), Origin::Blend(blend));
    }
}

#[test]
fn a_customer_is_folded_into_each_part() {
    let matrix = matrix();
    let models = models(&matrix);
    let parts = models.iter().map(|(_, model)| model).collect::<Vec<_>>();
    let (customer_ratings, movie_ratings) = counts(&matrix);
    let proceed = &mut || ControlFlow::Continue(());
    for with_counts in [false, true] {
        let blend = blend(&models, with_counts);
        let model = blend.model(&parts, &customer_ratings, &movie_ratings, &GO).unwrap();
        let origin = Origin::Blend(blend.clone());
        let row = |model: &Model, movie: usize| {
            let links = model.links.as_ref().map(|links| links.row(movie).to_vec()).unwrap_or_default();
            let (bias, factors) = model.movies.row(movie).unwrap();
            (bias, factors.to_vec(), links)
        };
        let context_of = |model: &Model, mut context: FoldInContext| {
            (0..MOVIES).for_each(|movie| {
                let (_, factors, links) = row(model, movie);
                context.add_factors(&factors);
                context.add_links(&links);
            });
            context
        };
        let layout = SampleLayout::new(1, blend.length());
        let context = context_of(&model, origin.fold_in_context(layout, model.prior.as_deref()).unwrap());
        let rated = |model: &Model, customer: usize| {
            let (movies, values) = matrix.by_customer.row(customer);
            let length = model.movies.factors.ncols();
            let mut rated =
                CustomerRatings::with_capacity(movies.len(), length, model.links.is_some()).unwrap();
            for (&movie, &value) in movies.iter().zip(values) {
                let (bias, factors, links) = row(model, movie as usize);
                rated.push(value.into(), bias, factors, &links).unwrap();
            }
            rated
        };
        for customer in [0, 7, CUSTOMERS - 2] {
            let ratings = rated(&model, customer);
            let found = origin.fold_in(model.mean, &ratings, &context, proceed).unwrap();
            let own = models.iter().zip(&blend.parts).map(|((algorithm, of), part)| {
                let context = algorithm.fold_in_context(part.layout(), of.prior.as_deref()).unwrap();
                let context = context_of(of, context);
                algorithm.fold_in(of.mean, &rated(of, customer), &context, proceed).unwrap()
            });
            let own = own.collect::<Vec<_>>();
            for (movie, &count) in movie_ratings.iter().enumerate() {
                let (bias, factors) = model.movies.row(movie).unwrap();
                let scored = crate::model::score(
                    model.mean,
                    (found.bias, ArrayView1::from(&found.factors)),
                    (bias, factors),
                );
                let predictions = own.iter().zip(&parts).map(|(own, of)| {
                    let customer = (own.bias, ArrayView1::from(&own.factors));
                    f64::from(crate::model::score(of.mean, customer, of.movies.row(movie).unwrap()))
                });
                let predictions = predictions.collect::<Vec<_>>();
                let h = log_count(count);
                let expected = sum(&blend, &predictions, log_count(ratings.len() as u32), h);
                assert!((f64::from(scored) - expected).abs() < 1e-3, "{customer} {movie}");
                // Contributions and what no rating contributes add up to the product.
                let vector = factors.to_vec();
                let explained = found.contributions(&ratings, &vector).unwrap().iter().sum::<f64>()
                    + found.expected(&ratings, &vector).unwrap();
                let product = factors.dot(&ArrayView1::from(&found.factors));
                assert!((explained - f64::from(product)).abs() < 1e-3, "{explained} {product}");
            }
        }
        let nobody = CustomerRatings::with_capacity(0, blend.length(), true).unwrap();
        let found = origin.fold_in(model.mean, &nobody, &context, proceed).unwrap();
        assert!(found.bias.is_finite() && found.factors.iter().all(|entry| entry.is_finite()));
    }
}

/// The same regression in plain code: gradient descent on the standardised features would do, but the normal equations of the
/// features as they are, solved by Gauss and Jordan, are exact.
fn naive(rows: &[(Vec<f64>, f64)], regularization: f64) -> (f64, Vec<f64>) {
    let (n, features) = (rows.len() as f64, rows[0].0.len());
    let mean = |of: &dyn Fn(&(Vec<f64>, f64)) -> f64| rows.iter().map(of).sum::<f64>() / n;
    let centers = (0..features).map(|at| mean(&|row| row.0[at])).collect::<Vec<_>>();
    let center = mean(&|row| row.1);
    let mut system = vec![vec![0.0; features + 1]; features];
    for i in 0..features {
        for j in 0..features {
            system[i][j] = mean(&|row| (row.0[i] - centers[i]) * (row.0[j] - centers[j]));
        }
        system[i][features] = mean(&|row| (row.0[i] - centers[i]) * (row.1 - center));
        system[i][i] *= 1.0 + regularization / n;
    }
    for pivot in 0..features {
        let scale = system[pivot][pivot];
        system[pivot].iter_mut().for_each(|entry| *entry /= scale);
        for other in (0..features).filter(|&other| other != pivot) {
            let (by, from) = (system[other][pivot], system[pivot].clone());
            system[other].iter_mut().zip(from).for_each(|(entry, from)| *entry -= by * from);
        }
    }
    let weights = system.into_iter().map(|row| row[features]).collect::<Vec<_>>();
    (center - weights.iter().zip(&centers).map(|(weight, center)| weight * center).sum::<f64>(), weights)
}

#[test]
fn weights_are_those_of_ridge_regression() {
    let unit = |number: u64| hash(number) as f64 / u64::MAX as f64;
    for (counts, regularization) in [(false, 0.0), (false, 50.0), (true, 5.0)] {
        let mut stacking = Stacking::new(2, counts).unwrap();
        let mut rows = Vec::new();
        for at in 0..500u64 {
            let predictions = [1.0 + 4.0 * unit(5 * at) as f32, 1.0 + 4.0 * unit(5 * at + 1) as f32];
            let (customer, movie) = (hash(5 * at + 2) % 90, hash(5 * at + 3) % 4000);
            let rating = (0.7 * predictions[0] + 0.3 * predictions[1] + unit(5 * at + 4) as f32).round();
            let rating = rating.clamp(1.0, 5.0) as u8;
            stacking.add(&predictions, customer as u32, movie as u32, rating);
            // The features are differences from 3.
            let p = predictions.map(|prediction| f64::from(prediction) - 3.0);
            let (g, h) = ((customer as f64).ln_1p(), (movie as f64).ln_1p());
            let features = match counts {
                false => p.to_vec(),
                true => vec![p[0], p[1], p[0] * g, p[1] * g, p[0] * h, p[1] * h, g, h],
            };
            rows.push((features, f64::from(rating) - 3.0));
        }
        let (intercept, weights) = stacking.solve(regularization).unwrap();
        let (constant, expected) = naive(&rows, regularization);
        let close = |one: f64, other: f64| assert!((one - other).abs() < 1e-8, "{one} {other}");
        close(weights[0].constant, expected[0]);
        close(weights[1].constant, expected[1]);
        close(intercept.constant + 3.0 * (weights[0].constant + weights[1].constant) - 3.0, constant);
        if counts {
            close(weights[1].by_customer, expected[3]);
            close(weights[0].by_movie, expected[4]);
            close(intercept.by_movie + 3.0 * (weights[0].by_movie + weights[1].by_movie), expected[7]);
        } else if regularization == 0.0 {
            assert!((weights[0].constant - 0.7).abs() < 0.05 && (weights[1].constant - 0.3).abs() < 0.05);
        }
    }
}

#[test]
fn a_constant_has_no_weight_and_equal_parts_need_regularization() {
    let mut stacking = Stacking::new(2, false).unwrap();
    assert_eq!(stacking.solve(1.0).unwrap_err(), Error::NoRatings);
    let mut twice = stacking.clone();
    for at in 0..100u8 {
        let rating = 1 + at % 5;
        stacking.add(&[f32::from(rating), 3.7], 1, 1, rating);
        twice.add(&[f32::from(rating), f32::from(rating)], 1, 1, rating);
    }
    let (intercept, weights) = stacking.solve(0.0).unwrap();
    assert!((weights[0].constant - 1.0).abs() < 1e-12 && weights[1].constant == 0.0);
    assert!(intercept.constant.abs() < 1e-12);
    assert_eq!(twice.solve(0.0).unwrap_err(), Error::Undetermined { ratings: 100 });
    let (_, weights) = twice.solve(0.1).unwrap();
    assert!((weights[0].constant - 0.5).abs() < 1e-3 && (weights[1].constant - 0.5).abs() < 1e-3);
}
