//! Where to draw the nodes of a small graph: forces (Fruchterman and Reingold 1991, "Graph drawing by force-directed placement").
//!
//! Nodes repel each other, and edges pull their ends together. A weak pull to the centre keeps separate parts of the graph near each
//! other. The nodes start on a spiral, in their order, so that no random numbers are needed.

use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::graph::Graph;
use crate::labelled::LabelledEdge;
use crate::memory::{check, try_collect, try_vec, try_with_capacity};

const ITERATIONS: usize = 500;
/// The pull to the centre, for the distance that two nodes with an edge would have.
const GRAVITY: f64 = 0.7;

/// A place for each node. Distances are in units of that between two nodes with an edge of mean weight and nothing else around.
///
/// The time is proportional to the square of the number of nodes. [`Error::OutOfMemory`], [`Error::Cancelled`].
pub fn layout(graph: &Graph, cancelled: &AtomicBool) -> Result<Vec<(f64, f64)>, Error> {
    let nodes = graph.nodes();
    // The golden angle, so that neighbours in the order are far from each other.
    let start = |node: usize| {
        let (angle, radius) = (node as f64 * 2.399_963_229_728_653, (node as f64 + 0.5).sqrt());
        (radius * angle.cos(), radius * angle.sin())
    };
    let mut places: Vec<(f64, f64)> = try_collect((0..nodes).map(start))?;
    let mut forces: Vec<(f64, f64)> = try_vec(nodes)?;
    let (mut total, mut count) = (0.0, 0);
    for node in 0..nodes {
        total += graph.weights(node).iter().sum::<f64>();
        count += graph.weights(node).len();
    }
    let mean = if count > 0 { total / count as f64 } else { 1.0 };
    for iteration in 0..ITERATIONS {
        // The step becomes shorter, so that the nodes come to rest.
        let most = 0.1 * (nodes as f64).sqrt() * (1.0 - iteration as f64 / ITERATIONS as f64).powi(2) + 0.002;
        for node in 0..nodes {
            check(cancelled, node)?;
            let (x, y) = places[node];
            let mut force = (-GRAVITY * x, -GRAVITY * y);
            for (other, &(other_x, other_y)) in places.iter().enumerate() {
                let (across, up) = (x - other_x, y - other_y);
                let square = across * across + up * up;
                if other != node && square > 0.0 {
                    force.0 += across / square;
                    force.1 += up / square;
                }
            }
            for (other, weight) in graph.row(node) {
                let (across, up) = (places[other].0 - x, places[other].1 - y);
                // The root keeps a very heavy edge from pulling everything to one point.
                let pull = (across * across + up * up).sqrt() * (weight / mean).sqrt();
                force.0 += across * pull;
                force.1 += up * pull;
            }
            forces[node] = force;
        }
        for ((x, y), force) in places.iter_mut().zip(&forces) {
            let length = (force.0 * force.0 + force.1 * force.1).sqrt();
            if length > 0.0 {
                let step = length.min(most) / length;
                *x += step * force.0;
                *y += step * force.1;
            }
        }
    }
    Ok(places)
}

/// The edges that are among the `most` strongest ones of one of their ends, and those of a maximum spanning forest (Kruskal 1956, "On the
/// shortest spanning subtree of a graph"), so that nodes stay connected; in their order. Of equal edges, those with smaller ids stay.
/// [`Error::OutOfMemory`].
pub fn strongest(edges: &[LabelledEdge], most: usize) -> Result<Vec<LabelledEdge>, Error> {
    let mut ends: Vec<(i64, f64, i64, usize)> = try_vec(2 * edges.len())?;
    for (at, &(from, to, weight)) in edges.iter().enumerate() {
        (ends[2 * at], ends[2 * at + 1]) = ((from, weight, to, at), (to, weight, from, at));
    }
    ends.sort_unstable_by(|one, other| {
        one.0.cmp(&other.0).then(other.1.total_cmp(&one.1)).then(one.2.cmp(&other.2))
    });
    let mut stays: Vec<bool> = try_vec(edges.len())?;
    let mut ids: Vec<i64> = try_with_capacity(ends.len())?;
    let mut place = 0;
    for &(end, _, _, edge) in &ends {
        place += 1;
        if ids.last() != Some(&end) {
            ids.push(end);
            place = 1;
        }
        stays[edge] |= place <= most;
    }
    // For each node the next one on the way to the node that stands for all that are connected with it.
    let mut next: Vec<usize> = try_collect(0..ids.len())?;
    let mut order: Vec<usize> = try_collect(0..edges.len())?;
    order.sort_by(|&one, &other| edges[other].2.total_cmp(&edges[one].2));
    for edge in order {
        let [from, to] = [edges[edge].0, edges[edge].1].map(|id| {
            let mut node = ids.partition_point(|&other| other < id);
            while next[node] != node {
                next[node] = next[next[node]];
                node = next[node];
            }
            node
        });
        if from != to {
            next[from] = to;
            stays[edge] = true;
        }
    }
    Ok(edges.iter().zip(stays).filter_map(|(&edge, stays)| stays.then_some(edge)).collect())
}
