//! Which of the Prize's files a folder holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::listing::{Listing, find};
use super::names::{JUDGING, PROBE, QUALIFYING, TITLES, file_name};
use super::notice::Notice;
use super::place::{MOST_FOLDERS, Place, content};
use crate::error::Error;
use crate::error::name_list::Listed;

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

/// How far below the folder that was named rating files are looked for, and in how many folders.
const LEVELS: usize = 2;

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
