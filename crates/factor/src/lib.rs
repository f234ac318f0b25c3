//! Rating matrices and their factorisation, metrics and top-n lists. Knows no database.
//!
//! ```text
//! MatrixBuilder ─> RatingMatrix ─> Algorithm::train ─> Model ─> predict, evaluate, Catalogue::top_n
//!                  (CSR + CSC)     (als, svd, svdpp, bpmf, truncated_svd, baseline)
//! ```
//!
//! Customers and movies are the rows and columns of the matrix, counted from 0. The caller translates their ids.
//!
//! # Where to read
//!
//! Each folder uses only those that stand below it in this list: `search`, `judge`, `archive`, `algorithm`, `gibbs`, `implicit`, `descent` and
//! `least_squares`, `model`, `linear`, `ratings`, `simd`. To understand one of these subjects, read the files in this order:
//!
//! - als: `algorithm/als.rs` (the sweeps), `least_squares/mod.rs` (all rows of a side), `row.rs` (a row's ratings, prior and
//!   target), `reference.rs` (its solution in plain code), `normal_equations.rs` (the same, fast), `gather.rs`, `products.rs`,
//!   `cholesky.rs`, `conjugate_gradient.rs`; `implicit/co_factor.rs` for `implicit_weight`.
//! - svd: `algorithm/svd.rs` (the epochs), `descent/mod.rs` (which ratings can be learned from at the same time),
//!   `descent/kernel.rs` (a step for each rating).
//! - svdpp: als as far as `row.rs`, then `algorithm/svdpp.rs` and `implicit/link.rs` (the implicit term `Σ y_j / √|N(u)|`).
//! - bpmf: svdpp, then `algorithm/bpmf.rs`, `gibbs/mod.rs` (one sweep), `gibbs/hyperparameters.rs` (mean, precision and links
//!   of a side), `algorithm/bpmf/posterior_samples.rs` (the samples that are kept).
//! - truncated_svd: `algorithm/truncated_svd.rs`, `linear/sparse_product.rs`, `orthonormal.rs`, `jacobi.rs`.
//! - fold-in: `algorithm/fold_in/mod.rs` (the trait), `customer_ratings.rs`, `folded_in.rs`, `linear/symmetric.rs`; for bpmf,
//!   `bayesian.rs` and `model/customer_prior.rs`. The algorithm's own file says which of these parts its fold-in uses.
//! - blend: `algorithm/blend.rs` (a sum of models as one model), `blend/stacking.rs` (the weights); `algorithm/stored.rs` (what a
//!   stored model was made by).
//! - serving: `model/mod.rs`, `model/sample_layout.rs` (how a Bayesian model's vectors are laid out), `model/catalogue.rs` and
//!   `scoring.rs` (all movies scored at once), `model/top_n.rs`.
//! - drawing: `model/principal_axes.rs` (the two axes along which vectors differ most).
//! - judging: `model/metrics.rs` (errors of predictions), `ratings/split.rs` (what is trained on, and what is judged by),
//!   `judge/bootstrap.rs` (is a difference luck?), `judge/ranking.rs` (lists instead of predictions), `judge/trial.rs` (a training
//!   that is judged), `search/space.rs` (which parameters to try), `halving.rs`, `choice.rs`.
//! - what all trainings have in common: `algorithm/trainer.rs` (what an algorithm implements), `training.rs` (data, iterations,
//!   tolerance), `parameter.rs` (the tables of parameters), `start.rs`, `estimate.rs`; `rows.rs` (all threads go through rows and
//!   check the cancel flag), `memory.rs` (allocations that can fail).
//!
//! # To add an algorithm
//!
//! Write `algorithm/foo.rs`; `algorithm/baseline.rs` is the shortest example. It has a table `parameters!`, `impl Trainer for
//! Params` (memory, work, training) and `impl FoldIn for Params`. Then add `pub mod foo;` and the line `Foo = foo,` in
//! `algorithm/mod.rs`, and cases to the list `all` in `algorithm/tests.rs`. Nothing else in this crate lists the algorithms.
//! (`pub use` below is for callers who name `foo::Params`.) The test in `tests/parameters.rs` then asks for the SQL function
//! `train_foo` and for its table of parameters in `docs/train.md`.

mod algorithm;
mod archive;
mod descent;
mod error;
mod gibbs;
mod implicit;
mod judge;
mod least_squares;
mod linear;
mod memory;
mod model;
mod random;
mod ratings;
mod rows;
mod search;
mod simd;

pub use algorithm::blend::stacking::Stacking;
pub use algorithm::blend::{Blend, Part as BlendPart, Weights};
pub use algorithm::fold_in::context::FoldInContext;
pub use algorithm::fold_in::customer_ratings::CustomerRatings;
pub use algorithm::fold_in::folded_in::FoldedIn;
pub use algorithm::parameter::{Parameter, ParameterRange};
pub use algorithm::stored::{BLEND, Origin};
pub use algorithm::training::{Callbacks, Iteration, Size, Trained, TrainingData};
pub use algorithm::{Algorithm, als, baseline, bpmf, svd, svdpp, truncated_svd};
pub use archive::fields::{Archive, ArchiveError, ArchivedSide, ModelMetadata};
pub use error::Error;
pub use judge::bootstrap::{Comparison, CustomerErrors};
pub use judge::ranking::{Catalog, Estimate, Gain, ListMetrics, RankingMetrics, recommend, same_for_all};
pub use judge::trial::{TrialResult, judge_trial};
pub use model::catalogue::Catalogue;
pub use model::metrics::{ErrorSums, Metrics};
pub use model::principal_axes::{PrincipalAxes, principal_axes, principal_axes_memory};
pub use model::sample_layout::{FactorRanges, SampleLayout};
pub use model::scoring::CustomerQuery;
pub use model::top_n::TopN;
pub use model::{Model, SCALE, Side, clamp, score};
pub use ratings::Ratings;
pub use ratings::builder::MatrixBuilder;
pub use ratings::hold_out::{Digest, HoldOut};
pub use ratings::matrix::RatingMatrix;
pub use ratings::sparse::Sparse;
pub use ratings::split::{Dated, Part, SplitKind, SplitRule, Splitter, is_sampled};
pub use search::choice::{TrialScore, choose, mean_and_deviation};
pub use search::halving::{Stage, stages};
pub use search::space::SearchSpace;
