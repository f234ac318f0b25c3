//! One job of the first pass: reads a file, or some members of an archive.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::{self, Member, Rest};
use crate::blocks::{BlockReader, Event, Located, refusal};
use crate::folder;
use crate::ids::IdSet;
use crate::lines::{Buffer, LineReader};
use crate::record::{Judged, Probe, Qualifying, Rating, Reason, Record};
use crate::source::{Checksummed, Peeked, Stream, begins_with, check_below, is_gzipped, open_plain};
use crate::steps::Steps;
use crate::survey::{Kind, Limits, Reject, Shared, TextFile, Watch};
use crate::titles_text::TitlesText;
use crate::unit::Segment;
use crate::{Content, Date, Error, Folder, Notice, Title, TitleForm};

/// What one thread does without asking another.
pub enum Job {
    /// Reads a text.
    Text(Kind, PathBuf),
    /// Reads an archive that is packed, and so from its beginning to its end.
    Archive(PathBuf),
    /// Reads some members of an archive that is not packed.
    Members(PathBuf, Vec<Member>),
}

/// What a thread has seen in all of its jobs.
#[derive(Default)]
pub struct Sets {
    pub customers: IdSet,
    pub movies: IdSet,
    pub days: Option<(Date, Date)>,
    /// The customers of the movie under way, to notice those who rate it twice.
    raters: IdSet,
    rater_list: Vec<u32>,
    /// Lent to the reader of each text.
    buffer: Buffer,
    /// Rejects kept.
    rejects: usize,
    /// Bytes accounted for.
    accounted: usize,
}

/// What one job found. Places of files are counted within the job.
#[derive(Default)]
pub struct Found {
    pub files: Vec<TextFile>,
    pub segments: Vec<Segment>,
    pub rejects: Vec<Reject>,
    pub titles: Vec<Title>,
    /// How the titles' file is written.
    pub form: TitleForm,
    pub probe: Vec<(u32, u32)>,
    pub qualifying: u64,
    /// Of the qualifying set or the answers to it.
    pub steps: Steps,
    pub notices: Vec<Notice>,
    /// Whether a file whose name ends in `.gz` is not packed.
    pub is_misnamed: bool,
}

/// Lines between two looks at whether to go on.
const LINES_A_TURN: u64 = 16 * 1024;

/// Members of an archive that are one job.
const MEMBERS_A_JOB: usize = 64;

/// What reading a folder is made of.
pub struct Jobs {
    pub jobs: Vec<Job>,
    /// How many bytes the files have.
    pub total: u64,
    pub notices: Vec<Notice>,
}

/// The jobs that reading a folder is made of.
pub fn jobs(folder: &Folder, watch: &Watch<'_>) -> Result<Jobs, Error> {
    let (mut jobs, mut total, mut notices) = (Vec::new(), 0, Vec::new());
    let mut add = |kind, path: &PathBuf| {
        total += fs::metadata(path).map_or(0, |meta| meta.len());
        match folder::is_archive(path) {
            true => match members(path, folder.below.as_deref(), watch)? {
                None => jobs.push(Job::Archive(path.clone())),
                Some((members, rest)) => {
                    notices.extend(not_read(path, rest));
                    let jobs_of = |some: &[Member]| Job::Members(path.clone(), some.to_vec());
                    jobs.extend(members.chunks(MEMBERS_A_JOB).map(jobs_of));
                }
            },
            false => jobs.push(Job::Text(kind, path.clone())),
        }
        Ok::<_, Error>(())
    };
    folder.titles.iter().try_for_each(|path| add(Kind::Titles, path))?;
    folder.ratings.iter().try_for_each(|path| add(Kind::Ratings, path))?;
    folder.probe.iter().try_for_each(|path| add(Kind::Probe, path))?;
    folder.qualifying.iter().try_for_each(|path| add(Kind::Qualifying, path))?;
    folder.judging.iter().try_for_each(|path| add(Kind::Judging, path))?;
    Ok(Jobs { jobs, total, notices })
}

/// The members of an archive that hold ratings; `None` where it is gzipped. Only their headers are read.
fn members(
    path: &Path,
    below: Option<&Path>,
    watch: &Watch<'_>,
) -> Result<Option<(Vec<Member>, Rest)>, Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let file = open_plain(path).map_err(failed)?;
    check_below(&file, path, below)?;
    let bytes = file.metadata().map_err(failed)?.len();
    match begins_with(&file).map_err(failed)? {
        Content::Gzip => return Ok(None),
        Content::Tar => {}
        _ if bytes == 0 => {}
        content => return Err(no_archive(path, content, false)),
    }
    let (members, rest) = archive::members(path, file, bytes, || watch.go_on())?;
    if members.is_empty() { Err(no_members(path, rest)) } else { Ok(Some((members, rest))) }
}

fn no_archive(path: &Path, content: Content, is_gzipped: bool) -> Error {
    Error::NotAs { path: path.into(), member: None, is_gzipped, content, wanted: "a tar archive" }
}

fn no_members(path: &Path, rest: Rest) -> Error {
    let found = if rest.of_data_set.is_empty() { rest.others } else { rest.of_data_set };
    Error::NoRatings { folder: path.into(), found, packed: None }
}

/// What of an archive's files is left out, if any that might be wanted is.
fn not_read(path: &Path, rest: Rest) -> Option<Notice> {
    let why = format!("of \"{}\", only files mv_*.txt are. {}", path.display(), Content::Tar.remedy(path));
    let Rest { of_data_set: files, .. } = rest;
    (!files.is_empty()).then_some(Notice::NotRead { files, why, is_loss: true })
}

impl Job {
    /// What it reads.
    pub fn kind(&self) -> Kind {
        match self {
            Job::Text(kind, _) => *kind,
            Job::Archive(_) | Job::Members(..) => Kind::Ratings,
        }
    }
}

/// Does a job whose file is not needed: where there is something to load without it, one that cannot be read is left aside
/// with a notice. Nothing of it is then among what the thread has seen.
pub fn read_optional(
    job: &Job,
    number: usize,
    sets: &mut Sets,
    shared: &Shared<'_>,
    may_do_without: bool,
) -> Result<Found, Error> {
    let (mut own, mut found) = (Sets::default(), Found::default());
    let result = read(job, number, &mut own, &mut found, shared);
    shared.free_memory(own.accounted);
    match (result, job) {
        (Ok(()), _) => {
            sets.merge(own);
            Ok(found)
        }
        (Err(error @ (Error::Stopped | Error::OutOfMemory | Error::MemoryLimit { .. })), _)
        | (Err(error @ Error::Outside { .. }), _) => Err(error),
        (Err(error), Job::Text(_, path)) if may_do_without => {
            let why = error.why();
            Ok(Found { notices: vec![Notice::LeftAside { path: path.clone(), why }], ..Found::default() })
        }
        (Err(error), _) => Err(error),
    }
}

/// Does a job. What was found up to an error stands in `found`.
pub fn read(
    job: &Job,
    number: usize,
    sets: &mut Sets,
    found: &mut Found,
    shared: &Shared<'_>,
) -> Result<(), Error> {
    match job {
        Job::Text(kind, path) => {
            let (mut stream, modified) = Stream::open(path, shared.below.clone())?;
            found.is_misnamed = is_gzipped(path) && stream.is_plain();
            let is_packed = !stream.is_plain();
            let mut reader = Reader { number, sets, found, shared, told: 0, is_packed };
            let file = text(*kind, path, shared.below.clone(), modified);
            reader.read(file, &mut stream, |stream| stream.read_from_disk())
        }
        Job::Archive(path) => {
            let (mut stream, modified) = Stream::open(path, shared.below.clone())?;
            let mut stream = Peeked::new(&mut stream);
            match stream.content().map_err(|source| Error::Io { path: path.clone(), source })? {
                None | Some(Content::Tar) => {}
                Some(content) => return Err(no_archive(path, content, true)),
            }
            let mut reader = Reader { number, sets, found, shared, told: 0, is_packed: true };
            let rest = archive::each_packed(path, &mut stream, |member, text| {
                reader.told = 0;
                reader.read(member_file(path, shared.below.clone(), &member, modified), text, |_| 0)
            })?;
            if found.files.is_empty() {
                return Err(no_members(path, rest));
            }
            found.notices.extend(not_read(path, rest));
            // Its checksum stands at its end.
            archive::drain(path, &mut stream, || shared.advance(number, 0, 0))?;
            shared.advance(number, stream.source.read_from_disk(), 0)
        }
        Job::Members(path, members) => {
            let (mut stream, modified) = Stream::open(path, shared.below.clone())?;
            let mut reader = Reader { number, sets, found, shared, told: 0, is_packed: false };
            for member in members {
                stream.seek(member.position, &|| Ok(()))?;
                let from = stream.read_from_disk();
                reader.told = 0;
                reader.read(
                    member_file(path, shared.below.clone(), member, modified),
                    &mut (&mut stream).take(member.bytes),
                    |part| part.get_ref().read_from_disk() - from,
                )?;
            }
            Ok(())
        }
    }
}

fn text(kind: Kind, path: &Path, below: Option<Arc<Path>>, modified: Option<i64>) -> TextFile {
    TextFile {
        kind,
        path: path.into(),
        below,
        member: None,
        position: 0,
        bytes: 0,
        modified,
        checksum: 0,
        records: 0,
        rejected: 0,
    }
}

fn member_file(path: &Path, below: Option<Arc<Path>>, member: &Member, modified: Option<i64>) -> TextFile {
    let Member { name, position, .. } = member;
    TextFile { member: Some(name.clone()), position: *position, ..text(Kind::Ratings, path, below, modified) }
}

/// Reads texts for one job.
struct Reader<'a, 'b> {
    number: usize,
    sets: &'a mut Sets,
    found: &'a mut Found,
    shared: &'a Shared<'b>,
    /// Bytes of the text under way that were told of.
    told: u64,
    /// Whether the file on disk is gzipped.
    is_packed: bool,
}

impl Reader<'_, '_> {
    fn read<R: Read>(&mut self, file: TextFile, source: R, read: impl Fn(&R) -> u64) -> Result<(), Error> {
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

impl Sets {
    /// Adds what another has seen.
    fn merge(&mut self, other: Sets) {
        self.customers.merge(other.customers);
        self.movies.merge(other.movies);
        if let Some((first, last)) = other.days {
            self.see_day(first);
            self.see_day(last);
        }
    }

    fn see_day(&mut self, date: Date) {
        let (first, last) = self.days.get_or_insert((date, date));
        *first = date.min(*first);
        *last = date.max(*last);
    }

    fn is_new_rater(&mut self, customer_id: u32) -> bool {
        let is_new = self.raters.insert(customer_id);
        if is_new {
            self.rater_list.push(customer_id);
        }
        is_new
    }

    fn forget_raters(&mut self) {
        self.rater_list.drain(..).for_each(|id| self.raters.remove(id));
    }
}

/// Where a record stands in its text.
struct Place {
    start: u64,
    end: u64,
    line: u64,
}

/// Enough of a line to recognise it by, fit for a terminal and a text column.
fn excerpt(line: &[u8]) -> String {
    const KEPT: usize = 80;
    let text = String::from_utf8_lossy(&line[..line.len().min(KEPT)]);
    let mut excerpt = String::new();
    for c in text.chars() {
        match c {
            '\u{80}'.. if !c.is_control() => excerpt.push(c),
            ' '..='~' => excerpt.push(c),
            _ => excerpt.push_str(&format!("\\x{:02x}", u32::from(c))),
        }
    }
    if line.len() > KEPT {
        excerpt.push_str("...");
    }
    excerpt
}
