//! How good models are, and whether a difference between them is more than luck.

pub(crate) mod bootstrap;
pub(crate) mod ranking;
pub(crate) mod trial;
