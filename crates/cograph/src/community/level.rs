//! A level of the methods of Leiden and Louvain: a graph whose nodes are groups of nodes of the level below.

use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::{check, try_clone, try_vec, try_with_capacity};
use crate::partition::count;

/// What a level's graph does not say, because it has no edges from a node to itself.
#[derive(Debug)]
pub(super) struct Level {
    /// The sum of the strengths of the nodes of the lowest level that a node consists of.
    pub strengths: Vec<f64>,
    /// Twice the sum of all weights.
    pub total: f64,
}

impl Level {
    /// The lowest level.
    pub fn of(graph: &Graph) -> Result<Level, Error> {
        let mut strengths: Vec<f64> = try_with_capacity(graph.nodes())?;
        strengths.extend((0..graph.nodes()).map(|node| graph.strength(node)));
        let total = strengths.iter().sum();
        Ok(Level { strengths, total })
    }

    /// The next level, whose nodes are the groups of this one.
    pub fn aggregate(
        &self,
        graph: &Graph,
        groups: &[u32],
        cancelled: &AtomicBool,
    ) -> Result<(Graph, Level), Error> {
        let nodes = count(groups);
        let mut strengths: Vec<f64> = try_vec(nodes)?;
        for (strength, &group) in self.strengths.iter().zip(groups) {
            strengths[group as usize] += strength;
        }
        // The members of each group, one group after the other.
        let mut starts: Vec<usize> = try_vec(nodes + 1)?;
        groups.iter().for_each(|&group| starts[group as usize + 1] += 1);
        (0..nodes).for_each(|group| starts[group + 1] += starts[group]);
        let mut next = try_clone(&starts)?;
        let mut members: Vec<u32> = try_vec(groups.len())?;
        for (node, &group) in groups.iter().enumerate() {
            members[next[group as usize]] = node as u32;
            next[group as usize] += 1;
        }
        let mut edges = Vec::new();
        let mut weights: Vec<f64> = try_vec(nodes)?;
        let mut touched: Vec<u32> = try_with_capacity(nodes)?;
        for group in 0..nodes {
            check(cancelled, group)?;
            for &member in &members[starts[group]..starts[group + 1]] {
                for (neighbour, weight) in graph.row(member as usize) {
                    let other = groups[neighbour] as usize;
                    // Each edge is met from both ends.
                    if other > group {
                        if weights[other] == 0.0 {
                            touched.push(other as u32);
                        }
                        weights[other] += weight;
                    }
                }
            }
            let failed = |_| Error::OutOfMemory { bytes: size_of_val(touched.as_slice()) };
            edges.try_reserve(touched.len()).map_err(failed)?;
            for other in touched.drain(..) {
                edges.push((group as u32, other, weights[other as usize]));
                weights[other as usize] = 0.0;
            }
        }
        Ok((Graph::new(nodes, &edges, cancelled)?, Level { strengths, total: self.total }))
    }
}
