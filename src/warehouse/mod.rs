//! The extension's own tables: their names and columns, customers and movies by key and id, ratings, and whether a load or a
//! restore has left them unfinished.

pub mod dimension;
pub mod error;
pub mod ratings;
pub mod split;
#[cfg(any(test, feature = "pg_test"))]
mod storage_tests;
pub mod tables;
pub mod unfinished;

pub use error::Error;
