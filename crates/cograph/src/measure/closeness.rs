//! Closeness (Freeman 1979, "Centrality in social networks: conceptual clarification") and harmonic centrality (Marchiori and Latora
//! 2000, "Harmony in the small-world").

use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::error::Error;
use crate::graph::Graph;
use crate::measure::search::Search;
use crate::memory::check;

/// How near a node is to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nearness {
    /// The reciprocal of the mean distance to the nodes that can be reached, times the share of all other nodes that these are
    /// (Wasserman and Faust 1994, "Social network analysis").
    pub closeness: f64,
    /// The sum of the reciprocals of the distances.
    pub harmonic: f64,
}

/// The nearness of every node. An edge has the length 1, or 1 / weight if `is_weighted`. [`Error::OutOfMemory`],
/// [`Error::Cancelled`].
pub fn nearness(graph: &Graph, is_weighted: bool, cancelled: &AtomicBool) -> Result<Vec<Nearness>, Error> {
    let nodes = graph.nodes();
    let of = |search: &mut Result<Search, Error>, from: usize| {
        check(cancelled, 0)?;
        let search = search.as_mut().map_err(|error| error.clone())?;
        search.run(graph, from, is_weighted);
        let (mut total, mut harmonic) = (0.0, 0.0);
        for &node in &search.order[1..] {
            let distance = search.distances[node as usize];
            total += distance;
            harmonic += 1.0 / distance;
        }
        let reached = (search.order.len() - 1) as f64;
        let closeness = if total > 0.0 { reached / total * reached / (nodes - 1) as f64 } else { 0.0 };
        Ok(Nearness { closeness, harmonic })
    };
    (0..nodes).into_par_iter().map_init(|| Search::new(nodes), of).collect()
}
