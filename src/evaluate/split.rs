//! Makes, drops and shows splits: `split_ratings`, `drop_split`, `test_set`.

use factor::{Part, SplitKind, SplitRule};
use pgrx::JsonB;
use pgrx::datum::Date;
use serde_json::Value;

use super::error::EvaluateError;
use super::judged::{Judged, Warehouse};
use crate::pg::catalog::Privilege;
use crate::pg::snapshot::Snapshot;
use crate::pg::{memory, query, sequence, transaction};
use crate::warehouse::ratings::{self, Ids, Rated};
use crate::warehouse::split::{Divider, FOLD_MARK, SECOND_HALF, Split};
use crate::warehouse::tables::RATING_SPLIT;
use crate::warehouse::unfinished;

/// The most bytes of a name, because it has to fit into an index.
const LONGEST_NAME: usize = 255;
/// Names that mean something else where a split is named.
const RESERVED: [&str; 3] = ["probe", "train", "all"];

/// The arguments of `split_ratings` that belong to some kinds only; `None` if the caller has not given them.
pub struct Arguments {
    pub fraction: Option<f64>,
    pub k: Option<i64>,
    pub since: Option<Date>,
    pub folds: Option<i64>,
    pub test_fraction: Option<f64>,
}

impl Arguments {
    /// The kind of this name with these parameters, or with its defaults.
    fn kind(&self, kind: &str) -> Result<SplitKind, EvaluateError> {
        let whole = |name, number: Option<i64>, default: usize| match number {
            Some(number) => usize::try_from(number).map_err(|_| EvaluateError::Argument {
                name,
                value: number.to_string(),
                range: "above 0".into(),
            }),
            None => Ok(default),
        };
        let (made, takes): (SplitKind, &[&str]) = match kind {
            "random" => (SplitKind::Random { fraction: self.fraction.unwrap_or(0.1) }, &["fraction"]),
            "last_k" => (SplitKind::LastK { k: whole("k", self.k, 1)? }, &["k"]),
            "by_time" => {
                let since = self.since.ok_or(EvaluateError::MissingOfKind {
                    kind: "by_time",
                    argument: "since",
                    example: "since => '2005-07-01'",
                })?;
                let day = since.year() * 10_000 + i32::from(since.month()) * 100 + i32::from(since.day());
                (SplitKind::ByTime { since: day }, &["since"])
            }
            "probe" => (SplitKind::Probe, &[]),
            "folds" => (SplitKind::Folds { folds: whole("folds", self.folds, 5)? }, &["folds"]),
            "sample_customers" => (
                SplitKind::SampleCustomers {
                    fraction: self.fraction.unwrap_or(0.1),
                    test_fraction: self.test_fraction.unwrap_or(0.1),
                },
                &["fraction", "test_fraction"],
            ),
            other => return Err(EvaluateError::SplitKind(other.into())),
        };
        let given = [
            ("fraction", self.fraction.is_some()),
            ("k", self.k.is_some()),
            ("since", self.since.is_some()),
            ("folds", self.folds.is_some()),
            ("test_fraction", self.test_fraction.is_some()),
        ];
        let kind = SplitKind::NAMES.into_iter().find(|name| *name == kind).unwrap_or_default();
        match given.into_iter().find(|(argument, is_given)| *is_given && !takes.contains(argument)) {
            Some((argument, _)) => Err(EvaluateError::NotOfKind { kind, argument }),
            None => Ok(made),
        }
    }
}

/// What `split_ratings` returns.
pub struct Made {
    pub name: String,
    pub kind: String,
    pub params: Value,
    pub seed: i64,
    pub train_ratings: i64,
    pub test_ratings: i64,
    pub test_customers: i64,
}

/// Makes a split and stores it.
pub fn make(
    name: &str,
    kind: &str,
    arguments: &Arguments,
    seed: i64,
    include_probe: bool,
) -> Result<Made, EvaluateError> {
    transaction::require_writable(c"split_ratings()");
    unfinished::refuse_in_load_or_restore("split_ratings")?;
    RATING_SPLIT.require(&[Privilege::Select, Privilege::Insert])?;
    if !(1..=LONGEST_NAME).contains(&name.len())
        || name.contains(FOLD_MARK)
        || name.ends_with(SECOND_HALF)
        || RESERVED.contains(&name)
    {
        return Err(EvaluateError::SplitName(name.into()));
    }
    let rule = SplitRule { kind: arguments.kind(kind)?, seed, include_probe };
    rule.kind.check()?;
    let exists = "SELECT EXISTS (SELECT FROM @extschema@.rating_split WHERE name = $1)";
    if query::select_one::<bool>(Snapshot::Latest, exists, &[name.into()])? == Some(true) {
        return Err(EvaluateError::SplitExists(name.into()));
    }
    let split = Split { label: name.into(), rule, fold: 0, second_half: false };
    let (train_ratings, test_ratings, test_customers) = count(&split)?;
    let mut params = split.to_json();
    if let Some(params) = params.as_object_mut() {
        ["kind", "seed", "include_probe", "fold"].iter().for_each(|key| drop(params.remove(*key)));
    }
    sequence::catch_up("rating_split", "split_id", "rating_split_split_id_seq")?;
    let inserted = query::run_one::<i32>(
        "INSERT INTO @extschema@.rating_split (name, kind, params, seed, include_probe, train_ratings, test_ratings, test_customers)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING RETURNING split_id",
        &[
            name.into(),
            kind.into(),
            JsonB(params.clone()).into(),
            seed.into(),
            include_probe.into(),
            train_ratings.into(),
            test_ratings.into(),
            test_customers.into(),
        ],
    )?;
    // Another session may have made one of this name meanwhile.
    inserted.ok_or_else(|| EvaluateError::SplitExists(name.into()))?;
    Ok(Made {
        name: name.into(),
        kind: kind.into(),
        params,
        seed,
        train_ratings,
        test_ratings,
        test_customers,
    })
}

/// The numbers of training ratings, of test ratings, and of customers who gave these. Of folds: training ratings of each on average,
/// and test ratings of all together.
fn count(split: &Split) -> Result<(i64, i64, i64), EvaluateError> {
    let size = ratings::size(Snapshot::Transaction)?;
    memory::declare("split_ratings", (size.customers + size.movies) * size_of::<u32>() + size.customers)?;
    let ids = Ids::read()?;
    let divider = Divider::new("split_ratings", split, &ids, size, Snapshot::Transaction)?;
    let folds = match split.rule.kind {
        SplitKind::Folds { folds } => folds,
        _ => 1,
    };
    let (mut train, mut test, mut customers) = (0, vec![0; folds], memory::filled(false, size.customers)?);
    ratings::read(Snapshot::Transaction, |rated| {
        let fold = match divider.fold(&ids, &rated) {
            Some(fold) => fold,
            None => match divider.part(&ids, &rated) {
                Part::Test => 0,
                part => {
                    train += i64::from(part == Part::Train);
                    return Ok(());
                }
            },
        };
        test[fold] += 1;
        if let Some(has_ratings) = customers.get_mut(rated.customer.index()) {
            *has_ratings = true;
        }
        Ok(())
    })?;
    let all = test.iter().sum::<i64>();
    let train = if folds > 1 { all - all / folds as i64 } else { train };
    let side = match (train, test.contains(&0)) {
        _ if size.ratings == 0 => return Err(factor::Error::NoRatings.into()),
        (_, true) => "test",
        (0, _) => "training",
        _ => return Ok((train, all, customers.iter().filter(|has_ratings| **has_ratings).count() as i64)),
    };
    Err(EvaluateError::EmptySide { name: split.label.clone(), side })
}

/// Drops a split. Models that were trained on it stay as they are.
pub fn drop_split(name: &str) -> Result<String, EvaluateError> {
    transaction::require_writable(c"drop_split()");
    RATING_SPLIT.require(&[Privilege::Select, Privilege::Delete])?;
    let split = Split::find(name).or_else(|error| match error {
        // All folds are dropped together.
        crate::warehouse::Error::Fold { given: None, .. } | crate::warehouse::Error::DamagedSplit { .. } => {
            Ok(Split { label: name.into(), ..Split::probe() })
        }
        error => Err(error),
    })?;
    if RESERVED.contains(&name) {
        return Err(EvaluateError::SplitName(name.into()));
    }
    let dropped = "DELETE FROM @extschema@.rating_split WHERE name = $1 RETURNING name";
    Ok(query::run_one::<String>(dropped, &[name.into()])?.unwrap_or(split.label))
}

/// A rating of a test set.
pub struct TestRating {
    pub customer_id: u32,
    pub movie_id: u32,
    pub rating: u8,
    /// yyyymmdd
    pub day: i32,
}

/// The test set of a split.
pub fn test_set(split: &str) -> Result<Vec<TestRating>, EvaluateError> {
    let judged = Judged::find(split)?;
    let Judged::Test(_) = judged else { return Err(EvaluateError::NoTestSet(split.into())) };
    let warehouse = Warehouse::open()?;
    let mut ratings = Vec::new();
    let push = |rated: &Rated| {
        let (customer_id, movie_id) = warehouse.ids.of(rated.customer, rated.movie);
        let rating = TestRating { customer_id, movie_id, rating: rated.rating, day: rated.day };
        Ok(memory::push(&mut ratings, rating)?)
    };
    warehouse.read("test_set", &judged, &[], push, |_, _| Ok(()))?;
    Ok(ratings)
}
