//! Which of the trials that were run to choose.

/// What a trial came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrialScore {
    /// The mean over the folds.
    pub score: f64,
    /// The standard error of that mean; `None` if there is only one fold.
    pub standard_error: Option<f64>,
    /// How much work a training is; the simpler of two trials has less.
    pub work: f64,
}

/// Mean and standard deviation (with n - 1) of the values. `None` for that of one value.
pub fn mean_and_deviation(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()))
}

/// The places of the best trial, and of the simplest one whose score is within one standard error of the best (Breiman, Friedman,
/// Olshen and Stone 1984, "Classification and Regression Trees"). Of equals, the first one counts. `None` if there are no trials.
/// Lower scores are better, unless `is_higher_better`.
pub fn choose(trials: &[TrialScore], is_higher_better: bool) -> Option<(usize, usize)> {
    let loss = |trial: &TrialScore| if is_higher_better { -trial.score } else { trial.score };
    let best =
        (0..trials.len()).min_by(|&one, &other| loss(&trials[one]).total_cmp(&loss(&trials[other])))?;
    let limit = loss(&trials[best]) + trials[best].standard_error.unwrap_or(0.0);
    let within = (0..trials.len()).filter(|&trial| loss(&trials[trial]) <= limit);
    let simplest = within.min_by(|&one, &other| trials[one].work.total_cmp(&trials[other].work));
    Some((best, simplest.unwrap_or(best)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simplest_within_one_standard_error_is_found() {
        let trial = |score, work| TrialScore { score, standard_error: Some(0.02), work };
        let trials = [trial(0.95, 1.0), trial(0.91, 3.0), trial(0.90, 9.0), trial(0.915, 4.0)];
        assert_eq!(choose(&trials, false), Some((2, 1)));
        assert_eq!(choose(&trials, true), Some((0, 0)));
        let single = trials.map(|trial| TrialScore { standard_error: None, ..trial });
        assert_eq!(choose(&single, false), Some((2, 2)));
        assert_eq!(choose(&[trial(0.9, 1.0), trial(0.9, 1.0)], false), Some((0, 0)));
        assert_eq!(choose(&[], false), None);
    }

    #[test]
    fn a_deviation_needs_two_values() {
        assert_eq!(mean_and_deviation(&[2.0]), (2.0, None));
        let (mean, deviation) = mean_and_deviation(&[1.0, 2.0, 3.0]);
        assert_eq!((mean, deviation), (2.0, Some(1.0)));
    }
}
