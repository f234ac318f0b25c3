//! Reads the probe and the qualifying set.

use std::io::Take;

use super::content_check::Checksummed;
use super::open_files::Opened;
use super::stream::Stream;
use super::text_file::{Kind, TextFile};
use crate::error::Error;
use crate::parse::blocks::{BlockReader, Event, Located};
use crate::parse::date::Date;
use crate::parse::record::{Judged, Probe, Qualifying, Record, Subset};

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
