//! Archives of rating files, whose headers must neither take all memory nor promise what is not there.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::{Error, folder};

/// What may stand between two members. A name has no bound of its own, and is held in memory.
const MAX_HEADERS: u64 = 1 << 20;

/// The members of an archive end at multiples of this.
const BLOCK: u64 = 512;

/// A file of one movie's ratings, in an archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name there.
    pub name: String,
    /// Where it begins in the archive.
    pub position: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

/// Hands on each file of one movie's ratings of an archive that is read from its beginning to its end.
pub fn each_packed(
    path: &Path,
    source: impl Read,
    mut each: impl FnMut(Member, &mut dyn Read) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let end = Cell::new(MAX_HEADERS);
    let mut archive = tar::Archive::new(Bounded { source, position: 0, end: &end });
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        end.set(end_of(&entry).map_err(failed)?.saturating_add(MAX_HEADERS));
        if let Some(member) = member(&entry).map_err(failed)? {
            each(member, &mut entry)?;
        }
    }
    Ok(())
}

/// Reads what is left behind the last member: nothing but zeros. `check` is asked now and then whether to go on.
pub fn drain(path: &Path, mut source: impl Read, check: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        check()?;
        match source.read(&mut buffer).map_err(failed)? {
            0 => return Ok(()),
            n if buffer[..n].iter().all(|&byte| byte == 0) => {}
            _ => {
                return Err(failed(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the archive goes on behind its end",
                )));
            }
        }
    }
}

/// The files of one movie's ratings of an archive of so many bytes. Only headers are read, and what is left behind the last
/// member: nothing but zeros. `check` is asked at each whether to go on.
pub fn members(
    path: &Path,
    source: impl Read + Seek,
    bytes: u64,
    check: impl Fn() -> Result<(), Error>,
) -> Result<Vec<Member>, Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let end = Cell::new(MAX_HEADERS);
    let mut archive = tar::Archive::new(Bounded { source, position: 0, end: &end });
    let mut members = Vec::new();
    let mut last = 0;
    for entry in archive.entries_with_seek().map_err(failed)? {
        check()?;
        let entry = entry.map_err(failed)?;
        let ends = end_of(&entry).map_err(failed)?;
        // Seeking, one would not notice.
        if ends > bytes {
            let message = "the archive ends within a member";
            return Err(failed(io::Error::new(io::ErrorKind::UnexpectedEof, message)));
        }
        end.set(ends.saturating_add(MAX_HEADERS));
        members.extend(member(&entry).map_err(failed)?);
        last = ends;
    }
    let Bounded { mut source, .. } = archive.into_inner();
    source.seek(SeekFrom::Start(last)).map_err(failed)?;
    drain(path, source, check)?;
    Ok(members)
}

/// Where the header after an entry begins.
fn end_of<R: Read>(entry: &tar::Entry<'_, R>) -> io::Result<u64> {
    // A sparse file's size counts its holes, which the archive does not hold.
    let bytes =
        if entry.header().entry_type().is_gnu_sparse() { entry.header().entry_size()? } else { entry.size() };
    let end =
        entry.raw_file_position().checked_add(bytes).and_then(|end| end.checked_next_multiple_of(BLOCK));
    end.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a member of the archive is too long"))
}

fn member<R: Read>(entry: &tar::Entry<'_, R>) -> io::Result<Option<Member>> {
    let kind = entry.header().entry_type();
    let path = entry.path()?;
    let is_wanted = (kind.is_file() || kind.is_contiguous()) && folder::is_one_a_movie(&path);
    let name = path.to_string_lossy();
    let (position, bytes) = (entry.raw_file_position(), entry.size());
    Ok(is_wanted.then(|| Member { name: name.into_owned(), position, bytes }))
}

/// Fails where it is read further than it may be.
struct Bounded<'a, S> {
    source: S,
    position: u64,
    end: &'a Cell<u64>,
}

impl<S: Read> Read for Bounded<'_, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(out)?;
        self.position += n as u64;
        if self.position > self.end.get() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a header in the archive is longer than 1 MB",
            ));
        }
        Ok(n)
    }
}

impl<S: Seek> Seek for Bounded<'_, S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.source.seek(to)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: tar::EntryType, name: &str, text: &[u8], claimed: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path(name).unwrap();
        header.set_size(claimed);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(text);
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
        bytes
    }

    /// Name, place and length of an archive's members, or why it cannot be read: the same both ways.
    fn names(archive: &[u8]) -> Result<Vec<(String, u64, u64)>, String> {
        let path = Path::new("a.tar");
        let mut packed = Vec::new();
        let mut source = archive;
        let result = each_packed(path, &mut source, |member, text| {
            assert!(io::copy(text, &mut io::sink()).unwrap() <= member.bytes);
            packed.push(member);
            Ok(())
        })
        .and_then(|()| drain(path, source, || Ok(())));
        let plain = members(path, io::Cursor::new(archive), archive.len() as u64, || Ok(()));
        assert_eq!(result.is_ok(), plain.is_ok());
        let plain = plain.map_err(|error| error.to_string())?;
        assert_eq!(plain, packed);
        Ok(plain.into_iter().map(|member| (member.name, member.position, member.bytes)).collect())
    }

    fn why(reason: &str) -> String {
        format!("could not read \"a.tar\": {reason}")
    }

    const FILE: tar::EntryType = tar::EntryType::Regular;
    const LONG: tar::EntryType = tar::EntryType::GNULongName;

    #[test]
    fn a_long_name_is_read_and_an_endless_one_is_not() {
        let ratings = entry(FILE, "cut", b"1:\n", 3);
        let name = format!("{}mv_7.txt", "a/".repeat(1000));
        let archive = [entry(LONG, "long", name.as_bytes(), name.len() as u64), ratings.clone()].concat();
        assert_eq!(names(&archive), Ok(vec![(name, 512 + 2048 + 512, 3)]));
        let endless = vec![b'a'; 3 << 20];
        // After a large member, too.
        let large = entry(FILE, "other", &endless, endless.len() as u64);
        let archive = [large, entry(LONG, "long", &endless, endless.len() as u64), ratings].concat();
        assert_eq!(names(&archive), Err(why("a header in the archive is longer than 1 MB")));
    }

    #[test]
    fn an_archive_that_was_cut_short_is_no_archive() {
        let cut = |text: &[u8]| {
            let whole = entry(FILE, "mv_1.txt", b"1:\n", 3);
            names(&[whole, entry(FILE, "mv_2.txt", text, 1000)].concat())
        };
        assert_eq!(cut(&[b'x'; 1000]).unwrap().len(), 2);
        assert_eq!(cut(&[b'x'; 512]), Err(why("the archive ends within a member")));
    }

    #[test]
    fn nothing_may_come_behind_the_end() {
        let ratings = entry(FILE, "mv_1.txt", b"1:\n", 3);
        let end = vec![0; 10 * BLOCK as usize];
        assert_eq!(names(&[ratings.clone(), end.clone()].concat()).unwrap().len(), 1);
        assert_eq!(names(&[]).unwrap().len(), 0);
        // A header that was overwritten, or a second archive behind the first.
        for end in [&end[..BLOCK as usize], &end] {
            let archive = [&ratings[..], end, &entry(FILE, "mv_2.txt", b"2:\n", 3)].concat();
            assert_eq!(names(&archive), Err(why("the archive goes on behind its end")));
        }
    }
}
