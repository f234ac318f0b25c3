//! The file names of the data set.

use std::borrow::Cow;
use std::path::Path;

pub const TITLES: [&str; 2] = ["movie_titles.csv", "movie_titles.txt"];
pub const PROBE: [&str; 1] = ["probe.txt"];
pub const QUALIFYING: [&str; 1] = ["qualifying.txt"];
pub const JUDGING: [&str; 1] = ["judging.txt"];
pub const ARCHIVE: [&str; 2] = ["training_set.tar", "training_set.tgz"];

/// The beginning of the names of files with one movie's ratings.
pub const MOVIE_FILE: &str = "mv_";
/// The beginning of the names of files with many movies' ratings.
pub const COMBINED_FILE: &str = "combined_data_";

/// Whether a file has the name of the archive of rating files.
pub fn is_archive(path: &Path) -> bool {
    ARCHIVE.iter().any(|name| normalized(&file_name(path)) == *name)
}

/// Whether a file has the name of a file with one movie's ratings.
pub fn is_movie_file(path: &Path) -> bool {
    is_numbered(&file_name(path), MOVIE_FILE)
}

/// Whether a name is one of the data set's file names, with or without `.gz`.
pub fn is_of_data_set(name: &str) -> bool {
    let name = normalized(name);
    let is_one_of = |names: &[&str]| names.iter().any(|&other| name == other);
    is_numbered(&name, MOVIE_FILE)
        || is_numbered(&name, COMBINED_FILE)
        || [&TITLES[..], &PROBE, &QUALIFYING, &JUDGING, &ARCHIVE].into_iter().any(is_one_of)
}

/// Whether a name begins like one of the data set's file names, so that its user may expect the file to be read.
pub fn resembles_data_set(name: &str) -> bool {
    const BEGINNINGS: [&str; 7] =
        [MOVIE_FILE, "combined_data", "movie_titles", "probe", "qualifying", "judging", "training_set"];
    let name = name.to_ascii_lowercase();
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Whether a name ends like that of an archive or a compressed file.
pub fn has_packed_ending(path: &Path) -> bool {
    const ENDINGS: [&str; 10] = ["7z", "bz2", "gz", "rar", "tar", "tgz", "xz", "zip", "zst", "z"];
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&&*ending))
}

/// Whether a name ends in `.gz`, in upper or lower case.
pub fn has_gzip_ending(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

/// The file name of an archive's member, without its folders. Archives made on Windows may separate them by `\`.
pub fn member_file_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

pub fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// A name in lower case and without `.gz`.
pub fn normalized(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_suffix(".gz").map_or(name.clone(), str::to_owned)
}

/// Whether a folder has this name. Upper and lower case are the same.
pub fn is_named(folder: &Path, name: &str) -> bool {
    file_name(folder).eq_ignore_ascii_case(name)
}

/// Whether a name is `prefix`, then digits, then `.txt`. Upper and lower case are the same.
pub fn is_numbered(name: &str, prefix: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let digits = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(".txt"));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}
