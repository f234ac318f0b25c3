//! Records what a new load is going to do.

use pgrx::pg_sys;
use prize_format::{Reject, TextFile, Unit};

use super::files::record_files;
use crate::load::calendar::Years;
use crate::load::error::LoadError;
use crate::pg::{self, query, role, sequence};

/// A load that begins.
pub struct NewRun<'a> {
    /// The folder; `None` if the ratings come from a query.
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
    pub disabled_indexes: &'a [pg_sys::Oid],
    /// Years of its first and last day.
    pub years: Option<Years>,
    /// Whether its ratings are in already, so that nothing is left to do.
    pub is_completed: bool,
}

/// Records a load with its files, rejects and units of work. Returns its run_id.
pub fn begin(new: &NewRun<'_>) -> Result<i64, LoadError> {
    sequence::catch_up("load_run", "run_id", "load_run_run_id_seq")?;
    let run_id = query::run_one::<i64>(
        "INSERT INTO @extschema@.load_run (path, started_at, files, ratings_read, ratings_loaded,
                                           duplicates, rejected, first_rating_key, is_first, ratings_planned,
                                           first_year, last_year, finished_at, status)
         VALUES ($1, clock_timestamp(), $2, $3, $4, $5, $6, $7, $8, $4, $10, $11, CASE WHEN $9 THEN clock_timestamp() END,
                 CASE WHEN $9 THEN 'completed' ELSE 'loading' END) RETURNING run_id",
        &[
            new.path.into(),
            (new.files.len() as i32).into(),
            (new.ratings_read as i64).into(),
            ((new.ratings_read - new.duplicates) as i64).into(),
            (new.duplicates as i64).into(),
            (new.rejected as i64).into(),
            new.first_rating_key.into(),
            new.is_first.into(),
            new.is_completed.into(),
            new.years.map(|(first, _)| first).into(),
            new.years.map(|(_, last)| last).into(),
        ],
    )?
    .ok_or(pg::Error::Null("load_run"))?;
    record_files(run_id, new.files, new.units)?;
    record_rejects(run_id, new.rejects, new.path.is_some())?;
    if new.is_completed {
        return Ok(run_id);
    }
    role::as_owner("load_inserted", || {
        let insert = "INSERT INTO @extschema@.load_inserted (run_id, disabled_indexes) VALUES ($1, $2)";
        query::run(insert, &[run_id.into(), new.disabled_indexes.to_vec().into()])
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
                new.first_rating_key.into(),
                files.into(),
                bytes.into(),
            ],
        )
    };
    if new.has_qualifying {
        // The qualifying set comes first, because it takes longest.
        insert(0, Vec::new(), Vec::new())?;
    }
    for unit in new.units {
        let files = unit.files().into_iter().map(|file| file as i32 + 1).collect::<Vec<_>>();
        insert(unit.ratings(), files, unit.to_bytes()?)?;
    }
    Ok(run_id)
}

fn record_rejects(run_id: i64, rejects: &[Reject], are_of_files: bool) -> Result<(), LoadError> {
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
