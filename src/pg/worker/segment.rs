//! The dynamic shared memory segment of a caller and its workers.

use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pgrx::pg_sys;

/// Counts the work of a caller's background workers, in shared memory.
#[derive(Debug, Default)]
#[repr(C)]
pub struct WorkCounter {
    /// The index of the next piece of work. All before it are taken.
    next: AtomicU64,
    /// How much work is done, and how much there is in all, in the unit of the work.
    done: AtomicU64,
    total: AtomicU64,
    /// How many rows are done.
    rows: AtomicU64,
    /// A number that the work tells the caller.
    result: AtomicU64,
}

impl WorkCounter {
    /// Takes the next piece of work and returns its index, from 0.
    pub fn take(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds to the work and rows that are done.
    pub fn add(&self, done: u64, rows: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Sets how much work is done, and how much there is in all.
    pub fn set(&self, done: u64, total: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// Raises how much work there is in all to `total`. A worker that starts late may count less than others did, so a smaller
    /// value is ignored.
    pub fn set_total(&self, total: u64) {
        self.total.fetch_max(total, Ordering::Relaxed);
    }

    /// Tells the caller a number.
    pub fn set_result(&self, result: u64) {
        self.result.store(result, Ordering::Relaxed);
    }

    /// The number that the work has told; 0 if it has told none.
    pub fn result(&self) -> u64 {
        self.result.load(Ordering::Relaxed)
    }

    /// How much work is done, how much there is in all, and how many rows are done.
    pub fn read(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.done), read(&self.total), read(&self.rows))
    }
}

/// The head of the segment. After it come, each aligned to eight bytes: the message of the job; a flag for each worker that
/// says whether it has finished; and the message queue of each worker.
#[repr(C)]
pub(super) struct SegmentHead {
    /// [`LAYOUT`] of the library that the caller has loaded. This field and `is_refused` have the same offset in every version.
    pub(super) layout: u64,
    /// Set by a worker whose library has another layout. Such a worker reads no other field.
    pub(super) is_refused: AtomicBool,
    pub(super) counter: WorkCounter,
    pub(super) leader: *mut pg_sys::PGPROC,
    pub(super) leader_pid: c_int,
    pub(super) database: pg_sys::Oid,
    pub(super) session_role: pg_sys::Oid,
    pub(super) role: pg_sys::Oid,
    pub(super) security_context: c_int,
    pub(super) max_memory: c_int,
    pub(super) memory_limit: c_int,
    pub(super) maintenance_work_mem: c_int,
    pub(super) lock_timeout: c_int,
    pub(super) quick_index_build: bool,
    pub(super) workers: usize,
    pub(super) message_bytes: usize,
    /// `netflix_rec.data_directory`; empty if it is not set.
    pub(super) data_directory: Text,
    /// The statement that the caller runs, shortened if it is long.
    pub(super) statement: Text,
}

/// A C string in shared memory.
pub(super) type Text = [u8; pg_sys::MAXPGPATH as usize];

/// A hash of the library's version and the size of the head. It differs between caller and worker if the library was replaced
/// while the caller's session ran.
pub(super) const LAYOUT: u64 = {
    // FNV-1a.
    let (version, mut hash, mut at) = (env!("CARGO_PKG_VERSION").as_bytes(), 0xcbf2_9ce4_8422_2325_u64, 0);
    while at < version.len() {
        hash = (hash ^ version[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    (hash ^ size_of::<SegmentHead>() as u64).wrapping_mul(0x0100_0000_01b3)
};

/// Size in bytes of a queue, by which a worker sends messages to its caller.
pub(super) const QUEUE_BYTES: usize = 16 * 1024;

/// The offsets of the segment's parts, and its size, in bytes.
pub(super) struct Offsets {
    pub(super) message: usize,
    pub(super) finished: usize,
    pub(super) queues: usize,
    pub(super) total: usize,
}

impl Offsets {
    pub(super) fn new(message_bytes: usize, workers: usize) -> Offsets {
        let message = size_of::<SegmentHead>().next_multiple_of(8);
        let finished = (message + message_bytes).next_multiple_of(8);
        let queues = (finished + workers).next_multiple_of(8);
        Offsets { message, finished, queues, total: queues + workers * QUEUE_BYTES }
    }
}

/// Copies a text. A text that is too long is cut after a whole UTF-8 character.
pub(super) fn shorten(from: &CStr) -> Text {
    let (mut text, from) = ([0; size_of::<Text>()], from.to_bytes());
    let mut end = from.len().min(text.len() - 1);
    while end < from.len() && end > 0 && from[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    text[..end].copy_from_slice(&from[..end]);
    text
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use std::ffi::CString;

    use super::*;
    use pgrx::prelude::*;

    #[pg_test]
    fn a_text_that_is_too_long_ends_with_a_whole_character() {
        let long = CString::new("\u{416}".repeat(1000)).unwrap();
        let cut = shorten(&long);
        let cut = CStr::from_bytes_until_nul(&cut).unwrap().to_str().unwrap();
        assert_eq!(cut, "\u{416}".repeat((size_of::<Text>() - 1) / 2));
        assert_eq!(CStr::from_bytes_until_nul(&shorten(c"SELECT 1")), Ok(c"SELECT 1"));
    }
}
