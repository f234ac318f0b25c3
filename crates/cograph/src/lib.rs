//! Movies as a network. Knows no database.
//!
//! ```text
//! RatingMatrix ─> Projection::edges ─> Graph ─> measures of nodes, partitions
//!                 (what is rated        (CSR)
//!                  together)
//! ```
//!
//! Nodes are counted from 0. The same graph gives the same bits with any number of threads: sums over
//! nodes are sums of blocks, added in order.
//!
//! # Where to read
//!
//! - `graph.rs`: the graph, in compressed rows; `labelled.rs`: with ids of its nodes.
//! - `projection.rs`: which movies were rated by the same customers, and how alike. `nearest.rs`: which vectors are near each other.
//!   Both keep the best pairs of each node, by `top_k.rs`. `backbone.rs`: which edges are stronger than chance.
//! - `measure/`: a file for each measure. `search.rs` has the shortest paths, `sums.rs` the sums in order.
//! - `layout.rs`: where to draw the nodes of a small graph.
//! - `community/`: partitions; `partition.rs` numbers their groups.

mod backbone;
mod community;
mod error;
mod graph;
mod labelled;
mod layout;
mod measure;
mod memory;
mod nearest;
mod partition;
mod prefetch;
mod projection;
mod sums;
mod top_k;

pub use backbone::is_backbone;
pub use community::label_propagation::label_propagation;
pub use community::leiden::Leiden;
pub use community::modularity::{check_resolution, modularity};
pub use community::profile::{Profile, profiles};
pub use error::Error;
pub use graph::Graph;
pub use labelled::{Labelled, LabelledEdge};
pub use layout::{layout, strongest};
pub use measure::betweenness::{Between, Betweenness};
pub use measure::closeness::{Nearness, nearness};
pub use measure::clustering::{Clustering, clustering, transitivity};
pub use measure::components::components;
pub use measure::core_number::core_number;
pub use measure::eigenvector::eigenvector;
pub use measure::pagerank::PageRank;
pub use nearest::Nearest;
pub use partition::number_by_size;
pub use projection::{Projection, Similarity, Weighting};
pub use top_k::{Edge, renumbered};
