//! Measures of nodes. Names, defaults and answers are those of NetworkX.

pub(crate) mod betweenness;
pub(crate) mod closeness;
pub(crate) mod clustering;
pub(crate) mod components;
pub(crate) mod core_number;
mod depth;
pub(crate) mod eigenvector;
pub(crate) mod pagerank;
pub(crate) mod search;
