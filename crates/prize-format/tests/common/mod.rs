//! Makes folders with a few files, and surveys them.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use prize_format::{Error, Folder, Limits, Survey, Watch};
use tempfile::TempDir;

/// A file with one rating, of movie 1.
pub const RATINGS: (&str, &[u8]) = ("combined_data_1.txt", b"1:\n7,5,2004-02-29\n");

/// Makes a folder with these files.
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// Surveys a folder, which need not have ratings. At most `rejects` lines of ratings may be refused.
pub fn survey_partial(path: &Path, rejects: u64) -> Result<Survey, Error> {
    let folder = Folder::open_partial(path, None)?;
    let watch = Watch { stop: &AtomicBool::new(false), on_progress: &|_| () };
    Survey::take(&folder, Limits { rejects: Some(rejects), memory: 1 << 30 }, &watch)
}

/// Makes a folder with these files, and surveys it. No line of ratings may be refused.
pub fn survey(files: &[(&str, &[u8])]) -> (TempDir, Survey) {
    let folder = folder(files);
    let survey = survey_partial(folder.path(), 0).unwrap();
    (folder, survey)
}

/// The texts of the notices without the folder's path, and whether data may be missing.
pub fn messages(folder: &TempDir, survey: &Survey) -> Vec<(String, bool)> {
    let path = format!("{}/", folder.path().display());
    survey.notices.iter().map(|notice| (notice.to_string().replace(&path, ""), notice.is_loss())).collect()
}
