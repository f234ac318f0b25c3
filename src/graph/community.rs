//! Communities of a graph: found, stored and described.

use cograph::{
    Leiden, Profile, check_resolution, components, label_propagation, modularity, number_by_size, profiles,
};
use pgrx::{IntoDatum, JsonB};
use serde_json::{Value, json};

use super::error::GraphError;
use super::project::named;
use super::query;
use super::read::{GraphRow, Loaded, find};
use crate::pg::catalog::Privilege;
use crate::pg::{self, memory, role, transaction};
use crate::storage::bulk::{self, BulkInsert};
use crate::storage::lookup::each_by_key;
use crate::warehouse::tables::{GRAPH, GRAPH_COMMUNITY};

/// How communities are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    Leiden,
    Louvain,
    LabelPropagation,
    Components,
    /// They are those that are stored.
    Stored,
}

const METHODS: [(&str, Method); 5] = [
    ("leiden", Method::Leiden),
    ("louvain", Method::Louvain),
    ("label_propagation", Method::LabelPropagation),
    ("components", Method::Components),
    ("stored", Method::Stored),
];

/// Which communities a call is about.
#[derive(Clone, Copy, Debug)]
pub struct Communities<'a> {
    pub method: Method,
    pub resolution: f64,
    pub seed: i64,
    /// A query that returns them, in place of a method.
    pub partition: Option<&'a str>,
}

impl<'a> Communities<'a> {
    /// What the arguments say.
    pub fn new(
        algorithm: Option<&str>,
        resolution: Option<f64>,
        seed: Option<i64>,
        partition: Option<&'a str>,
    ) -> Result<Communities<'a>, GraphError> {
        let resolution = resolution.unwrap_or(1.0);
        check_resolution(resolution)?;
        Ok(Communities {
            method: named("algorithm", &METHODS, algorithm.unwrap_or("leiden"))?,
            resolution,
            seed: seed.unwrap_or(42),
            partition,
        })
    }

    /// The community of every node, numbered by size from 0.
    pub fn of(&self, graph: &Loaded) -> Result<Vec<u32>, GraphError> {
        if let Some(sql) = self.partition {
            return query::partition(graph, sql);
        }
        let Communities { resolution, seed, .. } = *self;
        let leiden = Leiden { resolution, seed: seed as u64, refines: self.method == Method::Leiden };
        match self.method {
            Method::Leiden | Method::Louvain => {
                graph.compute(|graph, cancelled, _| leiden.of(graph, cancelled))
            }
            Method::LabelPropagation => {
                graph.compute(|graph, cancelled, _| label_propagation(graph, cancelled))
            }
            Method::Components => graph.compute(|graph, cancelled, _| components(graph, cancelled)),
            Method::Stored => stored(graph),
        }
    }

    /// What is stored beside communities.
    fn to_json(self, is_weighted: bool) -> Value {
        let name = METHODS.iter().find(|(_, method)| *method == self.method).map(|(name, _)| *name);
        let mut params = json!({ "resolution": self.resolution, "weighted": is_weighted });
        match self.partition {
            Some(sql) => params["partition"] = sql.into(),
            None => params["algorithm"] = name.into(),
        }
        if self.partition.is_none() && matches!(self.method, Method::Leiden | Method::Louvain) {
            params["seed"] = self.seed.into();
        }
        params
    }
}

/// The most titles of a community.
const MOST_TITLES: i64 = 1000;

/// The memory, in bytes, of finding communities and describing them.
pub fn memory(nodes: usize, edges: usize) -> usize {
    Leiden::memory(nodes, edges, crate::pg::guc::threads()).saturating_add(128 * nodes)
}

/// The stored communities of a graph.
fn stored(graph: &Loaded) -> Result<Vec<u32>, GraphError> {
    const NONE: u32 = u32::MAX;
    let mut groups = memory::filled(NONE, graph.nodes())?;
    each_by_key(&GRAPH_COMMUNITY, 3, &[graph.row.graph_id], |row| {
        if let Some((id, community)) = row.int8(1).zip(row.int4(2))
            && let Some(node) = graph.labelled.node(id)
        {
            groups[node] = community as u32;
        }
        Ok::<_, GraphError>(())
    })?;
    let missing = groups.iter().filter(|&&group| group == NONE).count();
    if missing > 0 && missing == groups.len() {
        return Err(GraphError::NoCommunities(graph.row.name.clone()));
    }
    if let Some(first) = groups.iter().position(|&group| group == NONE) {
        let (name, example) = (graph.row.name.clone(), graph.labelled.ids[first]);
        return Err(GraphError::StoredMissing { graph: name, missing, example });
    }
    // Somebody may have changed the rows: any numbers, from 0 to the number of nodes.
    let mut known = memory::collect(groups.iter().copied())?;
    known.sort_unstable();
    known.dedup();
    groups.iter_mut().for_each(|group| *group = known.partition_point(|other| *other < *group) as u32);
    number_by_size(&mut groups)?;
    Ok(groups)
}

/// What `graph_store_communities` returns.
pub struct Stored {
    pub graph: String,
    pub communities: i32,
    pub modularity: f64,
}

/// Stores the community of every node, in place of those that were stored.
pub fn store(row: GraphRow, wanted: &Communities<'_>, is_weighted: bool) -> Result<Stored, GraphError> {
    transaction::require_writable(c"graph_store_communities()");
    if wanted.method == Method::Stored && wanted.partition.is_none() {
        return Err(GraphError::StoresStored);
    }
    GRAPH.require(&[Privilege::Select, Privilege::Update])?;
    GRAPH_COMMUNITY.require(&[Privilege::Select, Privilege::Delete])?;
    bulk::check(&GRAPH_COMMUNITY)?;
    let graph = Loaded::read(row, is_weighted, memory)?;
    let groups = wanted.of(&graph)?;
    let reached = modularity(&graph.labelled.graph, &groups, wanted.resolution)?;
    let communities = groups.iter().max().map_or(0, |&last| last as i32 + 1);
    let Loaded { row, labelled } = graph;
    role::with_search_path(|| {
        // Two calls at a time would write the same keys.
        let statement = "UPDATE @extschema@.graph SET communities = $2, community_params = $3, modularity = $4 WHERE graph_id = $1
                         RETURNING graph_id";
        let params = JsonB(wanted.to_json(is_weighted));
        let args = [row.graph_id.into(), communities.into(), params.into(), reached.into()];
        if pg::query::run_one::<i32>(statement, &args)?.is_none() {
            // Somebody has dropped it.
            return find(Some(&row.name)).and(Err(GraphError::Dropped(row.name.clone())));
        }
        pg::query::run(
            "DELETE FROM @extschema@.graph_community WHERE graph_id = $1",
            &[row.graph_id.into()],
        )?;
        let mut rows = BulkInsert::<3>::open(&GRAPH_COMMUNITY)?;
        for (id, &group) in labelled.ids.iter().zip(&groups) {
            rows.push(|| [row.graph_id.into_datum(), id.into_datum(), (group as i32 + 1).into_datum()]);
        }
        rows.finish();
        Ok(Stored { graph: row.name.clone(), communities, modularity: reached })
    })
}

/// A community as `graph_communities` returns it.
pub struct Described {
    pub profile: Profile,
    pub central_ids: Vec<i64>,
    pub central_titles: Vec<Option<String>>,
}

/// Describes the communities of a graph, the largest first, each with so many of its most central nodes.
pub fn describe(
    row: GraphRow,
    wanted: &Communities<'_>,
    is_weighted: bool,
    titles: i64,
) -> Result<Vec<Described>, GraphError> {
    if !(0..=MOST_TITLES).contains(&titles) {
        let range = format!("from 0 to {MOST_TITLES}");
        return Err(GraphError::Argument { name: "titles", value: titles.to_string(), range });
    }
    let central = titles as usize;
    let graph = Loaded::read(row, is_weighted, memory)?;
    let groups = wanted.of(&graph)?;
    let profiles = graph.compute(|graph, cancelled, _| profiles(graph, &groups, central, cancelled))?;
    let titles = role::with_search_path(|| graph.titles())?;
    let describe = |profile: Profile| {
        let central = || profile.central.iter().map(|&node| node as usize);
        Described {
            central_ids: central().map(|node| graph.labelled.ids[node]).collect(),
            central_titles: central().map(|node| titles[node].clone()).collect(),
            profile,
        }
    };
    Ok(memory::collect(profiles.into_iter().map(describe))?)
}
