//! Blends models: learns weights on one half of a test set, judges the weighted sum by the other half, and stores it as a model.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use factor::{Blend, BlendPart, Digest, HoldOut, Metrics, Model, Origin, Part, Ratings, Stacking};
use pgrx::{JsonB, notice};

use super::error::TrainError;
use super::fit::TRAINING;
use crate::models::deploy::{Deploy, JudgedBy};
use crate::models::read::{self, WholeModel};
use crate::models::write::{Elapsed, NewModel, WRITING_MODEL, Written, check_name, require_write, write};
use crate::models::{self, ModelRow};
use crate::pg::prepared::Prepared;
use crate::pg::progress::Progress;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, guc, memory, threads, transaction};
use crate::warehouse::dimension::{Dimension, MatrixRow};
use crate::warehouse::ratings::{self, HeldOut, Ids, READING_RATINGS};
use crate::warehouse::split::{Divider, Split};
use crate::warehouse::unfinished;

/// The arguments of a blend.
pub struct BlendRequest<'a> {
    pub models: Vec<Option<String>>,
    pub split: &'a str,
    pub name: &'a str,
    pub regularization: f64,
    pub counts: bool,
    pub deploy: Option<bool>,
}

/// The greatest ridge penalty: weights are zero long before.
const MOST_REGULARIZATION: f64 = 1e9;
/// Ratings between two checks of the cancel flag.
const RATINGS_PER_CHECK: usize = 4096;
/// Ratings read between two updates of the progress.
const RATINGS_PER_UPDATE: usize = 64 * 1024;

/// Blends the models and writes the blend.
pub fn blend<'a>(request: &BlendRequest<'a>) -> Result<(NewModel<'a>, Written), TrainError> {
    let started = Instant::now();
    let BlendRequest { ref models, split, name, regularization, counts, deploy } = *request;
    transaction::require_writable(c"train_blend()");
    unfinished::refuse_in_load_or_restore("train_blend")?;
    check_name(name)?;
    require_write()?;
    if !(0.0..=MOST_REGULARIZATION).contains(&regularization) {
        return Err(factor::Error::Parameter {
            name: "regularization",
            value: regularization.to_string(),
            range: format!("from 0 to {MOST_REGULARIZATION:e}"),
        }
        .into());
    }
    let split = Split::find(split)?;
    if split.second_half {
        return Err(TrainError::BlendOfHalf(split.label));
    }
    let (rows, parts, mut trained) = find_parts(models, &split)?;
    let blend = Blend { parts, intercept: factor::Weights::default(), counts, regularization };
    let size = ratings::size(Snapshot::Transaction)?;
    let of_parts = rows.iter().map(|row| read::whole_memory(row, size.customers, size.movies, true));
    let bytes = of_parts.fold(blend.memory(size.customers, size.movies), usize::saturating_add);
    // The ids and the numbers of ratings.
    let bytes = bytes.saturating_add(2 * (size.customers + size.movies) * size_of::<u32>());
    memory::declare("train_blend", bytes)?;

    let progress = Progress::start(&READING_RATINGS);
    let divided = Divided::read(&split, size, &mut trained, bytes, &progress)?;
    for ((row, trained), left_out) in rows.iter().zip(&trained).zip(divided.left_out_of(&trained)) {
        if trained.left_out_then != Some(left_out) {
            return Err(TrainError::BlendUnknown { name: row.name.clone(), version: row.version });
        }
    }
    for (ratings, half) in [(&divided.learn, "first"), (&divided.judge.ratings, "second")] {
        if ratings.is_empty() {
            return Err(TrainError::BlendEmptyHalf { split: split.label, half });
        }
    }
    notice!(
        "learning the weights from {} ratings, judging them by {}",
        divided.learn.len(),
        divided.judge.ratings.len()
    );
    progress.enter(&TRAINING);
    progress.update(0, 1, 0);
    let (customers, movies) = (divided.customer_ratings.len(), divided.movie_ratings.len());
    let read = |row| read::whole(row, customers, movies, true);
    let parts = memory::try_collect(rows.iter().map(read))?;
    let learned = threads::run(
        guc::threads(),
        |cancelled, _: &mut (dyn FnMut(()) + Send)| learn(blend, &parts, &divided, cancelled),
        |()| {},
    )?;
    let (blend, model, on_learned, on_judged) = learned.map_err(|error| match error {
        factor::Error::Undetermined { .. } => TrainError::BlendDependent,
        error => error.into(),
    })?;
    let weights = blend.parts.iter().map(|part| format!("{:.4} {}", part.weights.constant, part.model));
    notice!("weights: {}", weights.collect::<Vec<_>>().join(", "));
    let (ratings, learn_rmse) = (on_learned.n as usize, on_learned.rmse);
    let elapsed = started.elapsed();
    let new = NewModel {
        name,
        algorithm: factor::BLEND,
        params: Origin::Blend(blend).params(),
        train_on: "train",
        split: Some(split.with_second_half()),
        hold_out: 0.0,
        ratings,
        iterations: 1,
        train_rmse: learn_rmse,
        probe_rmse: None,
        test_rmse: Some(on_judged.rmse),
        held_out_rmse: None,
        judged_by: Some(JudgedBy { ratings: on_judged.n as i64, digest: divided.judge.digest.to_i64() }),
        left_out: Some(divided.left_out.to_i64()),
        summary: None,
        curve: vec![factor::Iteration { number: 1, train_rmse: learn_rmse, held_out_rmse: None, elapsed }],
        elapsed: Elapsed::Since(started),
        deploy: deploy.map_or(Deploy::IfBetter, Deploy::Explicit),
    };
    let is_known = |dimension, row: MatrixRow| {
        parts.iter().any(|part| match dimension {
            Dimension::Customer => part.knows_customer[row.index()],
            Dimension::Movie => part.knows_movie[row.index()],
        })
    };
    progress.enter(&WRITING_MODEL);
    let written = write(&new, &model, is_known, &progress)?;
    if !written.deployed && deploy.is_none() {
        notice!("version {} of model \"{name}\" is not deployed: {}", written.version, written.reason);
    }
    Ok((new, written))
}

/// What a model was trained without.
struct TrainedWithout {
    hold_out: Option<HoldOut>,
    /// Of the ratings that it held out, as they are now.
    held_out: Digest,
    /// The digest of all ratings that it was not trained on, when it was trained. `None` if it was imported.
    left_out_then: Option<i64>,
}

/// Finds the models, and checks that they were trained on the split.
fn find_parts(
    labels: &[Option<String>],
    split: &Split,
) -> Result<(Vec<ModelRow>, Vec<BlendPart>, Vec<TrainedWithout>), TrainError> {
    static ABOUT: Prepared = Prepared(
        "SELECT algorithm, params, train_on, split, split_rule, hold_out, left_out_digest FROM @extschema@.model
         WHERE model_id = $1",
    );
    let (mut rows, mut parts, mut without) = (Vec::<ModelRow>::new(), Vec::new(), Vec::new());
    for label in labels {
        let row = models::find::by_label(label.as_deref().ok_or(pg::Error::NullArgument("a model's name"))?)?;
        if rows.iter().any(|other| other.model_id == row.model_id) {
            return Err(TrainError::BlendTwice { name: row.name, version: row.version });
        }
        let found = ABOUT.all(&[row.model_id.into()], |found| {
            let JsonB(params) = found.need(2, "model")?;
            let trained = found.get::<String>(4).zip(found.get::<JsonB>(5));
            Ok((
                found.need::<String>(1, "model")?,
                params,
                found.need::<String>(3, "model")?,
                trained.map(|(label, JsonB(rule))| Split::from_json(&label, rule)),
                (found.need::<f64>(6, "model")?, found.get::<i64>(7)),
            ))
        })?;
        let (algorithm, params, train_on, trained, (hold_out, left_out_then)) =
            found.into_iter().next().ok_or(pg::Error::Null("model"))?;
        let hold_out = (hold_out > 0.0).then(|| HoldOut::of_training(hold_out));
        without.push(TrainedWithout { hold_out, held_out: Digest::default(), left_out_then });
        let algorithm = match Origin::parse(&algorithm, &params)? {
            Origin::Algorithm(algorithm) => algorithm,
            Origin::Blend(_) => return Err(TrainError::BlendOfBlend(row.name)),
        };
        let trained = match trained {
            Some(trained) => trained,
            None => (train_on == "train").then(Split::probe),
        };
        if !trained.is_some_and(|trained| trained.is_same(split)) {
            return Err(TrainError::BlendSplit {
                name: row.name,
                version: row.version,
                split: split.label.clone(),
            });
        }
        parts.push(BlendPart {
            model: row.name.clone(),
            version: row.version,
            algorithm,
            mean: row.global_mean,
            samples: row.samples,
            weights: factor::Weights::default(),
        });
        rows.push(row);
    }
    if rows.len() < 2 {
        return Err(TrainError::BlendTooFew(rows.len()));
    }
    Ok((rows, parts, without))
}

/// The ratings of the warehouse, as a blend needs them.
struct Divided {
    /// The first half of the test set.
    learn: Ratings,
    learn_digest: Digest,
    /// The second half.
    judge: HeldOut,
    /// Of all ratings that the blend has learned nothing from.
    left_out: Digest,
    /// Number of training ratings of each customer and of each movie.
    customer_ratings: Vec<u32>,
    movie_ratings: Vec<u32>,
}

impl Divided {
    /// Also adds up what each model held out. `bytes` is the memory that has been declared.
    fn read(
        split: &Split,
        size: ratings::Size,
        trained: &mut [TrainedWithout],
        bytes: usize,
        progress: &Progress,
    ) -> Result<Divided, TrainError> {
        let ids = Ids::read()?;
        let divider = Divider::new("train_blend", split, &ids, size, Snapshot::Transaction)?;
        let mut divided = Divided {
            learn: Ratings::default(),
            judge: HeldOut::default(),
            learn_digest: Digest::default(),
            left_out: Digest::default(),
            customer_ratings: memory::filled(0, size.customers)?,
            movie_ratings: memory::filled(0, size.movies)?,
        };
        let mut read = 0;
        ratings::read(Snapshot::Transaction, |rated| {
            read += 1;
            if read % RATINGS_PER_UPDATE == 0 {
                progress.update(read as u64, size.ratings as u64, read as u64);
                let tested = divided.learn.len() + divided.judge.ratings.len();
                memory::recheck("train_blend", bytes.saturating_add(Ratings::memory(tested)))?;
            }
            // A customer or movie that was added meanwhile.
            if rated.customer.index() >= size.customers || rated.movie.index() >= size.movies {
                ids.digest(&rated, &mut divided.left_out);
                return Ok(());
            }
            match divider.part(&ids, &rated) {
                Part::Train => {
                    divided.customer_ratings[rated.customer.index()] += 1;
                    divided.movie_ratings[rated.movie.index()] += 1;
                    let (customer_id, movie_id) = ids.of(rated.customer, rated.movie);
                    for TrainedWithout { hold_out, held_out, .. } in trained.iter_mut() {
                        if hold_out.is_some_and(|hold_out| hold_out.contains(customer_id, movie_id)) {
                            ids.digest(&rated, held_out);
                        }
                    }
                    Ok(())
                }
                Part::Test if divider.is_in_second_half(&ids, &rated) => divided.judge.push(&ids, &rated),
                Part::Test => {
                    ids.digest(&rated, &mut divided.learn_digest);
                    Ok(divided.learn.try_push(rated.customer.0, rated.movie.0, rated.rating)?)
                }
                Part::Outside => {
                    ids.digest(&rated, &mut divided.left_out);
                    Ok(())
                }
            }
        })?;
        unfinished::refuse_in_load_or_restore("train_blend")?;
        divided.left_out.add_all(divided.judge.digest);
        Ok(divided)
    }

    /// For each model, the digest of all ratings that it would not be trained on now.
    fn left_out_of(&self, trained: &[TrainedWithout]) -> impl Iterator<Item = i64> {
        trained.iter().map(|TrainedWithout { held_out, .. }| {
            let mut digest = self.left_out;
            digest.add_all(self.learn_digest);
            digest.add_all(*held_out);
            digest.to_i64()
        })
    }
}

/// Learns the weights. Returns the blend, its model, and its errors on both halves.
fn learn(
    blend: Blend,
    parts: &[WholeModel],
    divided: &Divided,
    cancelled: &AtomicBool,
) -> Result<(Blend, Model, Metrics, Metrics), factor::Error> {
    let Divided { learn, judge, customer_ratings, movie_ratings, .. } = divided;
    let mut stacking = Stacking::new(parts.len(), blend.counts)?;
    let mut predictions = vec![0.0; parts.len()];
    for (at, (customer, movie, rating)) in learn.iter().enumerate() {
        if at.is_multiple_of(RATINGS_PER_CHECK) && cancelled.load(Ordering::Relaxed) {
            return Err(factor::Error::Cancelled);
        }
        let (customer, movie) = (customer as usize, movie as usize);
        for (prediction, part) in predictions.iter_mut().zip(parts) {
            *prediction = part.model.predict_unclamped(customer, movie);
        }
        stacking.add(&predictions, customer_ratings[customer], movie_ratings[movie], rating);
    }
    let (intercept, weights) = stacking.solve(blend.regularization)?;
    let parts_with_weights = blend.parts.into_iter().zip(weights);
    let blend = Blend {
        parts: parts_with_weights.map(|(part, weights)| BlendPart { weights, ..part }).collect(),
        intercept,
        ..blend
    };
    let models = parts.iter().map(|part| &part.model).collect::<Vec<_>>();
    let model = blend.model(&models, customer_ratings, movie_ratings, cancelled)?;
    let on_learned = model.evaluate(learn, cancelled)?.ok_or(factor::Error::NoRatings)?;
    let on_judged = model.evaluate(&judge.ratings, cancelled)?.ok_or(factor::Error::NoRatings)?;
    Ok((blend, model, on_learned, on_judged))
}
