//! Rating matrices and their factorisation, metrics and top-n lists.
//!
//! ```text
//! MatrixBuilder ─> RatingMatrix ─> Algorithm::train ─> Model ─> predict, Best, Metrics
//!                  (CSR + CSC)     (als, svd, svdpp, bpmf, truncated_svd, baseline)
//! ```
//!
//! Customers and movies are numbered from 0. Nothing here knows where ratings come from or where factors go.

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
