//! Samples of any size in the Prize's own format, with a planted truth that shows how good a prediction can be.
//!
//! How often customers rate and movies are rated follows power laws; what customers give follows planted biases and
//! factors, noisy and rounded; later months hold more and kinder ratings. As in the Prize, the probe and the qualifying
//! set take about equally many of each customer's ratings, and late ones. [`Form`] says what else there is to learn.

mod calendar;
mod generate;
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
pub use settings::{Form, Layout, Sample, Style};
