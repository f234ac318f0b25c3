//! Triangles: local clustering (Watts and Strogatz 1998, "Collective dynamics of 'small-world' networks"; with weights, Onnela et al.
//! 2005, "Intensity and coherence of motifs in weighted complex networks") and transitivity.

use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::{check, try_parallel};

/// The triangles of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clustering {
    /// How many triangles the node is in.
    pub triangles: u64,
    /// The share of its pairs of neighbours that are neighbours themselves. With weights, each such pair counts for the geometric mean
    /// of the three weights, divided by the greatest weight of the graph. 0 if there are fewer than two neighbours.
    pub coefficient: f64,
}

/// The triangles of every node. [`Error::Cancelled`].
pub fn clustering(
    graph: &Graph,
    is_weighted: bool,
    cancelled: &AtomicBool,
) -> Result<Vec<Clustering>, Error> {
    let greatest = graph.greatest_weight();
    let of = |_: &mut (), node: usize| {
        let (own, own_weights) = (graph.neighbours(node), graph.weights(node));
        let (mut triangles, mut strength) = (0u64, 0.0);
        for (at, &neighbour) in own.iter().enumerate() {
            // Pairs of neighbours are counted once: the second one comes after the first.
            check(cancelled, at)?;
            let neighbour = neighbour as usize;
            let (others, other_weights) = (graph.neighbours(neighbour), graph.weights(neighbour));
            let (mut here, mut there) = (at + 1, 0);
            while here < own.len() && there < others.len() {
                match own[here].cmp(&others[there]) {
                    std::cmp::Ordering::Less => here += 1,
                    std::cmp::Ordering::Greater => there += 1,
                    std::cmp::Ordering::Equal => {
                        triangles += 1;
                        if is_weighted {
                            let weights = [own_weights[at], own_weights[here], other_weights[there]];
                            strength +=
                                weights.iter().map(|weight| weight / greatest).product::<f64>().cbrt();
                        }
                        here += 1;
                        there += 1;
                    }
                }
            }
        }
        let pairs = own.len() as f64 * (own.len() as f64 - 1.0) / 2.0;
        let strength = if is_weighted { strength } else { triangles as f64 };
        Ok(Clustering { triangles, coefficient: if pairs > 0.0 { strength / pairs } else { 0.0 } })
    };
    try_parallel(graph.nodes(), || (), of)
}

/// The share of all paths of two edges that are in a triangle. 0 if there are no such paths.
pub fn transitivity(graph: &Graph, clustering: &[Clustering]) -> f64 {
    let triangles = clustering.iter().map(|of| of.triangles).sum::<u64>();
    let paths = (0..graph.nodes()).map(|node| graph.degree(node) as u64);
    let paths = paths.map(|degree| degree * degree.saturating_sub(1) / 2).sum::<u64>();
    if paths > 0 { triangles as f64 / paths as f64 } else { 0.0 }
}
