//! Makes graphs of movies or customers: by ratings, or by a model's factors.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cograph::{Edge, Nearest, Projection, Similarity, Weighting, renumbered};
use factor::{MatrixBuilder, is_sampled};
use pgrx::notice;
use serde_json::{Value, json};

use super::error::GraphError;
use super::write::{NewEdge, NewGraph, Written, write};
use crate::models::{self, read};
use crate::pg::catalog::Privilege;
use crate::pg::progress::{Phase, Progress};
use crate::pg::snapshot::Snapshot;
use crate::pg::{Error, guc, memory, query, threads};
use crate::warehouse::dimension::{Dimension, MatrixRow};
use crate::warehouse::ratings::{self, READING_RATINGS};
use crate::warehouse::tables::DIM_MOVIE;
use crate::warehouse::unfinished;

/// Pairs of nodes are compared.
pub const PROJECTING: Phase = Phase { id: 11, name: "comparing pairs", unit: "nodes" };

/// Ratings read between two updates of the progress.
const RATINGS_PER_UPDATE: usize = 64 * 1024;
/// Nodes between two reports of their number.
const NODES_PER_REPORT: usize = 16;

/// What messages about memory call a projection.
const WHAT: &str = "a projection";

/// The arguments that choose edges.
pub struct Rules<'a> {
    pub similarity: &'a str,
    pub weighting: &'a str,
    pub min_common: i64,
    pub shrinkage: f64,
    pub top_k: i64,
    pub min_similarity: f64,
}

impl Rules<'_> {
    /// The projection that they describe.
    pub fn projection(&self) -> Result<Projection, GraphError> {
        Ok(Projection {
            similarity: named("similarity", &Similarity::ALL, self.similarity)?,
            weighting: named("weighting", &Weighting::ALL, self.weighting)?,
            min_common: whole("min_common", self.min_common)? as u32,
            shrinkage: self.shrinkage,
            top_k: whole("top_k", self.top_k)?,
            min_similarity: self.min_similarity,
        })
    }

    fn to_json(&self) -> Value {
        let Rules { similarity, weighting, min_common, shrinkage, top_k, min_similarity } = self;
        json!({
            "similarity": similarity, "weighting": weighting, "min_common": min_common, "shrinkage": shrinkage,
            "top_k": top_k, "min_similarity": min_similarity,
        })
    }
}

/// The value of this name.
pub fn named<T: Copy>(what: &'static str, all: &[(&'static str, T)], name: &str) -> Result<T, GraphError> {
    let unknown = || {
        let known = all.iter().map(|(known, _)| *known).collect();
        GraphError::Unknown { what, value: name.into(), known }
    };
    all.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).ok_or_else(unknown)
}

/// A number from 1 on that is not too large for a 32-bit integer.
pub fn whole(name: &'static str, value: i64) -> Result<usize, GraphError> {
    match value {
        1..=0x7fff_ffff => Ok(value as usize),
        _ => {
            let range = format!("from 1 to {}", i32::MAX);
            Err(GraphError::Argument { name, value: value.to_string(), range })
        }
    }
}

/// The share of the nodes that are sampled.
pub fn checked_share(sample: f64) -> Result<f64, GraphError> {
    match sample > 0.0 && sample <= 1.0 {
        true => Ok(sample),
        false => {
            let range = "a share above 0 and at most 1".into();
            Err(GraphError::Argument { name: "sample", value: sample.to_string(), range })
        }
    }
}

/// The dimension of this name.
pub fn dimension(nodes: &str) -> Result<Dimension, GraphError> {
    named("kind of nodes", &[("movies", Dimension::Movie), ("customers", Dimension::Customer)], nodes)
}

/// The nodes of a projection, numbered by their numbers of ratings: the largest comes first, and of equal ones that with the smallest id.
struct Nodes {
    /// The number of each row of the dimension; `NONE` if it is no node.
    numbers: Vec<u32>,
    /// The ids of all nodes, in ascending order.
    ids: Vec<i64>,
    /// The place of each node's id among them.
    places: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Nodes {
    /// All members of the dimension that `is_node` says yes to.
    fn read(dimension: Dimension, is_node: impl Fn(u32) -> bool) -> Result<Nodes, GraphError> {
        let (table, key, id) = (dimension.table().name, dimension.key(), dimension.id());
        let rows = query::select_one::<i64>(
            Snapshot::Statement,
            &format!("SELECT max({key})::bigint FROM @extschema@.{table}"),
            &[],
        )?;
        let mut numbers = memory::filled(NONE, rows.unwrap_or(0) as usize)?;
        let mut ids = Vec::new();
        let query = format!("SELECT {key}, {id} FROM @extschema@.{table} ORDER BY rating_count DESC, {id}");
        query::for_each_row(Snapshot::Statement, &query, &[], |row| {
            let missing = || Error::Null(table);
            let key = row.get::<i32>(1)?.ok_or_else(missing)?;
            let id = row.get::<i32>(2)?.ok_or_else(missing)?;
            if is_node(id as u32) {
                numbers[key as usize - 1] = ids.len() as u32;
                memory::push(&mut ids, i64::from(id))?;
            }
            Ok(())
        })?;
        let mut order = memory::collect(0..ids.len() as u32)?;
        order.sort_unstable_by_key(|&node| ids[node as usize]);
        let mut places = memory::filled(0, ids.len())?;
        order.iter().enumerate().for_each(|(place, &node)| places[node as usize] = place as u32);
        ids.sort_unstable();
        Ok(Nodes { numbers, ids, places })
    }

    /// How many nodes have edges. The ends of the edges are places.
    fn used(&self, edges: &[Edge]) -> Result<usize, GraphError> {
        let mut is_used = memory::filled(false, self.ids.len())?;
        for edge in edges {
            (is_used[edge.from as usize], is_used[edge.to as usize]) = (true, true);
        }
        Ok(is_used.iter().filter(|is_used| **is_used).count())
    }

    /// Edges between places as edges between ids.
    fn with_ids(&self, edges: &[Edge], has_common: bool) -> impl ExactSizeIterator<Item = NewEdge> {
        edges.iter().map(move |edge| NewEdge {
            from: self.ids[edge.from as usize],
            to: self.ids[edge.to as usize],
            weight: edge.similarity.into(),
            common: has_common.then_some(edge.common as i32),
        })
    }

    fn number(&self, row: MatrixRow) -> Option<u32> {
        self.numbers.get(row.index()).copied().filter(|&number| number != NONE)
    }
}

/// Which ratings make edges between what.
pub struct Source {
    /// What the nodes are.
    pub nodes: Dimension,
    /// Ratings below are left out.
    pub min_rating: Option<f64>,
    /// The share of the nodes that are sampled, and the seed; `None`: all are nodes.
    pub sample: Option<(f64, i64)>,
}

impl Source {
    /// The sizes of the matrix whose columns are the nodes, and its ratings, before any are left out.
    pub fn size(&self, size: ratings::Size) -> (usize, usize, usize) {
        let share = self.sample.map_or(1.0, |(share, _)| share);
        let of = |count: usize| (count as f64 * share).ceil() as usize;
        match self.nodes {
            Dimension::Movie => (size.customers, of(size.movies), of(size.ratings)),
            Dimension::Customer => (size.movies, of(size.customers), of(size.ratings)),
        }
    }

    /// The memory, in bytes, of a projection with so many nodes and ratings.
    pub fn memory(&self, projection: &Projection, size: ratings::Size) -> usize {
        let threads = guc::threads();
        let (rows, nodes, ratings) = self.size(size);
        MatrixBuilder::memory(rows, nodes, ratings, threads)
            .saturating_add(projection.memory(rows, nodes, threads))
            .saturating_add((size.customers + size.movies) * 16)
    }
}

/// Makes a graph by ratings.
pub fn by_ratings(name: &str, source: &Source, rules: &Rules<'_>) -> Result<Written, GraphError> {
    let started = Instant::now();
    unfinished::refuse_in_load_or_restore("a projection")?;
    let projection = rules.projection()?;
    if let Some((sample, _)) = source.sample {
        checked_share(sample)?;
    }
    if source.min_rating.is_some_and(f64::is_nan) {
        return Err(GraphError::Argument {
            name: "min_rating",
            value: "NaN".into(),
            range: "a number".into(),
        });
    }
    projection.check()?;
    let progress = Progress::start(&READING_RATINGS);
    let size = ratings::size(Snapshot::Statement)?;
    memory::declare(WHAT, source.memory(&projection, size))?;
    notice!("reading the ratings");
    let is_node = |id| source.sample.is_none_or(|(share, seed)| share >= 1.0 || is_sampled(share, seed, id));
    let nodes = Nodes::read(source.nodes, is_node)?;
    let (builder, rows) = read_ratings(source, &nodes, size, &projection, &progress)?;
    progress.enter(&PROJECTING);
    let count = nodes.ids.len();
    notice!("comparing {count} {} by {} ratings", source.nodes.plural(), builder.len());
    let job = |cancelled: &AtomicBool, report: &mut (dyn FnMut(usize) + Send)| {
        if builder.is_empty() {
            return Ok(Vec::new());
        }
        let matrix = builder.build(rows, count, cancelled)?;
        let report = Mutex::new(report);
        let edges = projection.edges(&matrix, cancelled, &|done| {
            if done.is_multiple_of(NODES_PER_REPORT)
                && let Ok(mut report) = report.try_lock()
            {
                report(done);
            }
        })?;
        drop(matrix);
        renumbered(edges, &nodes.places, cancelled)
    };
    let report = |done| progress.update(done as u64, count as u64, 0);
    let edges: Vec<Edge> = threads::run(guc::threads(), job, report)??;
    let (kind, params) = match source.nodes {
        Dimension::Movie => ("movies", json!({ "min_rating": source.min_rating })),
        Dimension::Customer => {
            let (sample, seed) = source.sample.unwrap_or((1.0, 0));
            ("customers", json!({ "sample": sample, "seed": seed, "min_rating": source.min_rating }))
        }
    };
    let params = merged(rules.to_json(), params);
    let new = NewGraph { name, kind, nodes_are: kind, params, nodes: nodes.used(&edges)?, started };
    write(&new, nodes.with_ids(&edges, true), &progress)
}

/// Reads the ratings between nodes and what they have in common: the columns of the matrix are the nodes. Returns also how many rows it
/// needs.
fn read_ratings(
    source: &Source,
    nodes: &Nodes,
    size: ratings::Size,
    projection: &Projection,
    progress: &Progress,
) -> Result<(MatrixBuilder, usize), GraphError> {
    let mut builder = MatrixBuilder::default();
    let (mut rows, mut read) = (0, 0);
    ratings::read(Snapshot::Statement, |rated| {
        read += 1;
        if read % RATINGS_PER_UPDATE == 0 {
            progress.update(read as u64, size.ratings as u64, read as u64);
            // The expected number comes from the counts of the movies, which lack rows that users have inserted.
            if read > size.ratings {
                memory::recheck(WHAT, source.memory(projection, ratings::Size { ratings: read, ..size }))?;
            }
        }
        let (row, node) = match source.nodes {
            Dimension::Movie => (rated.customer, rated.movie),
            Dimension::Customer => (rated.movie, rated.customer),
        };
        if source.min_rating.is_none_or(|least| f64::from(rated.rating) >= least)
            && let Some(node) = nodes.number(node)
        {
            rows = rows.max(row.index() + 1);
            builder.push(row.0, node, rated.rating)?;
        }
        Ok(())
    })?;
    if read == 0 {
        return Err(GraphError::NoRatings);
    }
    Ok((builder, rows))
}

/// Makes a graph of movies that are near each other by a model's factors.
pub fn by_model(
    name: &str,
    model: Option<&str>,
    version: Option<i64>,
    top_k: i64,
    min_similarity: f64,
) -> Result<Written, GraphError> {
    let started = Instant::now();
    let nearest = Nearest { top_k: whole("top_k", top_k)?, min_similarity };
    let row = models::find(model, version)?;
    // A policy that hides movies would make another graph.
    DIM_MOVIE.require(&[Privilege::Select])?;
    let ranges = models::find::origin(&row)?.factor_ranges(row.layout());
    if ranges.is_empty() {
        return Err(GraphError::NoFactors);
    }
    let progress = Progress::start(&PROJECTING);
    let nodes = Nodes::read(Dimension::Movie, |_| true)?;
    let count = nodes.ids.len();
    let factors = 2 * count * row.factors * size_of::<f32>();
    memory::declare(WHAT, factors + nearest.memory(count, guc::threads()))?;
    let mut side = factor::Side::zeros(count, row.factors)?;
    read::each_row(&row, Dimension::Movie, None, |key, _, factors| {
        if let Some(node) = nodes.number(key.row()) {
            side.factors.row_mut(node as usize).assign(&factors);
        }
        Ok::<_, GraphError>(())
    })?;
    let vectors = ranges.of_rows(side.factors.view())?;
    drop(side);
    let job = |cancelled: &AtomicBool, report: &mut (dyn FnMut(usize) + Send)| {
        let report = Mutex::new(report);
        let edges = nearest.edges(vectors.view(), cancelled, &|done| {
            if let Ok(mut report) = report.try_lock() {
                report(done);
            }
        })?;
        renumbered(edges, &nodes.places, cancelled)
    };
    let edges: Vec<Edge> =
        threads::run(guc::threads(), job, |done| progress.update(done as u64, count as u64, 0))??;
    let params = json!({
        "model": row.name, "version": row.version, "top_k": top_k, "min_similarity": min_similarity
    });
    let used = nodes.used(&edges)?;
    let new = NewGraph { name, kind: "model", nodes_are: "movies", params, nodes: used, started };
    write(&new, nodes.with_ids(&edges, false), &progress)
}

/// Both objects in one.
fn merged(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}
