//! What a projection would take: `graph_estimate`.

use cograph::{Projection, Similarity};

use super::error::GraphError;
use super::project::Source;
use crate::pg::snapshot::Snapshot;
use crate::pg::{guc, query};
use crate::warehouse::dimension::Dimension;
use crate::warehouse::ratings;

/// How many ratings are read and sorted in a second, how many pairs a thread adds up, and how many edges are written, as
/// `benches/graph.sh` measures.
const READ_PER_SECOND: f64 = 15e6;
const PAIRS_PER_SECOND: f64 = 580e6;
const COUNTED_PAIRS_PER_SECOND: f64 = 700e6;
const WRITTEN_PER_SECOND: f64 = 800e3;

/// What a projection would take.
pub struct Estimate {
    pub bytes: usize,
    pub seconds: f64,
    /// Pairs of ratings by the same customer, or of the same movie.
    pub pairs: f64,
}

/// The estimate. `min_rating` leaves out ratings that it counts.
pub fn estimate(source: &Source, projection: &Projection) -> Result<Estimate, GraphError> {
    projection.check()?;
    let size = ratings::size(Snapshot::Statement)?;
    let other = match source.nodes {
        Dimension::Movie => Dimension::Customer,
        Dimension::Customer => Dimension::Movie,
    };
    let share = source.sample.map_or(1.0, |(share, _)| share);
    let pairs = query::select_one::<f64>(
        Snapshot::Statement,
        &format!(
            "SELECT sum(rating_count * $1 * greatest(rating_count * $1 - 1, 0) / 2) FROM @extschema@.{}",
            other.table().name
        ),
        &[share.into()],
    )?
    .unwrap_or(0.0);
    let (_, nodes, _) = source.size(size);
    let per_second = match projection.similarity {
        Similarity::Pearson => PAIRS_PER_SECOND,
        _ => COUNTED_PAIRS_PER_SECOND,
    };
    let edges = nodes.saturating_mul(projection.top_k.min(nodes)) as f64;
    let seconds = size.ratings as f64 / READ_PER_SECOND
        + pairs / per_second / guc::threads() as f64
        + edges / WRITTEN_PER_SECOND;
    Ok(Estimate { bytes: source.memory(projection, size), seconds, pairs })
}
