//! Communities: groups of nodes with many edges among themselves.

pub(crate) mod label_propagation;
pub(crate) mod modularity;
