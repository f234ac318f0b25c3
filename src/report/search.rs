//! Reads what the chart of a search shows.

use ::chart::{Search, Trial, Value};
use pgrx::JsonB;

use super::Drawing;
use super::error::ReportError;
use super::models::need;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, memory, query};

/// The number of the latest search.
pub fn latest() -> Result<Option<i64>, pg::Error> {
    query::select_one::<i64>(
        Snapshot::Statement,
        "SELECT max(search_id)::bigint FROM @extschema@.search",
        &[],
    )
}

pub fn search(number: Option<i64>) -> Result<Drawing, ReportError> {
    let Some(number) = number.map_or_else(latest, |number| Ok(Some(number)))? else {
        return Ok(Box::new(::chart::no_search));
    };
    let about = "SELECT kind, algorithm, metric FROM @extschema@.search WHERE search_id = $1";
    let found = query::select(Snapshot::Statement, about, &[number.into()], |row| {
        let (kind, algorithm, metric): (String, String, String) =
            (need!(row, 1), need!(row, 2), need!(row, 3));
        Ok((format!("Search {number}: {kind} of {algorithm}"), metric))
    })?;
    let Some((title, metric)) = found.into_iter().next() else { return Err(ReportError::NoSearch(number)) };
    let all = "SELECT params, score, sd, stage, state FROM @extschema@.search_trial WHERE search_id = $1 ORDER BY trial_no";
    let rows = query::select(Snapshot::Statement, all, &[number.into()], |row| {
        let JsonB(params) = need!(row, 1);
        let (stage, state): (i32, String) = (need!(row, 4), need!(row, 5));
        Ok((params, row.get::<f64>(2)?, row.get::<f64>(3)?, stage, state))
    })?;
    // A line of the chart, with what it is made of, takes less than 4 KB.
    memory::check_available(rows.len() << 12)?;
    // Scores of different stages are of different samples, and cannot be compared.
    let last = rows.iter().filter(|(_, score, ..)| score.is_some()).map(|(.., stage, _)| *stage).max();
    let judged = rows.iter().filter(|(.., stage, _)| Some(*stage) == last);
    let trials: Vec<(&serde_json::Value, f64, Option<f64>)> =
        judged.filter_map(|(params, score, sd, ..)| Some((params, (*score)?, *sd))).collect();
    let parameters = varying(rows.iter().map(|(params, ..)| params));
    let in_state = |name: &str| rows.iter().filter(|(.., state)| state == name).count();
    let counts = [
        (in_state("dropped"), "dropped after earlier stages"),
        (in_state("failed"), "failed"),
        (in_state("waiting"), "waiting"),
    ];
    let others = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let others: Vec<String> = others.collect();
    let note = if others.is_empty() {
        String::new()
    } else {
        format!("{} of {} trials are shown, {}", trials.len(), rows.len(), others.join(", "))
    };
    let search = Search {
        title,
        more_is_better: metric == "ndcg",
        metric: if metric == "mae" { "MAE".into() } else { metric.to_uppercase() },
        trials: trials
            .iter()
            .map(|(params, score, sd)| Trial {
                values: parameters.iter().map(|name| value(&params[name])).collect(),
                score: *score,
                sd: *sd,
            })
            .collect(),
        parameters,
        note,
    };
    Ok(Box::new(move |canvas| ::chart::search(&search, canvas)))
}

/// The parameters that have different values in different trials.
fn varying<'a>(trials: impl Iterator<Item = &'a serde_json::Value> + Clone) -> Vec<String> {
    let first = trials.clone().next().and_then(|params| params.as_object());
    let differs = |name: &String| {
        let mut values = trials.clone().map(|params| &params[name]);
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    first.map_or_else(Vec::new, |first| first.keys().filter(|name| differs(name)).cloned().collect())
}

fn value(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::String(text) => Value::Text(text.clone()),
        other => other.as_f64().map_or_else(|| Value::Text(other.to_string()), Value::Number),
    }
}
