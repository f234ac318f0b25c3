//! Nodes that are near each other by their vectors.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;

use crate::error::Error;
use crate::memory::{check, try_collect};
use crate::top_k::{Best, Edge, Pair, edges, edges_memory};

/// Rows that a thread compares with all others at a time.
const ROWS: usize = 64;

/// Which pairs of vectors are edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearest {
    /// An edge is kept if it is among so many of the best of one of its ends.
    pub top_k: usize,
    /// Pairs with a smaller cosine are left out. Whatever it is, only pairs above 0 are edges.
    pub min_similarity: f64,
}

impl Nearest {
    /// The edges between the rows of a matrix, ordered by `from` and `to`; their similarity is the cosine between the rows. A row of
    /// zeros has no edges. The result does not depend on the number of threads. `on_row` is called with the number of rows that are
    /// done. Runs in rayon's current pool.
    ///
    /// [`Error::Parameter`], [`Error::OutOfMemory`], [`Error::Cancelled`].
    pub fn edges(
        &self,
        vectors: ArrayView2<'_, f32>,
        cancelled: &AtomicBool,
        on_row: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Edge>, Error> {
        if self.top_k == 0 {
            return Err(Error::Parameter { name: "top_k", value: "0".into(), range: "at least 1".into() });
        }
        if self.min_similarity.is_nan() {
            let range = "a number".into();
            return Err(Error::Parameter { name: "min_similarity", value: "NaN".into(), range });
        }
        let nodes = vectors.nrows();
        let lengths = try_collect(vectors.rows().into_iter().map(|row| product(row, row).sqrt()))?;
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let thread = |_| {
            let mut best = Best::new(nodes)?;
            loop {
                check(cancelled, 0)?;
                let first = next.fetch_add(ROWS, Ordering::Relaxed);
                if first >= nodes {
                    return Ok(best);
                }
                // A pair is met from the row with the smaller number. The rows of a block stay in the processor's cache.
                let last = (first + ROWS).min(nodes);
                for other in first + 1..nodes {
                    check(cancelled, other)?;
                    let row = vectors.row(other);
                    for node in first..last.min(other) {
                        let length = lengths[node] * lengths[other];
                        let similarity =
                            if length > 0.0 { product(vectors.row(node), row) / length } else { 0.0 };
                        if similarity > 0.0 && f64::from(similarity) >= self.min_similarity {
                            let pair = |node: usize| Pair { similarity, node: node as u32, common: 0 };
                            best.offer(node, pair(other), self.top_k)?;
                            best.offer(other, pair(node), self.top_k)?;
                        }
                    }
                }
                on_row(done.fetch_add(last - first, Ordering::Relaxed) + last - first);
            }
        };
        let threads = (0..rayon::current_num_threads()).into_par_iter().with_max_len(1).map(thread);
        edges(threads.collect::<Result<Vec<Best>, Error>>()?, self.top_k, cancelled)
    }

    /// The most memory that [`Nearest::edges`] takes, in bytes, without the vectors.
    pub fn memory(&self, nodes: usize, threads: usize) -> usize {
        let best = Best::memory(nodes, self.top_k).saturating_mul(threads);
        best.saturating_add(edges_memory(nodes, self.top_k)).saturating_add(4 * nodes)
    }
}

/// The product of two rows. Their entries are multiplied in lanes, so that the compiler uses vector instructions.
#[inline]
fn product(one: ArrayView1<'_, f32>, other: ArrayView1<'_, f32>) -> f32 {
    const LANES: usize = 8;
    let (Some(one), Some(other)) = (one.to_slice(), other.to_slice()) else { return one.dot(&other) };
    let (mut lanes, (ones, one)) = ([0.0; LANES], one.as_chunks::<LANES>());
    let (others, other) = other.as_chunks::<LANES>();
    for (one, other) in ones.iter().zip(others) {
        (0..LANES).for_each(|lane| lanes[lane] += one[lane] * other[lane]);
    }
    let rest = one.iter().zip(other).map(|(one, other)| one * other).sum::<f32>();
    lanes.iter().sum::<f32>() + rest
}
