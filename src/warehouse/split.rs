//! Splits: which ratings a model is trained on, and which it is judged by. The rules are those of [`factor::SplitRule`].

use factor::{Dated, Part, SplitKind, SplitRule, Splitter};
use pgrx::JsonB;
use serde_json::Value;

use super::Error;
use super::ratings::{self, Ids, Rated};
use super::tables::RATING_SPLIT;
use crate::pg::catalog::Privilege;
use crate::pg::prepared::Prepared;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, memory};

/// A split as a call names it.
#[derive(Clone, Debug)]
pub struct Split {
    /// The name; of a fold, `name:fold`.
    pub label: String,
    pub rule: SplitRule,
    /// The fold that is the test set, counted from 0; only of folds.
    pub fold: usize,
    /// Whether the test set is only the second half of the customers', by which blends are judged. Blends are trained on the first half.
    pub second_half: bool,
}

/// Stands between the name of a split and the number of a fold.
pub const FOLD_MARK: char = ':';
/// Stands at the end, if the second half of the test set is meant.
pub const SECOND_HALF: &str = "/2";

impl Split {
    /// The split that everybody has: the probe is the test set.
    pub fn probe() -> Split {
        let rule = SplitRule { kind: SplitKind::Probe, seed: 0, include_probe: true };
        Split { label: "probe".into(), rule, fold: 0, second_half: false }
    }

    /// The same split, with the second half of its test set.
    pub fn with_second_half(&self) -> Split {
        let label = format!("{}{SECOND_HALF}", self.label);
        Split { label, second_half: true, ..self.clone() }
    }

    /// The same split, with its whole test set.
    pub fn with_whole_test_set(&self) -> Split {
        let label = self.label.strip_suffix(SECOND_HALF).unwrap_or(&self.label).into();
        Split { label, second_half: false, ..self.clone() }
    }

    /// Whether another split divides all ratings in the same way.
    pub fn is_same(&self, other: &Split) -> bool {
        (&self.rule, self.fold, self.second_half) == (&other.rule, other.fold, other.second_half)
    }

    /// What divides ratings by it.
    pub fn splitter(&self) -> Splitter {
        let splitter = Splitter::new(self.rule.clone(), self.fold);
        if self.second_half { splitter.with_second_half() } else { splitter }
    }

    /// Finds a split by its name, a fold by `name:fold`, or the second half of a test set by `/2` behind them.
    pub fn find(label: &str) -> Result<Split, Error> {
        match label.strip_suffix(SECOND_HALF) {
            Some(whole) => Ok(Split::find_whole(whole)?.with_second_half()),
            None => Split::find_whole(label),
        }
    }

    fn find_whole(label: &str) -> Result<Split, Error> {
        static FIND: Prepared = Prepared(
            "SELECT kind, params, seed, include_probe FROM @extschema@.rating_split WHERE name = $1",
        );
        if label == "probe" {
            return Ok(Split::probe());
        }
        RATING_SPLIT.require(&[Privilege::Select])?;
        let (name, fold) = match label.rsplit_once(FOLD_MARK) {
            Some((name, fold)) => (name, Some(fold)),
            None => (label, None),
        };
        let found = FIND.all(&[name.into()], |row| {
            let JsonB(mut rule) = row.need::<JsonB>(2, "rating_split")?;
            rule["kind"] = row.need::<String>(1, "rating_split")?.into();
            rule["seed"] = row.need::<i64>(3, "rating_split")?.into();
            rule["include_probe"] = row.need::<bool>(4, "rating_split")?.into();
            Ok(rule)
        })?;
        let Some(rule) = found.into_iter().next() else {
            return Err(Error::NoSplit { name: name.into(), known: names()? });
        };
        let rule = rule_of(rule).ok_or_else(|| Error::DamagedSplit { name: name.into() })?;
        let fold = match (&rule.kind, fold) {
            (&SplitKind::Folds { folds }, fold) => {
                let number = fold.and_then(|fold| fold.parse::<usize>().ok());
                let number = number.filter(|number| (1..=folds).contains(number));
                number.ok_or_else(|| Error::Fold { name: name.into(), folds, given: fold.map(Into::into) })?
                    - 1
            }
            (_, None) => 0,
            (_, Some(_)) => return Err(Error::NoSplit { name: label.into(), known: names()? }),
        };
        Ok(Split { label: label.into(), rule, fold, second_half: false })
    }

    /// The rule and the fold as JSON, from which [`Split::from_json`] makes the split again.
    pub fn to_json(&self) -> Value {
        // Numbers, words and booleans can always be written as JSON.
        let mut rule = serde_json::to_value(&self.rule).unwrap_or_default();
        rule["fold"] = self.fold.into();
        if self.second_half {
            rule["second_half"] = true.into();
        }
        rule
    }

    /// The split of [`Split::to_json`].
    pub fn from_json(label: &str, mut rule: Value) -> Option<Split> {
        let members = rule.as_object_mut()?;
        let fold = members.remove("fold")?.as_u64()? as usize;
        let second_half = members.remove("second_half").is_some();
        Some(Split { label: label.into(), rule: rule_of(rule)?, fold, second_half })
    }

    /// The share of the customers that it samples; `None` if it does not sample them.
    pub fn sampled_customers(&self) -> Option<f64> {
        match self.rule.kind {
            SplitKind::SampleCustomers { fraction, .. } => Some(fraction),
            _ => None,
        }
    }
}

fn rule_of(rule: Value) -> Option<SplitRule> {
    serde_json::from_value::<SplitRule>(rule).ok().filter(|rule| rule.kind.check().is_ok())
}

/// The names of all splits.
fn names() -> Result<Vec<String>, pg::Error> {
    static NAMES: Prepared = Prepared("SELECT name FROM @extschema@.rating_split ORDER BY name");
    NAMES.all(&[], |row| row.need(1, "rating_split"))
}

/// Divides the ratings of the warehouse.
pub struct Divider {
    splitter: Splitter,
    is_probe: bool,
}

impl Divider {
    /// A split's divider. Some kinds read all ratings first: `what` names the call that this is a part of, in the error about memory.
    pub fn new(
        what: &'static str,
        split: &Split,
        ids: &Ids,
        size: ratings::Size,
        snapshot: Snapshot,
    ) -> Result<Divider, Error> {
        let mut splitter = split.splitter();
        if splitter.observes() {
            memory::declare(what, splitter.memory(size.customers, size.ratings))?;
            ratings::read(snapshot, |rated| {
                Ok(splitter.observe(rated.customer.index(), dated(ids, &rated))?)
            })?;
        }
        Ok(Divider { splitter, is_probe: split.rule.kind == SplitKind::Probe && !split.second_half })
    }

    /// What a rating is for.
    #[inline]
    pub fn part(&self, ids: &Ids, rated: &Rated) -> Part {
        match (self.is_probe, rated.is_probe) {
            // Without looking up ids.
            (true, true) => Part::Test,
            (true, false) => Part::Train,
            (false, _) => self.splitter.part(rated.customer.index(), dated(ids, rated)),
        }
    }
}

impl Divider {
    /// Whether a customer is in the second half of the test set.
    pub fn is_in_second_half(&self, ids: &Ids, rated: &Rated) -> bool {
        let (customer_id, _) = ids.of(rated.customer, rated.movie);
        self.splitter.is_in_second_half(customer_id)
    }

    /// The fold that a rating is in the test set of, counted from 0. `None` if it is in none, or if the split has no folds.
    #[inline]
    pub fn fold(&self, ids: &Ids, rated: &Rated) -> Option<usize> {
        self.splitter.fold(dated(ids, rated))
    }
}

fn dated(ids: &Ids, rated: &Rated) -> Dated {
    let (customer_id, movie_id) = ids.of(rated.customer, rated.movie);
    Dated { customer_id, movie_id, day: rated.day, is_probe: rated.is_probe }
}
