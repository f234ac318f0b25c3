//! A folder's rating files, and notices about the files in it that are not read.

use std::fs;
use std::path::{Path, PathBuf};

use super::listing::{Listing, files_named, files_numbered};
use super::names::{
    ARCHIVE, COMBINED_FILE, MOVIE_FILE, file_name, has_packed_ending, is_movie_file, is_named,
    is_of_data_set, resembles_data_set,
};
use super::notice::Notice;
use super::plain_file::content_of_path;
use crate::error::Error;
use crate::error::name_list::NameList;
use crate::parse::content::Content;

/// The most subfolders, or files of other names, that are looked at.
pub const MAX_ENTRIES: usize = 100;

/// A folder, with its subfolders `training_set` and `grand_prize`.
pub struct FolderContents {
    pub path: PathBuf,
    pub listing: Listing,
    training_set: Listing,
    pub grand_prize: Listing,
    /// `grand_prize`, if it cannot be listed.
    unlisted: NameList,
    pub ratings: Vec<PathBuf>,
    /// Gzipped rating files that are not read, because the same file is there without `.gz`.
    copies: NameList,
    /// The archive of rating files, if it is not read because its files are there.
    unread_archive: Option<PathBuf>,
}

impl FolderContents {
    /// Lists a folder and finds its rating files. If `below` is given, the folder must lie in it.
    pub fn list(path: &Path, below: Option<&Path>) -> Result<FolderContents, Error> {
        let listing = Listing::of(path, below)?;
        let folder = |name: &str| listing.folders.iter().find(|folder| is_named(folder, name));
        let training_set =
            folder("training_set").map_or(Ok(Listing::default()), |folder| Listing::of(folder, below))?;
        let (mut grand_prize, mut unlisted) = (Listing::default(), NameList::default());
        if let Some(folder) = folder("grand_prize") {
            match Listing::of(folder, below) {
                Ok(listing) => grand_prize = listing,
                // No error, because ratings can be loaded without the answers.
                Err(Error::Io { .. }) => unlisted.add(folder.to_string_lossy()),
                Err(error) => return Err(error),
            }
        }
        let (mut ratings, mut copies) = (Vec::new(), NameList::default());
        ratings.extend(files_numbered(&training_set.files, MOVIE_FILE, &mut copies));
        ratings.extend(files_numbered(&listing.files, MOVIE_FILE, &mut copies));
        // People often keep the archive after they have unpacked it.
        let mut archive = files_named(&listing.files, &ARCHIVE).next().cloned();
        if ratings.is_empty() {
            ratings.extend(archive.take());
        }
        ratings.extend(files_numbered(&listing.files, COMBINED_FILE, &mut copies));
        let (path, unread_archive) = (path.into(), archive);
        Ok(FolderContents {
            path,
            listing,
            training_set,
            grand_prize,
            unlisted,
            ratings,
            copies,
            unread_archive,
        })
    }

    /// Adds notices about everything here that a user may expect to be read and that is not read.
    pub fn add_notices(&self, notices: &mut Vec<Notice>, below: Option<&Path>) {
        let mut add = |files: NameList, why: &str, is_loss| {
            let is_any = !files.is_empty();
            let notice = Notice::NotRead { files, why: why.into(), is_loss };
            // A folder may be listed twice: as the given folder, and as a subfolder of it.
            if is_any && !notices.contains(&notice) {
                notices.push(notice);
            }
        };
        add(self.copies.clone(), "the files without .gz are read instead", false);
        add(self.unlisted.clone(), "it cannot be listed", true);
        if let Some(archive) = &self.unread_archive {
            let unpacked = self.ratings.iter().filter(|path| is_movie_file(path)).count();
            let why = format!(
                "the files unpacked from it are read instead (number of files: {unpacked}). If some are missing, unpack it again: {}",
                Content::Tar.remedy(archive).trim_start_matches("Unpack it: ")
            );
            add(std::iter::once(archive.as_path()).collect(), &why, false);
        }
        for listing in [&self.listing, &self.training_set, &self.grand_prize] {
            let not_files = listing.not_files.iter().map(PathBuf::as_path);
            add(
                not_files.collect(),
                "not a plain file, and not a folder with a plain file of that name",
                true,
            );
            // Files whose names resemble the data set's, and archives.
            let mut others = NameList::default();
            for file in listing.files.iter().filter(|file| !is_of_data_set(&file_name(file))) {
                let is_expected = resembles_data_set(&file_name(file));
                if !is_expected && !has_packed_ending(file) {
                    continue;
                }
                match content_of_path(file, below).filter(|content| content.is_packed()) {
                    Some(content) => {
                        let why = format!("it is {}. {}", content.name(), content.remedy(file));
                        add(std::iter::once(file.as_path()).collect(), &why, is_expected);
                    }
                    None if is_expected => others.add(file.to_string_lossy()),
                    None => {}
                }
            }
            add(others, "no file of the data set has such a name", true);
        }
        let real_path = fs::canonicalize(&self.path).ok();
        let holds_ratings = |folder: &&PathBuf| {
            FolderContents::list(folder, below).is_ok_and(|contents| !contents.ratings.is_empty())
                && fs::canonicalize(folder).ok() != real_path
        };
        let folders = self.listing.folders.iter().take(MAX_ENTRIES);
        let folders = folders.filter(|folder| !is_named(folder, "training_set") && !self.ratings.is_empty());
        let folders = folders.filter(holds_ratings).map(PathBuf::as_path).collect();
        add(folders, "rating files are there, too. Load such a folder by itself", true);
    }
}
