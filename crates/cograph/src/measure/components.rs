//! Connected components.

use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::{check, try_vec};
use crate::partition::number_by_size;

/// The component of every node. Components are numbered from 0: the largest comes first, and of equally large ones that with the
/// smallest node. [`Error::OutOfMemory`], [`Error::Cancelled`].
pub fn components(graph: &Graph, cancelled: &AtomicBool) -> Result<Vec<u32>, Error> {
    const NONE: u32 = u32::MAX;
    let nodes = graph.nodes();
    let mut component: Vec<u32> = try_vec(nodes)?;
    component.fill(NONE);
    let mut waiting = Vec::new();
    let mut count = 0;
    for start in 0..nodes {
        check(cancelled, start)?;
        if component[start] != NONE {
            continue;
        }
        component[start] = count;
        waiting.push(start as u32);
        while let Some(node) = waiting.pop() {
            for &neighbour in graph.neighbours(node as usize) {
                if component[neighbour as usize] == NONE {
                    component[neighbour as usize] = count;
                    waiting.push(neighbour);
                }
            }
        }
        count += 1;
    }
    number_by_size(&mut component)?;
    Ok(component)
}
