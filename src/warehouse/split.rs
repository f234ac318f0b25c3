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
}

/// Stands between the name of a split and the number of a fold.
pub const FOLD_MARK: char = ':';

impl Split {
    /// The split that everybody has: the probe is the test set.
    pub fn probe() -> Split {
        let rule = SplitRule { kind: SplitKind::Probe, seed: 0, include_probe: true };
        Split { label: "probe".into(), rule, fold: 0 }
    }

    /// Finds a split by its name, or a fold by `name:fold`.
    pub fn find(label: &str) -> Result<Split, Error> {
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
        Ok(Split { label: label.into(), rule, fold })
    }

    /// The rule and the fold as JSON, from which [`Split::from_json`] makes the split again.
    pub fn to_json(&self) -> Value {
        // Numbers, words and booleans can always be written as JSON.
        let mut rule = serde_json::to_value(&self.rule).unwrap_or_default();
        rule["fold"] = self.fold.into();
        rule
    }

    /// The split of [`Split::to_json`].
    pub fn from_json(label: &str, mut rule: Value) -> Option<Split> {
        let fold = rule.as_object_mut()?.remove("fold")?.as_u64()? as usize;
        Some(Split { label: label.into(), rule: rule_of(rule)?, fold })
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
        let mut splitter = Splitter::new(split.rule.clone(), split.fold);
        if splitter.observes() {
            memory::declare(what, splitter.memory(size.customers, size.ratings))?;
            ratings::read(snapshot, |rated| {
                Ok(splitter.observe(rated.customer.index(), dated(ids, &rated))?)
            })?;
        }
        Ok(Divider { splitter, is_probe: split.rule.kind == SplitKind::Probe })
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
