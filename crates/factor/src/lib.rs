//! Rating matrices and their factorisation, metrics and top-n lists.
//!
//! ```text
//! MatrixBuilder ─> RatingMatrix ─> Algorithm::train ─> Model ─> predict, Best, Metrics
//!                  (CSR + CSC)     (als, svd, svdpp, bpmf, truncated_svd, baseline)
//! ```
//!
//! Customers and movies are numbered from 0. Nothing here knows where ratings come from or where factors go.

mod algorithm;
pub mod als;
mod archive;
pub mod baseline;
pub mod bpmf;
mod catalogue;
mod cholesky;
mod conjugate_gradient;
mod customer_prior;
mod dense;
mod dense_product;
mod descent;
mod error;
mod estimate;
mod fold_in;
mod gather;
mod gibbs;
mod half_sweep;
mod implicit;
mod jacobi;
mod link;
mod matrix;
mod memory;
mod metrics;
mod model;
mod normal_equations;
mod orthonormal;
mod packed;
mod parameter;
mod positive_definite;
mod products;
mod rows;
mod samples;
mod sparse_product;
mod split;
mod strata;
pub mod svd;
pub mod svdpp;
mod symmetric;
mod top_n;
mod training;
pub mod truncated_svd;
mod vector;

pub use algorithm::Algorithm;
pub use archive::{About, Archive, ArchiveError, Rows};
pub use catalogue::{Catalogue, Taste};
pub use error::Error;
pub use fold_in::{FoldedIn, Rated, Shared};
pub use matrix::{MatrixBuilder, RatingMatrix, Ratings, Sparse};
pub use metrics::{Errors, Metrics};
pub use model::{Model, SCALE, Side, cut, score};
pub use samples::Samples;
pub use split::{Digest, HoldOut};
pub use top_n::Best;
pub use training::{Iteration, Run, Size, Trained};
