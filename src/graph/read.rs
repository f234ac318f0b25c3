//! Finds graphs, and reads them into memory.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use cograph::{Graph, Labelled, LabelledEdge};

use super::error::GraphError;
use crate::pg::catalog::{self, Privilege};
use crate::pg::prepared::Prepared;
use crate::pg::progress::{Phase, Progress};
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, guc, memory, query, threads};
use crate::storage::lookup::each_by_key;
use crate::warehouse::tables::GRAPH_EDGE;

/// A graph is measured.
pub const MEASURING: Phase = Phase { id: 13, name: "measuring the graph", unit: "nodes" };

/// A graph, without its edges.
#[derive(Clone, Debug)]
pub struct GraphRow {
    pub graph_id: i32,
    pub name: String,
    /// What the ids of its nodes are: a value of the column nodes_are.
    pub nodes_are: String,
    /// How many nodes and edges it had when it was made.
    pub nodes: usize,
    pub edges: usize,
}

/// Finds a graph by its name.
pub fn find(name: Option<&str>) -> Result<GraphRow, GraphError> {
    static FIND: Prepared =
        Prepared("SELECT graph_id, nodes_are, nodes, edges FROM @extschema@.graph WHERE name = $1");
    static NAMES: Prepared = Prepared("SELECT name FROM @extschema@.graph ORDER BY name");
    let name = name.ok_or(pg::Error::NullArgument("graph"))?;
    catalog::require("graph", &[Privilege::Select])?;
    let found = FIND.all(&[name.into()], |row| {
        Ok(GraphRow {
            graph_id: row.need(1, "graph")?,
            name: name.into(),
            nodes_are: row.need(2, "graph")?,
            nodes: row.need::<i32>(3, "graph")? as usize,
            edges: row.need::<i64>(4, "graph")? as usize,
        })
    })?;
    match found.into_iter().next() {
        Some(row) => Ok(row),
        None => {
            let known = NAMES.all(&[], |row| row.need(1, "graph"))?;
            Err(GraphError::NoGraph { name: name.into(), known })
        }
    }
}

/// A graph in memory.
pub struct Loaded {
    pub row: GraphRow,
    pub labelled: Labelled,
}

/// What messages about memory call a computation on a graph.
const WHAT: &str = "a graph function";

impl Loaded {
    /// Reads a graph. If it is not weighted, every edge gets the weight 1. `measure_memory` is what measuring takes beside it, in bytes.
    pub fn read(
        row: GraphRow,
        is_weighted: bool,
        measure_memory: impl Fn(usize, usize) -> usize,
    ) -> Result<Loaded, GraphError> {
        let needed = |edges: usize| {
            let nodes = row.nodes.max(edges / row.edges.max(1) * row.nodes);
            let making = edges * size_of::<LabelledEdge>() + Labelled::memory(nodes, edges);
            making.saturating_add(measure_memory(nodes, edges))
        };
        memory::declare(WHAT, needed(row.edges))?;
        let mut edges: Vec<LabelledEdge> = Vec::new();
        edges.try_reserve_exact(row.edges)?;
        each_by_key(&GRAPH_EDGE, 4, &[row.graph_id], |edge| {
            if edges.len() == edges.capacity() {
                // Somebody has inserted rows.
                memory::recheck(WHAT, needed(2 * edges.len()))?;
            }
            let (from, to, weight) = (edge.int8(1), edge.int8(2), edge.float8(3));
            match from.zip(to).zip(weight) {
                Some(((from, to), weight)) if weight > 0.0 && weight.is_finite() => {
                    Ok(memory::push(&mut edges, (from, to, if is_weighted { weight } else { 1.0 }))?)
                }
                _ => Err(GraphError::Damaged { from_id: from.unwrap_or(0), to_id: to.unwrap_or(0) }),
            }
        })?;
        let build = |cancelled: &AtomicBool, _: &mut (dyn FnMut(()) + Send)| Labelled::new(&edges, cancelled);
        let labelled = threads::run(guc::threads(), build, |()| {})??;
        Ok(Loaded { row, labelled })
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.labelled.ids.len()
    }

    /// The number of a node.
    pub fn node(&self, id: i64) -> Result<usize, GraphError> {
        self.labelled.node(id).ok_or_else(|| GraphError::NoNode { node: id, graph: self.row.name.clone() })
    }

    /// The titles of all nodes; NULL if they are not movies.
    pub fn titles(&self) -> Result<Vec<Option<String>>, GraphError> {
        let mut titles = memory::filled(None, self.nodes())?;
        if self.row.nodes_are == "movies" && !titles.is_empty() {
            let query = "SELECT movie_id::bigint, title FROM @extschema@.dim_movie WHERE title IS NOT NULL";
            query::for_each_row(Snapshot::Statement, query, &[], |row| {
                let id = row.get::<i64>(1)?.ok_or(pg::Error::Null("dim_movie"))?;
                if let Some(node) = self.labelled.node(id) {
                    titles[node] = row.get::<String>(2)?;
                }
                Ok(())
            })?;
        }
        Ok(titles)
    }

    /// Runs a computation on the graph, on threads. It reports how many nodes are done, out of as many as there are.
    pub fn compute<T: Send>(
        &self,
        job: impl FnOnce(&Graph, &AtomicBool, &(dyn Fn(usize) + Sync)) -> Result<T, cograph::Error> + Send,
    ) -> Result<T, GraphError> {
        self.compute_some(self.nodes(), job)
    }

    /// The same, if only so many nodes are done.
    pub fn compute_some<T: Send>(
        &self,
        count: usize,
        job: impl FnOnce(&Graph, &AtomicBool, &(dyn Fn(usize) + Sync)) -> Result<T, cograph::Error> + Send,
    ) -> Result<T, GraphError> {
        let progress = Progress::start(&MEASURING);
        let all = count as u64;
        progress.update(0, all, 0);
        let run = |cancelled: &AtomicBool, report: &mut (dyn FnMut(usize) + Send)| {
            let report = Mutex::new(report);
            job(&self.labelled.graph, cancelled, &|done| {
                // If another thread is reporting, its number will do.
                if let Ok(mut report) = report.try_lock() {
                    report(done);
                }
            })
        };
        Ok(threads::run(guc::threads(), run, |done| progress.update(done as u64, all, 0))??)
    }
}
