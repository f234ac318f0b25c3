//! `netflix_rec`: the Netflix Prize data as a star schema in PostgreSQL, and a recommender trained and served there.
//!
//! Each capability is a folder; `pg` is what they share of PostgreSQL; what they compute stands in the crates.

use pgrx::prelude::*;

mod evaluate;
mod load;
mod pg;
mod restore;
mod serve;
mod train;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/schema.sql", name = "schema", bootstrap);
extension_sql_file!(
    "../sql/load.sql",
    name = "load",
    requires = [load::netflix_progress, load::guard::refuse_while_keys_are_aside, load::guard::retire_keys]
);
extension_sql_file!("../sql/explore.sql", name = "explore", requires = ["schema"]);
extension_sql_file!("../sql/train.sql", name = "train", requires = [train::train, train::model_id]);
extension_sql_file!("../sql/serve.sql", name = "serve", requires = ["schema", serve::cache::movies_changed]);
extension_sql_file!("../sql/functions.sql", name = "functions", finalize);

/// Called by the server when it loads the library.
#[pg_guard]
#[allow(non_snake_case)]
extern "C-unwind" fn _PG_init() {
    pg::ballast::take();
    pg::guc::register();
    pg::worker::define(load::work);
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
