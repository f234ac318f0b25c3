//! What the unfinished load has done to fact_ratings: which keys it has inserted, and which indexes it has disabled. Only the owner
//! of the tables may write it, because netflix_load_abandon deletes these ratings with the owner's rights.

use pgrx::pg_sys;

use crate::load::error::LoadError;
use crate::load::rating_keys;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, query, role};

/// The keys of the ratings that a load has inserted, as ranges in ascending order with both ends included; and the indexes that it
/// has disabled.
pub fn inserted(run_id: i64) -> Result<(Vec<(i64, i64)>, Vec<pg_sys::Oid>), LoadError> {
    let missing = || pg::Error::Null("load_inserted");
    let query = "SELECT ARRAY(SELECT lower(keys) FROM unnest(rating_keys) AS keys ORDER BY 1),
                        ARRAY(SELECT upper(keys) - 1 FROM unnest(rating_keys) AS keys ORDER BY 1), disabled_indexes
                 FROM @extschema@.load_inserted WHERE run_id = $1";
    let found = role::as_owner("load_inserted", || {
        query::select(Snapshot::Latest, query, &[run_id.into()], |row| {
            let ends = |column| row.get::<Vec<i64>>(column)?.ok_or_else(missing);
            Ok((ends(1)?.into_iter().zip(ends(2)?).collect(), row.get(3)?.ok_or_else(missing)?))
        })
    })??;
    Ok(found.into_iter().next().unwrap_or_default())
}

/// Records the keys of ratings that were inserted, as ranges with both ends included; and how many planned ratings were left out,
/// because others have inserted them meanwhile.
pub fn record_inserted(run_id: i64, keys: &[(i64, i64)], left_out: u64) -> Result<(), LoadError> {
    let (first, last): (Vec<i64>, Vec<i64>) = keys.iter().copied().unzip();
    role::as_owner("load_inserted", || {
        query::run(
            "UPDATE @extschema@.load_inserted SET
                 rating_keys = rating_keys + coalesce((SELECT range_agg(int8range(first, last, '[]'))
                                                       FROM unnest($2::bigint[], $3::bigint[]) AS keys (first, last)), '{}')
             WHERE run_id = $1",
            &[run_id.into(), first.into(), last.into()],
        )
    })??;
    count_as_duplicates(run_id, left_out)
}

/// Counts ratings of a load as duplicates, because others have inserted them.
fn count_as_duplicates(run_id: i64, ratings: u64) -> Result<(), LoadError> {
    if ratings > 0 {
        role::as_owner("load_run", || {
            query::run(
                "UPDATE @extschema@.load_run SET ratings_loaded = ratings_loaded - $2, duplicates = duplicates + $2
                 WHERE run_id = $1",
                &[run_id.into(), (ratings as i64).into()],
            )
        })??;
    }
    Ok(())
}

/// If the unfinished load has inserted the rating with this key, removes the key from the load's own ones: its customer has given the
/// rating anew, so giving up the load must not delete it. Returns whether that was so; the load has not counted the rating yet.
pub fn disown(rating_key: i64) -> Result<bool, LoadError> {
    let run_id = role::as_owner("load_inserted", || {
        query::run_one::<i64>(
            "UPDATE @extschema@.load_inserted SET rating_keys = rating_keys - int8multirange(int8range($1, $1, '[]'))
             WHERE rating_keys @> $1 AND run_id = (SELECT run_id FROM @extschema@.load_run WHERE status = 'loading')
             RETURNING run_id",
            &[rating_key.into()],
        )
    })??;
    let Some(run_id) = run_id else { return Ok(false) };
    count_as_duplicates(run_id, 1)?;
    Ok(true)
}

/// If somebody has taken a key that was planned for a unit, gives all units that are left new keys. `planned` is how many keys were
/// planned.
pub fn replace_taken_keys(run_id: i64, planned: i64) -> Result<(), LoadError> {
    let taken = role::as_owner("load_inserted", || {
        query::select_one::<bool>(
            Snapshot::Latest,
            "SELECT EXISTS (
                 SELECT FROM @extschema@.load_inserted AS run,
                             (SELECT DISTINCT first_rating_key AS first FROM @extschema@.load_unit
                              WHERE run_id = $1 AND ratings > 0) AS plan,
                             LATERAL unnest(int8multirange(int8range(plan.first, plan.first + $2)) - run.rating_keys) AS free,
                             @extschema@.fact_ratings AS f
                 WHERE run.run_id = $1 AND f.rating_key >= lower(free) AND f.rating_key < upper(free))",
            &[run_id.into(), planned.into()],
        )
    })??;
    if taken == Some(true) {
        let first = rating_keys::next(false)?;
        query::run(
            "UPDATE @extschema@.load_unit SET first_rating_key = $2 WHERE run_id = $1",
            &[run_id.into(), first.into()],
        )?;
        rating_keys::reserve(first, planned as u64)?;
    }
    Ok(())
}

/// Deletes these records when a load has ended.
pub fn delete_inserted(run_id: i64) -> Result<(), LoadError> {
    let delete = "DELETE FROM @extschema@.load_inserted WHERE run_id = $1";
    role::as_owner("load_inserted", || query::run(delete, &[run_id.into()]))??;
    Ok(())
}
