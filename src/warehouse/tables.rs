//! The extension's tables, as sql/schema.sql makes them: their names and columns.

use pgrx::pg_sys::BuiltinOid::*;

use crate::storage::table::{Table, optional, required};

/// Every table that holds data. `pg_dump` dumps these, and `netflix_reset` empties them.
pub static ALL: [&Table; 23] = [
    &FACT_RATINGS,
    &QUALIFYING,
    &DIM_DATE,
    &DIM_MOVIE,
    &DIM_CUSTOMER,
    &LOAD_RUN,
    &LOAD_INSERTED,
    &LOAD_FILE,
    &LOAD_UNIT,
    &LOAD_REJECT,
    &RATING_SPLIT,
    &SEARCH,
    &SEARCH_TRIAL,
    &SEARCH_FOLD,
    &MODEL,
    &MODEL_VERSION,
    &MODEL_ITERATION,
    &MODEL_DEPLOYMENT,
    &CUSTOMER_FACTORS,
    &MOVIE_FACTORS,
    &GRAPH,
    &GRAPH_EDGE,
    &GRAPH_COMMUNITY,
];

/// The star schema. A load locks these tables, in this order, against other writers: it writes rows without index entries and
/// without checking foreign keys.
pub static STAR_SCHEMA: [&Table; 5] = [&DIM_DATE, &DIM_CUSTOMER, &DIM_MOVIE, &FACT_RATINGS, &QUALIFYING];

pub static DIM_DATE: Table = Table {
    name: "dim_date",
    columns: &[
        required("date_key", INT4OID),
        required("date", DATEOID),
        required("year", INT2OID),
        required("quarter", INT2OID),
        required("month", INT2OID),
        required("month_name", TEXTOID),
        required("week", INT2OID),
        required("day", INT2OID),
        required("day_of_week", INT2OID),
        required("day_name", TEXTOID),
        required("is_weekend", BOOLOID),
    ],
};

pub static DIM_MOVIE: Table = Table {
    name: "dim_movie",
    columns: &[
        required("movie_key", INT4OID),
        required("movie_id", INT4OID),
        optional("title", TEXTOID),
        optional("release_year", INT2OID),
        required("rating_count", INT8OID),
        optional("rating_mean", FLOAT8OID),
        optional("first_rated_on", DATEOID),
        optional("last_rated_on", DATEOID),
    ],
};

pub static DIM_CUSTOMER: Table = Table {
    name: "dim_customer",
    columns: &[
        required("customer_key", INT4OID),
        required("customer_id", INT4OID),
        required("rating_count", INT8OID),
        optional("rating_mean", FLOAT8OID),
        optional("first_rated_on", DATEOID),
        optional("last_rated_on", DATEOID),
    ],
};

pub static FACT_RATINGS: Table = Table {
    name: "fact_ratings",
    columns: &[
        required("rating_key", INT8OID),
        required("customer_key", INT4OID),
        required("movie_key", INT4OID),
        required("date_key", INT4OID),
        required("rating", INT2OID),
        required("is_probe", BOOLOID),
    ],
};

pub static QUALIFYING: Table = Table {
    name: "qualifying",
    columns: &[
        required("customer_key", INT4OID),
        required("movie_key", INT4OID),
        required("date_key", INT4OID),
        optional("rating", INT2OID),
        optional("subset", TEXTOID),
        required("line_no", INT4OID),
    ],
};

pub static LOAD_RUN: Table = Table {
    name: "load_run",
    columns: &[
        required("run_id", INT8OID),
        optional("path", TEXTOID),
        required("status", TEXTOID),
        required("started_at", TIMESTAMPTZOID),
        optional("finished_at", TIMESTAMPTZOID),
        required("loaded_by", NAMEOID),
        required("files", INT4OID),
        required("ratings_read", INT8OID),
        required("ratings_loaded", INT8OID),
        required("duplicates", INT8OID),
        required("rejected", INT8OID),
        required("ratings_planned", INT8OID),
        required("first_rating_key", INT8OID),
        required("is_first", BOOLOID),
        optional("customers", INT8OID),
        optional("movies", INT8OID),
        optional("probe_pairs", INT8OID),
        optional("qualifying_pairs", INT8OID),
        optional("last_customer_key", INT4OID),
        optional("last_movie_key", INT4OID),
        optional("first_year", INT4OID),
        optional("last_year", INT4OID),
    ],
};

pub static LOAD_INSERTED: Table = Table {
    name: "load_inserted",
    columns: &[
        required("run_id", INT8OID),
        required("rating_keys", INT8MULTIRANGEOID),
        required("disabled_indexes", OIDARRAYOID),
    ],
};

pub static LOAD_FILE: Table = Table {
    name: "load_file",
    columns: &[
        required("run_id", INT8OID),
        required("file_no", INT4OID),
        required("kind", TEXTOID),
        required("path", TEXTOID),
        optional("member", TEXTOID),
        required("position", INT8OID),
        required("bytes", INT8OID),
        optional("modified", INT8OID),
        required("checksum", INT8OID),
        required("records", INT8OID),
        required("rejected", INT8OID),
        required("state", TEXTOID),
    ],
};

pub static LOAD_UNIT: Table = Table {
    name: "load_unit",
    columns: &[
        required("run_id", INT8OID),
        required("unit_no", INT4OID),
        required("ratings", INT8OID),
        required("first_rating_key", INT8OID),
        required("files", INT4ARRAYOID),
        required("plan", BYTEAOID),
    ],
};

pub static LOAD_REJECT: Table = Table {
    name: "load_reject",
    columns: &[
        required("run_id", INT8OID),
        required("reject_no", INT8OID),
        optional("file_no", INT4OID),
        required("line", INT8OID),
        required("text", TEXTOID),
        required("reason", TEXTOID),
    ],
};

pub static RATING_SPLIT: Table = Table {
    name: "rating_split",
    columns: &[
        required("split_id", INT4OID),
        required("name", TEXTOID),
        required("kind", TEXTOID),
        required("params", JSONBOID),
        required("seed", INT8OID),
        required("include_probe", BOOLOID),
        required("train_ratings", INT8OID),
        required("test_ratings", INT8OID),
        required("test_customers", INT8OID),
        required("created_at", TIMESTAMPTZOID),
        required("created_by", NAMEOID),
    ],
};

pub static SEARCH: Table = Table {
    name: "search",
    columns: &[
        required("search_id", INT4OID),
        required("kind", TEXTOID),
        required("algorithm", TEXTOID),
        required("space", JSONBOID),
        required("folds", INT4OID),
        optional("split", TEXTOID),
        optional("split_rule", JSONBOID),
        required("metric", TEXTOID),
        required("halving", BOOLOID),
        required("trials", INT4OID),
        required("seed", INT8OID),
        required("state", TEXTOID),
        required("ratings_digest", INT8OID),
        optional("best_trial", INT4OID),
        optional("one_standard_error_trial", INT4OID),
        required("started_at", TIMESTAMPTZOID),
        optional("finished_at", TIMESTAMPTZOID),
        required("started_by", NAMEOID),
    ],
};

pub static SEARCH_TRIAL: Table = Table {
    name: "search_trial",
    columns: &[
        required("search_id", INT4OID),
        required("trial_no", INT4OID),
        required("params", JSONBOID),
        required("state", TEXTOID),
        required("stage", INT4OID),
        optional("sample", FLOAT8OID),
        optional("score", FLOAT8OID),
        optional("sd", FLOAT8OID),
        optional("seconds", FLOAT8OID),
        optional("error", TEXTOID),
    ],
};

pub static SEARCH_FOLD: Table = Table {
    name: "search_fold",
    columns: &[
        required("search_id", INT4OID),
        required("trial_no", INT4OID),
        required("stage", INT4OID),
        required("fold", INT4OID),
        required("train_rmse", FLOAT8OID),
        required("rmse", FLOAT8OID),
        required("mae", FLOAT8OID),
        optional("ndcg", FLOAT8OID),
        required("score", FLOAT8OID),
        required("seconds", FLOAT8OID),
    ],
};

pub static MODEL: Table = Table {
    name: "model",
    columns: &[
        required("model_id", INT4OID),
        required("name", TEXTOID),
        required("version", INT4OID),
        required("algorithm", TEXTOID),
        required("params", JSONBOID),
        required("train_on", TEXTOID),
        optional("split", TEXTOID),
        optional("split_rule", JSONBOID),
        required("hold_out", FLOAT8OID),
        required("is_deployed", BOOLOID),
        required("factors", INT4OID),
        required("samples", INT4OID),
        required("global_mean", FLOAT4OID),
        required("ratings", INT8OID),
        required("iterations", INT4OID),
        required("train_rmse", FLOAT8OID),
        optional("probe_rmse", FLOAT8OID),
        optional("test_rmse", FLOAT8OID),
        optional("held_out_rmse", FLOAT8OID),
        optional("judged_ratings", INT8OID),
        optional("judged_digest", INT8OID),
        optional("left_out_digest", INT8OID),
        optional("summary", JSONBOID),
        optional("prior", FLOAT4ARRAYOID),
        required("elapsed", INTERVALOID),
        required("trained_at", TIMESTAMPTZOID),
        required("trained_by", NAMEOID),
    ],
};

pub static MODEL_VERSION: Table = Table {
    name: "model_version",
    columns: &[required("name", TEXTOID), required("version", INT4OID), required("model_id", INT4OID)],
};

pub static MODEL_ITERATION: Table = Table {
    name: "model_iteration",
    columns: &[
        required("model_id", INT4OID),
        required("iteration", INT4OID),
        required("train_rmse", FLOAT8OID),
        optional("held_out_rmse", FLOAT8OID),
        required("seconds", FLOAT8OID),
    ],
};

pub static MODEL_DEPLOYMENT: Table = Table {
    name: "model_deployment",
    columns: &[
        required("deployment_id", INT8OID),
        required("model_id", INT4OID),
        required("deployed_at", TIMESTAMPTZOID),
        required("deployed_by", NAMEOID),
    ],
};

pub static CUSTOMER_FACTORS: Table = Table {
    name: "customer_factors",
    columns: &[
        required("model_id", INT4OID),
        required("customer_key", INT4OID),
        required("bias", FLOAT4OID),
        required("factors", FLOAT4ARRAYOID),
    ],
};

pub static MOVIE_FACTORS: Table = Table {
    name: "movie_factors",
    columns: &[
        required("model_id", INT4OID),
        required("movie_key", INT4OID),
        required("bias", FLOAT4OID),
        required("factors", FLOAT4ARRAYOID),
        optional("links", FLOAT4ARRAYOID),
    ],
};

pub static GRAPH: Table = Table {
    name: "graph",
    columns: &[
        required("graph_id", INT4OID),
        required("name", TEXTOID),
        required("kind", TEXTOID),
        required("nodes_are", TEXTOID),
        required("params", JSONBOID),
        required("nodes", INT4OID),
        required("edges", INT8OID),
        required("elapsed", INTERVALOID),
        optional("communities", INT4OID),
        optional("community_params", JSONBOID),
        optional("modularity", FLOAT8OID),
        required("created_at", TIMESTAMPTZOID),
        required("created_by", NAMEOID),
    ],
};

pub static GRAPH_EDGE: Table = Table {
    name: "graph_edge",
    columns: &[
        required("graph_id", INT4OID),
        required("from_id", INT8OID),
        required("to_id", INT8OID),
        required("weight", FLOAT8OID),
        optional("n_common", INT4OID),
    ],
};

pub static GRAPH_COMMUNITY: Table = Table {
    name: "graph_community",
    columns: &[required("graph_id", INT4OID), required("node_id", INT8OID), required("community", INT4OID)],
};

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    #[pg_test]
    fn all_tables_are_as_they_are_said_to_be_made() {
        let tables = Spi::get_one::<Vec<String>>(
            "SELECT array_agg(relname::text ORDER BY relname) FROM pg_class
             WHERE oid = ANY (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'netflix_rec') AND relkind = 'r'",
        );
        let mut names = ALL.map(|table| table.name);
        names.sort_unstable();
        assert_eq!(tables.unwrap().unwrap(), names);
        for table in ALL {
            let open = table.open(&[], pg_sys::AccessShareLock as pg_sys::LOCKMODE).unwrap();
            let found = open.columns();
            assert_eq!(table.columns.len(), found.len(), "{}", table.name);
            table.check(&found, usize::MAX).unwrap();
        }
    }

    #[pg_test]
    fn readers_are_granted_every_table() {
        let grants = include_str!("../../sql/grants.sql");
        let (_, grants) = grants.split_once("GRANT SELECT ON ").unwrap();
        let (granted, _) = grants.split_once(" TO netflix_reader").unwrap();
        let granted = granted.split(',').map(|name| name.trim().trim_start_matches(":\"schema\"."));
        let granted = granted.collect::<Vec<_>>();
        // What the unfinished load has inserted is the owner's alone to know.
        for table in ALL.iter().filter(|table| table.name != "load_inserted") {
            assert!(granted.contains(&table.name), "{}", table.name);
        }
    }
}
