//! What a folder holds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::names::{file_name, is_archive, is_gzipped, is_name_of_data_set, is_numbered, plain_name};
use super::plain_file;
use crate::error::Error;
use crate::error::name_list::Listed;

/// What a folder holds, each by name.
#[derive(Default)]
pub struct Listing {
    /// Plain files, and links that lead nowhere: those are noticed when they are opened.
    pub files: Vec<PathBuf>,
    pub folders: Vec<PathBuf>,
    /// What has the name of a file that is read, and is none: a pipe or a socket must not hang or confuse a load.
    pub no_files: Vec<PathBuf>,
}

impl Listing {
    pub fn of(folder: &Path, below: Option<&Path>) -> Result<Listing, Error> {
        let failed = |source| Error::Io { path: folder.into(), source };
        // With a dot behind it, nothing but a folder can be opened. What is looked at is then what is listed.
        let opened = File::open(folder.join(".")).map_err(failed)?;
        plain_file::check_below(&opened, folder, below)?;
        let listed = if below.is_some() { &plain_file::by_number(&opened) } else { folder };
        let mut listing = Listing::default();
        for entry in fs::read_dir(listed).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = folder.join(entry.file_name());
            let is_wanted = is_name_of_data_set(&file_name(&path));
            // A broken link is noticed when it is opened.
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_symlink() => fs::metadata(&path).ok().map(|meta| meta.file_type()),
                kind => kind.ok(),
            };
            match kind {
                Some(kind) if kind.is_dir() && (!is_wanted || is_archive(&path)) => {
                    listing.folders.push(path)
                }
                // Some programs unpack each file into a folder of its name.
                Some(kind) if kind.is_dir() => {
                    let file = path.join(entry.file_name());
                    match fs::metadata(&file).is_ok_and(|meta| meta.is_file()) {
                        true => listing.files.push(file),
                        false => listing.no_files.push(path),
                    }
                }
                Some(kind) if !kind.is_file() && is_wanted => listing.no_files.push(path),
                Some(kind) if !kind.is_file() => {}
                _ => listing.files.push(path),
            }
        }
        listing.files.sort();
        listing.folders.sort();
        listing.no_files.sort();
        Ok(listing)
    }
}

/// Those files that have one of these names: plain ones first, then by the order of the names.
pub fn find<'a>(files: &'a [PathBuf], names: &[&str]) -> impl Iterator<Item = &'a PathBuf> {
    let packed = names.iter().map(|name| format!("{name}.gz"));
    let names = names.iter().map(|name| (*name).to_owned()).chain(packed).collect::<Vec<_>>();
    names.into_iter().filter_map(|name| files.iter().find(|path| file_name(path).eq_ignore_ascii_case(&name)))
}

/// Those of a folder's files that are numbered so, packed ones only where the plain one is not there: such are added to `copies`.
pub fn numbered(files: &[PathBuf], prefix: &str, copies: &mut Listed) -> Vec<PathBuf> {
    let of_number = files.iter().filter(|path| is_numbered(&plain_name(&file_name(path)), prefix));
    let mut found = of_number.map(|path| (plain_name(&file_name(path)), path)).collect::<Vec<_>>();
    // By name without `.gz`, so that packing some of them changes nothing; the plain one first.
    found.sort_by(|(a, one), (b, other)| (a, one.as_os_str().len()).cmp(&(b, other.as_os_str().len())));
    let mut taken = Vec::<(String, PathBuf)>::new();
    for (name, path) in found {
        match taken.last() {
            Some((last, plain)) if *last == name && !is_gzipped(plain) && is_gzipped(path) => {
                copies.add(path.to_string_lossy());
            }
            _ => taken.push((name, path.clone())),
        }
    }
    taken.into_iter().map(|(_, path)| path).collect()
}
