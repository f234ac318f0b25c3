//! The n best of many scored candidates.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::error::Error;

/// A score and an id, ordered so that the worst candidate is the greatest, and so the first one to leave the heap.
#[derive(Clone, Debug)]
struct WorstFirst(f32, i32);

impl Ord for WorstFirst {
    fn cmp(&self, other: &WorstFirst) -> Ordering {
        other.0.total_cmp(&self.0).then(self.1.cmp(&other.1))
    }
}

impl PartialOrd for WorstFirst {
    fn partial_cmp(&self, other: &WorstFirst) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for WorstFirst {
    fn eq(&self, other: &WorstFirst) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for WorstFirst {}

/// The `n` ids with the highest scores of all that were pushed. Of equal scores, the smaller id comes first.
#[derive(Clone, Debug)]
pub struct TopN {
    n: usize,
    heap: BinaryHeap<WorstFirst>,
}

impl TopN {
    /// Reserves memory for the best `n` of at most `candidates` candidates. [`Error::OutOfMemory`] if the system refuses it.
    pub fn new(n: usize, candidates: usize) -> Result<TopN, Error> {
        let n = n.min(candidates);
        let mut heap = BinaryHeap::new();
        let failed = |_| Error::OutOfMemory { bytes: n.saturating_mul(size_of::<WorstFirst>()) };
        heap.try_reserve_exact(n).map_err(failed)?;
        Ok(TopN { n, heap })
    }

    /// Adds a candidate.
    #[inline]
    pub fn push(&mut self, id: i32, score: f32) {
        let candidate = WorstFirst(score, id);
        if self.heap.len() < self.n {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }

    /// A candidate with a lower score than this cannot come among the best any more.
    #[inline]
    pub fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.n => worst.0,
            None if self.n == 0 => f32::INFINITY,
            _ => f32::NEG_INFINITY,
        }
    }

    /// Ids and scores, best first.
    pub fn into_sorted(self) -> Vec<(i32, f32)> {
        // The vector is converted in place, because its entries have the same size.
        self.heap.into_sorted_vec().into_iter().map(|WorstFirst(score, id)| (id, score)).collect()
    }
}

/// The `n` ids with the highest scores, best first. Of equal scores, the smaller id comes first.
#[cfg(test)]
pub(crate) fn top_n(n: usize, scores: impl Iterator<Item = (i32, f32)>) -> Result<Vec<(i32, f32)>, Error> {
    let mut best = TopN::new(n, n)?;
    scores.for_each(|(id, score)| best.push(id, score));
    Ok(best.into_sorted())
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
            prop_assert_eq!(top_n(n, scores.clone()).unwrap(), &naive[..]);
            let mut best = TopN::new(n, usize::MAX).unwrap();
            scores.for_each(|(id, score)| best.push(id, score));
            let threshold = if n == 0 { f32::INFINITY } else { naive.get(n - 1).map_or(f32::NEG_INFINITY, |last| last.1) };
            prop_assert_eq!(best.threshold(), threshold);
        }
    }
}
