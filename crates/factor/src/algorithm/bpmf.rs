//! Bayesian probabilistic matrix factorisation by Gibbs sampling (Salakhutdinov and Mnih 2008, "Bayesian probabilistic matrix
//! factorization using Markov chain Monte Carlo"). The model is the average of samples from the posterior distribution of all
//! models, so there is no regularization to choose.
//!
//! A row's factors and bias together have a Gaussian prior. Its mean and precision are sampled, too, and so is the precision of
//! the ratings. The sample of a row is the solution of the row's normal equations, as in [`crate::als`], plus noise. Sampling
//! starts from a model that `als` trained.
//!
//! With links, the mean of a row's prior depends on who rated what, as in [`crate::svdpp`]. The links are sampled as in Macau
//! (Simm et al. 2015, "Macau: scalable Bayesian multi-relational factorization with side information using MCMC", section 2.2).
//! A side is linked if the other side has at most four times as many rows with ratings as it has itself.

mod posterior_samples;

use std::sync::atomic::AtomicBool;

use crate::algorithm::als;
use crate::algorithm::bpmf::posterior_samples::PosteriorSamples;
use crate::algorithm::cost::{FETCH, SHORT_ITERATIONS, least_squares_sweep, link_regression, rated_rows};
use crate::algorithm::fold_in::FoldIn;
use crate::algorithm::fold_in::context::FoldInContext;
use crate::algorithm::fold_in::customer_ratings::CustomerRatings;
use crate::algorithm::fold_in::folded_in::{self, FoldedIn};
use crate::algorithm::parameter::parameters;
use crate::algorithm::trainer::Trainer;
use crate::algorithm::training::{Callbacks, Size, Trained, TrainingData, TrainingLoop};
use crate::error::Error;
use crate::gibbs::Sampler;
use crate::least_squares::normal_equations::Scratch;
use crate::least_squares::packed::PackedSide;
use crate::memory::try_vec;
use crate::model::customer_prior::CustomerPrior;
use crate::model::metrics::ErrorSums;
use crate::model::sample_layout::SampleLayout;
use crate::model::{Model, clamp};
use crate::ratings::Ratings;
use crate::rows::RowChunks;

parameters! {
    /// Length of each customer's and movie's vector in one sample.
    factors: usize = 20, 1..=256;
    /// Sweeps before samples are kept.
    burn_in: usize = 20, 0..=1000;
    /// Sweeps whose samples are kept. The model has `samples · (factors + 2)` numbers per row.
    samples: usize = 50, 2..=1000;
    /// Whether the model learns from who rated what, as in `svdpp`.
    links: bool = true;
    /// Seed of all random numbers.
    seed: i64 = 42;
}

/// Sweeps of alternating least squares that sampling starts from.
const START_SWEEPS: usize = 5;

impl Trainer for Params {
    fn factors(&self) -> usize {
        self.factors
    }

    fn iterations(&self) -> usize {
        self.burn_in + self.samples
    }

    fn seed(&self) -> Option<i64> {
        Some(self.seed)
    }

    fn memory(&self, size: Size) -> usize {
        let Size { customers, movies, held_out, threads, .. } = size;
        let row = self.samples * (self.factors + 2) * size_of::<f32>();
        let links = if self.links { movies * row } else { 0 };
        let prior = CustomerPrior::of(self.factors).length(self.samples) * size_of::<f32>();
        let posterior_samples = (customers + movies) * (row + size_of::<f32>()) + links + prior;
        let current_sample = Sampler::memory(customers, movies, self.factors, self.links)
            + PackedSide::memory(customers + movies, self.factors);
        let predictions = held_out * size_of::<f64>();
        let sampling =
            posterior_samples + current_sample + predictions + Scratch::memory(self.factors) * threads;
        self.start().memory(size).max(sampling)
    }

    fn work(&self, size: Size) -> f64 {
        let (rows, ratings, factors) = (rated_rows(size), size.ratings as f64, self.factors as f64);
        let links = if self.links { 2.0 * link_regression(factors, rows, ratings) } else { 0.0 };
        let noise = rows * factors * 2.0 * FETCH;
        let moments = if self.links { 4.0 } else { 2.0 } * rows * factors * factors;
        // One thread decomposes the small matrices of the hyperparameters.
        let hyperparameters = if self.links { 200.0 } else { 120.0 } * factors.powi(3);
        let errors = ratings * (factors + FETCH);
        let least_squares = least_squares_sweep(factors, rows, ratings);
        let sweep = least_squares + links + noise + moments + hyperparameters + errors;
        let copies = self.samples as f64 * rows * (factors + FETCH);
        let final_errors = (ratings + size.held_out as f64) * (self.samples as f64 * factors + FETCH);
        self.start().work(size) + self.iterations() as f64 * sweep + copies + final_errors
    }

    fn shortened(&self, _size: Size) -> Box<dyn Trainer> {
        Box::new(Params { burn_in: 1, samples: SHORT_ITERATIONS - 1, ..self.clone() })
    }

    /// The RMSE on the training ratings of a sweep is that of its sample alone. The RMSE on the held-out ratings is that of the
    /// mean of all samples that were kept so far. The errors of the result are those of the mean of all samples.
    fn train(&self, data: TrainingData<'_>, callbacks: &mut Callbacks<'_>) -> Result<Trained, Error> {
        let TrainingData { matrix, interactions, held_out, .. } = data;
        let cancelled = callbacks.cancelled;
        let mut training = TrainingLoop::new(data, callbacks, self.iterations(), 0.0)?;
        let start = self.start_model(data, cancelled)?;
        let mut sampler = Sampler::new((matrix, interactions), start, self.links, self.seed)?;
        let layout = SampleLayout::new(self.samples, self.factors);
        let has_links = sampler.customer_link_vectors().is_some();
        let mut posterior_samples = PosteriorSamples::new(matrix, layout, has_links)?;
        // For each held-out rating, the sum of the predictions of all samples that were kept so far.
        let mut predictions: Vec<f64> = try_vec(held_out.len())?;
        for sweep in 1..=self.iterations() {
            let squared_error = sampler.sweep((matrix, interactions), sweep, cancelled)?;
            // Each sweep before the first kept one is evaluated alone.
            let is_first = sweep <= self.burn_in + 1;
            let count = sweep.saturating_sub(self.burn_in).max(1) as f64;
            let chunks = RowChunks::of_length(self.factors);
            let evaluate = |from: usize, sums: &mut [f64]| {
                let mut errors = ErrorSums::default();
                for (rating, sum) in (from..).zip(sums) {
                    let (customer, movie) = (held_out.customers[rating], held_out.movies[rating]);
                    let score = f64::from(sampler.model.score(customer as usize, movie as usize));
                    *sum = if is_first { score } else { *sum + score };
                    errors.add(clamp((*sum / count) as f32), held_out.values[rating]);
                }
                errors
            };
            let sums = chunks.split_slice_mut(&mut predictions, 1);
            let errors = chunks.reduce(sums, cancelled, ErrorSums::default, evaluate, ErrorSums::plus)?;
            if sweep > self.burn_in {
                posterior_samples.keep(&sampler, sweep - self.burn_in - 1, cancelled)?;
            }
            training.report(squared_error, errors.metrics().map(|metrics| metrics.rmse));
        }
        drop(sampler);
        let model = posterior_samples.into_model(matrix, cancelled)?;
        let squared_error = model.squared_error(matrix, cancelled)?;
        let metrics = model.evaluate(held_out, cancelled)?;
        let iteration = training.last_iteration(squared_error, metrics.map(|metrics| metrics.rmse));
        Ok(Trained { model, iteration, summary: None })
    }

    fn is_bayesian(&self) -> bool {
        true
    }
}

impl FoldIn for Params {
    fn uses_links(&self) -> bool {
        self.links
    }

    fn context(&self, layout: SampleLayout, prior: Option<&[f32]>) -> Result<FoldInContext, Error> {
        FoldInContext::prior(layout, prior)?.ok_or(Error::NoFoldIn { algorithm: "bpmf" })
    }

    fn fold_in(
        &self,
        mean: f32,
        ratings: &CustomerRatings,
        context: &FoldInContext,
        check: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<FoldedIn, Error> {
        let FoldInContext::Prior(layout, prior) = context else {
            return Err(Error::NoFoldIn { algorithm: "bpmf" });
        };
        folded_in::bayesian(ratings, *layout, mean, prior, check)
    }
}

impl Params {
    /// The training that sampling starts from.
    fn start(&self) -> als::Params {
        let Params { factors, seed, .. } = *self;
        als::Params { factors, seed, iterations: START_SWEEPS, ..als::Params::default() }
    }

    fn start_model(&self, data: TrainingData<'_>, cancelled: &AtomicBool) -> Result<Model, Error> {
        let data = TrainingData { held_out: &Ratings::default(), ..data };
        let callbacks = &mut Callbacks { cancelled, on_iteration: &mut |_| {} };
        Ok(self.start().train(data, callbacks)?.model)
    }
}
