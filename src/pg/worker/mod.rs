//! Background workers that do a caller's work in transactions of their own. These commit while the caller waits.
//!
//! Like parallel workers, they run as the caller's role and belong to its lock group. Therefore the caller's locks protect
//! their work and do not block it, and PostgreSQL detects deadlocks between them and other backends. The caller passes on their
//! notices and raises their errors. No worker outlives its caller: however the caller ends, it stops its workers first.

mod caller;
mod process;
mod segment;

pub use caller::{Job, MAX_WORKERS, run, waiting_for};
pub use process::{is_worker, register, transaction};
pub use segment::WorkCounter;

/// A function that is called from time to time while the work is done, with how much is done.
pub type OnProgress<'a> = &'a mut dyn FnMut(&WorkCounter);
