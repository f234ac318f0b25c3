//! What every judgement starts from: models in memory, the ratings that they are judged by, and whether they have learned from these.

use factor::{Digest, HoldOut, Model, Part};
use pgrx::JsonB;
use pgrx::notice;
use pgrx::warning;

use super::error::EvaluateError;
use crate::models::read::WholeModel;
use crate::models::{self, ModelRow, read};
use crate::pg::memory;
use crate::pg::prepared::Prepared;
use crate::pg::progress::{Phase, Progress};
use crate::pg::snapshot::Snapshot;
use crate::warehouse::dimension::MatrixRow;
use crate::warehouse::ratings::{self, Ids, Rated};
use crate::warehouse::split::{Divider, Split};
use crate::warehouse::unfinished;

/// Ratings are read, and models are judged by them.
pub const JUDGING: Phase = Phase { id: 8, name: "judging", unit: "ratings" };
/// Lists are made and judged.
pub const RANKING: Phase = Phase { id: 9, name: "ranking", unit: "customers" };

/// Ratings read between two updates of the progress.
const RATINGS_PER_UPDATE: usize = 64 * 1024;

/// Ratings that models are judged by.
#[derive(Clone, Debug)]
pub enum Judged {
    /// The test set of a split.
    Test(Split),
    /// The ratings outside the probe.
    Train,
    /// All ratings.
    All,
}

impl Judged {
    /// Those that the argument `split` names.
    pub fn find(split: &str) -> Result<Judged, EvaluateError> {
        match split {
            "train" => Ok(Judged::Train),
            "all" => Ok(Judged::All),
            name => Ok(Judged::Test(Split::find(name)?)),
        }
    }

    /// The share of the customers that they are a sample of; `None` if they are no sample.
    pub fn sample(&self) -> Option<f64> {
        match self {
            Judged::Test(split) => split.sampled_customers(),
            _ => None,
        }
    }

    /// The argument `split`.
    pub fn label(&self) -> &str {
        match self {
            Judged::Test(split) => &split.label,
            Judged::Train => "train",
            Judged::All => "all",
        }
    }

    /// The split that divides the ratings.
    pub fn split(&self) -> Split {
        match self {
            Judged::Test(split) => split.clone(),
            Judged::Train | Judged::All => Split::probe(),
        }
    }

    /// Whether ratings of this part of the split are judged.
    fn has(&self, part: Part) -> bool {
        match self {
            Judged::Test(_) => part == Part::Test,
            Judged::Train => part == Part::Train,
            Judged::All => true,
        }
    }
}

/// A model in memory.
pub struct Loaded {
    pub row: ModelRow,
    pub model: Model,
    knows_customer: Vec<bool>,
    knows_movie: Vec<bool>,
}

impl Loaded {
    /// The memory, in bytes, of a model.
    pub fn memory(row: &ModelRow, size: &ratings::Size) -> usize {
        read::whole_memory(row, size.customers, size.movies, false)
    }

    /// Reads a model. Its memory has been declared.
    pub fn read(row: ModelRow, size: &ratings::Size) -> Result<Loaded, EvaluateError> {
        let WholeModel { model, knows_customer, knows_movie } =
            read::whole(&row, size.customers, size.movies, false)?;
        Ok(Loaded { row, model, knows_customer, knows_movie })
    }

    /// Whether it has learned about the customer, and whether it has about the movie.
    pub fn knows_each(&self, customer: MatrixRow, movie: MatrixRow) -> (bool, bool) {
        let knows = |list: &[bool], row: MatrixRow| list.get(row.index()) == Some(&true);
        (knows(&self.knows_customer, customer), knows(&self.knows_movie, movie))
    }

    /// For each movie, whether it has learned about it.
    pub fn known_movies(&self) -> &[bool] {
        &self.knows_movie
    }

    /// The prediction for a rating, not clamped to the scale.
    pub fn predict(&self, rated: &Rated) -> f32 {
        self.model.predict_unclamped(rated.customer.index(), rated.movie.index())
    }
}

/// Finds models by their names, each with or without a version: `name@version`. If there is no list, all that are deployed.
pub fn find_all(names: Option<Vec<Option<String>>>) -> Result<Vec<ModelRow>, EvaluateError> {
    let rows = match names {
        None => memory::try_collect(
            models::find::deployed_names()?.iter().map(|name| models::find(Some(name), None)),
        )?,
        Some(names) => memory::try_collect(names.iter().map(|name| match name {
            Some(name) => models::find::by_label(name),
            None => Err(crate::pg::Error::NullArgument("a model's name").into()),
        }))?,
    };
    if rows.is_empty() { Err(EvaluateError::NoModels) } else { Ok(rows) }
}

/// What the warehouse has to be judged by.
pub struct Warehouse {
    pub size: ratings::Size,
    pub ids: Ids,
    pub progress: Progress,
}

impl Warehouse {
    /// Refused if row-level security would hide a part of the ratings. Warns if a load or a restore has left them unfinished.
    pub fn open() -> Result<Warehouse, EvaluateError> {
        unfinished::warn_in_load_or_restore()?;
        let progress = Progress::start(&JUDGING);
        Ok(Warehouse { size: ratings::size(Snapshot::Statement)?, ids: Ids::read()?, progress })
    }

    /// Calls `each` with every rating that is judged by, and `others` with all others and their part of the split. Returns for each
    /// model whether it was trained on ratings that it is judged by; `None` if that is not known.
    pub fn read(
        &self,
        what: &'static str,
        judged: &Judged,
        models: &[&ModelRow],
        mut each: impl FnMut(&Rated) -> Result<(), crate::warehouse::Error>,
        mut others: impl FnMut(&Rated, Part) -> Result<(), crate::warehouse::Error>,
    ) -> Result<Vec<Option<bool>>, EvaluateError> {
        // A divider for each different split: that of the ratings to be judged by comes first.
        let mut splits = vec![judged.split()];
        let mut trained =
            models.iter().map(|row| TrainedOn::read(row, &mut splits)).collect::<Result<Vec<_>, _>>()?;
        let divide = |split: &Split| Divider::new(what, split, &self.ids, self.size, Snapshot::Statement);
        let dividers = splits.iter().map(divide).collect::<Result<Vec<_>, _>>()?;
        let mut parts = vec![Part::Outside; dividers.len()];
        let mut read = 0;
        ratings::read(Snapshot::Statement, |rated| {
            read += 1;
            if read % RATINGS_PER_UPDATE == 0 {
                self.progress.update(read as u64, self.size.ratings as u64, read as u64);
            }
            for (part, divider) in parts.iter_mut().zip(&dividers) {
                *part = divider.part(&self.ids, &rated);
            }
            let is_judged = judged.has(parts[0]);
            trained.iter_mut().for_each(|trained| trained.add(&self.ids, &rated, &parts, is_judged));
            if is_judged { each(&rated) } else { others(&rated, parts[0]) }
        })?;
        Ok(trained.iter().map(TrainedOn::answer).collect())
    }
}

/// Finds out whether a model was trained on ratings that it is judged by.
struct TrainedOn {
    /// The place of its split in the list of splits; `None` if it was trained on all ratings.
    split: Option<usize>,
    hold_out: Option<HoldOut>,
    /// The digest of the ratings that it was not trained on: then, and by the same rule now. `None` if it was imported.
    left_out_then: Option<i64>,
    left_out_now: Digest,
    /// How many of the ratings that it is judged by the rule trains on.
    trained: u64,
}

impl TrainedOn {
    /// Adds the model's split to the list of splits, unless the same one is there.
    fn read(row: &ModelRow, splits: &mut Vec<Split>) -> Result<TrainedOn, EvaluateError> {
        static RULE: Prepared = Prepared(
            "SELECT train_on, split, split_rule, hold_out, left_out_digest FROM @extschema@.model WHERE model_id = $1",
        );
        let found = RULE.all(&[row.model_id.into()], |found| {
            let split = found.get::<String>(2).zip(found.get::<JsonB>(3));
            Ok((
                found.need::<String>(1, "model")?,
                split,
                found.need::<f64>(4, "model")?,
                found.get::<i64>(5),
            ))
        })?;
        let missing = || crate::pg::Error::Null("model");
        let (train_on, split, hold_out, left_out_then) = found.into_iter().next().ok_or_else(missing)?;
        let split = match split {
            None => (train_on != "all").then(Split::probe),
            Some((label, JsonB(rule))) => Some(Split::from_json(&label, rule).ok_or_else(missing)?),
        };
        let place_of = |split: Split| {
            splits.iter().position(|other| other.is_same(&split)).unwrap_or_else(|| {
                splits.push(split);
                splits.len() - 1
            })
        };
        Ok(TrainedOn {
            split: split.map(place_of),
            hold_out: (hold_out > 0.0).then(|| HoldOut::of_training(hold_out)),
            left_out_then,
            left_out_now: Digest::default(),
            trained: 0,
        })
    }

    #[inline]
    fn add(&mut self, ids: &Ids, rated: &Rated, parts: &[Part], is_judged: bool) {
        let part = self.split.map_or(Part::Train, |split| parts[split]);
        let is_held_out = self.hold_out.is_some_and(|hold_out| {
            let (customer_id, movie_id) = ids.of(rated.customer, rated.movie);
            hold_out.contains(customer_id, movie_id)
        });
        if part != Part::Train || is_held_out {
            ids.digest(rated, &mut self.left_out_now);
        } else if is_judged {
            self.trained += 1;
        }
    }

    fn answer(&self) -> Option<bool> {
        match self.left_out_then {
            _ if self.trained > 0 => Some(true),
            Some(then) if then == self.left_out_now.to_i64() => Some(false),
            _ => None,
        }
    }
}

/// Warns that a model is judged by ratings that it was, or may have been, trained on. Not of 'train' and 'all', where the caller
/// asks for it.
pub fn warn_if_trained_on(judged: &Judged, row: &ModelRow, is_trained_on: Option<bool>) {
    let Judged::Test(split) = judged else { return };
    let set = match split.label.as_str() {
        "probe" => "the probe".to_owned(),
        label => format!("ratings of the test set of split \"{label}\""),
    };
    match is_trained_on {
        Some(true) => warning!(
            "model \"{}\" was trained on {set}: its errors on ratings that it has not seen are larger",
            row.name
        ),
        None => warning!(
            "model \"{}\" may have been trained on some of these ratings: what it was trained without has changed since, or the model was imported",
            row.name
        ),
        Some(false) => {}
    }
}

/// Says that the figures are those of a sample of the customers.
pub fn note_sample(judged: &Judged) {
    if let Some(share) = judged.sample() {
        notice!("these figures are of a sample of {} % of the customers", 100.0 * share);
    }
}
