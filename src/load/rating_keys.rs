//! The surrogate keys of new ratings. A load plans them as one range; each unit of work has a part of it.

use super::error::LoadError;
use crate::pg::snapshot::Snapshot;
use crate::pg::{query, sequence};

/// The sequence of rating_key, which an INSERT by SQL takes its key from.
const SEQUENCE: &str = "fact_ratings_rating_key_seq";

/// The key of the next rating: greater than every key in the table, and than every value that the sequence has returned; 1 in an
/// empty table.
pub fn next(is_empty: bool) -> Result<i64, LoadError> {
    if is_empty {
        return Ok(1);
    }
    let last = "SELECT max(rating_key) FROM @extschema@.fact_ratings";
    let last = query::select_one::<i64>(Snapshot::Latest, last, &[])?.unwrap_or(0);
    Ok(last.max(sequence::last_value(SEQUENCE)?) + 1)
}

/// Advances the sequence beyond `ratings` keys from `first` on, so that nobody else gets one of them. Call it last, because a rollback
/// does not undo it.
pub fn reserve(first: i64, ratings: u64) -> Result<(), LoadError> {
    if ratings > 0 {
        sequence::advance(SEQUENCE, first + ratings as i64 - 1)?;
    }
    Ok(())
}
