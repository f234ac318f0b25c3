//! Which of the Prize's files a folder holds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Error, Listed, Notice, source};

/// The files of a data set, in the order they are read. Any of them may be gzipped, its name then ending in `.gz`;
/// where it is there both ways, the plain one is taken. What is passed over stands in `notices`.
#[derive(Debug)]
pub struct Folder {
    /// `movie_titles.csv` and `movie_titles.txt`: where both are there, what they hold decides.
    pub titles: Vec<PathBuf>,
    /// `training_set/mv_*.txt` (or `mv_*.txt` in the folder itself, or `training_set.tar`), then
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
        if folder.ratings.is_empty() { Err(no_ratings(path, below)) } else { Ok(folder) }
    }

    /// The same, for somebody who has ratings already: any of the other files alone will do.
    pub fn open_more(path: &Path, below: Option<&Path>) -> Result<Folder, Error> {
        let folder = Folder::look(path, below)?;
        let Folder { titles, ratings, probe, qualifying, judging, .. } = &folder;
        let is_none = titles.is_empty() && ratings.is_empty();
        match is_none && probe.is_none() && qualifying.is_none() && judging.is_none() {
            true => Err(no_ratings(path, below)),
            false => Ok(folder),
        }
    }

    fn look(path: &Path, below: Option<&Path>) -> Result<Folder, Error> {
        let here = list(path, below)?;
        let mut notices = Vec::new();
        let mut find = |files: &[PathBuf], name: &str| {
            let packed = format!("{name}.gz");
            let named = |name: &str| files.iter().find(|path| file_name(path) == name).cloned();
            match (named(name), named(&packed)) {
                (Some(plain), Some(packed)) => {
                    let why = format!("\"{name}\" is read instead");
                    let files = [&*packed].into_iter().collect::<Listed>();
                    notices.push(Notice::NotRead { files, why, is_loss: false });
                    Some(plain)
                }
                (plain, packed) => plain.or(packed),
            }
        };
        let mut ratings = Vec::new();
        if is_folder(&path.join("training_set")) {
            ratings.extend(numbered(&list(&path.join("training_set"), below)?, ONE_A_MOVIE));
        }
        if ratings.is_empty() {
            ratings.extend(numbered(&here, ONE_A_MOVIE));
        }
        if ratings.is_empty() {
            // Who has unpacked the archive may still have it.
            ratings.extend(find(&here, "training_set.tar"));
        }
        ratings.extend(numbered(&here, "combined_data_"));
        let titles = ["movie_titles.csv", "movie_titles.txt"].iter();
        let titles = titles.filter_map(|name| find(&here, name)).collect::<Vec<_>>();
        let probe = find(&here, "probe.txt");
        let qualifying = find(&here, "qualifying.txt");
        let judging = match (find(&here, "judging.txt"), path.join("grand_prize")) {
            (None, folder) if is_folder(&folder) => find(&list(&folder, below)?, "judging.txt"),
            (judging, _) => judging,
        };
        let there = [
            ("movie_titles.csv", !titles.is_empty()),
            ("probe.txt", probe.is_some()),
            ("qualifying.txt", qualifying.is_some()),
            ("judging.txt", judging.is_some()),
        ];
        let mut files = Listed::default();
        there.iter().filter(|(_, is_there)| !is_there).for_each(|(name, _)| files.add(*name));
        if !ratings.is_empty() && !files.is_empty() {
            notices.push(Notice::Absent { files });
        }
        let below = below.map(Arc::from);
        Ok(Folder { titles, ratings, probe, qualifying, judging, below, notices })
    }
}

/// The error for a folder without ratings: they may be in one of its folders, or in an archive that has to be unpacked.
fn no_ratings(path: &Path, below: Option<&Path>) -> Error {
    let found = || {
        let folders = folders(path)?.into_iter().map(|folder| format!("{}/", file_name(&folder)));
        Ok(folders.chain(list(path, below)?.iter().map(|path| file_name(path).into_owned())).collect())
    };
    found().map_or_else(|error| error, |found| Error::NoRatings { folder: path.into(), found })
}

fn is_folder(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// How the names of files with one movie's ratings begin.
const ONE_A_MOVIE: &str = "mv_";

/// Whether a file holds the training set's files.
pub fn is_archive(path: &Path) -> bool {
    let name = file_name(path);
    name.ends_with(".tar") || name.ends_with(".tar.gz")
}

/// Whether an archive's member is a file with one movie's ratings.
pub fn is_one_a_movie(path: &Path) -> bool {
    is_numbered(path, ONE_A_MOVIE)
}

/// A folder's plain files, by name: a pipe or a socket of the right name must not hang or confuse a load.
fn list(folder: &Path, below: Option<&Path>) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Io { path: folder.into(), source };
    // With a dot behind it, nothing but a folder can be opened. What is looked at is then what is listed.
    let opened = File::open(folder.join(".")).map_err(failed)?;
    source::check_below(&opened, folder, below)?;
    let listed = if below.is_some() { &source::by_number(&opened) } else { folder };
    let mut files = Vec::new();
    for entry in fs::read_dir(listed).map_err(failed)? {
        let path = folder.join(entry.map_err(failed)?.file_name());
        match fs::metadata(&path) {
            Ok(meta) if !meta.is_file() => {}
            // A broken link is noticed when it is opened, if it has the name of a file that is read.
            _ => files.push(path),
        }
    }
    files.sort();
    Ok(files)
}

/// A folder's folders, by name.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Io { path: folder.into(), source };
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if fs::metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// Those of a folder's files that are numbered so, packed ones only where the plain one is not there.
fn numbered(files: &[PathBuf], prefix: &str) -> Vec<PathBuf> {
    let mut found = files
        .iter()
        .filter(|path| match path.extension() {
            Some(gz) if gz == "gz" => {
                let plain = path.with_extension("");
                is_numbered(&plain, prefix) && files.binary_search(&plain).is_err()
            }
            _ => is_numbered(path, prefix),
        })
        .cloned()
        .collect::<Vec<_>>();
    // By name without `.gz`, so that packing some of them changes nothing.
    found.sort_by_key(|path| match path.extension() {
        Some(gz) if gz == "gz" => path.with_extension(""),
        _ => path.clone(),
    });
    found
}

fn is_numbered(path: &Path, prefix: &str) -> bool {
    let name = file_name(path);
    let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(".txt"));
    number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}
