//! The report: one HTML page that needs nothing but itself, no network and no script.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::ink;
use crate::text;

/// A report.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The heading of the page.
    pub title: String,
    /// What stands below it: of which database, and when it was made.
    pub subtitle: String,
    /// Figures that stand out, with what they count.
    pub figures: Vec<(String, String)>,
    /// The sections, in order.
    pub sections: Vec<Section>,
}

/// A section.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Where links to it go: letters and hyphens, unique in the report.
    pub id: &'static str,
    /// Its heading.
    pub heading: String,
    /// What it shows.
    pub parts: Vec<Part>,
}

/// A part of a section.
#[derive(Clone, Debug)]
pub enum Part {
    /// A heading below the section's.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A chart over the whole width.
    Chart(Chart),
    /// Charts beside each other where there is room.
    Charts(Vec<Chart>),
    /// A table.
    Table(Table),
    /// What is not there yet.
    Missing {
        /// What is missing.
        message: String,
        /// The statement that makes it.
        statement: String,
    },
}

/// A chart, drawn twice.
#[derive(Clone, Debug)]
pub struct Chart {
    /// For screens that are wide enough, and for paper.
    pub wide: String,
    /// For phones.
    pub narrow: String,
}

/// What the cells of a column hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Column {
    /// Numbers, to be compared.
    Number,
    /// Short texts.
    Text,
    /// Texts of several words.
    Long,
}

impl Column {
    fn class(self) -> Option<&'static str> {
        match self {
            Column::Number => Some("number"),
            Column::Text => None,
            Column::Long => Some("long"),
        }
    }
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Names of the columns, and what they hold.
    pub columns: Vec<(String, Column)>,
    /// The rows, each with as many cells as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A text or a number.
    Text(String),
    /// A statement of SQL.
    Code(String),
    /// Texts from the data, each with a note.
    List(Vec<(String, String)>),
    /// Nothing is known.
    Unknown,
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.into())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Cell {
        cell.map_or(Cell::Unknown, Into::into)
    }
}

/// Width of a chart across the page, of one in half of it, and of one for phones, in pixels.
pub const WIDTHS: [i64; 3] = [920, 448, 340];

/// Everything about the looks but the colours of the charts.
const STYLE: &str = "
:root{color-scheme:light dark;--text:#1a1a1a;--muted:#595959;--line:#d9d9d9;--back:#ffffff;--soft:#f5f6f8;--link:#005a8c}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}
.page{max-width:952px;margin:0 auto;padding:0 16px 48px;overflow-wrap:break-word}
h1{font-size:1.9rem;line-height:1.2;margin:2rem 0 .25rem}
h2{font-size:1.35rem;line-height:1.3;margin:2.75rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.75rem 0 .5rem}
p{margin:.5rem 0}
a{color:var(--link)}
.subtitle,caption{color:var(--muted)}
.skip{position:absolute;left:-999rem}
.skip:focus{left:1rem;top:1rem;background:var(--back);padding:.5rem}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:1rem 0;padding:0;list-style:none}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:1.5rem 0}
.figures div{background:var(--soft);border-radius:8px;padding:12px 14px}
.figures dt{color:var(--muted);font-size:.85rem}
.figures dd{margin:0;font-size:1.2rem;font-weight:600;font-variant-numeric:tabular-nums}
figure{margin:1rem 0}
figure svg{display:block;max-width:100%;height:auto}
.narrow{display:none}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:1rem;margin:1rem 0}
.pair figure{margin:0}
.scroll{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;padding-bottom:.4rem}
caption span{display:block;max-width:calc(100vw - 2rem)}
th,td{text-align:left;vertical-align:top;padding:.4rem .9rem .4rem 0;border-bottom:1px solid var(--line)}
td{overflow-wrap:anywhere;min-width:6.2rem}
th{font-weight:600;overflow-wrap:normal}
.long{min-width:15rem}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;padding-right:1.1rem;min-width:0}
th.number{white-space:normal}
code{font:.88em/1.5 ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;background:var(--soft);border-radius:4px;padding:.1em .3em;overflow-wrap:anywhere}
.missing{background:var(--soft);border-radius:8px;padding:12px 14px;margin:1rem 0}
@media screen and (prefers-color-scheme:dark){:root{--text:#ececec;--muted:#b3b3b3;--line:#363a42;--back:#16181d;--soft:#20242b;--link:#7cc0f0}}
@media screen and (max-width:620px){.wide{display:none}.narrow{display:block}}
@media print{@page{size:A4;margin:15mm}:root{color-scheme:light}body{font-size:10.5pt}.page{max-width:none;padding:0}nav,.skip{display:none}.scroll{overflow:visible}figure,tr,.missing,.figures{break-inside:avoid}h2,h3,caption{break-after:avoid}.pair{grid-template-columns:1fr 1fr}a{color:inherit;text-decoration:none}}
";

impl Report {
    /// The page, in ASCII.
    pub fn html(&self) -> String {
        let style = format!("{STYLE}{}", ink::dark_rules());
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (text::clean(&self.title)) }
                    style { (PreEscaped(style)) }
                }
                body {
                    a class="skip" href="#content" { "Skip to the content" }
                    div class="page" {
                        header {
                            h1 { (data(&self.title)) }
                            p class="subtitle" { (data(&self.subtitle)) }
                            nav aria-label="Sections" {
                                ul { @for section in &self.sections { li { a href={ "#" (section.id) } { (section.heading) } } } }
                            }
                        }
                        main id="content" {
                            @if !self.figures.is_empty() {
                                dl class="figures" {
                                    @for (name, value) in &self.figures { div { dt { (name) } dd { (data(value)) } } }
                                }
                            }
                            @for section in &self.sections {
                                section id=(section.id) aria-labelledby={ (section.id) "-heading" } {
                                    h2 id={ (section.id) "-heading" } { (section.heading) }
                                    @for part in &section.parts { (part.markup()) }
                                }
                            }
                        }
                    }
                }
            }
        };
        text::ascii(&page.into_string())
    }
}

impl Part {
    fn markup(&self) -> Markup {
        match self {
            Part::Heading(heading) => html! { h3 { (data(heading)) } },
            Part::Text(paragraph) => html! { p { (data(paragraph)) } },
            Part::Chart(chart) => chart.markup(),
            Part::Charts(charts) => html! { div class="pair" { @for chart in charts { (chart.markup()) } } },
            Part::Table(table) => table.markup(),
            Part::Missing { message, statement } => html! {
                p class="missing" { (data(message)) @if !statement.is_empty() { " " code { (text::one_line(statement)) } } }
            },
        }
    }
}

impl Chart {
    fn markup(&self) -> Markup {
        html! {
            figure {
                div class="wide" { (PreEscaped(&self.wide)) }
                div class="narrow" { (PreEscaped(&self.narrow)) }
            }
        }
    }
}

impl Table {
    fn markup(&self) -> Markup {
        html! {
            div class="scroll" role="region" tabindex="0" aria-label=(text::clean(&self.caption)) {
                table {
                    caption { span { (data(&self.caption)) } }
                    thead {
                        tr { @for (name, column) in &self.columns { th scope="col" class=[column.class()] { (name) } } }
                    }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (cell, (_, column)) in row.iter().zip(&self.columns) {
                                    td class=[column.class()] {
                                        @match cell {
                                            Cell::Text(text) => (data(text)),
                                            Cell::List(items) => @for (place, (item, note)) in items.iter().enumerate() {
                                                @if place > 0 { "; " }
                                                (data(item)) @if !note.is_empty() { " " (note) }
                                            },
                                            Cell::Code(code) => code { (text::one_line(code)) },
                                            Cell::Unknown => "\u{2013}",
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A text from the data. It may be written from right to left, and must then not turn around its neighbours.
fn data(content: &str) -> Markup {
    let content = text::clean(content);
    // Hebrew, Arabic and their like.
    let is_turned = content
        .chars()
        .any(|character| matches!(character as u32, 0x590..=0x8ff | 0xfb1d..=0xfdff | 0xfe70..=0xfeff));
    html! { @if is_turned { bdi { (content) } } @else { (content) } }
}
