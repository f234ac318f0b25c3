//! One folder, and what of it is read and what is not.

use std::fs;
use std::path::{Path, PathBuf};

use super::listing::{Listing, find, numbered};
use super::names::{
    ARCHIVE, COMBINED, ONE_A_MOVIE, file_name, has_name_of_packed, is_name_of_data_set, is_named,
    is_one_a_movie, seems_to_belong,
};
use super::notice::Notice;
use super::plain_file;
use crate::error::Error;
use crate::error::name_list::Listed;
use crate::parse::content::Content;

/// In how many folders rating files are looked for.
pub const MOST_FOLDERS: usize = 100;

/// A folder and what of it is read.
pub struct Place {
    pub path: PathBuf,
    pub here: Listing,
    /// What is in its folders `training_set` and `grand_prize`.
    inner: Listing,
    pub answers: Listing,
    /// The latter, where it may not be looked through.
    closed: Listed,
    pub ratings: Vec<PathBuf>,
    /// Rating files that are not read, as they are packed copies of such as are.
    copies: Listed,
    /// The archive, where it is not read because its files are there.
    archive: Option<PathBuf>,
}

impl Place {
    pub fn look(path: &Path, below: Option<&Path>) -> Result<Place, Error> {
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
    pub fn tell(&self, notices: &mut Vec<Notice>, below: Option<&Path>) {
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

/// What a file that is not read is, where that can be told.
pub fn content(path: &Path, below: Option<&Path>) -> Option<Content> {
    let file = plain_file::open_plain(path).ok()?;
    plain_file::check_below(&file, path, below).ok()?;
    plain_file::begins_with(&file).ok()
}
