//! A graph whose nodes have ids of their own.

use std::sync::atomic::AtomicBool;

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
    /// it.
    ///
    /// [`Error::Weight`], [`Error::Weights`], [`Error::OutOfMemory`], [`Error::Cancelled`].
    pub fn new(edges: &[LabelledEdge], cancelled: &AtomicBool) -> Result<Labelled, Error> {
        let ids = ids(edges, cancelled)?;
        let others = edges.iter().filter(|(from, to, _)| from != to);
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

/// Edges whose ends are sorted at a time.
const EDGES_AT_A_TIME: usize = 128 * 1024;

/// The ends of edges, each once, in ascending order. Part by part, so that it can be cancelled; each part is as large as the result so
/// far, so that merging does not take longer than sorting.
fn ids(edges: &[LabelledEdge], cancelled: &AtomicBool) -> Result<Vec<i64>, Error> {
    let (mut ids, mut rest): (Vec<i64>, _) = (Vec::new(), edges);
    while !rest.is_empty() {
        check(cancelled, 0)?;
        let (part, others) = rest.split_at(rest.len().min(EDGES_AT_A_TIME.max(ids.len() / 2)));
        rest = others;
        let mut ends: Vec<i64> = try_with_capacity(2 * part.len())?;
        ends.extend(part.iter().filter(|(from, to, _)| from != to).flat_map(|&(from, to, _)| [from, to]));
        ends.sort_unstable();
        ends.dedup();
        ids = merged(&ids, &ends)?;
    }
    Ok(ids)
}

/// The elements of two ascending lists, each once, in ascending order.
fn merged(one: &[i64], other: &[i64]) -> Result<Vec<i64>, Error> {
    let mut all: Vec<i64> = try_with_capacity(one.len() + other.len())?;
    let (mut one, mut other) = (one.iter().copied().peekable(), other.iter().copied().peekable());
    while let Some(next) = one.peek().into_iter().chain(other.peek()).min().copied() {
        all.push(next);
        one.next_if_eq(&next);
        other.next_if_eq(&next);
    }
    Ok(all)
}
