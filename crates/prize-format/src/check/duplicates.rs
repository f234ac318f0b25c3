//! Between the passes: finds the ratings that are not to be loaded because the customer has rated the movie before,
//! either in the files or in the ratings that are loaded already. Only movies that may have such ratings are read
//! again.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::left_out::LeftOut;
use super::pass::{Limits, Pass, Watch};
use super::segment::{Segment, SegmentId};
use super::survey::Survey;
use crate::error::Error;
use crate::parse::blocks::{Event, LocatedEvent};
use crate::parse::record::Rating;
use crate::parse::reject::{Reason, Reject};
use crate::read::open_files::OpenFiles;
use crate::read::ratings::segment_reader;

/// The ratings that are in the warehouse already, by movie.
#[derive(Default)]
pub struct LoadedRatings(HashMap<u32, Vec<u64>>);

impl LoadedRatings {
    /// Reserves memory for more ratings of a movie.
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

    /// Sorts each movie's ratings by customer.
    fn sort(&mut self) {
        self.0.values_mut().for_each(|ratings| ratings.sort_unstable());
    }

    /// A movie's ratings, packed.
    fn of(&self, movie_id: u32) -> &[u64] {
        self.0.get(&movie_id).map_or(&[], Vec::as_slice)
    }
}

/// What one job finds: the repeated ratings of its movies.
#[derive(Default)]
struct Repeated {
    left_out: LeftOut,
    /// The number of conflicts in each file: repeated ratings that differ from the first rating.
    conflicts: HashMap<usize, u64>,
    /// The first of these conflicts.
    rejects: Vec<Reject>,
}

/// A rating in the files.
struct LocatedRating {
    rating: Rating,
    segment: SegmentId,
    /// Its index in the segment.
    record: u32,
    /// Its line number in the file.
    line: u64,
}

/// A job reads movies with about this many ratings together.
const RATINGS_PER_JOB: u64 = 400_000;

impl Survey {
    /// Leaves out repeated ratings of the movies with ids in `movies`. If a customer has rated a movie several times,
    /// the first rating counts: the one in `loaded`, or else the first one in the files. A repeated rating that differs
    /// from the first one is also a reject. Call this once for each movie, before [`Survey::units`].
    pub fn leave_out_duplicates(
        &mut self,
        loaded: &mut LoadedRatings,
        movies: RangeInclusive<u32>,
        limits: Limits,
        watch: &Watch<'_>,
    ) -> Result<(), Error> {
        loaded.sort();
        let loaded = &*loaded;
        let jobs = self.duplicate_jobs(loaded, movies);
        let total_bytes = jobs.iter().flatten().flat_map(|(_, segments)| *segments);
        let pass = Pass::new(limits, watch, None, total_bytes.map(|segment| segment.bytes).sum());
        let rating_files = self.files.iter().filter(|file| !file.kind.is_optional());
        pass.count_earlier_rejects(rating_files.map(|file| file.rejected).sum());
        let check = || watch.check_stop();
        let (_, repeated) = pass.run_jobs(
            jobs.len(),
            || OpenFiles::new(&self.files, &check),
            |open_files, job_index| {
                let mut repeated = Repeated::default();
                for (first_id, segments) in &jobs[job_index] {
                    let bytes = segments.iter().map(|segment| segment.bytes).sum();
                    let ratings = self.ratings_of(open_files, *first_id, segments)?;
                    let loaded = loaded.of(segments[0].movie_id);
                    self.find_repeated(ratings, loaded, &pass, &mut repeated)?;
                    pass.advance(job_index, bytes, 0)?;
                }
                Ok(repeated)
            },
        );
        let is_of_ratings = |reject: &&Reject| !self.files[reject.file].kind.is_optional();
        let first_reject = self.rejects.kept.iter().find(is_of_ratings);
        let repeated = repeated.map_err(|error| match (error, first_reject) {
            (Error::TooManyRejects { max, .. }, Some(reject)) => Error::TooManyRejects {
                max,
                path: self.files[reject.file].path.clone(),
                reject: reject.clone(),
            },
            (error, _) => error,
        });
        for repeated in repeated? {
            self.left_out.extend(repeated.left_out);
            for (file, conflicts) in repeated.conflicts {
                self.files[file].rejected += conflicts;
                self.rejects.count += conflicts;
            }
            self.rejects.kept.extend(repeated.rejects);
        }
        self.rejects.kept.sort_by_key(|reject| (reject.file, reject.line));
        let mut rejects_kept = 0;
        self.rejects.kept.retain(|reject| {
            let is_of_ratings = !self.files[reject.file].kind.is_optional();
            rejects_kept += usize::from(is_of_ratings);
            !is_of_ratings || rejects_kept <= limits.rejects_kept()
        });
        Ok(())
    }

    /// The movies that may have repeated ratings, in the order of the files, divided into jobs. Each movie is given by
    /// its segments and the id of the first of them.
    fn duplicate_jobs(
        &self,
        loaded: &LoadedRatings,
        movies: RangeInclusive<u32>,
    ) -> Vec<Vec<(SegmentId, &[Segment])>> {
        let mut suspects = self
            .by_movie()
            .filter(|(_, segments)| movies.contains(&segments[0].movie_id))
            .filter(|(_, segments)| {
                segments.len() > 1
                    || segments[0].has_customer_twice
                    || !loaded.of(segments[0].movie_id).is_empty()
            })
            .collect::<Vec<_>>();
        suspects.sort_by_key(|(_, segments)| (segments[0].file, segments[0].offset));
        let (mut jobs, mut ratings_in_last) = (Vec::<Vec<_>>::new(), RATINGS_PER_JOB);
        for (first_id, segments) in suspects {
            if ratings_in_last >= RATINGS_PER_JOB {
                jobs.push(Vec::new());
                ratings_in_last = 0;
            }
            if let Some(job) = jobs.last_mut() {
                ratings_in_last += segments.iter().map(|segment| u64::from(segment.records)).sum::<u64>();
                job.push((first_id, segments));
            }
        }
        jobs
    }

    /// Reads the ratings of one movie, in the order of the files.
    fn ratings_of<'a>(
        &'a self,
        open_files: &mut OpenFiles<'a>,
        first_id: SegmentId,
        segments: &[Segment],
    ) -> Result<Vec<LocatedRating>, Error> {
        let mut ratings = Vec::new();
        let records = segments.iter().map(|segment| segment.records as usize).sum();
        ratings.try_reserve_exact(records).map_err(|_| Error::OutOfMemory)?;
        for (segment, id) in segments.iter().zip(first_id..) {
            let path = &self.files[segment.file as usize].path;
            let Segment { movie_id, file, offset, bytes, .. } = *segment;
            let mut reader = segment_reader(open_files, movie_id, file, offset, bytes)?;
            let mut record = 0;
            while let Some(LocatedEvent { event, line }) =
                reader.next().map_err(|source| Error::Io { path: path.clone(), source })?
            {
                if let Event::Record(rating) = event {
                    let line = segment.line + line.number - 1;
                    ratings.push(LocatedRating { rating, segment: id, record, line });
                    record += 1;
                }
            }
            open_files.buffer = reader.into_buffer();
            if record != segment.records {
                return Err(Error::Changed { path: path.clone() });
            }
        }
        Ok(ratings)
    }

    /// Finds the repeated ratings of one movie. `loaded` are its ratings in the warehouse, packed and sorted.
    fn find_repeated(
        &self,
        mut ratings: Vec<LocatedRating>,
        mut loaded: &[u64],
        pass: &Pass<'_>,
        repeated: &mut Repeated,
    ) -> Result<(), Error> {
        // The sort is stable, so the ratings of one customer stay in the order of the files.
        ratings.sort_by_key(|located| located.rating.customer_id);
        for same_customer in ratings.chunk_by(|a, b| a.rating.customer_id == b.rating.customer_id) {
            let customer_id = same_customer[0].rating.customer_id;
            loaded = &loaded[loaded.partition_point(|&rating| (rating >> 32) < u64::from(customer_id))..];
            let in_warehouse = loaded.first().filter(|&&rating| rating >> 32 == u64::from(customer_id));
            let (first, rest) = match in_warehouse {
                Some(&packed) => (packed, same_customer),
                None => (same_customer[0].rating.pack(), &same_customer[1..]),
            };
            for &LocatedRating { rating, segment, record, line } in rest {
                repeated.left_out.add(segment, self.segments[segment].records, record);
                if rating.pack() != first {
                    let file = self.segments[segment].file as usize;
                    let text = format!("{},{},{}", rating.customer_id, rating.rating, rating.date);
                    let Rating { date, rating, .. } = Rating::unpack(first);
                    let reject = Reject { file, line, text, reason: Reason::Conflict { rating, date } };
                    if pass.count_reject() {
                        let path = self.files[file].path.clone();
                        let max = pass.limits.rejects.unwrap_or(0);
                        return Err(Error::TooManyRejects { max, path, reject });
                    }
                    *repeated.conflicts.entry(file).or_default() += 1;
                    repeated.rejects.push(reject);
                }
            }
        }
        // Only so many rejects are kept in the end, so a job need not hold more.
        repeated.rejects.sort_by_key(|reject| (reject.file, reject.line));
        repeated.rejects.truncate(pass.limits.rejects_kept());
        Ok(())
    }
}
