//! Reads one text in the first pass, and adds what it finds to the job's findings.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read};

use super::findings::Findings;
use super::pass::{Limits, Pass};
use super::peeked::Peeked;
use super::segment::Segment;
use super::thread_state::ThreadState;
use super::titles_text::TitlesText;
use crate::error::Error;
use crate::parse::blocks::{BlockReader, Event, LocatedEvent, refusal_reason};
use crate::parse::content::Content;
use crate::parse::date::Date;
use crate::parse::lines::{LINES_PER_CHECK, LineReader};
use crate::parse::record::{Judged, Probe, Qualifying, Rating, Record};
use crate::parse::reject::{Reason, Reject, excerpt};
use crate::parse::title::Title;
use crate::parse::title_form::TitleForm;
use crate::read::content_check::Checksummed;
use crate::read::text_file::{TextFile, TextKind};

/// The source of a text. It shows what the text is before it is read, and computes its length and checksum.
type TextSource<R> = Checksummed<Peeked<R>>;

/// The source that reads from the disk.
fn disk_source<R>(source: &TextSource<R>) -> &R {
    &source.source.source
}

/// Reads the texts of one job.
pub struct TextReader<'a, 'b> {
    pub job_index: usize,
    pub state: &'a mut ThreadState,
    pub findings: &'a mut Findings,
    pub pass: &'a Pass<'b>,
    /// The bytes of the current text that are reported as progress.
    pub bytes_reported: u64,
    /// Whether the file on disk is gzipped.
    pub is_gzipped: bool,
}

impl TextReader<'_, '_> {
    /// Reads a text from `source`. `bytes_from_disk` returns the number of bytes that the source has read from the
    /// disk.
    pub fn read<R: Read>(
        &mut self,
        file: TextFile,
        source: R,
        bytes_from_disk: impl Fn(&R) -> u64,
    ) -> Result<(), Error> {
        let kind = file.kind;
        let names = file.path.as_os_str().len() + file.member.as_ref().map_or(0, String::len);
        self.pass.take_memory(size_of::<TextFile>() + names)?;
        self.findings.files.push(file);
        let mut source = Checksummed::new(Peeked::new(source));
        let content = source.source.content().map_err(|error| self.failed(error))?;
        if let Some(content) = content.filter(|&content| content != Content::Text) {
            return Err(self.not_text(content));
        }
        let (records, result) = match kind {
            TextKind::Titles => self.read_titles(&mut source, &bytes_from_disk),
            TextKind::Ratings => self.read_ratings(&mut source, &bytes_from_disk),
            TextKind::Probe => {
                self.read_blocks(&mut source, &bytes_from_disk, |reader, movie_id, pair: Probe, _| {
                    reader.push(|findings| &mut findings.probe, (movie_id, pair.customer_id))
                })
            }
            TextKind::Qualifying => {
                self.read_blocks(&mut source, &bytes_from_disk, |reader, movie_id, pair: Qualifying, _| {
                    reader.add_qualifying(movie_id, pair.customer_id, pair.date);
                    Ok(())
                })
            }
            TextKind::Judging => self.read_blocks(&mut source, &bytes_from_disk, |_, _, _: Judged, _| Ok(())),
        };
        if let Some(file) = self.findings.files.last_mut() {
            (file.bytes, file.checksum, file.records) = (source.bytes, source.checksum(), records);
        }
        result?;
        self.report_memory()?;
        self.report_progress(bytes_from_disk(disk_source(&source)), 1)
    }

    /// Reads a titles file. Returns the number of titles, also after an error.
    fn read_titles<R: Read>(
        &mut self,
        source: &mut TextSource<R>,
        bytes_from_disk: &impl Fn(&R) -> u64,
    ) -> (u64, Result<(), Error>) {
        let mut text = TitlesText::default();
        let result = self.read_titles_text(&mut text, source, bytes_from_disk);
        let result = result.and_then(|()| self.parse_titles(&text));
        self.pass.free_memory(text.bytes_reported);
        (self.findings.titles.len() as u64, result)
    }

    /// Reads all lines into memory, because the form of the file is detected from all of them.
    fn read_titles_text<R: Read>(
        &mut self,
        text: &mut TitlesText,
        source: &mut TextSource<R>,
        bytes_from_disk: &impl Fn(&R) -> u64,
    ) -> Result<(), Error> {
        let mut lines = LineReader::new(source);
        loop {
            let Some(line) = lines.next().map_err(|error| self.failed(error))? else {
                return Ok(());
            };
            text.push(&line)?;
            self.report_text_memory(text)?;
            if line.number % LINES_PER_CHECK == 0 || line.too_long {
                let bytes = bytes_from_disk(disk_source(lines.source()));
                self.report_progress(bytes, 0)?;
            }
        }
    }

    fn report_text_memory(&self, text: &mut TitlesText) -> Result<(), Error> {
        let more = text.bytes() - text.bytes_reported;
        text.bytes_reported += more;
        self.pass.take_memory(more)
    }

    fn parse_titles(&mut self, text: &TitlesText) -> Result<(), Error> {
        let watch = self.pass.watch;
        let lines = text.lines().map(|line| line.bytes).take_while(|_| watch.check_stop().is_ok());
        let form = TitleForm::detect(lines);
        self.findings.title_form = form;
        let (mut titles, mut bytes) = (BTreeMap::new(), 0);
        for (index, line) in text.lines().enumerate().skip(usize::from(form.has_header())) {
            let refused_for = match form.parse(line.bytes) {
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
                Err(reason) => Some(refusal_reason(line.bytes, reason)),
            };
            refused_for.map_or(Ok(()), |reason| self.refuse(line.number, line.bytes, reason))?;
            if (index as u64).is_multiple_of(LINES_PER_CHECK) {
                self.pass.take_memory(std::mem::take(&mut bytes))?;
                self.pass.advance(self.job_index, 0, 0)?;
            }
        }
        self.findings.titles.extend(titles.into_values());
        self.pass.take_memory(bytes)?;
        self.pass.advance(self.job_index, 0, 0)
    }

    /// Reads ratings, and records in which segments they are. Returns the number of ratings, also after an error.
    fn read_ratings<R: Read>(
        &mut self,
        source: &mut TextSource<R>,
        bytes_from_disk: &impl Fn(&R) -> u64,
    ) -> (u64, Result<(), Error>) {
        let file = self.findings.files.len() as u32 - 1;
        let segments_before = self.findings.segments.len();
        let result = self.read_blocks(source, bytes_from_disk, |reader, movie_id, rating: Rating, span| {
            let state = &mut *reader.state;
            state.customers.insert(rating.customer_id);
            state.add_day(rating.date);
            let segments = &mut reader.findings.segments;
            match segments[segments_before..].last_mut() {
                Some(last) if last.movie_id == movie_id && last.records < u32::MAX => {
                    last.bytes = span.end - last.offset;
                    last.records += 1;
                    last.digest = last.digest.wrapping_add(rating.digest());
                    last.has_customer_twice |= !state.add_rater(rating.customer_id);
                }
                _ => {
                    state.movies.insert(movie_id);
                    state.clear_raters();
                    state.add_rater(rating.customer_id);
                    let segment = Segment {
                        movie_id,
                        file,
                        offset: span.start,
                        bytes: span.end - span.start,
                        line: span.line,
                        records: 1,
                        digest: rating.digest(),
                        has_customer_twice: false,
                    };
                    reader.push(|findings| &mut findings.segments, segment)?;
                }
            }
            Ok(())
        });
        self.state.clear_raters();
        result
    }

    /// Reads blocks of records, and calls `use_record` with the movie, the record and its place. Returns the number of
    /// records, also after an error.
    fn read_blocks<R: Read, T: Record>(
        &mut self,
        source: &mut TextSource<R>,
        bytes_from_disk: &impl Fn(&R) -> u64,
        mut use_record: impl FnMut(&mut Self, u32, T, RecordSpan) -> Result<(), Error>,
    ) -> (u64, Result<(), Error>) {
        let mut reader = BlockReader::with_buffer(std::mem::take(&mut self.state.buffer), None, source);
        let kind = self.findings.files.last().map(|file| file.kind);
        let keeps_movie_lines = matches!(kind, Some(TextKind::Qualifying | TextKind::Judging));
        let mut records = 0;
        let result = loop {
            let LocatedEvent { event, line } = match reader.next() {
                Ok(Some(located)) => located,
                Ok(None) => break Ok(()),
                Err(error) => break Err(self.failed(error)),
            };
            let (start, line_number, is_long) = (line.offset, line.number, line.too_long);
            let is_blank = matches!(event, Event::Blank);
            let result = match event {
                Event::Refused(reason) => self.refuse(line_number, line.bytes, reason),
                Event::Record(record) => {
                    records += 1;
                    let span = RecordSpan { start, end: reader.offset(), line: line_number };
                    // A record always has a movie: the reader refuses a record without one.
                    reader.movie_id().map_or(Ok(()), |movie_id| use_record(self, movie_id, record, span))
                }
                Event::Movie(movie_id) if keeps_movie_lines => {
                    self.push(|findings| &mut findings.movie_lines.movies, (line_number, movie_id))
                }
                Event::Movie(_) | Event::Blank => Ok(()),
            };
            if keeps_movie_lines && !is_blank {
                self.findings.movie_lines.last_line = line_number;
            }
            if let Err(error) = result {
                break Err(error);
            }
            if line_number % LINES_PER_CHECK == 0 || is_long {
                let bytes = bytes_from_disk(disk_source(reader.source()));
                if let Err(error) = self.report_memory().and_then(|()| self.report_progress(bytes, 0)) {
                    break Err(error);
                }
            }
        };
        self.state.buffer = reader.into_buffer();
        (records, result)
    }

    /// Adds an item to one of the lists of findings, and counts the memory that the list takes.
    fn push<T>(&mut self, list: impl Fn(&mut Findings) -> &mut Vec<T>, item: T) -> Result<(), Error> {
        let list = list(self.findings);
        if list.len() == list.capacity() {
            let capacity_before = list.capacity();
            list.try_reserve(1).map_err(|_| Error::OutOfMemory)?;
            self.pass.take_memory((list.capacity() - capacity_before) * size_of::<T>())?;
        }
        list.push(item);
        Ok(())
    }

    fn add_qualifying(&mut self, movie_id: u32, customer_id: u32, date: Date) {
        self.findings.qualifying += 1;
        self.state.movies.insert(movie_id);
        self.state.customers.insert(customer_id);
        self.state.add_day(date);
    }

    /// Counts a line that cannot be used, and keeps it if it is one of the first. [`Error::TooManyRejects`] if there
    /// are now too many.
    fn refuse(&mut self, line: u64, bytes: &[u8], reason: Reason) -> Result<(), Error> {
        let file = self.findings.files.len() - 1;
        self.findings.files[file].rejected += 1;
        let is_optional = self.findings.files[file].kind.is_optional();
        // At least one is kept, because the error names it. A thread runs its jobs in the order of the files, so the
        // lines that it has kept come before this one.
        let max_kept = match is_optional {
            true => Limits::KEPT_OF_OPTIONAL,
            false => self.pass.limits.rejects_kept().max(1),
        };
        if self.state.rejects_kept < max_kept {
            self.state.rejects_kept += 1;
            self.findings.rejects.push(Reject { file, line, text: excerpt(bytes), reason });
        }
        if !is_optional && self.pass.count_reject() {
            let path = self.findings.files[file].path.clone();
            let reject = Reject { file, line, text: excerpt(bytes), reason };
            return Err(Error::TooManyRejects { max: self.pass.limits.rejects.unwrap_or(0), path, reject });
        }
        Ok(())
    }

    /// Counts the memory that the thread's sets take.
    fn report_memory(&mut self) -> Result<(), Error> {
        let now = self.state.bytes();
        let before = std::mem::replace(&mut self.state.bytes_reported, now);
        self.pass.take_memory(now.saturating_sub(before))
    }

    /// Reports the bytes of the current text that have been read from the disk, and `files` files that have ended.
    fn report_progress(&mut self, bytes: u64, files: u64) -> Result<(), Error> {
        let more = bytes.saturating_sub(self.bytes_reported);
        self.bytes_reported = bytes;
        self.pass.advance(self.job_index, more, files)
    }

    fn not_text(&self, content: Content) -> Error {
        let file = self.findings.files.last();
        let path = file.map(|file| file.path.clone()).unwrap_or_default();
        let member = file.and_then(|file| file.member.clone());
        Error::WrongContent { path, member, is_gzipped: self.is_gzipped, content, wanted: "text" }
    }

    fn failed(&self, source: io::Error) -> Error {
        let path = self.findings.files.last().map(|file| file.path.clone()).unwrap_or_default();
        Error::Io { path, source }
    }
}

/// Where a record is in its text: its line number, and the offsets of its line and of the next one.
struct RecordSpan {
    start: u64,
    end: u64,
    line: u64,
}
