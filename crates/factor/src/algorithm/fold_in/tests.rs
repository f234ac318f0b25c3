use super::*;
use crate::algorithm::Algorithm;
use crate::algorithm::training::{Callbacks, TrainingData};
use crate::model::Model;
use crate::ratings::Ratings;
use crate::ratings::matrix::RatingMatrix;
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

static GO: AtomicBool = AtomicBool::new(false);

fn matrix() -> RatingMatrix {
    let mut list = Ratings::default();
    for (customer, movie) in (0..60u32).flat_map(|customer| (0..25u32).map(move |movie| (customer, movie))) {
        let chance = (customer * 31 + movie * 17 + 5).wrapping_mul(0x9e37_79b9) >> 24;
        if chance % 3 != 0 {
            let liked = if customer % 2 == movie % 2 { 3 } else { 1 };
            list.push(customer, movie, (liked + chance % 3) as u8);
        }
    }
    RatingMatrix::new(60, 25, &list, &GO).unwrap()
}

fn train(name: &str, params: serde_json::Value) -> (Algorithm, Model) {
    let algorithm = Algorithm::parse(name, &params).unwrap();
    let held_out = Ratings::default();
    let callbacks = &mut Callbacks { cancelled: &GO, on_iteration: &mut |_| {} };
    let model = algorithm.train(TrainingData::new(&matrix(), &held_out), callbacks).unwrap().model;
    (algorithm, model)
}

fn rated(matrix: &RatingMatrix, model: &Model, customer: usize, most: usize) -> CustomerRatings {
    let (movies, values) = matrix.by_customer.row(customer);
    let mut rated =
        CustomerRatings::with_capacity(movies.len(), model.movies.factors.ncols(), model.links.is_some())
            .unwrap();
    for (&movie, &value) in movies.iter().zip(values).take(most) {
        let (bias, factors) = model.movies.row(movie as usize).unwrap();
        let links = model.links.as_ref().map(|links| links.row(movie as usize).to_vec());
        rated.push(value.into(), bias, factors.to_vec(), &links.unwrap_or_default()).unwrap();
    }
    rated
}

fn context(algorithm: &Algorithm, model: &Model) -> FoldInContext {
    let layout = SampleLayout::of_row_length(model.samples, model.movies.factors.ncols());
    let mut context = algorithm.fold_in_context(layout, model.prior.as_deref()).unwrap();
    model.movies.factors.rows().into_iter().for_each(|vector| context.add_factors(&vector.to_vec()));
    let links = model.links.iter().flat_map(|links| links.rows());
    links.for_each(|vector| context.add_links(&vector.to_vec()));
    context
}

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn a_customer_trained_on_the_same_ratings_has_the_same_factors() {
    let matrix = matrix();
    for (name, params) in [
        ("als", json!({"factors": 4, "iterations": 3})),
        ("als", json!({"factors": 4, "iterations": 3, "implicit_weight": 0.7})),
        ("svdpp", json!({"factors": 3, "iterations": 3})),
        ("svdpp", json!({"factors": 3, "iterations": 2, "link_movies": false})),
        ("truncated_svd", json!({"factors": 4})),
        ("truncated_svd", json!({"factors": 4, "center": "mean"})),
        ("truncated_svd", json!({"factors": 4, "center": "none"})),
        ("baseline", json!({})),
        ("baseline", json!({"kind": "popularity"})),
    ] {
        let (algorithm, model) = train(name, params.clone());
        let context = context(&algorithm, &model);
        for customer in 0..60 {
            let rated = rated(&matrix, &model, customer, 25);
            let found = algorithm.fold_in(model.mean, &rated, &context, &mut go_on).unwrap();
            let (bias, trained) = model.customers.row(customer).unwrap();
            let error = found.factors.iter().zip(trained).map(|(a, b)| (a - b).abs());
            let error = error.fold((found.bias - bias).abs(), f32::max);
            assert!(error < 1e-4, "{name} {params}: customer {customer} is off by {error}");
            // The contributions add up to the product.
            for movie in 0..25 {
                let vector = model.movies.factors.row(movie);
                let sum = found.contributions(&rated, &vector.to_vec()).unwrap().iter().sum::<f64>();
                assert!((sum - f64::from(trained.dot(&vector))).abs() < 1e-4, "{name} {params}");
            }
        }
    }
}

#[test]
fn gradient_descent_approaches_the_result_of_fold_in() {
    let matrix = matrix();
    let long = json!({"factors": 2, "iterations": 400, "decay": 0.99, "regularization": 0.1});
    let (algorithm, model) = train("svd", long);
    for customer in 0..60 {
        let rated = rated(&matrix, &model, customer, 25);
        let found = algorithm.fold_in(model.mean, &rated, &FoldInContext::Nothing, &mut go_on).unwrap();
        let (bias, trained) = model.customers.row(customer).unwrap();
        assert!((found.bias - bias).abs() < 0.05, "{} {bias}", found.bias);
        found.factors.iter().zip(trained).for_each(|(a, b)| assert!((a - b).abs() < 0.05, "{a} {b}"));
    }
}

#[test]
fn a_customer_without_ratings_is_zero_and_undetermined_ones_are_refused() {
    let (algorithm, model) = train("als", json!({"factors": 4, "iterations": 2}));
    let none = CustomerRatings::with_capacity(0, 4, false).unwrap();
    let empty = algorithm.fold_in(model.mean, &none, &FoldInContext::Nothing, &mut go_on).unwrap();
    assert_eq!((empty.bias, &empty.factors[..]), (0.0, &[0.0; 4][..]));
    assert!(empty.contributions(&none, &[1.0; 4]).unwrap().is_empty());
    let free = json!({"factors": 4, "regularization": 0.0, "bias_regularization": 0.0});
    let free = Algorithm::parse("als", &free).unwrap();
    let few = &rated(&matrix(), &model, 0, 2);
    let fold_in = |algorithm: &Algorithm, proceed: &mut dyn FnMut() -> ControlFlow<()>| {
        algorithm.fold_in(model.mean, few, &FoldInContext::Nothing, proceed).unwrap_err()
    };
    assert_eq!(fold_in(&free, &mut go_on), Error::Undetermined { ratings: 2 });
    let empty = free.fold_in(model.mean, &none, &FoldInContext::Nothing, &mut go_on).unwrap();
    assert_eq!((empty.bias, &empty.factors[..]), (0.0, &[0.0; 4][..]));
    assert_eq!(fold_in(&algorithm, &mut || ControlFlow::Break(())), Error::Cancelled);
}

#[test]
fn a_customer_of_a_bayesian_model_is_near_the_mean_of_the_samples() {
    let matrix = matrix();
    for links in [true, false] {
        let params = json!({"factors": 3, "burn_in": 50, "samples": 400, "links": links});
        let (algorithm, model) = train("bpmf", params);
        assert_eq!((model.links.is_some(), algorithm.folds_in_links()), (links, links));
        let context = context(&algorithm, &model);
        let (mut squares, mut count) = (0.0, 0.0);
        for customer in 0..60 {
            let rated = rated(&matrix, &model, customer, 25);
            let found = algorithm.fold_in(model.mean, &rated, &context, &mut go_on).unwrap();
            let (bias, trained) = model.customers.row(customer).unwrap();
            let layout = SampleLayout::of_row_length(400, trained.len());
            let row = ndarray::ArrayView1::from(&found.factors);
            for movie in 0..25 {
                let (movie_bias, vector) = model.movies.row(movie).unwrap();
                let score = |bias: f32, row: ndarray::ArrayView1<'_, f32>| {
                    crate::model::score(model.mean, (bias, row), (movie_bias, vector))
                };
                squares += f64::from(score(found.bias, row) - score(bias, trained)).powi(2);
                count += 1.0;
                // The expected part and the contributions add up to the product.
                let vector = vector.to_vec();
                let sum = found.contributions(&rated, &vector).unwrap().iter().sum::<f64>();
                let sum = sum + found.expected(&rated, &vector).unwrap();
                let product = row.dot(&model.movies.factors.row(movie));
                assert!((sum - f64::from(product)).abs() < 1e-3, "{sum} {product}");
            }
            // The vector has the layout of those of trained customers.
            for (part, of) in layout.sample_ranges().zip(layout.factor_ranges()) {
                assert!((row[part.end - 1] - 1.0 / 20.0).abs() < 1e-6, "{}", row[part.end - 1]);
                assert_eq!(part.start, of.start);
            }
            let deviations = layout.sample_ranges().map(|part| row[part.end - 2]).sum::<f32>();
            assert!(deviations.abs() < 1e-3, "{deviations}");
        }
        let error = (squares / count).sqrt();
        assert!(error < 0.05, "links {links}: predictions are off by {error}");
        // A customer without ratings is zero.
        let none = CustomerRatings::with_capacity(0, model.movies.factors.ncols(), links).unwrap();
        let empty = algorithm.fold_in(model.mean, &none, &context, &mut go_on).unwrap();
        assert!(empty.bias == 0.0 && empty.factors.iter().all(|&entry| entry == 0.0));
        assert_eq!(empty.expected(&none, &vec![1.0; empty.factors.len()]), Ok(0.0));
        let few = rated(&matrix, &model, 0, 2);
        let stopped = algorithm.fold_in(model.mean, &few, &context, &mut || ControlFlow::Break(()));
        assert_eq!(stopped.unwrap_err(), Error::Cancelled);
        // A model of an older version has no prior, and a prior of another size does not fit.
        let refused = Error::NoFoldIn { algorithm: "bpmf" };
        let layout = SampleLayout::of_row_length(400, model.movies.factors.ncols());
        assert_eq!(algorithm.fold_in_context(layout, None), Err(refused.clone()));
        assert_eq!(algorithm.fold_in_context(layout, Some(&[1.0; 7])), Err(refused.clone()));
        assert_eq!(algorithm.check_fold_in(false), Err(refused.clone()));
        assert_eq!(algorithm.check_fold_in(true), Ok(()));
        let unprepared = algorithm.fold_in(model.mean, &few, &FoldInContext::Nothing, &mut go_on);
        assert_eq!(unprepared.unwrap_err(), refused);
    }
}

#[test]
fn each_sample_is_solved_with_its_own_prior() {
    use faer::linalg::solvers::Solve;
    let algorithm = Algorithm::parse("bpmf", &json!({"factors": 2, "samples": 2})).unwrap();
    let layout = SampleLayout::new(2, 2);
    let prior = [
        [0.1f32, -0.2, 0.3, 4.0, 0.5, 0.25, 3.0, 0.75, 6.0],
        [-0.4, 0.2, 0.1, 2.0, -0.5, 0.5, 5.0, 0.25, 8.0],
    ];
    let context = algorithm.fold_in_context(layout, Some(&prior.concat())).unwrap();
    let root = 2f32.sqrt();
    // Two movies: a rating, a bias, the factors and the differences of the bias in both samples, and the links.
    let movies: [(f32, f32, [[f32; 2]; 2], [f32; 2], [[f32; 3]; 2]); 2] = [
        (5.0, 0.2, [[0.5, 1.0], [0.25, -1.0]], [0.1, -0.1], [[0.3, 0.1, 0.2], [0.1, 0.2, 0.4]]),
        (2.0, -0.3, [[-0.5, 0.75], [1.5, 0.5]], [-0.2, 0.2], [[0.5, -0.3, 0.0], [-0.2, 0.6, 0.1]]),
    ];
    let mut rated = CustomerRatings::with_capacity(2, 8, true).unwrap();
    for (rating, bias, factors, differences, links) in movies {
        let row = (0..2).flat_map(|s| [factors[s][0], factors[s][1], 1.0, differences[s]]);
        let links = links.map(|[x, y, bias]| [x, y, bias, 0.0]).concat();
        rated.push(rating, bias, row.map(|entry| entry / root), &links).unwrap();
    }
    let found = algorithm.fold_in(3.5, &rated, &context, &mut go_on).unwrap();
    let mut biases = [0.0; 2];
    for (sample, prior) in prior.iter().enumerate() {
        let [m0, m1, m2, a, b, c, d, e, f] = prior.map(f64::from);
        let precision = [[a, b, c], [b, d, e], [c, e, f]];
        let mut expected = [m0, m1, m2];
        let mut matrix = precision;
        let mut right = [0.0; 3];
        for (rating, bias, factors, differences, links) in movies {
            let z = [f64::from(factors[sample][0]), f64::from(factors[sample][1]), 1.0];
            let target = f64::from(rating - 3.5 - bias - differences[sample]);
            for row in 0..3 {
                (0..3).for_each(|column| matrix[row][column] += z[row] * z[column]);
                right[row] += target * z[row];
                expected[row] += f64::from(links[sample][row]) / 2f64.sqrt();
            }
        }
        for row in 0..3 {
            right[row] += (0..3).map(|column| precision[row][column] * expected[column]).sum::<f64>();
        }
        let system = faer::Mat::from_fn(3, 3, |row, column| matrix[row][column]);
        let solution = system.partial_piv_lu().solve(faer::Mat::from_fn(3, 1, |row, _| right[row]));
        biases[sample] = solution[(2, 0)];
        for factor in 0..2 {
            let entry = f64::from(found.factors[sample * 4 + factor] * root);
            assert!((entry - solution[(factor, 0)]).abs() < 1e-4, "{entry} {}", solution[(factor, 0)]);
        }
    }
    let mean = (biases[0] + biases[1]) / 2.0;
    assert!((f64::from(found.bias) - mean).abs() < 1e-4, "{} {mean}", found.bias);
    let difference = f64::from(found.factors[2] * root);
    assert!((difference - (biases[0] - mean)).abs() < 1e-4, "{difference}");
}
