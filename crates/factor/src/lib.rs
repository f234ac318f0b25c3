//! Rating matrices and their factorisation, metrics and top-n lists.
//!
//! ```text
//! MatrixBuilder ─> RatingMatrix ─> Algorithm::train ─> Model ─> predict, Best, Metrics
//!                  (CSR + CSC)     (als, svd, svdpp, bpmf, truncated_svd, baseline)
//! ```
//!
//! Customers and movies are numbered from 0. Nothing here knows where ratings come from or where factors go.
//!
//! # Where to read
//!
//! Each folder uses only those below it: `archive`, `algorithm`, `gibbs`, `implicit`, `descent` and `least_squares`, `model`,
//! `linear`, `ratings`, `simd`. To understand one of these, read the files in this order:
//!
//! - als: `algorithm/als.rs` (the sweeps), `least_squares/mod.rs` (all rows of a side), `row.rs`, `normal_equations.rs` (one
//!   row), `gather.rs`, `products.rs`, `cholesky.rs`, `conjugate_gradient.rs`; `implicit/co_factor.rs` for `implicit_weight`.
//! - svd: `algorithm/svd.rs` (the epochs), `descent/mod.rs` (which ratings can be learned from at the same time),
//!   `descent/kernel.rs` (a step for each rating).
//! - svdpp: als as far as `row.rs`, then `algorithm/svdpp.rs` and `implicit/link.rs` (the implicit term `Σ y_j / √|N(u)|`).
//! - bpmf: svdpp, then `algorithm/bpmf.rs` (the samples that are kept), `gibbs/mod.rs` (one sweep),
//!   `gibbs/hyperparameters.rs` (mean, precision and link of a side).
//! - truncated_svd: `algorithm/truncated_svd.rs`, `linear/sparse_product.rs`, `orthonormal.rs`, `jacobi.rs`.
//! - fold-in: `algorithm/fold_in/rated.rs` (ratings of one customer), `fold_in/mod.rs`, `linear/symmetric.rs`;
//!   `fold_in/bayesian.rs` for bpmf, with `model/customer_prior.rs`.
//! - serving: `model/mod.rs`, `model/samples.rs` (how a Bayesian model's vectors are laid out), `model/catalogue.rs` (all
//!   movies scored at once), `model/top_n.rs`.
//! - what every training has around it: `algorithm/run.rs` (iterations, tolerance), `algorithm/start.rs`, `rows.rs` (all
//!   threads go through rows, and check the cancel flag), `memory.rs` (allocations that can fail).

mod algorithm;
mod archive;
mod descent;
mod error;
mod gibbs;
mod implicit;
mod least_squares;
mod linear;
mod memory;
mod model;
mod random;
mod ratings;
mod rows;
mod simd;

pub use algorithm::fold_in::rated::Rated;
pub use algorithm::fold_in::{FoldedIn, Shared};
pub use algorithm::run::{Iteration, Run, Size, Trained};
pub use algorithm::{Algorithm, als, baseline, bpmf, svd, svdpp, truncated_svd};
pub use archive::fields::{About, Archive, ArchiveError, Rows};
pub use error::Error;
pub use model::catalogue::{Catalogue, Taste};
pub use model::metrics::{Errors, Metrics};
pub use model::samples::Samples;
pub use model::top_n::Best;
pub use model::{Model, SCALE, Side, cut, score};
pub use ratings::Ratings;
pub use ratings::builder::MatrixBuilder;
pub use ratings::hold_out::{Digest, HoldOut};
pub use ratings::matrix::RatingMatrix;
pub use ratings::sparse::Sparse;
