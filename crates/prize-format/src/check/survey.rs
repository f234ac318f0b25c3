//! The survey: reads every file in parallel, and finds which customers and movies there are, where each movie's ratings
//! are, and which lines cannot be used.

use std::path::PathBuf;
use std::sync::Mutex;

use super::findings::Findings;
use super::ids::RankedIds;
use super::jobs::{Jobs, jobs_for};
use super::left_out::LeftOut;
use super::optional::choose;
use super::pass::{Limits, Pass, Watch};
use super::run_job::{run_job, run_optional_job};
use super::segment::{Segment, SegmentId};
use super::thread_state::ThreadState;
use crate::error::Error;
use crate::error::name_list::NameList;
use crate::find::folder::Folder;
use crate::find::notice::Notice;
use crate::parse::date::Date;
use crate::parse::reject::Reject;
use crate::parse::title::Title;
use crate::read::text_file::TextFile;

/// What the first pass found.
pub struct Survey {
    /// Every text that was read, in the order of the folder's files.
    pub files: Vec<TextFile>,
    /// The titles, sorted by movie id.
    pub titles: Vec<Title>,
    /// The ids of all customers in the ratings and in the qualifying set.
    pub customers: RankedIds,
    /// The ids of all movies in the titles, in the ratings and in the qualifying set.
    pub movies: RankedIds,
    /// The probe's pairs `(movie, customer)`, sorted, each once.
    pub probe: Vec<(u32, u32)>,
    /// The number of lines of the qualifying file that have a pair.
    pub qualifying: u64,
    /// The first and the last day in the ratings and in the qualifying set.
    pub days: Option<(Date, Date)>,
    /// The lines that cannot be used.
    pub rejects: Rejects,
    /// Which parts of the files were not read, and why. The folder's own notices are not among them.
    pub notices: Vec<Notice>,
    /// The approximate size of the survey in memory, in bytes.
    pub memory: usize,
    /// Where the ratings are, sorted by movie, then by file and offset.
    pub(crate) segments: Vec<Segment>,
    /// Which of these ratings are not to be loaded.
    pub(crate) left_out: LeftOut,
}

/// The lines that cannot be used. All of them are counted, and the first are kept.
#[derive(Default)]
pub struct Rejects {
    /// The first of them, sorted by file and line.
    pub kept: Vec<Reject>,
    /// The number of all of them.
    pub count: u64,
}

impl Survey {
    /// Reads all files of a folder on the threads of the current rayon pool.
    ///
    /// [`Error::TooManyRejects`] if too many lines of ratings cannot be used, and [`Error::MemoryLimit`] if the survey
    /// would take too much memory. If there are ratings, an optional file that cannot be read is skipped with a notice.
    pub fn take(folder: &Folder, limits: Limits, watch: &Watch<'_>) -> Result<Survey, Error> {
        let with_obstacle = |error: Error| error.with_obstacle(folder.below.as_deref());
        let Jobs { jobs, total_bytes, mut notices } = jobs_for(folder, watch).map_err(with_obstacle)?;
        let pass = Pass::new(limits, watch, folder.below.clone(), total_bytes);
        let first_reject = Mutex::new(None::<(usize, PathBuf, Reject)>);
        let may_skip = !folder.ratings.is_empty();
        let (states, findings) = pass.run_jobs(jobs.len(), ThreadState::default, |state, job_index| {
            let job = &jobs[job_index];
            if job.kind().is_optional() {
                return run_optional_job(job, job_index, state, &pass, may_skip);
            }
            let mut findings = Findings::default();
            let result = run_job(job, job_index, state, &mut findings, &pass);
            if let (Err(Error::TooManyRejects { .. }) | Ok(()), Some(reject)) =
                (&result, findings.rejects.first())
            {
                let mut first = first_reject.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if first.as_ref().is_none_or(|(first_index, ..)| job_index < *first_index) {
                    *first = Some((job_index, findings.files[reject.file].path.clone(), reject.clone()));
                }
            }
            result.map(|()| findings)
        });
        let findings = findings.map_err(|error| match (error, first_reject.into_inner()) {
            // The error names the first refused line, because the line at which the limit was exceeded depends on the
            // threads.
            (Error::TooManyRejects { max, .. }, Ok(Some((_, path, reject)))) => {
                Error::TooManyRejects { max, path, reject }
            }
            (error, _) => with_obstacle(error),
        })?;
        let findings = choose(findings, limits, &mut notices);
        Ok(merge(states, findings, notices, &pass))
    }

    /// The number of ratings in the files, including duplicates.
    pub fn ratings(&self) -> u64 {
        self.segments.iter().map(|s| u64::from(s.records)).sum()
    }

    /// Whether the files have a rating of this movie.
    pub fn has_ratings_of(&self, movie_id: u32) -> bool {
        self.segments.binary_search_by_key(&movie_id, |segment| segment.movie_id).is_ok()
    }

    /// The number of ratings that are not to be loaded, because the customer has rated the movie before.
    pub fn duplicates(&self) -> u64 {
        self.left_out.count
    }

    /// The segments of each movie, with the id of its first segment.
    pub(crate) fn by_movie(&self) -> impl Iterator<Item = (SegmentId, &[Segment])> {
        let mut next = 0;
        self.segments.chunk_by(|a, b| a.movie_id == b.movie_id).map(move |segments| {
            let first = next;
            next += segments.len();
            (first, segments)
        })
    }
}

/// Puts together what the jobs have found.
fn merge(states: Vec<ThreadState>, findings: Vec<Findings>, notices: Vec<Notice>, pass: &Pass<'_>) -> Survey {
    let mut seen = ThreadState::default();
    states.into_iter().for_each(|state| seen.merge(state));
    let ThreadState { customers, mut movies, days, .. } = seen;
    for title in findings.iter().flat_map(|one| &one.titles) {
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
        memory: pass.memory(),
        segments: Vec::new(),
        left_out: LeftOut::default(),
    };
    let (mut rejects_kept, mut empty, mut not_gzipped) = (0, NameList::default(), NameList::default());
    for one in findings {
        let files_before = survey.files.len();
        let is_optional = one.files.first().is_some_and(|file| file.kind.is_optional());
        survey.rejects.count += one.files.iter().map(|file| file.rejected).sum::<u64>();
        for file in &one.files {
            let name = || file.member.clone().unwrap_or_else(|| file.path.to_string_lossy().into_owned());
            // Another notice says that all lines of an optional file were refused.
            if file.records == 0 && (!is_optional || file.rejected == 0) {
                empty.add(name());
            }
            if one.has_wrong_ending {
                not_gzipped.add(name());
            }
        }
        survey.files.extend(one.files);
        survey.titles.extend(one.titles);
        survey.probe.extend(one.probe);
        survey.qualifying += one.qualifying;
        survey.notices.extend(one.notices);
        let room =
            if is_optional { usize::MAX } else { pass.limits.rejects_kept().saturating_sub(rejects_kept) };
        rejects_kept += if is_optional { 0 } else { one.rejects.len().min(room) };
        let rejects = one.rejects.into_iter().take(room);
        survey
            .rejects
            .kept
            .extend(rejects.map(|reject| Reject { file: files_before + reject.file, ..reject }));
        let segments = one.segments.into_iter();
        survey
            .segments
            .extend(segments.map(|segment| Segment { file: files_before as u32 + segment.file, ..segment }));
    }
    survey.notices.extend((!not_gzipped.is_empty()).then_some(Notice::NotGzipped { files: not_gzipped }));
    survey.notices.extend((!empty.is_empty()).then_some(Notice::Empty { files: empty }));
    survey.segments.sort_by_key(|s| (s.movie_id, s.file, s.offset));
    survey.probe.sort_unstable();
    survey.probe.dedup();
    survey
}

#[cfg(test)]
mod tests;
