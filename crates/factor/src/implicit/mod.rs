//! Implicit feedback: which movies a customer rated, whatever the ratings are.

pub(crate) mod co_factor;
pub(crate) mod link;
