//! Compares models on the same ratings: `compare_models`.

use factor::{Comparison, CustomerErrors, clamp};

use super::error::EvaluateError;
use super::judged::{Judged, Loaded, Warehouse, note_sample, warn_if_trained_on};
use crate::models::ModelRow;
use crate::pg::{guc, memory, threads};

/// How many times customers are drawn, how wide the intervals are, and the seed of the draws.
pub struct Bootstrap {
    pub resamples: i64,
    pub confidence: f64,
    pub seed: i64,
}

/// The most resamples.
const MOST_RESAMPLES: i64 = 1_000_000;

impl Bootstrap {
    fn check(&self) -> Result<usize, EvaluateError> {
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(EvaluateError::Argument {
                name: "confidence",
                value: self.confidence.to_string(),
                range: "above 0 and below 1".into(),
            });
        }
        match self.resamples {
            10..=MOST_RESAMPLES => Ok(self.resamples as usize),
            other => Err(EvaluateError::Argument {
                name: "resamples",
                value: other.to_string(),
                range: format!("from 10 to {MOST_RESAMPLES}"),
            }),
        }
    }
}

/// A model, and how it compares with the first one.
pub struct Compared {
    pub row: ModelRow,
    pub ratings: u64,
    pub comparison: Comparison,
    pub is_trained_on: Option<bool>,
}

/// Compares the models with the first of them.
pub fn compare(
    rows: Vec<ModelRow>,
    judged: &Judged,
    bootstrap: &Bootstrap,
) -> Result<Vec<Compared>, EvaluateError> {
    let resamples = bootstrap.check()?;
    let warehouse = Warehouse::open()?;
    let size = warehouse.size;
    let models = rows.iter().map(|row| Loaded::memory(row, &size)).fold(0, usize::saturating_add);
    let errors = CustomerErrors::memory(size.customers, rows.len(), resamples);
    memory::declare("compare_models", models.saturating_add(errors))?;
    let models = rows.into_iter().map(|row| Loaded::read(row, &size)).collect::<Result<Vec<_>, _>>()?;
    let mut errors = CustomerErrors::new(size.customers, models.len())?;
    let mut ratings = 0;
    let rows = models.iter().map(|model| &model.row).collect::<Vec<_>>();
    let is_trained_on = warehouse.read(
        "compare_models",
        judged,
        &rows,
        |rated| {
            ratings += 1;
            let error = |model: &Loaded| f64::from(clamp(model.predict(rated))) - f64::from(rated.rating);
            errors.add(rated.customer.index(), models.iter().map(error));
            Ok(())
        },
        |_, _| Ok(()),
    )?;
    let order = warehouse.ids.customers_by_id()?;
    let &Bootstrap { confidence, seed, .. } = bootstrap;
    let compare = |cancelled: &_, _: &mut (dyn FnMut(()) + Send)| {
        errors.compare(&order, resamples, confidence, seed, cancelled)
    };
    let compared = threads::run(guc::threads(), compare, |()| {})??;
    let compared = compared.ok_or_else(|| EvaluateError::EmptySplit(judged.label().into()))?;
    for (row, is_trained_on) in rows.iter().zip(&is_trained_on) {
        warn_if_trained_on(judged, row, *is_trained_on);
    }
    note_sample(judged);
    let all = models.into_iter().zip(compared).zip(is_trained_on);
    Ok(all
        .map(|((model, comparison), is_trained_on)| Compared {
            row: model.row,
            ratings,
            comparison,
            is_trained_on,
        })
        .collect())
}
