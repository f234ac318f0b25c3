//! What the threads of a pass over the files share: limits, progress, and whether to go on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::error::Error;

/// How far a pass is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Files read.
    pub files: u64,
    /// Bytes read from the disk.
    pub bytes: u64,
    /// Bytes that all files have there.
    pub total: u64,
}

/// How much a pass may take and find.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Lines of ratings that may be refused; `None` for any number.
    pub rejects: Option<u64>,
    /// Bytes of memory.
    pub memory: usize,
}

/// How a long call is stopped, and told how far it is.
pub struct Watch<'a> {
    /// Set from outside, it makes the call end with [`Error::Stopped`] within milliseconds.
    pub stop: &'a AtomicBool,
    /// Told of progress every few milliseconds, from any thread.
    pub said: &'a (dyn Fn(Progress) + Sync),
}

impl Watch<'_> {
    /// [`Error::Stopped`] where it was told to stop.
    pub(crate) fn go_on(&self) -> Result<(), Error> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::Stopped) } else { Ok(()) }
    }
}

/// How many rejects are kept when any number of them is allowed, as of each optional file, and at the most.
const KEPT_OF_ANY: u64 = 1000;
const KEPT_AT_MOST: u64 = 100_000;

impl Limits {
    /// How many of the rejects of an optional file are kept.
    pub(crate) const KEPT_OF_OPTIONAL: usize = KEPT_OF_ANY as usize;

    /// How many of the ratings' rejects are kept.
    pub(crate) fn kept(&self) -> usize {
        self.rejects.unwrap_or(KEPT_OF_ANY).min(KEPT_AT_MOST) as usize
    }
}

/// What the threads of a pass share.
pub(crate) struct Shared<'a> {
    pub limits: Limits,
    pub watch: &'a Watch<'a>,
    /// The folder that the files must lie below.
    pub below: Option<Arc<Path>>,
    /// The first job that failed: those after it need not go on.
    failed: AtomicUsize,
    files: AtomicU64,
    bytes: AtomicU64,
    total: u64,
    memory: AtomicUsize,
    rejects: AtomicU64,
}

impl<'a> Shared<'a> {
    pub fn new(limits: Limits, watch: &'a Watch<'a>, below: Option<Arc<Path>>, total: u64) -> Shared<'a> {
        Shared {
            limits,
            watch,
            below,
            failed: AtomicUsize::new(usize::MAX),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            total,
            memory: AtomicUsize::new(0),
            rejects: AtomicU64::new(0),
        }
    }

    /// Tells of so many bytes more, and whether the job may go on.
    pub fn advance(&self, job: usize, bytes: u64, files: u64) -> Result<(), Error> {
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let files = self.files.fetch_add(files, Ordering::Relaxed) + files;
        if self.watch.stop.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed) < job {
            return Err(Error::Stopped);
        }
        (self.watch.said)(Progress { files, bytes, total: self.total });
        Ok(())
    }

    /// Accounts for memory that was taken.
    pub fn take_memory(&self, bytes: usize) -> Result<(), Error> {
        let needed = self.memory.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if needed > self.limits.memory { Err(Error::MemoryLimit { needed }) } else { Ok(()) }
    }

    /// Gives memory back.
    pub fn free_memory(&self, bytes: usize) {
        self.memory.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts a line of ratings that cannot be used. Gives whether there are too many of them.
    pub fn reject(&self) -> bool {
        let count = self.rejects.fetch_add(1, Ordering::Relaxed) + 1;
        self.limits.rejects.is_some_and(|max| count > max)
    }

    /// Counts lines that an earlier pass has refused.
    pub fn expect_rejects(&self, count: u64) {
        self.rejects.fetch_add(count, Ordering::Relaxed);
    }

    pub fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// Runs jobs on all threads, each taking the next that is free, and gives what each made, in their order. Of
    /// several failures, the one of the first job is told.
    pub fn run<S: Send, T: Send>(
        &self,
        jobs: usize,
        start: impl Fn() -> S + Sync,
        run: impl Fn(&mut S, usize) -> Result<T, Error> + Sync,
    ) -> (Vec<S>, Result<Vec<T>, (usize, Error)>) {
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None::<(usize, Error)>);
        let parts = rayon::broadcast(|_| {
            let (mut state, mut made) = (start(), Vec::new());
            loop {
                let job = next.fetch_add(1, Ordering::Relaxed);
                if job >= jobs {
                    break;
                }
                match run(&mut state, job) {
                    Ok(one) => made.push((job, one)),
                    Err(error) => {
                        self.failed.fetch_min(job, Ordering::Relaxed);
                        let mut failure = failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        if failure.as_ref().is_none_or(|(first, _)| job < *first) {
                            *failure = Some((job, error));
                        }
                        break;
                    }
                }
            }
            (state, made)
        });
        let failure = failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (states, made): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let made = match failure {
            Some(failure) => Err(failure),
            None => {
                let mut made = made.into_iter().flatten().collect::<Vec<_>>();
                made.sort_by_key(|&(job, _)| job);
                Ok(made.into_iter().map(|(_, one)| one).collect())
            }
        };
        (states, made)
    }
}
