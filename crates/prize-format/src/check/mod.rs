//! The first pass: reads every file once, and finds what is in it and which of its lines cannot be used. Between the
//! passes, it finds the ratings that are already there, and divides the rest into units for the second pass.

pub mod alignment;
pub mod duplicates;
pub mod findings;
pub mod ids;
pub mod jobs;
pub mod left_out;
pub mod optional;
pub mod pass;
pub mod peeked;
pub mod run_job;
pub mod segment;
pub mod survey;
pub mod text_reader;
pub mod thread_state;
pub mod titles_text;
pub mod units;
