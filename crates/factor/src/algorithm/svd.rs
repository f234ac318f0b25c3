//! Biased matrix factorisation by stochastic gradient descent, known from the Netflix Prize as SVD (Funk 2006, "Netflix
//! update: try this at home"; Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems",
//! equations 4 and 5): one rating after the other, its customer and its movie go a step towards it.

use serde::{Deserialize, Serialize};

use crate::algorithm::parameter::{count, lenient, real, seed, whole};
use crate::algorithm::regularization::PRIOR_COUNT;
use crate::algorithm::run::{Course, Run, Size, Trained};
use crate::algorithm::start::start;
use crate::descent::Strata;
use crate::descent::kernel::StepParams;
use crate::error::Error;
use crate::model::{Model, SCALE, Side};
use crate::ratings::Ratings;
use crate::ratings::builder::MatrixBuilder;
use crate::ratings::matrix::RatingMatrix;
use crate::simd::InstructionSet;

/// How to train.
///
/// | parameter | default | range | meaning |
/// | --- | --- | --- | --- |
/// | `factors` | 50 | 1 to 1024 | length of each customer's and movie's vector |
/// | `iterations` | 20 | 1 to 1000 | epochs: how often each rating is learned from |
/// | `learning_rate` | 0.02 | 1e-6 to 1 | γ: how far a step goes in the first epoch |
/// | `decay` | 0.95 | 0 to 1 | what γ is multiplied by after each epoch |
/// | `regularization` | 0.03 | 0 to 1e6 | λ: a row of n ratings has its factors' squares weighted by λ · (n + 60) |
/// | `bias_regularization` | 0.05 | 0 to 1e6 | the same for biases |
/// | `tolerance` | 0 | 0 to 1 | training ends when an epoch lowers the held-out RMSE by less; 0: never |
/// | `seed` | 42 | any | where the factors start |
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Length of each vector.
    #[serde(deserialize_with = "count")]
    pub factors: usize,
    /// Epochs.
    #[serde(deserialize_with = "count")]
    pub iterations: usize,
    /// γ of the first epoch: the share of the error's gradient that a step goes.
    #[serde(deserialize_with = "lenient")]
    pub learning_rate: f64,
    /// What γ is multiplied by after each epoch.
    #[serde(deserialize_with = "lenient")]
    pub decay: f64,
    /// λ of the factors.
    #[serde(deserialize_with = "lenient")]
    pub regularization: f64,
    /// λ of the biases.
    #[serde(deserialize_with = "lenient")]
    pub bias_regularization: f64,
    /// By how much an epoch must lower the error on held-out ratings, or on those trained on where none are held out, for
    /// training to go on. Where that rises, what was learned before is the result.
    #[serde(deserialize_with = "lenient")]
    pub tolerance: f64,
    /// Where the factors start.
    #[serde(deserialize_with = "seed")]
    pub seed: i64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            factors: 50,
            iterations: 20,
            learning_rate: 0.02,
            decay: 0.95,
            regularization: 0.03,
            bias_regularization: 0.05,
            tolerance: 0.0,
            seed: 42,
        }
    }
}

impl Params {
    /// Checks each parameter's range.
    pub fn check(&self) -> Result<(), Error> {
        whole("factors", self.factors, 1..=1024)?;
        whole("iterations", self.iterations, 1..=1000)?;
        real("learning_rate", self.learning_rate, 1e-6..=1.0)?;
        real("decay", self.decay, 0.0..=1.0)?;
        real("regularization", self.regularization, 0.0..=1e6)?;
        real("bias_regularization", self.bias_regularization, 0.0..=1e6)?;
        real("tolerance", self.tolerance, 0.0..=1.0)
    }

    /// Bytes that training takes at its height, the matrix and its making included.
    pub fn memory(&self, size: Size) -> usize {
        let Size { customers, movies, ratings, held_out, threads } = size;
        let copies = if self.tolerance > 0.0 { 2 } else { 1 };
        let models = copies * (customers + movies) * size_of::<f32>() * (self.factors + 1);
        let training = RatingMatrix::memory(customers, movies, ratings)
            + models
            + Strata::memory(customers, movies, self.factors);
        MatrixBuilder::memory(customers, movies, ratings, threads).max(training) + Ratings::memory(held_out)
    }

    /// What the steps of an epoch, counted from 0, have in common.
    fn step_params(&self, mean: f32, epoch: usize) -> StepParams {
        StepParams {
            factors: self.factors,
            mean,
            learning_rate: (self.learning_rate * self.decay.powf(epoch as f64)) as f32,
            regularization: self.regularization as f32,
            bias_regularization: self.bias_regularization as f32,
        }
    }
}

/// Trains a model on a matrix, in rayon's current pool. The same matrix, parameters and seed give the same bits
/// whatever the number of threads.
///
/// An iteration's RMSE on the ratings trained on is of the errors as they were found during the epoch, each before its
/// step. [`Error::Diverged`] where that is more than the scale of ratings is wide, or no number, or a factor is none.
pub fn train(matrix: &RatingMatrix, params: &Params, run: &mut Run<'_>) -> Result<Trained, Error> {
    params.check()?;
    let cancelled = run.cancelled;
    let mut course = Course::new(matrix, run, params.iterations, params.tolerance)?;
    let instructions = InstructionSet::fastest();
    // Nothing is known of customers: their first steps make them differ.
    let movies = start(matrix, params.factors, params.seed, cancelled)?;
    let customers = Side::zeros(matrix.by_customer.rows(), params.factors)?;
    let mut model =
        Model { mean: matrix.mean() as f32, customers, movies, samples: 1, links: None, prior: None };
    let mut strata = Strata::new(matrix, &model, PRIOR_COUNT, cancelled)?;
    loop {
        let error = strata.epoch(instructions, params.step_params(model.mean, course.number), cancelled)?;
        let train_rmse = (error / matrix.ratings() as f64).sqrt();
        let is_finite = strata.copy_to(&mut model, cancelled)?;
        // Any one rating predicted for all would be nearer. No number is in no range.
        let is_sane = (0.0..=f64::from(SCALE.1 - SCALE.0)).contains(&train_rmse);
        if !is_finite || !is_sane {
            return Err(Error::Diverged { iteration: course.number + 1 });
        }
        if let Some(trained) = course.iterate(&mut model, train_rmse)? {
            return Ok(trained);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::run::Iteration;
    use crate::descent::RANGES;
    use crate::model::metrics::Metrics;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    static GO: AtomicBool = AtomicBool::new(false);

    fn list(ratings: &[(u32, u32, u8)]) -> Ratings {
        let mut list = Ratings::default();
        ratings.iter().for_each(|&(customer, movie, value)| list.push(customer, movie, value));
        list
    }

    fn matrix(ratings: &[(u32, u32, u8)], customers: usize, movies: usize) -> RatingMatrix {
        RatingMatrix::new(customers, movies, &list(ratings), &GO).unwrap()
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

    fn train_all(matrix: &RatingMatrix, params: &Params) -> Result<Model, Error> {
        train(matrix, &Ratings::default(), params, &GO, &mut |_| {}).map(|trained| trained.model)
    }

    /// Every customer rates most movies, by which of two tastes both are of.
    fn two_tastes(customers: u32, movies: u32) -> Vec<(u32, u32, u8)> {
        let pairs = (0..customers).flat_map(|customer| (0..movies).map(move |movie| (customer, movie)));
        let rated = pairs.filter(|(customer, movie)| (customer * 7 + movie * 3) % 5 != 0);
        rated.map(|(c, m)| (c, m, if c % 2 == m % 2 { 5 } else { 1 + (m % 2) as u8 })).collect()
    }

    fn quick() -> Params {
        let steep = Params { factors: 3, iterations: 30, learning_rate: 0.05, ..Params::default() };
        Params { regularization: 0.001, bias_regularization: 0.001, ..steep }
    }

    #[test]
    fn learns_what_is_there_to_learn() {
        let all = two_tastes(60, 50);
        let (held, kept): (Vec<_>, Vec<_>) = all.iter().partition(|(c, m, _)| (c + m * 11) % 9 == 0);
        let (matrix, held_out) = (matrix(&kept, 60, 50), list(&held));
        let mut curve = Vec::new();
        let trained =
            train(&matrix, &held_out, &quick(), &GO, &mut |iteration| curve.push(iteration)).unwrap();
        let rmse = |model: &Model| {
            let pairs = held_out.iter().map(|(c, m, v)| (model.predict(c as usize, m as usize), v));
            Metrics::of(pairs).unwrap().rmse
        };
        let (learned, biases) = (
            rmse(&trained.model),
            rmse(&crate::algorithm::baseline::biases(&matrix, &Default::default(), &GO).unwrap()),
        );
        assert!(learned < 0.3 && biases > 1.0, "{learned} {biases}");
        assert_eq!((trained.iteration.number, trained.iteration.held_out_rmse), (30, Some(learned)));
        assert_eq!(curve.len(), 30);
        assert!(curve[0].train_rmse > 1.0 && curve[29].train_rmse < 0.3);
    }

    #[test]
    fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
        let stars = |c: u32, m: u32| 1 + (c.wrapping_mul(m + 7).wrapping_mul(0x9e37_79b9) >> 29) as u8 % 5;
        let ratings =
            two_tastes(300, 110).into_iter().map(|(c, m, _)| (c, m, stars(c, m))).collect::<Vec<_>>();
        let (held, kept): (Vec<_>, Vec<_>) = ratings.iter().partition(|(c, m, _)| (c + m) % 3 == 0);
        let (matrix, held_out) = (matrix(&kept, 300, 110), list(&held));
        assert_eq!(matrix.by_movie.blocks(kept.len().div_ceil(RANGES)).unwrap().len(), RANGES);
        let bits = |threads: usize, seed: i64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let params = Params { seed, factors: 7, iterations: 4, ..quick() };
            let mut errors = Vec::new();
            let model = pool.install(|| {
                let hear = &mut |iteration: Iteration| {
                    errors.extend([iteration.train_rmse, iteration.held_out_rmse.unwrap()].map(f64::to_bits));
                };
                train(&matrix, &held_out, &params, &GO, hear).unwrap().model
            });
            let numbers = model.customers.factors.iter().chain(&model.movies.factors);
            let numbers = numbers.chain(&model.customers.biases).chain(&model.movies.biases);
            (numbers.map(|number| number.to_bits()).collect::<Vec<_>>(), errors)
        };
        assert_eq!(bits(1, 42), bits(2, 42));
        assert_eq!(bits(1, 42), bits(3, 42));
        assert_ne!(bits(1, 42), bits(1, 43));
    }

    #[test]
    fn training_ends_where_it_is_best() {
        // Nothing but noise: what is learned of it helps nowhere else.
        let stars = |c: u32, m: u32| 1 + ((c * 31 + m + 7).wrapping_mul(0x9e37_79b9) >> 29) as u8 % 5;
        let pairs = (0..60u32).flat_map(|customer| (0..40u32).map(move |movie| (customer, movie)));
        let (held, kept): (Vec<_>, Vec<_>) =
            pairs.map(|(c, m)| (c, m, stars(c, m))).partition(|(c, m, _)| (c + m * 3).is_multiple_of(4));
        let (matrix, held_out) = (matrix(&kept, 60, 40), list(&held));
        let train = |tolerance: f64| {
            let mut curve = Vec::new();
            let hear = &mut |iteration: Iteration| curve.push(iteration.held_out_rmse.unwrap());
            (train(&matrix, &held_out, &Params { tolerance, ..quick() }, &GO, hear).unwrap(), curve)
        };
        let (whole, curve) = train(0.0);
        assert_eq!((whole.iteration.number, curve.len()), (30, 30));
        let rise = curve.windows(2).position(|pair| pair[1] > pair[0]).unwrap();
        let (trained, shorter) = train(1e-9);
        assert_eq!((trained.iteration.number, shorter.len()), (rise + 1, rise + 2));
        assert_eq!(trained.model.judge(&held_out, &GO).unwrap().unwrap().rmse, curve[rise]);
    }

    #[test]
    fn a_divergence_is_named() {
        let matrix = matrix(&two_tastes(60, 50), 60, 50);
        let mut heard = 0;
        let wild = Params { learning_rate: 0.3, decay: 1.0, factors: 50, ..quick() };
        let result =
            train(&matrix, &Ratings::default(), &wild, &GO, &mut |iteration| heard = iteration.number);
        assert_eq!(result.unwrap_err(), Error::Diverged { iteration: heard + 1 });
        // No regularization is too strong, as a step's ends at zero.
        for regularization in [40.0, 1e6] {
            let strong = Params { regularization, bias_regularization: regularization, ..quick() };
            let model = train_all(&matrix, &strong).unwrap();
            let sides = [&model.customers, &model.movies];
            let mut numbers = sides.iter().flat_map(|side| side.biases.iter().chain(&side.factors));
            assert!(numbers.all(|number| number.abs() < 0.2), "{regularization}");
        }
        let message = "training diverged in iteration 3: errors or factors grew beyond all bounds";
        assert_eq!(Error::Diverged { iteration: 3 }.to_string(), message);
    }

    #[test]
    fn a_cancel_is_heard_in_the_middle() {
        let matrix = matrix(&two_tastes(40, 30), 40, 30);
        for after in [1, 3] {
            let cancelled = AtomicBool::new(false);
            let mut heard = 0;
            let result = train(&matrix, &Ratings::default(), &quick(), &cancelled, &mut |iteration| {
                heard = iteration.number;
                cancelled.store(heard == after, Ordering::Relaxed);
            });
            assert_eq!((result.unwrap_err(), heard), (Error::Cancelled, after));
        }
        let stopped = train(&matrix, &Ratings::default(), &quick(), &AtomicBool::new(true), &mut |_| {});
        assert_eq!(stopped.unwrap_err(), Error::Cancelled);
    }

    #[test]
    fn rows_without_ratings_are_zero() {
        let matrix = matrix(&[(1, 2, 4), (3, 2, 5), (3, 0, 1)], 5, 4);
        let model = train_all(&matrix, &quick()).unwrap();
        let (customers, movies) = (&model.customers, &model.movies);
        for (bias, factors) in
            [customers.row(0), customers.row(4), movies.row(1), movies.row(3)].map(Option::unwrap)
        {
            assert!(bias == 0.0 && factors.iter().all(|&factor| factor == 0.0));
        }
        assert!((model.predict(0, 1) - matrix.mean() as f32).abs() < 1e-6);
        assert!((model.predict(99, 99) - matrix.mean() as f32).abs() < 1e-6);
    }

    #[test]
    fn the_smallest_matrices_are_learned() {
        let single = matrix(&[(0, 0, 4)], 1, 1);
        assert!((train_all(&single, &quick()).unwrap().predict(0, 0) - 4.0).abs() < 0.01);
        let one_customer = (0..40).map(|movie| (0, movie, 1 + (movie % 5) as u8)).collect::<Vec<_>>();
        let one_movie = (0..40).map(|customer| (customer, 0, 1 + (customer % 5) as u8)).collect::<Vec<_>>();
        let many_factors = Params { factors: 100, ..quick() };
        let free = Params { regularization: 0.0, bias_regularization: 0.0, ..many_factors };
        for (ratings, customers, movies) in [(&one_customer, 1, 40), (&one_movie, 40, 1)] {
            let model = train_all(&matrix(ratings, customers, movies), &free).unwrap();
            for &(customer, movie, value) in ratings {
                let predicted = model.predict(customer as usize, movie as usize);
                assert!((predicted - f32::from(value)).abs() < 0.8, "{predicted} for {value}");
            }
        }
        let alike = two_tastes(20, 10).into_iter().map(|(c, m, _)| (c, m, 3)).collect::<Vec<_>>();
        let model = train_all(&matrix(&alike, 20, 10), &quick()).unwrap();
        assert!(alike.iter().all(|&(c, m, _)| (model.predict(c as usize, m as usize) - 3.0).abs() < 0.01));
    }

    proptest! {
        #[test]
        fn any_ratings_give_finite_factors(
            ratings in prop::collection::btree_map((0u32..8, 0u32..6), 1u8..=5, 1..40),
            factors in 1usize..20, seed: i64,
        ) {
            let ratings = ratings.into_iter().map(|((c, m), v)| (c, m, v)).collect::<Vec<_>>();
            let params = Params { factors, iterations: 3, seed, ..Params::default() };
            let model = train_all(&matrix(&ratings, 8, 6), &params).unwrap();
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
        assert_eq!(name(Params { learning_rate: 0.0, ..default() }), "learning_rate");
        for bad in [-0.1, f64::NAN, f64::INFINITY] {
            assert_eq!(name(Params { learning_rate: bad, ..default() }), "learning_rate");
            assert_eq!(name(Params { decay: bad, ..default() }), "decay");
            assert_eq!(name(Params { regularization: bad, ..default() }), "regularization");
            assert_eq!(name(Params { bias_regularization: bad, ..default() }), "bias_regularization");
            assert_eq!(name(Params { tolerance: bad, ..default() }), "tolerance");
        }
    }
}
