//! Successive halving (Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization"): all
//! trials run on a sample of the customers, and the better third of them on a sample three times as large, until the last ones run
//! on all customers.

/// One in so many trials goes on, with a sample so many times as large.
const FACTOR: usize = 3;

/// A stage: how many trials take part, and which share of the customers they are judged on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Trials.
    pub trials: usize,
    /// Share of the customers, at most 1.
    pub sample: f64,
}

/// The stages of a search of so many trials. Without halving, there is one.
pub fn stages(trials: usize, halves: bool) -> Vec<Stage> {
    let mut left = vec![trials];
    while halves && left[left.len() - 1] >= FACTOR {
        left.push(left[left.len() - 1].div_ceil(FACTOR));
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
            stages(trials, halves).iter().map(|stage| (stage.trials, stage.sample)).collect::<Vec<_>>()
        };
        assert_eq!(of(12, false), [(12, 1.0)]);
        assert_eq!(of(1, true), [(1, 1.0)]);
        assert_eq!(of(2, true), [(2, 1.0)]);
        assert_eq!(of(12, true), [(12, 1.0 / 9.0), (4, 1.0 / 3.0), (2, 1.0)]);
        assert_eq!(of(27, true).len(), 4);
    }
}
