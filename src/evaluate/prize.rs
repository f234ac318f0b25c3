//! The Netflix Prize's own judgement: `netflix_submission`, `netflix_score`.

use factor::{ErrorSums, clamp};

use super::error::EvaluateError;
use super::judged::Loaded;
use crate::models::ModelRow;
use crate::pg::catalog::Privilege;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, memory, query};
use crate::warehouse::dimension::{Key, MatrixRow};
use crate::warehouse::ratings;
use crate::warehouse::tables::QUALIFYING;
use crate::warehouse::unfinished;

/// The RMSE of Cinematch, Netflix's own system when the Prize began, on the quiz set and on the test set.
const CINEMATCH: [f64; 2] = [0.9514, 0.9525];
/// The most decimals of a prediction. It is computed in single precision.
const MOST_DECIMALS: i64 = 6;

/// Opens the model for the pairs of the qualifying set.
fn load(what: &'static str, row: ModelRow) -> Result<Loaded, EvaluateError> {
    unfinished::warn_in_load_or_restore()?;
    QUALIFYING.require(&[Privilege::Select])?;
    let size = ratings::size(Snapshot::Statement)?;
    memory::declare(what, Loaded::memory(&row, &size))?;
    Loaded::read(row, &size)
}

/// The row of a key of the qualifying set.
fn matrix_row(key: Option<i32>) -> Result<MatrixRow, pg::Error> {
    Ok(Key(key.ok_or(pg::Error::Null("qualifying"))?).row())
}

/// The lines of a submission: for each movie a line `id:`, and below it a prediction for each of its pairs.
pub struct Submission {
    predictions: std::vec::IntoIter<(i32, f32)>,
    /// A prediction whose movie's line came last.
    pending: Option<f32>,
    movie_id: Option<i32>,
    decimals: usize,
}

impl Submission {
    /// Predicts all pairs of the qualifying set, in the order of its file.
    pub fn new(row: ModelRow, decimals: i64) -> Result<Submission, EvaluateError> {
        if !(1..=MOST_DECIMALS).contains(&decimals) {
            let range = format!("from 1 to {MOST_DECIMALS}");
            return Err(EvaluateError::Argument { name: "decimals", value: decimals.to_string(), range });
        }
        let model = load("netflix_submission", row)?;
        let mut predictions = Vec::new();
        query::for_each_row(
            Snapshot::Statement,
            "SELECT q.customer_key, q.movie_key, m.movie_id
             FROM @extschema@.qualifying q JOIN @extschema@.dim_movie m USING (movie_key) ORDER BY q.line_no",
            &[],
            |found| {
                let (customer, movie) = (matrix_row(found.get(1)?)?, matrix_row(found.get(2)?)?);
                let movie_id = found.get::<i32>(3)?.ok_or(pg::Error::Null("dim_movie"))?;
                let prediction = clamp(model.model.predict_unclamped(customer.index(), movie.index()));
                memory::push(&mut predictions, (movie_id, prediction))
            },
        )?;
        if predictions.is_empty() {
            return Err(EvaluateError::NoQualifying);
        }
        Ok(Submission {
            predictions: predictions.into_iter(),
            pending: None,
            movie_id: None,
            decimals: decimals as usize,
        })
    }
}

impl Iterator for Submission {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let decimals = self.decimals;
        let line = |prediction: f32| format!("{prediction:.decimals$}");
        if let Some(prediction) = self.pending.take() {
            return Some(line(prediction));
        }
        let (movie_id, prediction) = self.predictions.next()?;
        if self.movie_id == Some(movie_id) {
            return Some(line(prediction));
        }
        (self.movie_id, self.pending) = (Some(movie_id), Some(prediction));
        Some(format!("{movie_id}:"))
    }
}

/// How a model does on a half of the qualifying set.
pub struct Half {
    pub n: i64,
    pub rmse: f64,
    /// How much lower its RMSE is than Cinematch's, in percent.
    pub improvement: f64,
}

/// Judges a model by the quiz set and by the test set. `None` if a half has no ratings.
pub fn score(row: ModelRow) -> Result<(Option<Half>, Option<Half>), EvaluateError> {
    let model = load("netflix_score", row)?;
    let (mut quiz, mut test) = (ErrorSums::default(), ErrorSums::default());
    query::for_each_row(
        Snapshot::Statement,
        "SELECT customer_key, movie_key, rating, subset = 'quiz'
         FROM @extschema@.qualifying WHERE rating IS NOT NULL AND subset IS NOT NULL",
        &[],
        |found| {
            let (customer, movie) = (matrix_row(found.get(1)?)?, matrix_row(found.get(2)?)?);
            let rating = found.get::<i16>(3)?.ok_or(pg::Error::Null("qualifying"))?;
            let half = if found.get::<bool>(4)? == Some(true) { &mut quiz } else { &mut test };
            let prediction = model.model.predict_unclamped(customer.index(), movie.index());
            half.add(clamp(prediction), rating as u8);
            Ok(())
        },
    )?;
    let half = |errors: &ErrorSums, cinematch: f64| {
        let metrics = errors.metrics()?;
        let improvement = 100.0 * (1.0 - metrics.rmse / cinematch);
        Some(Half { n: metrics.n as i64, rmse: metrics.rmse, improvement })
    };
    match (half(&quiz, CINEMATCH[0]), half(&test, CINEMATCH[1])) {
        (None, None) => Err(EvaluateError::NoAnswers),
        halves => Ok(halves),
    }
}
