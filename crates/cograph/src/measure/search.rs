//! Shortest paths from one node: breadth first, or by Dijkstra's method where edges have lengths.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::{check, try_vec, try_with_capacity};

/// A length that can be compared. Lengths are never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Length(f64);

impl Eq for Length {}

impl PartialOrd for Length {
    fn partial_cmp(&self, other: &Length) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Length {
    fn cmp(&self, other: &Length) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The place of a node that was not reached.
const NONE: u32 = u32::MAX;

/// Two lengths that differ by less than this share of them count as equal, because they may be sums in another order.
const EQUAL: f64 = 1e-12;

/// The shortest paths from a node. The memory is used again for the next node.
#[derive(Debug)]
pub(crate) struct Search {
    /// The distance of each node; infinite if there is no path.
    pub distances: Vec<f64>,
    /// How many shortest paths lead to each node.
    pub paths: Vec<f64>,
    /// The nodes that were reached, the nearest first.
    pub order: Vec<u32>,
    queue: BinaryHeap<Reverse<(Length, u32)>>,
    /// The place of each node in `order`; `NONE` if it is not there.
    places: Vec<u32>,
}

impl Search {
    /// For graphs of so many nodes.
    pub fn new(nodes: usize) -> Result<Search, Error> {
        let mut distances: Vec<f64> = try_vec(nodes)?;
        distances.fill(f64::INFINITY);
        let mut places: Vec<u32> = try_vec(nodes)?;
        places.fill(NONE);
        Ok(Search {
            distances,
            paths: try_vec(nodes)?,
            order: try_with_capacity(nodes)?,
            queue: BinaryHeap::new(),
            places,
        })
    }

    /// Finds the shortest paths from a node. An edge has the length 1, or 1 / weight if `is_weighted`. [`Error::Cancelled`].
    pub fn run(
        &mut self,
        graph: &Graph,
        from: usize,
        is_weighted: bool,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        for &node in &self.order {
            let node = node as usize;
            (self.distances[node], self.paths[node], self.places[node]) = (f64::INFINITY, 0.0, NONE);
        }
        self.order.clear();
        (self.distances[from], self.paths[from]) = (0.0, 1.0);
        match is_weighted {
            true => self.dijkstra(graph, from, cancelled),
            false => self.breadth_first(graph, from, cancelled),
        }
    }

    fn breadth_first(&mut self, graph: &Graph, from: usize, cancelled: &AtomicBool) -> Result<(), Error> {
        self.settle(from);
        let mut at = 0;
        while let Some(&node) = self.order.get(at) {
            check(cancelled, at)?;
            at += 1;
            let (distance, paths) = (self.distances[node as usize] + 1.0, self.paths[node as usize]);
            for &neighbour in graph.neighbours(node as usize) {
                let neighbour = neighbour as usize;
                if self.distances[neighbour] == f64::INFINITY {
                    self.distances[neighbour] = distance;
                    self.settle(neighbour);
                }
                if self.distances[neighbour] == distance {
                    self.paths[neighbour] += paths;
                }
            }
        }
        Ok(())
    }

    fn dijkstra(&mut self, graph: &Graph, from: usize, cancelled: &AtomicBool) -> Result<(), Error> {
        self.queue.clear();
        self.queue.push(Reverse((Length(0.0), from as u32)));
        while let Some(Reverse((Length(distance), node))) = self.queue.pop() {
            let node = node as usize;
            if self.places[node] != NONE {
                continue;
            }
            check(cancelled, self.order.len())?;
            self.settle(node);
            let paths = self.paths[node];
            for (neighbour, weight) in graph.row(node) {
                let (length, known) = (distance + 1.0 / weight, self.distances[neighbour]);
                let is_equal = (length - known).abs() <= EQUAL * length;
                if self.places[neighbour] != NONE {
                    continue;
                }
                if is_equal {
                    self.paths[neighbour] += paths;
                } else if length < known {
                    self.distances[neighbour] = length;
                    self.paths[neighbour] = paths;
                    let failed = |_| Error::OutOfMemory { bytes: size_of::<(Length, u32)>() };
                    self.queue.try_reserve(1).map_err(failed)?;
                    self.queue.push(Reverse((Length(length), neighbour as u32)));
                }
            }
        }
        Ok(())
    }

    /// Whether an edge from the first node to the second one is on a shortest path to the second one.
    pub fn is_on_path(&self, from: usize, to: usize, length: f64) -> bool {
        let by = self.distances[from] + length;
        self.places[from] < self.places[to] && (by - self.distances[to]).abs() <= EQUAL * by
    }

    /// Appends a node to the order.
    fn settle(&mut self, node: usize) {
        self.places[node] = self.order.len() as u32;
        self.order.push(node as u32);
    }
}
