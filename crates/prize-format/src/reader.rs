//! The second pass over a data set: reads again, a movie at a time, the ratings that the first pass found.

use std::io::Take;

use crate::blocks::{BlockReader, Event, Located};
use crate::record::{Judged, Probe, Qualifying, Rating, Record, Subset};
use crate::source::{Checksummed, Opened, Stream};
use crate::unit::{MovieUnit, Part};
use crate::{Date, Error, Kind, TextFile};

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

/// A pair of the qualifying set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QualifyingPair {
    /// The movie.
    pub movie_id: u32,
    /// The customer.
    pub customer_id: u32,
    /// When it was rated.
    pub date: Date,
    /// The withheld rating, where `judging.txt` tells it.
    pub rating: Option<u8>,
    /// Which half of the set it is in, where `judging.txt` tells that.
    pub subset: Option<Subset>,
}

/// Reads the qualifying set and, line by line beside it, the answers to it. Gives the pairs sorted by movie and customer,
/// each once: of several, the first is kept, and the first answer. `check` is asked now and then whether to go on.
pub fn read_qualifying(
    files: &[TextFile],
    check: &(dyn Fn() -> Result<(), Error> + Sync),
) -> Result<Vec<QualifyingPair>, Error> {
    let (mut one, mut other) = (Opened::new(files, check), Opened::new(files, check));
    let mut pairs = Vec::new();
    let Some(mut questions) = Text::<Qualifying>::open(files, Kind::Qualifying, &mut one)? else {
        return Ok(pairs);
    };
    let mut answers = Text::<Judged>::open(files, Kind::Judging, &mut other)?;
    pairs.try_reserve(questions.file.records as usize).map_err(|_| Error::OutOfMemory)?;
    while let Some(event) = questions.next()? {
        // The first pass has seen that they are in step.
        let answer = match &mut answers {
            Some(answers) => answers.next()?,
            None => None,
        };
        if let (Event::Record(Qualifying { customer_id, date }), Some(movie_id)) =
            (event, questions.movie_id())
        {
            let (rating, subset) = match answer {
                Some(Event::Record(Judged { rating, subset })) => (Some(rating), Some(subset)),
                _ => (None, None),
            };
            pairs.push(QualifyingPair { movie_id, customer_id, date, rating, subset });
        }
    }
    questions.finish()?;
    answers.map_or(Ok(()), Text::finish)?;
    pairs.sort_by_key(|pair| (pair.movie_id, pair.customer_id));
    pairs.dedup_by(|later, first| {
        let is_same = (later.movie_id, later.customer_id) == (first.movie_id, first.customer_id);
        if is_same && first.rating.is_none() {
            (first.rating, first.subset) = (later.rating, later.subset);
        }
        is_same
    });
    Ok(pairs)
}

/// Reads the probe: `(movie, customer)`, sorted, each pair once.
pub fn read_probe(
    files: &[TextFile],
    check: &(dyn Fn() -> Result<(), Error> + Sync),
) -> Result<Vec<(u32, u32)>, Error> {
    let mut opened = Opened::new(files, check);
    let mut pairs = Vec::new();
    let Some(mut probe) = Text::<Probe>::open(files, Kind::Probe, &mut opened)? else { return Ok(pairs) };
    pairs.try_reserve(probe.file.records as usize).map_err(|_| Error::OutOfMemory)?;
    while let Some(event) = probe.next()? {
        if let (Event::Record(pair), Some(movie_id)) = (event, probe.movie_id()) {
            pairs.push((movie_id, pair.customer_id));
        }
    }
    probe.finish()?;
    pairs.sort_unstable();
    pairs.dedup();
    Ok(pairs)
}

/// A text of the first pass that is read again as a whole.
struct Text<'a, R> {
    file: &'a TextFile,
    check: &'a (dyn Fn() -> Result<(), Error> + Sync),
    reader: BlockReader<Checksummed<Take<&'a mut Stream>>, R>,
    records: u64,
}

impl<'a, R: Record> Text<'a, R> {
    /// The one of this kind, if there is one.
    fn open(
        files: &'a [TextFile],
        kind: Kind,
        opened: &'a mut Opened<'_>,
    ) -> Result<Option<Text<'a, R>>, Error> {
        let Some(at) = files.iter().position(|file| file.kind == kind) else { return Ok(None) };
        let (file, check) = (&files[at], opened.check);
        let reader = BlockReader::new(Checksummed::new(opened.part(at, 0, file.bytes)?));
        Ok(Some(Text { file, check, reader, records: 0 }))
    }

    /// What the next line says; [`Error::Changed`] where there are more records than there were.
    fn next(&mut self) -> Result<Option<Event<R>>, Error> {
        let failed = |source| Error::Io { path: self.file.path.clone(), source };
        let Some(Located { event, line }) = self.reader.next().map_err(failed)? else { return Ok(None) };
        if line.number % (64 * 1024) == 0 {
            (self.check)()?;
        }
        if let Event::Record(_) = event {
            self.records += 1;
            if self.records > self.file.records {
                return Err(Error::Changed { path: self.file.path.clone() });
            }
        }
        Ok(Some(event))
    }

    /// The movie that the last line belongs to.
    fn movie_id(&self) -> Option<u32> {
        self.reader.movie_id()
    }

    /// Reads what is left; [`Error::Changed`] where all of it is not what it was.
    fn finish(mut self) -> Result<(), Error> {
        while self.next()?.is_some() {}
        let checksum = self.reader.source().hasher.clone().finalize();
        if (self.records, checksum) == (self.file.records, self.file.checksum) {
            Ok(())
        } else {
            Err(Error::Changed { path: self.file.path.clone() })
        }
    }
}
