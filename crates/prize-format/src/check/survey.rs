//! The first pass over a data set: reads every file, on as many threads as there are, and finds which customers and
//! movies there are, where each movie's ratings stand, and which lines cannot be used.

use std::path::PathBuf;
use std::sync::Mutex;

use super::found::Found;
use super::ids::{IdSet, RankedIds};
use super::jobs::{self, Jobs};
use super::left_out::Duplicates;
use super::optional;
use super::pass::{Limits, Shared, Watch};
use super::seen::Sets;
use super::segment::{Segment, SegmentId};
use super::surveyor;
use crate::error::Error;
use crate::error::name_list::Listed;
use crate::find::folder::Folder;
use crate::find::notice::Notice;
use crate::parse::date::Date;
use crate::parse::reject::Reject;
use crate::parse::title::Title;
use crate::read::text_file::TextFile;

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

/// The lines refused: all are counted, the first are kept.
#[derive(Default)]
pub struct Rejects {
    /// The first of them, in the order of files and lines.
    pub kept: Vec<Reject>,
    /// How many there were.
    pub count: u64,
}

impl Survey {
    /// Reads all files of a folder on the threads of the current rayon pool. Stops with [`Error::TooManyRejects`]
    /// where too many lines of ratings cannot be used, with [`Error::MemoryLimit`] where what it finds takes too much memory.
    /// Where there are ratings, a file of another kind that cannot be read is left aside with a notice.
    pub fn take(folder: &Folder, limits: Limits, watch: &Watch<'_>) -> Result<Survey, Error> {
        let explained = |error: Error| error.explained(folder.below.as_deref());
        let Jobs { jobs, total, mut notices } = jobs::jobs(folder, watch).map_err(explained)?;
        let shared = Shared::new(limits, watch, folder.below.clone(), total);
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
