//! Searches for the best parameters of an algorithm: which to try, which to stop early, and which to choose.

pub(crate) mod choice;
pub(crate) mod halving;
pub(crate) mod space;
