//! The second pass over a data set: reads again, movie by movie, the ratings that the first pass found.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use crate::blocks::{BlockReader, Event, Located};
use crate::record::Rating;
use crate::{Error, Survey};

/// The second pass: each movie's ratings, by movie id.
pub struct RatingReader<'a> {
    survey: &'a Survey,
    next: usize,
    open: Option<(u32, File)>,
}

impl<'a> RatingReader<'a> {
    pub(crate) fn new(survey: &'a Survey) -> RatingReader<'a> {
        RatingReader { survey, next: 0, open: None }
    }

    /// Reads the next movie's ratings into `ratings`, sorted by customer; of a customer's several, the first that
    /// was met is kept. Gives the movie's id and how many were left out, or `None` after the last movie.
    ///
    /// [`Error::Changed`] where a file no longer holds what the first pass saw.
    pub fn next(&mut self, ratings: &mut Vec<Rating>) -> Result<Option<(u32, u64)>, Error> {
        let rest = &self.survey.segments[self.next..];
        let Some(first) = rest.first() else { return Ok(None) };
        let segments = rest.iter().take_while(|s| s.movie_id == first.movie_id);
        ratings.clear();
        for segment in segments {
            self.read_segment(*segment, ratings)?;
            self.next += 1;
        }
        let read = ratings.len();
        ratings.sort_by_key(|r| r.customer_id);
        ratings.dedup_by_key(|r| r.customer_id);
        Ok(Some((first.movie_id, (read - ratings.len()) as u64)))
    }

    fn read_segment(&mut self, segment: Segment, ratings: &mut Vec<Rating>) -> Result<(), Error> {
        let surveyed = &self.survey.files[segment.file as usize];
        let path = &surveyed.path;
        let failed = |source| Error::Io { path: path.clone(), source };
        let file = match &mut self.open {
            Some((open, file)) if *open == segment.file => file,
            open => {
                let file = File::open(path).map_err(failed)?;
                let now = file.metadata().map_err(failed)?;
                if (now.len(), now.modified().ok()) != (surveyed.bytes, surveyed.modified) {
                    return Err(Error::Changed { path: path.clone() });
                }
                &mut open.insert((segment.file, file)).1
            }
        };
        file.seek(SeekFrom::Start(segment.offset)).map_err(failed)?;
        let already = ratings.len();
        let mut reader = BlockReader::<_, Rating>::under(segment.movie_id, file.take(segment.bytes));
        while let Some(Located { event, .. }) = reader.next().map_err(failed)? {
            // Lines that were refused in the first pass are listed already.
            let Event::Record(rating) = event else { continue };
            let known = self.survey.customers.rank(rating.customer_id).is_some()
                && self.survey.days.is_some_and(|(first, last)| (first..=last).contains(&rating.date));
            if !known || reader.movie_id() != Some(segment.movie_id) {
                return Err(Error::Changed { path: path.clone() });
            }
            ratings.push(rating);
        }
        if (ratings.len() - already) as u64 != segment.records {
            return Err(Error::Changed { path: path.clone() });
        }
        Ok(())
    }
}

/// Some records of one movie that follow each other in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub movie_id: u32,
    pub file: u32,
    pub offset: u64,
    pub bytes: u64,
    pub records: u64,
}
