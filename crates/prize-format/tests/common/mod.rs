//! Folders of a few files, and what the first pass finds in them.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use prize_format::{Error, Folder, Limits, Survey, Watch};
use tempfile::TempDir;

/// One rating, of movie 1.
pub const RATINGS: (&str, &[u8]) = ("combined_data_1.txt", b"1:\n7,5,2004-02-29\n");

/// A folder with these files.
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// Surveys a folder that may lack ratings, with so many lines of ratings refused at most.
pub fn survey_more(path: &Path, rejects: u64) -> Result<Survey, Error> {
    let folder = Folder::open_more(path, None)?;
    let watch = Watch { stop: &AtomicBool::new(false), on_progress: &|_| () };
    Survey::take(&folder, Limits { rejects: Some(rejects), memory: 1 << 30 }, &watch)
}

/// The same, where nothing is to be refused.
pub fn survey(files: &[(&str, &[u8])]) -> (TempDir, Survey) {
    let folder = folder(files);
    let survey = survey_more(folder.path(), 0).unwrap();
    (folder, survey)
}

/// What the notices say, without the folder's path, and which of them tell of a loss.
pub fn told(folder: &TempDir, survey: &Survey) -> Vec<(String, bool)> {
    let path = format!("{}/", folder.path().display());
    survey.notices.iter().map(|told| (told.to_string().replace(&path, ""), told.is_loss())).collect()
}
