//! What the threads of a pass share: its limits, its progress, and whether to stop.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::error::Error;

/// How far a pass has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// The number of files that have been read.
    pub files: u64,
    /// The number of bytes that have been read from the disk.
    pub bytes: u64,
    /// The number of bytes that the pass reads. In the first pass: the size of all files on the disk. Between the passes: the
    /// decompressed size of the parts that are read again.
    pub total: u64,
}

/// Limits of a pass.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most lines of ratings that may be refused. `None`: any number.
    pub rejects: Option<u64>,
    /// The most bytes of memory that the results may take.
    pub memory: usize,
}

/// How the caller of a pass stops it and learns of its progress.
pub struct Watch<'a> {
    /// When another thread sets this, the pass ends within milliseconds with [`Error::Stopped`].
    pub stop: &'a AtomicBool,
    /// Called every few milliseconds, from any thread of the pass.
    pub on_progress: &'a (dyn Fn(Progress) + Sync),
}

impl Watch<'_> {
    /// [`Error::Stopped`] if the pass should stop.
    pub(crate) fn check_stop(&self) -> Result<(), Error> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::Stopped) } else { Ok(()) }
    }
}

/// The number of rejects that are kept if any number is allowed.
const KEPT_WITHOUT_LIMIT: u64 = 1000;
/// The most rejects that are kept, whatever number is allowed.
const MAX_KEPT: u64 = 100_000;

impl Limits {
    /// The number of rejects that are kept of each optional file.
    pub(crate) const KEPT_OF_OPTIONAL: usize = KEPT_WITHOUT_LIMIT as usize;

    /// The number of rejects that are kept of the rating files.
    pub(crate) fn rejects_kept(&self) -> usize {
        self.rejects.unwrap_or(KEPT_WITHOUT_LIMIT).min(MAX_KEPT) as usize
    }
}

/// What the threads of a pass share.
pub(crate) struct Pass<'a> {
    pub limits: Limits,
    pub watch: &'a Watch<'a>,
    /// The folder that the files must lie in, if there is one.
    pub below: Option<Arc<Path>>,
    /// The index of the first job that failed. Jobs after it need not be finished.
    first_failed: AtomicUsize,
    files: AtomicU64,
    bytes: AtomicU64,
    total_bytes: u64,
    memory: AtomicUsize,
    rejects: AtomicU64,
}

impl<'a> Pass<'a> {
    /// A pass over files of `total_bytes` bytes on the disk.
    pub fn new(limits: Limits, watch: &'a Watch<'a>, below: Option<Arc<Path>>, total_bytes: u64) -> Pass<'a> {
        Pass {
            limits,
            watch,
            below,
            first_failed: AtomicUsize::new(usize::MAX),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            total_bytes,
            memory: AtomicUsize::new(0),
            rejects: AtomicU64::new(0),
        }
    }

    /// Adds bytes and files to the progress. [`Error::Stopped`] if the pass should stop, or if a job before this one
    /// has failed.
    pub fn advance(&self, job_index: usize, bytes: u64, files: u64) -> Result<(), Error> {
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let files = self.files.fetch_add(files, Ordering::Relaxed) + files;
        self.watch.check_stop()?;
        if self.first_failed.load(Ordering::Relaxed) < job_index {
            return Err(Error::Stopped);
        }
        (self.watch.on_progress)(Progress { files, bytes, total: self.total_bytes });
        Ok(())
    }

    /// Counts memory that results take. [`Error::MemoryLimit`] if that is more than the limit.
    pub fn take_memory(&self, bytes: usize) -> Result<(), Error> {
        let needed = self.memory.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if needed > self.limits.memory { Err(Error::MemoryLimit { needed }) } else { Ok(()) }
    }

    /// Counts memory as free again.
    pub fn free_memory(&self, bytes: usize) {
        self.memory.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The bytes of memory that results take.
    pub fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// Counts a line of ratings that cannot be used. Returns whether there are now more of them than is allowed.
    pub fn count_reject(&self) -> bool {
        let count = self.rejects.fetch_add(1, Ordering::Relaxed) + 1;
        self.limits.rejects.is_some_and(|max| count > max)
    }

    /// Counts lines that an earlier pass has refused.
    pub fn count_earlier_rejects(&self, count: u64) {
        self.rejects.fetch_add(count, Ordering::Relaxed);
    }

    /// Runs jobs on all threads of the current rayon pool. Each thread makes a state with `start`, and takes the next
    /// job as soon as it is free. Returns the threads' states, and the results in the order of the jobs. If several
    /// jobs fail, the error is that of the first of them in this order, so that it does not depend on the threads.
    pub fn run_jobs<S: Send, T: Send>(
        &self,
        jobs: usize,
        start: impl Fn() -> S + Sync,
        run: impl Fn(&mut S, usize) -> Result<T, Error> + Sync,
    ) -> (Vec<S>, Result<Vec<T>, Error>) {
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None::<(usize, Error)>);
        let threads = rayon::broadcast(|_| {
            let (mut state, mut results) = (start(), Vec::new());
            loop {
                let job_index = next.fetch_add(1, Ordering::Relaxed);
                if job_index >= jobs {
                    break;
                }
                match run(&mut state, job_index) {
                    Ok(result) => results.push((job_index, result)),
                    Err(error) => {
                        self.first_failed.fetch_min(job_index, Ordering::Relaxed);
                        let mut failure = failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        if failure.as_ref().is_none_or(|(first, _)| job_index < *first) {
                            *failure = Some((job_index, error));
                        }
                        break;
                    }
                }
            }
            (state, results)
        });
        let failure = failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (states, results): (Vec<_>, Vec<_>) = threads.into_iter().unzip();
        let results = match failure {
            Some((_, error)) => Err(error),
            None => {
                let mut results = results.into_iter().flatten().collect::<Vec<_>>();
                results.sort_by_key(|&(job_index, _)| job_index);
                Ok(results.into_iter().map(|(_, result)| result).collect())
            }
        };
        (states, results)
    }
}
