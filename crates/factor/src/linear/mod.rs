//! Linear algebra on dense and sparse matrices, in rayon's current pool. The number of threads changes no bit of a result.
//!
//! Memory is allocated so that a failure is an error. Libraries abort the process where an allocation fails, and with it the
//! database server.

pub(crate) mod dense;
pub(crate) mod dense_product;
pub(crate) mod jacobi;
pub(crate) mod orthonormal;
pub(crate) mod positive_definite;
pub(crate) mod sparse_product;
pub(crate) mod symmetric;
