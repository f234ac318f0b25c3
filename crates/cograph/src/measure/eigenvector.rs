//! Eigenvector centrality (Bonacich 1987, "Power and centrality"): the entries of the eigenvector of the greatest eigenvalue of the
//! weights.

use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::{check, try_vec};
use crate::sums::sum;

/// The eigenvector with norm 1, by power iteration on the weights plus the identity. If there are no edges, all entries are equal.
///
/// [`Error::NotConverged`] if no iteration of `max_iter` changes the entries by less than `tol` times the number of nodes, in all.
/// [`Error::Parameter`], [`Error::OutOfMemory`], [`Error::Cancelled`].
pub fn eigenvector(
    graph: &Graph,
    max_iter: usize,
    tol: f64,
    cancelled: &AtomicBool,
) -> Result<Vec<f64>, Error> {
    if !(tol > 0.0 && tol.is_finite()) {
        return Err(Error::Parameter { name: "tol", value: tol.to_string(), range: "above 0".into() });
    }
    let nodes = graph.nodes();
    let mut entries: Vec<f64> = try_vec(nodes)?;
    entries.fill(1.0 / nodes as f64);
    let mut next: Vec<f64> = try_vec(nodes)?;
    let mut change = f64::INFINITY;
    if nodes == 0 {
        return Ok(entries);
    }
    for _ in 0..max_iter {
        check(cancelled, 0)?;
        next.par_iter_mut().enumerate().for_each(|(node, to)| {
            *to = entries[node] + graph.row(node).map(|(from, weight)| entries[from] * weight).sum::<f64>();
        });
        let norm = sum(&next, |_, entry| entry * entry).sqrt();
        next.par_iter_mut().for_each(|entry| *entry /= norm);
        change = sum(&next, |node, entry| (entry - entries[node]).abs());
        std::mem::swap(&mut entries, &mut next);
        if change < nodes as f64 * tol {
            return Ok(entries);
        }
    }
    Err(Error::NotConverged { measure: "eigenvector centrality", iterations: max_iter, change })
}
