//! What a group of nodes is like.

use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::{check, try_vec, try_with_capacity};
use crate::partition::count;

/// A group of a partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// How many nodes it has.
    pub size: usize,
    /// How many edges lie within it.
    pub edges: usize,
    /// The share of all pairs of its nodes that are edges; 0 if it has one node.
    pub density: f64,
    /// The weight of the edges that leave it, divided by the strengths of its nodes or of all others, whichever are less (Kannan, Vempala
    /// and Vetta 2004, "On clusterings: good, bad and spectral"). 0 if no edges leave it.
    pub conductance: f64,
    /// Its most central nodes: those with the greatest weight of edges within it. Of equal ones, that with the smaller number.
    pub central: Vec<u32>,
}

/// The profile of each group, with so many of its most central nodes. Groups are numbered from 0. [`Error::OutOfMemory`],
/// [`Error::Cancelled`].
pub fn profiles(
    graph: &Graph,
    groups: &[u32],
    central: usize,
    cancelled: &AtomicBool,
) -> Result<Vec<Profile>, Error> {
    let mut profiles: Vec<Profile> = try_vec(count(groups))?;
    let mut strengths: Vec<f64> = try_vec(profiles.len())?;
    let mut outside: Vec<f64> = try_vec(profiles.len())?;
    // The weight of each node's edges within its group.
    let mut within: Vec<f64> = try_vec(graph.nodes())?;
    for node in 0..graph.nodes() {
        check(cancelled, node)?;
        let group = groups[node] as usize;
        profiles[group].size += 1;
        for (neighbour, weight) in graph.row(node) {
            strengths[group] += weight;
            if groups[neighbour] as usize == group {
                within[node] += weight;
                profiles[group].edges += usize::from(node < neighbour);
            } else {
                outside[group] += weight;
            }
        }
    }
    let total = strengths.iter().sum::<f64>();
    for (group, profile) in profiles.iter_mut().enumerate() {
        let pairs = profile.size as f64 * (profile.size as f64 - 1.0) / 2.0;
        profile.density = if pairs > 0.0 { profile.edges as f64 / pairs } else { 0.0 };
        let less = strengths[group].min(total - strengths[group]);
        profile.conductance = if less > 0.0 { outside[group] / less } else { 0.0 };
    }
    let mut order: Vec<u32> = try_with_capacity(graph.nodes())?;
    order.extend(0..graph.nodes() as u32);
    order.sort_unstable_by(|&one, &other| {
        within[other as usize].total_cmp(&within[one as usize]).then(one.cmp(&other))
    });
    for node in order {
        let list = &mut profiles[groups[node as usize] as usize].central;
        if list.len() < central {
            list.push(node);
        }
    }
    Ok(profiles)
}
