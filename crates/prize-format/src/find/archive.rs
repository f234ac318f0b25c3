//! Archives of rating files, whose headers must neither take all memory nor promise what is not there.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::names;
use crate::error::Error;
use crate::error::name_list::Listed;

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

/// What an archive holds beside files of one movie's ratings.
#[derive(Debug, Default, PartialEq)]
pub struct Rest {
    /// Files that have the name of another of the data set's.
    pub of_data_set: Listed,
    /// All others.
    pub others: Listed,
}

/// Hands on each file of one movie's ratings of an archive that is read from its beginning to its end. Gives what else is there.
pub fn each_packed(
    path: &Path,
    source: impl Read,
    mut each: impl FnMut(Member, &mut dyn Read) -> Result<(), Error>,
) -> Result<Rest, Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let end = Cell::new(MAX_HEADERS);
    let mut archive = tar::Archive::new(Bounded { source, position: 0, end: &end });
    let mut rest = Rest::default();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        end.set(end_of(&entry).map_err(failed)?.saturating_add(MAX_HEADERS));
        if let Some(member) = member(path, &mut entry, &mut rest)? {
            each(member, &mut entry)?;
        }
    }
    Ok(rest)
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
/// member: nothing but zeros. `check` is asked at each whether to go on. Gives what else is there, too.
pub fn members(
    path: &Path,
    source: impl Read + Seek,
    bytes: u64,
    check: impl Fn() -> Result<(), Error>,
) -> Result<(Vec<Member>, Rest), Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let end = Cell::new(MAX_HEADERS);
    let mut archive = tar::Archive::new(Bounded { source, position: 0, end: &end });
    let (mut members, mut rest) = (Vec::new(), Rest::default());
    let mut last = 0;
    for entry in archive.entries_with_seek().map_err(failed)? {
        check()?;
        let mut entry = entry.map_err(failed)?;
        let ends = end_of(&entry).map_err(failed)?;
        // Seeking, one would not notice.
        if ends > bytes {
            let message = "the archive ends within a member";
            return Err(failed(io::Error::new(io::ErrorKind::UnexpectedEof, message)));
        }
        end.set(ends.saturating_add(MAX_HEADERS));
        members.extend(member(path, &mut entry, &mut rest)?);
        last = ends;
    }
    let Bounded { mut source, .. } = archive.into_inner();
    source.seek(SeekFrom::Start(last)).map_err(failed)?;
    drain(path, source, check)?;
    Ok((members, rest))
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

/// The file of one movie's ratings that an entry is. One of such a name that cannot be read out of the archive is an error: its
/// ratings would be missing.
fn member<R: Read>(
    path: &Path,
    entry: &mut tar::Entry<'_, R>,
    rest: &mut Rest,
) -> Result<Option<Member>, Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let name = entry.path().map_err(failed)?.to_string_lossy().into_owned();
    let kind = entry.header().entry_type();
    if !names::is_one_a_movie(Path::new(names::last_name(&name))) {
        if names::seems_to_belong(names::last_name(&name)) && !kind.is_dir() {
            rest.of_data_set.add(name);
        } else {
            rest.others.add(name);
        }
        return Ok(None);
    }
    let what = match kind {
        // A folder may have the name of the file in it.
        tar::EntryType::Directory => return Ok(None),
        tar::EntryType::Regular | tar::EntryType::Continuous if is_sparse(entry).map_err(failed)? => {
            "a sparse file"
        }
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            let (position, bytes) = (entry.raw_file_position(), entry.size());
            return Ok(Some(Member { name, position, bytes }));
        }
        tar::EntryType::GNUSparse => "a sparse file",
        tar::EntryType::Symlink | tar::EntryType::Link => "a link to another file",
        _ => "no plain file",
    };
    Err(Error::NoFile { path: path.into(), member: name, kind: what })
}

/// Whether newer versions of tar have written an entry without its holes, as an extended header tells (POSIX.1-2001).
fn is_sparse<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<bool> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(false) };
    for extension in extensions {
        if extension?.key_bytes().starts_with(b"GNU.sparse.") {
            return Ok(true);
        }
    }
    Ok(false)
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
        .and_then(|rest| drain(path, source, || Ok(())).map(|()| rest));
        let plain = members(path, io::Cursor::new(archive), archive.len() as u64, || Ok(()));
        assert_eq!(result.is_ok(), plain.is_ok());
        let (plain, rest) = plain.map_err(|error| error.to_string())?;
        assert_eq!((&plain, rest), (&packed, result.unwrap()));
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

    #[test]
    fn names_of_windows_are_read() {
        let archive = entry(FILE, "training_set\\mv_0000001.txt", b"1:\n", 3);
        assert_eq!(names(&archive), Ok(vec![("training_set\\mv_0000001.txt".into(), 512, 3)]));
    }

    #[test]
    fn ratings_that_cannot_be_read_out_of_the_archive_are_refused() {
        use tar::EntryType;
        let kind = |kind| {
            let mut link = entry(kind, "training_set/mv_2.txt", b"", 0);
            let header = tar::Header::from_byte_slice(&link[..512]).clone();
            let mut header = header.clone();
            header.set_link_name("mv_1.txt").unwrap();
            header.set_cksum();
            link[..512].copy_from_slice(header.as_bytes());
            names(&[entry(FILE, "mv_1.txt", b"1:\n", 3), link].concat())
        };
        let refused = |what: &str| {
            Err(format!("\"training_set/mv_2.txt\" in \"a.tar\" is {what}: its ratings would be missing"))
        };
        assert_eq!(kind(EntryType::Symlink), refused("a link to another file"));
        assert_eq!(kind(EntryType::Link), refused("a link to another file"));
        assert_eq!(kind(EntryType::Fifo), refused("no plain file"));
        assert_eq!(kind(EntryType::Directory).unwrap().len(), 1);
        let sparse = [
            entry(EntryType::XHeader, "pax", b"22 GNU.sparse.major=1\n", 22),
            entry(FILE, "GNUSparseFile.0/mv_2.txt", b"1\n0\n3\n", 6),
        ];
        let told = "\"GNUSparseFile.0/mv_2.txt\" in \"a.tar\" is a sparse file";
        assert!(names(&sparse.concat()).unwrap_err().starts_with(told));
    }

    #[test]
    fn what_else_belongs_to_the_data_set_is_told() {
        let archive = [
            entry(FILE, "mv_1.txt", b"1:\n", 3),
            entry(FILE, "download/probe.txt", b"", 0),
            entry(FILE, "mv_2.txt.gz", b"", 0),
            entry(FILE, "._mv_1.txt", b"", 0),
            entry(FILE, "README", b"", 0),
        ];
        let archive = archive.concat();
        let (members, rest) =
            members(Path::new("a.tar"), io::Cursor::new(&archive), archive.len() as u64, || Ok(())).unwrap();
        assert_eq!(members.len(), 1);
        assert_eq!(rest.of_data_set.to_string(), "\"download/probe.txt\" and \"mv_2.txt.gz\"");
        assert_eq!(rest.others.to_string(), "\"._mv_1.txt\" and \"README\"");
    }
}
