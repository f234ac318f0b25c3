//! Finds the rating files in a tar archive. A damaged archive must not make the reader take all memory. A header that states more
//! bytes than the archive has is an error.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::names;
use crate::error::Error;
use crate::error::name_list::NameList;

/// The most bytes of headers before a member. There must be a limit, because a name in a header may be of any length
/// and is held in memory.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Members of an archive are padded to a multiple of this many bytes.
const BLOCK_BYTES: u64 = 512;

/// A member of an archive that is a file with one movie's ratings.
#[derive(Clone, Debug, PartialEq)]
pub struct RatingMember {
    /// Its name in the archive.
    pub name: String,
    /// The offset of its first byte in the archive.
    pub position: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The names of an archive's other members. They are not read.
#[derive(Debug, Default, PartialEq)]
pub struct OtherMembers {
    /// Those whose names resemble the data set's.
    pub of_data_set: NameList,
    /// The rest.
    pub rest: NameList,
}

/// Reads an archive from its beginning to its end, and calls `read_member` for each rating file. Returns the other
/// members.
pub fn read_rating_members(
    path: &Path,
    source: impl Read,
    mut read_member: impl FnMut(RatingMember, &mut dyn Read) -> Result<(), Error>,
) -> Result<OtherMembers, Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let limit = Cell::new(MAX_HEADER_BYTES);
    let mut archive = tar::Archive::new(LimitedReader { source, position: 0, limit: &limit });
    let mut others = OtherMembers::default();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        limit.set(end_of(&entry).map_err(failed)?.saturating_add(MAX_HEADER_BYTES));
        if let Some(member) = rating_member(path, &mut entry, &mut others)? {
            read_member(member, &mut entry)?;
        }
    }
    Ok(others)
}

/// Reads what follows the last member. An error if that is anything but zeros. `check` is called several times a
/// second; its error stops the reading.
pub fn read_end(
    path: &Path,
    mut source: impl Read,
    check: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
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
                    "the archive has data after its end",
                )));
            }
        }
    }
}

/// Lists the rating files of an archive of `bytes` bytes, and its other members. Only headers are read, and what
/// follows the last member, which must be zeros. `check` is called for each member; its error stops the reading.
pub fn list_members(
    path: &Path,
    source: impl Read + Seek,
    bytes: u64,
    check: impl Fn() -> Result<(), Error>,
) -> Result<(Vec<RatingMember>, OtherMembers), Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let limit = Cell::new(MAX_HEADER_BYTES);
    let mut archive = tar::Archive::new(LimitedReader { source, position: 0, limit: &limit });
    let (mut members, mut others) = (Vec::new(), OtherMembers::default());
    let mut last_end = 0;
    for entry in archive.entries_with_seek().map_err(failed)? {
        check()?;
        let mut entry = entry.map_err(failed)?;
        let entry_end = end_of(&entry).map_err(failed)?;
        // Seeking beyond the end of the file would not fail.
        if entry_end > bytes {
            let message = "the archive ends in the middle of a member";
            return Err(failed(io::Error::new(io::ErrorKind::UnexpectedEof, message)));
        }
        limit.set(entry_end.saturating_add(MAX_HEADER_BYTES));
        members.extend(rating_member(path, &mut entry, &mut others)?);
        last_end = entry_end;
    }
    let LimitedReader { mut source, .. } = archive.into_inner();
    source.seek(SeekFrom::Start(last_end)).map_err(failed)?;
    read_end(path, source, check)?;
    Ok((members, others))
}

/// The offset of the header after an entry.
fn end_of<R: Read>(entry: &tar::Entry<'_, R>) -> io::Result<u64> {
    // The size of a sparse file includes its holes, which are not stored in the archive.
    let bytes =
        if entry.header().entry_type().is_gnu_sparse() { entry.header().entry_size()? } else { entry.size() };
    let end = entry
        .raw_file_position()
        .checked_add(bytes)
        .and_then(|end| end.checked_next_multiple_of(BLOCK_BYTES));
    end.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a member of the archive is too long"))
}

/// The entry, if it is a rating file; otherwise its name is added to `others`. An entry with the name of a rating file
/// that is not a plain file is an error, because its ratings would be missing.
fn rating_member<R: Read>(
    path: &Path,
    entry: &mut tar::Entry<'_, R>,
    others: &mut OtherMembers,
) -> Result<Option<RatingMember>, Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let name = entry.path().map_err(failed)?.to_string_lossy().into_owned();
    let entry_type = entry.header().entry_type();
    if !names::is_movie_file(Path::new(names::member_file_name(&name))) {
        if names::resembles_data_set(names::member_file_name(&name)) && !entry_type.is_dir() {
            others.of_data_set.add(name);
        } else {
            others.rest.add(name);
        }
        return Ok(None);
    }
    let kind = match entry_type {
        // Some programs put a file into a folder of its name.
        tar::EntryType::Directory => return Ok(None),
        tar::EntryType::Regular | tar::EntryType::Continuous if is_sparse(entry).map_err(failed)? => {
            "a sparse file"
        }
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            let (position, bytes) = (entry.raw_file_position(), entry.size());
            return Ok(Some(RatingMember { name, position, bytes }));
        }
        tar::EntryType::GNUSparse => "a sparse file",
        tar::EntryType::Symlink | tar::EntryType::Link => "a link to another file",
        _ => "not a plain file",
    };
    Err(Error::NotAFile { path: path.into(), member: name, kind })
}

/// Whether an extended header (POSIX.1-2001) says that the entry is a sparse file, as newer versions of GNU tar write
/// it.
fn is_sparse<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<bool> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(false) };
    for extension in extensions {
        if extension?.key_bytes().starts_with(b"GNU.sparse.") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A source that fails when it is read beyond `limit`.
struct LimitedReader<'a, S> {
    source: S,
    position: u64,
    limit: &'a Cell<u64>,
}

impl<S: Read> Read for LimitedReader<'_, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(out)?;
        self.position += n as u64;
        if self.position > self.limit.get() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a header in the archive is longer than 1 MB",
            ));
        }
        Ok(n)
    }
}

impl<S: Seek> Seek for LimitedReader<'_, S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.source.seek(to)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry of an archive, with its header. `size` is the length that the header claims.
    fn entry(kind: tar::EntryType, name: &str, text: &[u8], size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path(name).unwrap();
        header.set_size(size);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(text);
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES as usize), 0);
        bytes
    }

    /// Name, position and length of an archive's members, or why it cannot be read. Both ways of reading must agree.
    fn members(archive: &[u8]) -> Result<Vec<(String, u64, u64)>, String> {
        let path = Path::new("a.tar");
        let mut streamed = Vec::new();
        let mut source = archive;
        let result = read_rating_members(path, &mut source, |member, text| {
            assert!(io::copy(text, &mut io::sink()).unwrap() <= member.bytes);
            streamed.push(member);
            Ok(())
        })
        .and_then(|others| read_end(path, source, || Ok(())).map(|()| others));
        let listed = list_members(path, io::Cursor::new(archive), archive.len() as u64, || Ok(()));
        assert_eq!(result.is_ok(), listed.is_ok());
        let (listed, others) = listed.map_err(|error| error.to_string())?;
        assert_eq!((&listed, others), (&streamed, result.unwrap()));
        Ok(listed.into_iter().map(|member| (member.name, member.position, member.bytes)).collect())
    }

    fn message(reason: &str) -> String {
        format!("could not read \"a.tar\": {reason}")
    }

    const FILE: tar::EntryType = tar::EntryType::Regular;
    const LONG: tar::EntryType = tar::EntryType::GNULongName;

    #[test]
    fn a_long_name_is_read_and_a_too_long_one_is_refused() {
        let ratings = entry(FILE, "short", b"1:\n", 3);
        let name = format!("{}mv_7.txt", "a/".repeat(1000));
        let archive = [entry(LONG, "long", name.as_bytes(), name.len() as u64), ratings.clone()].concat();
        assert_eq!(members(&archive), Ok(vec![(name, 512 + 2048 + 512, 3)]));
        let too_long = vec![b'a'; 3 << 20];
        // The limit counts from the end of the member before, which may be long.
        let large = entry(FILE, "other", &too_long, too_long.len() as u64);
        let archive = [large, entry(LONG, "long", &too_long, too_long.len() as u64), ratings].concat();
        assert_eq!(members(&archive), Err(message("a header in the archive is longer than 1 MB")));
    }

    #[test]
    fn an_archive_that_ends_too_early_is_refused() {
        let ending_with = |text: &[u8]| {
            let whole = entry(FILE, "mv_1.txt", b"1:\n", 3);
            members(&[whole, entry(FILE, "mv_2.txt", text, 1000)].concat())
        };
        assert_eq!(ending_with(&[b'x'; 1000]).unwrap().len(), 2);
        assert_eq!(ending_with(&[b'x'; 512]), Err(message("the archive ends in the middle of a member")));
    }

    #[test]
    fn nothing_may_follow_the_end() {
        let ratings = entry(FILE, "mv_1.txt", b"1:\n", 3);
        let end = vec![0; 10 * BLOCK_BYTES as usize];
        assert_eq!(members(&[ratings.clone(), end.clone()].concat()).unwrap().len(), 1);
        assert_eq!(members(&[]).unwrap().len(), 0);
        // A header was overwritten by zeros, or a second archive follows the first.
        for end in [&end[..BLOCK_BYTES as usize], &end] {
            let archive = [&ratings[..], end, &entry(FILE, "mv_2.txt", b"2:\n", 3)].concat();
            assert_eq!(members(&archive), Err(message("the archive has data after its end")));
        }
    }

    #[test]
    fn names_from_windows_are_read() {
        let archive = entry(FILE, "training_set\\mv_0000001.txt", b"1:\n", 3);
        assert_eq!(members(&archive), Ok(vec![("training_set\\mv_0000001.txt".into(), 512, 3)]));
    }

    #[test]
    fn rating_files_that_are_not_plain_files_are_refused() {
        use tar::EntryType;
        let with = |kind| {
            let mut link = entry(kind, "training_set/mv_2.txt", b"", 0);
            let header = tar::Header::from_byte_slice(&link[..512]).clone();
            let mut header = header.clone();
            header.set_link_name("mv_1.txt").unwrap();
            header.set_cksum();
            link[..512].copy_from_slice(header.as_bytes());
            members(&[entry(FILE, "mv_1.txt", b"1:\n", 3), link].concat())
        };
        let refused = |what: &str| {
            Err(format!("\"training_set/mv_2.txt\" in \"a.tar\" is {what}: its ratings would be missing"))
        };
        assert_eq!(with(EntryType::Symlink), refused("a link to another file"));
        assert_eq!(with(EntryType::Link), refused("a link to another file"));
        assert_eq!(with(EntryType::Fifo), refused("not a plain file"));
        assert_eq!(with(EntryType::Directory).unwrap().len(), 1);
        let sparse = [
            entry(EntryType::XHeader, "pax", b"22 GNU.sparse.major=1\n", 22),
            entry(FILE, "GNUSparseFile.0/mv_2.txt", b"1\n0\n3\n", 6),
        ];
        let message = "\"GNUSparseFile.0/mv_2.txt\" in \"a.tar\" is a sparse file";
        assert!(members(&sparse.concat()).unwrap_err().starts_with(message));
    }

    #[test]
    fn other_files_of_the_data_set_are_listed() {
        let archive = [
            entry(FILE, "mv_1.txt", b"1:\n", 3),
            entry(FILE, "download/probe.txt", b"", 0),
            entry(FILE, "mv_2.txt.gz", b"", 0),
            entry(FILE, "._mv_1.txt", b"", 0),
            entry(FILE, "README", b"", 0),
        ];
        let archive = archive.concat();
        let (members, others) =
            list_members(Path::new("a.tar"), io::Cursor::new(&archive), archive.len() as u64, || Ok(()))
                .unwrap();
        assert_eq!(members.len(), 1);
        assert_eq!(others.of_data_set.to_string(), "\"download/probe.txt\" and \"mv_2.txt.gz\"");
        assert_eq!(others.rest.to_string(), "\"._mv_1.txt\" and \"README\"");
    }
}
