//! A caller who may read only files in one folder gets nothing from elsewhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use prize_format::{ContentCheck, Error, Folder, Limits, RatingReader, Survey, Watch, modification_time};
use tempfile::TempDir;

/// Makes a folder `mine`, whose files may be read, and a folder `theirs`. Each has the same data set.
fn two_folders() -> TempDir {
    let root = TempDir::new().unwrap();
    for folder in ["mine/set", "theirs/set"] {
        let folder = root.path().join(folder);
        fs::create_dir_all(folder.join("training_set")).unwrap();
        fs::write(folder.join("training_set/mv_0000001.txt"), "1:\n7,5,2004-02-29\n").unwrap();
        fs::write(folder.join("movie_titles.csv"), "1,2003,The Silent Harbour\n").unwrap();
    }
    root
}

fn mine(root: &TempDir) -> PathBuf {
    root.path().canonicalize().unwrap().join("mine")
}

fn survey(path: &Path, below: &Path) -> Result<Survey, Error> {
    let folder = Folder::open_below(path, Some(below))?;
    let watch = Watch { stop: &AtomicBool::new(false), on_progress: &|_| () };
    Survey::take(&folder, Limits { rejects: Some(0), memory: 1 << 30 }, &watch)
}

fn is_outside<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Outside { .. }))
}

#[test]
fn files_in_the_folder_are_read() {
    let root = two_folders();
    let mine = mine(&root);
    assert_eq!(survey(&mine.join("set"), &mine).unwrap().files.len(), 2);
    // So are files to which a link in the folder leads, and a folder to which a link from elsewhere leads.
    fs::rename(mine.join("set/movie_titles.csv"), mine.join("titles")).unwrap();
    symlink("../titles", mine.join("set/movie_titles.csv")).unwrap();
    symlink(mine.join("set"), root.path().join("link")).unwrap();
    assert_eq!(survey(&root.path().join("link"), &mine).unwrap().files.len(), 2);
}

#[test]
fn files_elsewhere_are_not_read() {
    let root = two_folders();
    let (mine, theirs) = (mine(&root), root.path().join("theirs/set"));
    assert!(is_outside(survey(&theirs, &mine)));
    assert!(is_outside(survey(&mine.join("../theirs/set"), &mine)));
    // The name of this folder begins with the name of the allowed one.
    symlink(&theirs, root.path().join("mine too")).unwrap();
    assert!(is_outside(survey(&root.path().join("mine too"), &mine)));
    // A link in place of the whole data set, of a folder in it, of a file, of an archive.
    symlink(&theirs, mine.join("link")).unwrap();
    assert!(is_outside(survey(&mine.join("link"), &mine)));
    for (index, name) in ["training_set", "combined_data_1.txt", "training_set.tar", "training_set.tar.gz"]
        .into_iter()
        .enumerate()
    {
        let set = mine.join(index.to_string());
        fs::create_dir(&set).unwrap();
        let file = if index == 0 { "training_set" } else { "training_set/mv_0000001.txt" };
        symlink(theirs.join(file), set.join(name)).unwrap();
        assert!(is_outside(survey(&set, &mine)), "{name}");
    }
}

#[test]
fn a_folder_that_a_link_replaces_between_the_passes_is_not_read() {
    let root = two_folders();
    let mine = mine(&root);
    let survey = survey(&mine.join("set"), &mine).unwrap();
    fs::remove_dir_all(mine.join("set/training_set")).unwrap();
    symlink(root.path().join("theirs/set/training_set"), mine.join("set/training_set")).unwrap();
    let file = survey.files.iter().find(|file| file.path.ends_with("mv_0000001.txt")).unwrap();
    assert!(is_outside(modification_time(file)));
    assert!(is_outside(ContentCheck::default().run(file, &|| Ok(()))));
    let (units, mut ratings) = (survey.units(1), Vec::new());
    let mut reader = RatingReader::new(&survey.files, &|| Ok(()));
    assert!(is_outside(reader.read(&units[0].movies[0], &mut ratings)));
    assert!(ratings.is_empty());
}
