//! What the caller of a graph function may get wrong.

use pgrx::PgSqlErrorCode::*;

use crate::models::ModelError;
use crate::pg::error::{hinted, wrap_errors};
use crate::pg::user_query::Refusal;
use crate::pg::{self, Diagnostics, Report};
use crate::warehouse;

#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    #[error("graph \"{name}\" does not exist")]
    NoGraph { name: String, known: Vec<String> },
    #[error("graph \"{0}\" exists already")]
    Exists(String),
    #[error("the name of a graph must have from 1 to {most} bytes, not {bytes}")]
    Name { bytes: usize, most: usize },
    #[error("{name} must be {range}, not {value}")]
    Argument { name: &'static str, value: String, range: String },
    #[error("there is no {what} \"{value}\"")]
    Unknown { what: &'static str, value: String, known: Vec<&'static str> },
    #[error("node {node} is not in graph \"{graph}\"")]
    NoNode { node: i64, graph: String },
    #[error("{weights} has {found} elements, and {nodes} {expected}")]
    Lengths { nodes: &'static str, weights: &'static str, expected: usize, found: usize },
    #[error("personalization has no node with a weight above 0")]
    NoJump,
    #[error("an element of {0} is NULL")]
    NullElement(&'static str),
    #[error("the query has no column {name}")]
    NoColumn { name: &'static str, found: Vec<String>, example: &'static str },
    #[error("the query has two columns {0}")]
    ColumnTwice(&'static str),
    #[error("column {name} of the query has type {type_name}, not {wanted}")]
    ColumnType { name: String, type_name: String, wanted: &'static str },
    #[error("row {row} of the query: {column} is NULL")]
    NullValue { row: u64, column: &'static str },
    #[error("row {row} of the query: {column} must be a whole number, not {value}")]
    NodeId { row: u64, column: &'static str, value: String },
    #[error("row {row} of the query: the weight of an edge must be above 0 and finite, not {weight}")]
    Weight { row: u64, weight: String },
    #[error("the query puts node {0} into two communities")]
    NodeTwice(i64),
    #[error(
        "the query puts {missing} nodes of graph \"{graph}\" into no community, for example node {example}"
    )]
    NodesMissing { graph: String, missing: usize, example: i64 },
    #[error("{missing} nodes of graph \"{graph}\" are in no stored community, for example node {example}")]
    StoredMissing { graph: String, missing: usize, example: i64 },
    #[error("the stored communities are stored already")]
    StoresStored,
    #[error("graph \"{0}\" was dropped meanwhile")]
    Dropped(String),
    #[error("graph_project_movies takes no sample")]
    SampleOfMovies,
    #[error("no communities of graph \"{0}\" are stored")]
    NoCommunities(String),
    #[error("the row of table graph_edge from {from_id} to {to_id} is not one that the extension has made")]
    Damaged { from_id: i64, to_id: i64 },
    #[error("there are no ratings to make a graph of")]
    NoRatings,
    #[error("a model without factors cannot compare movies")]
    NoFactors,
    #[error(transparent)]
    Query(#[from] Refusal),
    #[error(transparent)]
    Cograph(#[from] cograph::Error),
    #[error(transparent)]
    Model(#[from] ModelError),
}

wrap_errors!(
    GraphError::Model,
    warehouse::Error,
    pg::Error,
    pgrx::spi::Error,
    std::collections::TryReserveError,
    factor::Error
);

impl Report for GraphError {
    fn diagnostics(&self) -> Diagnostics {
        match self {
            GraphError::NoGraph { known, .. } if known.is_empty() => hinted(
                ERRCODE_UNDEFINED_OBJECT,
                "There are none yet. Make one: SELECT * FROM graph_project_movies('movies');",
            ),
            GraphError::NoGraph { known, .. } => {
                hinted(ERRCODE_UNDEFINED_OBJECT, format!("Known graphs: {}.", known.join(", ")))
            }
            GraphError::Exists(name) => hinted(
                ERRCODE_DUPLICATE_OBJECT,
                format!(
                    "Drop it first: SELECT graph_drop('{}'); or choose another name.",
                    name.replace('\'', "''")
                ),
            ),
            GraphError::Unknown { known, .. } => {
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, format!("Known are: {}.", known.join(", ")))
            }
            GraphError::NoNode { .. } => hinted(
                ERRCODE_NO_DATA_FOUND,
                "The nodes of a graph are the ends of its edges, as in the view graph_edges.",
            ),
            GraphError::NullElement(_) | GraphError::NullValue { .. } => {
                ERRCODE_NULL_VALUE_NOT_ALLOWED.into()
            }
            GraphError::NoColumn { found, example, .. } => {
                hinted(ERRCODE_UNDEFINED_COLUMN, format!("Name the columns: {example}"))
                    .with_detail(format!("Its columns are: {}.", found.join(", ")))
            }
            GraphError::ColumnTwice(_) => ERRCODE_DUPLICATE_COLUMN.into(),
            GraphError::ColumnType { .. } => ERRCODE_DATATYPE_MISMATCH.into(),
            GraphError::Name { .. }
            | GraphError::Argument { .. }
            | GraphError::Lengths { .. }
            | GraphError::NodeTwice(_) => ERRCODE_INVALID_PARAMETER_VALUE.into(),
            GraphError::NodeId { .. } => hinted(
                ERRCODE_INVALID_PARAMETER_VALUE,
                "Number other ids, for example by dense_rank() OVER (ORDER BY id).",
            ),
            GraphError::NoJump => hinted(
                ERRCODE_INVALID_PARAMETER_VALUE,
                "Name nodes of the graph, or leave it out to jump to any node.",
            ),
            GraphError::Weight { .. } => hinted(
                ERRCODE_INVALID_PARAMETER_VALUE,
                "Leave such edges out, or turn distances into weights: 1 / distance.",
            ),
            GraphError::NodesMissing { .. } => hinted(
                ERRCODE_INVALID_PARAMETER_VALUE,
                "A partition has every node in exactly one community.",
            ),
            GraphError::StoredMissing { .. } => hinted(
                ERRCODE_DATA_CORRUPTED,
                "Rows of graph_edge or graph_community were changed: store the communities again.",
            ),
            GraphError::StoresStored => hinted(
                ERRCODE_INVALID_PARAMETER_VALUE,
                "Name an algorithm that finds some, or pass a partition.",
            ),
            GraphError::Dropped(_) => ERRCODE_UNDEFINED_OBJECT.into(),
            GraphError::SampleOfMovies => {
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, "Leave out sample, or add nodes => 'customers'.")
            }
            GraphError::NoCommunities(name) => hinted(
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("Store some: SELECT * FROM graph_store_communities('{}');", name.replace('\'', "''")),
            ),
            GraphError::Damaged { .. } => {
                hinted(ERRCODE_DATA_CORRUPTED, "Drop the graph with graph_drop(), and make it again.")
            }
            GraphError::NoRatings => hinted(
                ERRCODE_NO_DATA_FOUND,
                "Load some first: SELECT * FROM netflix_load('/path/to/the/files');",
            ),
            GraphError::NoFactors => hinted(
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "Use a model of als, svd, svdpp, bpmf or truncated_svd.",
            ),
            GraphError::Query(_) => {
                hinted(ERRCODE_INVALID_PARAMETER_VALUE, "Pass one SELECT, without a second statement.")
            }
            GraphError::Cograph(error) => error.diagnostics(),
            GraphError::Model(error) => error.diagnostics(),
        }
    }
}

impl Report for cograph::Error {
    fn diagnostics(&self) -> Diagnostics {
        use cograph::Error;
        match self {
            Error::Cancelled => ERRCODE_QUERY_CANCELED.into(),
            Error::OutOfMemory { .. } => ERRCODE_OUT_OF_MEMORY.into(),
            Error::Parameter { .. } | Error::Weight { .. } | Error::Weights => {
                ERRCODE_INVALID_PARAMETER_VALUE.into()
            }
            Error::NotConverged { .. } => hinted(
                ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                "Raise max_iter, or raise tol to be content with less.",
            ),
            Error::Ratings(error) => error.diagnostics(),
        }
    }
}
