//! Divides the first pass into jobs: each reads a file, or some members of an archive.

use std::fs;
use std::path::{Path, PathBuf};

use super::pass::Watch;
use crate::error::Error;
use crate::find::archive::{OtherMembers, RatingMember, list_members};
use crate::find::folder::Folder;
use crate::find::names;
use crate::find::notice::Notice;
use crate::find::plain_file::{check_below, content_of_open, open_plain};
use crate::parse::content::Content;
use crate::read::text_file::TextKind;

/// A part of the first pass. One thread does it from beginning to end.
pub enum Job {
    /// Reads a text.
    Text(TextKind, PathBuf),
    /// Reads a gzipped archive. It can only be read from its beginning to its end.
    GzippedArchive(PathBuf),
    /// Reads some members of an archive that is not gzipped.
    Members(PathBuf, Vec<RatingMember>),
}

impl Job {
    /// What it reads.
    pub fn kind(&self) -> TextKind {
        match self {
            Job::Text(kind, _) => *kind,
            Job::GzippedArchive(_) | Job::Members(..) => TextKind::Ratings,
        }
    }
}

const MEMBERS_PER_JOB: usize = 64;

/// The jobs for a folder, in the order of its files.
pub struct Jobs {
    pub jobs: Vec<Job>,
    /// The sum of the files' lengths on disk, in bytes.
    pub total_bytes: u64,
    pub notices: Vec<Notice>,
}

/// Divides the reading of a folder into jobs.
pub fn jobs_for(folder: &Folder, watch: &Watch<'_>) -> Result<Jobs, Error> {
    let (mut jobs, mut total_bytes, mut notices) = (Vec::new(), 0, Vec::new());
    let mut add = |kind, path: &PathBuf| {
        total_bytes += fs::metadata(path).map_or(0, |meta| meta.len());
        match names::is_archive(path) {
            true => match plain_archive_members(path, folder.below.as_deref(), watch)? {
                None => jobs.push(Job::GzippedArchive(path.clone())),
                Some((members, others)) => {
                    notices.extend(unread_members(path, others));
                    let job = |some: &[RatingMember]| Job::Members(path.clone(), some.to_vec());
                    jobs.extend(members.chunks(MEMBERS_PER_JOB).map(job));
                }
            },
            false => jobs.push(Job::Text(kind, path.clone())),
        }
        Ok::<_, Error>(())
    };
    folder.titles.iter().try_for_each(|path| add(TextKind::Titles, path))?;
    folder.ratings.iter().try_for_each(|path| add(TextKind::Ratings, path))?;
    folder.probe.iter().try_for_each(|path| add(TextKind::Probe, path))?;
    folder.qualifying.iter().try_for_each(|path| add(TextKind::Qualifying, path))?;
    folder.judging.iter().try_for_each(|path| add(TextKind::Judging, path))?;
    Ok(Jobs { jobs, total_bytes, notices })
}

/// Lists the members of an archive from their headers. `None` if the archive is gzipped.
fn plain_archive_members(
    path: &Path,
    below: Option<&Path>,
    watch: &Watch<'_>,
) -> Result<Option<(Vec<RatingMember>, OtherMembers)>, Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let file = open_plain(path).map_err(failed)?;
    check_below(&file, path, below)?;
    let bytes = file.metadata().map_err(failed)?.len();
    match content_of_open(&file).map_err(failed)? {
        Content::Gzip => return Ok(None),
        Content::Tar => {}
        _ if bytes == 0 => {}
        content => return Err(not_an_archive(path, content, false)),
    }
    let (members, others) = list_members(path, file, bytes, || watch.check_stop())?;
    if members.is_empty() { Err(no_rating_members(path, others)) } else { Ok(Some((members, others))) }
}

/// The error for a file that has the name of an archive and is none.
pub fn not_an_archive(path: &Path, content: Content, is_gzipped: bool) -> Error {
    Error::WrongContent { path: path.into(), member: None, is_gzipped, content, wanted: "a tar archive" }
}

/// The error for an archive without rating files.
pub fn no_rating_members(path: &Path, others: OtherMembers) -> Error {
    let found = if others.of_data_set.is_empty() { others.rest } else { others.of_data_set };
    Error::NoRatings { folder: path.into(), found, packed: None }
}

/// The notice about members of an archive that are not read, if the user may expect any of them to be read.
pub fn unread_members(path: &Path, others: OtherMembers) -> Option<Notice> {
    let why =
        format!("only the files mv_*.txt of \"{}\" are read. {}", path.display(), Content::Tar.remedy(path));
    let OtherMembers { of_data_set: files, .. } = others;
    (!files.is_empty()).then_some(Notice::NotRead { files, why, is_loss: true })
}
