//! What the first pass is divided into: each job reads a file, or some members of an archive.

use std::fs;
use std::path::{Path, PathBuf};

use super::pass::Watch;
use crate::error::Error;
use crate::find::archive::{self, Member, Rest};
use crate::find::folder::Folder;
use crate::find::names;
use crate::find::notice::Notice;
use crate::find::plain_file::{begins_with, check_below, open_plain};
use crate::parse::content::Content;
use crate::read::text_file::Kind;

/// What one thread does without asking another.
pub enum Job {
    /// Reads a text.
    Text(Kind, PathBuf),
    /// Reads an archive that is packed, and so from its beginning to its end.
    Archive(PathBuf),
    /// Reads some members of an archive that is not packed.
    Members(PathBuf, Vec<Member>),
}

impl Job {
    /// What it reads.
    pub fn kind(&self) -> Kind {
        match self {
            Job::Text(kind, _) => *kind,
            Job::Archive(_) | Job::Members(..) => Kind::Ratings,
        }
    }
}

/// Members of an archive that are one job.
const MEMBERS_A_JOB: usize = 64;

/// What reading a folder is made of.
pub struct Jobs {
    pub jobs: Vec<Job>,
    /// How many bytes the files have.
    pub total: u64,
    pub notices: Vec<Notice>,
}

/// The jobs that reading a folder is made of.
pub fn jobs(folder: &Folder, watch: &Watch<'_>) -> Result<Jobs, Error> {
    let (mut jobs, mut total, mut notices) = (Vec::new(), 0, Vec::new());
    let mut add = |kind, path: &PathBuf| {
        total += fs::metadata(path).map_or(0, |meta| meta.len());
        match names::is_archive(path) {
            true => match members(path, folder.below.as_deref(), watch)? {
                None => jobs.push(Job::Archive(path.clone())),
                Some((members, rest)) => {
                    notices.extend(not_read(path, rest));
                    let jobs_of = |some: &[Member]| Job::Members(path.clone(), some.to_vec());
                    jobs.extend(members.chunks(MEMBERS_A_JOB).map(jobs_of));
                }
            },
            false => jobs.push(Job::Text(kind, path.clone())),
        }
        Ok::<_, Error>(())
    };
    folder.titles.iter().try_for_each(|path| add(Kind::Titles, path))?;
    folder.ratings.iter().try_for_each(|path| add(Kind::Ratings, path))?;
    folder.probe.iter().try_for_each(|path| add(Kind::Probe, path))?;
    folder.qualifying.iter().try_for_each(|path| add(Kind::Qualifying, path))?;
    folder.judging.iter().try_for_each(|path| add(Kind::Judging, path))?;
    Ok(Jobs { jobs, total, notices })
}

/// The members of an archive that hold ratings; `None` where it is gzipped. Only their headers are read.
fn members(
    path: &Path,
    below: Option<&Path>,
    watch: &Watch<'_>,
) -> Result<Option<(Vec<Member>, Rest)>, Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let file = open_plain(path).map_err(failed)?;
    check_below(&file, path, below)?;
    let bytes = file.metadata().map_err(failed)?.len();
    match begins_with(&file).map_err(failed)? {
        Content::Gzip => return Ok(None),
        Content::Tar => {}
        _ if bytes == 0 => {}
        content => return Err(no_archive(path, content, false)),
    }
    let (members, rest) = archive::members(path, file, bytes, || watch.go_on())?;
    if members.is_empty() { Err(no_members(path, rest)) } else { Ok(Some((members, rest))) }
}

pub fn no_archive(path: &Path, content: Content, is_gzipped: bool) -> Error {
    Error::NotAs { path: path.into(), member: None, is_gzipped, content, wanted: "a tar archive" }
}

pub fn no_members(path: &Path, rest: Rest) -> Error {
    let found = if rest.of_data_set.is_empty() { rest.others } else { rest.of_data_set };
    Error::NoRatings { folder: path.into(), found, packed: None }
}

/// What of an archive's files is left out, if any that might be wanted is.
pub fn not_read(path: &Path, rest: Rest) -> Option<Notice> {
    let why = format!("of \"{}\", only files mv_*.txt are. {}", path.display(), Content::Tar.remedy(path));
    let Rest { of_data_set: files, .. } = rest;
    (!files.is_empty()).then_some(Notice::NotRead { files, why, is_loss: true })
}
