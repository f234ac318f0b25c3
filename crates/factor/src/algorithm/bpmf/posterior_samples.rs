//! The posterior samples that a Bayesian training keeps, side by side in one model (see [`SampleLayout`]).

use std::sync::atomic::AtomicBool;

use ndarray::s;
use rayon::prelude::*;

use crate::error::Error;
use crate::gibbs::Sampler;
use crate::memory::zeros;
use crate::model::customer_prior::CustomerPrior;
use crate::model::sample_layout::SampleLayout;
use crate::model::{Model, Side};
use crate::ratings::matrix::RatingMatrix;
use crate::rows::RowChunks;

/// A model that is filled sample by sample. While it is filled, each sample has the whole bias of a row; at the end, the mean
/// over all samples becomes the row's bias, and each sample keeps its difference from that mean.
pub(super) struct PosteriorSamples {
    model: Model,
    layout: SampleLayout,
}

impl PosteriorSamples {
    pub fn new(
        matrix: &RatingMatrix,
        layout: SampleLayout,
        has_links: bool,
    ) -> Result<PosteriorSamples, Error> {
        let side = |rows| Side::zeros(rows, layout.length());
        let model = Model {
            mean: matrix.mean() as f32,
            customers: side(matrix.by_customer.rows())?,
            movies: side(matrix.by_movie.rows())?,
            samples: layout.count(),
            links: match has_links {
                true => Some(zeros((matrix.by_movie.rows(), layout.length()))?),
                false => None,
            },
            prior: Some(CustomerPrior::of(layout.factors()).zeros(layout.count())?),
        };
        Ok(PosteriorSamples { model, layout })
    }

    /// Copies the sampler's current sample to the place of sample `sample`, counted from 0.
    pub fn keep(&mut self, sampler: &Sampler, sample: usize, cancelled: &AtomicBool) -> Result<(), Error> {
        let PosteriorSamples { model: Model { customers, movies, links, prior, .. }, layout } = self;
        let start = layout.sample_range(sample).start;
        if let Some(prior) = prior {
            sampler.write_customer_prior(sample, prior);
        }
        if let (Some(to), Some(vectors)) = (links, sampler.customer_link_vectors()) {
            let chunks = RowChunks::of_length(to.ncols());
            chunks.for_each(
                chunks.split_mut(to).zip(chunks.split(vectors)),
                cancelled,
                |_, (mut to, vectors)| {
                    to.slice_mut(s![.., start..start + vectors.ncols()]).assign(&vectors);
                    Ok(())
                },
            )?;
        }
        // The product of two rows is a sum over samples. With this scale, it is the mean of the samples' predictions.
        let scale = 1.0 / (layout.count() as f32).sqrt();
        let factors = layout.factors();
        let sides = [(customers, &sampler.model.customers, 0, 1), (movies, &sampler.model.movies, 1, 0)];
        for (to, from, bias_place, one_place) in sides {
            let chunks = RowChunks::of_length(to.factors.ncols());
            let from = chunks.split(&from.factors).zip(chunks.split(&from.biases));
            chunks.for_each(
                chunks.split_mut(&mut to.factors).zip(from),
                cancelled,
                |_, (mut to, (vectors, biases))| {
                    for ((mut to, vector), bias) in to.rows_mut().into_iter().zip(vectors.rows()).zip(biases)
                    {
                        let entries = to.iter_mut().skip(start);
                        entries.zip(vector).for_each(|(to, factor)| *to = scale * factor);
                        to[start + factors + bias_place] = scale * bias;
                        to[start + factors + one_place] = scale;
                    }
                    Ok(())
                },
            )?;
        }
        Ok(())
    }

    /// The finished model. Rows without ratings in `matrix` are zero.
    pub fn into_model(self, matrix: &RatingMatrix, cancelled: &AtomicBool) -> Result<Model, Error> {
        let PosteriorSamples { mut model, layout } = self;
        let (samples, factors) = (layout.count(), layout.factors());
        let sides =
            [(&mut model.customers, &matrix.by_customer, 0), (&mut model.movies, &matrix.by_movie, 1)];
        for (side, sparse, bias_place) in sides {
            let chunks = RowChunks::of_length(side.factors.ncols());
            let rows = chunks.split_mut(&mut side.factors).zip(chunks.split_mut(&mut side.biases));
            chunks.for_each(rows, cancelled, |from, (mut vectors, biases)| {
                for (row, (mut vector, bias)) in (from..).zip(vectors.rows_mut().into_iter().zip(biases)) {
                    if sparse.count(row) == 0 {
                        vector.fill(0.0);
                        continue;
                    }
                    let places = || layout.sample_ranges().map(|range| range.start + factors + bias_place);
                    let scaled_mean =
                        places().map(|place| f64::from(vector[place])).sum::<f64>() / samples as f64;
                    places().for_each(|place| vector[place] -= scaled_mean as f32);
                    *bias = (scaled_mean * (samples as f64).sqrt()) as f32;
                }
                Ok(())
            })?;
        }
        Ok(model)
    }
}
