//! The result of a search: its trials, the best one first.

use pgrx::JsonB;

use super::error::SearchError;
use crate::pg::snapshot::Snapshot;
use crate::pg::{Error, query};
use crate::train::{self, Request};

/// A trial in the result.
pub struct Row {
    pub search_id: i64,
    /// NULL if the trial was not judged.
    pub rank: Option<i64>,
    pub trial_no: i32,
    pub params: JsonB,
    pub state: String,
    pub sample: Option<f64>,
    pub score: Option<f64>,
    pub sd: Option<f64>,
    pub seconds: Option<f64>,
    pub error: Option<String>,
    pub best: bool,
    pub one_standard_error: bool,
    /// Version of the model that was trained with these parameters.
    pub version: Option<i32>,
}

/// The trials of a search. Those of later stages, which were judged on more customers, come first.
pub fn rows(search: i64) -> Result<Vec<Row>, SearchError> {
    Ok(query::select(
        Snapshot::Latest,
        "SELECT CASE WHEN t.score IS NOT NULL THEN row_number() OVER by_score END,
                t.trial_no, t.params, t.state, t.sample, t.score, t.sd, t.seconds, t.error,
                coalesce(t.trial_no = s.best_trial, false), coalesce(t.trial_no = s.one_standard_error_trial, false)
         FROM @extschema@.search_trial AS t JOIN @extschema@.search AS s USING (search_id)
         WHERE search_id = $1
         WINDOW by_score AS (ORDER BY t.score IS NULL, t.stage DESC, CASE s.metric WHEN 'ndcg' THEN -t.score ELSE t.score END,
                                      t.trial_no)
         ORDER BY row_number() OVER by_score",
        &[search.into()],
        |row| {
            let missing = || Error::Null("search_trial");
            Ok(Row {
                search_id: search,
                rank: row.get(1)?,
                trial_no: row.get(2)?.ok_or_else(missing)?,
                params: row.get(3)?.ok_or_else(missing)?,
                state: row.get(4)?.ok_or_else(missing)?,
                sample: row.get(5)?,
                score: row.get(6)?,
                sd: row.get(7)?,
                seconds: row.get(8)?,
                error: row.get(9)?,
                best: row.get(10)?.ok_or_else(missing)?,
                one_standard_error: row.get(11)?.ok_or_else(missing)?,
                version: None,
            })
        },
    )?)
}

/// Which trial's parameters a model is trained with at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refit {
    Best,
    OneStandardError,
}

impl Refit {
    pub fn find(name: &str) -> Result<Refit, SearchError> {
        match name {
            "best" => Ok(Refit::Best),
            "one_standard_error" => Ok(Refit::OneStandardError),
            other => Err(SearchError::Refit(other.into())),
        }
    }

    /// Trains a model with the chosen trial's parameters, on all training ratings, and notes its version in that trial's row.
    pub fn train(
        self,
        rows: &mut [Row],
        search: i64,
        algorithm: &str,
        request: &Request<'_>,
    ) -> Result<(), SearchError> {
        let is_chosen = |row: &&mut Row| match self {
            Refit::Best => row.best,
            Refit::OneStandardError => row.one_standard_error,
        };
        let row = rows.iter_mut().find(is_chosen).ok_or(SearchError::NothingJudged(search))?;
        let algorithm = factor::Algorithm::parse(algorithm, &row.params.0)?;
        let (_, written) = train::fit(&algorithm, request)?;
        row.version = Some(written.version);
        Ok(())
    }
}
