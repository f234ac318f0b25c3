//! Writes a new graph, and drops graphs.

use std::time::Instant;

use pgrx::{IntoDatum, JsonB, notice};
use serde_json::Value;

use super::error::GraphError;
use super::read::find;
use crate::pg::catalog::Privilege;
use crate::pg::progress::{Phase, Progress};
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, query, sequence, transaction};
use crate::storage::bulk::{self, BulkInsert};
use crate::warehouse::tables::{GRAPH, GRAPH_EDGE};
use crate::warehouse::unfinished;

/// Edges are being written.
pub const WRITING_GRAPH: Phase = Phase { id: 12, name: "writing the graph", unit: "edges" };

/// The most bytes of a name, because it has to fit into an index.
const LONGEST_NAME: usize = 255;
/// Edges written between two updates of the progress.
const EDGES_PER_UPDATE: usize = 1024;

/// What is stored of a new graph beside its edges.
pub struct NewGraph<'a> {
    pub name: &'a str,
    pub kind: &'static str,
    pub nodes_are: &'a str,
    pub params: Value,
    pub nodes: usize,
    pub started: Instant,
}

/// A new edge: the smaller id comes first.
#[derive(Clone, Copy, Debug)]
pub struct NewEdge {
    pub from: i64,
    pub to: i64,
    pub weight: f64,
    pub common: Option<i32>,
}

/// What a function that makes a graph returns.
pub struct Written {
    pub graph: String,
    pub nodes: i32,
    pub edges: i64,
    pub elapsed: std::time::Duration,
}

/// Checks that a graph of this name can be written: before the work, not after it. Returns the name.
pub fn check<'a>(function: &'static std::ffi::CStr, name: Option<&'a str>) -> Result<&'a str, GraphError> {
    let name = name.ok_or(pg::Error::NullArgument("graph"))?;
    transaction::require_writable(function);
    unfinished::refuse_in_restore("a new graph")?;
    GRAPH.require(&[Privilege::Select, Privilege::Insert, Privilege::Update])?;
    bulk::check(&GRAPH_EDGE)?;
    if !(1..=LONGEST_NAME).contains(&name.len()) {
        return Err(GraphError::Name { bytes: name.len(), most: LONGEST_NAME });
    }
    let exists = "SELECT EXISTS (SELECT FROM @extschema@.graph WHERE name = $1)";
    match query::select_one::<bool>(Snapshot::Latest, exists, &[name.into()])? {
        Some(true) => Err(GraphError::Exists(name.into())),
        _ => Ok(name),
    }
}

/// Writes a graph. The edges are ordered by their ends, and each is there once.
pub fn write(
    new: &NewGraph<'_>,
    edges: impl ExactSizeIterator<Item = NewEdge>,
    progress: &Progress,
) -> Result<Written, GraphError> {
    progress.enter(&WRITING_GRAPH);
    let (nodes, all) = (new.nodes as i32, edges.len() as u64);
    sequence::catch_up("graph", "graph_id", "graph_graph_id_seq")?;
    let graph_id = query::run_one::<i32>(
        "INSERT INTO @extschema@.graph (name, kind, nodes_are, params, nodes, edges, elapsed)
         VALUES ($1, $2, $3, $4, $5, $6, '0') ON CONFLICT (name) DO NOTHING RETURNING graph_id",
        &[
            new.name.into(),
            new.kind.into(),
            new.nodes_are.into(),
            JsonB(new.params.clone()).into(),
            nodes.into(),
            (all as i64).into(),
        ],
    )?
    // Another session may have made one of this name meanwhile.
    .ok_or_else(|| GraphError::Exists(new.name.into()))?;
    let mut rows = BulkInsert::<5>::open(&GRAPH_EDGE)?;
    for (at, NewEdge { from, to, weight, common }) in edges.enumerate() {
        if at.is_multiple_of(EDGES_PER_UPDATE) {
            progress.update(at as u64, all, at as u64);
            pg::interrupt::check();
        }
        let datum = || {
            let ends = [graph_id.into_datum(), from.into_datum(), to.into_datum()];
            [ends[0], ends[1], ends[2], weight.into_datum(), common.into_datum()]
        };
        rows.push(datum);
    }
    rows.finish();
    let elapsed = new.started.elapsed();
    query::run(
        "UPDATE @extschema@.graph SET elapsed = make_interval(secs => $2) WHERE graph_id = $1",
        &[graph_id.into(), elapsed.as_secs_f64().into()],
    )?;
    if all == 0 {
        notice!("graph \"{}\" has no edges", new.name);
    }
    Ok(Written { graph: new.name.into(), nodes, edges: all as i64, elapsed })
}

/// Drops a graph with its edges and communities. Returns its name.
pub fn drop_graph(name: Option<&str>) -> Result<String, GraphError> {
    transaction::require_writable(c"graph_drop()");
    GRAPH.require(&[Privilege::Select, Privilege::Delete])?;
    let row = find(name)?;
    query::run("DELETE FROM @extschema@.graph WHERE graph_id = $1", &[row.graph_id.into()])?;
    Ok(row.name)
}
