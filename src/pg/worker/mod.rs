//! Background workers that do a caller's work in transactions of their own, which commit while the caller waits.
//!
//! Workers run as the caller's role and belong to its lock group, as parallel workers do. So the locks that the caller holds protect
//! their work and do not block it, and PostgreSQL detects deadlocks between them and others. The caller passes on their notices, and
//! raises their errors. No worker outlives its caller: however the caller ends, it stops its workers first.

mod caller;
mod process;
mod segment;

pub use caller::{Job, MOST_WORKERS, run, waiting_for};
pub use process::{is_worker, register, transaction};
pub use segment::WorkCounter;

/// Called now and then by whoever does the work, with how much is done.
pub type OnProgress<'a> = &'a mut dyn FnMut(&WorkCounter);
