//! What was read, from where, what was refused and why, and what is left to do.

use std::path::Path;
use std::sync::Arc;

use pgrx::datum::TimestampWithTimeZone;
use prize_format::{Kind, Reject, TextFile, Unit};

use super::allowed;
use super::error::LoadError;
use crate::pg::scan::Seen;
use crate::pg::{Error, catalog, query};

/// A load.
pub struct Run {
    pub run_id: i64,
    pub path: Option<String>,
    pub status: String,
    pub started_at: TimestampWithTimeZone,
    pub files: i32,
    pub ratings_read: i64,
    pub ratings_loaded: i64,
    pub duplicates: i64,
    pub rejected: i64,
    pub first_rating_key: i64,
    /// What the warehouse held when it was completed.
    pub customers: i64,
    pub movies: i64,
    pub probe_pairs: i64,
    pub qualifying_pairs: i64,
}

impl Run {
    /// Whether it loads into an empty fact_ratings, whose indexes it then sets aside.
    pub fn is_first(&self) -> bool {
        self.first_rating_key == 1
    }
}

/// The load that is not completed, if there is one.
pub fn unfinished() -> Result<Option<Run>, LoadError> {
    find("status <> 'completed'", &[])
}

/// The load of this number.
pub fn run(run_id: i64) -> Result<Option<Run>, LoadError> {
    find("run_id = $1", &[run_id.into()])
}

fn find(condition: &str, args: &[pgrx::datum::DatumWithOid<'_>]) -> Result<Option<Run>, LoadError> {
    let query = format!(
        "SELECT run_id, path, status, started_at, files, ratings_read, ratings_loaded, duplicates, rejected,
                first_rating_key, coalesce(customers, 0), coalesce(movies, 0), coalesce(probe_pairs, 0),
                coalesce(qualifying_pairs, 0)
         FROM @extschema@.load_run WHERE {condition}"
    );
    let missing = || Error::Null("load_run");
    let runs = query::select(Seen::Now, &query, args, |row| {
        let number = |column| row.get::<i64>(column)?.ok_or_else(missing);
        Ok(Run {
            run_id: number(1)?,
            path: row.get(2)?,
            status: row.get(3)?.ok_or_else(missing)?,
            started_at: row.get(4)?.ok_or_else(missing)?,
            files: row.get(5)?.ok_or_else(missing)?,
            ratings_read: number(6)?,
            ratings_loaded: number(7)?,
            duplicates: number(8)?,
            rejected: number(9)?,
            first_rating_key: number(10)?,
            customers: number(11)?,
            movies: number(12)?,
            probe_pairs: number(13)?,
            qualifying_pairs: number(14)?,
        })
    })?;
    Ok(runs.into_iter().next())
}

/// What a load is about to do.
pub struct Plan<'a> {
    /// The folder, where the ratings are of files.
    pub path: Option<&'a str>,
    pub files: &'a [TextFile],
    pub rejects: &'a [Reject],
    pub units: &'a [Unit],
    pub has_qualifying: bool,
    pub ratings_read: u64,
    pub duplicates: u64,
    pub rejected: u64,
    pub first_rating_key: i64,
}

/// Enters a load, its files, its rejects and its units of work; gives the load's number.
pub fn begin(plan: &Plan<'_>) -> Result<i64, LoadError> {
    let run_id = query::run_one::<i64>(
        "INSERT INTO @extschema@.load_run (path, status, started_at, files, ratings_read, ratings_loaded,
                                           duplicates, rejected, first_rating_key)
         VALUES ($1, 'loading', clock_timestamp(), $2, $3, $4, $5, $6, $7) RETURNING run_id",
        &[
            plan.path.into(),
            (plan.files.len() as i32).into(),
            (plan.ratings_read as i64).into(),
            ((plan.ratings_read - plan.duplicates) as i64).into(),
            (plan.duplicates as i64).into(),
            (plan.rejected as i64).into(),
            plan.first_rating_key.into(),
        ],
    )?
    .ok_or(Error::Null("load_run"))?;
    write_files(run_id, plan.files, plan.units)?;
    write_rejects(run_id, plan.rejects, plan.path.is_some())?;
    let insert = "INSERT INTO @extschema@.load_unit (run_id, unit_no, ratings, files, plan) VALUES ($1, $2, $3, $4, $5)";
    let mut unit_no = 0;
    if plan.has_qualifying {
        // It takes longest, so it comes first.
        unit_no += 1;
        let none = (Vec::<i32>::new(), Vec::<u8>::new());
        query::run(insert, &[run_id.into(), unit_no.into(), 0i64.into(), none.0.into(), none.1.into()])?;
    }
    for unit in plan.units {
        unit_no += 1;
        let files = unit.files().into_iter().map(|file| file as i32 + 1).collect::<Vec<_>>();
        let ratings = unit.ratings() as i64;
        query::run(
            insert,
            &[run_id.into(), unit_no.into(), ratings.into(), files.into(), unit.to_bytes()?.into()],
        )?;
    }
    Ok(run_id)
}

fn write_files(run_id: i64, files: &[TextFile], units: &[Unit]) -> Result<(), LoadError> {
    let mut is_left = vec![false; files.len()];
    units.iter().flat_map(Unit::files).for_each(|file| is_left[file] = true);
    let column = |value: fn(&TextFile) -> i64| files.iter().map(value).collect::<Vec<_>>();
    let state = |(file, is_left): (&TextFile, bool)| {
        let is_left = is_left || matches!(file.kind, Kind::Probe | Kind::Qualifying | Kind::Judging);
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
            files.iter().map(|file| name(file.kind)).collect::<Vec<_>>().into(),
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

fn write_rejects(run_id: i64, rejects: &[Reject], are_of_files: bool) -> Result<(), LoadError> {
    query::run(
        "INSERT INTO @extschema@.load_reject (run_id, reject_no, file_no, line, text, reason)
         SELECT $1, reject_no, file_no, line, text, reason
         FROM unnest($2::int[], $3::bigint[], $4::text[], $5::text[])
              WITH ORDINALITY AS reject (file_no, line, text, reason, reject_no)",
        &[
            run_id.into(),
            rejects
                .iter()
                .map(|reject| are_of_files.then_some(reject.file as i32 + 1))
                .collect::<Vec<_>>()
                .into(),
            rejects.iter().map(|reject| reject.line as i64).collect::<Vec<_>>().into(),
            rejects.iter().map(|reject| reject.text.clone()).collect::<Vec<_>>().into(),
            rejects.iter().map(|reject| reject.reason.to_string()).collect::<Vec<_>>().into(),
        ],
    )
    .map_err(LoadError::from)
}

/// Whether a table has no rows now.
pub fn is_empty(table: &str) -> Result<bool, LoadError> {
    let query = format!("SELECT NOT EXISTS (SELECT FROM @extschema@.{table})");
    Ok(query::select_one::<bool>(Seen::Now, &query, &[])? == Some(true))
}

/// The files of a load, as they were when they were read first.
pub fn files(run_id: i64) -> Result<Vec<TextFile>, LoadError> {
    let missing = || Error::Null("load_file");
    let below = allowed::below()?.map(Arc::<Path>::from);
    let files = query::select(
        Seen::Now,
        "SELECT kind, path, member, position, bytes, modified, checksum, records, rejected
         FROM @extschema@.load_file WHERE run_id = $1 ORDER BY file_no",
        &[run_id.into()],
        |row| {
            let number = |column| row.get::<i64>(column)?.ok_or_else(missing);
            let kind = row.get::<String>(1)?.ok_or_else(missing)?;
            Ok(TextFile {
                kind: KINDS.into_iter().find(|&(_, name)| name == kind).ok_or_else(missing)?.0,
                path: row.get::<String>(2)?.ok_or_else(missing)?.into(),
                below: below.clone(),
                member: row.get(3)?,
                position: number(4)? as u64,
                bytes: number(5)? as u64,
                modified: row.get(6)?,
                checksum: number(7)? as u32,
                records: number(8)? as u64,
                rejected: number(9)? as u64,
            })
        },
    )?;
    Ok(files)
}

/// The places, in [`files`], of those that are needed still: rating files that a unit names, the qualifying set until it
/// is loaded, and the probe where it has to mark ratings that were there before.
pub fn files_left(run_id: i64) -> Result<Vec<usize>, LoadError> {
    let query = "SELECT file_no FROM @extschema@.load_file JOIN @extschema@.load_run USING (run_id)
                 WHERE run_id = $1 AND state <> 'loaded' AND (kind <> 'probe' OR first_rating_key > 1)
                   AND (kind <> 'ratings' OR file_no IN (SELECT unnest(load_unit.files) FROM @extschema@.load_unit
                                                         WHERE run_id = $1))
                 ORDER BY file_no";
    let number = |row: pgrx::spi::SpiHeapTupleData<'_>| Ok(row.get::<i32>(1)?.unwrap_or(1) as usize - 1);
    Ok(query::select(Seen::Now, query, &[run_id.into()], number)?)
}

/// Notes that a file has another time of change, but the same content.
pub fn touched(run_id: i64, file: usize, modified: Option<i64>) -> Result<(), LoadError> {
    let file_no = file as i32 + 1;
    query::run(
        "UPDATE @extschema@.load_file SET modified = $3 WHERE run_id = $1 AND file_no = $2",
        &[run_id.into(), file_no.into(), modified.into()],
    )
    .map_err(LoadError::from)
}

/// The number of the last unit that is left to do; 0 where none is.
pub fn units(run_id: i64) -> Result<usize, LoadError> {
    let query = "SELECT max(unit_no) FROM @extschema@.load_unit WHERE run_id = $1";
    Ok(query::select_one::<i32>(Seen::Now, query, &[run_id.into()])?.unwrap_or(0) as usize)
}

/// Takes a unit off the list, and with it the duty to load it; `None` where that is done already. Who else wants it
/// waits until this transaction has ended.
pub fn take_unit(run_id: i64, unit_no: usize) -> Result<Option<Vec<u8>>, LoadError> {
    let delete = "DELETE FROM @extschema@.load_unit WHERE run_id = $1 AND unit_no = $2 RETURNING plan";
    Ok(query::run_one::<Vec<u8>>(delete, &[run_id.into(), (unit_no as i32).into()])?)
}

/// Marks those of these files as loaded that no unit needs any more.
pub fn loaded(run_id: i64, files: &[usize]) -> Result<(), LoadError> {
    let files = files.iter().map(|&file| file as i32 + 1).collect::<Vec<_>>();
    query::run(
        "UPDATE @extschema@.load_file SET state = 'loaded'
         WHERE run_id = $1 AND file_no = ANY ($2) AND state <> 'loaded'
           AND file_no NOT IN (SELECT unnest(files) FROM @extschema@.load_unit WHERE run_id = $1)",
        &[run_id.into(), files.into()],
    )
    .map_err(LoadError::from)
}

/// Notes what the warehouse holds.
pub fn count(run_id: i64, probe_pairs: u64) -> Result<(), LoadError> {
    query::run(
        "UPDATE @extschema@.load_run SET
             customers = (SELECT count(*) FROM @extschema@.dim_customer),
             movies = (SELECT count(*) FROM @extschema@.dim_movie),
             probe_pairs = $2,
             qualifying_pairs = (SELECT count(*) FROM @extschema@.qualifying)
         WHERE run_id = $1",
        &[run_id.into(), (probe_pairs as i64).into()],
    )
    .map_err(LoadError::from)
}

/// Enters that all is done.
pub fn complete(run_id: i64) -> Result<(), LoadError> {
    query::run(
        "UPDATE @extschema@.load_file SET state = 'loaded' WHERE run_id = $1 AND state <> 'loaded'",
        &[run_id.into()],
    )?;
    query::run(
        "UPDATE @extschema@.load_run SET status = 'completed', finished_at = clock_timestamp() WHERE run_id = $1",
        &[run_id.into()],
    )
    .map_err(LoadError::from)
}

/// Lets the planner know what has come, if the role may: false where it owns neither the tables nor the database, nor, from
/// PostgreSQL 17 on, has the privilege MAINTAIN.
pub fn analyze() -> Result<bool, LoadError> {
    let mut oids = Vec::new();
    for table in ["dim_date", "dim_movie", "dim_customer", "fact_ratings", "qualifying"] {
        oids.push(catalog::table(table)?);
    }
    let of_table = if cfg!(any(feature = "pg14", feature = "pg15", feature = "pg16")) {
        "pg_has_role(relowner, 'USAGE')"
    } else {
        "has_table_privilege(oid, 'MAINTAIN')"
    };
    let may = query::select_one::<bool>(
        Seen::Now,
        &format!(
            "SELECT bool_and({of_table}) OR
                    (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database())
             FROM pg_class WHERE oid = ANY ($1::oid[])"
        ),
        &[oids.into()],
    )?;
    if may == Some(true) {
        query::run(
            "ANALYZE @extschema@.dim_date, @extschema@.dim_movie, @extschema@.dim_customer,
                     @extschema@.fact_ratings, @extschema@.qualifying",
            &[],
        )?;
    }
    Ok(may == Some(true))
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Titles, "titles"),
    (Kind::Ratings, "ratings"),
    (Kind::Probe, "probe"),
    (Kind::Qualifying, "qualifying"),
    (Kind::Judging, "judging"),
];

fn name(kind: Kind) -> &'static str {
    KINDS.into_iter().find(|&(other, _)| other == kind).map_or("", |(_, name)| name)
}
