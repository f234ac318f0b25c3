use super::*;
use crate::algorithm::tests::{GO, matrix};
use crate::algorithm::training::Iteration;
use crate::ratings::Ratings;
use ndarray::Array1;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn train(matrix: &RatingMatrix, params: &Params) -> Result<(Trained, SingularValues), Error> {
    train_until(&GO, matrix, params)
}

fn train_until(
    cancelled: &AtomicBool,
    matrix: &RatingMatrix,
    params: &Params,
) -> Result<(Trained, SingularValues), Error> {
    let held_out = &Ratings::default();
    let callbacks = &mut Callbacks { cancelled, on_iteration: &mut |_| {} };
    super::decompose(TrainingData::new(matrix, held_out), params, callbacks)
}

/// The product of the factors of all customers and movies: `U Σ Vᵀ`.
fn product(model: &Model) -> Array2<f64> {
    let (customers, movies) = (&model.customers.factors, &model.movies.factors);
    customers.mapv(f64::from).dot(&movies.mapv(f64::from).t())
}

/// The centred matrix in dense form.
fn dense(matrix: &RatingMatrix, model: &Model) -> faer::Mat<f64> {
    let mut dense = faer::Mat::zeros(matrix.by_customer.rows(), matrix.by_movie.rows());
    for customer in 0..matrix.by_customer.rows() {
        let (movies, values) = matrix.by_customer.row(customer);
        for (&movie, &value) in movies.iter().zip(values) {
            let movie = movie as usize;
            let biases = model.mean + model.customers.biases[customer] + model.movies.biases[movie];
            dense[(customer, movie)] = f64::from(value) - f64::from(biases);
        }
    }
    dense
}

fn stars(customer: u32, movie: u32) -> u8 {
    1 + ((customer * 31 + movie + 7).wrapping_mul(0x9e37_79b9) >> 29) as u8 % 5
}

fn many(customers: u32, movies: u32) -> RatingMatrix {
    let pairs = (0..customers).flat_map(|customer| (0..movies).map(move |movie| (customer, movie)));
    let rated = pairs.filter(|(customer, movie)| (customer * 31 + movie * 17) % 7 < 3);
    let ratings = rated.map(|(c, m)| (c, m, stars(c, m))).collect::<Vec<_>>();
    matrix(&ratings, customers as usize, movies as usize)
}

/// The lines of a fixture, by kind; `tests/data/truncated_svd.py` made them.
fn fixture() -> BTreeMap<&'static str, Vec<(u32, u32, f64)>> {
    let mut kinds = BTreeMap::<_, Vec<_>>::new();
    let lines = include_str!("../../../tests/data/truncated_svd.csv").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let [kind, row, column, value] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
        let entry = (row.parse().unwrap(), column.parse().unwrap(), value.parse().unwrap());
        kinds.entry(kind).or_default().push(entry);
    }
    kinds
}

#[test]
fn agrees_with_scikit_learn() {
    let fixture = fixture();
    let ratings = fixture["rating"].iter().map(|&(c, m, v)| (c, m, v as u8)).collect::<Vec<_>>();
    let matrix = matrix(&ratings, 120, 80);
    for (kind, iterations) in [("exact", 40), ("exact", 7), ("randomized", 7)] {
        let params = Params { factors: 8, iterations, center: Center::Mean, ..Params::default() };
        let (trained, singular) = train(&matrix, &params).unwrap();
        for (name, ours) in [
            ("singular_value", &singular.singular_values),
            ("explained_variance", &singular.explained_variance),
            ("explained_variance_ratio", &singular.explained_variance_ratio),
        ] {
            let theirs = &fixture[&*format!("{kind}_{name}")];
            assert_eq!((theirs.len(), ours.len()), (8, 8));
            for (&(index, _, theirs), ours) in theirs.iter().zip(ours) {
                assert!((ours / theirs - 1.0).abs() < 1e-4, "{kind} {name} {index}: {ours}, not {theirs}");
            }
        }
        let ours = product(&trained.model);
        for &(customer, movie, theirs) in &fixture["reconstruction"] {
            let ours = ours[(customer as usize, movie as usize)];
            assert!((ours - theirs).abs() < 1e-4, "{customer} {movie}: {ours}, not {theirs}");
        }
        // The signs agree, too.
        for &(index, movie, theirs) in &fixture["component"] {
            let scale = singular.singular_values[index as usize].sqrt();
            let ours = f64::from(trained.model.movies.factors[(movie as usize, index as usize)]) / scale;
            assert!((ours - theirs).abs() < 1e-3, "component {index}, movie {movie}: {ours}, not {theirs}");
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_the_decomposition_of_the_dense_matrix(
        ratings in prop::collection::btree_map((0u32..14, 0u32..11), 1u8..=5, 1..80),
        seed: i64, iterations in 0usize..4,
        center in prop::sample::select(vec![Center::Biases, Center::Mean, Center::None]),
    ) {
        let ratings = ratings.into_iter().map(|((c, m), v)| (c, m, v)).collect::<Vec<_>>();
        let matrix = matrix(&ratings, 14, 11);
        let factors = matrix.by_customer.rated_rows().min(matrix.by_movie.rated_rows());
        let params = Params { factors, iterations, center, seed, ..Params::default() };
        let (Trained { model, iteration, .. }, singular) = train(&matrix, &params).unwrap();
        let dense = dense(&matrix, &model);
        let naive = dense.singular_values().unwrap();
        for (ours, naive) in singular.singular_values.iter().zip(&naive) {
            // The biases are rounded to single precision.
            prop_assert!((ours - naive).abs() <= 1e-4 * naive + 1e-5, "{ours}, not {naive}");
        }
        // With as many factors as the rank, the product is the whole matrix.
        let product = product(&model);
        for (place, entry) in product.indexed_iter() {
            prop_assert!((entry - dense[place]).abs() < 1e-4, "{entry}, not {}", dense[place]);
        }
        prop_assert!(iteration.train_rmse < 1e-4);
        let shares = singular.explained_variance_ratio.iter().sum::<f64>();
        prop_assert!((shares - 1.0).abs() < 1e-4 || naive[0] < 1e-3, "{shares}");
    }
}

#[test]
fn the_factors_are_orthogonal_and_as_long_as_the_root_of_their_singular_value() {
    let matrix = many(300, 90);
    let (Trained { model, .. }, singular) =
        train(&matrix, &Params { factors: 12, ..Params::default() }).unwrap();
    let expected = Array2::from_diag(&Array1::from_vec(singular.singular_values));
    for side in [&model.customers, &model.movies] {
        let factors = side.factors.mapv(f64::from);
        assert!((factors.t().dot(&factors) - &expected).iter().all(|entry| entry.abs() < 1e-4));
    }
    for column in model.movies.factors.columns() {
        let largest = column.iter().fold(0.0f32, |most, entry| most.max(entry.abs()));
        assert!(column.iter().any(|&entry| entry == largest));
    }
}

#[test]
fn one_iteration_is_reported_and_the_errors_are_those_of_the_model() {
    let matrix = many(60, 40);
    let mut held_out = Ratings::default();
    (0..60).for_each(|customer| held_out.push(customer, customer * 7 % 40, stars(customer, 3)));
    let mut reported = Vec::new();
    let on_iteration = &mut |iteration: Iteration| reported.push((iteration.number, iteration.held_out_rmse));
    let callbacks = &mut Callbacks { cancelled: &GO, on_iteration };
    let params = Params { factors: 4, ..Params::default() };
    let (Trained { model, iteration, .. }, _) =
        super::decompose(TrainingData::new(&matrix, &held_out), &params, callbacks).unwrap();
    let metrics = model.evaluate(&held_out, &GO).unwrap().unwrap();
    assert_eq!(reported, [(1, Some(metrics.rmse))]);
    let (dense, product) = (dense(&matrix, &model), product(&model));
    let mut squares = 0.0;
    for customer in 0..60 {
        let (movies, _) = matrix.by_customer.row(customer);
        let places = movies.iter().map(|&movie| (customer, movie as usize));
        squares += places.map(|place| (dense[place] - product[place]).powi(2)).sum::<f64>();
    }
    assert!((iteration.train_rmse - (squares / matrix.ratings() as f64).sqrt()).abs() < 1e-5);
}

#[test]
fn training_stops_soon_after_a_cancel() {
    let matrix = many(3000, 400);
    let params = Params { factors: 300, iterations: 100, ..Params::default() };
    for after in [0, 20, 90, 250] {
        let cancelled = AtomicBool::new(after == 0);
        let (result, waited) = std::thread::scope(|scope| {
            let training = scope.spawn(|| (train_until(&cancelled, &matrix, &params), Instant::now()));
            std::thread::sleep(Duration::from_millis(after));
            cancelled.store(true, Ordering::Relaxed);
            let set = Instant::now();
            let (result, ended) = training.join().unwrap();
            (result, ended.saturating_duration_since(set))
        });
        assert_eq!(result.unwrap_err(), Error::Cancelled);
        // On an idle machine, it is much less.
        assert!(waited < Duration::from_secs(1), "{waited:?}");
    }
}

#[test]
fn one_customer_one_movie_and_nothing_to_learn() {
    let one = Params { factors: 1, center: Center::None, ..Params::default() };
    let cases = [
        (matrix(&[(0, 0, 1), (0, 1, 2), (0, 2, 2)], 1, 3), one.clone(), 3.0),
        (matrix(&[(0, 0, 1), (1, 0, 2), (2, 0, 2)], 3, 1), one.clone(), 3.0),
        (matrix(&[(2, 1, 4)], 5, 4), one.clone(), 4.0),
        (many_equal(), Params { factors: 3, center: Center::Biases, ..one.clone() }, 0.0),
        (many_equal(), Params { factors: 3, center: Center::Mean, ..one.clone() }, 0.0),
        // A 4 × 4 matrix of fours has rank 1, and there are more factors than that.
        (many_equal(), Params { factors: 4, ..one.clone() }, 16.0),
    ];
    for (matrix, params, largest) in cases {
        let (Trained { model, iteration, .. }, singular) = train(&matrix, &params).unwrap();
        assert!((singular.singular_values[0] - largest).abs() < 1e-6, "{:?}", singular.singular_values);
        assert!(singular.singular_values[1..].iter().all(|&value| value == 0.0));
        let variances = singular.explained_variance.iter().chain(&singular.explained_variance_ratio);
        assert!(variances.into_iter().all(|variance| variance.is_finite()));
        assert!(iteration.train_rmse < 1e-6);
        for side in [&model.customers, &model.movies] {
            let from = if largest == 0.0 { 0 } else { 1 };
            assert!(side.factors.slice(s![.., from..]).iter().all(|&factor| factor == 0.0));
            assert!(side.factors.iter().chain(&side.biases).all(|entry| entry.is_finite()));
        }
    }
}

fn many_equal() -> RatingMatrix {
    let pairs = (0..4u32).flat_map(|customer| (0..4u32).map(move |movie| (customer, movie, 4)));
    matrix(&pairs.collect::<Vec<_>>(), 6, 5)
}

#[test]
fn no_more_factors_than_customers_and_movies_have_ratings() {
    let matrix = matrix(&[(0, 2, 4), (3, 2, 5), (3, 0, 1), (1, 0, 1)], 5, 4);
    assert!(train(&matrix, &Params { factors: 2, ..Params::default() }).is_ok());
    let error = train(&matrix, &Params { factors: 3, ..Params::default() }).unwrap_err();
    let (value, range) = ("3".into(), "at most 2 (the number of customers or movies with ratings)".into());
    assert_eq!(error, Error::Parameter { name: "factors", value, range });
}
