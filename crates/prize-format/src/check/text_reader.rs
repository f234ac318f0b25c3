//! Reads a text in the first pass.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read};

use super::found::Found;
use super::pass::{Limits, Shared};
use super::peeked::Peeked;
use super::seen::Sets;
use super::segment::Segment;
use super::titles_text::TitlesText;
use crate::error::Error;
use crate::parse::blocks::{BlockReader, Event, Located, refusal};
use crate::parse::content::Content;
use crate::parse::date::Date;
use crate::parse::lines::LineReader;
use crate::parse::record::{Judged, Probe, Qualifying, Rating, Record};
use crate::parse::reject::{Reason, Reject, excerpt};
use crate::parse::title::Title;
use crate::parse::title_form::TitleForm;
use crate::read::content_check::Checksummed;
use crate::read::text_file::{Kind, TextFile};

/// Lines between two looks at whether to go on.
const LINES_A_TURN: u64 = 16 * 1024;

/// Reads texts for one job.
pub struct Reader<'a, 'b> {
    pub number: usize,
    pub sets: &'a mut Sets,
    pub found: &'a mut Found,
    pub shared: &'a Shared<'b>,
    /// Bytes of the text under way that were told of.
    pub told: u64,
    /// Whether the file on disk is gzipped.
    pub is_packed: bool,
}

impl Reader<'_, '_> {
    pub fn read<R: Read>(
        &mut self,
        file: TextFile,
        source: R,
        read: impl Fn(&R) -> u64,
    ) -> Result<(), Error> {
        let kind = file.kind;
        let names = file.path.as_os_str().len() + file.member.as_ref().map_or(0, String::len);
        self.shared.take_memory(size_of::<TextFile>() + names)?;
        self.found.files.push(file);
        let mut source = Checksummed::new(Peeked::new(source));
        let content = source.source.content().map_err(|error| self.failed(error))?;
        if let Some(content) = content.filter(|&content| content != Content::Text) {
            return Err(self.no_text(content));
        }
        let (records, result) = match kind {
            Kind::Titles => self.titles(&mut source, &read),
            Kind::Ratings => self.ratings(&mut source, &read),
            Kind::Probe => self.blocks(&mut source, &read, |reader, movie_id, pair: Probe, _| {
                reader.list(|found| &mut found.probe, (movie_id, pair.customer_id))
            }),
            Kind::Qualifying => self.blocks(&mut source, &read, |reader, movie_id, pair: Qualifying, _| {
                reader.see_pair(movie_id, pair.customer_id, pair.date);
                Ok(())
            }),
            Kind::Judging => self.blocks(&mut source, &read, |_, _, _: Judged, _| Ok(())),
        };
        if let Some(file) = self.found.files.last_mut() {
            (file.bytes, file.checksum, file.records) = (source.bytes, source.hasher.finalize(), records);
        }
        result?;
        self.account()?;
        self.tell(read(&source.source.source), 1)
    }

    fn titles<R: Read>(
        &mut self,
        source: &mut Checksummed<Peeked<R>>,
        read: &impl Fn(&R) -> u64,
    ) -> (u64, Result<(), Error>) {
        let mut text = TitlesText::default();
        let result = self.titles_text(&mut text, source, read);
        let result = result.and_then(|()| self.parse_titles(&text));
        self.shared.free_memory(text.accounted);
        (self.found.titles.len() as u64, result)
    }

    /// Reads all lines before it makes sense of any.
    fn titles_text<R: Read>(
        &mut self,
        text: &mut TitlesText,
        source: &mut Checksummed<Peeked<R>>,
        read: &impl Fn(&R) -> u64,
    ) -> Result<(), Error> {
        let mut lines = LineReader::new(source);
        loop {
            let Some(line) = lines.next().map_err(|error| self.failed(error))? else {
                return Ok(());
            };
            text.push(&line)?;
            self.account_text(text)?;
            if line.number % LINES_A_TURN == 0 || line.too_long {
                let seen = read(&lines.source().source.source);
                self.tell(seen, 0)?;
            }
        }
    }

    fn account_text(&self, text: &mut TitlesText) -> Result<(), Error> {
        let more = text.bytes() - text.accounted;
        text.accounted += more;
        self.shared.take_memory(more)
    }

    fn parse_titles(&mut self, text: &TitlesText) -> Result<(), Error> {
        let watch = self.shared.watch;
        let form = TitleForm::of(text.lines().map(|line| line.bytes).take_while(|_| watch.go_on().is_ok()));
        self.found.form = form;
        let (mut titles, mut bytes) = (BTreeMap::new(), 0);
        for (at, line) in text.lines().enumerate().skip(usize::from(form.has_header())) {
            let refused = match form.parse(line.bytes) {
                _ if line.too_long => Some(Reason::TooLong),
                Ok(title) => match titles.entry(title.movie_id) {
                    Entry::Occupied(_) => Some(Reason::TitleTwice),
                    Entry::Vacant(free) => {
                        bytes += size_of::<Title>() + title.title.as_ref().map_or(0, String::len);
                        free.insert(title);
                        None
                    }
                },
                Err(reason @ (Reason::TitleEncoding | Reason::TitleControl(_))) => Some(reason),
                Err(reason) => Some(refusal(line.bytes, reason)),
            };
            refused.map_or(Ok(()), |reason| self.refuse(line.number, line.bytes, reason))?;
            if (at as u64).is_multiple_of(LINES_A_TURN) {
                self.shared.take_memory(std::mem::take(&mut bytes))?;
                self.shared.advance(self.number, 0, 0)?;
            }
        }
        self.found.titles.extend(titles.into_values());
        self.shared.take_memory(bytes)?;
        self.shared.advance(self.number, 0, 0)
    }

    fn ratings<R: Read>(
        &mut self,
        source: &mut Checksummed<Peeked<R>>,
        read: &impl Fn(&R) -> u64,
    ) -> (u64, Result<(), Error>) {
        let file = self.found.files.len() as u32 - 1;
        let from = self.found.segments.len();
        let result = self.blocks(source, read, |reader, movie_id, rating: Rating, place| {
            let sets = &mut *reader.sets;
            sets.customers.insert(rating.customer_id);
            sets.see_day(rating.date);
            let segments = &mut reader.found.segments;
            match segments[from..].last_mut() {
                Some(last) if last.movie_id == movie_id && last.records < u32::MAX => {
                    last.bytes = place.end - last.offset;
                    last.records += 1;
                    last.digest = last.digest.wrapping_add(rating.digest());
                    last.is_doubtful |= !sets.is_new_rater(rating.customer_id);
                }
                _ => {
                    sets.movies.insert(movie_id);
                    sets.forget_raters();
                    sets.is_new_rater(rating.customer_id);
                    let (offset, bytes, line) = (place.start, place.end - place.start, place.line);
                    let is_doubtful = false;
                    let digest = rating.digest();
                    let segment =
                        Segment { movie_id, file, offset, bytes, line, records: 1, digest, is_doubtful };
                    reader.list(|found| &mut found.segments, segment)?;
                }
            }
            Ok(())
        });
        self.sets.forget_raters();
        result
    }

    fn blocks<R: Read, T: Record>(
        &mut self,
        source: &mut Checksummed<Peeked<R>>,
        read: &impl Fn(&R) -> u64,
        mut each: impl FnMut(&mut Self, u32, T, Place) -> Result<(), Error>,
    ) -> (u64, Result<(), Error>) {
        let mut reader = BlockReader::with(std::mem::take(&mut self.sets.buffer), None, source);
        let kind = self.found.files.last().map(|file| file.kind);
        let has_steps = matches!(kind, Some(Kind::Qualifying | Kind::Judging));
        let mut records = 0;
        let result = loop {
            let Located { event, line } = match reader.next() {
                Ok(Some(located)) => located,
                Ok(None) => break Ok(()),
                Err(error) => break Err(self.failed(error)),
            };
            let (start, number, is_long) = (line.offset, line.number, line.too_long);
            let is_blank = matches!(event, Event::Blank);
            let result = match event {
                Event::Refused(reason) => self.refuse(number, line.bytes, reason),
                Event::Record(record) => {
                    records += 1;
                    let place = Place { start, end: reader.offset(), line: number };
                    // A record is only ever told of under a movie.
                    reader.movie_id().map_or(Ok(()), |movie_id| each(self, movie_id, record, place))
                }
                Event::Movie(movie_id) if has_steps => {
                    self.list(|found| &mut found.steps.movies, (number, movie_id))
                }
                Event::Movie(_) | Event::Blank => Ok(()),
            };
            if has_steps && !is_blank {
                self.found.steps.last = number;
            }
            if let Err(error) = result {
                break Err(error);
            }
            if number % LINES_A_TURN == 0 || is_long {
                let seen = read(&reader.source().source.source);
                if let Err(error) = self.account().and_then(|()| self.tell(seen, 0)) {
                    break Err(error);
                }
            }
        };
        self.sets.buffer = reader.into_buffer();
        (records, result)
    }

    fn list<T>(&mut self, list: impl Fn(&mut Found) -> &mut Vec<T>, item: T) -> Result<(), Error> {
        let list = list(self.found);
        if list.len() == list.capacity() {
            let before = list.capacity();
            list.try_reserve(1).map_err(|_| Error::OutOfMemory)?;
            self.shared.take_memory((list.capacity() - before) * size_of::<T>())?;
        }
        list.push(item);
        Ok(())
    }

    fn see_pair(&mut self, movie_id: u32, customer_id: u32, date: Date) {
        self.found.qualifying += 1;
        self.sets.movies.insert(movie_id);
        self.sets.customers.insert(customer_id);
        self.sets.see_day(date);
    }

    fn refuse(&mut self, line: u64, bytes: &[u8], reason: Reason) -> Result<(), Error> {
        let file = self.found.files.len() - 1;
        self.found.files[file].rejected += 1;
        let is_optional = self.found.files[file].kind.is_optional();
        // One is kept to be told of where none is allowed. A thread's jobs stand in the order of the files: what it has
        // kept comes before this one.
        let kept = if is_optional { Limits::KEPT_OF_OPTIONAL } else { self.shared.limits.kept().max(1) };
        if self.sets.rejects < kept {
            self.sets.rejects += 1;
            self.found.rejects.push(Reject { file, line, text: excerpt(bytes), reason });
        }
        if !is_optional && self.shared.reject() {
            let path = self.found.files[file].path.clone();
            let reject = Reject { file, line, text: excerpt(bytes), reason };
            return Err(Error::TooManyRejects { max: self.shared.limits.rejects.unwrap_or(0), path, reject });
        }
        Ok(())
    }

    fn account(&mut self) -> Result<(), Error> {
        let now = self.sets.customers.bytes() + self.sets.movies.bytes() + self.sets.raters.bytes();
        let before = std::mem::replace(&mut self.sets.accounted, now);
        self.shared.take_memory(now.saturating_sub(before))
    }

    /// Tells that so many bytes of the text have been read from the disk, and whether it has ended.
    fn tell(&mut self, read: u64, ended: u64) -> Result<(), Error> {
        let more = read.saturating_sub(self.told);
        self.told = read;
        self.shared.advance(self.number, more, ended)
    }

    fn no_text(&self, content: Content) -> Error {
        let file = self.found.files.last();
        let path = file.map(|file| file.path.clone()).unwrap_or_default();
        let member = file.and_then(|file| file.member.clone());
        Error::NotAs { path, member, is_gzipped: self.is_packed, content, wanted: "text" }
    }

    fn failed(&self, source: io::Error) -> Error {
        let path = self.found.files.last().map(|file| file.path.clone()).unwrap_or_default();
        Error::Io { path, source }
    }
}

/// Where a record stands in its text.
struct Place {
    start: u64,
    end: u64,
    line: u64,
}
