//! Betweenness (Freeman 1977, "A set of measures of centrality based on betweenness"), by the dependencies of sources (Brandes 2001, "A
//! faster algorithm for betweenness centrality").
//!
//! Without weights, [`LANES`] sources are searched at once: where the rows of a graph are read, all of them are served. On each
//! distance from the source, a node adds up what its neighbours have, so an edge costs one addition of a vector.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rand::seq::SliceRandom;
use rayon::prelude::*;

use crate::error::Error;
use crate::graph::Graph;
use crate::measure::depth::is_deep;
use crate::measure::search::Search;
use crate::memory::{check, try_collect, try_vec, try_with_capacity};

/// How betweenness is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Betweenness {
    /// So many sources, drawn at random. `None`: all nodes are, and the result is exact.
    pub k: Option<usize>,
    /// Seed of the draw.
    pub seed: u64,
    /// Whether an edge has the length 1 / weight, instead of 1.
    pub is_weighted: bool,
    /// Whether the results are divided by the number of pairs of other nodes.
    pub is_normalized: bool,
}

/// The betweenness of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Between {
    /// The sum, over all pairs of other nodes, of the share of their shortest paths that lead through the node.
    pub betweenness: f64,
    /// Its standard error: 0 if it is exact, NaN if there is a single source, which tells nothing of it.
    pub standard_error: f64,
}

/// Sources that are searched at once.
const LANES: usize = 8;
/// A value for each source.
type Lanes = [f64; LANES];
/// Groups of sources whose sums are added in order, so that the number of threads does not change the rounding.
const GROUPS: usize = 64;

/// Sums over sources: of the dependencies on each node, and of their squares.
struct Sums {
    dependencies: Vec<f64>,
    squares: Vec<f64>,
}

impl Sums {
    fn new(nodes: usize) -> Result<Sums, Error> {
        Ok(Sums { dependencies: try_vec(nodes)?, squares: try_vec(nodes)? })
    }

    #[inline]
    fn add(&mut self, node: usize, dependency: f64) {
        self.dependencies[node] += dependency;
        self.squares[node] += dependency * dependency;
    }
}

impl Betweenness {
    /// The betweenness of every node. `on_sources` is called with the number of sources that are done. [`Error::Parameter`] if `k` is 0 or above the number of nodes, [`Error::OutOfMemory`],
    /// [`Error::Cancelled`].
    pub fn of(
        &self,
        graph: &Graph,
        cancelled: &AtomicBool,
        on_sources: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Between>, Error> {
        let nodes = graph.nodes();
        let sources = self.sources(nodes)?;
        let fits_in_lanes = !self.is_weighted && !is_deep(graph, cancelled)?;
        let done = AtomicUsize::new(0);
        let group = |sources: &[u32]| {
            let on_sources = |more: usize| on_sources(done.fetch_add(more, Ordering::Relaxed) + more);
            match fits_in_lanes {
                true => in_lanes(graph, sources, cancelled, &on_sources),
                false => one_by_one(graph, sources, self.is_weighted, cancelled, &on_sources),
            }
        };
        // A multiple of the lanes, so that few of them are empty.
        let length = sources.len().div_ceil(GROUPS).next_multiple_of(LANES).max(LANES);
        let groups = sources.par_chunks(length).map(group).collect::<Result<Vec<_>, _>>()?;
        let mut total = Sums::new(nodes)?;
        for sums in groups {
            total.dependencies.iter_mut().zip(sums.dependencies).for_each(|(to, from)| *to += from);
            total.squares.iter_mut().zip(sums.squares).for_each(|(to, from)| *to += from);
        }
        let (n, k) = (nodes as f64, sources.len() as f64);
        // Each pair of an undirected graph is met twice.
        let pairs = if self.is_normalized { (n - 1.0) * (n - 2.0) } else { 2.0 };
        let scale = if nodes > 2 { n / k / pairs } else { 0.0 };
        let of = |(&sum, &squares): (&f64, &f64)| {
            let variance = ((squares - sum * sum / k) / (k - 1.0).max(1.0)).max(0.0);
            // Without replacement, the last source would leave no error.
            let standard_error = match k {
                1.0 if n > 1.0 => f64::NAN,
                _ => scale * (variance * k * (1.0 - k / n)).sqrt(),
            };
            Between { betweenness: scale * sum, standard_error }
        };
        try_collect(total.dependencies.iter().zip(&total.squares).map(of))
    }

    fn sources(&self, nodes: usize) -> Result<Vec<u32>, Error> {
        let mut sources: Vec<u32> = try_with_capacity(nodes)?;
        match self.k {
            None => sources.extend(0..nodes as u32),
            Some(k) if (1..=nodes).contains(&k) => {
                let mut rng =
                    <rand_xoshiro::Xoshiro256PlusPlus as rand::SeedableRng>::seed_from_u64(self.seed);
                sources.extend(0..nodes as u32);
                sources.partial_shuffle(&mut rng, k).0.sort_unstable();
                // They are at the end.
                sources.drain(..nodes - k);
            }
            Some(k) => {
                let range = format!("from 1 to {nodes}, the number of nodes");
                return Err(Error::Parameter { name: "k", value: k.to_string(), range });
            }
        }
        Ok(sources)
    }
}

/// The dependencies of sources in a graph whose edges have the length 1, and that is not deep.
fn in_lanes(
    graph: &Graph,
    sources: &[u32],
    cancelled: &AtomicBool,
    on_sources: &dyn Fn(usize),
) -> Result<Sums, Error> {
    let nodes = graph.nodes();
    let mut sums = Sums::new(nodes)?;
    // The distance from each source; the number of shortest paths; the dependencies; and what neighbours add up: the values of the
    // nodes of one distance, and 0 for all others.
    let mut distances: Vec<[u16; LANES]> = try_vec(nodes)?;
    let mut paths: Vec<Lanes> = try_vec(nodes)?;
    let mut dependencies: Vec<Lanes> = try_vec(nodes)?;
    let (mut here, mut next): (Vec<Lanes>, Vec<Lanes>) = (try_vec(nodes)?, try_vec(nodes)?);
    for sources in sources.chunks(LANES) {
        distances.fill([UNKNOWN; LANES]);
        paths.fill([0.0; LANES]);
        dependencies.fill([0.0; LANES]);
        here.fill([0.0; LANES]);
        for (lane, &source) in sources.iter().enumerate() {
            let source = source as usize;
            distances[source][lane] = 0;
            paths[source][lane] = 1.0;
            here[source][lane] = 1.0;
        }
        let mut farthest = 0;
        loop {
            let mut is_any = false;
            for node in 0..nodes {
                check(cancelled, node)?;
                next[node] = [0.0; LANES];
                if !distances[node].contains(&UNKNOWN) {
                    continue;
                }
                let sum = add_up(graph, node, &here);
                for lane in 0..LANES {
                    if distances[node][lane] == UNKNOWN && sum[lane] > 0.0 {
                        distances[node][lane] = farthest + 1;
                        paths[node][lane] = sum[lane];
                        next[node][lane] = sum[lane];
                        is_any = true;
                    }
                }
            }
            if !is_any {
                break;
            }
            farthest += 1;
            std::mem::swap(&mut here, &mut next);
        }
        for distance in (1..=farthest).rev() {
            for node in 0..nodes {
                for lane in 0..LANES {
                    here[node][lane] = match distances[node][lane] == distance {
                        true => (1.0 + dependencies[node][lane]) / paths[node][lane],
                        false => 0.0,
                    };
                }
            }
            for node in 0..nodes {
                check(cancelled, node)?;
                if !distances[node].contains(&(distance - 1)) {
                    continue;
                }
                let sum = add_up(graph, node, &here);
                for lane in 0..LANES {
                    if distances[node][lane] == distance - 1 {
                        dependencies[node][lane] = paths[node][lane] * sum[lane];
                    }
                }
            }
        }
        for (lane, &source) in sources.iter().enumerate() {
            dependencies[source as usize][lane] = 0.0;
            (0..nodes).for_each(|node| sums.add(node, dependencies[node][lane]));
        }
        on_sources(sources.len());
    }
    Ok(sums)
}

/// The distance of a node that was not reached.
const UNKNOWN: u16 = u16::MAX;

/// The sum of the neighbours' values.
#[inline]
fn add_up(graph: &Graph, node: usize, values: &[Lanes]) -> Lanes {
    let mut sum = [0.0; LANES];
    for &neighbour in graph.neighbours(node) {
        let value = &values[neighbour as usize];
        (0..LANES).for_each(|lane| sum[lane] += value[lane]);
    }
    sum
}

/// The dependencies of sources, searched one after the other.
fn one_by_one(
    graph: &Graph,
    sources: &[u32],
    is_weighted: bool,
    cancelled: &AtomicBool,
    on_sources: &dyn Fn(usize),
) -> Result<Sums, Error> {
    let nodes = graph.nodes();
    let mut sums = Sums::new(nodes)?;
    let mut search = Search::new(nodes)?;
    let mut dependencies: Vec<f64> = try_vec(nodes)?;
    for &source in sources {
        search.run(graph, source as usize, is_weighted, cancelled)?;
        for &node in search.order.iter().rev() {
            let node = node as usize;
            let share = (1.0 + dependencies[node]) / search.paths[node];
            for (before, weight) in graph.row(node) {
                let length = if is_weighted { 1.0 / weight } else { 1.0 };
                if search.is_on_path(before, node, length) {
                    dependencies[before] += search.paths[before] * share;
                }
            }
        }
        for &node in &search.order {
            let node = node as usize;
            if node != source as usize {
                sums.add(node, dependencies[node]);
            }
            dependencies[node] = 0.0;
        }
        on_sources(1);
    }
    Ok(sums)
}
