//! The first pass: reads every file, and finds what is in it and what of it cannot be used.

pub mod alignment;
pub mod duplicates;
pub mod found;
pub mod ids;
pub mod jobs;
pub mod left_out;
pub mod optional;
pub mod pass;
pub mod peeked;
pub mod seen;
pub mod segment;
pub mod survey;
pub mod surveyor;
pub mod text_reader;
pub mod titles_text;
pub mod units;
