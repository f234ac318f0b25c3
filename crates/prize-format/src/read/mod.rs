//! Files as streams of text, and the second pass over them: ratings a movie at a time, the probe, the qualifying set.

pub mod content_check;
pub mod gzip;
pub mod open_files;
pub mod pairs;
pub mod ratings;
pub mod stream;
pub mod text_file;
pub mod unit;
