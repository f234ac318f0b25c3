//! Graphs of movies and customers, and what they tell.
//!
//! ```text
//! ratings ──── project ─┐                                ┌─ measure: graph_pagerank, graph_betweenness, …
//! a model ──── project ─┼─> write ─> graph ─> read ──────┼─ community: graph_leiden, graph_communities, …
//! a query ──── query ───┤           graph_edge           └─ backbone ─> write
//! ```

mod backbone;
mod community;
mod error;
mod estimate;
mod measure;
mod project;
mod query;
mod read;
mod write;

use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::progress::Phase;
use crate::pg::{self, report};
use crate::warehouse::dimension::Dimension;
use community::{Communities, Described, Stored};
use error::GraphError;
use estimate::{Estimate, estimate};
use project::{Rules, Source};
use read::{Loaded, find};
use write::Written;

/// The phases of making and measuring graphs.
pub static PHASES: [&Phase; 3] = [&project::PROJECTING, &write::WRITING_GRAPH, &read::MEASURING];

/// Defines a SQL function that returns one row about a new graph, which `$make` returns.
macro_rules! projection_function {
    ($(#[$attribute:meta])* fn $name:ident($($parameters:tt)*) = $make:expr) => {
        $(#[$attribute])*
        fn $name($($parameters)*) -> Result<
            TableIterator<
                'static,
                (name!(graph, String), name!(nodes, i32), name!(edges, i64), name!(elapsed, Interval)),
            >,
            ErrorReport,
        > {
            let make = || $make;
            let Written { graph, nodes, edges, elapsed } = make().map_err(report)?;
            Ok(TableIterator::once((graph, nodes, edges, pg::interval(elapsed))))
        }
    };
}

projection_function! {
    /// Makes a graph of movies. Two movies are the more alike, the more alike the ratings of the customers are who rated both. An edge is
    /// kept if it is among the `top_k` best of one of its ends.
    #[pg_extern]
    #[search_path(pg_catalog, pg_temp)]
    #[allow(clippy::too_many_arguments)] // named ones, with defaults
    fn graph_project_movies(
        graph: Option<&str>,
        similarity: default!(Option<&str>, "'pearson'"),
        min_common: default!(Option<i64>, 20),
        shrinkage: default!(Option<f64>, 100.0),
        top_k: default!(Option<i64>, 50),
        min_similarity: default!(Option<f64>, 0.0),
        weighting: default!(Option<&str>, "'none'"),
        min_rating: default!(Option<f64>, "NULL"),
    ) = {
        let name = write::check(c"graph_project_movies()", graph)?;
        let rules = rules(similarity, min_common, shrinkage, top_k, min_similarity, weighting);
        project::by_ratings(name, &Source { nodes: Dimension::Movie, min_rating, sample: None }, &rules)
    }
}

projection_function! {
    /// Makes a graph of a sample of the customers. Two customers are the more alike, the more alike they rated the movies that both rated.
    #[pg_extern]
    #[search_path(pg_catalog, pg_temp)]
    #[allow(clippy::too_many_arguments)] // named ones, with defaults
    fn graph_project_customers(
        graph: Option<&str>,
        sample: default!(Option<f64>, 0.02),
        similarity: default!(Option<&str>, "'pearson'"),
        min_common: default!(Option<i64>, 20),
        shrinkage: default!(Option<f64>, 100.0),
        top_k: default!(Option<i64>, 50),
        min_similarity: default!(Option<f64>, 0.0),
        weighting: default!(Option<&str>, "'none'"),
        min_rating: default!(Option<f64>, "NULL"),
        seed: default!(Option<i64>, 42),
    ) = {
        let name = write::check(c"graph_project_customers()", graph)?;
        let rules = rules(similarity, min_common, shrinkage, top_k, min_similarity, weighting);
        let sample = Some((sample.unwrap_or(0.02), seed.unwrap_or(42)));
        project::by_ratings(name, &Source { nodes: Dimension::Customer, min_rating, sample }, &rules)
    }
}

projection_function! {
    /// Makes a graph of the movies that a model knows, by the cosine between their factors.
    #[pg_extern]
    #[search_path(pg_catalog, pg_temp)]
    fn graph_project_model(
        graph: Option<&str>,
        model: default!(Option<&str>, "NULL"),
        version: default!(Option<i64>, "NULL"),
        top_k: default!(Option<i64>, 50),
        min_similarity: default!(Option<f64>, 0.0),
    ) = {
        let name = write::check(c"graph_project_model()", graph)?;
        project::by_model(name, model, version, top_k.unwrap_or(50), min_similarity.unwrap_or(0.0))
    }
}

projection_function! {
    /// Makes a graph of the edges that a query returns, in the columns from_id, to_id and, optionally, weight. `nodes` says what the ids
    /// are: 'movies', 'customers' or 'other'. The query runs with the caller's search_path.
    #[pg_extern]
    fn graph_project_sql(
        graph: Option<&str>,
        edges_query: Option<&str>,
        nodes: default!(Option<&str>, "'other'"),
    ) = {
        let name = pg::role::with_search_path(|| write::check(c"graph_project_sql()", graph))?;
        query::project(name, edges_query, nodes.unwrap_or("other"))
    }
}

projection_function! {
    /// Makes a graph of those edges of another one that are stronger than chance: an edge stays if, from the point of view of one of its
    /// ends, one as strong as it would come by chance with a probability below `alpha`.
    #[pg_extern]
    #[search_path(pg_catalog, pg_temp)]
    fn graph_backbone(
        graph: Option<&str>,
        new_graph: Option<&str>,
        alpha: default!(Option<f64>, 0.05),
    ) = {
        let row = find(graph)?;
        let name = new_graph.ok_or(pg::Error::NullArgument("new_graph"))?;
        let name = write::check(c"graph_backbone()", Some(name))?;
        backbone::backbone(row, name, alpha.unwrap_or(0.05))
    }
}

/// The arguments that choose edges, with their defaults.
fn rules<'a>(
    similarity: Option<&'a str>,
    min_common: Option<i64>,
    shrinkage: Option<f64>,
    top_k: Option<i64>,
    min_similarity: Option<f64>,
    weighting: Option<&'a str>,
) -> Rules<'a> {
    Rules {
        similarity: similarity.unwrap_or("pearson"),
        weighting: weighting.unwrap_or("none"),
        min_common: min_common.unwrap_or(20),
        shrinkage: shrinkage.unwrap_or(100.0),
        top_k: top_k.unwrap_or(50),
        min_similarity: min_similarity.unwrap_or(0.0),
    }
}

/// What graph_project_movies or, with `nodes => 'customers'`, graph_project_customers would take at most: memory in bytes, time in seconds, and
/// how many pairs of ratings are compared.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn graph_estimate(
    nodes: default!(Option<&str>, "'movies'"),
    similarity: default!(Option<&str>, "'pearson'"),
    top_k: default!(Option<i64>, 50),
    sample: default!(Option<f64>, "NULL"),
) -> Result<TableIterator<'static, (name!(bytes, i64), name!(seconds, f64), name!(pairs, f64))>, ErrorReport>
{
    let estimate = || {
        let projection = rules(similarity, None, None, top_k, None, None).projection()?;
        let nodes = project::dimension(nodes.unwrap_or("movies"))?;
        let sample = match nodes {
            Dimension::Movie if sample.is_some() => return Err(GraphError::SampleOfMovies),
            Dimension::Movie => None,
            Dimension::Customer => Some((project::checked_share(sample.unwrap_or(0.02))?, 42)),
        };
        estimate(&Source { nodes, min_rating: None, sample }, &projection)
    };
    let Estimate { bytes, seconds, pairs } = estimate().map_err(report)?;
    Ok(TableIterator::once((bytes as i64, seconds, pairs)))
}

/// Drops a graph, with its edges and stored communities. Returns its name.
#[pg_extern]
#[search_path(pg_catalog, pg_temp)]
fn graph_drop(graph: Option<&str>) -> Result<String, ErrorReport> {
    write::drop_graph(graph).map_err(report)
}

/// The modularity of a partition: of one that a query returns, in the columns node_id and community. The query runs with the caller's
/// search_path.
#[pg_extern]
fn graph_modularity(
    graph: Option<&str>,
    partition: Option<&str>,
    resolution: default!(Option<f64>, 1.0),
    weighted: default!(Option<bool>, true),
) -> Result<f64, ErrorReport> {
    let of = || {
        let sql = partition.ok_or(pg::Error::NullArgument("partition"))?;
        let resolution = resolution.unwrap_or(1.0);
        let loaded = pg::role::with_search_path(|| {
            Loaded::read(find(graph)?, weighted.unwrap_or(true), |nodes, _| 64 * nodes)
        })?;
        let groups = query::partition(&loaded, sql)?;
        Ok::<_, GraphError>(cograph::modularity(&loaded.labelled.graph, &groups, resolution)?)
    };
    of().map_err(report)
}

/// The communities of a graph, the largest first, each with its most central nodes: those whose edges within it weigh most. `algorithm`
/// finds them ('leiden', 'louvain', 'label_propagation', 'components'), or takes those that are stored ('stored'); a query in `partition`
/// returns others, in the columns node_id and community, and runs with the caller's search_path.
#[pg_extern]
fn graph_communities(
    graph: Option<&str>,
    algorithm: default!(Option<&str>, "'leiden'"),
    resolution: default!(Option<f64>, 1.0),
    seed: default!(Option<i64>, 42),
    titles: default!(Option<i64>, 5),
    partition: default!(Option<&str>, "NULL"),
    weighted: default!(Option<bool>, true),
) -> Result<
    TableIterator<
        'static,
        (
            name!(community, i32),
            name!(size, i32),
            name!(edges, i64),
            name!(density, f64),
            name!(conductance, f64),
            name!(central_ids, Vec<i64>),
            name!(central_titles, Vec<Option<String>>),
        ),
    >,
    ErrorReport,
> {
    let describe = || {
        let row = pg::role::with_search_path(|| find(graph))?;
        let wanted = Communities::new(algorithm, resolution, seed, partition)?;
        community::describe(row, &wanted, weighted.unwrap_or(true), titles.unwrap_or(5))
    };
    let rows = (1..).zip(describe().map_err(report)?);
    Ok(TableIterator::new(rows.map(|(number, Described { profile, central_ids, central_titles })| {
        let (size, edges) = (profile.size as i32, profile.edges as i64);
        (number, size, edges, profile.density, profile.conductance, central_ids, central_titles)
    })))
}

/// Stores the community of every node in the table graph_community, in place of those that were stored. The arguments are those of
/// graph_communities.
#[pg_extern]
fn graph_store_communities(
    graph: Option<&str>,
    algorithm: default!(Option<&str>, "'leiden'"),
    resolution: default!(Option<f64>, 1.0),
    seed: default!(Option<i64>, 42),
    partition: default!(Option<&str>, "NULL"),
    weighted: default!(Option<bool>, true),
) -> Result<
    TableIterator<'static, (name!(graph, String), name!(communities, i32), name!(modularity, f64))>,
    ErrorReport,
> {
    let store = || {
        let row = pg::role::with_search_path(|| find(graph))?;
        let wanted = Communities::new(algorithm, resolution, seed, partition)?;
        community::store(row, &wanted, weighted.unwrap_or(true))
    };
    let Stored { graph, communities, modularity } = store().map_err(report)?;
    Ok(TableIterator::once((graph, communities, modularity)))
}
