//! Bytes to lines, records and titles. Knows no files.

pub mod blocks;
pub mod content;
pub mod csv;
pub mod date;
pub mod lines;
pub mod record;
pub mod reject;
pub mod title;
pub mod title_form;
