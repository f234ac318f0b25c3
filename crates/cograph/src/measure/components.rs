//! Connected components.

use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::{check, try_vec, try_with_capacity};
use crate::partition::number_by_size;

/// The component of every node. Components are numbered from 0: the largest comes first, and of equally large ones that with the
/// smallest node. [`Error::OutOfMemory`], [`Error::Cancelled`].
pub fn components(graph: &Graph, cancelled: &AtomicBool) -> Result<Vec<u32>, Error> {
    components_within(graph, |_, _| true, cancelled)
}

/// The components of the graph that has only those edges to which `has_edge` says yes.
pub(crate) fn components_within(
    graph: &Graph,
    has_edge: impl Fn(usize, usize) -> bool,
    cancelled: &AtomicBool,
) -> Result<Vec<u32>, Error> {
    const NONE: u32 = u32::MAX;
    let nodes = graph.nodes();
    let mut component: Vec<u32> = try_vec(nodes)?;
    component.fill(NONE);
    let mut waiting: Vec<u32> = try_with_capacity(nodes)?;
    let (mut count, mut step) = (0, 0);
    for start in 0..nodes {
        if component[start] != NONE {
            continue;
        }
        component[start] = count;
        waiting.push(start as u32);
        while let Some(node) = waiting.pop() {
            check(cancelled, step)?;
            step += 1;
            for &neighbour in graph.neighbours(node as usize) {
                let neighbour_at = neighbour as usize;
                if component[neighbour_at] == NONE && has_edge(node as usize, neighbour_at) {
                    component[neighbour_at] = count;
                    waiting.push(neighbour);
                }
            }
        }
        count += 1;
    }
    number_by_size(&mut component)?;
    Ok(component)
}
