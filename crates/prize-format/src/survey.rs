//! The first pass over a data set: reads every file, on as many threads as there are, and finds which customers and
//! movies there are, where each movie's ratings stand, and which lines cannot be used.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::duplicates::Duplicates;
use crate::ids::{IdSet, RankedIds};
use crate::optional;
use crate::surveyor::{self, Found, Jobs, Sets};
use crate::unit::{Segment, SegmentId};
use crate::{Date, Error, Folder, Listed, Notice, Reason, Title};

/// What the first pass found.
pub struct Survey {
    /// Every text read, in the order of the folder.
    pub files: Vec<TextFile>,
    /// The titles, by movie id.
    pub titles: Vec<Title>,
    /// All customers of the ratings and of the qualifying set.
    pub customers: RankedIds,
    /// All movies of the titles, the ratings and the qualifying set.
    pub movies: RankedIds,
    /// `(movie, customer)` of each probe pair, sorted, each once.
    pub probe: Vec<(u32, u32)>,
    /// How many lines of the qualifying file hold pairs.
    pub qualifying: u64,
    /// The first and last day of a rating or qualifying pair.
    pub days: Option<(Date, Date)>,
    /// Lines that could not be used.
    pub rejects: Rejects,
    /// What of the files was not read, and why; what the folder's own notices tell is not repeated.
    pub notices: Vec<Notice>,
    /// About how many bytes of memory all this takes.
    pub memory: usize,
    /// Where each movie's ratings stand, sorted by movie, then by file and place in it.
    pub(crate) segments: Vec<Segment>,
    /// Which of these ratings are not to be loaded.
    pub(crate) duplicates: Duplicates,
}

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `movie_titles.csv` or `.txt`
    Titles,
    /// A part of the training set.
    Ratings,
    /// `probe.txt`
    Probe,
    /// `qualifying.txt`
    Qualifying,
    /// `judging.txt`
    Judging,
}

/// A text of the data set: a file, or a member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFile {
    /// What it is for.
    pub kind: Kind,
    /// The file on disk.
    pub path: PathBuf,
    /// The folder that it must lie below, wherever links lead; anywhere, where that is `None`.
    pub below: Option<Arc<Path>>,
    /// Its name in that file, where it is an archive.
    pub member: Option<String>,
    /// Where it begins in what the file holds, unpacked.
    pub position: u64,
    /// Its length in bytes, unpacked.
    pub bytes: u64,
    /// When the file was last changed, in microseconds since 1970, where the system knows.
    pub modified: Option<i64>,
    /// The CRC-32 of the text, unpacked.
    pub checksum: u32,
    /// Lines that hold a title, rating or pair.
    pub records: u64,
    /// Lines that could not be used.
    pub rejected: u64,
}

/// A line that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Index of its file in [`Survey::files`].
    pub file: usize,
    /// Its number, from 1.
    pub line: u64,
    /// Its text, shortened and with control characters escaped.
    pub text: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// The lines refused: all are counted, the first are kept.
#[derive(Default)]
pub struct Rejects {
    /// The first of them, in the order of files and lines.
    pub kept: Vec<Reject>,
    /// How many there were.
    pub count: u64,
}

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

impl Kind {
    /// Whether ratings can be loaded without it. Nothing that is wrong with such a file stops a load of ratings.
    pub fn is_optional(self) -> bool {
        self != Kind::Ratings
    }
}

impl<'a> Shared<'a> {
    pub fn new(limits: Limits, watch: &'a Watch<'a>, total: u64) -> Shared<'a> {
        Shared {
            limits,
            watch,
            below: None,
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

impl Survey {
    /// Reads all files of a folder on the threads of the current rayon pool. Stops with [`Error::TooManyRejects`]
    /// where too many lines of ratings cannot be used, with [`Error::MemoryLimit`] where what it finds takes too much memory.
    /// Where there are ratings, a file of another kind that cannot be read is left aside with a notice.
    pub fn take(folder: &Folder, limits: Limits, watch: &Watch<'_>) -> Result<Survey, Error> {
        let explained = |error: Error| error.explained(folder.below.as_deref());
        let Jobs { jobs, total, mut notices } = surveyor::jobs(folder, watch).map_err(explained)?;
        let shared = Shared { below: folder.below.clone(), ..Shared::new(limits, watch, total) };
        let first = Mutex::new(None::<(usize, PathBuf, Reject)>);
        let (sets, found) = shared.run(jobs.len(), Sets::default, |sets, job| {
            if jobs[job].kind().is_optional() {
                return surveyor::read_optional(&jobs[job], job, sets, &shared, !folder.ratings.is_empty());
            }
            let mut found = Found::default();
            let result = surveyor::read(&jobs[job], job, sets, &mut found, &shared);
            if let (Err(Error::TooManyRejects { .. }) | Ok(()), Some(reject)) =
                (&result, found.rejects.first())
            {
                let mut first = first.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if first.as_ref().is_none_or(|(at, ..)| job < *at) {
                    *first = Some((job, found.files[reject.file].path.clone(), reject.clone()));
                }
            }
            result.map(|()| found)
        });
        let found = found.map_err(|(_, error)| match (error, first.into_inner()) {
            // Whichever line went beyond the limit, the first one tells most.
            (Error::TooManyRejects { max, .. }, Ok(Some((_, path, reject)))) => {
                Error::TooManyRejects { max, path, reject }
            }
            (error, _) => explained(error),
        })?;
        let found = optional::choose(found, limits, &mut notices);
        Ok(merge(sets, found, notices, &shared))
    }

    /// How many ratings the files hold, duplicates included.
    pub fn ratings(&self) -> u64 {
        self.segments.iter().map(|s| u64::from(s.records)).sum()
    }

    /// Whether the files hold a rating of this movie.
    pub fn has_ratings_of(&self, movie_id: u32) -> bool {
        self.segments.binary_search_by_key(&movie_id, |segment| segment.movie_id).is_ok()
    }

    /// How many of them are not to be loaded, as the customer has rated the movie before.
    pub fn duplicates(&self) -> u64 {
        self.duplicates.count
    }

    /// The segments of each movie, one movie after another.
    pub(crate) fn by_movie(&self) -> impl Iterator<Item = (SegmentId, &[Segment])> {
        let mut from = 0;
        self.segments.chunk_by(|a, b| a.movie_id == b.movie_id).map(move |segments| {
            let first = from;
            from += segments.len();
            (first, segments)
        })
    }
}

fn merge(sets: Vec<Sets>, found: Vec<Found>, notices: Vec<Notice>, shared: &Shared<'_>) -> Survey {
    let (mut customers, mut movies, mut days) = (IdSet::default(), IdSet::default(), None::<(Date, Date)>);
    for set in sets {
        customers.merge(set.customers);
        movies.merge(set.movies);
        if let Some((first, last)) = set.days {
            let (from, to) = days.get_or_insert((first, last));
            *from = first.min(*from);
            *to = last.max(*to);
        }
    }
    for title in found.iter().flat_map(|one| &one.titles) {
        movies.insert(title.movie_id);
    }
    let mut survey = Survey {
        files: Vec::new(),
        titles: Vec::new(),
        customers: customers.rank(),
        movies: movies.rank(),
        probe: Vec::new(),
        qualifying: 0,
        days,
        rejects: Rejects::default(),
        notices,
        memory: shared.memory(),
        segments: Vec::new(),
        duplicates: Duplicates::default(),
    };
    let (mut kept, mut empty, mut misnamed) = (0, Listed::default(), Listed::default());
    for one in found {
        let before = survey.files.len();
        let is_optional = one.files.first().is_some_and(|file| file.kind.is_optional());
        survey.rejects.count += one.files.iter().map(|file| file.rejected).sum::<u64>();
        for file in &one.files {
            let name = || file.member.clone().unwrap_or_else(|| file.path.to_string_lossy().into_owned());
            // Of lines that were refused, another notice tells where they are all that an optional file has.
            if file.records == 0 && (!is_optional || file.rejected == 0) {
                empty.add(name());
            }
            if one.is_misnamed {
                misnamed.add(name());
            }
        }
        survey.files.extend(one.files);
        survey.titles.extend(one.titles);
        survey.probe.extend(one.probe);
        survey.qualifying += one.qualifying;
        survey.notices.extend(one.notices);
        let room = if is_optional { usize::MAX } else { shared.limits.kept().saturating_sub(kept) };
        kept += if is_optional { 0 } else { one.rejects.len().min(room) };
        let rejects = one.rejects.into_iter().take(room);
        survey.rejects.kept.extend(rejects.map(|reject| Reject { file: before + reject.file, ..reject }));
        let segments = one.segments.into_iter();
        survey
            .segments
            .extend(segments.map(|segment| Segment { file: before as u32 + segment.file, ..segment }));
    }
    survey.notices.extend((!misnamed.is_empty()).then_some(Notice::NotPacked { files: misnamed }));
    survey.notices.extend((!empty.is_empty()).then_some(Notice::Empty { files: empty }));
    survey.segments.sort_by_key(|s| (s.movie_id, s.file, s.offset));
    survey.probe.sort_unstable();
    survey.probe.dedup();
    survey
}

#[cfg(test)]
mod tests;
