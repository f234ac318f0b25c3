//! Nodes that are near each other by their vectors.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::error::Error;
use crate::memory::check;
use crate::top_k::{Best, Edge, Pair, edges, edges_memory};

/// Rows whose products with all rows are computed at a time.
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
        let lengths = vectors.rows().into_iter().map(|row| row.dot(&row).sqrt()).collect::<Vec<_>>();
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let thread = |_| {
            let mut best = Best::new(nodes)?;
            loop {
                check(cancelled, 0)?;
                let first = next.fetch_add(ROWS, Ordering::Relaxed);
                if first >= nodes {
                    return Ok(best);
                }
                let last = (first + ROWS).min(nodes);
                // A pair is met from the row with the smaller number.
                let products: Array2<f32> =
                    vectors.slice(s![first..last, ..]).dot(&vectors.slice(s![first.., ..]).t());
                for (node, products) in (first..last).zip(products.axis_iter(Axis(0))) {
                    for (other, product) in (first..).zip(products).skip(node + 1 - first) {
                        let length = lengths[node] * lengths[other];
                        let similarity = if length > 0.0 { product / length } else { 0.0 };
                        if similarity > 0.0 && f64::from(similarity) >= self.min_similarity {
                            let pair = |node: usize| Pair { similarity, node: node as u32, common: 0 };
                            best.offer(node, pair(other), self.top_k);
                            best.offer(other, pair(node), self.top_k);
                        }
                    }
                }
                on_row(done.fetch_add(last - first, Ordering::Relaxed) + last - first);
            }
        };
        let threads = (0..rayon::current_num_threads()).into_par_iter().with_max_len(1).map(thread);
        edges(threads.collect::<Result<Vec<Best>, Error>>()?, self.top_k)
    }

    /// The most memory that [`Nearest::edges`] takes, in bytes, without the vectors.
    pub fn memory(&self, nodes: usize, threads: usize) -> usize {
        let thread = Best::memory(nodes, self.top_k).saturating_add(ROWS * nodes * size_of::<f32>());
        thread
            .saturating_mul(threads)
            .saturating_add(edges_memory(nodes, self.top_k))
            .saturating_add(4 * nodes)
    }
}
