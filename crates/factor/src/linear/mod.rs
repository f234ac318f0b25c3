//! Linear algebra on dense and sparse matrices, in rayon's current pool. No number of threads changes a bit of a result.

pub(crate) mod dense;
pub(crate) mod dense_product;
pub(crate) mod jacobi;
pub(crate) mod orthonormal;
pub(crate) mod positive_definite;
pub(crate) mod sparse_product;
pub(crate) mod symmetric;
