//! Reads what the chart of a network shows.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use ::chart::{Edge, Group, Node};
use cograph::{Graph, LabelledEdge, strongest};

use super::Drawing;
use super::error::ReportError;
use super::models::need;
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, guc, query, threads};

/// The most nodes that a chart shows, because the time of the layout grows with their square.
const MOST: i64 = 500;
/// How many edges of each node are drawn at least, if it has so many: more would hide what belongs together.
const EDGES: usize = 4;

/// The name of the latest graph.
pub fn latest() -> Result<Option<String>, pg::Error> {
    let newest = "SELECT name FROM @extschema@.graph ORDER BY graph_id DESC LIMIT 1";
    query::select_one::<String>(Snapshot::Statement, newest, &[])
}

/// The query for the nodes of a graph by importance, $1, at most $2 of them.
fn nodes_by(size_by: &str) -> Result<&'static str, ReportError> {
    match size_by {
        "pagerank" => Ok(
            "SELECT node_id, title, score FROM @extschema@.graph_pagerank($1) ORDER BY score DESC, node_id LIMIT $2",
        ),
        "degree" => Ok(
            "SELECT node_id, title, degree::float8 FROM @extschema@.graph_degree($1) ORDER BY degree DESC, node_id LIMIT $2",
        ),
        "strength" => Ok(
            "SELECT node_id, title, strength FROM @extschema@.graph_degree($1) ORDER BY strength DESC, node_id LIMIT $2",
        ),
        "betweenness" => Ok(
            "SELECT node_id, title, score FROM @extschema@.graph_betweenness($1, k => (SELECT 256 FROM @extschema@.graphs WHERE graph = $1 AND nodes > 256)) ORDER BY score DESC, node_id LIMIT $2",
        ),
        other => Err(ReportError::Argument {
            name: "size_by",
            value: format!("'{other}'"),
            range: "'pagerank', 'degree', 'strength' or 'betweenness'".into(),
        }),
    }
}

/// The query for the community of each of the nodes $2 of a graph, $1: the stored ones, if there are any.
fn communities(graph: &str) -> Result<&'static str, pg::Error> {
    let stored = "SELECT communities > 0 FROM @extschema@.graph WHERE name = $1";
    Ok(if query::select_one::<bool>(Snapshot::Statement, stored, &[graph.into()])? == Some(true) {
        "SELECT c.node_id, c.community FROM @extschema@.graph_community c JOIN @extschema@.graph g USING (graph_id)
         WHERE g.name = $1 AND c.node_id = ANY ($2)"
    } else {
        "SELECT node_id, community FROM @extschema@.graph_leiden($1) WHERE node_id = ANY ($2)"
    })
}

/// What the ids of a graph's nodes are: a word that stands before the id of a node without a title.
fn noun(graph: &str) -> Result<&'static str, pg::Error> {
    let kind = "SELECT nodes_are FROM @extschema@.graph WHERE name = $1";
    Ok(match query::select_one::<String>(Snapshot::Statement, kind, &[graph.into()])?.as_deref() {
        Some("movies") => "movie ",
        Some("customers") => "customer ",
        _ => "",
    })
}

pub fn network(
    graph: Option<&str>,
    top_n: i64,
    color_by: &str,
    size_by: &str,
) -> Result<Drawing, ReportError> {
    if !(2..=MOST).contains(&top_n) {
        let range = format!("from 2 to {MOST}");
        return Err(ReportError::Argument { name: "top_n", value: top_n.to_string(), range });
    }
    if !["community", "none"].contains(&color_by) {
        let range = "'community' or 'none'".into();
        return Err(ReportError::Argument { name: "color_by", value: format!("'{color_by}'"), range });
    }
    let ranked = nodes_by(size_by)?;
    let Some(name) = graph.map_or_else(latest, |name| Ok(Some(name.into())))? else {
        return Ok(Box::new(|canvas| ::chart::network("Network", "", &[], &[], &[], canvas)));
    };
    let noun = noun(&name)?;
    let mut nodes: Vec<(i64, Node)> =
        query::select(Snapshot::Statement, ranked, &[name.as_str().into(), top_n.into()], |row| {
            let id = need!(row, 1);
            let title = row.get::<String>(2)?.filter(|title| !title.trim().is_empty());
            let label = title.unwrap_or_else(|| format!("{noun}{id}"));
            Ok((id, Node { label, x: 0.0, y: 0.0, size: need!(row, 3), group: None }))
        })?;
    let place: HashMap<i64, usize> = nodes.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
    let ids: Vec<i64> = nodes.iter().map(|(id, _)| *id).collect();
    let between = "SELECT from_id, to_id, weight FROM @extschema@.graph_edges
                   WHERE graph = $1 AND from_id = ANY ($2) AND to_id = ANY ($2) ORDER BY from_id, to_id";
    let edges: Vec<LabelledEdge> =
        query::select(Snapshot::Statement, between, &[name.as_str().into(), ids.clone().into()], |row| {
            Ok((need!(row, 1), need!(row, 2), need!(row, 3)))
        })?;
    let edges: Vec<Edge> = strongest(&edges, EDGES)?
        .iter()
        .map(|(from, to, weight)| Edge { from: place[from], to: place[to], weight: *weight })
        .collect();
    let mut groups = Vec::new();
    if color_by == "community" {
        let found: Vec<(i64, i32)> = query::select(
            Snapshot::Statement,
            communities(&name)?,
            &[name.as_str().into(), ids.into()],
            |row| Ok((need!(row, 1), need!(row, 2))),
        )?;
        let found: HashMap<i64, i32> = found.into_iter().collect();
        groups = group(&mut nodes, &found);
    }
    let numbered: Vec<(u32, u32, f64)> =
        edges.iter().map(|edge| (edge.from as u32, edge.to as u32, edge.weight)).collect();
    let job = |cancelled: &AtomicBool, _: &mut (dyn FnMut(()) + Send)| {
        cograph::layout(&Graph::new(nodes.len(), &numbered, cancelled)?, cancelled)
    };
    let places: Vec<(f64, f64)> = threads::run(guc::threads(), job, |()| {})??;
    let nodes: Vec<Node> =
        nodes.into_iter().zip(places).map(|((_, node), (x, y))| Node { x, y, ..node }).collect();
    let by = match size_by {
        "pagerank" => "PageRank",
        // As in `nodes_by`.
        "betweenness" => "betweenness (estimated from 256 nodes if there are more)",
        other => other,
    };
    let subtitle =
        format!("the {} nodes with the highest {by}, and the strongest edges between them", nodes.len());
    let heading = format!("Graph {name}");
    Ok(Box::new(move |canvas| ::chart::network(&heading, &subtitle, &nodes, &edges, &groups, canvas)))
}

/// Gives each node the place of its community among those shown, which are in the order of their numbers. A community is called after
/// its most important node.
fn group(nodes: &mut [(i64, Node)], community: &HashMap<i64, i32>) -> Vec<Group> {
    let mut shown: Vec<i32> = nodes.iter().filter_map(|(id, _)| community.get(id).copied()).collect();
    shown.sort_unstable();
    shown.dedup();
    let mut names: Vec<Option<String>> = vec![None; shown.len()];
    for (id, node) in nodes {
        let Some(place) = community.get(id).and_then(|number| shown.binary_search(number).ok()) else {
            continue;
        };
        node.group = Some(place);
        names[place].get_or_insert_with(|| format!("{}: {}", shown[place], node.label));
    }
    names.into_iter().map(|name| Group { name: name.unwrap_or_default() }).collect()
}
