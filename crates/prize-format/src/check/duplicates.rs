//! Between the passes: finds the ratings that are not to be loaded, because the customer has rated the movie before, be
//! it in the same files or in what is loaded already. Only movies for which that may be so are read again.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::left_out::Duplicates;
use super::pass::{Limits, Shared, Watch};
use super::segment::{Segment, SegmentId};
use super::survey::Survey;
use crate::error::Error;
use crate::parse::blocks::{Event, Located};
use crate::parse::record::Rating;
use crate::parse::reject::{Reason, Reject};
use crate::read::open_files::Opened;
use crate::read::ratings::segment_reader;

/// Ratings that are loaded already, by movie.
#[derive(Default)]
pub struct Known(HashMap<u32, Vec<u64>>);

impl Known {
    /// Makes room for so many ratings of a movie.
    pub fn reserve(&mut self, movie_id: u32, ratings: usize) -> Result<(), Error> {
        self.0.entry(movie_id).or_default().try_reserve_exact(ratings).map_err(|_| Error::OutOfMemory)
    }

    /// Adds a rating.
    pub fn add(&mut self, movie_id: u32, rating: Rating) -> Result<(), Error> {
        let ratings = self.0.entry(movie_id).or_default();
        ratings.try_reserve(1).map_err(|_| Error::OutOfMemory)?;
        ratings.push(rating.pack());
        Ok(())
    }

    fn sort(&mut self) {
        self.0.values_mut().for_each(|ratings| ratings.sort_unstable());
    }

    fn of(&self, movie_id: u32) -> &[u64] {
        self.0.get(&movie_id).map_or(&[], Vec::as_slice)
    }
}

/// What one job finds.
#[derive(Default)]
struct Seconds {
    left_out: Duplicates,
    /// Those that say otherwise than the first: how many of each file, and the first of them.
    conflicts: HashMap<usize, u64>,
    kept: Vec<Reject>,
}

/// Movies that one job reads: so many ratings, more or less.
const RATINGS_A_JOB: u64 = 400_000;

impl Survey {
    /// Leaves out second ratings of the movies with these ids. Of several ratings of a movie by a customer, the first is
    /// kept: the one in `known`, then the one that stands first in the files. One that says otherwise than the first
    /// is a reject, too. To be called once for each movie, before [`Survey::units`].
    pub fn leave_out_duplicates(
        &mut self,
        known: &mut Known,
        movies: RangeInclusive<u32>,
        limits: Limits,
        watch: &Watch<'_>,
    ) -> Result<(), Error> {
        known.sort();
        let known = &*known;
        let mut jobs = Vec::<(u64, Vec<(SegmentId, &[Segment])>)>::new();
        let mut suspects = self
            .by_movie()
            .filter(|(_, segments)| movies.contains(&segments[0].movie_id))
            .filter(|(_, segments)| {
                segments.len() > 1 || segments[0].is_doubtful || !known.of(segments[0].movie_id).is_empty()
            })
            .collect::<Vec<_>>();
        suspects.sort_by_key(|(_, segments)| (segments[0].file, segments[0].offset));
        for (from, segments) in suspects {
            if jobs.last().is_none_or(|(ratings, _)| *ratings >= RATINGS_A_JOB) {
                jobs.push((0, Vec::new()));
            }
            if let Some((ratings, movies)) = jobs.last_mut() {
                *ratings += segments.iter().map(|segment| u64::from(segment.records)).sum::<u64>();
                movies.push((from, segments));
            }
        }
        let total = jobs.iter().flat_map(|(_, movies)| movies).flat_map(|(_, segments)| *segments);
        let shared = Shared::new(limits, watch, None, total.map(|segment| segment.bytes).sum());
        let ratings = self.files.iter().filter(|file| !file.kind.is_optional());
        shared.expect_rejects(ratings.map(|file| file.rejected).sum());
        let go_on = || watch.go_on();
        let (_, seconds) = shared.run(
            jobs.len(),
            || Opened::new(&self.files, &go_on),
            |opened, job| {
                let mut seconds = Seconds::default();
                for (from, segments) in &jobs[job].1 {
                    let bytes = segments.iter().map(|segment| segment.bytes).sum();
                    self.compare(opened, *from, segments, known, &shared, &mut seconds)?;
                    shared.advance(job, bytes, 0)?;
                }
                Ok(seconds)
            },
        );
        let is_of_ratings = |reject: &&Reject| !self.files[reject.file].kind.is_optional();
        let first = self.rejects.kept.iter().find(is_of_ratings);
        let seconds = seconds.map_err(|(_, error)| match (error, first) {
            (Error::TooManyRejects { max, .. }, Some(reject)) => Error::TooManyRejects {
                max,
                path: self.files[reject.file].path.clone(),
                reject: reject.clone(),
            },
            (error, _) => error,
        });
        for seconds in seconds? {
            self.duplicates.count += seconds.left_out.count;
            self.duplicates.left_out.extend(seconds.left_out.left_out);
            for (file, conflicts) in seconds.conflicts {
                self.files[file].rejected += conflicts;
                self.rejects.count += conflicts;
            }
            self.rejects.kept.extend(seconds.kept);
        }
        self.rejects.kept.sort_by_key(|reject| (reject.file, reject.line));
        let mut kept = 0;
        self.rejects.kept.retain(|reject| {
            let is_of_ratings = !self.files[reject.file].kind.is_optional();
            kept += usize::from(is_of_ratings);
            !is_of_ratings || kept <= limits.kept()
        });
        Ok(())
    }

    /// Finds the second ratings of one movie.
    fn compare<'a>(
        &'a self,
        opened: &mut Opened<'a>,
        from: SegmentId,
        segments: &[Segment],
        known: &Known,
        shared: &Shared<'_>,
        seconds: &mut Seconds,
    ) -> Result<(), Error> {
        /// A rating, and where it stands.
        struct Placed {
            rating: Rating,
            segment: SegmentId,
            record: u32,
            line: u64,
        }
        let mut all = Vec::new();
        let records = segments.iter().map(|segment| segment.records as usize).sum();
        all.try_reserve_exact(records).map_err(|_| Error::OutOfMemory)?;
        let Some(movie_id) = segments.first().map(|segment| segment.movie_id) else { return Ok(()) };
        for (segment, at) in segments.iter().zip(from..) {
            let path = &self.files[segment.file as usize].path;
            let Segment { file, offset, bytes, .. } = *segment;
            let mut reader = segment_reader(opened, movie_id, file, offset, bytes)?;
            let mut record = 0;
            while let Some(Located { event, line }) =
                reader.next().map_err(|source| Error::Io { path: path.clone(), source })?
            {
                if let Event::Record(rating) = event {
                    let line = segment.line + line.number - 1;
                    all.push(Placed { rating, segment: at, record, line });
                    record += 1;
                }
            }
            opened.buffer = reader.into_buffer();
            if record != segment.records {
                return Err(Error::Changed { path: path.clone() });
            }
        }
        // Stable: of one customer's ratings, the first in the files stays the first.
        all.sort_by_key(|placed| placed.rating.customer_id);
        let mut known = known.of(movie_id);
        for ratings in all.chunk_by(|a, b| a.rating.customer_id == b.rating.customer_id) {
            let customer_id = ratings[0].rating.customer_id;
            known = &known[known.partition_point(|&rating| (rating >> 32) < u64::from(customer_id))..];
            let loaded = known.first().filter(|&&rating| rating >> 32 == u64::from(customer_id));
            let (first, rest) = match loaded {
                Some(&loaded) => (loaded, ratings),
                None => (ratings[0].rating.pack(), &ratings[1..]),
            };
            for &Placed { rating, segment, record, line } in rest {
                seconds.left_out.add(segment, self.segments[segment].records, record);
                if rating.pack() != first {
                    let file = self.segments[segment].file as usize;
                    let text = format!("{},{},{}", rating.customer_id, rating.rating, rating.date);
                    let Rating { date, rating, .. } = Rating::unpack(first);
                    let reject = Reject { file, line, text, reason: Reason::Conflict { rating, date } };
                    if shared.reject() {
                        let path = self.files[file].path.clone();
                        let max = shared.limits.rejects.unwrap_or(0);
                        return Err(Error::TooManyRejects { max, path, reject });
                    }
                    *seconds.conflicts.entry(file).or_default() += 1;
                    seconds.kept.push(reject);
                }
            }
        }
        // No more are held than may be told of.
        seconds.kept.sort_by_key(|reject| (reject.file, reject.line));
        seconds.kept.truncate(shared.limits.kept());
        Ok(())
    }
}
