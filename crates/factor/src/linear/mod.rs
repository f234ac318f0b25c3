//! Linear algebra on dense and sparse matrices, in rayon's current pool. The number of threads changes no bit of a result.
//!
//! Memory is allocated so that a failure is an error. Libraries abort the process where an allocation fails, and with it the
//! database server.
//!
//! `symmetric` and `positive_definite` both solve symmetric positive definite systems. The first uses one thread and the upper triangle
//! in a slice, and gives the same bits on every machine: for folding in. The second runs in parallel and inverts matrices: for als's
//! implicit term and bpmf. The Cholesky factorisation in single precision is in `least_squares/cholesky.rs`.

pub(crate) mod dense_product;
pub(crate) mod gram;
pub(crate) mod jacobi;
pub(crate) mod orthonormal;
pub(crate) mod positive_definite;
pub(crate) mod sparse_product;
pub(crate) mod symmetric;
