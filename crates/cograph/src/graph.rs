//! An undirected graph with weights, in compressed rows: every edge is in the rows of both of its ends.

use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::memory::{check, try_vec, try_with_capacity};

/// An undirected graph with positive weights. It has no edge from a node to itself, and no two edges between the same nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Where each node's row begins, and last where the last one ends (nodes + 1).
    offsets: Vec<usize>,
    /// The neighbours of each node, in ascending order.
    neighbours: Vec<u32>,
    /// The weight of each edge, beside the neighbour.
    weights: Vec<f64>,
}

impl Graph {
    /// A graph of nodes 0 to `nodes - 1`. Edges between the same nodes, in either direction, become one, with the sum of their weights.
    /// Edges from a node to itself are left out.
    ///
    /// [`Error::Weight`] if a weight is not above 0 and finite, [`Error::Weights`] if their sum is not finite, [`Error::OutOfMemory`], [`Error::Cancelled`]. Panics if a node is
    /// not below `nodes`.
    pub fn new(nodes: usize, edges: &[(u32, u32, f64)], cancelled: &AtomicBool) -> Result<Graph, Error> {
        if let Some(&(from, to, weight)) =
            edges.iter().find(|&&(_, _, weight)| !(weight > 0.0 && weight.is_finite()))
        {
            return Err(Error::Weight { from, to, weight });
        }
        // Then the sums of parallel edges, and those of all edges of a node, are finite, too.
        let total = edges.iter().map(|&(_, _, weight)| weight).sum::<f64>();
        if !(2.0 * total).is_finite() {
            return Err(Error::Weights);
        }
        let mut offsets: Vec<usize> = try_vec(nodes + 1)?;
        for (at, &(from, to, _)) in edges.iter().filter(|(from, to, _)| from != to).enumerate() {
            check(cancelled, at)?;
            offsets[from as usize + 1] += 1;
            offsets[to as usize + 1] += 1;
        }
        for node in 0..nodes {
            offsets[node + 1] += offsets[node];
        }
        let mut next: Vec<usize> = try_with_capacity(nodes)?;
        next.extend_from_slice(&offsets[..nodes]);
        let mut entries: Vec<(u32, f64)> = try_vec(offsets[nodes])?;
        for (at, &(from, to, weight)) in edges.iter().filter(|(from, to, _)| from != to).enumerate() {
            check(cancelled, at)?;
            for (node, neighbour) in [(from, to), (to, from)] {
                entries[next[node as usize]] = (neighbour, weight);
                next[node as usize] += 1;
            }
        }
        let mut graph = Graph {
            offsets: try_with_capacity(nodes + 1)?,
            neighbours: try_with_capacity(entries.len())?,
            weights: try_with_capacity(entries.len())?,
        };
        graph.offsets.push(0);
        for node in 0..nodes {
            check(cancelled, node)?;
            let row = &mut entries[offsets[node]..offsets[node + 1]];
            // The order of equal neighbours decides the rounding of their sum, so it must not depend on the order of the edges.
            row.sort_unstable_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
            for &(neighbour, weight) in &*row {
                match graph.neighbours[graph.offsets[node]..].last() {
                    Some(&last) if last == neighbour => {
                        if let Some(sum) = graph.weights.last_mut() {
                            *sum += weight;
                        }
                    }
                    _ => {
                        graph.neighbours.push(neighbour);
                        graph.weights.push(weight);
                    }
                }
            }
            graph.offsets.push(graph.neighbours.len());
        }
        Ok(graph)
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// How many edges there are.
    pub fn edges(&self) -> usize {
        self.neighbours.len() / 2
    }

    /// How many neighbours a node has.
    pub fn degree(&self, node: usize) -> usize {
        self.offsets[node + 1] - self.offsets[node]
    }

    /// A node's neighbours, in ascending order.
    pub fn neighbours(&self, node: usize) -> &[u32] {
        &self.neighbours[self.offsets[node]..self.offsets[node + 1]]
    }

    /// The weights of the edges to a node's neighbours, in their order.
    pub fn weights(&self, node: usize) -> &[f64] {
        &self.weights[self.offsets[node]..self.offsets[node + 1]]
    }

    /// A node's neighbours with the weights.
    pub fn row(&self, node: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let neighbours = self.neighbours(node).iter();
        neighbours.zip(self.weights(node)).map(|(&neighbour, &weight)| (neighbour as usize, weight))
    }

    /// The sum of the weights of a node's edges.
    pub fn strength(&self, node: usize) -> f64 {
        self.weights(node).iter().sum()
    }

    /// The greatest weight; 0 if there are no edges.
    pub fn greatest_weight(&self) -> f64 {
        self.weights.iter().copied().fold(0.0, f64::max)
    }

    /// Every edge once: the smaller node, the larger node, the weight.
    pub fn all_edges(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        (0..self.nodes()).flat_map(move |from| {
            self.row(from).filter(move |&(to, _)| from < to).map(move |(to, weight)| (from, to, weight))
        })
    }

    /// The memory, in bytes, of building a graph of this size and of keeping it.
    pub fn memory(nodes: usize, edges: usize) -> usize {
        let entries = 2 * edges;
        entries
            .saturating_mul(2 * size_of::<(u32, f64)>())
            .saturating_add(3 * (nodes + 1) * size_of::<usize>())
    }
}
