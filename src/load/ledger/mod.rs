//! The ledger of loads, the tables load_run, load_file, load_unit, load_reject and load_inserted: what was read, from where, what
//! was rejected and why, and what is left to do. An interrupted load goes on from here.

mod begin;
mod files;
mod inserted;
mod run;
mod units;

pub use begin::{NewRun, begin};
pub use files::{files, files_left, mark_loaded, move_files, update_modified};
pub use inserted::{delete_inserted, disown, record_inserted, replace_taken_keys};
pub use run::{Run, complete, record_counts, record_counts_since, run, unfinished};
pub use units::{StoredUnit, last_unit, take_unit};
