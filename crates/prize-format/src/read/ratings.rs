//! The second pass: reads the ratings that the first pass found, movie by movie.

use std::io::Take;

use super::open_files::OpenFiles;
use super::stream::Stream;
use super::text_file::TextFile;
use super::unit::{MovieUnit, UnitSegment};
use crate::error::Error;
use crate::parse::blocks::{BlockReader, Event, LocatedEvent};
use crate::parse::record::Rating;

/// Reads the ratings of movies.
pub struct RatingReader<'a> {
    files: &'a [TextFile],
    open_files: OpenFiles<'a>,
}

impl<'a> RatingReader<'a> {
    /// `files` are all files of a survey, in its order. `check` is called several times a second; its error stops the
    /// reading.
    pub fn new(files: &'a [TextFile], check: &'a (dyn Fn() -> Result<(), Error> + Sync)) -> RatingReader<'a> {
        RatingReader { files, open_files: OpenFiles::new(files, check) }
    }

    /// Reads the ratings of a movie that are to be loaded. They replace what is in `ratings`, sorted by customer, one
    /// rating for each customer.
    ///
    /// [`Error::Changed`] if a file has changed since the first pass.
    pub fn read(&mut self, movie: &MovieUnit, ratings: &mut Vec<Rating>) -> Result<(), Error> {
        ratings.clear();
        if movie.segments.iter().any(|segment| !self.has(segment)) {
            return Err(Error::DamagedUnit);
        }
        self.open_files.check()?;
        let wanted = usize::try_from(movie.ratings).map_err(|_| Error::OutOfMemory)?;
        ratings.try_reserve_exact(wanted).map_err(|_| Error::OutOfMemory)?;
        for segment in &movie.segments {
            self.each_rating(movie.movie_id, segment, |record, rating| {
                // More ratings than wanted are not kept: the file has changed, and the check below fails.
                if !segment.is_left_out(record) && ratings.len() < wanted {
                    ratings.push(rating);
                }
            })?;
        }
        ratings.sort_unstable_by_key(|rating| rating.customer_id);
        let has_each_once = ratings.windows(2).all(|pair| pair[0].customer_id < pair[1].customer_id);
        if has_each_once && ratings.len() as u64 == movie.ratings {
            Ok(())
        } else {
            let file = movie.segments.first().map(|segment| &self.files[segment.file as usize]);
            Err(file.map_or(Error::DamagedUnit, |file| Error::Changed { path: file.path.clone() }))
        }
    }

    /// Whether a segment lies within its text. It may not, if the stored unit belongs to other files.
    fn has(&self, segment: &UnitSegment) -> bool {
        let end = segment.offset.checked_add(segment.bytes);
        self.files.get(segment.file as usize).is_some_and(|file| end.is_some_and(|end| end <= file.bytes))
    }

    /// Calls `use_rating` with each rating of a segment and its index in the segment.
    fn each_rating(
        &mut self,
        movie_id: u32,
        segment: &UnitSegment,
        mut use_rating: impl FnMut(u32, Rating),
    ) -> Result<(), Error> {
        let mut reader =
            segment_reader(&mut self.open_files, movie_id, segment.file, segment.offset, segment.bytes)?;
        let path = &self.files[segment.file as usize].path;
        let changed = || Error::Changed { path: path.clone() };
        let (mut records, mut digest) = (0, 0u64);
        while let Some(LocatedEvent { event, .. }) =
            reader.next().map_err(|source| Error::Io { path: path.clone(), source })?
        {
            // The first pass has listed the lines that cannot be used.
            let Event::Record(rating) = event else { continue };
            if reader.movie_id() != Some(movie_id) || records == segment.records {
                return Err(changed());
            }
            digest = digest.wrapping_add(rating.digest());
            use_rating(records, rating);
            records += 1;
        }
        self.open_files.buffer = reader.into_buffer();
        if (records, digest) == (segment.records, segment.digest) { Ok(()) } else { Err(changed()) }
    }
}

/// Reads a segment: records of one movie that follow each other in a text. The reader uses the buffer of `open_files`:
/// put it back when the segment is read.
pub(crate) fn segment_reader<'a>(
    open_files: &'a mut OpenFiles<'_>,
    movie_id: u32,
    file: u32,
    offset: u64,
    bytes: u64,
) -> Result<BlockReader<Take<&'a mut Stream>, Rating>, Error> {
    let buffer = std::mem::take(&mut open_files.buffer);
    Ok(BlockReader::with_buffer(buffer, Some(movie_id), open_files.part(file as usize, offset, bytes)?))
}
