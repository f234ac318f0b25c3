//! Reads the pairs of the probe and of the qualifying set.

use std::io::Take;

use super::content_check::Checksummed;
use super::open_files::OpenFiles;
use super::stream::Stream;
use super::text_file::{TextFile, TextKind};
use crate::error::Error;
use crate::parse::blocks::{BlockReader, Event, LocatedEvent};
use crate::parse::date::Date;
use crate::parse::lines::LINES_PER_CHECK;
use crate::parse::record::{Judged, Probe, Qualifying, Record, Subset};

/// A pair of the qualifying set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QualifyingPair {
    /// The movie.
    pub movie_id: u32,
    /// The customer.
    pub customer_id: u32,
    /// The day of the withheld rating.
    pub date: Date,
    /// Its number among the pairs of `qualifying.txt`, counted from 1 in the order of the lines.
    pub number: u32,
    /// The withheld rating, if `judging.txt` has it.
    pub rating: Option<u8>,
    /// The half of the qualifying set that the pair is in, if `judging.txt` has it.
    pub subset: Option<Subset>,
}

/// Reads the qualifying set and, at the same time, the lines of `judging.txt`, each of which answers the qualifying
/// line with the same line number.
///
/// Returns each pair once, sorted by movie and customer. If a pair is there several times, the first date and the first
/// answer count. `check` is called several times a second; its error stops the reading.
pub fn read_qualifying(
    files: &[TextFile],
    check: &(dyn Fn() -> Result<(), Error> + Sync),
) -> Result<Vec<QualifyingPair>, Error> {
    let mut question_files = OpenFiles::new(files, check);
    let mut answer_files = OpenFiles::new(files, check);
    let mut pairs = Vec::new();
    let Some(mut questions) =
        WholeText::<Qualifying>::open(files, TextKind::Qualifying, &mut question_files)?
    else {
        return Ok(pairs);
    };
    let mut answers = WholeText::<Judged>::open(files, TextKind::Judging, &mut answer_files)?;
    pairs.try_reserve(questions.file.records as usize).map_err(|_| Error::OutOfMemory)?;
    while let Some(event) = questions.next()? {
        // The first pass has checked that the lines of the two files match.
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
            let number = questions.records as u32;
            pairs.push(QualifyingPair { movie_id, customer_id, date, number, rating, subset });
        }
    }
    questions.finish()?;
    answers.map_or(Ok(()), WholeText::finish)?;
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

/// Reads the probe. Returns each pair `(movie, customer)` once, sorted. `check` is called several times a second; its
/// error stops the reading.
pub fn read_probe(
    files: &[TextFile],
    check: &(dyn Fn() -> Result<(), Error> + Sync),
) -> Result<Vec<(u32, u32)>, Error> {
    let mut open_files = OpenFiles::new(files, check);
    let mut pairs = Vec::new();
    let Some(mut probe) = WholeText::<Probe>::open(files, TextKind::Probe, &mut open_files)? else {
        return Ok(pairs);
    };
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

/// A text that the first pass has read and that is read again as a whole.
struct WholeText<'a, R> {
    file: &'a TextFile,
    check: &'a (dyn Fn() -> Result<(), Error> + Sync),
    reader: BlockReader<Checksummed<Take<&'a mut Stream>>, R>,
    records: u64,
}

impl<'a, R: Record> WholeText<'a, R> {
    /// Opens the text of this kind, if there is one.
    fn open(
        files: &'a [TextFile],
        kind: TextKind,
        open_files: &'a mut OpenFiles<'_>,
    ) -> Result<Option<WholeText<'a, R>>, Error> {
        let Some(index) = files.iter().position(|file| file.kind == kind) else { return Ok(None) };
        let (file, check) = (&files[index], open_files.check);
        let reader = BlockReader::new(Checksummed::new(open_files.part(index, 0, file.bytes)?));
        Ok(Some(WholeText { file, check, reader, records: 0 }))
    }

    /// What the next line says. [`Error::Changed`] if there are more records than in the first pass.
    fn next(&mut self) -> Result<Option<Event<R>>, Error> {
        let failed = |source| Error::Io { path: self.file.path.clone(), source };
        let Some(LocatedEvent { event, line }) = self.reader.next().map_err(failed)? else { return Ok(None) };
        if line.number % LINES_PER_CHECK == 0 {
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

    /// The movie of the last record.
    fn movie_id(&self) -> Option<u32> {
        self.reader.movie_id()
    }

    /// Reads the rest of the text. [`Error::Changed`] if the text differs from that of the first pass.
    fn finish(mut self) -> Result<(), Error> {
        while self.next()?.is_some() {}
        let checksum = self.reader.source().checksum();
        if (self.records, checksum) == (self.file.records, self.file.checksum) {
            Ok(())
        } else {
            Err(Error::Changed { path: self.file.path.clone() })
        }
    }
}
