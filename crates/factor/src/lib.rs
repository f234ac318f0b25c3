//! Rating matrices and their factorisation: alternating least squares, damped biases, metrics and top-n lists.
//!
//! ```text
//! MatrixBuilder ─> RatingMatrix ─> als::train ─> Model ─> predict, top_n, Metrics
//!                  (CSR + CSC)
//! ```
//!
//! Customers and movies are numbered from 0. Nothing here knows where ratings come from or where factors go.

pub mod als;
pub mod baseline;
mod cholesky;
mod error;
mod matrix;
mod memory;
mod metrics;
mod model;
mod normal_equations;
mod products;
mod split;
mod top_n;
mod vector;

pub use error::Error;
pub use matrix::{MatrixBuilder, RatingMatrix, Ratings, Sparse};
pub use metrics::{Errors, Metrics};
pub use model::{Model, Side, cut, score};
pub use split::HoldOut;
pub use top_n::top_n;
