//! What the set of movies that a customer rated tells, whatever the ratings are.

pub(crate) mod co_factor;
pub(crate) mod link;
