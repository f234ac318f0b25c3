//! Bayesian matrix factorisation by Gibbs sampling (Salakhutdinov and Mnih 2008, "Bayesian probabilistic matrix factorization
//! using Markov chain Monte Carlo"): instead of one model, samples of all models that explain the ratings, whose predictions
//! are averaged.
//!
//! A row's factors and bias together have a normal prior, whose mean and precision are sampled along, as is the precision of
//! the ratings. A sample of a row is the solution of its normal equations and noise, by the kernel of [`crate::als`], from
//! which sampling starts. With links, the prior's mean depends on which movies a customer rated, and on who rated a movie
//! (as in [`crate::svdpp`]), by vectors that are sampled as Simm et al. do (2015, "Macau: scalable Bayesian multi-relational
//! factorization with side information using MCMC", section 2.2). A side is linked where the other has at most four rows for each
//! of its own.

use std::sync::atomic::AtomicBool;

use ndarray::s;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::algorithm::als;
use crate::algorithm::parameter::{count, seed, whole};
use crate::algorithm::run::{Course, Iteration, Run, Size, Trained};
use crate::error::Error;
use crate::gibbs::Sampler;
use crate::least_squares::normal_equations::Scratch;
use crate::least_squares::packed::PackedSide;
use crate::memory::{try_vec, zeros};
use crate::model::customer_prior::CustomerPrior;
use crate::model::metrics::Errors;
use crate::model::{Model, Side, cut};
use crate::ratings::Ratings;
use crate::ratings::builder::MatrixBuilder;
use crate::ratings::matrix::RatingMatrix;
use crate::rows::RowChunks;

/// How to train.
///
/// | parameter | default | range | meaning |
/// | --- | --- | --- | --- |
/// | `factors` | 20 | 1 to 256 | length of each customer's and movie's vector |
/// | `burn_in` | 20 | 0 to 1000 | sweeps before samples are kept |
/// | `samples` | 50 | 2 to 1000 | sweeps whose samples are kept, side by side: a model takes `samples · (factors + 2)` numbers a row |
/// | `links` | true | | whether customers are expected by which movies they rated, if there are at most four movies for each customer; and the other way round |
/// | `seed` | 42 | any | where the factors start, and the noise |
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Length of each vector.
    #[serde(deserialize_with = "count")]
    pub factors: usize,
    /// Sweeps before samples are kept.
    #[serde(deserialize_with = "count")]
    pub burn_in: usize,
    /// Sweeps whose samples are kept.
    #[serde(deserialize_with = "count")]
    pub samples: usize,
    /// Whether the prior's mean depends on who rated what.
    pub links: bool,
    /// Where the factors start, and the noise.
    #[serde(deserialize_with = "seed")]
    pub seed: i64,
}

impl Default for Params {
    fn default() -> Params {
        Params { factors: 20, burn_in: 20, samples: 50, links: true, seed: 42 }
    }
}

/// Sweeps of alternating least squares that sampling starts from.
const START_SWEEPS: usize = 5;

impl Params {
    /// Checks each parameter's range.
    pub fn check(&self) -> Result<(), Error> {
        whole("factors", self.factors, 1..=256)?;
        whole("burn_in", self.burn_in, 0..=1000)?;
        whole("samples", self.samples, 2..=1000)
    }

    /// Bytes that training takes at its height, the matrix and its making included.
    pub fn memory(&self, size: Size) -> usize {
        let Size { customers, movies, ratings, held_out, threads } = size;
        let row = self.samples * (self.factors + 2) * size_of::<f32>();
        let links = if self.links { movies * row } else { 0 };
        let prior = CustomerPrior::of(self.factors).length(self.samples) * size_of::<f32>();
        let kept = (customers + movies) * (row + size_of::<f32>()) + links + prior;
        let sampled = Sampler::memory(customers, movies, self.factors, self.links)
            + PackedSide::memory(customers + movies, self.factors);
        let training = RatingMatrix::memory(customers, movies, ratings)
            + kept
            + sampled
            + Scratch::memory(self.factors) * threads;
        let sums = held_out * size_of::<f64>();
        self.start()
            .memory(size)
            .max(training + Ratings::memory(held_out) + sums)
            .max(MatrixBuilder::memory(customers, movies, ratings, threads) + Ratings::memory(held_out))
    }

    /// What sampling starts from.
    pub(crate) fn start(&self) -> als::Params {
        let Params { factors, seed, .. } = *self;
        als::Params { factors, seed, iterations: START_SWEEPS, ..als::Params::default() }
    }
}

/// Trains a model on a matrix, in rayon's current pool. The same matrix, parameters and seed give the same bits
/// whatever the number of threads.
///
/// A sweep's training error is that of its sample; its error on ratings held out, that of the mean of the samples kept so
/// far. The model's own errors are those of the mean of all.
pub fn train(matrix: &RatingMatrix, params: &Params, run: &mut Run<'_>) -> Result<Trained, Error> {
    params.check()?;
    let (cancelled, held_out) = (run.cancelled, run.held_out);
    let iterations = params.burn_in + params.samples;
    let mut course = Course::new(matrix, run, iterations, 0.0)?;
    let mut sampler = Sampler::new(matrix, start(matrix, params, cancelled)?, params.links, params.seed)?;
    let mut kept = Kept::new(matrix, params, sampler.customer_link_vectors().is_some())?;
    let mut sums: Vec<f64> = try_vec(held_out.len())?;
    for number in 1..=iterations {
        let error = sampler.sweep(matrix, number, cancelled)?;
        let is_first = number <= params.burn_in + 1;
        let count = number.saturating_sub(params.burn_in).max(1) as f64;
        let chunks = RowChunks::of_length(params.factors);
        let judge = |from: usize, sums: &mut [f64]| {
            let mut errors = Errors::default();
            for (rating, sum) in (from..).zip(sums) {
                let (customer, movie) = (held_out.customers[rating], held_out.movies[rating]);
                let score = f64::from(sampler.model.score(customer as usize, movie as usize));
                *sum = if is_first { score } else { *sum + score };
                errors.add(cut((*sum / count) as f32), held_out.values[rating]);
            }
            errors
        };
        let sums = chunks.split_slice_mut(&mut sums, 1);
        let errors = chunks.reduce(sums, cancelled, Errors::default, judge, Errors::plus)?;
        if number > params.burn_in {
            kept.keep(&sampler, number - params.burn_in - 1, cancelled)?;
        }
        let train_rmse = (error / matrix.ratings() as f64).sqrt();
        course.hear(train_rmse, errors.metrics().map(|metrics| metrics.rmse));
    }
    drop(sampler);
    let model = kept.finish(matrix, cancelled)?;
    let error = model.squared_error(matrix, cancelled)?;
    let train_rmse = (error / matrix.ratings() as f64).sqrt();
    let judged = model.judge(held_out, cancelled)?;
    let iteration = Iteration {
        number: iterations,
        train_rmse,
        held_out_rmse: judged.map(|metrics| metrics.rmse),
        elapsed: course.elapsed(),
    };
    Ok(Trained { model, iteration })
}

fn start(matrix: &RatingMatrix, params: &Params, cancelled: &AtomicBool) -> Result<Model, Error> {
    let run = &mut Run { held_out: &Ratings::default(), cancelled, on_iteration: &mut |_| {} };
    Ok(als::train(matrix, &params.start(), run)?.model)
}

/// Samples side by side. A customer's part in each is `[p, b_u, 1] / √samples` and a movie's `[q, 1, b_i] / √samples`, so that
/// the product of two whole rows is the mean of the samples' predictions, less the mean of all ratings. In the end the biases'
/// means are taken out of them, and become the model's biases.
struct Kept {
    model: Model,
    factors: usize,
}

impl Kept {
    fn new(matrix: &RatingMatrix, params: &Params, has_links: bool) -> Result<Kept, Error> {
        let Params { factors, samples, .. } = *params;
        let side = |rows| Side::zeros(rows, samples * (factors + 2));
        let (customers, movies) = (side(matrix.by_customer.rows())?, side(matrix.by_movie.rows())?);
        Ok(Kept {
            model: Model {
                mean: matrix.mean() as f32,
                customers,
                movies,
                samples,
                links: match has_links {
                    true => Some(zeros((matrix.by_movie.rows(), samples * (factors + 2)))?),
                    false => None,
                },
                prior: Some(CustomerPrior::of(factors).zeros(samples)?),
            },
            factors,
        })
    }

    fn keep(&mut self, sampler: &Sampler, number: usize, cancelled: &AtomicBool) -> Result<(), Error> {
        let sample = &sampler.model;
        let Kept { model: Model { customers, movies, samples, links, prior, .. }, factors } = self;
        if let Some(prior) = prior {
            sampler.write_customer_prior(number, prior);
        }
        if let (Some(to), Some(vectors)) = (links, sampler.customer_link_vectors()) {
            let (chunks, from) = (RowChunks::of_length(to.ncols()), number * (*factors + 2));
            chunks.for_each(
                chunks.split_mut(to).zip(chunks.split(vectors)),
                cancelled,
                |_, (mut to, vectors)| {
                    to.slice_mut(s![.., from..from + vectors.ncols()]).assign(&vectors);
                    Ok(())
                },
            )?;
        }
        let scale = 1.0 / (*samples as f32).sqrt();
        let (start, factors) = (number * (*factors + 2), *factors);
        for (to, from, bias, one) in [(customers, &sample.customers, 0, 1), (movies, &sample.movies, 1, 0)] {
            let chunks = RowChunks::of_length(to.factors.ncols());
            let from = chunks.split(&from.factors).zip(chunks.split(&from.biases));
            chunks.for_each(
                chunks.split_mut(&mut to.factors).zip(from),
                cancelled,
                |_, (mut to, (vectors, biases))| {
                    for ((mut to, vector), their_bias) in
                        to.rows_mut().into_iter().zip(vectors.rows()).zip(biases)
                    {
                        let places = to.iter_mut().skip(start);
                        places.zip(vector).for_each(|(to, factor)| *to = scale * factor);
                        to[start + factors + bias] = scale * their_bias;
                        to[start + factors + one] = scale;
                    }
                    Ok(())
                },
            )?;
        }
        Ok(())
    }

    fn finish(self, matrix: &RatingMatrix, cancelled: &AtomicBool) -> Result<Model, Error> {
        let Kept { mut model, factors } = self;
        let samples = model.samples;
        let sides =
            [(&mut model.customers, &matrix.by_customer, 0), (&mut model.movies, &matrix.by_movie, 1)];
        for (side, sparse, bias) in sides {
            let chunks = RowChunks::of_length(side.factors.ncols());
            let rows = chunks.split_mut(&mut side.factors).zip(chunks.split_mut(&mut side.biases));
            chunks.for_each(rows, cancelled, |from, (mut vectors, means)| {
                for (row, (mut vector, mean)) in (from..).zip(vectors.rows_mut().into_iter().zip(means)) {
                    if sparse.count(row) == 0 {
                        vector.fill(0.0);
                        continue;
                    }
                    let biases = || (0..samples).map(|sample| sample * (factors + 2) + factors + bias);
                    let scaled = biases().map(|at| f64::from(vector[at])).sum::<f64>() / samples as f64;
                    biases().for_each(|at| vector[at] -= scaled as f32);
                    *mean = (scaled * (samples as f64).sqrt()) as f32;
                }
                Ok(())
            })?;
        }
        Ok(model)
    }
}
