//! The first pass over a data set: reads every file, and finds which customers and movies there are, where each
//! movie's ratings stand, and which lines cannot be used. The second pass, [`RatingReader`], reads movie by movie.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::blocks::{BlockReader, Event, Located, refusal};
use crate::ids::{IdSet, RankedIds};
use crate::lines::LineReader;
use crate::reader::{RatingReader, Segment};
use crate::record::{Probe, Qualifying, Rating, Reason, Record};
use crate::{Date, Error, Folder, Title};

/// What the first pass found.
pub struct Survey {
    /// Every file read, in the order it was read.
    pub files: Vec<SurveyedFile>,
    /// The titles, by movie id.
    pub titles: Vec<Title>,
    /// All customers of the ratings and of the qualifying set.
    pub customers: RankedIds,
    /// All movies of the titles, the ratings and the qualifying set.
    pub movies: RankedIds,
    /// `(movie, customer)` of each probe pair, sorted, each once.
    pub probe: Vec<(u32, u32)>,
    /// `(movie, customer, date)` of each qualifying pair, sorted by movie and customer, each pair once.
    pub qualifying: Vec<(u32, u32, Date)>,
    /// The first and last day of a rating or qualifying pair.
    pub days: Option<(Date, Date)>,
    /// Lines that could not be used.
    pub rejects: Rejects,
    /// About how many bytes of memory all this takes.
    pub memory: usize,
    /// Where each movie's ratings stand, sorted by movie, then by file and place in it.
    pub(crate) segments: Vec<Segment>,
}

/// A file as the first pass saw it.
#[derive(Clone, Debug)]
pub struct SurveyedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was last changed, where the system knows.
    pub modified: Option<SystemTime>,
    /// The CRC-32 of its bytes.
    pub checksum: u32,
    /// Lines that hold a title, rating or pair.
    pub records: u64,
    /// Lines that could not be used.
    pub rejected: u64,
}

/// A line that could not be used.
#[derive(Clone, Debug)]
pub struct Reject {
    /// Index of its file in [`Survey::files`].
    pub file: usize,
    /// Its number, from 1.
    pub line: u64,
    /// Its text, shortened and with control characters escaped.
    pub text: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// The lines refused: all are counted, the first are kept.
#[derive(Default)]
pub struct Rejects {
    /// The first of them, in the order they were met.
    pub kept: Vec<Reject>,
    /// How many there were.
    pub count: u64,
}

/// How far a pass is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Files begun.
    pub files: usize,
    /// Bytes read.
    pub bytes: u64,
    /// About how many bytes of memory what was found takes.
    pub memory: usize,
}

/// Asked between chunks of work; to break is to stop.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Lines between two questions to the watch.
const LINES_A_TURN: u64 = 16 * 1024;

/// How many rejects are kept when any number of them is allowed, and at the most.
const KEPT_OF_ANY: u64 = 1000;
const KEPT_AT_MOST: u64 = 100_000;

impl Survey {
    /// Reads all files of a folder. Stops with [`Error::TooManyRejects`] once more than `max_rejects` lines could
    /// not be used; `None` allows any number.
    pub fn take(folder: &Folder, max_rejects: Option<u64>, watch: Watch<'_>) -> Result<Survey, Error> {
        let mut surveyor = Surveyor {
            files: Vec::new(),
            customers: IdSet::default(),
            movies: IdSet::default(),
            days: None,
            rejects: Rejects::default(),
            max_rejects,
            bytes_before: 0,
            listed: 0,
            watch,
        };
        let mut titles = Vec::new();
        if let Some(path) = &folder.titles {
            titles = surveyor.titles(path)?;
        }
        let mut segments = Vec::new();
        for path in &folder.ratings {
            surveyor.ratings(path, &mut segments)?;
        }
        let mut probe = Vec::new();
        if let Some(path) = &folder.probe {
            surveyor.blocks(path, |surveyor, movie_id, pair: Probe, _| {
                surveyor.list(&mut probe, (movie_id, pair.customer_id))
            })?;
        }
        let mut qualifying = Vec::new();
        if let Some(path) = &folder.qualifying {
            surveyor.blocks(path, |surveyor, movie_id, pair: Qualifying, _| {
                surveyor.see(movie_id, pair.customer_id, pair.date);
                surveyor.list(&mut qualifying, (movie_id, pair.customer_id, pair.date))
            })?;
        }
        segments.sort_by_key(|s: &Segment| (s.movie_id, s.file, s.offset));
        probe.sort_unstable();
        probe.dedup();
        qualifying.sort_by_key(|&(movie_id, customer_id, _)| (movie_id, customer_id));
        qualifying.dedup_by_key(|&mut (movie_id, customer_id, _)| (movie_id, customer_id));
        let memory = surveyor.memory();
        Ok(Survey {
            files: surveyor.files,
            titles,
            customers: surveyor.customers.rank(),
            movies: surveyor.movies.rank(),
            probe,
            qualifying,
            days: surveyor.days,
            rejects: surveyor.rejects,
            memory,
            segments,
        })
    }

    /// How many ratings the files hold, duplicates included.
    pub fn ratings(&self) -> u64 {
        self.segments.iter().map(|s| s.records).sum()
    }

    /// Starts the second pass.
    pub fn read_ratings(&self) -> RatingReader<'_> {
        RatingReader::new(self)
    }
}

/// The first pass under way.
struct Surveyor<'a> {
    files: Vec<SurveyedFile>,
    customers: IdSet,
    movies: IdSet,
    days: Option<(Date, Date)>,
    rejects: Rejects,
    max_rejects: Option<u64>,
    bytes_before: u64,
    /// Bytes of what is listed one by one: titles, segments, pairs.
    listed: usize,
    watch: Watch<'a>,
}

impl Surveyor<'_> {
    fn titles(&mut self, path: &Path) -> Result<Vec<Title>, Error> {
        let failed = |source| Error::Io { path: path.into(), source };
        let mut source = self.open(path)?;
        let mut lines = LineReader::new(&mut source);
        let mut titles = std::collections::BTreeMap::new();
        while let Some(line) = lines.next().map_err(failed)? {
            if line.number % LINES_A_TURN == 0 || line.too_long {
                self.watch(line.offset)?;
            }
            let refused = match Title::parse(line.bytes) {
                _ if line.too_long => Some(Reason::TooLong),
                _ if line.bytes.is_empty() => None,
                Ok(title) => match titles.entry(title.movie_id) {
                    std::collections::btree_map::Entry::Occupied(_) => Some(Reason::TitleTwice),
                    std::collections::btree_map::Entry::Vacant(free) => {
                        self.movies.insert(title.movie_id);
                        self.listed += size_of::<Title>() + title.title.len();
                        free.insert(title);
                        None
                    }
                },
                Err(Reason::TitleEncoding) => Some(Reason::TitleEncoding),
                Err(reason) => Some(refusal(line.bytes, reason)),
            };
            if let Some(reason) = refused {
                self.refuse(line.number, line.bytes, reason)?;
            }
        }
        self.close(source, titles.len() as u64)?;
        Ok(titles.into_values().collect())
    }

    fn ratings(&mut self, path: &Path, segments: &mut Vec<Segment>) -> Result<(), Error> {
        let file = self.files.len() as u32;
        let from = segments.len();
        self.blocks(path, |surveyor, movie_id, rating: Rating, place| {
            surveyor.see(movie_id, rating.customer_id, rating.date);
            match segments.get_mut(from..).and_then(|s| s.last_mut()) {
                Some(last) if last.movie_id == movie_id => {
                    last.bytes = place.end - last.offset;
                    last.records += 1;
                    Ok(())
                }
                _ => {
                    let (offset, bytes) = (place.start, place.end - place.start);
                    surveyor.list(segments, Segment { movie_id, file, offset, bytes, records: 1 })
                }
            }
        })
    }

    /// Reads a file of blocks and hands on each record with its movie.
    fn blocks<T: Record>(
        &mut self,
        path: &Path,
        mut record: impl FnMut(&mut Self, u32, T, Place) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |source| Error::Io { path: path.into(), source };
        let mut source = self.open(path)?;
        let mut reader = BlockReader::<_, T>::new(&mut source);
        let mut movie_id = 0;
        let mut records = 0;
        while let Some(Located { event, line }) = reader.next().map_err(failed)? {
            let (number, start) = (line.number, line.offset);
            if number % LINES_A_TURN == 0 || line.too_long {
                self.watch(start)?;
            }
            match event {
                Event::Movie(id) => movie_id = id,
                Event::Blank => {}
                Event::Refused(reason) => self.refuse(number, line.bytes, reason)?,
                Event::Record(found) => {
                    records += 1;
                    record(self, movie_id, found, Place { start, end: reader.offset() })?;
                }
            }
        }
        self.close(source, records)
    }

    fn memory(&self) -> usize {
        self.listed + self.customers.bytes() + self.movies.bytes()
    }

    fn list<T>(&mut self, list: &mut Vec<T>, item: T) -> Result<(), Error> {
        if list.len() == list.capacity() {
            let before = list.capacity();
            list.try_reserve(1).map_err(|_| Error::OutOfMemory)?;
            self.listed += (list.capacity() - before) * size_of::<T>();
        }
        list.push(item);
        Ok(())
    }

    fn see(&mut self, movie_id: u32, customer_id: u32, date: Date) {
        self.movies.insert(movie_id);
        self.customers.insert(customer_id);
        let (first, last) = self.days.get_or_insert((date, date));
        *first = date.min(*first);
        *last = date.max(*last);
    }

    fn refuse(&mut self, line: u64, bytes: &[u8], reason: Reason) -> Result<(), Error> {
        let file = self.files.len() - 1;
        self.files[file].rejected += 1;
        self.rejects.count += 1;
        let reject = Reject { file, line, text: excerpt(bytes), reason };
        if self.max_rejects.is_some_and(|max| self.rejects.count > max) {
            let path = self.files[file].path.clone();
            return Err(Error::TooManyRejects { max: self.max_rejects.unwrap_or(0), path, reject });
        }
        if self.rejects.count <= self.max_rejects.unwrap_or(KEPT_OF_ANY).min(KEPT_AT_MOST) {
            self.rejects.kept.push(reject);
        }
        Ok(())
    }

    fn watch(&mut self, bytes: u64) -> Result<(), Error> {
        let progress =
            Progress { files: self.files.len(), bytes: self.bytes_before + bytes, memory: self.memory() };
        match (self.watch)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Stopped),
        }
    }

    fn open(&mut self, path: &Path) -> Result<Checksummed<File>, Error> {
        let source = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let modified = source.metadata().and_then(|metadata| metadata.modified()).ok();
        let path = path.to_path_buf();
        self.files.push(SurveyedFile { path, bytes: 0, modified, checksum: 0, records: 0, rejected: 0 });
        self.watch(0)?;
        Ok(Checksummed { source, bytes: 0, hasher: crc32fast::Hasher::new() })
    }

    fn close(&mut self, source: Checksummed<File>, records: u64) -> Result<(), Error> {
        self.bytes_before += source.bytes;
        if let Some(file) = self.files.last_mut() {
            file.bytes = source.bytes;
            file.checksum = source.hasher.finalize();
            file.records = records;
        }
        Ok(())
    }
}

/// Where a record stands in its file.
struct Place {
    start: u64,
    end: u64,
}

/// Sums up the bytes that pass through.
struct Checksummed<R> {
    source: R,
    bytes: u64,
    hasher: crc32fast::Hasher,
}

impl<R: Read> Read for Checksummed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(out)?;
        self.bytes += n as u64;
        self.hasher.update(&out[..n]);
        Ok(n)
    }
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
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Layout, Sample, Style};
    use std::fs;

    fn go(_: Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn survey(path: &Path) -> Survey {
        Survey::take(&Folder::open(path).unwrap(), Some(0), &mut go).unwrap()
    }

    type Loaded = (Vec<(u32, u32, u8, Date)>, u64);

    /// All ratings as the second pass gives them, and the number left out.
    fn ratings(survey: &Survey) -> Result<Loaded, Error> {
        let (mut all, mut left_out, mut one) = (Vec::new(), 0, Vec::new());
        let mut reader = survey.read_ratings();
        while let Some((movie, duplicates)) = reader.next(&mut one)? {
            all.extend(one.iter().map(|r| (movie, r.customer_id, r.rating, r.date)));
            left_out += duplicates;
        }
        Ok((all, left_out))
    }

    #[test]
    fn every_layout_says_the_same() {
        let write = |layout, style| {
            let folder = tempfile::tempdir().unwrap();
            let sample = Sample { layout, style, ..Sample::of(20_000) };
            let made = sample.write(folder.path(), &mut |_| {}).unwrap();
            (folder, made)
        };
        let plain = Style { crlf: false, final_newline: true, gzip: false };
        let (files, made) = write(Layout::Files, plain);
        assert_eq!(made.ratings, 20_000);
        let first = survey(files.path());
        assert_eq!((first.ratings(), first.probe.len() as u64), (made.ratings, made.probe));
        assert_eq!(first.qualifying.len() as u64, made.qualifying);
        assert_eq!(first.titles.len(), Sample::of(20_000).movies as usize);
        assert!(first.titles.iter().any(|title| title.release_year.is_none()));
        assert!(first.titles.iter().any(|title| title.title.contains(',')));
        assert!(first.titles.iter().any(|title| !title.title.is_ascii()));
        let all = ratings(&first).unwrap();
        assert_eq!((all.0.len(), all.1), (20_000, 0));
        assert!(all.0.windows(2).all(|w| (w[0].0, w[0].1) < (w[1].0, w[1].1)));

        let odd = Style { crlf: true, final_newline: false, gzip: false };
        for (layout, style) in [(Layout::Files, odd), (Layout::Combined, plain), (Layout::Combined, odd)] {
            let (folder, again) = write(layout, style);
            assert_eq!(again, made);
            let second = survey(folder.path());
            assert_eq!(ratings(&second).unwrap(), all, "{layout:?} {style:?}");
            assert_eq!(second.titles, first.titles);
            assert_eq!((&second.probe, &second.qualifying), (&first.probe, &first.qualifying));
            assert_eq!(second.days, first.days);
        }
    }

    #[test]
    fn the_first_of_several_ratings_is_kept() {
        let one =
            b"1:\n5,1,2001-01-01\n3,2,2001-01-01\n2:\n5,3,2001-01-01\n1:\n5,4,2001-01-01\n3,2,2001-01-01\n";
        let two = b"1:\n4,5,2001-01-01\n5,5,2001-01-01\n";
        let folder = folder(&[("combined_data_1.txt", one), ("training_set/mv_0000001.txt", two)]);
        let date = Date::new(2001, 1, 1).unwrap();
        let (all, left_out) = ratings(&survey(folder.path())).unwrap();
        assert_eq!(all, [(1, 3, 2, date), (1, 4, 5, date), (1, 5, 5, date), (2, 5, 3, date)]);
        assert_eq!(left_out, 3);
    }

    #[test]
    fn what_stands_under_a_refused_movie_line_is_refused_in_both_passes() {
        let text = b"1:\n7,5,2004-02-29\n0:\n8,3,2004-02-29\n1:\n9,4,2004-02-29\n\n1:\nx\n10,4,2004-02-29\n";
        let folder = folder(&[("combined_data_1.txt", text)]);
        let survey = Survey::take(&Folder::open(folder.path()).unwrap(), None, &mut go).unwrap();
        assert_eq!((survey.ratings(), survey.rejects.count), (3, 3));
        let customers = ratings(&survey).unwrap().0.iter().map(|r| r.1).collect::<Vec<_>>();
        assert_eq!(customers, [7, 9, 10]);
    }

    #[test]
    fn a_file_that_changes_between_the_passes_is_named() {
        for changed in [&b"1:\n5,1,2001-01-01\n"[..], b"1:\n9,1,2001-01-01\n3,2,2001-01-01\n", b""] {
            let folder = folder(&[("combined_data_1.txt", b"1:\n5,1,2001-01-01\n3,2,2001-01-01\n")]);
            let survey = survey(folder.path());
            fs::write(folder.path().join("combined_data_1.txt"), changed).unwrap();
            assert!(matches!(ratings(&survey), Err(Error::Changed { .. })), "{changed:?}");
        }
    }

    #[test]
    fn a_rewritten_file_is_noticed_though_it_could_be_read() {
        let folder = folder(&[("combined_data_1.txt", b"1:\n5,1,2001-01-01\n3,2,2001-01-01\n")]);
        let survey = survey(folder.path());
        let path = folder.path().join("combined_data_1.txt");
        fs::write(&path, b"1:\n5,2,2001-01-01\n3,1,2001-01-01\n").unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
        fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(matches!(ratings(&survey), Err(Error::Changed { .. })));
    }

    #[test]
    fn a_line_as_long_as_a_buffer_is_refused_in_both_passes() {
        let long = "9".repeat(crate::lines::MAX_LINE - 1) + ":" + &"9".repeat(10);
        let text = format!("1:\n5,1,2001-01-01\n{long}\n6,1,2001-01-01\n1:\n7,1,2001-01-01\n");
        let folder = folder(&[("combined_data_1.txt", text.as_bytes())]);
        let survey = Survey::take(&Folder::open(folder.path()).unwrap(), None, &mut go).unwrap();
        assert_eq!((survey.ratings(), survey.rejects.count), (2, 2));
        assert_eq!(ratings(&survey).unwrap().0.len(), 2);
    }

    #[test]
    fn says_how_much_memory_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(20_000).write(folder.path(), &mut |_| {}).unwrap();
        let mut memory = 0;
        let watch = &mut |progress: Progress| {
            assert!(progress.memory >= memory);
            memory = progress.memory;
            ControlFlow::Continue(())
        };
        let survey = Survey::take(&Folder::open(folder.path()).unwrap(), Some(0), watch).unwrap();
        let listed = size_of_val(&survey.segments[..]) + size_of_val(&survey.probe[..]);
        assert!(
            survey.memory >= memory && memory >= listed && survey.memory < 2 * listed + (1 << 20),
            "{memory}"
        );
    }

    #[test]
    fn rejects_are_counted_kept_and_limited() {
        let folder = folder(&[("combined_data_1.txt", b"1:\n5,9,2001-01-01\n6,1,2001-01-01\nx\n")]);
        let found = Folder::open(folder.path()).unwrap();
        let survey = Survey::take(&found, None, &mut go).unwrap();
        assert_eq!((survey.rejects.count, survey.ratings(), survey.files[0].rejected), (2, 1, 2));
        let reject = &survey.rejects.kept[0];
        assert_eq!((reject.line, &reject.text[..], reject.reason), (2, "5,9,2001-01-01", Reason::Rating));
        assert!(matches!(
            Survey::take(&found, Some(1), &mut go),
            Err(Error::TooManyRejects { max: 1, reject: Reject { line: 4, .. }, .. })
        ));
        assert!(Survey::take(&found, Some(2), &mut go).is_ok());
        let stop = &mut |_| ControlFlow::Break(());
        assert!(matches!(Survey::take(&found, None, stop), Err(Error::Stopped)));
    }

    #[test]
    fn folders_without_ratings_say_what_they_hold() {
        let folder =
            folder(&[("movie_titles.csv", b"1,2000,A\n"), ("mv_x.txt", b""), ("combined_data_.txt", b"")]);
        let Err(Error::NoRatings { found, .. }) = Folder::open(folder.path()) else { panic!() };
        assert_eq!(found, ["combined_data_.txt", "movie_titles.csv", "mv_x.txt"]);
        fs::write(folder.path().join("mv_1.txt"), "1:\n5,1,2001-01-01\n").unwrap();
        assert_eq!(survey(folder.path()).ratings(), 1);
        assert!(matches!(Folder::open(&folder.path().join("nowhere")), Err(Error::Io { .. })));
    }
}
