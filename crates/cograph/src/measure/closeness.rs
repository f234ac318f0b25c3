//! Closeness (Freeman 1979, "Centrality in social networks: conceptual clarification") and harmonic centrality (Marchiori and Latora
//! 2000, "Harmony in the small-world").
//!
//! Without weights, [`SOURCES`] nodes are searched at once, so an edge costs one `or` of their bits.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::error::Error;
use crate::graph::Graph;
use crate::measure::depth::is_deep;
use crate::measure::search::Search;
use crate::memory::{check, try_collect, try_parallel, try_vec};

/// How near a node is to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nearness {
    /// The reciprocal of the mean distance to the nodes that can be reached, times the share of all other nodes that these are
    /// (Wasserman and Faust 1994, "Social network analysis").
    pub closeness: f64,
    /// The sum of the reciprocals of the distances.
    pub harmonic: f64,
}

/// Sources that are searched at once: a bit for each of them.
const WORDS: usize = 4;
type Bits = [u64; WORDS];
const SOURCES: usize = WORDS * 64;
/// Groups of sources whose sums are added in order, so that the number of threads does not change the rounding.
const GROUPS: usize = 64;

/// What is added up for every node.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    reached: u64,
    distances: u64,
    harmonic: f64,
}

/// The nearness of every node. `on_sources` is called with the number of nodes that were searched from. An edge has the length 1, or 1 / weight if `is_weighted`. [`Error::OutOfMemory`],
/// [`Error::Cancelled`].
pub fn nearness(
    graph: &Graph,
    is_weighted: bool,
    cancelled: &AtomicBool,
    on_sources: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Nearness>, Error> {
    let done = AtomicUsize::new(0);
    let on_sources = |more: usize| on_sources(done.fetch_add(more, Ordering::Relaxed) + more);
    match is_weighted {
        true => one_by_one(graph, true, cancelled, &on_sources),
        false if is_deep(graph, cancelled)? => one_by_one(graph, false, cancelled, &on_sources),
        false => by_bits(graph, cancelled, &on_sources),
    }
}

/// The closeness from the number of other nodes that can be reached, and the sum of their distances.
fn closeness(nodes: usize, reached: f64, distances: f64) -> f64 {
    if distances > 0.0 { reached / distances * reached / (nodes - 1) as f64 } else { 0.0 }
}

fn one_by_one(
    graph: &Graph,
    is_weighted: bool,
    cancelled: &AtomicBool,
    on_sources: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Nearness>, Error> {
    let nodes = graph.nodes();
    let of = |search: &mut Result<Search, Error>, from: usize| {
        let search = search.as_mut().map_err(|error| error.clone())?;
        search.run(graph, from, is_weighted, cancelled)?;
        let (mut total, mut harmonic) = (0.0, 0.0);
        for &node in &search.order[1..] {
            let distance = search.distances[node as usize];
            total += distance;
            harmonic += 1.0 / distance;
        }
        on_sources(1);
        Ok(Nearness { closeness: closeness(nodes, (search.order.len() - 1) as f64, total), harmonic })
    };
    try_parallel(nodes, || Search::new(nodes), of)
}

/// Many sources at once (Then et al. 2014, "The more the merrier: efficient multi-source graph traversal"). A node's distance to a source
/// is that from the source to it, so each node adds up its own distances to all sources.
fn by_bits(
    graph: &Graph,
    cancelled: &AtomicBool,
    on_sources: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Nearness>, Error> {
    let nodes = graph.nodes();
    let length = nodes.div_ceil(GROUPS).next_multiple_of(SOURCES).max(SOURCES);
    let groups = (0..nodes.div_ceil(length)).into_par_iter().with_max_len(1);
    let groups = groups.map(|group| {
        from_sources(graph, group * length..nodes.min((group + 1) * length), cancelled, on_sources)
    });
    let mut sums: Vec<Sums> = try_vec(nodes)?;
    for group in groups.collect::<Result<Vec<_>, Error>>()? {
        for (to, from) in sums.iter_mut().zip(group) {
            to.reached += from.reached;
            to.distances += from.distances;
            to.harmonic += from.harmonic;
        }
    }
    let of = |Sums { reached, distances, harmonic }| Nearness {
        closeness: closeness(nodes, reached as f64, distances as f64),
        harmonic,
    };
    try_collect(sums.into_iter().map(of))
}

/// The sums over some of the sources.
fn from_sources(
    graph: &Graph,
    sources: Range<usize>,
    cancelled: &AtomicBool,
    on_sources: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Sums>, Error> {
    let nodes = graph.nodes();
    let mut sums: Vec<Sums> = try_vec(nodes)?;
    // The sources that have reached each node, and those that did so in the last step.
    let mut seen: Vec<Bits> = try_vec(nodes)?;
    let (mut here, mut next): (Vec<Bits>, Vec<Bits>) = (try_vec(nodes)?, try_vec(nodes)?);
    for first in sources.clone().step_by(SOURCES) {
        seen.fill([0; WORDS]);
        here.fill([0; WORDS]);
        let last = sources.end.min(first + SOURCES);
        for (bit, seen) in seen[first..last].iter_mut().enumerate() {
            seen[bit / 64] |= 1 << (bit % 64);
        }
        let all = std::array::from_fn(|word| match (last - first).saturating_sub(word * 64) {
            64.. => u64::MAX,
            bits => (1 << bits) - 1,
        });
        here.copy_from_slice(&seen);
        for distance in 1.. {
            let mut is_any = false;
            for node in 0..nodes {
                check(cancelled, node)?;
                next[node] = [0; WORDS];
                if seen[node] == all {
                    continue;
                }
                let mut bits = [0; WORDS];
                for &neighbour in graph.neighbours(node) {
                    (0..WORDS).for_each(|word| bits[word] |= here[neighbour as usize][word]);
                }
                (0..WORDS).for_each(|word| bits[word] &= !seen[node][word]);
                (0..WORDS).for_each(|word| seen[node][word] |= bits[word]);
                next[node] = bits;
                let reached = bits.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
                if reached > 0 {
                    is_any = true;
                    sums[node].reached += reached;
                    sums[node].distances += reached * distance;
                    sums[node].harmonic += reached as f64 / distance as f64;
                }
            }
            if !is_any {
                break;
            }
            std::mem::swap(&mut here, &mut next);
        }
        on_sources(last - first);
    }
    Ok(sums)
}
