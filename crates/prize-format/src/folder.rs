//! Which of the Prize's files a folder holds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Content, Error, Listed, Notice, source};

/// The files of a data set, in the order they are read. Any of them may be gzipped, and its name may then end in `.gz`;
/// where it is there both ways, the plain one is taken. Capital letters in names make no difference. What is passed over
/// stands in `notices`.
#[derive(Debug)]
pub struct Folder {
    /// Where the rating files are: the folder that was named, or the only one below it that has any.
    pub path: PathBuf,
    /// `movie_titles.csv` and `movie_titles.txt`: where both are there, what they hold decides.
    pub titles: Vec<PathBuf>,
    /// `training_set/mv_*.txt` and `mv_*.txt` (or, where there is none of these, `training_set.tar`), then
    /// `combined_data_*.txt`, each by name.
    pub ratings: Vec<PathBuf>,
    /// `probe.txt`.
    pub probe: Option<PathBuf>,
    /// `qualifying.txt`.
    pub qualifying: Option<PathBuf>,
    /// `judging.txt`, in the folder itself or, as in Netflix's archive, in `grand_prize/`.
    pub judging: Option<PathBuf>,
    /// The folder that all of them must lie below, as [`Folder::open_below`] was told.
    pub below: Option<Arc<Path>>,
    /// What is not read, and why.
    pub notices: Vec<Notice>,
}

const TITLES: [&str; 2] = ["movie_titles.csv", "movie_titles.txt"];
const PROBE: [&str; 1] = ["probe.txt"];
const QUALIFYING: [&str; 1] = ["qualifying.txt"];
const JUDGING: [&str; 1] = ["judging.txt"];
const ARCHIVE: [&str; 2] = ["training_set.tar", "training_set.tgz"];

/// How the names of files with one movie's ratings begin, and those of files with many movies'.
const ONE_A_MOVIE: &str = "mv_";
const COMBINED: &str = "combined_data_";

/// How far below the folder that was named rating files are looked for, and in how many folders.
const LEVELS: usize = 2;
const MOST_FOLDERS: usize = 100;

impl Folder {
    /// Looks through a folder. One without a rating file is an error that says what there is instead.
    pub fn open(path: &Path) -> Result<Folder, Error> {
        Folder::open_below(path, None)
    }

    /// The same, for somebody who may read no files but those below a folder: neither this one nor any of its files may lie
    /// elsewhere, wherever links lead. That folder's path must be without links, as [`std::fs::canonicalize`] gives it.
    /// [`Error::Outside`] where one does; of a file, when it is read.
    pub fn open_below(path: &Path, below: Option<&Path>) -> Result<Folder, Error> {
        let folder = Folder::look(path, below)?;
        if folder.ratings.is_empty() { Err(none(path, below)) } else { Ok(folder) }
    }

    /// The same, for somebody who has ratings already: any of the other files alone will do.
    pub fn open_more(path: &Path, below: Option<&Path>) -> Result<Folder, Error> {
        let folder = Folder::look(path, below)?;
        let Folder { titles, ratings, probe, qualifying, judging, .. } = &folder;
        let is_none = titles.is_empty() && ratings.is_empty();
        match is_none && probe.is_none() && qualifying.is_none() && judging.is_none() {
            true => Err(none(path, below)),
            false => Ok(folder),
        }
    }

    fn look(path: &Path, below: Option<&Path>) -> Result<Folder, Error> {
        let places = places(path, below).map_err(|error| error.explained(below))?;
        let mut notices = Vec::new();
        // What goes with the ratings lies beside them, or further up; the answers may have a folder of their own.
        let mut find = |names: &[&str]| {
            let listings = places.iter().flat_map(|place| [&place.here, &place.answers]);
            let mut found = listings.flat_map(|listing| find(&listing.files, names));
            let taken = found.next()?;
            let files = found.map(PathBuf::as_path).collect::<Listed>();
            if !files.is_empty() {
                let why = format!("\"{}\" is read instead", taken.display());
                notices.push(Notice::NotRead { files, why, is_loss: false });
            }
            Some(taken.clone())
        };
        let titles = TITLES.iter().filter_map(|name| find(&[name])).collect::<Vec<_>>();
        let probe = find(&PROBE);
        let qualifying = find(&QUALIFYING);
        let judging = find(&JUDGING);
        for place in &places {
            place.tell(&mut notices, below);
        }
        let there = [
            ("movie_titles.csv", !titles.is_empty()),
            ("probe.txt", probe.is_some()),
            ("qualifying.txt", qualifying.is_some()),
            ("judging.txt", judging.is_some()),
        ];
        let mut files = Listed::default();
        there.iter().filter(|(_, is_there)| !is_there).for_each(|(name, _)| files.add(*name));
        let Some(place) = places.into_iter().next() else { return Err(none(path, below)) };
        let Place { path, ratings, .. } = place;
        if !ratings.is_empty() && !files.is_empty() {
            notices.push(Notice::Absent { files });
        }
        Ok(Folder { path, titles, ratings, probe, qualifying, judging, below: below.map(Arc::from), notices })
    }
}

/// The folder with the rating files, then those above it up to the one that was named: that one alone, where there are none.
fn places(path: &Path, below: Option<&Path>) -> Result<Vec<Place>, Error> {
    let named = Place::look(path, below)?;
    if !named.ratings.is_empty() {
        return Ok(vec![named]);
    }
    let mut level = named.here.folders.clone();
    for _ in 0..LEVELS {
        let (mut found, mut next, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for folder in level.iter().take(MOST_FOLDERS) {
            // One that may not be looked through may be anybody's. One to which a link leads, too, is one all the same.
            let (Ok(place), Ok(real)) = (Place::look(folder, below), fs::canonicalize(folder)) else {
                continue;
            };
            if seen.contains(&real) {
                continue;
            }
            seen.push(real);
            match place.ratings.is_empty() {
                true => next.extend(place.here.folders),
                false => found.push(place),
            }
        }
        match found.len() {
            0 => level = next,
            1 => {
                let above = found[0].path.ancestors().skip(1).take_while(|above| above.starts_with(path));
                let above = above.filter(|&above| above != path).map(|above| Place::look(above, below));
                let above = above.collect::<Result<Vec<_>, _>>()?;
                found.extend(above);
                found.push(named);
                return Ok(found);
            }
            _ => {
                let found = found.into_iter().map(|place| place.path).collect();
                return Err(Error::SeveralFolders { folder: path.into(), found });
            }
        }
    }
    Ok(vec![named])
}

/// What to say of a folder without rating files.
fn none(path: &Path, below: Option<&Path>) -> Error {
    let here = match Listing::of(path, below) {
        Ok(here) => here,
        Err(error) => return error,
    };
    let mut found = Listed::default();
    for folder in &here.folders {
        let is_open = Listing::of(folder, below).is_ok();
        let remark = if is_open { "" } else { " (which cannot be looked through)" };
        found.add(format!("{}/{remark}", file_name(folder)));
    }
    here.files.iter().for_each(|file| found.add(file_name(file)));
    let packed = here.files.iter().take(MOST_FOLDERS).find_map(|file| {
        let content = content(file, below).filter(|content| content.is_packed())?;
        Some((file.clone(), content))
    });
    Error::NoRatings { folder: path.into(), found, packed }
}

/// What a file that is not read is, where that can be told.
fn content(path: &Path, below: Option<&Path>) -> Option<Content> {
    let file = source::open_plain(path).ok()?;
    source::check_below(&file, path, below).ok()?;
    source::begins_with(&file).ok()
}

/// A folder and what of it is read.
struct Place {
    path: PathBuf,
    here: Listing,
    /// What is in its folders `training_set` and `grand_prize`.
    inner: Listing,
    answers: Listing,
    /// The latter, where it may not be looked through.
    closed: Listed,
    ratings: Vec<PathBuf>,
    /// Rating files that are not read, as they are packed copies of such as are.
    copies: Listed,
    /// The archive, where it is not read because its files are there.
    archive: Option<PathBuf>,
}

impl Place {
    fn look(path: &Path, below: Option<&Path>) -> Result<Place, Error> {
        let here = Listing::of(path, below)?;
        let folder = |name: &str| here.folders.iter().find(|folder| is_named(folder, name));
        let inner =
            folder("training_set").map_or(Ok(Listing::default()), |folder| Listing::of(folder, below))?;
        let (mut answers, mut closed) = (Listing::default(), Listed::default());
        if let Some(folder) = folder("grand_prize") {
            match Listing::of(folder, below) {
                Ok(listing) => answers = listing,
                // Ratings can be loaded without.
                Err(Error::Io { .. }) => closed.add(folder.to_string_lossy()),
                Err(error) => return Err(error),
            }
        }
        let (mut ratings, mut copies) = (Vec::new(), Listed::default());
        ratings.extend(numbered(&inner.files, ONE_A_MOVIE, &mut copies));
        ratings.extend(numbered(&here.files, ONE_A_MOVIE, &mut copies));
        // Who has unpacked the archive may still have it.
        let mut archive = find(&here.files, &ARCHIVE).next().cloned();
        if ratings.is_empty() {
            ratings.extend(archive.take());
        }
        ratings.extend(numbered(&here.files, COMBINED, &mut copies));
        Ok(Place { path: path.into(), here, inner, answers, closed, ratings, copies, archive })
    }

    /// Tells what of it is not read.
    fn tell(&self, notices: &mut Vec<Notice>, below: Option<&Path>) {
        let mut tell = |files: Listed, why: &str, is_loss| {
            let is_any = !files.is_empty();
            let notice = Notice::NotRead { files, why: why.into(), is_loss };
            // A folder may be looked through twice, as the one that was named and as one in it.
            if is_any && !notices.contains(&notice) {
                notices.push(notice);
            }
        };
        tell(self.copies.clone(), "the files that are not packed are read instead", false);
        tell(self.closed.clone(), "the server may not look through it", true);
        if let Some(archive) = &self.archive {
            let loose = self.ratings.iter().filter(|path| is_one_a_movie(path)).count();
            let why = format!(
                "what was unpacked is read instead, which is {loose} of its files. If some are missing, unpack it again: {}",
                Content::Tar.remedy(archive).trim_start_matches("Unpack it: ")
            );
            tell(std::iter::once(archive.as_path()).collect(), &why, false);
        }
        for listing in [&self.here, &self.inner, &self.answers] {
            let no_files = listing.no_files.iter().map(PathBuf::as_path);
            tell(
                no_files.collect(),
                "no plain file of that name is there, nor in a folder of that name",
                true,
            );
            // Those of other names, and those that have to be unpacked.
            let mut others = Listed::default();
            for file in listing.files.iter().filter(|file| !is_name_of_data_set(&file_name(file))) {
                let belongs = seems_to_belong(&file_name(file));
                if !belongs && !has_name_of_packed(file) {
                    continue;
                }
                match content(file, below).filter(|content| content.is_packed()) {
                    Some(content) => {
                        let why = format!("it is {}. {}", content.name(), content.remedy(file));
                        tell(std::iter::once(file.as_path()).collect(), &why, belongs);
                    }
                    None if belongs => others.add(file.to_string_lossy()),
                    None => {}
                }
            }
            tell(others, "files of such names are not looked for", true);
        }
        let real = fs::canonicalize(&self.path).ok();
        let holds_ratings = |folder: &&PathBuf| {
            Place::look(folder, below).is_ok_and(|place| !place.ratings.is_empty())
                && fs::canonicalize(folder).ok() != real
        };
        let folders = self.here.folders.iter().take(MOST_FOLDERS);
        let folders = folders.filter(|folder| !is_named(folder, "training_set") && !self.ratings.is_empty());
        let folders = folders.filter(holds_ratings).map(PathBuf::as_path).collect();
        tell(folders, "rating files are there, too. Load such a folder by itself", true);
    }
}

/// What a folder holds, each by name.
#[derive(Default)]
struct Listing {
    /// Plain files, and links that lead nowhere: those are noticed when they are opened.
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// What has the name of a file that is read, and is none: a pipe or a socket must not hang or confuse a load.
    no_files: Vec<PathBuf>,
}

impl Listing {
    fn of(folder: &Path, below: Option<&Path>) -> Result<Listing, Error> {
        let failed = |source| Error::Io { path: folder.into(), source };
        // With a dot behind it, nothing but a folder can be opened. What is looked at is then what is listed.
        let opened = File::open(folder.join(".")).map_err(failed)?;
        source::check_below(&opened, folder, below)?;
        let listed = if below.is_some() { &source::by_number(&opened) } else { folder };
        let mut listing = Listing::default();
        for entry in fs::read_dir(listed).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = folder.join(entry.file_name());
            let is_wanted = is_name_of_data_set(&file_name(&path));
            // A broken link is noticed when it is opened.
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_symlink() => fs::metadata(&path).ok().map(|meta| meta.file_type()),
                kind => kind.ok(),
            };
            match kind {
                Some(kind) if kind.is_dir() && (!is_wanted || is_archive(&path)) => {
                    listing.folders.push(path)
                }
                // Some programs unpack each file into a folder of its name.
                Some(kind) if kind.is_dir() => {
                    let file = path.join(entry.file_name());
                    match fs::metadata(&file).is_ok_and(|meta| meta.is_file()) {
                        true => listing.files.push(file),
                        false => listing.no_files.push(path),
                    }
                }
                Some(kind) if !kind.is_file() && is_wanted => listing.no_files.push(path),
                Some(kind) if !kind.is_file() => {}
                _ => listing.files.push(path),
            }
        }
        listing.files.sort();
        listing.folders.sort();
        listing.no_files.sort();
        Ok(listing)
    }
}

fn is_named(folder: &Path, name: &str) -> bool {
    file_name(folder).eq_ignore_ascii_case(name)
}

/// Whether a file should hold the training set's files.
pub fn is_archive(path: &Path) -> bool {
    ARCHIVE.iter().any(|name| plain_name(&file_name(path)) == *name)
}

/// Whether a file holds one movie's ratings, by its name.
pub fn is_one_a_movie(path: &Path) -> bool {
    is_numbered(&file_name(path), ONE_A_MOVIE)
}

/// Whether a file's name is one that is read, packed or not.
fn is_name_of_data_set(name: &str) -> bool {
    let name = plain_name(name);
    let is_one_of = |names: &[&str]| names.iter().any(|&other| name == other);
    is_numbered(&name, ONE_A_MOVIE)
        || is_numbered(&name, COMBINED)
        || [&TITLES[..], &PROBE, &QUALIFYING, &JUDGING, &ARCHIVE].into_iter().any(is_one_of)
}

/// Whether a file's name begins like one of the data set's.
pub fn seems_to_belong(name: &str) -> bool {
    const BEGINNINGS: [&str; 7] =
        [ONE_A_MOVIE, "combined_data", "movie_titles", "probe", "qualifying", "judging", "training_set"];
    let name = name.to_ascii_lowercase();
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

fn has_name_of_packed(path: &Path) -> bool {
    const ENDINGS: [&str; 10] = ["7z", "bz2", "gz", "rar", "tar", "tgz", "xz", "zip", "zst", "z"];
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&&*ending))
}

/// The last part of a name in an archive. Those made on Windows may have its separators.
pub fn last_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// A name in small letters, without `.gz`.
fn plain_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_suffix(".gz").map_or(name.clone(), str::to_owned)
}

/// Those files that have one of these names: plain ones first, then by the order of the names.
fn find<'a>(files: &'a [PathBuf], names: &[&str]) -> impl Iterator<Item = &'a PathBuf> {
    let packed = names.iter().map(|name| format!("{name}.gz"));
    let names = names.iter().map(|name| (*name).to_owned()).chain(packed).collect::<Vec<_>>();
    names.into_iter().filter_map(|name| files.iter().find(|path| file_name(path).eq_ignore_ascii_case(&name)))
}

/// Those of a folder's files that are numbered so, packed ones only where the plain one is not there: such are added to `copies`.
fn numbered(files: &[PathBuf], prefix: &str, copies: &mut Listed) -> Vec<PathBuf> {
    let of_number = files.iter().filter(|path| is_numbered(&plain_name(&file_name(path)), prefix));
    let mut found = of_number.map(|path| (plain_name(&file_name(path)), path)).collect::<Vec<_>>();
    // By name without `.gz`, so that packing some of them changes nothing; the plain one first.
    found.sort_by(|(a, one), (b, other)| (a, one.as_os_str().len()).cmp(&(b, other.as_os_str().len())));
    let mut taken = Vec::<(String, PathBuf)>::new();
    for (name, path) in found {
        match taken.last() {
            Some((last, plain))
                if *last == name && !source::is_gzipped(plain) && source::is_gzipped(path) =>
            {
                copies.add(path.to_string_lossy());
            }
            _ => taken.push((name, path.clone())),
        }
    }
    taken.into_iter().map(|(_, path)| path).collect()
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(".txt"));
    number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}
