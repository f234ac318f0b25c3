//! Core numbers (Batagelj and Zaveršnik 2003, "An O(m) algorithm for cores decomposition of networks").

use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::{check, try_vec};

/// The core number of every node: the largest k for which the node is in a subgraph whose nodes all have at least k neighbours
/// there. [`Error::OutOfMemory`], [`Error::Cancelled`].
pub fn core_number(graph: &Graph, cancelled: &AtomicBool) -> Result<Vec<u32>, Error> {
    let nodes = graph.nodes();
    let mut degrees: Vec<u32> = try_vec(nodes)?;
    degrees.iter_mut().enumerate().for_each(|(node, degree)| *degree = graph.degree(node) as u32);
    let greatest = degrees.iter().max().map_or(0, |&degree| degree as usize);
    // The nodes in the order of their degrees; where each degree begins; where each node is.
    let mut starts: Vec<usize> = try_vec(greatest + 2)?;
    degrees.iter().for_each(|&degree| starts[degree as usize + 1] += 1);
    for degree in 0..=greatest {
        starts[degree + 1] += starts[degree];
    }
    let (mut order, mut places): (Vec<u32>, Vec<usize>) = (try_vec(nodes)?, try_vec(nodes)?);
    let mut next: Vec<usize> = try_vec(greatest + 2)?;
    next.copy_from_slice(&starts);
    for node in 0..nodes {
        let place = &mut next[degrees[node] as usize];
        (order[*place], places[node]) = (node as u32, *place);
        *place += 1;
    }
    for at in 0..nodes {
        check(cancelled, at)?;
        let node = order[at] as usize;
        for &neighbour in graph.neighbours(node) {
            let neighbour = neighbour as usize;
            if degrees[neighbour] <= degrees[node] {
                continue;
            }
            // The neighbour changes places with the first node of its degree, and then that degree begins after it.
            let degree = degrees[neighbour] as usize;
            let (place, first) = (places[neighbour], starts[degree]);
            let other = order[first] as usize;
            order.swap(place, first);
            (places[neighbour], places[other]) = (first, place);
            starts[degree] = first + 1;
            degrees[neighbour] -= 1;
        }
    }
    Ok(degrees)
}
