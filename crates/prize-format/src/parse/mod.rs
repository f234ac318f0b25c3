//! Turns bytes into lines, records and titles. Nothing here opens a file.

pub mod blocks;
pub mod content;
pub mod csv;
pub mod date;
pub mod lines;
pub mod record;
pub mod reject;
pub mod title;
pub mod title_form;
