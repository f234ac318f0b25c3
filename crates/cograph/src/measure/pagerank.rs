//! PageRank (Page, Brin, Motwani and Winograd 1999, "The PageRank citation ranking").

use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::{check, try_vec, try_with_capacity};
use crate::sums::sum;

/// How PageRank is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PageRank {
    /// Probability of following an edge, instead of jumping to any node.
    pub alpha: f64,
    /// The most iterations.
    pub max_iter: usize,
    /// It has converged when an iteration changes the ranks by less than this times the number of nodes, in all.
    pub tol: f64,
}

impl Default for PageRank {
    fn default() -> PageRank {
        PageRank { alpha: 0.85, max_iter: 100, tol: 1e-6 }
    }
}

impl PageRank {
    /// The rank of every node; the ranks add up to 1. Edges are followed in proportion to their weights. A jump goes to each node with
    /// the same probability, or in proportion to `personalization`, of which at least one entry must be above 0 and none below.
    ///
    /// [`Error::Parameter`], [`Error::NotConverged`], [`Error::OutOfMemory`], [`Error::Cancelled`].
    pub fn of(
        &self,
        graph: &Graph,
        personalization: Option<&[f64]>,
        cancelled: &AtomicBool,
    ) -> Result<Vec<f64>, Error> {
        self.check()?;
        let nodes = graph.nodes();
        if nodes == 0 {
            return Ok(Vec::new());
        }
        let jump = jumps(nodes, personalization)?;
        let mut strengths: Vec<f64> = try_with_capacity(nodes)?;
        strengths.extend((0..nodes).map(|node| graph.strength(node)));
        let mut ranks: Vec<f64> = try_vec(nodes)?;
        ranks.fill(1.0 / nodes as f64);
        let (mut next, mut flows): (Vec<f64>, Vec<f64>) = (try_vec(nodes)?, try_vec(nodes)?);
        let mut change = f64::INFINITY;
        for _ in 0..self.max_iter {
            check(cancelled, 0)?;
            // What each node passes on for a weight of 1.
            let rows = flows.par_iter_mut().zip(&ranks).zip(&strengths);
            rows.for_each(|((flow, rank), strength)| {
                *flow = if *strength > 0.0 { rank / strength } else { 0.0 }
            });
            // Dangling nodes have no edges to follow, so they jump.
            let dangling = sum(&ranks, |node, rank| if strengths[node] > 0.0 { 0.0 } else { rank });
            let rest = self.alpha * dangling + 1.0 - self.alpha;
            next.par_iter_mut().enumerate().for_each(|(node, to)| {
                let received = graph.row(node).map(|(from, weight)| flows[from] * weight).sum::<f64>();
                *to = self.alpha * received + rest * jump[node];
            });
            change = sum(&next, |node, rank| (rank - ranks[node]).abs());
            std::mem::swap(&mut ranks, &mut next);
            if change < nodes as f64 * self.tol {
                return Ok(ranks);
            }
        }
        Err(Error::NotConverged { measure: "PageRank", iterations: self.max_iter, change })
    }

    fn check(&self) -> Result<(), Error> {
        let wrong =
            |name, value: String, range: &str| Err(Error::Parameter { name, value, range: range.into() });
        if !(0.0..=1.0).contains(&self.alpha) {
            return wrong("alpha", self.alpha.to_string(), "from 0 to 1");
        }
        if !(self.tol > 0.0 && self.tol.is_finite()) {
            return wrong("tol", self.tol.to_string(), "above 0");
        }
        Ok(())
    }
}

/// The probability of a jump to each node.
fn jumps(nodes: usize, personalization: Option<&[f64]>) -> Result<Vec<f64>, Error> {
    let mut jump: Vec<f64> = try_vec(nodes)?;
    match personalization {
        None => jump.fill(1.0 / nodes as f64),
        Some(weights) => {
            let total = weights.iter().sum::<f64>();
            let is_wrong = weights.iter().any(|weight| weight.is_nan() || *weight < 0.0);
            if is_wrong || !(total > 0.0 && total.is_finite()) || weights.len() != nodes {
                let range = "weights of at least 0, not all of them 0".into();
                return Err(Error::Parameter { name: "personalization", value: "others".into(), range });
            }
            jump.iter_mut().zip(weights).for_each(|(to, weight)| *to = weight / total);
        }
    }
    Ok(jump)
}
