//! The n best of many.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::error::Error;

/// Turned round, so that the heap's greatest is the one to drop first.
#[derive(Clone, Debug)]
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

/// The `n` ids with the highest scores of those that were pushed, ties by the smaller id.
#[derive(Clone, Debug)]
pub struct Best {
    n: usize,
    heap: BinaryHeap<Worst>,
}

impl Best {
    /// Room for the best `n` of `most` at most, or [`Error::OutOfMemory`].
    pub fn new(n: usize, most: usize) -> Result<Best, Error> {
        let n = n.min(most);
        let mut heap = BinaryHeap::new();
        let failed = |_| Error::OutOfMemory { bytes: n.saturating_mul(size_of::<Worst>()) };
        heap.try_reserve_exact(n).map_err(failed)?;
        Ok(Best { n, heap })
    }

    /// Takes note of one.
    #[inline]
    pub fn push(&mut self, id: i32, score: f32) {
        let candidate = Worst(score, id);
        if self.heap.len() < self.n {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }

    /// The score below which none will be taken any more.
    #[inline]
    pub fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.n => worst.0,
            None if self.n == 0 => f32::INFINITY,
            _ => f32::NEG_INFINITY,
        }
    }

    /// Best first.
    pub fn into_sorted(self) -> Vec<(i32, f32)> {
        // In place: each entry takes as much as it did.
        self.heap.into_sorted_vec().into_iter().map(|Worst(score, id)| (id, score)).collect()
    }
}

/// The `n` ids with the highest scores, best first, ties by the smaller id. Takes one pass and memory for `n`.
#[cfg(test)]
pub(crate) fn top_n(n: usize, scores: impl Iterator<Item = (i32, f32)>) -> Result<Vec<(i32, f32)>, Error> {
    let mut best = Best::new(n, n)?;
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
            let mut best = Best::new(n, usize::MAX).unwrap();
            scores.for_each(|(id, score)| best.push(id, score));
            let threshold = if n == 0 { f32::INFINITY } else { naive.get(n - 1).map_or(f32::NEG_INFINITY, |last| last.1) };
            prop_assert_eq!(best.threshold(), threshold);
        }
    }
}
