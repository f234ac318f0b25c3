//! What the files of the data set are called.

use std::path::Path;

pub const TITLES: [&str; 2] = ["movie_titles.csv", "movie_titles.txt"];
pub const PROBE: [&str; 1] = ["probe.txt"];
pub const QUALIFYING: [&str; 1] = ["qualifying.txt"];
pub const JUDGING: [&str; 1] = ["judging.txt"];
pub const ARCHIVE: [&str; 2] = ["training_set.tar", "training_set.tgz"];

/// How the names of files with one movie's ratings begin, and those of files with many movies'.
pub const ONE_A_MOVIE: &str = "mv_";
pub const COMBINED: &str = "combined_data_";

/// Whether a file should hold the training set's files.
pub fn is_archive(path: &Path) -> bool {
    ARCHIVE.iter().any(|name| plain_name(&file_name(path)) == *name)
}

/// Whether a file holds one movie's ratings, by its name.
pub fn is_one_a_movie(path: &Path) -> bool {
    is_numbered(&file_name(path), ONE_A_MOVIE)
}

/// Whether a file's name is one that is read, packed or not.
pub fn is_name_of_data_set(name: &str) -> bool {
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

pub fn has_name_of_packed(path: &Path) -> bool {
    const ENDINGS: [&str; 10] = ["7z", "bz2", "gz", "rar", "tar", "tgz", "xz", "zip", "zst", "z"];
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&&*ending))
}

/// The last part of a name in an archive. Those made on Windows may have its separators.
pub fn last_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

pub fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// A name in small letters, without `.gz`.
pub fn plain_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_suffix(".gz").map_or(name.clone(), str::to_owned)
}

pub fn is_named(folder: &Path, name: &str) -> bool {
    file_name(folder).eq_ignore_ascii_case(name)
}

pub fn is_numbered(name: &str, prefix: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(".txt"));
    number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a file's name says that it is packed.
pub fn is_gzipped(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}
