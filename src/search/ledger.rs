//! The tables search, search_trial and search_fold: what a search has found out so far.

use factor::{Algorithm, TrialResult};
use pgrx::JsonB;

use super::definition::{Definition, Kind, Metric};
use super::error::SearchError;
use crate::pg::catalog::Privilege;
use crate::pg::snapshot::Snapshot;
use crate::pg::{Error, query, sequence};
use crate::warehouse::tables::{SEARCH, SEARCH_FOLD, SEARCH_TRIAL};

/// Checks that the role may write searches, before the first trial.
pub fn require_write() -> Result<(), Error> {
    SEARCH.require(&[Privilege::Select, Privilege::Insert, Privilege::Update])?;
    SEARCH_TRIAL.require(&[Privilege::Select, Privilege::Insert, Privilege::Update])?;
    SEARCH_FOLD.require(&[Privilege::Select, Privilege::Insert])
}

/// A number for a new search.
pub fn next_id() -> Result<i64, Error> {
    sequence::catch_up("search", "search_id", "search_search_id_seq")?;
    sequence::next("search_search_id_seq")
}

/// The definition of a search, and the digest of its ratings.
pub fn find(search: i64) -> Result<(Definition, i64), SearchError> {
    let found = query::select(
        Snapshot::Latest,
        "SELECT kind, algorithm, space, folds, split, split_rule, metric, halving, trials, seed, ratings_digest
         FROM @extschema@.search WHERE search_id = $1",
        &[search.into()],
        |row| {
            let missing = || Error::Null("search");
            let text = |column| row.get::<String>(column)?.ok_or_else(missing);
            let split = row.get::<String>(5)?.zip(row.get::<JsonB>(6)?);
            let metric = Metric::find(&text(7)?).map_err(|_| missing())?;
            let definition = Definition {
                kind: if text(1)? == "grid" { Kind::Grid } else { Kind::Random },
                algorithm: text(2)?,
                space: row.get::<JsonB>(3)?.ok_or_else(missing)?.0.to_string(),
                folds: row.get::<i32>(4)?.ok_or_else(missing)? as usize,
                split: split.map(|(label, JsonB(rule))| (label, rule.to_string())),
                metric,
                halving: row.get::<bool>(8)?.ok_or_else(missing)?,
                trials: row.get::<i32>(9)?.ok_or_else(missing)? as usize,
                seed: row.get::<i64>(10)?.ok_or_else(missing)?,
            };
            Ok((definition, row.get::<i64>(11)?.ok_or_else(missing)?))
        },
    )?;
    found.into_iter().next().ok_or(SearchError::NoSearch(search))
}

/// Stores a new search and its trials.
pub fn begin(
    search: i64,
    definition: &Definition,
    trials: &[Algorithm],
    digest: i64,
) -> Result<(), SearchError> {
    let json =
        |text: &str| serde_json::from_str(text).map(JsonB).map_err(|_| SearchError::LedgerChanged(search));
    query::run(
        "INSERT INTO @extschema@.search (search_id, kind, algorithm, space, folds, split, split_rule, metric, halving, trials, seed,
                                         state, ratings_digest)
         OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'running', $12)",
        &[
            search.into(),
            definition.kind.name().into(),
            definition.algorithm.as_str().into(),
            json(&definition.space)?.into(),
            (definition.folds as i32).into(),
            definition.split.as_ref().map(|(label, _)| label.as_str()).into(),
            definition.split.as_ref().map(|(_, rule)| json(rule)).transpose()?.into(),
            definition.metric.name().into(),
            definition.halving.into(),
            (definition.trials as i32).into(),
            definition.seed.into(),
            digest.into(),
        ],
    )?;
    insert_trials(search, trials, 0)
}

/// Stores trials after the first `present` ones.
fn insert_trials(search: i64, trials: &[Algorithm], present: usize) -> Result<(), SearchError> {
    for (at, algorithm) in trials.iter().enumerate().skip(present) {
        query::run(
            "INSERT INTO @extschema@.search_trial (search_id, trial_no, params, state, stage)
             VALUES ($1, $2, $3, 'waiting', 0)",
            &[search.into(), (at as i32 + 1).into(), JsonB(algorithm.params()).into()],
        )?;
    }
    Ok(())
}

/// Marks a search as running again. A random search may have got more trials.
pub fn resume(search: i64, trials: &[Algorithm]) -> Result<(), SearchError> {
    let present = "SELECT count(*) FROM @extschema@.search_trial WHERE search_id = $1";
    let present = query::select_one::<i64>(Snapshot::Latest, present, &[search.into()])?.unwrap_or(0);
    insert_trials(search, trials, present as usize)?;
    Ok(query::run(
        "UPDATE @extschema@.search SET state = 'running', finished_at = NULL, trials = $2, best_trial = NULL, one_standard_error_trial = NULL
         WHERE search_id = $1",
        &[search.into(), (trials.len() as i32).into()],
    )?)
}

/// What is stored of a trial that was judged in a stage: its number from 0, and its score; `None` if it failed.
pub fn judged(search: i64, stage: usize) -> Result<Vec<(usize, Option<(f64, Option<f64>)>)>, SearchError> {
    // A trial that failed in an earlier stage takes part in no later one.
    Ok(query::select(
        Snapshot::Latest,
        "SELECT trial_no, array_agg(score ORDER BY fold)
         FROM @extschema@.search_fold WHERE search_id = $1 AND stage = $2 GROUP BY trial_no
         UNION ALL
         SELECT trial_no, NULL FROM @extschema@.search_trial WHERE search_id = $1 AND stage = $2 AND state = 'failed'
         ORDER BY 1",
        &[search.into(), (stage as i32).into()],
        |row| {
            let trial = row.get::<i32>(1)?.ok_or(Error::Null("search_trial"))? as usize - 1;
            // Computed here as in the first place, so that not a bit differs.
            Ok((trial, row.get::<Vec<f64>>(2)?.map(|scores| factor::mean_and_deviation(&scores))))
        },
    )?)
}

/// The outcome of a trial in a stage.
pub struct Outcome<'a> {
    pub search: i64,
    /// Counted from 0.
    pub trial: usize,
    /// Counted from 1.
    pub stage: usize,
    pub sample: f64,
    pub metric: Metric,
    /// The result of each fold, or why the trial failed.
    pub folds: Result<&'a [TrialResult], &'a str>,
}

impl Outcome<'_> {
    /// Stores it. Returns the mean score and its standard deviation.
    pub fn store(&self) -> Result<Option<(f64, Option<f64>)>, SearchError> {
        let (search, trial_no, stage) = (self.search, self.trial as i32 + 1, self.stage as i32);
        let (scores, seconds) = match self.folds {
            Ok(folds) => {
                for (fold, result) in folds.iter().enumerate() {
                    query::run(
                        "INSERT INTO @extschema@.search_fold (search_id, trial_no, stage, fold, train_rmse, rmse, mae, ndcg, score, seconds)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                        &[
                            search.into(),
                            trial_no.into(),
                            stage.into(),
                            (fold as i32 + 1).into(),
                            result.train.rmse.into(),
                            result.test.rmse.into(),
                            result.test.mae.into(),
                            result.ndcg.into(),
                            self.score(result).into(),
                            result.elapsed.as_secs_f64().into(),
                        ],
                    )?;
                }
                let scores = folds.iter().map(|fold| self.score(fold)).collect::<Vec<_>>();
                (
                    Some(factor::mean_and_deviation(&scores)),
                    folds.iter().map(|fold| fold.elapsed.as_secs_f64()).sum(),
                )
            }
            Err(_) => (None, 0.0),
        };
        query::run(
            "UPDATE @extschema@.search_trial
             SET state = $3, stage = $4, sample = $5, score = $6, sd = $7, seconds = coalesce(seconds, 0) + $8, error = $9
             WHERE search_id = $1 AND trial_no = $2",
            &[
                search.into(),
                trial_no.into(),
                (if self.folds.is_ok() { "judged" } else { "failed" }).into(),
                stage.into(),
                self.sample.into(),
                scores.map(|(score, _)| score).into(),
                scores.and_then(|(_, deviation)| deviation).into(),
                seconds.into(),
                self.folds.err().into(),
            ],
        )?;
        Ok(scores)
    }

    fn score(&self, result: &TrialResult) -> f64 {
        match self.metric {
            Metric::Rmse => result.test.rmse,
            Metric::Mae => result.test.mae,
            Metric::Ndcg => result.ndcg.unwrap_or(0.0),
        }
    }
}

/// Marks trials that a stage has left behind.
pub fn drop_trials(search: i64, trials: &[usize]) -> Result<(), SearchError> {
    let trials = trials.iter().map(|&trial| trial as i32 + 1).collect::<Vec<_>>();
    Ok(query::run(
        "UPDATE @extschema@.search_trial SET state = 'dropped' WHERE search_id = $1 AND trial_no = ANY ($2) AND state = 'judged'",
        &[search.into(), trials.into()],
    )?)
}

/// Marks a search as stopped: the same call can go on with it. It waits for nobody's lock, because it is called while interrupts are
/// held off. If it cannot have one, the mark is missing, and the view `searches` says that the search is stopped all the same.
pub fn stop(search: i64) -> Result<(), SearchError> {
    query::run("LOCK TABLE @extschema@.search IN ROW EXCLUSIVE MODE NOWAIT", &[])?;
    Ok(query::run(
        "UPDATE @extschema@.search SET state = 'stopped', finished_at = clock_timestamp()
         WHERE search_id = (SELECT search_id FROM @extschema@.search WHERE search_id = $1 FOR NO KEY UPDATE SKIP LOCKED)",
        &[search.into()],
    )?)
}

/// Marks a search as stopped or completed, and stores its choice: the best trial and the simplest one within one standard error of
/// it, counted from 0.
pub fn finish(search: i64, is_complete: bool, choice: Option<(usize, usize)>) -> Result<(), SearchError> {
    Ok(query::run(
        "UPDATE @extschema@.search SET state = $2, finished_at = clock_timestamp(), best_trial = $3, one_standard_error_trial = $4
         WHERE search_id = $1",
        &[
            search.into(),
            (if is_complete { "completed" } else { "stopped" }).into(),
            choice.map(|(best, _)| best as i32 + 1).into(),
            choice.map(|(_, simplest)| simplest as i32 + 1).into(),
        ],
    )?)
}
