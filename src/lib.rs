//! `netflix_rec`: the Netflix Prize data as a star schema in PostgreSQL, and a recommender trained and served there.
//!
//! A folder for each capability: `load`, `restore`, `train`, `models`, `evaluate`, `search`, `graph`, `report`, `bi`, `serve`, `progress`. They use `warehouse`, the
//! extension's own tables; that uses `storage`, which reads and writes any table below SQL; and all use `pg`, glue to PostgreSQL.
//! Imports go in this direction only. The computations are in the crates.

use pgrx::prelude::*;

mod bi;
mod evaluate;
mod graph;
mod load;
mod models;
mod pg;
mod progress;
mod report;
mod restore;
mod search;
mod serve;
mod storage;
mod train;
mod warehouse;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../sql/progress.sql", name = "progress", requires = [progress::netflix_progress]);
extension_sql_file!(
    "../sql/load.sql",
    name = "load",
    requires = ["schema", load::guard::refuse_while_indexes_are_disabled, load::guard::retire_keys]
);
extension_sql_file!("../sql/explore.sql", name = "explore", requires = ["schema"]);
extension_sql_file!("../sql/models.sql", name = "models", requires = ["schema"]);
extension_sql_file!("../sql/search.sql", name = "search", requires = ["schema"]);
extension_sql_file!("../sql/graph.sql", name = "graph", requires = ["schema"]);
extension_sql_file!(
    "../sql/bi.sql",
    name = "bi",
    requires = ["models", "graph", models::model_id, serve::recommend_all::recommend_all]
);
extension_sql_file!("../sql/train.sql", name = "train", requires = [train::train]);
extension_sql_file!("../sql/serve.sql", name = "serve", requires = ["schema", serve::cache::movies_changed]);
extension_sql_file!("../sql/functions.sql", name = "functions", finalize);

/// Called by the server when it loads the library.
#[pg_guard]
#[allow(non_snake_case)]
extern "C-unwind" fn _PG_init() {
    pg::error_reserve::fill();
    pg::guc::register();
    pg::worker::register(vec![("load", load::work), ("search", search::work)]);
    pg::progress::register(
        [
            &load::PHASES[..],
            &[&warehouse::ratings::READING_RATINGS],
            &train::PHASES,
            &[&models::write::WRITING_MODEL],
            &evaluate::PHASES,
            &[&search::TRYING],
            &graph::PHASES,
            &[&bi::REFRESHING],
            &report::PHASES,
        ]
        .concat(),
    );
}

/// What `cargo pgrx test` asks of the crate.
#[cfg(test)]
pub mod pg_test {
    /// Called once before the tests.
    pub fn setup(_options: Vec<&str>) {}

    /// Lines for postgresql.conf.
    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
