//! Charts as SVG, and the report as one HTML page. Knows no database.
//!
//! ```text
//! numbers ─> ratings, models, search, network ─> frame ─> SVG ─┐
//!            (what to draw)       over axes      (headings,    ├─> page ─> HTML
//!                                                 legend)      │
//! tables, texts ───────────────────────────────────────────────┘
//! ```
//!
//! The same data give the same bytes. The output is ASCII: every other character is a numeric character reference, which XML and HTML
//! read in any encoding. Titles and names may contain any characters. Without data, a chart says what is missing.
//!
//! # Where to read
//!
//! - `canvas.rs`: size and theme; `ink.rs`: the colours of both themes.
//! - `ratings.rs`, `models.rs`, `search.rs`, `network.rs`: the charts, by what they show.
//! - `axes.rs`: kuva's axes and plots inside the frame. `frame.rs`: the SVG element, headings and legend.
//! - `shapes.rs`: lines, discs and texts in the colours of a theme.
//! - `labels.rs`: where labels go, so that none overlaps another. `text.rs`, `number.rs`: what is written.
//! - `page.rs`: the report.

mod axes;
mod canvas;
mod frame;
mod ink;
mod labels;
mod models;
mod network;
mod number;
pub mod page;
mod ratings;
mod search;
mod shapes;
mod text;

pub use canvas::{Canvas, Error, Theme};
pub use models::{
    Comparison, Iteration, Judged, MapMovie, Seen, Slice, comparison, error_slices, factor_map, no_model,
    no_test_set, training_curve,
};
pub use network::{Edge, Group, Node, network};
pub use number::{grouped, percent, short};
pub use ratings::{
    Count, Month, activity, by_month, by_weekday, distribution, mean_by_month, months, stars, weekdays,
};
pub use search::{Search, Trial, Value, no_search, search};
