//! How long paths are, which decides how paths are searched.

use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::graph::Graph;
use crate::measure::search::Search;
use crate::memory::{check, try_vec};

/// Searches of many sources at once go through all nodes for every distance. With longer paths than this, one search after the other
/// takes less time.
const DEEP: f64 = 64.0;

/// Whether a node is farther than [`DEEP`] from the smallest node of its component. If not, no two nodes are farther than twice that
/// from each other.
pub(crate) fn is_deep(graph: &Graph, cancelled: &AtomicBool) -> Result<bool, Error> {
    let mut search = Search::new(graph.nodes())?;
    let mut is_reached: Vec<bool> = try_vec(graph.nodes())?;
    for node in 0..graph.nodes() {
        check(cancelled, node)?;
        if !is_reached[node] {
            search.run(graph, node, false, cancelled)?;
            search.order.iter().for_each(|&node| is_reached[node as usize] = true);
            if search.order.last().is_some_and(|&last| search.distances[last as usize] > DEEP) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
