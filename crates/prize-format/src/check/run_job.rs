//! Runs one job of the first pass.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::findings::Findings;
use super::jobs::{Job, no_rating_members, not_an_archive, unread_members};
use super::pass::Pass;
use super::peeked::Peeked;
use super::text_reader::TextReader;
use super::thread_state::ThreadState;
use crate::error::Error;
use crate::find::archive::{RatingMember, read_end, read_rating_members};
use crate::find::names::has_gzip_ending;
use crate::find::notice::Notice;
use crate::parse::content::Content;
use crate::read::stream::Stream;
use crate::read::text_file::{TextFile, TextKind};

/// Runs a job that reads an optional file. If `may_skip`, a file that cannot be read is skipped with a notice, and
/// nothing of it is added to `state`.
pub fn run_optional_job(
    job: &Job,
    job_index: usize,
    state: &mut ThreadState,
    pass: &Pass<'_>,
    may_skip: bool,
) -> Result<Findings, Error> {
    let (mut own_state, mut findings) = (ThreadState::default(), Findings::default());
    let result = run_job(job, job_index, &mut own_state, &mut findings, pass);
    pass.free_memory(own_state.bytes_reported);
    match (result, job) {
        (Ok(()), _) => {
            state.merge(own_state);
            Ok(findings)
        }
        (Err(error @ (Error::Stopped | Error::OutOfMemory | Error::MemoryLimit { .. })), _)
        | (Err(error @ Error::Outside { .. }), _) => Err(error),
        (Err(error), Job::Text(_, path)) if may_skip => {
            let notice = Notice::Skipped { path: path.clone(), why: error.why_skipped() };
            Ok(Findings { notices: vec![notice], ..Findings::default() })
        }
        (Err(error), _) => Err(error),
    }
}

/// Runs a job. After an error, `findings` has what was found before it.
pub fn run_job(
    job: &Job,
    job_index: usize,
    state: &mut ThreadState,
    findings: &mut Findings,
    pass: &Pass<'_>,
) -> Result<(), Error> {
    match job {
        Job::Text(kind, path) => {
            let (mut stream, modified) = Stream::open(path, pass.below.clone())?;
            let is_gzipped = !stream.is_plain();
            findings.has_wrong_ending = has_gzip_ending(path) && !is_gzipped;
            let mut reader = TextReader { job_index, state, findings, pass, bytes_reported: 0, is_gzipped };
            let file = unread_text(*kind, path, pass.below.clone(), modified);
            reader.read(file, &mut stream, |stream| stream.bytes_from_disk())
        }
        Job::GzippedArchive(path) => {
            let (mut stream, modified) = Stream::open(path, pass.below.clone())?;
            let mut stream = Peeked::new(&mut stream);
            match stream.content().map_err(|source| Error::Io { path: path.clone(), source })? {
                None | Some(Content::Tar) => {}
                Some(content) => return Err(not_an_archive(path, content, true)),
            }
            let mut reader =
                TextReader { job_index, state, findings, pass, bytes_reported: 0, is_gzipped: true };
            let others = read_rating_members(path, &mut stream, |member, text| {
                reader.bytes_reported = 0;
                reader.read(unread_member(path, pass.below.clone(), &member, modified), text, |_| 0)
            })?;
            if findings.files.is_empty() {
                return Err(no_rating_members(path, others));
            }
            findings.notices.extend(unread_members(path, others));
            // The gzip checksum comes after the archive's end.
            read_end(path, &mut stream, || pass.advance(job_index, 0, 0))?;
            pass.advance(job_index, stream.source.bytes_from_disk(), 0)
        }
        Job::Members(path, members) => {
            let (mut stream, modified) = Stream::open(path, pass.below.clone())?;
            let mut reader =
                TextReader { job_index, state, findings, pass, bytes_reported: 0, is_gzipped: false };
            for member in members {
                stream.seek(member.position, &|| Ok(()))?;
                let bytes_before = stream.bytes_from_disk();
                reader.bytes_reported = 0;
                reader.read(
                    unread_member(path, pass.below.clone(), member, modified),
                    &mut (&mut stream).take(member.bytes),
                    |text| text.get_ref().bytes_from_disk() - bytes_before,
                )?;
            }
            Ok(())
        }
    }
}

/// A text before it is read. Its length, checksum and counts are still 0.
fn unread_text(kind: TextKind, path: &Path, below: Option<Arc<Path>>, modified: Option<i64>) -> TextFile {
    TextFile {
        kind,
        path: path.into(),
        below,
        member: None,
        position: 0,
        bytes: 0,
        modified,
        checksum: 0,
        records: 0,
        rejected: 0,
    }
}

fn unread_member(
    path: &Path,
    below: Option<Arc<Path>>,
    member: &RatingMember,
    modified: Option<i64>,
) -> TextFile {
    let RatingMember { name, position, .. } = member;
    let text = unread_text(TextKind::Ratings, path, below, modified);
    TextFile { member: Some(name.clone()), position: *position, ..text }
}
