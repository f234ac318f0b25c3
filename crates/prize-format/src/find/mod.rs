//! Finds the data set's files in a folder or an archive, and says what is not read and why.

pub mod archive;
pub mod folder;
pub mod folder_contents;
pub mod listing;
pub mod names;
pub mod notice;
pub mod plain_file;
