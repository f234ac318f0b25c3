//! What the capabilities share of PostgreSQL: settings, errors, interrupts, reading and writing tables.

#![allow(unsafe_code)] // the one place that talks to the server's C code

pub mod allocator;
pub mod ballast;
pub mod btree;
pub mod bulk;
pub mod catalog;
pub mod columns;
pub mod error;
pub mod guc;
pub mod index;
pub mod interrupt;
pub mod json;
pub mod machine;
pub mod memory;
pub mod model;
pub mod prepared;
pub mod progress;
pub mod query;
pub mod ratings;
pub mod scan;
pub mod sequence;
pub mod support;
pub mod unfinished;
pub mod user_query;
pub mod worker;

pub use error::{Error, Report, report};

/// Says what a long call is about to take, and refuses where that is more than `netflix_rec.max_memory`.
pub fn require_memory(what: &'static str, needed: usize) -> Result<(), Error> {
    pgrx::debug1!("{what} needs about {} MB of memory", needed >> 20);
    check_memory(what, needed)
}

/// Refuses where a call is about to go beyond `netflix_rec.max_memory`: for what is found out on the way.
pub fn check_memory(what: &'static str, needed: usize) -> Result<(), Error> {
    let limit = guc::max_memory();
    if needed > limit { Err(Error::MemoryLimit { what, needed, limit }) } else { Ok(()) }
}

/// A duration as PostgreSQL has it.
pub fn interval(duration: std::time::Duration) -> pgrx::datum::Interval {
    pgrx::datum::Interval::from_micros(duration.as_micros() as i64)
}
