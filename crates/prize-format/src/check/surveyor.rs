//! One job of the first pass: reads a file, or some members of an archive.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::found::Found;
use super::jobs::{Job, no_archive, no_members, not_read};
use super::pass::Shared;
use super::peeked::Peeked;
use super::seen::Sets;
use super::text_reader::Reader;
use crate::error::Error;
use crate::find::archive::{self, Member};
use crate::find::names::is_gzipped;
use crate::find::notice::Notice;
use crate::parse::content::Content;
use crate::read::stream::Stream;
use crate::read::text_file::{Kind, TextFile};

/// Does a job whose file is not needed: where there is something to load without it, one that cannot be read is left aside
/// with a notice. Nothing of it is then among what the thread has seen.
pub fn read_optional(
    job: &Job,
    number: usize,
    sets: &mut Sets,
    shared: &Shared<'_>,
    may_do_without: bool,
) -> Result<Found, Error> {
    let (mut own, mut found) = (Sets::default(), Found::default());
    let result = read(job, number, &mut own, &mut found, shared);
    shared.free_memory(own.accounted);
    match (result, job) {
        (Ok(()), _) => {
            sets.merge(own);
            Ok(found)
        }
        (Err(error @ (Error::Stopped | Error::OutOfMemory | Error::MemoryLimit { .. })), _)
        | (Err(error @ Error::Outside { .. }), _) => Err(error),
        (Err(error), Job::Text(_, path)) if may_do_without => {
            let why = error.why();
            Ok(Found { notices: vec![Notice::LeftAside { path: path.clone(), why }], ..Found::default() })
        }
        (Err(error), _) => Err(error),
    }
}

/// Does a job. What was found up to an error stands in `found`.
pub fn read(
    job: &Job,
    number: usize,
    sets: &mut Sets,
    found: &mut Found,
    shared: &Shared<'_>,
) -> Result<(), Error> {
    match job {
        Job::Text(kind, path) => {
            let (mut stream, modified) = Stream::open(path, shared.below.clone())?;
            found.is_misnamed = is_gzipped(path) && stream.is_plain();
            let is_packed = !stream.is_plain();
            let mut reader = Reader { number, sets, found, shared, told: 0, is_packed };
            let file = text(*kind, path, shared.below.clone(), modified);
            reader.read(file, &mut stream, |stream| stream.read_from_disk())
        }
        Job::Archive(path) => {
            let (mut stream, modified) = Stream::open(path, shared.below.clone())?;
            let mut stream = Peeked::new(&mut stream);
            match stream.content().map_err(|source| Error::Io { path: path.clone(), source })? {
                None | Some(Content::Tar) => {}
                Some(content) => return Err(no_archive(path, content, true)),
            }
            let mut reader = Reader { number, sets, found, shared, told: 0, is_packed: true };
            let rest = archive::each_packed(path, &mut stream, |member, text| {
                reader.told = 0;
                reader.read(member_file(path, shared.below.clone(), &member, modified), text, |_| 0)
            })?;
            if found.files.is_empty() {
                return Err(no_members(path, rest));
            }
            found.notices.extend(not_read(path, rest));
            // Its checksum stands at its end.
            archive::drain(path, &mut stream, || shared.advance(number, 0, 0))?;
            shared.advance(number, stream.source.read_from_disk(), 0)
        }
        Job::Members(path, members) => {
            let (mut stream, modified) = Stream::open(path, shared.below.clone())?;
            let mut reader = Reader { number, sets, found, shared, told: 0, is_packed: false };
            for member in members {
                stream.seek(member.position, &|| Ok(()))?;
                let from = stream.read_from_disk();
                reader.told = 0;
                reader.read(
                    member_file(path, shared.below.clone(), member, modified),
                    &mut (&mut stream).take(member.bytes),
                    |part| part.get_ref().read_from_disk() - from,
                )?;
            }
            Ok(())
        }
    }
}

fn text(kind: Kind, path: &Path, below: Option<Arc<Path>>, modified: Option<i64>) -> TextFile {
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

fn member_file(path: &Path, below: Option<Arc<Path>>, member: &Member, modified: Option<i64>) -> TextFile {
    let Member { name, position, .. } = member;
    TextFile { member: Some(name.clone()), position: *position, ..text(Kind::Ratings, path, below, modified) }
}
