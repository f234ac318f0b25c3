//! Modularity (Newman and Girvan 2004, "Finding and evaluating community structure in networks"; with a resolution, Reichardt and
//! Bornholdt 2006, "Statistical mechanics of community detection").

use crate::error::Error;
use crate::graph::Graph;
use crate::memory::try_vec;
use crate::partition::count;

/// [`Error::Parameter`] if a resolution is out of its range.
pub fn check_resolution(resolution: f64) -> Result<(), Error> {
    match resolution >= 0.0 && resolution.is_finite() {
        true => Ok(()),
        false => {
            let (name, value) = ("resolution", resolution.to_string());
            Err(Error::Parameter { name, value, range: "at least 0".into() })
        }
    }
}

/// The modularity of a partition: the share of the weights that lie within groups, less `resolution` times the share that would if
/// the edges were drawn at random between nodes of the same strengths. 0 if there are no edges. Groups are numbered from 0.
/// [`Error::Parameter`], [`Error::OutOfMemory`].
pub fn modularity(graph: &Graph, groups: &[u32], resolution: f64) -> Result<f64, Error> {
    check_resolution(resolution)?;
    let mut strengths: Vec<f64> = try_vec(count(groups))?;
    let mut within = 0.0;
    for node in 0..graph.nodes() {
        for (neighbour, weight) in graph.row(node) {
            strengths[groups[node] as usize] += weight;
            if groups[node] == groups[neighbour] {
                within += weight;
            }
        }
    }
    let total = strengths.iter().sum::<f64>();
    if total == 0.0 {
        return Ok(0.0);
    }
    let expected = strengths.iter().map(|strength| (strength / total).powi(2)).sum::<f64>();
    Ok(within / total - resolution * expected)
}
