//! Graphs and partitions from a query of the user's.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cograph::{Labelled, LabelledEdge, number_by_size};
use pgrx::notice;
use serde_json::json;

use super::error::GraphError;
use super::project::{PROJECTING, named};
use super::read::Loaded;
use super::write::{NewEdge, NewGraph, Written, write};
use crate::pg::progress::Progress;
use crate::pg::user_query::{
    self,
    row::{Column, ColumnType, Row, Value},
};
use crate::pg::{self, guc, interrupt, memory, role, threads};

/// What the ids of a graph's nodes may be.
const NODES_ARE: [(&str, &str); 3] = [("movies", "movies"), ("customers", "customers"), ("other", "other")];

const IDS: &[ColumnType] =
    &[ColumnType::Int2, ColumnType::Int4, ColumnType::Int8, ColumnType::Numeric, ColumnType::Text];
const NUMBERS: &[ColumnType] = &[
    ColumnType::Int2,
    ColumnType::Int4,
    ColumnType::Int8,
    ColumnType::Numeric,
    ColumnType::Float4,
    ColumnType::Float8,
];

const EDGES_EXAMPLE: &str = "SELECT a AS from_id, b AS to_id, w AS weight FROM ...";
const PARTITION_EXAMPLE: &str = "SELECT id AS node_id, label AS community FROM ...";

/// The only column of a name.
fn find(columns: &[Column], name: &'static str) -> Result<Option<Column>, GraphError> {
    let mut of_name = columns.iter().filter(|column| column.name == name);
    match (of_name.next(), of_name.next()) {
        (column, None) => Ok(column.cloned()),
        (_, Some(_)) => Err(GraphError::ColumnTwice(name)),
    }
}

fn need(columns: &[Column], name: &'static str, example: &'static str) -> Result<Column, GraphError> {
    let found = || columns.iter().map(|column| column.name.clone()).collect();
    find(columns, name)?.ok_or_else(|| GraphError::NoColumn { name, found: found(), example })
}

fn check(column: Column, types: &[ColumnType], wanted: &'static str) -> Result<Column, GraphError> {
    match types.contains(&column.column_type) {
        true => Ok(column),
        false => Err(GraphError::ColumnType { type_name: column.type_name(), name: column.name, wanted }),
    }
}

/// A node's id in a row.
fn id(row: &Row, number: u64, column: &Column, name: &'static str) -> Result<i64, GraphError> {
    let wrong = |value: String| GraphError::NodeId { row: number, column: name, value };
    match row.value(column) {
        Value::Null => Err(GraphError::NullValue { row: number, column: name }),
        Value::Integer(id) => Ok(id),
        Value::Text(text) => whole_number(&text).ok_or_else(|| wrong(text)),
        _ => Err(wrong(row.text(column).unwrap_or_default())),
    }
}

/// A number that is written with or without zeros behind its point.
fn whole_number(text: &str) -> Option<i64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    whole.parse().ok().filter(|_| fraction.bytes().all(|digit| digit == b'0'))
}

/// The columns of a query that returns edges.
struct EdgeColumns {
    from: Column,
    to: Column,
    weight: Option<Column>,
}

impl EdgeColumns {
    fn choose(columns: &[Column]) -> Result<EdgeColumns, GraphError> {
        let end = |name| check(need(columns, name, EDGES_EXAMPLE)?, IDS, "a whole number");
        let weight = find(columns, "weight")?.map(|column| check(column, NUMBERS, "a number"));
        Ok(EdgeColumns { from: end("from_id")?, to: end("to_id")?, weight: weight.transpose()? })
    }

    fn read(&self, row: &Row, number: u64) -> Result<LabelledEdge, GraphError> {
        let weight = match &self.weight {
            None => 1.0,
            Some(column) => {
                let wrong =
                    || GraphError::Weight { row: number, weight: row.text(column).unwrap_or_default() };
                let weight = match row.value(column) {
                    Value::Null => return Err(GraphError::NullValue { row: number, column: "weight" }),
                    Value::Integer(weight) => weight as f64,
                    Value::Float(weight) => weight,
                    Value::Text(text) => text.parse().map_err(|_| wrong())?,
                    _ => return Err(wrong()),
                };
                if !(weight > 0.0 && weight.is_finite()) {
                    return Err(wrong());
                }
                weight
            }
        };
        Ok((id(row, number, &self.from, "from_id")?, id(row, number, &self.to, "to_id")?, weight))
    }
}

/// What messages about memory call this.
const WHAT: &str = "a graph of a query's edges";

/// The memory, in bytes, of a graph of a query's edges.
fn edges_memory(edges: usize) -> usize {
    let lists = edges.saturating_mul(size_of::<LabelledEdge>() + size_of::<NewEdge>());
    lists.saturating_add(Labelled::memory(2 * edges, edges))
}

/// Makes a graph of the edges that a query returns. The query runs with the caller's search_path.
pub fn project(name: &str, sql: Option<&str>, nodes_are: &str) -> Result<Written, GraphError> {
    let started = Instant::now();
    let sql = sql.ok_or(pg::Error::NullArgument("edges_query"))?;
    let nodes_are = named("kind of nodes", &NODES_ARE, nodes_are)?;
    let progress = Progress::start(&PROJECTING);
    let (mut edges, mut loops) = (Vec::new(), 0u64);
    user_query::for_each_row(sql, EdgeColumns::choose, |columns, row| {
        if edges.len() == edges.capacity() {
            memory::recheck(WHAT, edges_memory(2 * edges.len()))?;
            edges.try_reserve(1)?;
        }
        let edge = columns.read(&row, edges.len() as u64 + loops + 1)?;
        if edge.0 == edge.1 {
            loops += 1;
        } else {
            edges.push(edge);
        }
        Ok::<_, GraphError>(())
    })?;
    memory::declare(WHAT, edges_memory(edges.len()))?;
    let build = |cancelled: &AtomicBool, _: &mut (dyn FnMut(()) + Send)| Labelled::new(&edges, cancelled);
    let Labelled { ids, graph } = threads::run(guc::threads(), build, |()| {})??;
    let parallel = edges.len() - graph.edges();
    if loops > 0 {
        notice!("left out {loops} edges from a node to itself");
    }
    if parallel > 0 {
        notice!("merged {parallel} edges with others between the same nodes: their weights are added up");
    }
    let new = memory::collect(graph.all_edges().map(|(from, to, weight)| NewEdge {
        from: ids[from],
        to: ids[to],
        weight,
        common: None,
    }))?;
    interrupt::check();
    let params = json!({ "edges_query": sql });
    role::with_search_path(|| {
        write(
            &NewGraph { name, kind: "sql", nodes_are, params, nodes: ids.len(), started },
            new.into_iter(),
            &progress,
        )
    })
}

/// The community of every node as a query returns it, numbered by size. The query runs with the caller's search_path.
pub fn partition(graph: &Loaded, sql: &str) -> Result<Vec<u32>, GraphError> {
    const NONE: u32 = u32::MAX;
    let mut groups = memory::filled(NONE, graph.nodes())?;
    let mut labels = HashMap::<String, u32>::new();
    let mut label_bytes = 0;
    let (mut number, mut others) = (0, 0u64);
    let choose = |columns: &[Column]| {
        let node = check(need(columns, "node_id", PARTITION_EXAMPLE)?, IDS, "a whole number")?;
        Ok::<_, GraphError>((node, need(columns, "community", PARTITION_EXAMPLE)?))
    };
    user_query::for_each_row(sql, choose, |(node, community), row| {
        number += 1;
        let node_id = id(&row, number, node, "node_id")?;
        let null = GraphError::NullValue { row: number, column: "community" };
        let label = row.text(community).ok_or(null)?;
        let Some(node) = graph.labelled.node(node_id) else {
            others += 1;
            return Ok(());
        };
        if groups[node] != NONE {
            return Err(GraphError::NodeTwice(node_id));
        }
        let next = labels.len() as u32;
        if !labels.contains_key(&label) {
            labels.try_reserve(1)?;
            label_bytes += label.len() + 2 * size_of::<(String, u32)>();
            memory::recheck("a partition", label_bytes)?;
        }
        groups[node] = *labels.entry(label).or_insert(next);
        Ok(())
    })?;
    if let Some(first) = groups.iter().position(|&group| group == NONE) {
        let missing = groups.iter().filter(|&&group| group == NONE).count();
        let (graph_name, example) = (graph.row.name.clone(), graph.labelled.ids[first]);
        return Err(GraphError::NodesMissing { graph: graph_name, missing, example });
    }
    if others > 0 {
        notice!(
            "the query has {others} nodes that are not in graph \"{}\": they are ignored",
            graph.row.name
        );
    }
    number_by_size(&mut groups)?;
    Ok(groups)
}
