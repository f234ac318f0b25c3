//! A blend: a weighted sum of models' predictions. The weights are learned by [`crate::Stacking`].
//!
//! A sum of factor models is a factor model again, so a blend is stored and served like any other. With the parts' predictions
//! `μ + b_u + b_i + p·q` and their weights `w`, the vectors of all parts stand side by side, those of customers multiplied by the
//! weights; means and biases are added up. Movies' vectors stay as they are, so that a customer can be folded into each part by itself.
//!
//! A weight may also depend on how many ratings there are (Sill, Takács, Mackey and Lin 2009, "Feature-weighted linear stacking"): it is
//! then `w + v·g + x·h`, where `g` and `h` are the logarithms of 1 and the customer's and the movie's number of ratings.
//!
//! | | customer's row | movie's row | entries |
//! | --- | --- | --- | --- |
//! | constant weight | `w p`, 0 | `q`, `b_i` | factors + 1 |
//! | weight by counts | `(w + v g) p`, `x p`, `x b_u`, `v g` | `q`, `h q`, `h`, `b_i` | 2 factors + 2 |

pub(crate) mod stacking;

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use ndarray::{ArrayView1, ArrayViewMut1, s};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::algorithm::fold_in::context::FoldInContext;
use crate::algorithm::fold_in::customer_ratings::CustomerRatings;
use crate::algorithm::fold_in::folded_in::{FoldedIn, FoldedPart};
use crate::error::{Error, check};
use crate::memory::{try_vec, try_with_capacity};
use crate::model::customer_prior::CustomerPrior;
use crate::model::sample_layout::{FactorRanges, SampleLayout};
use crate::model::{Model, Side};
use crate::rows::ROWS_PER_CHECK;

/// Weights: a constant, and how it changes with the logarithms of the customer's and of the movie's number of ratings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// What the other two are added to.
    pub constant: f64,
    /// Times `ln(1 + ratings of the customer)`.
    #[serde(default)]
    pub by_customer: f64,
    /// Times `ln(1 + ratings of the movie)`.
    #[serde(default)]
    pub by_movie: f64,
}

/// One of the models that a blend was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Name of the model.
    pub model: String,
    /// Its version.
    pub version: i32,
    /// What it was trained by.
    pub algorithm: Algorithm,
    /// Its [`Model::mean`].
    pub mean: f32,
    /// Its [`Model::samples`].
    pub samples: usize,
    /// Its weights.
    pub weights: Weights,
}

impl Part {
    fn layout(&self) -> SampleLayout {
        SampleLayout::new(self.samples, self.algorithm.factors())
    }

    /// How many entries of [`Model::prior`] it has.
    fn prior_length(&self) -> usize {
        match self.algorithm.is_bayesian() {
            true => CustomerPrior::of(self.algorithm.factors()).length(self.samples),
            false => 0,
        }
    }
}

/// A blend of models.
#[derive(Clone, Debug, PartialEq)]
pub struct Blend {
    /// Its parts, in the order of their entries in a row.
    pub parts: Vec<Part>,
    /// What is added to the weighted sum.
    pub intercept: Weights,
    /// Whether the weights depend on numbers of ratings.
    pub counts: bool,
    /// The ridge penalty that the weights were learned with.
    pub regularization: f64,
}

/// A blend as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    regularization: f64,
    counts: bool,
    intercept: Weights,
    parts: Vec<StoredPart>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPart {
    model: String,
    version: i32,
    algorithm: String,
    params: Value,
    mean: f32,
    samples: usize,
    weight: Weights,
}

/// No model has more samples.
const MOST_SAMPLES: usize = 1_000_000;

/// The logarithm of 1 and a number of ratings.
pub(crate) fn log_count(count: u32) -> f64 {
    f64::from(count).ln_1p()
}

impl Blend {
    /// Reads a blend from JSON. [`Error::Params`] if that is not what [`Blend::params`] returns.
    pub fn parse(params: &Value) -> Result<Blend, Error> {
        let stored = serde_json::from_value::<Stored>(params.clone());
        let stored =
            stored.map_err(|error| Error::Params { text: format!("a blend's parameters: {error}") })?;
        let part = |part: StoredPart| {
            let algorithm = Algorithm::parse(&part.algorithm, &part.params)?;
            if (part.samples > 1) != algorithm.is_bayesian() || !(1..=MOST_SAMPLES).contains(&part.samples) {
                let text = format!("a blend's part cannot have {} samples", part.samples);
                return Err(Error::Params { text });
            }
            Ok(Part {
                model: part.model,
                version: part.version,
                algorithm,
                mean: part.mean,
                samples: part.samples,
                weights: part.weight,
            })
        };
        let parts = stored.parts.into_iter().map(part).collect::<Result<Vec<_>, Error>>()?;
        let Stored { intercept, counts, regularization, .. } = stored;
        Ok(Blend { parts, intercept, counts, regularization })
    }

    /// The blend as JSON.
    pub fn params(&self) -> Value {
        let part = |part: &Part| StoredPart {
            model: part.model.clone(),
            version: part.version,
            algorithm: part.algorithm.name().into(),
            params: part.algorithm.params(),
            mean: part.mean,
            samples: part.samples,
            weight: part.weights,
        };
        let stored = Stored {
            regularization: self.regularization,
            counts: self.counts,
            intercept: self.intercept,
            parts: self.parts.iter().map(part).collect(),
        };
        // Numbers, words and booleans can always be written as JSON.
        serde_json::to_value(stored).unwrap_or_default()
    }

    /// How many entries a row has.
    pub fn length(&self) -> usize {
        self.ranges().last().map_or(0, |range| range.end)
    }

    /// The entries of each part in a row.
    fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let entries = if self.counts { 2 } else { 1 };
        self.parts.iter().scan(0, move |end, part| {
            let start = *end;
            *end += entries * part.layout().length() + entries;
            Some(start..*end)
        })
    }

    /// The layout of each part's own rows.
    pub(crate) fn layouts(&self) -> impl Iterator<Item = SampleLayout> {
        self.parts.iter().map(Part::layout)
    }

    /// The entries of a row that are factors of a part.
    pub(crate) fn factor_ranges(&self) -> FactorRanges {
        let mut ranges = FactorRanges::default();
        self.segments().for_each(|(part, range)| ranges.extend(range.start, part.layout()));
        ranges
    }

    /// The parts with their entries.
    fn segments(&self) -> impl Iterator<Item = (&Part, Range<usize>)> {
        self.parts.iter().zip(self.ranges())
    }

    /// How many entries of [`Model::prior`] there are in all.
    pub(crate) fn prior_length(&self) -> usize {
        self.parts.iter().map(Part::prior_length).sum()
    }

    /// The memory, in bytes, of the blend of models with so many customers and movies.
    pub fn memory(&self, customers: usize, movies: usize) -> usize {
        let links = usize::from(self.folds_in_links());
        let entries = (customers + movies * (1 + links)).saturating_mul(self.length() + 1);
        entries.saturating_add(self.prior_length()).saturating_mul(size_of::<f32>())
    }

    /// The blend of these models, which are its parts. `customer_ratings` and `movie_ratings` are the numbers of ratings that the
    /// parts were trained on; all sides have as many rows. [`Error::OutOfMemory`], [`Error::Cancelled`].
    pub fn model(
        &self,
        models: &[&Model],
        customer_ratings: &[u32],
        movie_ratings: &[u32],
        cancelled: &AtomicBool,
    ) -> Result<Model, Error> {
        let constants = self.parts.iter().map(|part| f64::from(part.mean) * part.weights.constant);
        let mean = self.intercept.constant + constants.sum::<f64>();
        let mut customers = Side::zeros(customer_ratings.len(), self.length())?;
        for (row, &count) in customer_ratings.iter().enumerate() {
            if row.is_multiple_of(ROWS_PER_CHECK) {
                check(cancelled)?;
            }
            let g = log_count(count);
            let mut bias = self.intercept.by_customer * g;
            let mut entries = customers.factors.row_mut(row);
            for ((part, range), model) in self.segments().zip(models) {
                let Some((own_bias, own)) = model.customers.row(row) else { continue };
                let segment = entries.slice_mut(s![range]);
                bias += self.write_customer(part, g, own_bias, own, segment);
            }
            customers.biases[row] = bias as f32;
        }
        let mut movies = Side::zeros(movie_ratings.len(), self.length())?;
        let mut links = match self.folds_in_links() {
            true => Some(Side::zeros(movie_ratings.len(), self.length())?.factors),
            false => None,
        };
        for (row, &count) in movie_ratings.iter().enumerate() {
            if row.is_multiple_of(ROWS_PER_CHECK) {
                check(cancelled)?;
            }
            let h = log_count(count);
            let mut bias = self.intercept.by_movie * h;
            let mut entries = movies.factors.row_mut(row);
            for ((part, range), model) in self.segments().zip(models) {
                let Some((own_bias, own)) = model.movies.row(row) else { continue };
                let Weights { constant, by_movie, .. } = part.weights;
                bias += constant * f64::from(own_bias) + by_movie * h * f64::from(part.mean + own_bias);
                for (at, &entry) in own.iter().enumerate() {
                    entries[range.start + at] = entry;
                    if self.counts {
                        entries[range.start + own.len() + at] = h as f32 * entry;
                    }
                }
                if self.counts {
                    entries[range.end - 2] = h as f32;
                }
                entries[range.end - 1] = own_bias;
                if let (Some(to), Some(from)) = (&mut links, &model.links) {
                    let from = from.row(row);
                    to.slice_mut(s![row, range.start..range.start + from.len()]).assign(&from);
                }
            }
            movies.biases[row] = bias as f32;
        }
        Ok(Model { mean: mean as f32, customers, movies, samples: 1, links, prior: self.priors(models)? })
    }

    /// Writes a part's entries in a customer's row. Returns what it adds to the customer's bias, in stars. `g` is the logarithm of the
    /// customer's number of ratings.
    fn write_customer(
        &self,
        part: &Part,
        g: f64,
        bias: f32,
        own: ArrayView1<'_, f32>,
        mut segment: ArrayViewMut1<'_, f32>,
    ) -> f64 {
        let Weights { constant, by_customer, by_movie } = part.weights;
        let weight = constant + by_customer * g;
        for (at, &entry) in own.iter().enumerate() {
            segment[at] = (weight * f64::from(entry)) as f32;
            if self.counts {
                segment[own.len() + at] = (by_movie * f64::from(entry)) as f32;
            }
        }
        if self.counts {
            segment[2 * own.len()] = (by_movie * f64::from(bias)) as f32;
            segment[2 * own.len() + 1] = (by_customer * g) as f32;
        }
        constant * f64::from(bias) + by_customer * g * f64::from(part.mean + bias)
    }

    /// The priors of the Bayesian parts, one after the other. `None` if there are none, or if a model lacks its own.
    fn priors(&self, models: &[&Model]) -> Result<Option<Vec<f32>>, Error> {
        let mut priors = try_with_capacity(self.prior_length())?;
        for (part, model) in self.parts.iter().zip(models).filter(|(part, _)| part.prior_length() > 0) {
            match model.prior.as_deref() {
                Some(prior) if prior.len() == part.prior_length() => priors.extend_from_slice(prior),
                _ => return Ok(None),
            }
        }
        Ok(Some(priors).filter(|priors| !priors.is_empty()))
    }

    /// As [`Algorithm::check_fold_in`].
    pub fn check_fold_in(&self, has_prior: bool) -> Result<(), Error> {
        self.parts.iter().try_for_each(|part| part.algorithm.check_fold_in(has_prior))
    }

    /// As [`Algorithm::folds_in_links`].
    pub fn folds_in_links(&self) -> bool {
        self.parts.iter().any(|part| part.algorithm.folds_in_links())
    }

    /// As [`Algorithm::fold_in_context`].
    pub fn fold_in_context(&self, prior: Option<&[f32]>) -> Result<FoldInContext, Error> {
        let mut rest = prior.unwrap_or_default();
        let mut contexts = Vec::new();
        for (part, range) in self.segments() {
            let (own, others) = rest.split_at_checked(part.prior_length()).unwrap_or_default();
            rest = others;
            let context = part.algorithm.fold_in_context(part.layout(), Some(own))?;
            contexts.push((range.start..range.start + part.layout().length(), context));
        }
        Ok(FoldInContext::Parts(contexts))
    }

    /// As [`Algorithm::fold_in`]: folds the customer into each part. A part leaves out the movies that it does not know.
    pub(crate) fn fold_in(
        &self,
        ratings: &CustomerRatings,
        context: &FoldInContext,
        check: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<FoldedIn, Error> {
        let g = log_count(ratings.len() as u32);
        let mut bias = self.intercept.by_customer * g;
        let mut factors: Vec<f32> = try_vec(self.length())?;
        let mut parts = try_with_capacity(self.parts.len())?;
        let contexts = match context {
            FoldInContext::Parts(contexts) => &contexts[..],
            _ => &[],
        };
        for ((part, range), (_, context)) in self.segments().zip(contexts) {
            let length = part.layout().length();
            let (own, places) = ratings.of_part(range.clone(), length, part.algorithm.folds_in_links())?;
            let folded = part.algorithm.trainer().fold_in(part.mean, &own, context, check)?;
            let segment = ArrayViewMut1::from(&mut factors[range.clone()]);
            bias += self.write_customer(part, g, folded.bias, ArrayView1::from(&folded.factors), segment);
            let Weights { constant, by_customer, by_movie } = part.weights;
            parts.push(FoldedPart {
                weight: constant + by_customer * g,
                by_movie: if self.counts { by_movie } else { 0.0 },
                by_bias: if self.counts { by_customer * g } else { 0.0 },
                entries: range,
                folded,
                ratings: own,
                places,
            });
        }
        Ok(FoldedIn::of_parts(bias as f32, factors, parts))
    }
}

#[cfg(test)]
mod tests;
