//! The method of Leiden (Traag, Waltman and van Eck 2019, "From Louvain to Leiden: guaranteeing well-connected communities"), and
//! that of Louvain, which lacks its refinement (Blondel, Guillaume, Lambiotte and Lefebvre 2008, "Fast unfolding of communities in
//! large networks"). Both look for the partition with the greatest modularity.
//!
//! No library is used, because those that were tried cannot be cancelled, and reach the optimum of small graphs with fewer seeds.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus as Rng;
use rayon::prelude::*;

use crate::community::level::Level;
use crate::community::modularity::{check_resolution, modularity};
use crate::community::refine::refine;
use crate::error::Error;
use crate::graph::Graph;
use crate::measure::components::components_within;
use crate::memory::{check, try_clone, try_vec, try_with_capacity};
use crate::partition::{count, number_by_size};

/// How communities are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leiden {
    /// How much the edges that are expected by chance count in the modularity. A larger one gives more and smaller communities.
    pub resolution: f64,
    /// Seed of the order in which nodes move.
    pub seed: u64,
    /// Whether communities are refined before they become the nodes of the next level. Without it, this is the method of Louvain, whose
    /// communities may fall apart.
    pub refines: bool,
}

impl Default for Leiden {
    fn default() -> Leiden {
        Leiden { resolution: 1.0, seed: 42, refines: true }
    }
}

/// Number of runs with different seeds, of which the best one counts: `EDGES` divided by the number of edges, within these limits.
const EDGES: usize = 500_000;
const RUNS: std::ops::RangeInclusive<usize> = 2..=100;

/// The most passes of a run. Later ones gain little.
const PASSES: usize = 6;

/// Two modularities that differ by less are equal, because they may be sums in another order.
const EQUAL: f64 = 1e-12;

fn runs(edges: usize) -> usize {
    (EDGES / edges.max(1)).clamp(*RUNS.start(), *RUNS.end())
}

impl Leiden {
    /// The group of every node, numbered by [`number_by_size`]. Several runs are made, and the partition with the greatest modularity
    /// is returned. Runs in rayon's current pool; the result does not depend on the number of threads.
    ///
    /// [`Error::Parameter`], [`Error::OutOfMemory`], [`Error::Cancelled`].
    pub fn of(&self, graph: &Graph, cancelled: &AtomicBool) -> Result<Vec<u32>, Error> {
        check_resolution(self.resolution)?;
        let run = |number: usize| {
            let mut rng = Rng::seed_from_u64(self.seed.wrapping_add(number as u64));
            let mut groups = self.run(graph, &mut rng, cancelled)?;
            number_by_size(&mut groups)?;
            Ok((modularity(graph, &groups, self.resolution)?, groups))
        };
        let all = (0..runs(graph.edges()))
            .into_par_iter()
            .with_max_len(1)
            .map(run)
            .collect::<Result<Vec<_>, Error>>()?;
        // Of equally good partitions, the one of the first run.
        let best = all.into_iter().reduce(|best, other| if other.0 > best.0 + EQUAL { other } else { best });
        Ok(best.map(|(_, groups)| groups).unwrap_or_default())
    }

    /// The memory, in bytes, that this takes beside the graph.
    pub fn memory(nodes: usize, edges: usize, threads: usize) -> usize {
        // A run has the levels above the graph, lists of nodes, and its result.
        let run = Graph::memory(nodes, edges).saturating_add(nodes.saturating_mul(100));
        let results = nodes.saturating_mul(size_of::<u32>()).saturating_mul(runs(edges));
        run.saturating_mul(runs(edges).min(threads)).saturating_add(results)
    }

    /// One run: moves, refines and aggregates until nothing moves; and a few times again from what came out, unless the
    /// modularity stays.
    fn run(&self, graph: &Graph, rng: &mut Rng, cancelled: &AtomicBool) -> Result<Vec<u32>, Error> {
        let mut groups: Vec<u32> = try_with_capacity(graph.nodes())?;
        groups.extend(0..graph.nodes() as u32);
        let first = Level::of(graph)?;
        let mut reached = f64::NEG_INFINITY;
        for _ in 0..PASSES {
            self.pass(graph, &first, &mut groups, rng, cancelled)?;
            let now = modularity(graph, &groups, self.resolution)?;
            if !self.refines || now <= reached + EQUAL {
                break;
            }
            reached = now;
        }
        if self.refines {
            // A group that the last step left in pieces gains by falling apart.
            groups = components_within(graph, |one, other| groups[one] == groups[other], cancelled)?;
        }
        Ok(groups)
    }

    /// From the nodes of the graph up to the level on which no two groups are joined.
    fn pass(
        &self,
        graph: &Graph,
        first: &Level,
        groups: &mut Vec<u32>,
        rng: &mut Rng,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let (mut aggregated, mut level): (Option<(Graph, Level)>, &Level);
        aggregated = None;
        level = first;
        // The node of the level that each node of the graph is in, and the group of each node of the level.
        let mut node_of: Vec<u32> = try_with_capacity(graph.nodes())?;
        node_of.extend(0..graph.nodes() as u32);
        let mut partition = std::mem::take(groups);
        loop {
            let here = aggregated.as_ref().map_or(graph, |(graph, _)| graph);
            self.move_nodes(here, level, &mut partition, rng, cancelled)?;
            number_by_size(&mut partition)?;
            let is_last = count(&partition) == here.nodes();
            if is_last {
                break;
            }
            let mut joined = match self.refines {
                true => refine(here, level, &partition, self.resolution, rng, cancelled)?,
                false => try_clone(&partition)?,
            };
            number_by_size(&mut joined)?;
            if count(&joined) == here.nodes() {
                break;
            }
            let next = level.aggregate(here, &joined, cancelled)?;
            node_of.iter_mut().for_each(|node| *node = joined[*node as usize]);
            let mut lifted: Vec<u32> = try_vec(next.0.nodes())?;
            joined.iter().zip(&partition).for_each(|(&node, &group)| lifted[node as usize] = group);
            partition = lifted;
            aggregated = Some(next);
            level = aggregated.as_ref().map_or(first, |(_, level)| level);
        }
        groups.extend(node_of.iter().map(|&node| partition[node as usize]));
        Ok(())
    }

    /// Moves nodes to the group where the modularity gains most, until no node has a better one. A group may be new.
    fn move_nodes(
        &self,
        graph: &Graph,
        level: &Level,
        groups: &mut [u32],
        rng: &mut Rng,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let nodes = graph.nodes();
        let mut strengths: Vec<f64> = try_vec(nodes)?;
        let mut sizes: Vec<u32> = try_vec(nodes)?;
        for (node, &group) in groups.iter().enumerate() {
            strengths[group as usize] += level.strengths[node];
            sizes[group as usize] += 1;
        }
        let mut empty: Vec<u32> = try_with_capacity(nodes)?;
        empty.extend((0..nodes as u32).rev().filter(|&group| sizes[group as usize] == 0));
        let mut order: Vec<u32> = try_with_capacity(nodes)?;
        order.extend(0..nodes as u32);
        order.shuffle(rng);
        let mut queue = VecDeque::from(order);
        let mut is_queued: Vec<bool> = try_vec(nodes)?;
        is_queued.fill(true);
        let mut weights: Vec<f64> = try_vec(nodes)?;
        let scale = self.resolution / level.total;
        let mut step = 0;
        while let Some(node) = queue.pop_front() {
            check(cancelled, step)?;
            step += 1;
            let node = node as usize;
            is_queued[node] = false;
            let (own, strength) = (groups[node] as usize, level.strengths[node]);
            for (neighbour, weight) in graph.row(node) {
                weights[groups[neighbour] as usize] += weight;
            }
            strengths[own] -= strength;
            sizes[own] -= 1;
            let gain = |group: usize, weight: f64| weight - scale * strength * strengths[group];
            let (mut best, mut most) = (own, gain(own, weights[own]));
            for &neighbour in graph.neighbours(node) {
                let group = groups[neighbour as usize] as usize;
                let gain = gain(group, weights[group]);
                if gain > most + EQUAL * strength {
                    (best, most) = (group, gain);
                }
            }
            if most < 0.0
                && sizes[own] > 0
                && let Some(group) = empty.pop()
            {
                best = group as usize;
            }
            graph.neighbours(node).iter().for_each(|&to| weights[groups[to as usize] as usize] = 0.0);
            strengths[best] += strength;
            sizes[best] += 1;
            if best != own {
                groups[node] = best as u32;
                if sizes[own] == 0 {
                    empty.push(own as u32);
                }
                for &neighbour in graph.neighbours(node) {
                    let at = neighbour as usize;
                    if !is_queued[at] && groups[at] as usize != best {
                        is_queued[at] = true;
                        queue.push_back(neighbour);
                    }
                }
            }
        }
        Ok(())
    }
}
