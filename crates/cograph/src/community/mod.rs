//! Communities: groups of nodes with many edges among themselves.

pub(crate) mod label_propagation;
pub(crate) mod leiden;
mod level;
pub(crate) mod modularity;
pub(crate) mod profile;
mod refine;
