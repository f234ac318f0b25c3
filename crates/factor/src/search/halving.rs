//! Successive halving (Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization"): all
//! trials run on a sample of the customers, and the better third of them on a sample three times as large, until the last ones run
//! on all customers.

/// In each stage, one in `FACTOR` trials goes on, on `FACTOR` times as many customers.
const FACTOR: usize = 3;
/// The least number of customers in a sample: the ratings of fewer would tell little.
const LEAST_CUSTOMERS: usize = 100;

/// A stage: how many trials take part, and which share of the customers they are judged on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Trials.
    pub trials: usize,
    /// Share of the customers, at most 1.
    pub sample: f64,
}

/// The stages of a search of so many trials on the ratings of so many customers. Without halving, there is one. If the smallest samples
/// would be too small, there are fewer stages, and more trials are left in the last one.
pub fn stages(trials: usize, halves: bool, customers: usize) -> Vec<Stage> {
    let mut left = vec![trials];
    let mut share = FACTOR;
    while halves && left[left.len() - 1] >= FACTOR && customers / share >= LEAST_CUSTOMERS {
        left.push(left[left.len() - 1].div_ceil(FACTOR));
        share *= FACTOR;
    }
    let last = left.len() - 1;
    let sample = |stage: usize| (FACTOR as f64).powi(stage as i32 - last as i32);
    left.iter().enumerate().map(|(stage, &trials)| Stage { trials, sample: sample(stage) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_goes_on_with_three_times_as_many_customers() {
        let of = |trials, halves| {
            stages(trials, halves, 1_000_000)
                .iter()
                .map(|stage| (stage.trials, stage.sample))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(12, false), [(12, 1.0)]);
        assert_eq!(of(1, true), [(1, 1.0)]);
        assert_eq!(of(2, true), [(2, 1.0)]);
        assert_eq!(of(12, true), [(12, 1.0 / 9.0), (4, 1.0 / 3.0), (2, 1.0)]);
        assert_eq!(of(27, true).len(), 4);
        let samples = |customers| {
            stages(27, true, customers).iter().map(|stage| (stage.trials, stage.sample)).collect::<Vec<_>>()
        };
        assert_eq!(samples(1000), [(27, 1.0 / 9.0), (9, 1.0 / 3.0), (3, 1.0)]);
        assert_eq!(samples(500), [(27, 1.0 / 3.0), (9, 1.0)]);
        assert_eq!(samples(200), [(27, 1.0)]);
    }
}
