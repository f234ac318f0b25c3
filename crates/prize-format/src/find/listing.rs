//! What is in a folder, and which of its files have a given name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::names::{file_name, has_gzip_ending, is_archive, is_numbered, is_of_data_set, normalized};
use super::plain_file::{check_below, path_of_open};
use crate::error::Error;
use crate::error::name_list::NameList;

/// What is in a folder. Each list is sorted by name.
#[derive(Default)]
pub struct Listing {
    /// Plain files. Also broken links, because opening them gives an error that names them.
    pub files: Vec<PathBuf>,
    pub folders: Vec<PathBuf>,
    /// Entries with a name of the data set that are not plain files, such as a pipe. Reading a pipe could wait forever.
    pub not_files: Vec<PathBuf>,
}

impl Listing {
    /// Lists a folder. If `below` is given, the folder must lie in it.
    pub fn of(folder: &Path, below: Option<&Path>) -> Result<Listing, Error> {
        let failed = |source| Error::Io { path: folder.into(), source };
        // With a dot at its end, only a folder can be opened. So the folder that is listed is the one that was checked against
        // `below`, even if a link is changed in between.
        let opened = File::open(folder.join(".")).map_err(failed)?;
        check_below(&opened, folder, below)?;
        let listed = if below.is_some() { &path_of_open(&opened) } else { folder };
        let mut listing = Listing::default();
        for entry in fs::read_dir(listed).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = folder.join(entry.file_name());
            let is_wanted = is_of_data_set(&file_name(&path));
            // `None` for a broken link.
            let file_type = match entry.file_type() {
                Ok(found) if found.is_symlink() => fs::metadata(&path).ok().map(|meta| meta.file_type()),
                found => found.ok(),
            };
            match file_type {
                Some(found) if found.is_dir() && (!is_wanted || is_archive(&path)) => {
                    listing.folders.push(path)
                }
                // Some programs unpack each file into a folder with the name of the file.
                Some(found) if found.is_dir() => {
                    let file = path.join(entry.file_name());
                    match fs::metadata(&file).is_ok_and(|meta| meta.is_file()) {
                        true => listing.files.push(file),
                        false => listing.not_files.push(path),
                    }
                }
                Some(found) if !found.is_file() && is_wanted => listing.not_files.push(path),
                Some(found) if !found.is_file() => {}
                _ => listing.files.push(path),
            }
        }
        listing.files.sort();
        listing.folders.sort();
        listing.not_files.sort();
        Ok(listing)
    }
}

/// The files that have one of these names: first those without `.gz`, each group in the order of `names`.
pub fn files_named<'a>(files: &'a [PathBuf], names: &[&str]) -> impl Iterator<Item = &'a PathBuf> {
    let gzipped = names.iter().map(|name| format!("{name}.gz"));
    let names = names.iter().map(|name| (*name).to_owned()).chain(gzipped).collect::<Vec<_>>();
    names.into_iter().filter_map(|name| files.iter().find(|path| file_name(path).eq_ignore_ascii_case(&name)))
}

/// The files whose names are `prefix` and a number, sorted by name. If a file is there with and without `.gz`,
/// only the one without is returned, and the other is added to `copies`.
pub fn files_numbered(files: &[PathBuf], prefix: &str, copies: &mut NameList) -> Vec<PathBuf> {
    let named = files.iter().map(|path| (normalized(&file_name(path)), path));
    let mut found = named.filter(|(name, _)| is_numbered(name, prefix)).collect::<Vec<_>>();
    // The order must not depend on which files are gzipped. Of two with the same name, the shorter one has no `.gz`.
    found.sort_by(|(a, one), (b, other)| (a, one.as_os_str().len()).cmp(&(b, other.as_os_str().len())));
    let mut taken = Vec::<(String, PathBuf)>::new();
    for (name, path) in found {
        match taken.last() {
            Some((last, plain)) if *last == name && !has_gzip_ending(plain) && has_gzip_ending(path) => {
                copies.add(path.to_string_lossy());
            }
            _ => taken.push((name, path.clone())),
        }
    }
    taken.into_iter().map(|(_, path)| path).collect()
}
