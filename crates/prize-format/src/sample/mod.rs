//! Writes samples: made-up data sets of any size in the Prize's own format. The truth behind the ratings is planted, so
//! that the best possible prediction is known.
//!
//! The numbers of ratings of customers and of movies follow power laws. A rating is a planted score (a mean, biases and
//! factors) plus noise, rounded to whole stars. Later months have more and higher ratings. As in the Prize, the probe
//! and the qualifying set have about the same number of ratings of each customer, and late ones. [`Realism`] says what
//! else is planted.

mod calendar;
mod generate;
mod genres;
mod movies;
mod output;
mod population;
mod random;
mod settings;
mod titles;
mod truth;
mod writer;

pub use generate::Summary;
#[cfg(test)]
pub(crate) use generate::write_ratings;
pub use settings::{Layout, Realism, Sample, Style};
