//! The backbone of a graph, as a new graph: `graph_backbone`.

use std::time::Instant;

use cograph::is_backbone;
use serde_json::json;

use super::error::GraphError;
use super::read::{GraphRow, Loaded, MEASURING};
use super::write::{NewEdge, NewGraph, Written, write};
use crate::pg::progress::Progress;
use crate::pg::snapshot::Snapshot;
use crate::pg::{interrupt, memory, query};

/// Edges between two checks for interrupts.
const EDGES_PER_CHECK: usize = 1024;

/// Writes the edges that are stronger than chance as a graph of this name.
pub fn backbone(row: GraphRow, name: &str, alpha: f64) -> Result<Written, GraphError> {
    let started = Instant::now();
    if !(alpha > 0.0 && alpha <= 1.0) {
        let range = "above 0 and at most 1".into();
        return Err(GraphError::Argument { name: "alpha", value: alpha.to_string(), range });
    }
    let lists = |_, edges: usize| edges * (size_of::<NewEdge>() + size_of::<(i64, i64, Option<i32>)>());
    let loaded = Loaded::read(row, true, lists)?;
    let progress = Progress::start(&MEASURING);
    // How many each edge has in common, in the order of the edges.
    let mut common = Vec::new();
    query::for_each_row(
        Snapshot::Statement,
        "SELECT from_id, to_id, n_common FROM @extschema@.graph_edge WHERE graph_id = $1 AND n_common IS NOT NULL
         ORDER BY from_id, to_id",
        &[loaded.row.graph_id.into()],
        |edge| {
            let ends = edge.get::<i64>(1)?.zip(edge.get::<i64>(2)?);
            if let Some((ends, common_of_edge)) = ends.zip(edge.get::<i32>(3)?) {
                memory::push(&mut common, (ends, common_of_edge))?;
            }
            Ok(())
        },
    )?;
    let (ids, graph) = (&loaded.labelled.ids, &loaded.labelled.graph);
    let (mut edges, mut is_used) = (Vec::new(), memory::filled(false, ids.len())?);
    for (at, ((from, to, weight), is_kept)) in graph.all_edges().zip(is_backbone(graph, alpha)?).enumerate() {
        if at.is_multiple_of(EDGES_PER_CHECK) {
            interrupt::check();
        }
        if !is_kept {
            continue;
        }
        let ends = (ids[from], ids[to]);
        let found = common.binary_search_by_key(&ends, |&(ends, _)| ends);
        let common = found.ok().map(|at| common[at].1);
        memory::push(&mut edges, NewEdge { from: ends.0, to: ends.1, weight, common })?;
        (is_used[from], is_used[to]) = (true, true);
    }
    let nodes = is_used.iter().filter(|is_used| **is_used).count();
    let params = json!({ "graph": loaded.row.name, "alpha": alpha });
    let nodes_are = &loaded.row.nodes_are;
    write(
        &NewGraph { name, kind: "backbone", nodes_are, params, nodes, started },
        edges.into_iter(),
        &progress,
    )
}
