//! The best pairs of every node, of all pairs that threads meet.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::memory::{check, try_clone, try_vec, try_with_capacity};

/// An edge between two nodes that are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// The node with the smaller number.
    pub from: u32,
    /// The other one.
    pub to: u32,
    /// How alike they are.
    pub similarity: f32,
    /// How many customers rated both; 0 if ratings did not decide.
    pub common: u32,
}

/// The best pairs of every node that one thread has met.
pub(crate) struct Best {
    /// For each node at most `top_k` pairs, the worst one first.
    pairs: Vec<BinaryHeap<Reverse<Pair>>>,
    /// The least similarity of a pair that might be kept. Most pairs are worse, so their node's heap need not be looked at.
    least: Vec<f32>,
}

/// Another node, how alike it is, and how many customers both have. The order is total: of equally alike nodes, the one with the
/// smaller number is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair {
    pub similarity: f32,
    pub node: u32,
    pub common: u32,
}

impl Eq for Pair {}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Pair) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pair {
    fn cmp(&self, other: &Pair) -> Ordering {
        self.similarity.total_cmp(&other.similarity).then(other.node.cmp(&self.node))
    }
}

impl Best {
    /// The most memory, in bytes.
    pub fn memory(nodes: usize, top_k: usize) -> usize {
        // A heap grows by doubling.
        let pairs =
            nodes.saturating_mul(top_k.min(nodes).next_power_of_two()).saturating_mul(size_of::<Pair>());
        pairs.saturating_add(nodes.saturating_mul(size_of::<BinaryHeap<Pair>>() + size_of::<f32>()))
    }

    /// For so many nodes.
    pub fn new(nodes: usize) -> Result<Best, Error> {
        let mut pairs = try_with_capacity(nodes)?;
        pairs.resize_with(nodes, Default::default);
        Ok(Best { pairs, least: try_vec(nodes)? })
    }

    /// Keeps a pair if it is among the best of the node. [`Error::OutOfMemory`].
    #[inline]
    pub fn offer(&mut self, node: usize, pair: Pair, top_k: usize) -> Result<(), Error> {
        if pair.similarity < self.least[node] {
            return Ok(());
        }
        let best = &mut self.pairs[node];
        if best.len() < top_k {
            best.try_reserve(1)
                .map_err(|_| Error::OutOfMemory { bytes: 2 * size_of::<Pair>() * best.len() })?;
            best.push(Reverse(pair));
        } else if let Some(mut worst) = best.peek_mut()
            && pair > worst.0
        {
            *worst = Reverse(pair);
        }
        if best.len() == top_k
            && let Some(worst) = best.peek()
        {
            self.least[node] = worst.0.similarity;
        }
        Ok(())
    }

    /// The best of both.
    fn merge(mut self, other: Best, top_k: usize, cancelled: &AtomicBool) -> Result<Best, Error> {
        for (node, pairs) in other.pairs.into_iter().enumerate() {
            check(cancelled, node)?;
            pairs.into_iter().try_for_each(|pair| self.offer(node, pair.0, top_k))?;
        }
        Ok(self)
    }
}

/// The edges of what the threads have kept, ordered by `from` and `to`: an edge is among the best of one of its ends.
pub(crate) fn edges(threads: Vec<Best>, top_k: usize, cancelled: &AtomicBool) -> Result<Vec<Edge>, Error> {
    let mut threads = threads.into_iter();
    let Some(mut best) = threads.next() else { return Ok(Vec::new()) };
    for other in threads {
        best = best.merge(other, top_k, cancelled)?;
    }
    let nodes = best.pairs.len();
    let mut edges = try_with_capacity(best.pairs.iter().map(BinaryHeap::len).sum())?;
    for (node, pairs) in best.pairs.into_iter().enumerate() {
        check(cancelled, node)?;
        edges.extend(pairs.into_iter().map(|Reverse(Pair { similarity, node: other, common })| {
            let (from, to) = ((node as u32).min(other), (node as u32).max(other));
            Edge { from, to, similarity, common }
        }));
    }
    let mut edges = in_order(&edges, nodes, cancelled)?;
    edges.dedup_by_key(|edge| (edge.from, edge.to));
    Ok(edges)
}

/// The same edges between nodes with other numbers: node `n` becomes `numbers[n]`. They are ordered by `from` and `to`.
pub fn renumbered(mut edges: Vec<Edge>, numbers: &[u32], cancelled: &AtomicBool) -> Result<Vec<Edge>, Error> {
    for (at, edge) in edges.iter_mut().enumerate() {
        check(cancelled, at)?;
        let (one, other) = (numbers[edge.from as usize], numbers[edge.to as usize]);
        (edge.from, edge.to) = (one.min(other), one.max(other));
    }
    in_order(&edges, numbers.len(), cancelled)
}

/// Edges ordered by `from` and `to`: node by node, so that it can be cancelled.
fn in_order(edges: &[Edge], nodes: usize, cancelled: &AtomicBool) -> Result<Vec<Edge>, Error> {
    let mut starts: Vec<usize> = try_vec(nodes + 1)?;
    edges.iter().for_each(|edge| starts[edge.from as usize + 1] += 1);
    (0..nodes).for_each(|node| starts[node + 1] += starts[node]);
    let mut next = try_clone(&starts)?;
    let mut ordered = try_clone(edges)?;
    for (at, edge) in edges.iter().enumerate() {
        check(cancelled, at)?;
        ordered[next[edge.from as usize]] = *edge;
        next[edge.from as usize] += 1;
    }
    for node in 0..nodes {
        check(cancelled, node)?;
        ordered[starts[node]..starts[node + 1]].sort_unstable_by_key(|edge| edge.to);
    }
    Ok(ordered)
}

/// The most memory, in bytes, of [`edges`] and [`renumbered`].
pub(crate) fn edges_memory(nodes: usize, top_k: usize) -> usize {
    nodes.saturating_mul(top_k.min(nodes)).saturating_mul(2 * size_of::<Edge>()).saturating_add(nodes * 16)
}
