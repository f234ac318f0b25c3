//! What is left to do when all ratings are in: indexes, the probe's marks, counts and means.

use pgrx::prelude::*;
use prize_format::{Kind, TextFile, read_probe};
use serde::{Deserialize, Serialize};

use super::error::LoadError;
use super::order::Watch;
use super::{dimensions, ledger};
use crate::pg::worker::{self, Board};
use crate::pg::{index, interrupt, query};

/// Something that one worker does and commits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Builds an index of this oid that was set aside.
    Index(u32),
    /// Marks the probe and brings the dimensions' counts up to date.
    Recount,
}

/// What there is to do.
pub fn tasks(run: &ledger::Run) -> Result<Vec<Task>, LoadError> {
    let mut tasks = Vec::new();
    // Elsewhere, an index that looks as if it were set aside is somebody else's.
    if run.is_first() {
        tasks.extend(index::aside("fact_ratings")?.into_iter().map(|oid| Task::Index(oid.to_u32())));
        // The primary key was made first: those that came after it take longer to build.
        tasks.reverse();
    }
    tasks.push(Task::Recount);
    Ok(tasks)
}

/// Does tasks that nobody has taken until none is left, and commits each.
pub fn settle(run_id: i64, tasks: &[Task], board: &Board, watch: Watch<'_>) -> Result<(), LoadError> {
    board.set_total(tasks.len() as u64);
    while let Some(task) = tasks.get(board.take() as usize) {
        interrupt::check();
        worker::transaction(|| match task {
            Task::Index(oid) => {
                index::rebuild(pg_sys::Oid::from(*oid));
                Ok(())
            }
            Task::Recount => {
                let run = ledger::run(run_id)?.ok_or(LoadError::Order)?;
                let files = ledger::files(run_id)?;
                let marked = mark_probe(&run, &files)?;
                let probe_pairs = dimensions::recount()?;
                let of_probe =
                    files.iter().filter(|file| file.kind == Kind::Probe).map(|file| file.records).sum();
                let (rated, pairs) = marked.unwrap_or((probe_pairs, of_probe));
                if rated < pairs {
                    notice!("{} pairs of the probe have no rating and were left out", pairs - rated);
                }
                ledger::count(run_id, probe_pairs)
            }
        })?;
        board.add(1, 0);
        watch(board);
    }
    Ok(())
}

/// Marks the probe's ratings that were there before the load. Gives how many of the load's probe pairs have a rating, and
/// how many there are; `None` where each came with its mark, into an empty warehouse.
fn mark_probe(run: &ledger::Run, files: &[TextFile]) -> Result<Option<(u64, u64)>, LoadError> {
    if run.is_first() {
        return Ok(None);
    }
    let probe = read_probe(files, &|| {
        interrupt::check();
        Ok(())
    })?;
    let mut rated = 0;
    for pairs in probe.chunks(10_000) {
        let (movies, customers): (Vec<i32>, Vec<i32>) =
            pairs.iter().map(|&(movie, customer)| (movie as i32, customer as i32)).unzip();
        let found = query::run_one::<i64>(
            "WITH rated AS (
                 SELECT f.rating_key, f.is_probe FROM unnest($1::int[], $2::int[]) AS pair (movie_id, customer_id)
                 JOIN @extschema@.dim_movie USING (movie_id) JOIN @extschema@.dim_customer USING (customer_id)
                 JOIN @extschema@.fact_ratings f USING (customer_key, movie_key)
             ), marked AS (
                 UPDATE @extschema@.fact_ratings f SET is_probe = true FROM rated
                 WHERE f.rating_key = rated.rating_key AND NOT rated.is_probe
             )
             SELECT count(*) FROM rated",
            &[movies.into(), customers.into()],
        )?;
        rated += found.unwrap_or(0) as u64;
        interrupt::check();
    }
    Ok(Some((rated, probe.len() as u64)))
}
