//! Glue to PostgreSQL that any extension could use: settings, errors, interrupts, threads, queries, background workers,
//! progress. Nothing here names one of the extension's tables.

#![allow(unsafe_code)] // calls PostgreSQL's C code

pub mod allocator;
pub mod catalog;
pub mod discard;
pub mod error;
pub mod error_reserve;
pub mod guc;
pub mod interrupt;
pub mod invalidation;
pub mod json;
pub mod lock;
pub mod machine;
pub mod memory;
pub mod planner;
pub mod prepared;
pub mod progress;
pub mod query;
pub mod role;
pub mod sequence;
pub mod snapshot;
pub mod spi;
pub mod threads;
pub mod transaction;
pub mod user_query;
pub mod worker;

pub use error::{Diagnostics, Error, Report, report};

/// Converts a duration to PostgreSQL's type `interval`.
pub fn interval(duration: std::time::Duration) -> pgrx::datum::Interval {
    pgrx::datum::Interval::from_micros(duration.as_micros() as i64)
}
