//! Judges models by their predictions: `split_ratings`, `drop_split`, `test_set`, `evaluate`, `evaluate_slices`, `evaluate_ranking`,
//! `compare_models`, `netflix_submission`, `netflix_score`.

mod compare;
mod error;
mod judged;
mod prize;
mod ranking;
mod slices;
mod split;

use factor::{ErrorSums, Estimate, Metrics, clamp};
use pgrx::JsonB;
use pgrx::datum::Date;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::models;
use crate::pg::progress::Phase;
use crate::pg::{self, memory, report};
use compare::{Bootstrap, Compared};
use error::EvaluateError;
use judged::{Judged, Loaded, Warehouse, find_all, note_sample, warn_if_trained_on};
use prize::{Half, Submission};
use ranking::{Ranking, Rankings, Rules};
use slices::By;
use split::{Arguments, Made, TestRating};

/// The phases of judging.
pub static PHASES: [&Phase; 2] = [&judged::JUDGING, &judged::RANKING];

/// Divides the ratings into those to train on and those to judge models by, under a name that training and judging take as their
/// argument `split`.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::too_many_arguments)] // named ones, with defaults
fn split_ratings(
    name: Option<&str>,
    kind: default!(Option<&str>, "'random'"),
    fraction: default!(Option<f64>, "NULL"),
    k: default!(Option<i64>, "NULL"),
    since: default!(Option<Date>, "NULL"),
    folds: default!(Option<i64>, "NULL"),
    test_fraction: default!(Option<f64>, "NULL"),
    seed: default!(Option<i64>, 42),
    include_probe: default!(Option<bool>, false),
) -> Result<
    TableIterator<
        'static,
        (
            name!(name, String),
            name!(kind, String),
            name!(params, JsonB),
            name!(seed, i64),
            name!(train_ratings, i64),
            name!(test_ratings, i64),
            name!(test_customers, i64),
        ),
    >,
    ErrorReport,
> {
    let name = name.ok_or_else(|| report(pg::Error::NullArgument("name")))?;
    let arguments = Arguments { fraction, k, since, folds, test_fraction };
    let made = split::make(
        name,
        kind.unwrap_or("random"),
        &arguments,
        seed.unwrap_or(42),
        include_probe.unwrap_or(false),
    );
    let Made { name, kind, params, seed, train_ratings, test_ratings, test_customers } =
        made.map_err(report)?;
    let row = (name, kind, JsonB(params), seed, train_ratings, test_ratings, test_customers);
    Ok(TableIterator::once(row))
}

/// Drops a split. Models that were trained on it stay as they are. Returns its name.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn drop_split(name: Option<&str>) -> Result<String, ErrorReport> {
    let name = name.ok_or_else(|| report(pg::Error::NullArgument("name")))?;
    split::drop_split(name).map_err(report)
}

/// The ratings of a split's test set, in the order in which they are stored.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn test_set(
    split: default!(Option<&str>, "'probe'"),
) -> Result<
    TableIterator<
        'static,
        (name!(customer_id, i32), name!(movie_id, i32), name!(rating, i16), name!(rated_on, Option<Date>)),
    >,
    ErrorReport,
> {
    let rows = split::test_set(split.unwrap_or("probe")).map_err(report)?.into_iter();
    Ok(TableIterator::new(rows.map(|TestRating { customer_id, movie_id, rating, day }| {
        let date = Date::new(day / 10_000, (day / 100 % 100) as u8, (day % 100) as u8);
        (customer_id as i32, movie_id as i32, rating.into(), date.ok())
    })))
}

/// Compares a model's predictions with the ratings of a split: clamped to 1 to 5, as they are served, and not clamped. `unknown` is
/// the number of ratings whose customer or movie the model does not know; they are judged, too. `is_trained_on` says whether the
/// model was trained on ratings that it is judged by, which makes its errors too small; NULL if that is not known. `sample` is the
/// share of the customers who were sampled; NULL if all were.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn evaluate(
    model: default!(Option<&str>, "NULL"),
    split: default!(Option<&str>, "'probe'"),
    version: default!(Option<i64>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(n, i64),
            name!(rmse, f64),
            name!(mse, f64),
            name!(mae, f64),
            name!(mape, f64),
            name!(r2, f64),
            name!(bias, f64),
            name!(unclamped_rmse, f64),
            name!(unclamped_mse, f64),
            name!(unclamped_mae, f64),
            name!(unclamped_mape, f64),
            name!(unclamped_r2, f64),
            name!(unclamped_bias, f64),
            name!(unknown, i64),
            name!(is_trained_on, Option<bool>),
            name!(sample, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    let evaluated = errors(model, split.unwrap_or("probe"), version).map_err(report)?;
    let Evaluated { clamped, unclamped, unknown, is_trained_on, sample } = evaluated;
    let Metrics { n, rmse, mse, mae, mape, r2, bias } = clamped;
    let raw = unclamped;
    Ok(TableIterator::once((
        n as i64,
        rmse,
        mse,
        mae,
        mape,
        r2,
        bias,
        raw.rmse,
        raw.mse,
        raw.mae,
        raw.mape,
        raw.r2,
        raw.bias,
        unknown,
        is_trained_on,
        sample,
    )))
}

/// The errors of `evaluate` for each kind of rating.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn evaluate_slices(
    model: default!(Option<&str>, "NULL"),
    split: default!(Option<&str>, "'probe'"),
    by: default!(Option<&str>, "'customer_ratings'"),
    version: default!(Option<i64>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(slice_no, i32),
            name!(slice, String),
            name!(n, i64),
            name!(rmse, f64),
            name!(mse, f64),
            name!(mae, f64),
            name!(bias, f64),
        ),
    >,
    ErrorReport,
> {
    let slices = || {
        let judged = Judged::find(split.unwrap_or("probe"))?;
        let by = By::find(by.unwrap_or("customer_ratings"))?;
        slices::slices(models::find(model, version)?, &judged, by)
    };
    let rows = slices().map_err(report)?.into_iter().map(|(number, name, metrics)| {
        let Metrics { n, rmse, mse, mae, bias, .. } = metrics;
        (number, name, n as i64, rmse, mse, mae, bias)
    });
    Ok(TableIterator::new(rows))
}

/// Judges the lists of `k` movies that a model recommends to each customer, of all movies that it knows and that the customer has not
/// rated outside the test set. A movie is relevant if the customer's rating in the test set is at least `relevant`. Two rankings that are the
/// same for everybody are judged beside it: the most popular movies, and those with the highest biases. Customers without relevant
/// movies are left out. `sample` is the share of the customers whose lists are judged; NULL: all.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::too_many_arguments)] // named ones, with defaults
fn evaluate_ranking(
    model: default!(Option<&str>, "NULL"),
    split: default!(Option<&str>, "'probe'"),
    k: default!(Option<i64>, 10),
    relevant: default!(Option<f64>, 4.0),
    gain: default!(Option<&str>, "'binary'"),
    sample: default!(Option<f64>, "NULL"),
    seed: default!(Option<i64>, 42),
    version: default!(Option<i64>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(ranking, String),
            name!(version, Option<i32>),
            name!(customers, i64),
            name!(without_relevant, i64),
            name!(precision, f64),
            name!(recall, f64),
            name!(hit_rate, f64),
            name!(mrr, f64),
            name!(map, f64),
            name!(ndcg, f64),
            name!(coverage, f64),
            name!(novelty, f64),
            name!(popularity, f64),
            name!(gini, f64),
            name!(precision_error, Option<f64>),
            name!(recall_error, Option<f64>),
            name!(hit_rate_error, Option<f64>),
            name!(mrr_error, Option<f64>),
            name!(map_error, Option<f64>),
            name!(ndcg_error, Option<f64>),
            name!(is_trained_on, Option<bool>),
            name!(sample, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    let rank = || {
        let judged = Judged::find(split.unwrap_or("probe"))?;
        let (k, relevant) = (k.unwrap_or(10), relevant.unwrap_or(4.0));
        let rules = Rules::new(k, relevant, gain.unwrap_or("binary"), sample, seed.unwrap_or(42))?;
        ranking::rank(models::find(model, version)?, &judged, &rules)
    };
    let Rankings { rankings, customers, without_relevant, sample } = rank().map_err(report)?;
    let rows = rankings.into_iter().map(move |ranking| {
        let Ranking { name, version, metrics, is_trained_on } = ranking;
        // One customer has no standard error.
        let error = |estimate: Estimate| Some(estimate.standard_error).filter(|error| error.is_finite());
        (
            name,
            version,
            customers as i64,
            without_relevant as i64,
            metrics.precision.mean,
            metrics.recall.mean,
            metrics.hit_rate.mean,
            metrics.mrr.mean,
            metrics.map.mean,
            metrics.ndcg.mean,
            metrics.coverage,
            metrics.novelty,
            metrics.popularity,
            metrics.gini,
            error(metrics.precision),
            error(metrics.recall),
            error(metrics.hit_rate),
            error(metrics.mrr),
            error(metrics.map),
            error(metrics.ndcg),
            is_trained_on,
            sample,
        )
    });
    Ok(TableIterator::new(rows))
}

/// Compares models on the same ratings, each with the first one: by default all that are deployed, the oldest name first. A model is
/// `name`, for the deployed version, or `name@version`. The intervals and the p-value come from a bootstrap over customers.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn compare_models(
    models: default!(Option<Vec<Option<String>>>, "NULL"),
    split: default!(Option<&str>, "'probe'"),
    resamples: default!(Option<i64>, 1000),
    confidence: default!(Option<f64>, 0.95),
    seed: default!(Option<i64>, 42),
) -> Result<
    TableIterator<
        'static,
        (
            name!(model, String),
            name!(version, i32),
            name!(n, i64),
            name!(rmse, f64),
            name!(rmse_low, f64),
            name!(rmse_high, f64),
            name!(difference, Option<f64>),
            name!(difference_low, Option<f64>),
            name!(difference_high, Option<f64>),
            name!(p_value, Option<f64>),
            name!(is_trained_on, Option<bool>),
            name!(sample, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    let judged = Judged::find(split.unwrap_or("probe")).map_err(report)?;
    let bootstrap = Bootstrap {
        resamples: resamples.unwrap_or(1000),
        confidence: confidence.unwrap_or(0.95),
        seed: seed.unwrap_or(42),
    };
    let compared = || compare::compare(find_all(models)?, &judged, &bootstrap);
    let sample = judged.sample();
    let rows = compared().map_err(report)?.into_iter().enumerate().map(move |(at, compared)| {
        let Compared { row, ratings, comparison, is_trained_on } = compared;
        let other = |value: f64| (at > 0).then_some(value);
        let (low, high) = comparison.rmse_interval;
        let (difference_low, difference_high) = comparison.difference_interval;
        (
            row.name,
            row.version,
            ratings as i64,
            comparison.rmse,
            low,
            high,
            other(comparison.difference),
            other(difference_low),
            other(difference_high),
            other(comparison.p_value),
            is_trained_on,
            sample,
        )
    });
    Ok(TableIterator::new(rows))
}

/// A model's predictions for the qualifying set, in the format and order in which the Netflix Prize asked for them: the movie's line as in
/// `qualifying.txt`, and below it one prediction a line.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn netflix_submission(
    model: default!(Option<&str>, "NULL"),
    decimals: default!(Option<i64>, 4),
    version: default!(Option<i64>, "NULL"),
) -> Result<SetOfIterator<'static, String>, ErrorReport> {
    let submission = || Submission::new(models::find(model, version)?, decimals.unwrap_or(4));
    Ok(SetOfIterator::new(submission().map_err(report)?))
}

/// The RMSE of a model on the two halves of the qualifying set, whose ratings `judging.txt` has, and how many percent it is lower than
/// that of Cinematch: 0.9514 on the quiz set and 0.9525 on the test set. NULL for a half without ratings.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn netflix_score(
    model: default!(Option<&str>, "NULL"),
    version: default!(Option<i64>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(model, String),
            name!(version, i32),
            name!(quiz_n, Option<i64>),
            name!(quiz_rmse, Option<f64>),
            name!(quiz_improvement, Option<f64>),
            name!(test_n, Option<i64>),
            name!(test_rmse, Option<f64>),
            name!(test_improvement, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    let score = || {
        let row = models::find(model, version)?;
        Ok::<_, EvaluateError>((row.name.clone(), row.version, prize::score(row)?))
    };
    let (name, version, (quiz, test)) = score().map_err(report)?;
    let columns = |half: Option<Half>| match half {
        Some(Half { n, rmse, improvement }) => (Some(n), Some(rmse), Some(improvement)),
        None => (None, None, None),
    };
    let ((quiz_n, quiz_rmse, quiz), (test_n, test_rmse, test)) = (columns(quiz), columns(test));
    Ok(TableIterator::once((name, version, quiz_n, quiz_rmse, quiz, test_n, test_rmse, test)))
}

/// What `evaluate` returns.
struct Evaluated {
    clamped: Metrics,
    unclamped: Metrics,
    unknown: i64,
    is_trained_on: Option<bool>,
    sample: Option<f64>,
}

fn errors(name: Option<&str>, split: &str, version: Option<i64>) -> Result<Evaluated, EvaluateError> {
    let judged = Judged::find(split)?;
    let row = models::find(name, version)?;
    let warehouse = Warehouse::open()?;
    memory::declare("evaluation", Loaded::memory(&row, &warehouse.size))?;
    let model = Loaded::read(row, &warehouse.size)?;
    let (mut clamped, mut unclamped, mut unknown) = (ErrorSums::default(), ErrorSums::default(), 0);
    let is_trained_on = warehouse.read(
        "evaluation",
        &judged,
        &[&model.row],
        |rated| {
            let prediction = model.predict(rated);
            clamped.add(clamp(prediction), rated.rating);
            unclamped.add(prediction, rated.rating);
            unknown += i64::from(model.knows_each(rated.customer, rated.movie) != (true, true));
            Ok(())
        },
        |_, _| Ok(()),
    )?;
    let metrics = clamped.metrics().zip(unclamped.metrics());
    let (clamped, unclamped) = metrics.ok_or_else(|| EvaluateError::EmptySplit(split.into()))?;
    let is_trained_on = is_trained_on.first().copied().flatten();
    warn_if_trained_on(&judged, &model.row, is_trained_on);
    note_sample(&judged);
    Ok(Evaluated { clamped, unclamped, unknown, is_trained_on, sample: judged.sample() })
}
