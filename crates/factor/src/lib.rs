//! Rating matrices and their factorisation: alternating least squares, damped biases, metrics and top-n lists.
//!
//! ```text
//! Ratings ─> RatingMatrix ─> als::train ─> Model ─> predict, top_n, Metrics
//!   (list)    (CSR + CSC)
//! ```
//!
//! Customers and movies are numbered from 0. Nothing here knows where ratings come from or where factors go.

pub mod als;
pub mod baseline;
mod cholesky;
mod error;
mod matrix;
mod metrics;
mod model;
mod normal_equations;
mod top_n;
mod vector;

pub use error::Error;
pub use matrix::{RatingMatrix, Ratings, Sparse};
pub use metrics::{Errors, Metrics};
pub use model::{Model, Side, cut, score};
pub use top_n::top_n;
