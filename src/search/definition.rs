//! What a search tries, and how it judges.

use factor::{Algorithm, SearchSpace, SplitKind};
use serde::{Deserialize, Serialize};

use super::data::Division;
use super::error::SearchError;
use crate::pg;
use crate::train;
use crate::warehouse::split::Split;

/// Where the points to try come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Grid,
    Random,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Grid => "grid",
            Kind::Random => "random",
        }
    }
}

/// What decides which trial is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Metric {
    Rmse,
    Mae,
    Ndcg,
}

impl Metric {
    pub fn find(name: &str) -> Result<Metric, SearchError> {
        match name {
            "rmse" => Ok(Metric::Rmse),
            "mae" => Ok(Metric::Mae),
            "ndcg" => Ok(Metric::Ndcg),
            other => Err(SearchError::Argument {
                name: "metric",
                value: format!("'{other}'"),
                range: "'rmse', 'mae' or 'ndcg'".into(),
            }),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Metric::Rmse => "rmse",
            Metric::Mae => "mae",
            Metric::Ndcg => "ndcg",
        }
    }

    pub fn is_higher_better(self) -> bool {
        self == Metric::Ndcg
    }
}

/// What a search tries, and how it judges. A search that goes on has the same definition as before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    pub kind: Kind,
    pub algorithm: String,
    /// The space as JSON text.
    pub space: String,
    /// Trainings of each trial: the folds, or 1 if there is a split.
    pub folds: usize,
    /// The split's label, and its rule as JSON text.
    pub split: Option<(String, String)>,
    pub metric: Metric,
    pub halving: bool,
    pub trials: usize,
    pub seed: i64,
}

/// The most points of a search.
const MOST_TRIALS: u128 = 10_000;

impl Definition {
    /// The algorithms to try, in the order of their trials.
    pub fn trials(&self) -> Result<Vec<Algorithm>, SearchError> {
        let space = SearchSpace::parse(&self.algorithm, &self.space)?;
        let point = |trial: usize| match self.kind {
            Kind::Grid => space.grid_point(trial as u128),
            Kind::Random => space.random_point(self.seed, trial as u64),
        };
        Ok((0..self.trials).map(point).collect::<Result<_, _>>()?)
    }

    /// How the ratings are divided.
    pub fn division(&self) -> Option<Division> {
        match &self.split {
            None => Some(Division::Folds(self.folds, self.seed)),
            Some((label, rule)) => {
                Some(Division::Split(Split::from_json(label, serde_json::from_str(rule).ok()?)?))
            }
        }
    }
}

/// The arguments of a search, as its caller gave them.
pub struct Arguments<'a> {
    pub kind: Kind,
    pub algorithm: Option<&'a str>,
    /// JSON text.
    pub space: Option<String>,
    /// Points to draw; of a random search only.
    pub trials: Option<i64>,
    pub folds: Option<i64>,
    pub split: Option<&'a str>,
    pub metric: Option<&'a str>,
    pub halving: Option<bool>,
    pub seed: Option<i64>,
}

/// Defaults of the arguments.
const FOLDS: i64 = 3;
const RANDOM_TRIALS: i64 = 20;
const SEED: i64 = 42;

impl Arguments<'_> {
    /// What to search.
    pub fn begin(self) -> Result<Definition, SearchError> {
        let algorithm = self.algorithm.ok_or(pg::Error::NullArgument("algorithm"))?;
        let space = self.space.unwrap_or_else(|| "{}".into());
        let points = SearchSpace::parse(algorithm, &space)?;
        let points = match self.kind {
            Kind::Grid => points.points()?,
            Kind::Random => at_least_1("trials", self.trials.unwrap_or(RANDOM_TRIALS))? as u128,
        };
        let (folds, split) = match (self.folds, self.split) {
            (Some(_), Some(_)) => return Err(SearchError::FoldsAndSplit),
            (None, Some(label)) => (1, Some((label.to_owned(), Split::find(label)?.to_json().to_string()))),
            (folds, None) => (checked_folds(folds.unwrap_or(FOLDS))?, None),
        };
        let mut definition = Definition {
            kind: self.kind,
            algorithm: algorithm.into(),
            space,
            folds,
            split,
            metric: Metric::find(self.metric.unwrap_or("rmse"))?,
            halving: self.halving.unwrap_or(false),
            trials: 1,
            seed: self.seed.unwrap_or(SEED),
        };
        if points > MOST_TRIALS {
            let first = definition.trials()?;
            let seconds = match first.first() {
                Some(first) => Some(train::estimate(first)?.1 * definition.folds as f64 * points as f64),
                None => None,
            };
            return Err(SearchError::TooManyPoints { points, most: MOST_TRIALS, seconds });
        }
        definition.trials = points as usize;
        Ok(definition)
    }

    /// What to search if a search goes on: what it searched before, which the arguments that are given must agree with.
    pub fn resume(self, search: i64, stored: Definition) -> Result<Definition, SearchError> {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        let trials = self.trials.map_or(Ok(stored.trials), |trials| at_least_1("trials", trials))?;
        let folds = stored.folds as i64;
        let label = stored.split.as_ref().map(|(label, _)| label.as_str());
        let others = [
            ("kind", self.kind != stored.kind),
            ("algorithm", self.algorithm.is_some_and(|algorithm| algorithm != stored.algorithm)),
            ("space", self.space.is_some_and(|space| json(&space) != json(&stored.space))),
            ("split", self.split.is_some_and(|split| Some(split) != label)),
            ("number of folds", self.folds.is_some_and(|given| label.is_some() || given != folds)),
            ("metric", self.metric.is_some_and(|metric| metric != stored.metric.name())),
            ("halving", self.halving.is_some_and(|halving| halving != stored.halving)),
            ("seed", self.seed.is_some_and(|seed| seed != stored.seed)),
            // More points begin with the same ones. With halving, the stages would be others.
            ("number of trials", trials < stored.trials || (stored.halving && trials > stored.trials)),
        ];
        if let Some((argument, _)) = others.into_iter().find(|(_, differs)| *differs) {
            return Err(SearchError::OtherArguments { search, argument });
        }
        if let Some((label, rule)) = &stored.split
            && json(rule) != Some(Split::find(label)?.to_json())
        {
            return Err(SearchError::OtherArguments { search, argument: "rule of its split" });
        }
        if trials as u128 > MOST_TRIALS {
            return Err(SearchError::TooManyPoints {
                points: trials as u128,
                most: MOST_TRIALS,
                seconds: None,
            });
        }
        Ok(Definition { trials, ..stored })
    }
}

/// A number of folds, if there can be so many.
pub fn checked_folds(folds: i64) -> Result<usize, SearchError> {
    let Ok(folds) = usize::try_from(folds) else {
        let range = format!("from 2 to {}", SplitKind::MOST_FOLDS);
        return Err(SearchError::Argument { name: "folds", value: folds.to_string(), range });
    };
    SplitKind::Folds { folds }.check()?;
    Ok(folds)
}

fn at_least_1(name: &'static str, value: i64) -> Result<usize, SearchError> {
    match value {
        1.. => Ok(value as usize),
        _ => Err(SearchError::Argument { name, value: value.to_string(), range: "at least 1".into() }),
    }
}
