//! What was read, from where, and what was refused and why.

use std::path::Path;

use prize_format::Survey;

use super::Run;
use super::error::LoadError;
use crate::pg::scan::Seen;
use crate::pg::{Error, catalog, query};

/// What the warehouse holds.
#[derive(Default)]
pub struct Totals {
    pub customers: i64,
    pub movies: i64,
    pub probe_pairs: i64,
    pub qualifying_pairs: i64,
}

/// Counts the warehouse.
pub fn totals() -> Result<Totals, LoadError> {
    let count = |query: &str| -> Result<i64, LoadError> {
        Ok(query::select_one::<i64>(Seen::Now, query, &[])?.ok_or(Error::Null("count"))?)
    };
    Ok(Totals {
        customers: count("SELECT count(*) FROM @extschema@.dim_customer")?,
        movies: count("SELECT count(*) FROM @extschema@.dim_movie")?,
        probe_pairs: count("SELECT count(*) FROM @extschema@.fact_ratings WHERE is_probe")?,
        qualifying_pairs: count("SELECT count(*) FROM @extschema@.qualifying")?,
    })
}

/// Enters a load, its files and its rejects; gives the run's number.
pub fn write(run: &Run, path: &Path, survey: &Survey) -> Result<i64, LoadError> {
    let run_id = query::run_one::<i64>(
        "INSERT INTO @extschema@.load_run (path, status, started_at, finished_at, files, ratings_read, ratings_loaded,
                               duplicates, rejected)
         VALUES ($1, 'completed', clock_timestamp() - make_interval(secs => $2), clock_timestamp(),
                 $3, $4, $5, $6, $7) RETURNING run_id",
        &[
            text(path).into(),
            run.elapsed.as_secs_f64().into(),
            run.files.into(),
            run.ratings_read.into(),
            run.ratings_loaded.into(),
            run.duplicates.into(),
            run.rejected.into(),
        ],
    )?
    .ok_or(Error::Null("load_run"))?;

    let files = &survey.files;
    let column = |value: fn(&prize_format::SurveyedFile) -> i64| files.iter().map(value).collect::<Vec<_>>();
    query::run(
        "INSERT INTO @extschema@.load_file (run_id, file_no, path, bytes, checksum, records, rejected)
         SELECT $1, file_no, path, bytes, checksum, records, rejected
         FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
              WITH ORDINALITY AS file (path, bytes, checksum, records, rejected, file_no)",
        &[
            run_id.into(),
            files.iter().map(|file| text(&file.path)).collect::<Vec<_>>().into(),
            column(|file| file.bytes as i64).into(),
            column(|file| i64::from(file.checksum)).into(),
            column(|file| file.records as i64).into(),
            column(|file| file.rejected as i64).into(),
        ],
    )?;

    let rejects = &survey.rejects.kept;
    query::run(
        "INSERT INTO @extschema@.load_reject (run_id, reject_no, file_no, line, text, reason)
         SELECT $1, reject_no, file_no, line, text, reason
         FROM unnest($2::int[], $3::bigint[], $4::text[], $5::text[])
              WITH ORDINALITY AS reject (file_no, line, text, reason, reject_no)",
        &[
            run_id.into(),
            rejects.iter().map(|reject| reject.file as i32 + 1).collect::<Vec<_>>().into(),
            rejects.iter().map(|reject| reject.line as i64).collect::<Vec<_>>().into(),
            rejects.iter().map(|reject| reject.text.clone()).collect::<Vec<_>>().into(),
            rejects.iter().map(|reject| reject.reason.to_string()).collect::<Vec<_>>().into(),
        ],
    )?;
    Ok(run_id)
}

/// Lets the planner know what has come, if the role may: false where it owns not all of the tables.
pub fn analyze() -> Result<bool, LoadError> {
    let mut oids = Vec::new();
    for table in ["dim_date", "dim_movie", "dim_customer", "fact_ratings", "qualifying"] {
        oids.push(catalog::table(table)?);
    }
    let owner = query::select_one::<bool>(
        Seen::Now,
        "SELECT bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class WHERE oid = ANY ($1::oid[])",
        &[oids.into()],
    )?;
    if owner == Some(true) {
        query::run(
            "ANALYZE @extschema@.dim_date, @extschema@.dim_movie, @extschema@.dim_customer,
                     @extschema@.fact_ratings, @extschema@.qualifying",
            &[],
        )?;
    }
    Ok(owner == Some(true))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
