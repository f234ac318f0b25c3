//! A graph whose nodes have ids of their own.

use std::sync::atomic::AtomicBool;

use rayon::slice::ParallelSliceMut;

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::{check, try_with_capacity};

/// A graph with the id of each node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labelled {
    /// The ids, in ascending order: the place of an id is the number of its node.
    pub ids: Vec<i64>,
    /// The graph of these nodes.
    pub graph: Graph,
}

/// An edge between two ids, with its weight.
pub type LabelledEdge = (i64, i64, f64);

impl Labelled {
    /// The graph of some edges. Its nodes are the ends of edges that do not end where they begin; otherwise it is as [`Graph::new`] makes
    /// it. Runs in rayon's current pool.
    ///
    /// [`Error::Weight`], [`Error::OutOfMemory`], [`Error::Cancelled`].
    pub fn new(edges: &[LabelledEdge], cancelled: &AtomicBool) -> Result<Labelled, Error> {
        let mut ids: Vec<i64> = try_with_capacity(2 * edges.len())?;
        let others = edges.iter().filter(|(from, to, _)| from != to);
        ids.extend(others.clone().flat_map(|&(from, to, _)| [from, to]));
        ids.par_sort_unstable();
        check(cancelled, 0)?;
        ids.dedup();
        ids.shrink_to_fit();
        let mut numbered: Vec<(u32, u32, f64)> = try_with_capacity(edges.len())?;
        let node = |id: i64| ids.partition_point(|&other| other < id) as u32;
        for (at, &(from, to, weight)) in others.enumerate() {
            check(cancelled, at)?;
            numbered.push((node(from), node(to), weight));
        }
        let graph = Graph::new(ids.len(), &numbered, cancelled)?;
        Ok(Labelled { ids, graph })
    }

    /// The number of a node; `None` if there is no node of this id.
    pub fn node(&self, id: i64) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    /// The memory, in bytes, of making a graph of this size, without the list of edges.
    pub fn memory(nodes: usize, edges: usize) -> usize {
        let ids = 2 * edges.saturating_mul(size_of::<i64>());
        let numbered = edges.saturating_mul(size_of::<(u32, u32, f64)>());
        ids.saturating_add(numbered).saturating_add(Graph::memory(nodes, edges))
    }
}
