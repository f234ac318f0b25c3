use super::*;
use crate::algorithm::run::Iteration;
use crate::model::metrics::Metrics;
use proptest::prelude::*;
use std::sync::atomic::Ordering;

static GO: AtomicBool = AtomicBool::new(false);

fn matrix(ratings: &[(u32, u32, u8)], customers: usize, movies: usize) -> RatingMatrix {
    let mut list = Ratings::default();
    ratings.iter().for_each(|&(customer, movie, value)| list.push(customer, movie, value));
    RatingMatrix::new(customers, movies, &list, &GO).unwrap()
}

/// Trains, and hears of each iteration.
fn train(
    matrix: &RatingMatrix,
    held_out: &Ratings,
    params: &Params,
    cancelled: &AtomicBool,
    on_iteration: &mut dyn FnMut(Iteration),
) -> Result<Trained, Error> {
    super::train(matrix, params, &mut Run { held_out, cancelled, on_iteration })
}

/// Every customer rates most movies, by which of two tastes both are of.
fn two_tastes() -> Vec<(u32, u32, u8)> {
    let pairs = (0..40u32).flat_map(|customer| (0..30u32).map(move |movie| (customer, movie)));
    let rated = pairs.filter(|(customer, movie)| (customer * 7 + movie * 3) % 5 != 0);
    rated.map(|(c, m)| (c, m, if c % 2 == m % 2 { 5 } else { 1 + (m % 2) as u8 })).collect()
}

fn quick() -> Params {
    let light = Params { factors: 3, iterations: 8, regularization: 0.01, ..Params::default() };
    Params { bias_regularization: 0.01, ..light }
}

/// What a sweep minimises: squared errors and the weighted squares of all unknowns.
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
            params.regularise(sparse.count(row), &mut prior);
            let (bias, factors) = side.row(row).unwrap();
            sum += f64::from(prior.bias_ridge * bias * bias + prior.ridge * factors.dot(&factors));
        }
    }
    sum
}

#[test]
fn learns_what_is_there_to_learn() {
    let all = two_tastes();
    let (held, kept): (Vec<_>, Vec<_>) = all.iter().partition(|(c, m, _)| (c + m * 11) % 9 == 0);
    let matrix = matrix(&kept, 40, 30);
    let mut held_out = Ratings::default();
    held.iter().for_each(|&(c, m, v)| held_out.push(c, m, v));
    let mut last = None;
    let model =
        train(&matrix, &held_out, &quick(), &GO, &mut |iteration| last = Some(iteration)).unwrap().model;
    let last = last.unwrap();
    let biases = crate::algorithm::baseline::biases(&matrix, &Default::default(), &GO).unwrap();
    let rmse = |model: &Model| {
        let pairs = held_out.iter().map(|(c, m, v)| (model.predict(c as usize, m as usize), v));
        Metrics::of(pairs).unwrap().rmse
    };
    assert_eq!(last.number, 8);
    assert_eq!(last.held_out_rmse, Some(rmse(&model)));
    assert!(rmse(&model) < 0.5 && rmse(&biases) > 1.0, "{} {}", rmse(&model), rmse(&biases));
}

#[test]
fn the_objective_never_rises_and_the_error_is_the_models_own() {
    // Tastes are not all that makes ratings.
    let mood = |c: u32, m: u32, v: u8| if (c * 5 + m * 13).is_multiple_of(4) { 3 } else { v };
    let ratings = two_tastes().into_iter().map(|(c, m, v)| (c, m, mood(c, m, v))).collect::<Vec<_>>();
    let matrix = matrix(&ratings, 40, 30);
    let mut before = f64::INFINITY;
    for iterations in 1..8 {
        let params = Params { iterations, ..quick() };
        let mut train_rmse = 0.0;
        let model = train(&matrix, &Ratings::default(), &params, &GO, &mut |i| train_rmse = i.train_rmse)
            .unwrap()
            .model;
        let now = objective(&matrix, &model, &params);
        // But for what is rounded to bfloat16.
        assert!(now <= before * (1.0 + 1e-4), "{now} after {before}");
        before = now;
        let squares =
            objective(&matrix, &model, &Params { regularization: 0.0, bias_regularization: 0.0, ..params });
        let rmse = (squares / matrix.ratings() as f64).sqrt();
        assert!((rmse - train_rmse).abs() < 1e-4, "{rmse} {train_rmse}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    // Enough for several blocks on both sides.
    let pairs = (0..600u32).flat_map(|customer| (0..150u32).map(move |movie| (customer, movie)));
    let rated = pairs.filter(|(customer, movie)| (customer * 31 + movie * 17) % 7 != 0);
    let stars = |(c, m): (u32, u32)| 1 + (c.wrapping_mul(m + 7).wrapping_mul(0x9e37_79b9) >> 29) as u8 % 5;
    let ratings = rated.map(|(c, m)| (c, m, stars((c, m)))).collect::<Vec<_>>();
    let (held, kept): (Vec<_>, Vec<_>) = ratings.iter().partition(|(c, m, _)| (c + m) % 3 == 0);
    let matrix = matrix(&kept, 600, 150);
    assert!(matrix.by_movie.blocks(crate::least_squares::RATINGS_PER_ROW_BLOCK).unwrap().len() > 4);
    let mut held_out = Ratings::default();
    held.iter().for_each(|&(c, m, v)| held_out.push(c, m, v));
    assert!(held_out.len() > 16 * 1024);
    let bits = |threads: usize, seed: i64, sampled_from: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let params = Params { seed, iterations: 3, ..quick() };
        let (model, errors) = pool.install(|| {
            let mut errors = Vec::new();
            let hear = &mut |iteration: Iteration| {
                errors.extend([iteration.train_rmse, iteration.held_out_rmse.unwrap()].map(f64::to_bits));
            };
            let run = &mut Run { held_out: &held_out, cancelled: &GO, on_iteration: hear };
            (train_from(sampled_from, &matrix, &params, run).unwrap().model, errors)
        });
        let numbers = model.customers.factors.iter().chain(&model.movies.factors);
        let numbers = numbers.chain(&model.customers.biases).chain(&model.movies.biases);
        (numbers.map(|number| number.to_bits()).collect::<Vec<_>>(), errors)
    };
    for sampled_from in [usize::MAX, 0] {
        assert_eq!(bits(1, 42, sampled_from), bits(2, 42, sampled_from));
        assert_eq!(bits(1, 42, sampled_from), bits(3, 42, sampled_from));
    }
    assert_ne!(bits(1, 42, usize::MAX), bits(1, 43, usize::MAX));
    assert_ne!(bits(1, 42, usize::MAX), bits(1, 42, 0));
}

#[test]
fn training_ends_where_it_is_best() {
    // Nothing but noise: what is learned of it helps nowhere else.
    let stars = |c: u32, m: u32| 1 + ((c * 31 + m + 7).wrapping_mul(0x9e37_79b9) >> 29) as u8 % 5;
    let pairs = (0..60u32).flat_map(|customer| (0..40u32).map(move |movie| (customer, movie)));
    let (held, kept): (Vec<_>, Vec<_>) =
        pairs.map(|(c, m)| (c, m, stars(c, m))).partition(|(c, m, _)| (c + m * 3).is_multiple_of(4));
    let matrix = matrix(&kept, 60, 40);
    let mut held_out = Ratings::default();
    held.iter().for_each(|&(c, m, v)| held_out.push(c, m, v));
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
    let judged = trained.model.judge(&held_out, &GO).unwrap().unwrap();
    assert_eq!((Some(judged.rmse), judged.rmse), (trained.iteration.held_out_rmse, curve[rise]));
    // A sweep that gains little is the last one, and is kept.
    let (trained, shorter) = train(1.0);
    assert_eq!((trained.iteration.number, shorter.len()), (if rise == 0 { 1 } else { 2 }, 2));
}

#[test]
fn a_cancel_is_heard_in_the_middle() {
    let matrix = matrix(&two_tastes(), 40, 30);
    for after in [1, 3] {
        let cancelled = AtomicBool::new(false);
        let mut heard = 0;
        let result = train(&matrix, &Ratings::default(), &quick(), &cancelled, &mut |iteration| {
            heard = iteration.number;
            cancelled.store(heard == after, Ordering::Relaxed);
        });
        assert_eq!((result.unwrap_err(), heard), (Error::Cancelled, after));
    }
}

#[test]
fn rows_without_ratings_are_zero_and_cancels_are_heard() {
    let matrix = matrix(&[(0, 2, 4), (3, 2, 5), (3, 0, 1)], 5, 4);
    let model = train(&matrix, &Ratings::default(), &quick(), &GO, &mut |_| {}).unwrap().model;
    for row in [1, 2, 4] {
        let (bias, factors) = model.customers.row(row).unwrap();
        assert!(bias == 0.0 && factors.iter().all(|&f| f == 0.0));
    }
    assert!((model.predict(1, 1) - matrix.mean() as f32).abs() < 1e-6);
    assert!((model.predict(99, 99) - matrix.mean() as f32).abs() < 1e-6);
    let stopped = train(&matrix, &Ratings::default(), &quick(), &AtomicBool::new(true), &mut |_| {});
    assert_eq!(stopped.unwrap_err(), Error::Cancelled);
}

#[test]
fn a_sample_is_a_good_start() {
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
        let run = &mut Run { held_out: &held_out, cancelled: &GO, on_iteration };
        train_from(sampled_from, &matrix, &params, run).unwrap();
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
            prop_assert!(side.biases.iter().chain(&side.factors).all(|number| number.abs() < 100.0));
        }
    }
}

#[test]
fn parameters_out_of_range_are_named() {
    let name = |params: Params| match params.check() {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    let default = Params::default;
    assert_eq!(default().check(), Ok(()));
    assert_eq!(name(Params { factors: 0, ..default() }), "factors");
    assert_eq!(name(Params { factors: 1025, ..default() }), "factors");
    assert_eq!(name(Params { iterations: 0, ..default() }), "iterations");
    for bad in [-0.1, f64::NAN, f64::INFINITY] {
        assert_eq!(name(Params { regularization: bad, ..default() }), "regularization");
        assert_eq!(name(Params { bias_regularization: bad, ..default() }), "bias_regularization");
        assert_eq!(name(Params { tolerance: bad, ..default() }), "tolerance");
    }
}
