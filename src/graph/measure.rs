//! Measures of a graph's nodes, and of the whole graph. Names, defaults and answers are those of NetworkX.

use cograph::{
    Between, Betweenness, Clustering, Graph, Nearness, PageRank, clustering, components, core_number,
    eigenvector, nearness, transitivity,
};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::sync::atomic::AtomicBool;

use super::community::{self, Communities};
use super::error::GraphError;
use super::project::whole;
use super::read::{Loaded, find};
use crate::pg::{self, memory, report};

/// Defines a SQL function that returns a row for each node: its id, its title if it is a movie, and what `$make` returns of it.
macro_rules! measure_function {
    ($(#[$attribute:meta])* fn $name:ident($($parameters:tt)*) -> ($($column:ident: $type:ty),+) = $make:expr) => {
        $(#[$attribute])*
        #[pg_extern(stable)]
        #[search_path(pg_catalog, pg_temp)]
        fn $name($($parameters)*) -> Result<
            TableIterator<
                'static,
                (name!(node_id, i64), name!(title, Option<String>), $(name!($column, $type)),+),
            >,
            ErrorReport,
        > {
            let make = || $make;
            let (ids, titles, values): (_, _, Vec<($($type,)+)>) = make().map_err(report)?;
            let rows = ids.into_iter().zip(titles).zip(values);
            Ok(TableIterator::new(rows.map(|((id, title), ($($column,)+))| (id, title, $($column),+))))
        }
    };
}

/// The ids and titles of the nodes, and what was computed of each.
type Rows<T> = (Vec<i64>, Vec<Option<String>>, Vec<T>);

/// Reads a graph, and computes something of each node. `bytes` is what that takes for a node.
fn of_nodes<T: Send, U>(
    name: Option<&str>,
    is_weighted: bool,
    bytes: usize,
    job: impl FnOnce(&Graph, &AtomicBool, &(dyn Fn(usize) + Sync)) -> Result<Vec<T>, cograph::Error> + Send,
    row: impl Fn(T) -> U,
) -> Result<Rows<U>, GraphError> {
    let graph = Loaded::read(find(name)?, is_weighted, |nodes, _| nodes.saturating_mul(bytes))?;
    let count = graph.nodes();
    rows(graph, count, job, row)
}

/// `count` is how many nodes the computation reports as done at its end.
fn rows<T: Send, U>(
    graph: Loaded,
    count: usize,
    job: impl FnOnce(&Graph, &AtomicBool, &(dyn Fn(usize) + Sync)) -> Result<Vec<T>, cograph::Error> + Send,
    row: impl Fn(T) -> U,
) -> Result<Rows<U>, GraphError> {
    if graph.nodes() == 0 {
        return Ok((Vec::new(), Vec::new(), Vec::new()));
    }
    let values = graph.compute_some(count, job)?;
    let titles = graph.titles()?;
    Ok((graph.labelled.ids, titles, memory::collect(values.into_iter().map(row))?))
}

/// The bytes of a node for each thread of a computation that goes through the graph in several threads.
fn per_thread(bytes: usize) -> usize {
    bytes * pg::guc::threads()
}

/// The bytes of the queues of weighted searches, at most: an entry for each edge.
fn path_memory(edges: usize, is_weighted: bool) -> usize {
    if is_weighted { edges.saturating_mul(per_thread(16)) } else { 0 }
}

measure_function! {
    /// How many neighbours each node has, and the sum of the weights of its edges.
    fn graph_degree(graph: Option<&str>) -> (degree: i32, strength: f64) = {
        let job = |graph: &Graph, _: &AtomicBool, _: &(dyn Fn(usize) + Sync)| {
            let of = |node| (graph.degree(node), graph.strength(node));
            let mut degrees = Vec::new();
            let bytes = graph.nodes() * size_of::<(usize, f64)>();
            degrees.try_reserve_exact(graph.nodes()).map_err(|_| cograph::Error::OutOfMemory { bytes })?;
            degrees.extend((0..graph.nodes()).map(of));
            Ok(degrees)
        };
        of_nodes(graph, true, 64, job, |(degree, strength)| (degree as i32, strength))
    }
}

measure_function! {
    /// PageRank. The ranks add up to 1. A jump goes to any node, or to those in `personalization`, in proportion to
    /// `personalization_weights`.
    #[allow(clippy::too_many_arguments)] // named ones, with defaults
    fn graph_pagerank(
        graph: Option<&str>,
        alpha: default!(Option<f64>, 0.85),
        personalization: default!(Option<Array<'_, i64>>, "NULL"),
        personalization_weights: default!(Option<Array<'_, f64>>, "NULL"),
        max_iter: default!(Option<i64>, 100),
        tol: default!(Option<f64>, 1e-6),
        weighted: default!(Option<bool>, true),
    ) -> (score: f64) = {
        let max_iter = whole("max_iter", max_iter.unwrap_or(100))?;
        let pagerank = PageRank { alpha: alpha.unwrap_or(0.85), max_iter, tol: tol.unwrap_or(1e-6) };
        let graph = Loaded::read(find(graph)?, weighted.unwrap_or(true), |nodes, _| 64 * nodes)?;
        let jumps = if graph.nodes() == 0 { None } else { jumps(&graph, personalization, personalization_weights)? };
        let job = |graph: &Graph, cancelled: &AtomicBool, _: &(dyn Fn(usize) + Sync)| {
            pagerank.of(graph, jumps.as_deref(), cancelled)
        };
        let count = graph.nodes();
        rows(graph, count, job, |rank| (rank,))
    }
}

/// The weight of each node in a jump.
fn jumps(
    graph: &Loaded,
    nodes: Option<Array<'_, i64>>,
    weights: Option<Array<'_, f64>>,
) -> Result<Option<Vec<f64>>, GraphError> {
    let lengths = |expected, found| GraphError::Lengths {
        nodes: "personalization",
        weights: "personalization_weights",
        expected,
        found,
    };
    let Some(nodes) = nodes else {
        return weights.map_or(Ok(None), |weights| Err(lengths(0, weights.len())));
    };
    if let Some(weights) = weights.as_ref().filter(|weights| weights.len() != nodes.len()) {
        return Err(lengths(nodes.len(), weights.len()));
    }
    let mut jumps = memory::filled(0.0, graph.nodes())?;
    for (at, node) in nodes.iter().enumerate() {
        let node = graph.node(node.ok_or(GraphError::NullElement("personalization"))?)?;
        let weight = weights.as_ref().map_or(Some(1.0), |weights| weights.get(at).flatten());
        let weight = weight.ok_or(GraphError::NullElement("personalization_weights"))?;
        if !(weight >= 0.0 && weight.is_finite()) {
            let (name, range) = ("a personalization weight", "at least 0 and finite".into());
            return Err(GraphError::Argument { name, value: weight.to_string(), range });
        }
        jumps[node] += weight;
    }
    if jumps.iter().all(|&weight| weight == 0.0) && !jumps.is_empty() {
        return Err(GraphError::NoJump);
    }
    Ok(Some(jumps))
}

measure_function! {
    /// Betweenness: of `k` sources drawn at random, with a standard error, or exact if `k` is NULL. If weighted, an edge is 1 / weight long.
    fn graph_betweenness(
        graph: Option<&str>,
        k: default!(Option<i64>, "NULL"),
        normalized: default!(Option<bool>, true),
        weighted: default!(Option<bool>, false),
        seed: default!(Option<i64>, 42),
    ) -> (score: f64, standard_error: Option<f64>) = {
        let is_weighted = weighted.unwrap_or(false);
        let betweenness = Betweenness {
            k: k.map(|k| whole("k", k)).transpose()?,
            seed: seed.unwrap_or(42) as u64,
            is_weighted,
            is_normalized: normalized.unwrap_or(true),
        };
        let job = |graph: &Graph, cancelled: &AtomicBool, on_sources: &(dyn Fn(usize) + Sync)| {
            betweenness.of(graph, cancelled, on_sources)
        };
        let read = |nodes: usize, edges: usize| {
            path_memory(edges, is_weighted).saturating_add(nodes.saturating_mul(1024 + per_thread(300)))
        };
        let graph = Loaded::read(find(graph)?, is_weighted, read)?;
        let count = betweenness.k.unwrap_or(graph.nodes());
        // The error of a single source is not known.
        rows(graph, count, job, |Between { betweenness, standard_error }| {
            (betweenness, Some(standard_error).filter(|error| !error.is_nan()))
        })
    }
}

measure_function! {
    /// Closeness, and harmonic centrality. If weighted, an edge is 1 / weight long.
    fn graph_closeness(
        graph: Option<&str>,
        weighted: default!(Option<bool>, false),
    ) -> (closeness: f64, harmonic: f64) = {
        let is_weighted = weighted.unwrap_or(false);
        let job = |graph: &Graph, cancelled: &AtomicBool, on_sources: &(dyn Fn(usize) + Sync)| {
            nearness(graph, is_weighted, cancelled, on_sources)
        };
        let read = |nodes: usize, edges: usize| {
            path_memory(edges, is_weighted).saturating_add(nodes.saturating_mul(1600 + per_thread(130)))
        };
        let graph = Loaded::read(find(graph)?, is_weighted, read)?;
        let count = graph.nodes();
        rows(graph, count, job, |Nearness { closeness, harmonic }| (closeness, harmonic))
    }
}

measure_function! {
    /// Eigenvector centrality: the entries of the eigenvector with the largest eigenvalue, of length 1.
    fn graph_eigenvector(
        graph: Option<&str>,
        max_iter: default!(Option<i64>, 100),
        tol: default!(Option<f64>, 1e-6),
        weighted: default!(Option<bool>, false),
    ) -> (score: f64) = {
        let (max_iter, tol) = (whole("max_iter", max_iter.unwrap_or(100))?, tol.unwrap_or(1e-6));
        let job = |graph: &Graph, cancelled: &AtomicBool, _: &(dyn Fn(usize) + Sync)| {
            eigenvector(graph, max_iter, tol, cancelled)
        };
        of_nodes(graph, weighted.unwrap_or(false), 64, job, |score| (score,))
    }
}

measure_function! {
    /// How many triangles each node is in, and the share of the pairs of its neighbours that are neighbours of each other. If weighted,
    /// such a pair counts for the geometric mean of the triangle's three weights, divided by the greatest weight.
    fn graph_clustering(
        graph: Option<&str>,
        weighted: default!(Option<bool>, false),
    ) -> (triangles: i64, clustering: f64) = {
        let is_weighted = weighted.unwrap_or(false);
        let job = |graph: &Graph, cancelled: &AtomicBool, _: &(dyn Fn(usize) + Sync)| {
            clustering(graph, is_weighted, cancelled)
        };
        of_nodes(graph, is_weighted, 64, job, |Clustering { triangles, coefficient }| (triangles as i64, coefficient))
    }
}

measure_function! {
    /// The core number: the largest k so that the node is left when nodes with fewer than k neighbours are taken away again and again.
    fn graph_core_number(graph: Option<&str>) -> (core_number: i32) = {
        let job = |graph: &Graph, cancelled: &AtomicBool, _: &(dyn Fn(usize) + Sync)| core_number(graph, cancelled);
        of_nodes(graph, false, 64, job, |core| (core as i32,))
    }
}

measure_function! {
    /// The connected component of each node, from 1: the largest comes first.
    fn graph_components(graph: Option<&str>) -> (component: i32) = {
        let job = |graph: &Graph, cancelled: &AtomicBool, _: &(dyn Fn(usize) + Sync)| components(graph, cancelled);
        of_nodes(graph, false, 64, job, |component| (component as i32 + 1,))
    }
}

/// The community of each node, from 1.
fn communities(
    graph: Option<&str>,
    is_weighted: bool,
    algorithm: &str,
    resolution: Option<f64>,
    seed: Option<i64>,
) -> Result<Rows<(i32,)>, GraphError> {
    let wanted = Communities::new(Some(algorithm), resolution, seed, None)?;
    let graph = Loaded::read(find(graph)?, is_weighted, community::memory)?;
    let groups = wanted.of(&graph)?;
    let titles = graph.titles()?;
    Ok((graph.labelled.ids, titles, memory::collect(groups.into_iter().map(|group| (group as i32 + 1,)))?))
}

measure_function! {
    /// The community of each node, from 1, by the method of Leiden: the largest comes first. Every community is connected.
    fn graph_leiden(
        graph: Option<&str>,
        resolution: default!(Option<f64>, 1.0),
        seed: default!(Option<i64>, 42),
        weighted: default!(Option<bool>, true),
    ) -> (community: i32) = communities(graph, weighted.unwrap_or(true), "leiden", resolution, seed)
}

measure_function! {
    /// The community of each node, from 1, by the method of Louvain: the largest comes first.
    fn graph_louvain(
        graph: Option<&str>,
        resolution: default!(Option<f64>, 1.0),
        seed: default!(Option<i64>, 42),
        weighted: default!(Option<bool>, true),
    ) -> (community: i32) = communities(graph, weighted.unwrap_or(true), "louvain", resolution, seed)
}

measure_function! {
    /// The community of each node, from 1, by propagation of labels: the largest comes first.
    fn graph_label_propagation(
        graph: Option<&str>,
        weighted: default!(Option<bool>, true),
    ) -> (community: i32) = communities(graph, weighted.unwrap_or(true), "label_propagation", None, None)
}

/// The whole graph in one row. A graph without edges has no row.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn graph_summary(
    graph: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(nodes, i32),
            name!(edges, i64),
            name!(density, f64),
            name!(mean_degree, f64),
            name!(max_degree, i32),
            name!(mean_weight, f64),
            name!(max_weight, f64),
            name!(components, i32),
            name!(largest_component, i32),
            name!(triangles, i64),
            name!(transitivity, f64),
            name!(mean_clustering, f64),
            name!(max_core_number, i32),
        ),
    >,
    ErrorReport,
> {
    let read = || Loaded::read(find(graph)?, true, |nodes, _| 128 * nodes);
    let loaded = read().map_err(report)?;
    let job = |graph: &Graph, cancelled: &AtomicBool, _: &(dyn Fn(usize) + Sync)| {
        let triangles = clustering(graph, false, cancelled)?;
        Ok((triangles, components(graph, cancelled)?, core_number(graph, cancelled)?))
    };
    let (triangles, components, cores) = loaded.compute(job).map_err(report)?;
    let graph = &loaded.labelled.graph;
    if graph.edges() == 0 {
        return Ok(TableIterator::empty());
    }
    let (nodes, edges) = (graph.nodes() as f64, graph.edges() as f64);
    let total = graph.all_edges().map(|(_, _, weight)| weight).sum::<f64>();
    let largest = components.iter().filter(|&&component| component == 0).count();
    Ok(TableIterator::once((
        graph.nodes() as i32,
        graph.edges() as i64,
        2.0 * edges / (nodes * (nodes - 1.0)),
        2.0 * edges / nodes,
        (0..graph.nodes()).map(|node| graph.degree(node)).max().unwrap_or(0) as i32,
        total / edges,
        graph.greatest_weight(),
        components.iter().max().map_or(0, |&last| last as i32 + 1),
        largest as i32,
        (triangles.iter().map(|of| of.triangles).sum::<u64>() / 3) as i64,
        transitivity(graph, &triangles),
        triangles.iter().map(|of| of.coefficient).sum::<f64>() / nodes,
        cores.iter().max().map_or(0, |&core| core as i32),
    )))
}
