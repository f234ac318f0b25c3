use super::*;
use crate::algorithm::tests::{GO, bits, list, matrix, two_tastes};
use crate::algorithm::training::Iteration;
use crate::model::metrics::Metrics;
use crate::ratings::Ratings;
use proptest::prelude::*;

/// Trains, and calls `on_iteration` after each iteration.
fn train(
    matrix: &RatingMatrix,
    held_out: &Ratings,
    params: &Params,
    cancelled: &AtomicBool,
    on_iteration: &mut dyn FnMut(Iteration),
) -> Result<Trained, Error> {
    params.train(TrainingData::new(matrix, held_out), &mut Callbacks { cancelled, on_iteration })
}

fn quick() -> Params {
    let light = Params { factors: 3, iterations: 8, regularization: 0.01, ..Params::default() };
    Params { bias_regularization: 0.01, ..light }
}

/// The objective that a sweep minimises: the squared errors and the penalties of all rows.
fn objective(matrix: &RatingMatrix, model: &Model, params: &Params) -> f64 {
    let mut sum = 0.0;
    for customer in 0..matrix.by_customer.rows() {
        let (movies, values) = matrix.by_customer.row(customer);
        for (&movie, &value) in movies.iter().zip(values) {
            let (p, q) = (model.customers.row(customer), model.movies.row(movie as usize));
            let score = crate::model::score(model.mean, p.unwrap(), q.unwrap());
            sum += (f64::from(score) - f64::from(value)).powi(2);
        }
    }
    for (sparse, side) in [(&matrix.by_customer, &model.customers), (&matrix.by_movie, &model.movies)] {
        for row in 0..sparse.rows() {
            let mut prior = Prior::none(params.factors).unwrap();
            (prior.ridge, prior.bias_ridge) = params.ridges(sparse.count(row));
            let (bias, factors) = side.row(row).unwrap();
            sum += f64::from(prior.bias_ridge * bias * bias + prior.ridge * factors.dot(&factors));
        }
    }
    sum
}

#[test]
fn learns_what_is_there_to_learn() {
    let all = two_tastes(40, 30);
    let (held, kept): (Vec<_>, Vec<_>) = all.iter().partition(|(c, m, _)| (c + m * 11) % 9 == 0);
    let matrix = matrix(&kept, 40, 30);
    let held_out = list(&held);
    let mut last = None;
    let model =
        train(&matrix, &held_out, &quick(), &GO, &mut |iteration| last = Some(iteration)).unwrap().model;
    let last = last.unwrap();
    let biases = crate::algorithm::baseline::biases(&matrix, &GO).unwrap();
    let rmse = |model: &Model| {
        let pairs = held_out.iter().map(|(c, m, v)| (model.predict(c as usize, m as usize), v));
        Metrics::of(pairs).unwrap().rmse
    };
    assert_eq!(last.number, 8);
    assert_eq!(last.held_out_rmse, Some(rmse(&model)));
    assert!(rmse(&model) < 0.5 && rmse(&biases) > 1.0, "{} {}", rmse(&model), rmse(&biases));
}

#[test]
fn the_objective_never_rises_and_the_error_is_that_of_the_model() {
    // A quarter of the ratings is not explained by tastes.
    let noisy = |c: u32, m: u32, v: u8| if (c * 5 + m * 13).is_multiple_of(4) { 3 } else { v };
    let ratings = two_tastes(40, 30).into_iter().map(|(c, m, v)| (c, m, noisy(c, m, v))).collect::<Vec<_>>();
    let matrix = matrix(&ratings, 40, 30);
    let mut before = f64::INFINITY;
    for iterations in 1..8 {
        let params = Params { iterations, ..quick() };
        let mut train_rmse = 0.0;
        let model = train(&matrix, &Ratings::default(), &params, &GO, &mut |i| train_rmse = i.train_rmse)
            .unwrap()
            .model;
        let now = objective(&matrix, &model, &params);
        // The tolerance is for the rounding to bfloat16.
        assert!(now <= before * (1.0 + 1e-4), "{now} after {before}");
        before = now;
        let squares =
            objective(&matrix, &model, &Params { regularization: 0.0, bias_regularization: 0.0, ..params });
        let rmse = (squares / matrix.ratings() as f64).sqrt();
        assert!((rmse - train_rmse).abs() < 1e-4, "{rmse} {train_rmse}");
    }
}

#[test]
fn a_sampled_start_gives_the_same_bits_on_any_number_of_threads() {
    // Enough for several blocks on both sides.
    let pairs = (0..600u32).flat_map(|customer| (0..150u32).map(move |movie| (customer, movie)));
    let rated = pairs.filter(|(customer, movie)| (customer * 31 + movie * 17) % 7 != 0);
    let stars = |(c, m): (u32, u32)| 1 + (c.wrapping_mul(m + 7).wrapping_mul(0x9e37_79b9) >> 29) as u8 % 5;
    let ratings = rated.map(|(c, m)| (c, m, stars((c, m)))).collect::<Vec<_>>();
    let (held, kept): (Vec<_>, Vec<_>) = ratings.iter().partition(|(c, m, _)| (c + m) % 3 == 0);
    let matrix = matrix(&kept, 600, 150);
    assert!(matrix.by_movie.blocks(crate::least_squares::RATINGS_PER_ROW_BLOCK).unwrap().len() > 4);
    let held_out = list(&held);
    assert!(held_out.len() > 16 * 1024);
    let bits = |threads: usize, seed: i64, sampled_from: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let params = Params { seed, iterations: 3, ..quick() };
        let (model, errors) = pool.install(|| {
            let mut errors = Vec::new();
            let on_iteration = &mut |iteration: Iteration| {
                errors.extend([iteration.train_rmse, iteration.held_out_rmse.unwrap()].map(f64::to_bits));
            };
            let callbacks = &mut Callbacks { cancelled: &GO, on_iteration };
            let data = TrainingData::new(&matrix, &held_out);
            (train_from(sampled_from, data, &params, callbacks).unwrap().model, errors)
        });
        (bits(&model), errors)
    };
    for sampled_from in [usize::MAX, 0] {
        assert_eq!(bits(1, 42, sampled_from), bits(2, 42, sampled_from));
        assert_eq!(bits(1, 42, sampled_from), bits(3, 42, sampled_from));
    }
    assert_ne!(bits(1, 42, usize::MAX), bits(1, 43, usize::MAX));
    assert_ne!(bits(1, 42, usize::MAX), bits(1, 42, 0));
}

#[test]
fn training_stops_at_the_lowest_error() {
    // The ratings are noise, so the model overfits from the first sweeps on.
    let stars = |c: u32, m: u32| 1 + ((c * 31 + m + 7).wrapping_mul(0x9e37_79b9) >> 29) as u8 % 5;
    let pairs = (0..60u32).flat_map(|customer| (0..40u32).map(move |movie| (customer, movie)));
    let (held, kept): (Vec<_>, Vec<_>) =
        pairs.map(|(c, m)| (c, m, stars(c, m))).partition(|(c, m, _)| (c + m * 3).is_multiple_of(4));
    let matrix = matrix(&kept, 60, 40);
    let held_out = list(&held);
    let train = |tolerance: f64| {
        let params = Params { tolerance, iterations: 30, regularization: 1e-3, ..quick() };
        let mut curve = Vec::new();
        let trained = train(&matrix, &held_out, &params, &GO, &mut |i| curve.push(i.held_out_rmse.unwrap()));
        (trained.unwrap(), curve)
    };
    let (whole, curve) = train(0.0);
    assert_eq!((whole.iteration.number, curve.len()), (30, 30));
    let rise = curve.windows(2).position(|pair| pair[1] > pair[0]).unwrap();
    let (trained, shorter) = train(1e-9);
    assert_eq!((trained.iteration.number, shorter.len()), (rise + 1, rise + 2));
    let metrics = trained.model.evaluate(&held_out, &GO).unwrap().unwrap();
    assert_eq!((Some(metrics.rmse), metrics.rmse), (trained.iteration.held_out_rmse, curve[rise]));
    // A sweep that lowers the error by too little is the last one, and its model is the result.
    let (trained, shorter) = train(1.0);
    assert_eq!((trained.iteration.number, shorter.len()), (if rise == 0 { 1 } else { 2 }, 2));
}

#[test]
fn a_sampled_start_lowers_the_first_error() {
    let mut ratings = Vec::new();
    for customer in 0..2000u32 {
        let rated = (0..30u32).filter(|movie| (customer * 7 + movie * 3) % 5 != 0);
        ratings
            .extend(rated.map(|m| (customer, m, if customer % 2 == m % 2 { 5 } else { 1 + (m % 2) as u8 })));
    }
    let matrix = matrix(&ratings, 2000, 30);
    let first_rmse = |sampled_from| {
        let params = Params { iterations: 1, ..quick() };
        let mut rmse = 0.0;
        let (held_out, on_iteration) = (Ratings::default(), &mut |i: Iteration| rmse = i.train_rmse);
        let callbacks = &mut Callbacks { cancelled: &GO, on_iteration };
        train_from(sampled_from, TrainingData::new(&matrix, &held_out), &params, callbacks).unwrap();
        rmse
    };
    assert!(first_rmse(0) < first_rmse(usize::MAX), "{} {}", first_rmse(0), first_rmse(usize::MAX));
}

proptest! {
    #[test]
    fn any_ratings_give_finite_factors(
        ratings in prop::collection::btree_map((0u32..8, 0u32..6), 1u8..=5, 1..40),
        factors in 1usize..20, seed: i64,
    ) {
        let ratings = ratings.into_iter().map(|((c, m), v)| (c, m, v)).collect::<Vec<_>>();
        let matrix = matrix(&ratings, 8, 6);
        let params = Params { factors, iterations: 3, seed, ..Params::default() };
        let model = train(&matrix, &Ratings::default(), &params, &GO, &mut |_| {}).unwrap().model;
        for side in [&model.customers, &model.movies] {
            prop_assert!(side.biases.iter().chain(&side.factors).all(|entry| entry.abs() < 100.0));
        }
    }
}
