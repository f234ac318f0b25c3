//! The n best of many.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Turned round, so that the heap's greatest is the one to drop first.
struct Worst(f32, i32);

impl Ord for Worst {
    fn cmp(&self, other: &Worst) -> Ordering {
        other.0.total_cmp(&self.0).then(self.1.cmp(&other.1))
    }
}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Worst) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worst {
    fn eq(&self, other: &Worst) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Worst {}

/// The `n` ids with the highest scores, best first, ties by the smaller id. Takes one pass and memory for `n`.
pub fn top_n(n: usize, scores: impl Iterator<Item = (i32, f32)>) -> Vec<(i32, f32)> {
    let mut best = BinaryHeap::new();
    for (id, score) in scores {
        let candidate = Worst(score, id);
        if best.len() < n {
            best.push(candidate);
        } else if best.peek().is_some_and(|worst| candidate < *worst) {
            best.pop();
            best.push(candidate);
        }
    }
    best.into_sorted_vec().into_iter().map(|Worst(score, id)| (id, score)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_sorting_everything(scores in prop::collection::vec(0u8..9, 0..60), n in 0usize..70) {
            let scores = scores.iter().enumerate().map(|(i, &s)| (i as i32, f32::from(s)));
            let mut naive = scores.clone().collect::<Vec<_>>();
            naive.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            naive.truncate(n);
            prop_assert_eq!(top_n(n, scores), naive);
        }
    }
}
