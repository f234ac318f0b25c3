//! Which files of the data set a folder holds, and what each of them is.

pub mod archive;
pub mod folder;
pub mod listing;
pub mod names;
pub mod notice;
pub mod place;
pub mod plain_file;
