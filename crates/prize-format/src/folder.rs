//! Which of the Prize's files a folder holds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// The files of a data set, in the order they are read.
#[derive(Debug)]
pub struct Folder {
    /// `movie_titles.csv` or `movie_titles.txt`.
    pub titles: Option<PathBuf>,
    /// `training_set/mv_*.txt` (or `mv_*.txt` in the folder itself), then `combined_data_*.txt`, each by name.
    pub ratings: Vec<PathBuf>,
    /// `probe.txt`.
    pub probe: Option<PathBuf>,
    /// `qualifying.txt`.
    pub qualifying: Option<PathBuf>,
}

impl Folder {
    /// Looks through a folder. One without a rating file is an error that says what there is instead.
    pub fn open(path: &Path) -> Result<Folder, Error> {
        let here = list(path)?;
        let find = |names: &[&str]| {
            names.iter().find_map(|name| here.iter().find(|path| file_name(path) == *name)).cloned()
        };
        let one_a_movie = |files: Vec<PathBuf>| files.into_iter().filter(|path| is_numbered(path, "mv_"));
        let mut ratings = Vec::new();
        if fs::metadata(path.join("training_set")).is_ok_and(|meta| meta.is_dir()) {
            ratings.extend(one_a_movie(list(&path.join("training_set"))?));
        }
        if ratings.is_empty() {
            ratings.extend(one_a_movie(here.clone()));
        }
        ratings.extend(here.iter().filter(|path| is_numbered(path, "combined_data_")).cloned());
        if ratings.is_empty() {
            let found = here.iter().map(|path| file_name(path).into_owned()).collect();
            return Err(Error::NoRatings { folder: path.into(), found });
        }
        Ok(Folder {
            titles: find(&["movie_titles.csv", "movie_titles.txt"]),
            ratings,
            probe: find(&["probe.txt"]),
            qualifying: find(&["qualifying.txt"]),
        })
    }
}

/// A folder's plain files, by name: a pipe or a socket of the right name must not hang or confuse a load.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Io { path: folder.into(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        match fs::metadata(&path) {
            Ok(meta) if !meta.is_file() => {}
            // A broken link is noticed when it is opened, if it has the name of a file that is read.
            _ => files.push(path),
        }
    }
    files.sort();
    Ok(files)
}

fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn is_numbered(path: &Path, prefix: &str) -> bool {
    let name = file_name(path);
    let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(".txt"));
    number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}
