//! Biased matrix factorisation by stochastic gradient descent, called SVD in the Netflix Prize (Funk 2006, "Netflix update:
//! try this at home"; Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems", equations 4
//! and 5). For each rating in turn, the rows of its customer and its movie take a step against the gradient of its error.

use crate::algorithm::cost::{FETCH, SHORT_ITERATIONS, rated_rows};
use crate::algorithm::fold_in::FoldIn;
use crate::algorithm::fold_in::context::FoldInContext;
use crate::algorithm::fold_in::customer_ratings::{CustomerRatings, Targets};
use crate::algorithm::fold_in::folded_in::{FoldedIn, least_squares};
use crate::algorithm::parameter::parameters;
use crate::algorithm::regularization::{PRIOR_COUNT, ridge};
use crate::algorithm::start::start;
use crate::algorithm::trainer::Trainer;
use crate::algorithm::training::{Callbacks, Size, Trained, TrainingData, TrainingLoop};
use crate::descent::Strata;
use crate::descent::kernel::StepParams;
use crate::error::Error;
use crate::model::{Model, SCALE, Side};
use crate::simd::InstructionSet;

parameters! {
    /// Length of each customer's and movie's vector.
    factors: usize = 50, 1..=1024;
    /// Epochs: passes over all ratings.
    iterations: usize = 20, 1..=1000;
    /// γ, the step size in the first epoch.
    learning_rate: f64 = 0.02, 1e-6..=1.0;
    /// Factor by which γ is multiplied after each epoch.
    decay: f64 = 0.95, 0.0..=1.0;
    /// λ of the factors: the penalty of a row with n ratings is λ · (n + 60) times its squared norm.
    regularization: f64 = 0.03, 0.0..=1e6;
    /// λ of the biases, likewise.
    bias_regularization: f64 = 0.05, 0.0..=1e6;
    /// Training stops when an epoch lowers the RMSE by less than this; 0: never. The RMSE is that on the held-out ratings, or
    /// on the training ratings if there are none. If an epoch raises it, the model of the epoch before is the result.
    tolerance: f64 = 0.0, 0.0..=1.0;
    /// Seed of the random factors that training starts from.
    seed: i64 = 42;
}

impl Trainer for Params {
    fn factors(&self) -> usize {
        self.factors
    }

    fn iterations(&self) -> usize {
        self.iterations
    }

    fn seed(&self) -> Option<i64> {
        Some(self.seed)
    }

    fn memory(&self, size: Size) -> usize {
        let Size { customers, movies, .. } = size;
        let copies = if self.tolerance > 0.0 { 2 } else { 1 };
        let models = copies * (customers + movies) * size_of::<f32>() * (self.factors + 1);
        models + Strata::memory(customers, movies, self.factors)
    }

    fn work(&self, size: Size) -> f64 {
        let (rows, ratings, factors) = (rated_rows(size), size.ratings as f64, self.factors as f64);
        self.iterations as f64 * (ratings * 4.0 * (factors + FETCH) + 4.0 * rows * factors)
    }

    fn shortened(&self, _size: Size) -> Box<dyn Trainer> {
        Box::new(Params { iterations: SHORT_ITERATIONS, ..self.clone() })
    }

    /// The RMSE on the training ratings of an epoch is that of the errors during the epoch, each before its step.
    /// [`Error::Diverged`] if it is larger than the scale of ratings is wide, or if it or a factor is not finite.
    fn train(&self, data: TrainingData<'_>, callbacks: &mut Callbacks<'_>) -> Result<Trained, Error> {
        let (matrix, cancelled) = (data.matrix, callbacks.cancelled);
        let mut training = TrainingLoop::new(data, callbacks, self.iterations, self.tolerance)?;
        let instructions = InstructionSet::fastest();
        // Customers start from zero: their first steps make them differ, because the movies do.
        let movies = start(matrix, self.factors, self.seed, cancelled)?;
        let customers = Side::zeros(matrix.by_customer.rows(), self.factors)?;
        let mut model =
            Model { mean: matrix.mean() as f32, customers, movies, samples: 1, links: None, prior: None };
        let mut strata = Strata::new(matrix, &model, PRIOR_COUNT, cancelled)?;
        loop {
            let step_params = self.step_params(model.mean, training.completed);
            let squared_error = strata.epoch(instructions, step_params, cancelled)?;
            let is_finite = strata.copy_to(&mut model, cancelled)?;
            // To predict the same rating for every pair would be better than a larger error. NaN is in no range.
            let widest = f64::from(SCALE.1 - SCALE.0);
            if !is_finite || !(0.0..=widest).contains(&training.train_rmse(squared_error)) {
                return Err(Error::Diverged { iteration: training.completed + 1 });
            }
            if let Some(trained) = training.iterate(&mut model, squared_error)? {
                return Ok(trained);
            }
        }
    }
}

impl FoldIn for Params {
    fn fold_in(
        &self,
        mean: f32,
        ratings: &CustomerRatings,
        _context: &FoldInContext,
        check: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<FoldedIn, Error> {
        let of = |regularization: f64| f64::from(ridge(regularization, ratings.len(), PRIOR_COUNT));
        let ridges = (of(self.regularization), of(self.bias_regularization));
        least_squares(ratings, Targets::of_mean(mean), ridges, None, check)
    }
}

impl Params {
    /// What all steps of an epoch have in common. Epochs are counted from 0.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::tests::{GO, list, matrix, two_tastes};
    use crate::algorithm::training::Iteration;
    use crate::model::metrics::Metrics;
    use crate::ratings::Ratings;
    use crate::ratings::matrix::RatingMatrix;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;

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

    fn train_all(matrix: &RatingMatrix, params: &Params) -> Result<Model, Error> {
        train(matrix, &Ratings::default(), params, &GO, &mut |_| {}).map(|trained| trained.model)
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
        let (learned, biases) =
            (rmse(&trained.model), rmse(&crate::algorithm::baseline::biases(&matrix, &GO).unwrap()));
        assert!(learned < 0.3 && biases > 1.0, "{learned} {biases}");
        assert_eq!((trained.iteration.number, trained.iteration.held_out_rmse), (30, Some(learned)));
        assert_eq!(curve.len(), 30);
        assert!(curve[0].train_rmse > 1.0 && curve[29].train_rmse < 0.3);
    }

    #[test]
    fn training_stops_at_the_lowest_error() {
        // The ratings are noise, so the model overfits from the first epochs on.
        let stars = |c: u32, m: u32| 1 + ((c * 31 + m + 7).wrapping_mul(0x9e37_79b9) >> 29) as u8 % 5;
        let pairs = (0..60u32).flat_map(|customer| (0..40u32).map(move |movie| (customer, movie)));
        let (held, kept): (Vec<_>, Vec<_>) =
            pairs.map(|(c, m)| (c, m, stars(c, m))).partition(|(c, m, _)| (c + m * 3).is_multiple_of(4));
        let (matrix, held_out) = (matrix(&kept, 60, 40), list(&held));
        let train = |tolerance: f64| {
            let mut curve = Vec::new();
            let on_iteration = &mut |iteration: Iteration| curve.push(iteration.held_out_rmse.unwrap());
            let params = Params { tolerance, ..quick() };
            (train(&matrix, &held_out, &params, &GO, on_iteration).unwrap(), curve)
        };
        let (whole, curve) = train(0.0);
        assert_eq!((whole.iteration.number, curve.len()), (30, 30));
        let rise = curve.windows(2).position(|pair| pair[1] > pair[0]).unwrap();
        let (trained, shorter) = train(1e-9);
        assert_eq!((trained.iteration.number, shorter.len()), (rise + 1, rise + 2));
        assert_eq!(trained.model.evaluate(&held_out, &GO).unwrap().unwrap().rmse, curve[rise]);
    }

    #[test]
    fn a_divergence_is_an_error() {
        let matrix = matrix(&two_tastes(60, 50), 60, 50);
        let mut completed = 0;
        let wild = Params { learning_rate: 0.3, decay: 1.0, factors: 50, ..quick() };
        let result =
            train(&matrix, &Ratings::default(), &wild, &GO, &mut |iteration| completed = iteration.number);
        assert_eq!(result.unwrap_err(), Error::Diverged { iteration: completed + 1 });
        // No regularization is too strong, because that of one step shrinks a factor to zero at most.
        for regularization in [40.0, 1e6] {
            let strong = Params { regularization, bias_regularization: regularization, ..quick() };
            let model = train_all(&matrix, &strong).unwrap();
            let sides = [&model.customers, &model.movies];
            let mut entries = sides.iter().flat_map(|side| side.biases.iter().chain(&side.factors));
            assert!(entries.all(|entry| entry.abs() < 0.2), "{regularization}");
        }
        let message = "training diverged in iteration 3: errors or factors grew beyond all bounds";
        assert_eq!(Error::Diverged { iteration: 3 }.to_string(), message);
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
                prop_assert!(side.biases.iter().chain(&side.factors).all(|entry| entry.abs() < 100.0));
            }
        }
    }
}
