//! The refinement of the method of Leiden: groups are divided into well connected parts.

use std::sync::atomic::AtomicBool;

use rand::Rng;
use rand::seq::SliceRandom;

use crate::community::level::Level;
use crate::error::Error;
use crate::graph::Graph;
use crate::memory::{check, try_vec, try_with_capacity};

/// The temperature of the random choice, in mean strengths: a part is chosen with a probability in proportion to
/// `exp(gain / temperature)`.
const RANDOMNESS: f64 = 0.01;

/// The part of every node: its number is that of one of its nodes. Nodes begin alone. One that is well connected with its group joins
/// a part of the group that is well connected, too, and with which the modularity does not fall (algorithm A.2, `MergeNodesSubset`).
/// Every part is connected, because a node joins only parts of its neighbours.
pub(super) fn refine(
    graph: &Graph,
    level: &Level,
    groups: &[u32],
    resolution: f64,
    rng: &mut impl Rng,
    cancelled: &AtomicBool,
) -> Result<Vec<u32>, Error> {
    let nodes = graph.nodes();
    let scale = resolution / level.total;
    let temperature = RANDOMNESS * level.total / nodes as f64;
    let mut whole: Vec<f64> = try_vec(nodes)?;
    groups.iter().zip(&level.strengths).for_each(|(&group, strength)| whole[group as usize] += strength);
    let mut parts: Vec<u32> = try_with_capacity(nodes)?;
    parts.extend(0..nodes as u32);
    let mut strengths: Vec<f64> = try_with_capacity(nodes)?;
    strengths.extend_from_slice(&level.strengths);
    let mut is_alone: Vec<bool> = try_vec(nodes)?;
    is_alone.fill(true);
    // The weights of the edges from each part to the rest of its group.
    let mut outside: Vec<f64> = try_with_capacity(nodes)?;
    let within = |node: usize| graph.row(node).filter(move |&(to, _)| groups[to] == groups[node]);
    outside.extend((0..nodes).map(|node| within(node).map(|(_, weight)| weight).sum::<f64>()));
    let mut order: Vec<u32> = try_with_capacity(nodes)?;
    order.extend(0..nodes as u32);
    order.shuffle(rng);
    let mut weights: Vec<f64> = try_vec(nodes)?;
    let mut choices: Vec<(u32, f64)> = try_with_capacity(nodes)?;
    for (at, &node) in order.iter().enumerate() {
        check(cancelled, at)?;
        let node = node as usize;
        let (group, strength) = (whole[groups[node] as usize], level.strengths[node]);
        if !is_alone[node] || outside[node] < scale * strength * (group - strength) {
            continue;
        }
        choices.clear();
        for (neighbour, weight) in within(node) {
            let part = parts[neighbour];
            if weights[part as usize] == 0.0 {
                choices.push((part, 0.0));
            }
            weights[part as usize] += weight;
        }
        // Staying alone gains nothing.
        let mut most = 0.0;
        choices.retain_mut(|(part, gain)| {
            let (weight, other) = (weights[*part as usize], strengths[*part as usize]);
            *gain = weight - scale * strength * other;
            let is_allowed = outside[*part as usize] >= scale * other * (group - other) && *gain >= 0.0;
            most = if is_allowed { f64::max(most, *gain) } else { most };
            is_allowed
        });
        let probability = |gain: f64| ((gain - most) / temperature).exp();
        let all = probability(0.0) + choices.iter().map(|&(_, gain)| probability(gain)).sum::<f64>();
        let mut draw = rng.random::<f64>() * all - probability(0.0);
        let chosen = if draw < 0.0 {
            None
        } else {
            let chosen = choices.iter().find(|&&(_, gain)| {
                draw -= probability(gain);
                draw < 0.0
            });
            chosen.or(choices.last()).copied()
        };
        if let Some((part, _)) = chosen {
            let to = part as usize;
            outside[to] += outside[node] - 2.0 * weights[to];
            strengths[to] += strength;
            parts[node] = part;
            (is_alone[node], is_alone[to]) = (false, false);
        }
        within(node).for_each(|(neighbour, _)| weights[parts[neighbour] as usize] = 0.0);
    }
    Ok(parts)
}
