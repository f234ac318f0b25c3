//! Splits: rules that divide ratings into those to train on and those to judge by.
//!
//! Whether a rating is in the test set depends on the rating alone: on the data set's own ids, on its day, and on the seed. So
//! the same ratings give the same split in whatever order they were loaded. `last_k` also depends on the customer's other
//! ratings.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::random::hash;
use crate::ratings::hold_out::HoldOut;

/// What a rating is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To be trained on.
    Train,
    /// To judge models by.
    Test,
    /// Neither of them.
    Outside,
}

/// A rule that divides ratings. As JSON: an object with `kind`, the parameters of the kind, `seed` and `include_probe`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitRule {
    /// The kind, and its parameters.
    #[serde(flatten)]
    pub kind: SplitKind,
    /// The seed of the hash that picks ratings, of the kinds that pick at random.
    pub seed: i64,
    /// Whether the probe's ratings are divided like all others. If not, they are outside.
    pub include_probe: bool,
}

/// How ratings are divided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SplitKind {
    /// The test set is a share of all ratings.
    Random {
        /// The share, above 0 and below 1.
        fraction: f64,
    },
    /// The test set is the last `k` ratings of each customer. Of ratings of the same day, a hash picks. A customer with no more
    /// than `k` ratings has none in the test set.
    LastK {
        /// From 1 to [`SplitKind::MOST_LAST`].
        k: usize,
    },
    /// The test set is the ratings from a day on.
    ByTime {
        /// The day, as the number yyyymmdd.
        since: i32,
    },
    /// The test set is the probe.
    Probe,
    /// As many test sets as folds, each with about the same number of ratings. Each rating is in one of them.
    Folds {
        /// From 2 to [`SplitKind::MOST_FOLDS`].
        folds: usize,
    },
    /// A share of the customers, with all their ratings. The others are outside. The test set is a share of the ratings of these
    /// customers.
    SampleCustomers {
        /// The share of the customers, above 0 and at most 1.
        fraction: f64,
        /// The share of their ratings that is the test set, above 0 and below 1.
        test_fraction: f64,
    },
}

impl SplitKind {
    /// The most ratings of a customer in a test set of [`SplitKind::LastK`].
    pub const MOST_LAST: usize = 1000;
    /// The most folds.
    pub const MOST_FOLDS: usize = 1000;
    /// The names of all kinds.
    pub const NAMES: [&str; 6] = ["random", "last_k", "by_time", "probe", "folds", "sample_customers"];

    /// [`Error::Parameter`] if a parameter is out of its range.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |name, value: String, range: String| Err(Error::Parameter { name, value, range });
        let share = |name, share: f64| match share > 0.0 && share < 1.0 {
            true => Ok(()),
            false => wrong(name, share.to_string(), "above 0 and below 1".into()),
        };
        let whole = |name, number: usize, low: usize, high: usize| match (low..=high).contains(&number) {
            true => Ok(()),
            false => wrong(name, number.to_string(), format!("from {low} to {high}")),
        };
        match *self {
            SplitKind::Random { fraction } => share("fraction", fraction),
            SplitKind::LastK { k } => whole("k", k, 1, SplitKind::MOST_LAST),
            SplitKind::ByTime { .. } | SplitKind::Probe => Ok(()),
            SplitKind::Folds { folds } => whole("folds", folds, 2, SplitKind::MOST_FOLDS),
            SplitKind::SampleCustomers { fraction, test_fraction } => {
                if !(fraction > 0.0 && fraction <= 1.0) {
                    return wrong("fraction", fraction.to_string(), "above 0 and at most 1".into());
                }
                share("test_fraction", test_fraction)
            }
        }
    }
}

/// What a split needs to know of a rating, besides who rated it.
#[derive(Clone, Copy, Debug)]
pub struct Dated {
    /// The customer's id in the data set.
    pub customer_id: u32,
    /// The movie's id in the data set.
    pub movie_id: u32,
    /// The day, as the number yyyymmdd.
    pub day: i32,
    /// Whether the rating belongs to the probe.
    pub is_probe: bool,
}

/// Divides ratings by a rule.
#[derive(Clone, Debug)]
pub struct Splitter {
    rule: SplitRule,
    /// The fold that is the test set, counted from 0; only of [`SplitKind::Folds`].
    fold: usize,
    /// Whether the first half of the test set is for training, too.
    second_half: bool,
    seed: u64,
    /// Only of [`SplitKind::LastK`]: each customer's last ratings.
    last: Vec<LastRatings>,
}

/// A rating's place among those of its customer: the day, and a hash that orders the ratings of one day.
type Moment = (i32, u64);

/// The last ratings of a customer.
#[derive(Clone, Debug, Default)]
struct LastRatings {
    /// At most one more than are in the test set, the earliest one on top.
    moments: BinaryHeap<Reverse<Moment>>,
}

/// Makes the hashes of splits differ from those of [`HoldOut::of_training`], also if the seeds are the same. Otherwise a training
/// would find nothing to hold out, because the split had taken just these ratings away.
const SALT: u64 = 0x7370_6c69_7473;
/// Makes the hash that picks customers differ from the one that picks ratings.
const CUSTOMER_SALT: u64 = 0x6375_7374;
/// Makes the hash that halves the customers differ from both.
const HALF_SALT: u64 = 0x6861_6c66;

impl Splitter {
    /// Of [`SplitKind::Folds`], `fold` is the fold that is the test set, counted from 0. The other kinds ignore it.
    pub fn new(rule: SplitRule, fold: usize) -> Splitter {
        let seed = hash(hash(rule.seed as u64) ^ SALT);
        Splitter { rule, fold, second_half: false, seed, last: Vec::new() }
    }

    /// The same split, whose test set is only the second half of the customers. The test ratings of the first half are to be trained
    /// on, too: a blend learns its weights from them.
    pub fn with_second_half(self) -> Splitter {
        Splitter { second_half: true, ..self }
    }

    /// Whether a customer is in the second half of the test set.
    pub fn is_in_second_half(&self, customer_id: u32) -> bool {
        hash(u64::from(customer_id) ^ hash(self.seed ^ HALF_SALT)) >> 63 == 1
    }

    /// Whether every rating must be shown to [`Splitter::observe`] before the first one is divided.
    pub fn observes(&self) -> bool {
        matches!(self.rule.kind, SplitKind::LastK { .. })
    }

    /// The most memory, in bytes, that observing takes.
    pub fn memory(&self, customers: usize, ratings: usize) -> usize {
        match self.rule.kind {
            SplitKind::LastK { k } => {
                let moments = customers.saturating_mul(k + 1).min(ratings.saturating_add(customers));
                // A heap that grows has up to twice the memory that it needs.
                customers * size_of::<LastRatings>() + 2 * moments * size_of::<Reverse<Moment>>()
            }
            _ => 0,
        }
    }

    /// Sees a rating of the customer of this row. [`Error::OutOfMemory`].
    pub fn observe(&mut self, customer: usize, rating: Dated) -> Result<(), Error> {
        let SplitKind::LastK { k } = self.rule.kind else { return Ok(()) };
        if self.is_outside(rating) {
            return Ok(());
        }
        if customer >= self.last.len() {
            let more = customer + 1 - self.last.len();
            let failed = |_| Error::OutOfMemory { bytes: more * size_of::<LastRatings>() };
            self.last.try_reserve(more).map_err(failed)?;
            self.last.resize_with(customer + 1, LastRatings::default);
        }
        let moment = self.moment(rating);
        let moments = &mut self.last[customer].moments;
        if moments.len() <= k {
            let failed = |_| Error::OutOfMemory { bytes: size_of::<Reverse<Moment>>() };
            moments.try_reserve(1).map_err(failed)?;
            moments.push(Reverse(moment));
        } else if let Some(mut earliest) = moments.peek_mut()
            && moment > earliest.0
        {
            *earliest = Reverse(moment);
        }
        Ok(())
    }

    /// What a rating of the customer of this row is for.
    #[inline]
    pub fn part(&self, customer: usize, rating: Dated) -> Part {
        if self.is_outside(rating) {
            return Part::Outside;
        }
        let is_test = match self.rule.kind {
            SplitKind::Probe => rating.is_probe,
            SplitKind::ByTime { since } => rating.day >= since,
            SplitKind::Random { fraction } => self.is_picked(fraction, rating),
            SplitKind::Folds { folds } => self.fold_of(folds, rating) == self.fold,
            SplitKind::LastK { k } => self.last.get(customer).is_some_and(|last| {
                // With k + 1 ratings or more, the earliest of the last k + 1 is the last one to train on.
                last.moments.len() > k
                    && last.moments.peek().is_some_and(|first| self.moment(rating) > first.0)
            }),
            SplitKind::SampleCustomers { fraction, test_fraction } => {
                if !is_sampled(fraction, self.rule.seed, rating.customer_id) {
                    return Part::Outside;
                }
                self.is_picked(test_fraction, rating)
            }
        };
        let is_test = is_test && (!self.second_half || self.is_in_second_half(rating.customer_id));
        if is_test { Part::Test } else { Part::Train }
    }

    /// The fold that a rating is in the test set of, counted from 0. `None` if it is in none, or if the split has no folds.
    #[inline]
    pub fn fold(&self, rating: Dated) -> Option<usize> {
        match self.rule.kind {
            SplitKind::Folds { folds } if !self.is_outside(rating) => Some(self.fold_of(folds, rating)),
            _ => None,
        }
    }

    fn is_outside(&self, rating: Dated) -> bool {
        rating.is_probe && !self.rule.include_probe && self.rule.kind != SplitKind::Probe
    }

    fn pair_hash(&self, rating: Dated) -> u64 {
        hash((u64::from(rating.customer_id) << 32 | u64::from(rating.movie_id)) ^ self.seed)
    }

    fn is_picked(&self, fraction: f64, rating: Dated) -> bool {
        self.pair_hash(rating) < HoldOut::threshold(fraction)
    }

    fn fold_of(&self, folds: usize, rating: Dated) -> usize {
        ((u128::from(self.pair_hash(rating)) * folds as u128) >> 64) as usize
    }

    fn moment(&self, rating: Dated) -> Moment {
        (rating.day, self.pair_hash(rating))
    }
}

/// Whether a customer is in a sample of this share of all customers. A smaller share of the same seed is a part of a larger one.
pub fn is_sampled(fraction: f64, seed: i64, customer_id: u32) -> bool {
    hash(u64::from(customer_id) ^ hash(seed as u64 ^ CUSTOMER_SALT)) <= HoldOut::threshold(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn rule(kind: SplitKind) -> SplitRule {
        SplitRule { kind, seed: 42, include_probe: false }
    }

    /// 100 customers with up to 40 ratings each. One in ten is of the probe.
    fn ratings() -> Vec<Dated> {
        let of = |customer_id: u32| {
            (0..1 + customer_id % 40).map(move |movie| Dated {
                customer_id,
                movie_id: 1 + movie * 7 % 97,
                day: 20050101 + (hash(u64::from(customer_id * 1000 + movie)) % 9) as i32,
                is_probe: hash(u64::from(customer_id * 77 + movie)).is_multiple_of(10),
            })
        };
        (1..=100).flat_map(of).collect()
    }

    fn divide(splitter: &mut Splitter, ratings: &[Dated]) -> BTreeMap<(u32, u32), Part> {
        for &rating in ratings {
            splitter.observe(rating.customer_id as usize, rating).unwrap();
        }
        let part = |&rating: &Dated| {
            ((rating.customer_id, rating.movie_id), splitter.part(rating.customer_id as usize, rating))
        };
        ratings.iter().map(part).collect()
    }

    fn count(parts: &BTreeMap<(u32, u32), Part>, part: Part) -> usize {
        parts.values().filter(|&&of| of == part).count()
    }

    fn kinds() -> Vec<SplitKind> {
        vec![
            SplitKind::Random { fraction: 0.2 },
            SplitKind::LastK { k: 3 },
            SplitKind::ByTime { since: 20050106 },
            SplitKind::Probe,
            SplitKind::Folds { folds: 5 },
            SplitKind::SampleCustomers { fraction: 0.3, test_fraction: 0.2 },
        ]
    }

    #[test]
    fn the_order_of_the_ratings_makes_no_difference() {
        let forwards = ratings();
        let mut backwards = forwards.clone();
        backwards.reverse();
        for kind in kinds() {
            let of = |ratings: &[Dated]| divide(&mut Splitter::new(rule(kind.clone()), 1), ratings);
            assert_eq!(of(&forwards), of(&backwards), "{kind:?}");
        }
    }

    #[test]
    fn the_probe_is_outside_unless_it_is_included() {
        let ratings = ratings();
        let probe = ratings.iter().filter(|rating| rating.is_probe).count();
        for kind in kinds() {
            let mut splitter = Splitter::new(rule(kind.clone()), 0);
            let parts = divide(&mut splitter, &ratings);
            let probes = ratings.iter().filter(|rating| rating.is_probe);
            let wanted = if kind == SplitKind::Probe { Part::Test } else { Part::Outside };
            for rating in probes {
                assert_eq!(parts[&(rating.customer_id, rating.movie_id)], wanted, "{kind:?}");
            }
            let all = SplitRule { include_probe: true, ..rule(kind.clone()) };
            let with_probe = divide(&mut Splitter::new(all, 0), &ratings);
            match kind {
                SplitKind::Probe => assert_eq!(count(&parts, Part::Test), probe),
                SplitKind::SampleCustomers { .. } => {
                    assert!(count(&with_probe, Part::Outside) < count(&parts, Part::Outside));
                }
                _ => {
                    assert_eq!((count(&with_probe, Part::Outside), count(&parts, Part::Outside)), (0, probe))
                }
            }
        }
    }

    #[test]
    fn each_rating_is_in_one_fold() {
        let ratings = ratings();
        let folds = (0..5)
            .map(|fold| divide(&mut Splitter::new(rule(SplitKind::Folds { folds: 5 }), fold), &ratings));
        let folds = folds.collect::<Vec<_>>();
        for rating in ratings.iter().filter(|rating| !rating.is_probe) {
            let pair = (rating.customer_id, rating.movie_id);
            assert_eq!(folds.iter().filter(|fold| fold[&pair] == Part::Test).count(), 1);
            let fold = Splitter::new(rule(SplitKind::Folds { folds: 5 }), 0).fold(*rating).unwrap();
            assert_eq!(folds[fold][&pair], Part::Test);
        }
        for fold in &folds {
            let share =
                count(fold, Part::Test) as f64 / (count(fold, Part::Test) + count(fold, Part::Train)) as f64;
            assert!((0.15..0.25).contains(&share), "{share}");
        }
    }

    #[test]
    fn a_hold_out_of_the_same_seed_is_independent() {
        let ratings = ratings();
        let hold_out = HoldOut::of_training(0.2);
        let splitter = Splitter::new(rule(SplitKind::Random { fraction: 0.2 }), 0);
        let train =
            ratings.iter().filter(|&&rating| splitter.part(0, rating) == Part::Train).collect::<Vec<_>>();
        let held_out =
            train.iter().filter(|rating| hold_out.contains(rating.customer_id, rating.movie_id)).count();
        let share = held_out as f64 / train.len() as f64;
        assert!((0.15..0.25).contains(&share), "{share}");
    }

    #[test]
    fn the_second_half_has_about_half_of_the_customers_and_keeps_the_rest_for_training() {
        let ratings = ratings();
        for kind in kinds() {
            let whole = divide(&mut Splitter::new(rule(kind.clone()), 1), &ratings);
            let mut second = Splitter::new(rule(kind.clone()), 1).with_second_half();
            let half = divide(&mut second, &ratings);
            for (&(customer, movie), &part) in &whole {
                let expected = match part {
                    Part::Test if !second.is_in_second_half(customer) => Part::Train,
                    part => part,
                };
                assert_eq!(half[&(customer, movie)], expected, "{kind:?}");
            }
        }
        let splitter = Splitter::new(rule(SplitKind::Probe), 0);
        let share = (1..=10_000).filter(|&id| splitter.is_in_second_half(id)).count();
        assert!((4800..5200).contains(&share), "{share}");
    }

    #[test]
    fn a_smaller_sample_of_customers_is_within_a_larger_one() {
        let sampled = |fraction: f64| (1..10_000u32).filter(move |&id| is_sampled(fraction, 7, id));
        assert!(sampled(0.1).all(|id| is_sampled(0.3, 7, id)));
        assert!((900..1100).contains(&sampled(0.1).count()));
        assert_eq!(sampled(1.0).count(), 9999);
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let wrong = [
            SplitKind::Random { fraction: 0.0 },
            SplitKind::Random { fraction: 1.0 },
            SplitKind::Random { fraction: f64::NAN },
            SplitKind::LastK { k: 0 },
            SplitKind::Folds { folds: 1 },
            SplitKind::SampleCustomers { fraction: 1.1, test_fraction: 0.1 },
            SplitKind::SampleCustomers { fraction: 0.1, test_fraction: 0.0 },
        ];
        for kind in wrong {
            assert!(matches!(kind.check(), Err(Error::Parameter { .. })), "{kind:?}");
        }
        kinds().iter().for_each(|kind| kind.check().unwrap());
    }

    #[test]
    fn a_rule_is_read_from_the_json_that_it_is_written_to() {
        for (kind, name) in kinds().into_iter().zip(SplitKind::NAMES) {
            let rule = rule(kind);
            let json = serde_json::to_value(&rule).unwrap();
            assert_eq!(json["kind"], name);
            assert_eq!(serde_json::from_value::<SplitRule>(json).unwrap(), rule);
        }
    }

    proptest! {
        #[test]
        fn last_k_is_what_sorting_gives(
            days in prop::collection::vec(1i32..6, 1..30), k in 1usize..8,
        ) {
            let ratings = days.iter().enumerate().map(|(movie, &day)| Dated {
                customer_id: 9, movie_id: movie as u32 + 1, day, is_probe: false,
            }).collect::<Vec<_>>();
            let mut splitter = Splitter::new(rule(SplitKind::LastK { k }), 0);
            let parts = divide(&mut splitter, &ratings);
            let test = count(&parts, Part::Test);
            prop_assert_eq!(test, if ratings.len() > k { k } else { 0 });
            let days = |part: Part| ratings.iter().filter(move |rating| parts[&(9, rating.movie_id)] == part).map(|rating| rating.day).collect::<Vec<_>>();
            if test > 0 {
                let earliest = days.clone()(Part::Test).into_iter().min();
                prop_assert!(days(Part::Train).into_iter().max() <= earliest);
            }
        }
    }
}
