//! Communities by propagation of labels, where nodes that are not neighbours change at the same time (Cordasco and Gargano 2010,
//! "Community detection via semi-synchronous label propagation algorithms").

use std::cmp::Reverse;
use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::{check, try_vec, try_with_capacity};
use crate::partition::number_by_size;

/// The most rounds. In exact arithmetic, no step lowers the weight of the edges within groups, so it would always end; in practice, it takes a
/// few.
const ROUNDS: usize = 10_000;

/// Two weights that differ by less than this share are equal.
const EQUAL: f64 = 1e-12;

/// The group of every node, numbered by [`number_by_size`]. Each node begins with its own label, and takes the one that weighs most
/// among its neighbours: its own one if that is among them, otherwise the largest. [`Error::NotConverged`], [`Error::OutOfMemory`],
/// [`Error::Cancelled`].
pub fn label_propagation(graph: &Graph, cancelled: &AtomicBool) -> Result<Vec<u32>, Error> {
    let nodes = graph.nodes();
    let mut labels: Vec<u32> = try_with_capacity(nodes)?;
    labels.extend(0..nodes as u32);
    let (order, mut weights) = (by_color(graph, cancelled)?, try_vec::<f64>(nodes)?);
    for _ in 0..ROUNDS {
        let mut is_stable = true;
        for (at, &node) in order.iter().enumerate() {
            check(cancelled, at)?;
            let node = node as usize;
            let best = heaviest(graph, node, &labels, &mut weights);
            if best != labels[node] {
                (labels[node], is_stable) = (best, false);
            }
        }
        if is_stable {
            number_by_size(&mut labels)?;
            return Ok(labels);
        }
    }
    Err(Error::NotConverged { measure: "label propagation", iterations: ROUNDS, change: f64::NAN })
}

/// The label that weighs most among a node's neighbours. `weights` are 0, and are 0 again afterwards.
fn heaviest(graph: &Graph, node: usize, labels: &[u32], weights: &mut [f64]) -> u32 {
    for (neighbour, weight) in graph.row(node) {
        weights[labels[neighbour] as usize] += weight;
    }
    let own = labels[node];
    let (mut best, mut heaviest) = (own, weights[own as usize]);
    for &neighbour in graph.neighbours(node) {
        let label = labels[neighbour as usize];
        let weight = weights[label as usize];
        // Sums of the same weights in another order are equal.
        let is_equal = (weight - heaviest).abs() <= EQUAL * heaviest;
        if (weight > heaviest && !is_equal) || (is_equal && best != own && label > best) {
            (best, heaviest) = (label, weight);
        }
    }
    graph.neighbours(node).iter().for_each(|&neighbour| weights[labels[neighbour as usize] as usize] = 0.0);
    best
}

/// The nodes, those of one color after those of another: neighbours have different colors. Nodes with many neighbours are colored first.
fn by_color(graph: &Graph, cancelled: &AtomicBool) -> Result<Vec<u32>, Error> {
    let nodes = graph.nodes();
    let mut order: Vec<u32> = try_with_capacity(nodes)?;
    order.extend(0..nodes as u32);
    let by_degree = |node: u32| (Reverse(graph.degree(node as usize)), node);
    order.sort_unstable_by_key(|&node| by_degree(node));
    let mut colors: Vec<u32> = try_vec(nodes)?;
    // For each color, the last node that found it taken, counted from 1.
    let mut taken: Vec<u32> = try_vec(nodes + 2)?;
    for (at, &node) in order.iter().enumerate() {
        check(cancelled, at)?;
        for &neighbour in graph.neighbours(node as usize) {
            taken[colors[neighbour as usize] as usize] = at as u32 + 1;
        }
        // Color 0 is that of nodes that have none yet.
        let free = (1..).find(|&color| taken[color] != at as u32 + 1).unwrap_or(0);
        colors[node as usize] = free as u32;
    }
    order.sort_unstable_by_key(|&node| (colors[node as usize], by_degree(node)));
    Ok(order)
}
