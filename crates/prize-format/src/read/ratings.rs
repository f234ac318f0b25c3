//! The second pass over a data set: reads again, a movie at a time, the ratings that the first pass found.

use std::io::Take;

use super::open_files::Opened;
use super::stream::Stream;
use super::text_file::TextFile;
use super::unit::{MovieUnit, Part};
use crate::error::Error;
use crate::parse::blocks::{BlockReader, Event, Located};
use crate::parse::record::Rating;

/// Reads the parts of texts that the first pass found.
pub struct RatingReader<'a> {
    files: &'a [TextFile],
    opened: Opened<'a>,
}

impl<'a> RatingReader<'a> {
    /// Reads from the files of a survey, all of them and in its order. `check` is asked now and then whether to go on.
    pub fn new(files: &'a [TextFile], check: &'a (dyn Fn() -> Result<(), Error> + Sync)) -> RatingReader<'a> {
        RatingReader { files, opened: Opened::new(files, check) }
    }

    /// Reads those of a movie's ratings that are to be loaded, sorted by customer, each customer once.
    ///
    /// [`Error::Changed`] where a file no longer holds what the first pass saw.
    pub fn read(&mut self, movie: &MovieUnit, ratings: &mut Vec<Rating>) -> Result<(), Error> {
        ratings.clear();
        if movie.parts.iter().any(|part| !self.holds(part)) {
            return Err(Error::DamagedUnit);
        }
        self.opened.check()?;
        let wanted = usize::try_from(movie.ratings).map_err(|_| Error::OutOfMemory)?;
        ratings.try_reserve_exact(wanted).map_err(|_| Error::OutOfMemory)?;
        for part in &movie.parts {
            self.each(movie.movie_id, part, |record, rating| {
                // One too many says that the file has changed.
                if !part.is_left_out(record) && ratings.len() < wanted {
                    ratings.push(rating);
                }
            })?;
        }
        ratings.sort_unstable_by_key(|rating| rating.customer_id);
        let is_each_once = ratings.windows(2).all(|pair| pair[0].customer_id < pair[1].customer_id);
        if is_each_once && ratings.len() as u64 == movie.ratings {
            Ok(())
        } else {
            let file = movie.parts.first().map(|part| &self.files[part.file as usize]);
            Err(file.map_or(Error::DamagedUnit, |file| Error::Changed { path: file.path.clone() }))
        }
    }

    /// Whether a part lies within a text: a unit that was kept may not be of these.
    fn holds(&self, part: &Part) -> bool {
        let end = part.offset.checked_add(part.bytes);
        self.files.get(part.file as usize).is_some_and(|file| end.is_some_and(|end| end <= file.bytes))
    }

    /// Hands on each record of a part, with its number there.
    fn each(&mut self, movie_id: u32, part: &Part, mut each: impl FnMut(u32, Rating)) -> Result<(), Error> {
        let mut reader = segment_reader(&mut self.opened, movie_id, part.file, part.offset, part.bytes)?;
        let path = &self.files[part.file as usize].path;
        let changed = || Error::Changed { path: path.clone() };
        let (mut records, mut digest) = (0, 0u64);
        while let Some(Located { event, .. }) =
            reader.next().map_err(|source| Error::Io { path: path.clone(), source })?
        {
            // Lines that were refused in the first pass are listed already.
            let Event::Record(rating) = event else { continue };
            if reader.movie_id() != Some(movie_id) || records == part.records {
                return Err(changed());
            }
            digest = digest.wrapping_add(rating.digest());
            each(records, rating);
            records += 1;
        }
        self.opened.buffer = reader.into_buffer();
        if (records, digest) == (part.records, part.digest) { Ok(()) } else { Err(changed()) }
    }
}

/// The lines of a movie's part of a text. Its buffer is the files' own: give it back at the end.
pub(crate) fn segment_reader<'a>(
    opened: &'a mut Opened<'_>,
    movie_id: u32,
    file: u32,
    offset: u64,
    bytes: u64,
) -> Result<BlockReader<Take<&'a mut Stream>, Rating>, Error> {
    let buffer = std::mem::take(&mut opened.buffer);
    Ok(BlockReader::with(buffer, Some(movie_id), opened.part(file as usize, offset, bytes)?))
}
