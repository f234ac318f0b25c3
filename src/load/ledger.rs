//! What was read, from where, what was refused and why, and what is left to do.

use std::path::Path;
use std::sync::Arc;

use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use prize_format::{Kind, Reject, TextFile, Unit};

use super::allowed;
use super::error::LoadError;
use crate::pg::scan::Seen;
use crate::pg::{Error, catalog, query, sequence};

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
    /// How many ratings were new when it was planned.
    pub ratings_planned: i64,
    /// Keys of the ratings that it has inserted, as ranges, their ends included, in order.
    pub rating_keys: Vec<(i64, i64)>,
    /// Whether fact_ratings was empty when it began.
    pub is_first: bool,
    /// Indexes that it set aside.
    pub indexes_aside: Vec<pg_sys::Oid>,
    /// What the warehouse held when it was completed.
    pub customers: i64,
    pub movies: i64,
    pub probe_pairs: i64,
    pub qualifying_pairs: i64,
}

/// The load that is under way or was interrupted, if there is one.
pub fn unfinished() -> Result<Option<Run>, LoadError> {
    find("status = 'loading'", &[])
}

/// The load of this number.
pub fn run(run_id: i64) -> Result<Option<Run>, LoadError> {
    find("run_id = $1", &[run_id.into()])
}

fn find(condition: &str, args: &[pgrx::datum::DatumWithOid<'_>]) -> Result<Option<Run>, LoadError> {
    let query = format!(
        "SELECT run_id, path, status, started_at, files, ratings_read, ratings_loaded, duplicates, rejected,
                coalesce(customers, 0), coalesce(movies, 0), coalesce(probe_pairs, 0),
                coalesce(qualifying_pairs, 0), is_first, ratings_planned
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
            customers: number(10)?,
            movies: number(11)?,
            probe_pairs: number(12)?,
            qualifying_pairs: number(13)?,
            is_first: row.get(14)?.ok_or_else(missing)?,
            ratings_planned: number(15)?,
            rating_keys: Vec::new(),
            indexes_aside: Vec::new(),
        })
    })?;
    let Some(mut run) = runs.into_iter().next() else { return Ok(None) };
    (run.rating_keys, run.indexes_aside) = what_is_inserted(run.run_id)?;
    Ok(Some(run))
}

/// What a load has done to fact_ratings: ranges of its ratings' keys, in order, and the indexes that it set aside.
fn what_is_inserted(run_id: i64) -> Result<(Vec<(i64, i64)>, Vec<pg_sys::Oid>), LoadError> {
    let missing = || Error::Null("load_inserted");
    let query = "SELECT ARRAY(SELECT lower(keys) FROM unnest(rating_keys) AS keys ORDER BY 1),
                        ARRAY(SELECT upper(keys) - 1 FROM unnest(rating_keys) AS keys ORDER BY 1), indexes_aside
                 FROM @extschema@.load_inserted WHERE run_id = $1";
    let found = query::as_owner("load_inserted", || {
        query::select(Seen::Now, query, &[run_id.into()], |row| {
            let ends = |column| row.get::<Vec<i64>>(column)?.ok_or_else(missing);
            Ok((ends(1)?.into_iter().zip(ends(2)?).collect(), row.get(3)?.ok_or_else(missing)?))
        })
    })??;
    Ok(found.into_iter().next().unwrap_or_default())
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
    pub is_first: bool,
    pub indexes_aside: &'a [pg_sys::Oid],
    /// Whether nothing is left to do.
    pub is_completed: bool,
}

/// Enters a load, its files, its rejects and its units of work; gives the load's number.
pub fn begin(plan: &Plan<'_>) -> Result<i64, LoadError> {
    sequence::catch_up("load_run", "run_id", "load_run_run_id_seq")?;
    let run_id = query::run_one::<i64>(
        "INSERT INTO @extschema@.load_run (path, started_at, files, ratings_read, ratings_loaded,
                                           duplicates, rejected, first_rating_key, is_first, ratings_planned,
                                           finished_at, status)
         VALUES ($1, clock_timestamp(), $2, $3, $4, $5, $6, $7, $8, $4, CASE WHEN $9 THEN clock_timestamp() END,
                 CASE WHEN $9 THEN 'completed' ELSE 'loading' END) RETURNING run_id",
        &[
            plan.path.into(),
            (plan.files.len() as i32).into(),
            (plan.ratings_read as i64).into(),
            ((plan.ratings_read - plan.duplicates) as i64).into(),
            (plan.duplicates as i64).into(),
            (plan.rejected as i64).into(),
            plan.first_rating_key.into(),
            plan.is_first.into(),
            plan.is_completed.into(),
        ],
    )?
    .ok_or(Error::Null("load_run"))?;
    write_files(run_id, plan.files, plan.units)?;
    write_rejects(run_id, plan.rejects, plan.path.is_some())?;
    if plan.is_completed {
        return Ok(run_id);
    }
    query::as_owner("load_inserted", || {
        let insert = "INSERT INTO @extschema@.load_inserted (run_id, indexes_aside) VALUES ($1, $2)";
        query::run(insert, &[run_id.into(), plan.indexes_aside.to_vec().into()])
    })??;
    let mut unit_no = 0;
    let mut insert = |ratings: u64, files: Vec<i32>, bytes: Vec<u8>| {
        unit_no += 1;
        query::run(
            "INSERT INTO @extschema@.load_unit (run_id, unit_no, ratings, first_rating_key, files, plan)
             VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                run_id.into(),
                unit_no.into(),
                (ratings as i64).into(),
                plan.first_rating_key.into(),
                files.into(),
                bytes.into(),
            ],
        )
    };
    if plan.has_qualifying {
        // It takes longest, so it comes first.
        insert(0, Vec::new(), Vec::new())?;
    }
    for unit in plan.units {
        let files = unit.files().into_iter().map(|file| file as i32 + 1).collect::<Vec<_>>();
        insert(unit.ratings(), files, unit.to_bytes()?)?;
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
    // Who may load may write anything here.
    files.iter().try_for_each(|file| allowed::check(&file.path, below.as_deref()))?;
    Ok(files)
}

/// The places, in [`files`], of those that are needed still: rating files that a unit names, the qualifying set until it
/// is loaded, and the probe where it has to mark ratings that were there before.
pub fn files_left(run_id: i64) -> Result<Vec<usize>, LoadError> {
    let query = "SELECT file_no FROM @extschema@.load_file JOIN @extschema@.load_run USING (run_id)
                 WHERE run_id = $1 AND state <> 'loaded' AND (kind <> 'probe' OR NOT is_first)
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

/// Notes that a load's files lie in another folder now.
pub fn moved(run_id: i64, folder: &str, files: &[TextFile]) -> Result<(), LoadError> {
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

/// The number of the last unit that is left to do; 0 where none is.
pub fn units(run_id: i64) -> Result<usize, LoadError> {
    let query = "SELECT max(unit_no) FROM @extschema@.load_unit WHERE run_id = $1";
    Ok(query::select_one::<i32>(Seen::Now, query, &[run_id.into()])?.unwrap_or(0) as usize)
}

/// A unit as the ledger keeps it.
pub struct KeptUnit {
    /// Empty for the qualifying set.
    pub plan: Vec<u8>,
    /// The key that the load's first rating would have.
    pub first_rating_key: i64,
}

/// Takes a unit off the list, and with it the duty to load it; `None` where that is done already. Who else wants it
/// waits until this transaction has ended.
pub fn take_unit(run_id: i64, unit_no: usize) -> Result<Option<KeptUnit>, LoadError> {
    let delete = "DELETE FROM @extschema@.load_unit WHERE run_id = $1 AND unit_no = $2
                  RETURNING plan, first_rating_key";
    let units = query::run_rows(delete, &[run_id.into(), (unit_no as i32).into()], |row| {
        let missing = || Error::Null("load_unit");
        Ok(KeptUnit {
            plan: row.get(1)?.ok_or_else(missing)?,
            first_rating_key: row.get(2)?.ok_or_else(missing)?,
        })
    })?;
    Ok(units.into_iter().next())
}

/// Enters the keys of ratings that were inserted: ranges, their ends included; and how many ratings of the plan were left
/// out, because others had inserted them meanwhile.
pub fn inserted(run_id: i64, keys: &[(i64, i64)], left_out: u64) -> Result<(), LoadError> {
    let (first, last): (Vec<i64>, Vec<i64>) = keys.iter().copied().unzip();
    query::as_owner("load_inserted", || {
        query::run(
            "UPDATE @extschema@.load_inserted SET
                 rating_keys = rating_keys + coalesce((SELECT range_agg(int8range(first, last, '[]'))
                                                       FROM unnest($2::bigint[], $3::bigint[]) AS keys (first, last)), '{}')
             WHERE run_id = $1",
            &[run_id.into(), first.into(), last.into()],
        )
    })??;
    leave_out(run_id, left_out)
}

/// Counts ratings of a load as duplicates, because others have given them.
fn leave_out(run_id: i64, ratings: u64) -> Result<(), LoadError> {
    if ratings > 0 {
        query::as_owner("load_run", || {
            query::run(
                "UPDATE @extschema@.load_run SET ratings_loaded = ratings_loaded - $2, duplicates = duplicates + $2
                 WHERE run_id = $1",
                &[run_id.into(), (ratings as i64).into()],
            )
        })??;
    }
    Ok(())
}

/// Whether the unfinished load has inserted the rating of this key, and not counted it yet. If so, it is the load's no more:
/// its customer has given it again.
pub fn give_away(rating_key: i64) -> Result<bool, LoadError> {
    let run_id = query::as_owner("load_inserted", || {
        query::run_one::<i64>(
            "UPDATE @extschema@.load_inserted SET rating_keys = rating_keys - int8multirange(int8range($1, $1, '[]'))
             WHERE rating_keys @> $1 AND run_id = (SELECT run_id FROM @extschema@.load_run WHERE status = 'loading')
             RETURNING run_id",
            &[rating_key.into()],
        )
    })??;
    let Some(run_id) = run_id else { return Ok(false) };
    leave_out(run_id, 1)?;
    Ok(true)
}

/// Gives the units that are left other keys where somebody has taken one of theirs meanwhile.
pub fn move_taken_keys(run: &Run) -> Result<(), LoadError> {
    let taken = query::as_owner("load_inserted", || {
        query::select_one::<bool>(
            Seen::Now,
            "SELECT EXISTS (
                 SELECT FROM @extschema@.load_inserted AS run,
                             (SELECT DISTINCT first_rating_key AS first FROM @extschema@.load_unit
                              WHERE run_id = $1 AND ratings > 0) AS plan,
                             LATERAL unnest(int8multirange(int8range(plan.first, plan.first + $2)) - run.rating_keys) AS free,
                             @extschema@.fact_ratings AS f
                 WHERE run.run_id = $1 AND f.rating_key >= lower(free) AND f.rating_key < upper(free))",
            &[run.run_id.into(), run.ratings_planned.into()],
        )
    })??;
    if taken == Some(true) {
        let first = next_rating_key(false)?;
        query::run(
            "UPDATE @extschema@.load_unit SET first_rating_key = $2 WHERE run_id = $1",
            &[run.run_id.into(), first.into()],
        )?;
        reserve_rating_keys(first, run.ratings_planned as u64)?;
    }
    Ok(())
}

const RATING_KEYS: &str = "fact_ratings_rating_key_seq";

/// The key of the next rating: behind all that there are, and all that the sequence has given out; 1 in an empty table.
pub fn next_rating_key(is_empty: bool) -> Result<i64, LoadError> {
    if is_empty {
        return Ok(1);
    }
    let last = "SELECT max(rating_key) FROM @extschema@.fact_ratings";
    let last = query::select_one::<i64>(Seen::Now, last, &[])?.unwrap_or(0);
    Ok(last.max(sequence::last(RATING_KEYS)?) + 1)
}

/// Has the sequence go on behind so many keys from this one on, so that nobody else is given one of them. To be done last, as
/// a rollback does not undo it.
pub fn reserve_rating_keys(first: i64, ratings: u64) -> Result<(), LoadError> {
    if ratings > 0 {
        sequence::advance(RATING_KEYS, first + ratings as i64 - 1)?;
    }
    Ok(())
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
             qualifying_pairs = (SELECT count(*) FROM @extschema@.qualifying),
             last_customer_key = (SELECT coalesce(max(customer_key), 0) FROM @extschema@.dim_customer),
             last_movie_key = (SELECT coalesce(max(movie_key), 0) FROM @extschema@.dim_movie)
         WHERE run_id = $1",
        &[run_id.into(), (probe_pairs as i64).into()],
    )
    .map_err(LoadError::from)
}

/// Notes the same after a load of a query: what the load before it counted, and what came since. Counting all of it would
/// take longer than to load a few ratings. `probe` is how many of those loaded are of the probe.
pub fn count_since(run_id: i64, probe: u64) -> Result<(), LoadError> {
    let last = query::select(
        Seen::Now,
        "SELECT run_id, last_customer_key, last_movie_key FROM @extschema@.load_run
         WHERE status = 'completed' AND run_id < $1 AND customers IS NOT NULL ORDER BY run_id DESC LIMIT 1",
        &[run_id.into()],
        |row| Ok((row.get::<i64>(1)?, row.get::<i32>(2)?, row.get::<i32>(3)?)),
    )?;
    if let Some(&(Some(last_run), Some(customer_key), Some(movie_key))) = last.first() {
        // The keys are parameters, so that the planner sees how few rows lie behind them.
        return query::run(
            "UPDATE @extschema@.load_run AS run SET
                 customers = last.customers + (SELECT count(*) FROM @extschema@.dim_customer WHERE customer_key > $3),
                 movies = last.movies + (SELECT count(*) FROM @extschema@.dim_movie WHERE movie_key > $4),
                 probe_pairs = last.probe_pairs + $5,
                 qualifying_pairs = last.qualifying_pairs,
                 last_customer_key = (SELECT coalesce(max(customer_key), 0) FROM @extschema@.dim_customer),
                 last_movie_key = (SELECT coalesce(max(movie_key), 0) FROM @extschema@.dim_movie)
             FROM @extschema@.load_run AS last WHERE run.run_id = $1 AND last.run_id = $2",
            &[run_id.into(), last_run.into(), customer_key.into(), movie_key.into(), (probe as i64).into()],
        )
        .map_err(LoadError::from);
    }
    let probe = "SELECT count(*) FROM @extschema@.fact_ratings WHERE is_probe";
    count(run_id, query::select_one::<i64>(Seen::Now, probe, &[])?.unwrap_or(0) as u64)
}

/// Forgets what a load has done to fact_ratings: it is over.
pub fn forget_inserted(run_id: i64) -> Result<(), LoadError> {
    let delete = "DELETE FROM @extschema@.load_inserted WHERE run_id = $1";
    query::as_owner("load_inserted", || query::run(delete, &[run_id.into()]))??;
    Ok(())
}

/// Enters that all is done.
pub fn complete(run_id: i64) -> Result<(), LoadError> {
    forget_inserted(run_id)?;
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
