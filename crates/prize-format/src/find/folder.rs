//! Finds the Prize's files in a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder_contents::{FolderContents, MAX_ENTRIES};
use super::listing::{Listing, files_named};
use super::names::{JUDGING, PROBE, QUALIFYING, TITLES, file_name};
use super::notice::Notice;
use super::plain_file::content_of_path;
use crate::error::Error;
use crate::error::name_list::NameList;

/// The files of a data set, in the order in which they are read.
///
/// Any of them may be gzipped, and its name may then end in `.gz`. If a file is there with and without `.gz`, the one
/// without is taken. Upper and lower case in names are the same. `notices` lists what is not read.
#[derive(Debug)]
pub struct Folder {
    /// The folder with the rating files: the given one, or the only one below it that has any.
    pub path: PathBuf,
    /// `movie_titles.csv` and `movie_titles.txt`. If both are there, both are read. The first one with titles in the official
    /// form is used or, if there is none, the first one with titles.
    pub titles: Vec<PathBuf>,
    /// `training_set/mv_*.txt` and `mv_*.txt`, or `training_set.tar` if there are none of these; then
    /// `combined_data_*.txt`. Each group is sorted by name.
    pub ratings: Vec<PathBuf>,
    /// `probe.txt`.
    pub probe: Option<PathBuf>,
    /// `qualifying.txt`.
    pub qualifying: Option<PathBuf>,
    /// `judging.txt`, in the folder itself or, as in Netflix's archive, in `grand_prize/`.
    pub judging: Option<PathBuf>,
    /// The folder that all files must lie in, as it was given to [`Folder::open_below`].
    pub below: Option<Arc<Path>>,
    /// What is not read, and why.
    pub notices: Vec<Notice>,
}

/// The most levels of subfolders in which rating files are searched.
const MAX_LEVELS: usize = 2;

impl Folder {
    /// Finds the files of a folder. A folder without rating files is an error that names what it holds instead.
    pub fn open(path: &Path) -> Result<Folder, Error> {
        Folder::open_below(path, None)
    }

    /// The same for a caller who may read only files that lie in the folder `below`. Its path must be free of links, as
    /// [`std::fs::canonicalize`] returns it.
    ///
    /// [`Error::Outside`] if `path` lies outside `below`. A file that lies outside it gives this error when it is read.
    pub fn open_below(path: &Path, below: Option<&Path>) -> Result<Folder, Error> {
        let folder = Folder::find_files(path, below)?;
        if folder.ratings.is_empty() { Err(no_ratings(path, below)) } else { Ok(folder) }
    }

    /// The same for a caller who has loaded ratings before: a folder with any one of the files is enough.
    pub fn open_partial(path: &Path, below: Option<&Path>) -> Result<Folder, Error> {
        let folder = Folder::find_files(path, below)?;
        let Folder { titles, ratings, probe, qualifying, judging, .. } = &folder;
        let has_neither = titles.is_empty() && ratings.is_empty();
        match has_neither && probe.is_none() && qualifying.is_none() && judging.is_none() {
            true => Err(no_ratings(path, below)),
            false => Ok(folder),
        }
    }

    fn find_files(path: &Path, below: Option<&Path>) -> Result<Folder, Error> {
        let folders = folders_to_search(path, below).map_err(|error| error.with_obstacle(below))?;
        let mut notices = Vec::new();
        // The other files may be in the folder with the ratings or in one above it, and the answers in `grand_prize`.
        let mut find = |names: &[&str]| {
            let listings = folders.iter().flat_map(|folder| [&folder.listing, &folder.grand_prize]);
            let mut found = listings.flat_map(|listing| files_named(&listing.files, names));
            let taken = found.next()?;
            let files = found.map(PathBuf::as_path).collect::<NameList>();
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
        for folder in &folders {
            folder.add_notices(&mut notices, below);
        }
        let optional = [
            ("movie_titles.csv", !titles.is_empty()),
            ("probe.txt", probe.is_some()),
            ("qualifying.txt", qualifying.is_some()),
            ("judging.txt", judging.is_some()),
        ];
        let mut absent = NameList::default();
        optional.iter().filter(|(_, is_there)| !is_there).for_each(|(name, _)| absent.add(*name));
        let Some(first) = folders.into_iter().next() else { return Err(no_ratings(path, below)) };
        let FolderContents { path, ratings, .. } = first;
        if !ratings.is_empty() && !absent.is_empty() {
            notices.push(Notice::Absent { files: absent });
        }
        Ok(Folder { path, titles, ratings, probe, qualifying, judging, below: below.map(Arc::from), notices })
    }
}

/// The folder with the rating files, and then each folder above it up to the given one. Only the given one, if no
/// folder has rating files.
fn folders_to_search(path: &Path, below: Option<&Path>) -> Result<Vec<FolderContents>, Error> {
    let given = FolderContents::list(path, below)?;
    if !given.ratings.is_empty() {
        return Ok(vec![given]);
    }
    let mut level = given.listing.folders.clone();
    for _ in 0..MAX_LEVELS {
        let (mut found, mut next_level, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for folder in level.iter().take(MAX_ENTRIES) {
            // A subfolder that cannot be listed is skipped: it may have nothing to do with the data set.
            let (Ok(contents), Ok(real_path)) =
                (FolderContents::list(folder, below), fs::canonicalize(folder))
            else {
                continue;
            };
            // A folder and a link to it are the same folder.
            if seen.contains(&real_path) {
                continue;
            }
            seen.push(real_path);
            match contents.ratings.is_empty() {
                true => next_level.extend(contents.listing.folders),
                false => found.push(contents),
            }
        }
        match found.len() {
            0 => level = next_level,
            1 => {
                let above = found[0].path.ancestors().skip(1).take_while(|above| above.starts_with(path));
                let above = above.filter(|&above| above != path);
                let above = above.map(|above| FolderContents::list(above, below));
                let above = above.collect::<Result<Vec<_>, _>>()?;
                found.extend(above);
                found.push(given);
                return Ok(found);
            }
            _ => {
                let found = found.into_iter().map(|contents| contents.path).collect();
                return Err(Error::SeveralFolders { folder: path.into(), found });
            }
        }
    }
    Ok(vec![given])
}

/// The error for a folder without rating files.
fn no_ratings(path: &Path, below: Option<&Path>) -> Error {
    let listing = match Listing::of(path, below) {
        Ok(listing) => listing,
        Err(error) => return error,
    };
    let mut found = NameList::default();
    for folder in &listing.folders {
        let can_be_listed = Listing::of(folder, below).is_ok();
        let remark = if can_be_listed { "" } else { " (which cannot be listed)" };
        found.add(format!("{}/{remark}", file_name(folder)));
    }
    listing.files.iter().for_each(|file| found.add(file_name(file)));
    let packed = listing.files.iter().take(MAX_ENTRIES).find_map(|file| {
        let content = content_of_path(file, below).filter(|content| content.is_packed())?;
        Some((file.clone(), content))
    });
    Error::NoRatings { folder: path.into(), found, packed }
}
