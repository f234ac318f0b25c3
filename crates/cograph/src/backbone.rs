//! The backbone of a graph: the edges that are stronger than chance (Serrano, Boguñá and Vespignani 2009, "Extracting the multiscale
//! backbone of complex weighted networks").

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::try_collect;

/// Whether each edge of [`Graph::all_edges`] belongs to the backbone: from the point of view of one of its ends at least, an edge as
/// strong as this would come with a probability below `alpha`, if the node's strength were divided among its edges at random. A node
/// with a single edge does not decide. [`Error::OutOfMemory`].
pub fn is_backbone(graph: &Graph, alpha: f64) -> Result<impl Iterator<Item = bool> + '_, Error> {
    let strengths = try_collect((0..graph.nodes()).map(|node| graph.strength(node)))?;
    let is_strong = move |node: usize, weight: f64| {
        let degree = graph.degree(node) as i32;
        degree > 1 && (1.0 - weight / strengths[node]).powi(degree - 1) < alpha
    };
    Ok(graph.all_edges().map(move |(from, to, weight)| is_strong(from, weight) || is_strong(to, weight)))
}
