//! Reads the texts of a data set: files as streams, and the second pass, which reads the ratings movie by movie, the
//! probe and the qualifying set.

pub mod content_check;
pub mod gzip;
pub mod open_files;
pub mod pairs;
pub mod ratings;
pub mod stream;
pub mod text_file;
pub mod unit;
