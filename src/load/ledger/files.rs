//! The files of a load, and which of them are still needed.

use std::path::Path;
use std::sync::Arc;

use prize_format::{TextFile, TextKind, Unit};

use crate::load::error::LoadError;
use crate::load::file_access;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, query};

/// Records the files of a load. Those that no unit needs are loaded already.
pub fn record_files(run_id: i64, files: &[TextFile], units: &[Unit]) -> Result<(), LoadError> {
    let mut is_left = vec![false; files.len()];
    units.iter().flat_map(Unit::files).for_each(|file| is_left[file] = true);
    let column = |value: fn(&TextFile) -> i64| files.iter().map(value).collect::<Vec<_>>();
    let state = |(file, is_left): (&TextFile, bool)| {
        let is_left =
            is_left || matches!(file.kind, TextKind::Probe | TextKind::Qualifying | TextKind::Judging);
        if is_left { "read" } else { "loaded" }
    };
    query::run(
        "INSERT INTO @extschema@.load_file (run_id, file_no, kind, path, member, position, bytes, modified, checksum,
                                            records, rejected, state)
         SELECT $1, file_no, kind, path, member, position, bytes, modified, checksum, records, rejected, state
         FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
                     $9::bigint[], $10::bigint[], $11::text[])
              WITH ORDINALITY AS file (kind, path, member, position, bytes, modified, checksum, records, rejected,
                                       state, file_no)",
        &[
            run_id.into(),
            files.iter().map(|file| kind_name(file.kind)).collect::<Vec<_>>().into(),
            files.iter().map(|file| file.path.to_string_lossy().into_owned()).collect::<Vec<_>>().into(),
            files.iter().map(|file| file.member.clone()).collect::<Vec<_>>().into(),
            column(|file| file.position as i64).into(),
            column(|file| file.bytes as i64).into(),
            files.iter().map(|file| file.modified).collect::<Vec<_>>().into(),
            column(|file| i64::from(file.checksum)).into(),
            column(|file| file.records as i64).into(),
            column(|file| file.rejected as i64).into(),
            files.iter().zip(is_left).map(state).collect::<Vec<_>>().into(),
        ],
    )
    .map_err(LoadError::from)
}

/// The files of a load, as they were when the load read them first.
pub fn files(run_id: i64) -> Result<Vec<TextFile>, LoadError> {
    let missing = || pg::Error::Null("load_file");
    let below = file_access::below()?.map(Arc::<Path>::from);
    let files = query::select(
        Snapshot::Latest,
        "SELECT kind, path, member, position, bytes, modified, checksum, records, rejected
         FROM @extschema@.load_file WHERE run_id = $1 ORDER BY file_no",
        &[run_id.into()],
        |row| {
            let int8 = |column| row.get::<i64>(column)?.ok_or_else(missing);
            let kind = row.get::<String>(1)?.ok_or_else(missing)?;
            Ok(TextFile {
                kind: KINDS.into_iter().find(|&(_, name)| name == kind).ok_or_else(missing)?.0,
                path: row.get::<String>(2)?.ok_or_else(missing)?.into(),
                below: below.clone(),
                member: row.get(3)?,
                position: int8(4)? as u64,
                bytes: int8(5)? as u64,
                modified: row.get(6)?,
                checksum: int8(7)? as u32,
                records: int8(8)? as u64,
                rejected: int8(9)? as u64,
            })
        },
    )?;
    // A role that may load can write any path into this table.
    files.iter().try_for_each(|file| file_access::check(&file.path, below.as_deref()))?;
    Ok(files)
}

/// The files that are needed still, as indices into [`files`]: rating files that a unit names; the qualifying set until it is loaded;
/// and the probe, if it has to mark ratings that were there before.
pub fn files_left(run_id: i64) -> Result<Vec<usize>, LoadError> {
    let query = "SELECT file_no FROM @extschema@.load_file JOIN @extschema@.load_run USING (run_id)
                 WHERE run_id = $1 AND state <> 'loaded' AND (kind <> 'probe' OR NOT is_first)
                   AND (kind <> 'ratings' OR file_no IN (SELECT unnest(load_unit.files) FROM @extschema@.load_unit
                                                         WHERE run_id = $1))
                 ORDER BY file_no";
    let index = |row: pgrx::spi::SpiHeapTupleData<'_>| Ok(row.get::<i32>(1)?.unwrap_or(1) as usize - 1);
    Ok(query::select(Snapshot::Latest, query, &[run_id.into()], index)?)
}

/// Records a file's new modification time.
pub fn update_modified(run_id: i64, file: usize, modified: Option<i64>) -> Result<(), LoadError> {
    let file_no = file as i32 + 1;
    query::run(
        "UPDATE @extschema@.load_file SET modified = $3 WHERE run_id = $1 AND file_no = $2",
        &[run_id.into(), file_no.into(), modified.into()],
    )
    .map_err(LoadError::from)
}

/// Records that a load's files are in another folder now.
pub fn move_files(run_id: i64, folder: &str, files: &[TextFile]) -> Result<(), LoadError> {
    query::run(
        "UPDATE @extschema@.load_file AS file SET path = new.path, modified = new.modified
         FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS new (path, modified, file_no)
         WHERE file.run_id = $1 AND file.file_no = new.file_no",
        &[
            run_id.into(),
            files.iter().map(|file| file.path.to_string_lossy().into_owned()).collect::<Vec<_>>().into(),
            files.iter().map(|file| file.modified).collect::<Vec<_>>().into(),
        ],
    )?;
    let update = "UPDATE @extschema@.load_run SET path = $2 WHERE run_id = $1";
    query::run(update, &[run_id.into(), folder.into()]).map_err(LoadError::from)
}

/// Marks those of these files as loaded that no unit needs any more.
pub fn mark_loaded(run_id: i64, files: &[usize]) -> Result<(), LoadError> {
    let files = files.iter().map(|&file| file as i32 + 1).collect::<Vec<_>>();
    query::run(
        "UPDATE @extschema@.load_file SET state = 'loaded'
         WHERE run_id = $1 AND file_no = ANY ($2) AND state <> 'loaded'
           AND file_no NOT IN (SELECT unnest(files) FROM @extschema@.load_unit WHERE run_id = $1)",
        &[run_id.into(), files.into()],
    )
    .map_err(LoadError::from)
}

const KINDS: [(TextKind, &str); 5] = [
    (TextKind::Titles, "titles"),
    (TextKind::Ratings, "ratings"),
    (TextKind::Probe, "probe"),
    (TextKind::Qualifying, "qualifying"),
    (TextKind::Judging, "judging"),
];

fn kind_name(kind: TextKind) -> &'static str {
    KINDS.into_iter().find(|&(other, _)| other == kind).map_or("", |(_, name)| name)
}
