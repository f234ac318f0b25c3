//! Charts as SVG, and the report as one HTML page: `chart_*`, `netflix_report`.
//!
//! ```text
//! views and functions of SQL ─> ratings, models, search, network ─> chart (a crate) ─> SVG
//!                                                   └────> page ──> chart::page ─────> HTML
//! ```
//!
//! What other capabilities compute is asked for by SQL.

mod error;
mod models;
mod network;
mod page;
mod ratings;
mod search;

use ::chart::{Canvas, Theme};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::progress::Phase;
use crate::pg::{memory, report};
use error::ReportError;

/// The phases of the report.
pub const PHASES: [&Phase; 1] = [&page::REPORTING];

/// Bytes that drawing a chart may take: it does not grow with the tables, but for the trials of a search.
const DRAWING: usize = 16 << 20;

/// A chart whose data have been read: draws it on a canvas.
type Drawing = Box<dyn Fn(&Canvas) -> String>;

/// Defines a SQL function that returns a chart as SVG. `$read` reads its data; the function gets the arguments width, height and theme
/// after its own, which must end with a comma.
macro_rules! chart_function {
    ($(#[$attribute:meta])* fn $name:ident($($parameters:tt)*), $height:tt = $read:expr) => {
        $(#[$attribute])*
        #[pg_extern(stable)]
        #[search_path(pg_catalog, pg_temp)]
        fn $name(
            $($parameters)*
            width: default!(Option<i64>, 760),
            height: default!(Option<i64>, $height),
            theme: default!(Option<&str>, "'auto'"),
        ) -> Result<String, ErrorReport> {
            let draw = || {
                let theme = Theme::named(theme.unwrap_or("auto"))?;
                let canvas = Canvas::new(width.unwrap_or(760), height.unwrap_or($height), theme)?;
                let drawing: Drawing = $read?;
                memory::check_available(DRAWING)?;
                Ok::<_, ReportError>(drawing(&canvas))
            };
            draw().map_err(report)
        }
    };
}

chart_function! {
    /// How often each number of stars was given. Reads all ratings.
    fn chart_rating_distribution(), 400 = ratings::distribution()
}

chart_function! {
    /// Ratings of each month. Reads all ratings.
    fn chart_ratings_by_month(), 340 = ratings::by_month()
}

chart_function! {
    /// Mean rating of each month. Reads all ratings.
    fn chart_mean_rating_by_month(), 340 = ratings::mean_by_month()
}

chart_function! {
    /// Ratings by weekday. Reads all ratings.
    fn chart_ratings_by_weekday(), 340 = ratings::by_weekday()
}

chart_function! {
    /// How many ratings customers have given and movies have got.
    fn chart_rating_counts(), 400 = ratings::activity()
}

chart_function! {
    /// Models by their RMSE on a test set, with intervals: `compare_models`. Without a list, all deployed models.
    fn chart_model_comparison(
        split: default!(Option<&str>, "'probe'"),
        models: default!(Option<Vec<Option<String>>>, "NULL"),
    ), 300 = models::comparison(split.unwrap_or("probe"), models)
}

chart_function! {
    /// RMSE of a model after each iteration of its training: of the deployed version, if none is given.
    fn chart_training_curve(
        model: default!(Option<&str>, "NULL"),
        version: default!(Option<i64>, "NULL"),
    ), 360 = models::training_curve(model, version)
}

chart_function! {
    /// RMSE of a model on each kind of rating: `evaluate_slices`.
    fn chart_error_slices(
        model: default!(Option<&str>, "NULL"),
        by: default!(Option<&str>, "'customer_ratings'"),
        split: default!(Option<&str>, "'probe'"),
        version: default!(Option<i64>, "NULL"),
    ), 340 = models::error_slices(model, by.unwrap_or("customer_ratings"), split.unwrap_or("probe"), version)
}

chart_function! {
    /// The best-known movies by the two principal axes of a model's movie factors.
    fn chart_factor_map(
        model: default!(Option<&str>, "NULL"),
        version: default!(Option<i64>, "NULL"),
    ), 560 = models::factor_map(model, version)
}

chart_function! {
    /// The scores of a search: of the latest one, if none is given.
    fn chart_search(
        search: default!(Option<i64>, "NULL"),
    ), 400 = search::search(search)
}

chart_function! {
    /// The most important nodes of a graph, of the latest graph if none is given, and the strongest edges between them.
    fn chart_network(
        graph: default!(Option<&str>, "NULL"),
        top_n: default!(Option<i64>, 60),
        color_by: default!(Option<&str>, "'community'"),
        size_by: default!(Option<&str>, "'pagerank'"),
    ), 640 = network::network(graph, top_n.unwrap_or(60), color_by.unwrap_or("community"), size_by.unwrap_or("pagerank"))
}

/// Everything that is known, as one HTML page: the ratings and their quality, the models, their errors, recommendations for three
/// customers, communities. Sections for what is not there yet name the statement that makes it.
#[pg_extern(stable)]
#[search_path(pg_catalog, pg_temp)]
fn netflix_report(
    split: default!(Option<&str>, "'probe'"),
    graph: default!(Option<&str>, "NULL"),
    search: default!(Option<i64>, "NULL"),
    quality: default!(Option<bool>, true),
) -> Result<String, ErrorReport> {
    page::page(split.unwrap_or("probe"), graph, search, quality.unwrap_or(true)).map_err(report)
}
