//! All algorithms behind one type: an algorithm's name and its parameters, which are checked.
//!
//! To add an algorithm `foo`: write `foo.rs` with its `parameters!`, `impl Trainer` and `impl FoldIn`, declare the module below,
//! and add its line to `algorithms!`. `lib.rs` says what else to do (tests, SQL, docs).

pub mod als;
pub mod baseline;
pub mod blend;
pub mod bpmf;
mod cost;
mod estimate;
pub(crate) mod fold_in;
pub(crate) mod parameter;
mod parse;
mod regularization;
mod start;
pub(crate) mod stored;
pub mod svd;
pub mod svdpp;
pub(crate) mod trainer;
pub(crate) mod training;
pub mod truncated_svd;

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::Value;

use crate::algorithm::fold_in::check_of;
use crate::algorithm::fold_in::context::FoldInContext;
use crate::algorithm::fold_in::customer_ratings::CustomerRatings;
use crate::algorithm::fold_in::folded_in::FoldedIn;
use crate::algorithm::parameter::Parameter;
use crate::algorithm::trainer::Trainer;
use crate::algorithm::training::{Callbacks, Size, Trained, TrainingData};
use crate::error::Error;
use crate::model::sample_layout::SampleLayout;
use crate::ratings::Ratings;
use crate::ratings::builder::MatrixBuilder;
use crate::ratings::matrix::RatingMatrix;

/// The registry: makes the enum, its names, and what reads an algorithm by its name. Everything else goes through
/// [`Algorithm::trainer`].
macro_rules! algorithms {
    ($($variant:ident = $module:ident,)+) => {
        /// An algorithm and its parameters.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Algorithm {
            $(
                #[doc = concat!("See [`", stringify!($module), "`].")]
                $variant($module::Params),
            )+
        }

        impl Algorithm {
            /// The names of all algorithms.
            pub const NAMES: [&str; [$(stringify!($module)),+].len()] = [$(stringify!($module)),+];

            /// Its name, one of [`Algorithm::NAMES`].
            pub fn name(&self) -> &'static str {
                match self {
                    $(Algorithm::$variant(_) => stringify!($module),)+
                }
            }

            /// Reads and checks the parameters of an algorithm from a JSON object. A parameter that is not named has its default.
            ///
            /// [`Error::Algorithm`] if there is no algorithm of this name, [`Error::Params`] if a parameter is unknown or has a
            /// value of the wrong type, [`Error::Parameter`] if a value is out of range.
            pub fn parse(name: &str, params: &Value) -> Result<Algorithm, Error> {
                match name {
                    $(stringify!($module) => Ok(Algorithm::$variant(parse::read(params)?)),)+
                    _ => Err(Error::Algorithm { name: name.into() }),
                }
            }

            fn trainer(&self) -> &dyn Trainer {
                match self {
                    $(Algorithm::$variant(params) => params,)+
                }
            }
        }
    };
}

algorithms! {
    Als = als,
    Svd = svd,
    Svdpp = svdpp,
    Bpmf = bpmf,
    TruncatedSvd = truncated_svd,
    Baseline = baseline,
}

/// Memory that is added once for each thread and once for the process, in bytes, for what is too small to count: stacks, lists
/// of blocks, rows that a thread works on, and freed memory that the allocator keeps.
const UNCOUNTED: usize = 1 << 20;

impl Algorithm {
    /// As [`Algorithm::parse`], from JSON text. A number that is too large for any type counts as infinite.
    pub fn parse_text(name: &str, params: &str) -> Result<Algorithm, Error> {
        Algorithm::parse(name, &parse::json(params)?)
    }

    /// The values of all parameters, as [`Algorithm::parse`] reads them.
    pub fn params(&self) -> Value {
        self.trainer().to_json()
    }

    /// The table of this algorithm's parameters: names, defaults, ranges and meanings.
    pub fn parameters(&self) -> &'static [Parameter] {
        self.trainer().table()
    }

    /// How many iterations it reports at most.
    pub fn iterations(&self) -> usize {
        self.trainer().iterations()
    }

    /// The seed of its random numbers. `None` if it uses no random numbers.
    pub fn seed(&self) -> Option<i64> {
        self.trainer().seed()
    }

    /// The length of a customer's or movie's vector; in a Bayesian model, of one sample.
    pub(crate) fn factors(&self) -> usize {
        self.trainer().factors()
    }

    /// Whether its models are posterior samples side by side, with a [`crate::Model::prior`].
    pub(crate) fn is_bayesian(&self) -> bool {
        self.trainer().is_bayesian()
    }

    /// The peak of the memory that training takes, in bytes. The rating matrix and its construction are included.
    pub fn memory(&self, size: Size) -> usize {
        let Size { customers, movies, ratings, held_out, threads } = size;
        let training = RatingMatrix::memory(customers, movies, ratings) + self.trainer().memory(size);
        let peak = MatrixBuilder::memory(customers, movies, ratings, threads).max(training);
        (peak + Ratings::memory(held_out)).saturating_add(UNCOUNTED * (1 + threads))
    }

    /// How much work a training is, in multiplications: to tell which of two trainings of one algorithm is simpler.
    pub fn work(&self, size: Size) -> f64 {
        self.trainer().work(size)
    }

    /// Estimates how long training takes, in rayon's current pool and without the construction of the matrix. The estimate is
    /// within a factor of four of the true time; most algorithms need some tenths of a second to make it.
    ///
    /// [`Error::NoRatings`] if `size` has no ratings.
    pub fn estimate(&self, size: Size, cancelled: &AtomicBool) -> Result<Duration, Error> {
        estimate::training_time(self.trainer(), size, cancelled)
    }

    /// Trains a model, in rayon's current pool. The same data, parameters and seed give the same bits with any number of
    /// threads.
    ///
    /// [`Error::Parameter`] if a parameter is out of range, [`Error::OutOfBounds`] if the data do not fit together,
    /// [`Error::OutOfMemory`], [`Error::Cancelled`], and the errors of the algorithm's own computation.
    pub fn train(&self, data: TrainingData<'_>, callbacks: &mut Callbacks<'_>) -> Result<Trained, Error> {
        self.trainer().check()?;
        self.trainer().train(data, callbacks)
    }

    /// [`Error::NoFoldIn`] if customers cannot be folded in: a Bayesian model needs a [`crate::Model::prior`] for it.
    pub fn check_fold_in(&self, has_prior: bool) -> Result<(), Error> {
        match self.is_bayesian() && !has_prior {
            true => Err(Error::NoFoldIn { algorithm: self.name() }),
            false => Ok(()),
        }
    }

    /// Whether fold-in needs the movies' [`crate::Model::links`].
    pub fn folds_in_links(&self) -> bool {
        self.trainer().uses_links()
    }

    /// What [`Algorithm::fold_in`] needs of the whole model. Add every movie's vectors to it with [`FoldInContext::add_factors`] and
    /// [`FoldInContext::add_links`] before it is used. `prior` is [`crate::Model::prior`].
    ///
    /// [`Error::NoFoldIn`] if the model is Bayesian and `prior` is missing or has the wrong length.
    pub fn fold_in_context(
        &self,
        layout: SampleLayout,
        prior: Option<&[f32]>,
    ) -> Result<FoldInContext, Error> {
        self.trainer().context(layout, prior)
    }

    /// Finds the bias and factors of a customer with these ratings. `mean` is the model's, and `context` is that of
    /// [`Algorithm::fold_in_context`] with all movies added. `proceed` is called every few milliseconds;
    /// [`ControlFlow::Break`] ends the computation with [`Error::Cancelled`].
    ///
    /// | algorithm | the result |
    /// | --- | --- |
    /// | `als` without `cg_steps`, `svdpp`, `truncated_svd`, `baseline` | what training gives a customer with these ratings, except for rounding |
    /// | `als` with `cg_steps`, `svd` | the minimum that the steps of training approach |
    /// | `bpmf` | in each sample, the mean of the customer's posterior distribution |
    ///
    /// [`Error::Undetermined`] if there are too few ratings and no regularization.
    pub fn fold_in(
        &self,
        mean: f32,
        ratings: &CustomerRatings,
        context: &FoldInContext,
        proceed: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<FoldedIn, Error> {
        self.trainer().fold_in(mean, ratings, context, &mut check_of(proceed))
    }
}

#[cfg(test)]
mod tests;
