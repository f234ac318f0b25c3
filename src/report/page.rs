//! Reads what the report shows, section by section.

use std::time::Instant;

use ::chart::page::Column::{Long, Number, Text};
use ::chart::page::{Cell, Chart, Column, Part, Report, Section, Table, WIDTHS};
use ::chart::{Canvas, Seen, Theme, grouped};
use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiHeapTupleData;

use super::error::ReportError;
use super::models::need;
use super::{DRAWING, Drawing, models, network, ratings, search};
use crate::pg::progress::{Phase, Progress};
use crate::pg::snapshot::Snapshot;
use crate::pg::{self, memory, query};

/// The report asks its queries.
pub const REPORTING: Phase = Phase { id: 15, name: "making the report", unit: "queries" };

/// About how many queries there are.
const QUERIES: u64 = 24;

/// The queries so far, with their times.
struct Asked {
    progress: Option<Progress>,
    times: Vec<(String, f64)>,
}

impl Asked {
    /// Asks a query, which `statement` names in the report.
    fn ask<T, E>(&mut self, statement: &str, ask: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let started = Instant::now();
        let answer = ask()?;
        let mut lines: Vec<&str> = statement.split_whitespace().collect();
        lines.retain(|word| !word.is_empty());
        self.times.push((lines.join(" ").replace("@extschema@.", ""), started.elapsed().as_secs_f64()));
        // The query may have shown a progress of its own, which has ended now.
        self.progress = None;
        let progress = self.progress.insert(Progress::start(&REPORTING));
        progress.update(self.times.len() as u64, QUERIES.max(self.times.len() as u64), 0);
        Ok(answer)
    }

    /// Asks a query whose columns are texts, for the rows of a table.
    fn rows(
        &mut self,
        query: &str,
        arguments: &[DatumWithOid<'_>],
        columns: usize,
    ) -> Result<Vec<Vec<Cell>>, pg::Error> {
        self.ask(query, || query::select(Snapshot::Statement, query, arguments, |row| cells(&row, columns)))
    }

    /// The same, if two arrays follow the texts: they become a cell, of texts from the data and of the notes beside them.
    fn rows_with_list(
        &mut self,
        query: &str,
        arguments: &[DatumWithOid<'_>],
        columns: usize,
    ) -> Result<Vec<Vec<Cell>>, pg::Error> {
        let mut lists: Vec<Cell> = Vec::new();
        let mut rows = self.ask(query, || {
            query::select(Snapshot::Statement, query, arguments, |row| {
                let texts = row.get::<Vec<String>>(columns + 1)?.unwrap_or_default();
                let notes = row.get::<Vec<String>>(columns + 2)?.unwrap_or_default();
                let none = std::iter::repeat(String::new());
                let list: Vec<(String, String)> =
                    texts.into_iter().zip(notes.into_iter().chain(none)).collect();
                lists.push(if list.is_empty() { Cell::Unknown } else { Cell::List(list) });
                cells(&row, columns)
            })
        })?;
        rows.iter_mut().zip(lists).for_each(|(row, list)| row.push(list));
        Ok(rows)
    }
}

/// The first columns of a row, which are texts.
fn cells(row: &SpiHeapTupleData<'_>, columns: usize) -> Result<Vec<Cell>, pg::Error> {
    (1..=columns).map(|column| Ok(row.get::<String>(column)?.into())).collect()
}

/// A chart over the whole width of the page.
fn chart(drawing: &Drawing, height: i64) -> Result<Part, ReportError> {
    Ok(Part::Chart(drawn(drawing, WIDTHS[0], height)?))
}

/// Charts beside each other, two in a row.
fn charts(drawings: &[&Drawing], height: i64) -> Result<Part, ReportError> {
    let charts = drawings.iter().map(|drawing| drawn(drawing, WIDTHS[1], height));
    Ok(Part::Charts(charts.collect::<Result<_, _>>()?))
}

fn drawn(drawing: &Drawing, width: i64, height: i64) -> Result<Chart, ReportError> {
    memory::check_available(DRAWING)?;
    let draw = |width, height| Ok::<_, ReportError>(drawing(&Canvas::new(width, height, Theme::Page)?));
    Ok(Chart { wide: draw(width, height)?, narrow: draw(WIDTHS[2], height.clamp(320, 480))? })
}

fn table(caption: &str, columns: &[(&str, Column)], rows: Vec<Vec<Cell>>) -> Part {
    let columns = columns.iter().map(|(name, column)| (name.to_string(), *column)).collect();
    Part::Table(Table { caption: caption.into(), columns, rows })
}

fn missing(message: &str, statement: &str) -> Part {
    Part::Missing { message: message.into(), statement: statement.into() }
}

/// The whole report.
pub fn page(
    split: &str,
    graph: Option<&str>,
    search: Option<i64>,
    quality: bool,
) -> Result<String, ReportError> {
    let mut asked = Asked { progress: Some(Progress::start(&REPORTING)), times: Vec::new() };
    let started = Instant::now();
    let mut report =
        Report { title: "Netflix Prize: ratings, models, recommendations".into(), ..Report::default() };
    let about = "SELECT current_database()::text || ', ' || to_char(now(), 'YYYY-MM-DD HH24:MI TZ')";
    let database = query::select_one::<String>(Snapshot::Statement, about, &[])?.unwrap_or_default();
    report.subtitle = format!("Database {database}");
    let counts = asked.ask(ratings::COUNTS.0, ratings::counts)?;
    let total: i64 = counts.iter().map(|count| count.count).sum();
    report.figures = figures(&mut asked, total)?;
    report.sections.push(loaded(&mut asked, quality)?);
    if total == 0 {
        for section in &mut report.sections {
            section.parts.push(missing(
                "There are no ratings yet. To load some:",
                "SELECT * FROM netflix_load('/data');",
            ));
        }
        return Ok(report.html());
    }
    report.sections.push(explored(&mut asked, &counts)?);
    let (section, best) = compared(&mut asked, split, search)?;
    report.sections.push(section);
    report.sections.push(errors(&mut asked, split, &best)?);
    report.sections.push(recommended(&mut asked)?);
    report.sections.push(communities(&mut asked, graph)?);
    report.sections.push(made(&asked, started.elapsed().as_secs_f64()));
    memory::check_available(DRAWING)?;
    Ok(report.html())
}

/// The figures that stand out.
fn figures(asked: &mut Asked, total: i64) -> Result<Vec<(String, String)>, pg::Error> {
    let query = "SELECT (SELECT count(*) FROM @extschema@.dim_customer WHERE rating_count > 0),
                        (SELECT count(*) FROM @extschema@.dim_movie WHERE rating_count > 0),
                        (SELECT to_char(sum(rating_count * rating_mean) / nullif(sum(rating_count), 0), 'FM0.00') FROM @extschema@.dim_movie),
                        (SELECT to_char(min(first_rated_on), 'Mon YYYY') FROM @extschema@.dim_movie),
                        (SELECT to_char(max(last_rated_on), 'Mon YYYY') FROM @extschema@.dim_movie)";
    let rows = asked.ask(query, || {
        query::select(Snapshot::Statement, query, &[], |row| {
            let count = |column| Ok::<_, pg::Error>(grouped(row.get::<i64>(column)?.unwrap_or(0)));
            let text =
                |column| row.get::<String>(column).map(|text| text.unwrap_or_else(|| "\u{2013}".into()));
            Ok(vec![
                ("ratings".into(), grouped(total)),
                ("customers who rated".into(), count(1)?),
                ("movies with ratings".into(), count(2)?),
                ("mean rating, stars".into(), text(3)?),
                ("first rating".into(), text(4)?),
                ("last rating".into(), text(5)?),
            ])
        })
    })?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

/// What was loaded, and its quality.
fn loaded(asked: &mut Asked, quality: bool) -> Result<Section, ReportError> {
    let mut parts = Vec::new();
    let loads = "SELECT run_id::text, coalesce(path, 'a query'), status, to_char(started_at, 'YYYY-MM-DD HH24:MI TZ'),
                        round(seconds)::text, to_char(ratings_loaded, 'FM999,999,999,990'),
                        to_char(duplicates, 'FM999,999,999,990'), to_char(rejected, 'FM999,999,999,990')
                 FROM @extschema@.bi_loads ORDER BY run_id DESC LIMIT 5";
    let rows = asked.rows(loads, &[], 8)?;
    if !rows.is_empty() {
        let columns = [
            ("load", Number),
            ("from", Text),
            ("status", Text),
            ("began", Text),
            ("seconds", Number),
            ("ratings", Number),
            ("duplicates", Number),
            ("rejected", Number),
        ];
        let all = count("SELECT count(*) FROM @extschema@.bi_loads")?;
        parts.push(table(&format!("Loads, the latest first: {}", some(rows.len(), all)), &columns, rows));
    }
    if quality {
        let checks = "SELECT check_name, status, to_char(value, 'FM999,999,999,990'), detail FROM @extschema@.data_quality() WHERE status <> 'ok'";
        let rows = asked.rows(checks, &[], 4)?;
        if rows.is_empty() {
            parts.push(Part::Text(
                "All checks of data_quality() passed: keys, scales, dates, counts, indexes and constraints."
                    .into(),
            ));
        } else {
            let columns = [("check", Text), ("status", Text), ("value", Number), ("what is counted", Long)];
            parts.push(table(
                "Failed checks and warnings of data_quality(); all other checks passed",
                &columns,
                rows,
            ));
        }
    } else {
        parts.push(missing("The ratings were not checked. To check them:", "SELECT * FROM data_quality();"));
    }
    Ok(Section { id: "loaded", heading: "What was loaded".into(), parts })
}

/// The ratings.
fn explored(asked: &mut Asked, counts: &[::chart::Count]) -> Result<Section, ReportError> {
    let (stars, months, days) = (::chart::stars(counts), ::chart::months(counts), ::chart::weekdays(counts));
    let again = months.clone();
    let customers = asked.ask(ratings::CUSTOMERS, || ratings::pairs(ratings::CUSTOMERS))?;
    let movies = asked.ask(ratings::MOVIES, || ratings::pairs(ratings::MOVIES))?;
    let distribution: Drawing = Box::new(move |canvas| ::chart::distribution(&stars, canvas));
    let by_month: Drawing = Box::new(move |canvas| ::chart::by_month(&months, canvas));
    let means: Drawing = Box::new(move |canvas| ::chart::mean_by_month(&again, canvas));
    let weekdays: Drawing = Box::new(move |canvas| ::chart::by_weekday(&days, canvas));
    let activity: Drawing = Box::new(move |canvas| ::chart::activity(&customers, &movies, canvas));
    let popular = "SELECT coalesce(nullif(btrim(title), ''), 'movie ' || movie_id), release_year::text, to_char(rating_count, 'FM999,999,999,999'),
                          to_char(rating_mean, 'FM0.00')
                   FROM @extschema@.bi_movies ORDER BY rating_count DESC, movie_id LIMIT 10";
    let best = "SELECT coalesce(nullif(btrim(title), ''), 'movie ' || movie_id), release_year::text, to_char(rating_count, 'FM999,999,999,999'),
                       to_char(rating_mean, 'FM0.00')
                FROM @extschema@.movie_statistics ORDER BY damped_mean DESC NULLS LAST, movie_id LIMIT 10";
    let columns = [("movie", Text), ("year", Number), ("ratings", Number), ("mean", Number)];
    let parts = vec![
        charts(&[&distribution, &activity], 340)?,
        chart(&by_month, 300)?,
        charts(&[&means, &weekdays], 300)?,
        table("The movies with the most ratings", &columns, asked.rows(popular, &[], 4)?),
        table(
            "The movies with the best damped mean: the mean after 25 average ratings are added to each movie. The last column is the plain mean",
            &columns,
            asked.rows(best, &[], 4)?,
        ),
    ];
    Ok(Section { id: "explored", heading: "The ratings".into(), parts })
}

/// Models compared, how the best was trained, and the search. Also returns the best model.
fn compared(
    asked: &mut Asked,
    split: &str,
    number: Option<i64>,
) -> Result<(Section, Option<(String, i64)>), ReportError> {
    let mut parts = Vec::new();
    let mut best = None;
    if crate::models::find::deployed_names()?.is_empty() {
        parts.push(missing(NO_MODEL, TRAIN));
    } else if !asked.ask(models::HAS_PROBE, || models::has_test_set(split))? {
        parts.push(missing(
            "There is no probe to judge models by. To make a test set, train on the rest, and name it in the report:",
            "SELECT * FROM split_ratings('test'); SELECT * FROM train_als('als on test', split => 'test', deploy => true); \
             SELECT netflix_report(split => 'test');",
        ));
    } else {
        let name = format!("SELECT * FROM compare_models(split => {})", quoted(split));
        let compared = asked.ask(&name, || models::compare(split, None))?;
        // One that was trained on these ratings is not judged by them.
        let unseen = compared.models.iter().filter(|judged| judged.seen != Seen::Yes);
        let first = unseen.min_by(|one, other| one.rmse.total_cmp(&other.rmse)).cloned();
        let rows = compared.models.len() as i64;
        let drawing: Drawing = Box::new(move |canvas| ::chart::comparison(&compared, canvas));
        parts.push(chart(&drawing, 160 + 44 * rows.clamp(2, 14))?);
        if let Some(first) = first {
            let doubt = if first.seen == Seen::Unknown {
                " It is not known whether it was trained on some of these ratings."
            } else {
                ""
            };
            let model = &first.model;
            parts.push(Part::Text(format!("Of the deployed models, {model} has the lowest RMSE.{doubt}")));
            best = model
                .rsplit_once('@')
                .map(|(name, version)| (name.to_string(), version.parse().unwrap_or(1)));
        } else {
            parts.push(Part::Text(
                "All of these models were trained on ratings that judge them, so none is called the best."
                    .into(),
            ));
        }
    }
    let all = "SELECT model || '@' || version, state, algorithm, parameters, to_char(train_rmse, 'FM990.0000'),
                      to_char(coalesce(test_rmse, probe_rmse, held_out_rmse), 'FM990.0000'),
                      CASE WHEN test_rmse IS NOT NULL THEN 'split ' || split WHEN probe_rmse IS NOT NULL THEN 'probe'
                           WHEN held_out_rmse IS NOT NULL THEN 'held out' END, to_char(seconds, 'FM999,990.0')
               FROM @extschema@.bi_models
               ORDER BY state <> 'deployed', coalesce(test_rmse, probe_rmse, held_out_rmse), trained_at DESC LIMIT 20";
    let rows = asked.rows(all, &[], 8)?;
    if !rows.is_empty() {
        let columns = [
            ("model", Text),
            ("state", Text),
            ("algorithm", Text),
            ("parameters", Long),
            ("training RMSE", Number),
            ("test RMSE", Number),
            ("test set", Text),
            ("seconds", Number),
        ];
        let all = count("SELECT count(*) FROM @extschema@.bi_models")?;
        let caption = format!(
            "Models, deployed ones first: {}. RMSE is in stars. Numbers of different test sets cannot be compared",
            some(rows.len(), all)
        );
        parts.push(table(&caption, &columns, rows));
    }
    if let Some((model, version)) = &best {
        let name = format!("SELECT * FROM training_curve({}, {version})", quoted(model));
        let curve = asked.ask(&name, || models::training_curve(Some(model), Some(*version)))?;
        parts.push(chart(&curve, 320)?);
    }
    parts.push(Part::Heading("Search for the best parameters".into()));
    match number.map_or_else(search::latest, |number| Ok(Some(number)))? {
        None => parts.push(missing(
            "There is no search yet. To make one:",
            "SELECT * FROM grid_search('als', '{\"factors\": [10, 20, 50], \"regularization\": [0.03, 0.045, 0.06]}');",
        )),
        Some(number) => {
            let name = format!("SELECT chart_search({number})");
            let drawing = asked.ask(&name, || search::search(Some(number)))?;
            parts.push(chart(&drawing, 340)?);
        }
    }
    Ok((Section { id: "models", heading: "Models".into(), parts }, best))
}

const NO_MODEL: &str = "There is no deployed model yet. To train one:";
const TRAIN: &str = "SELECT * FROM train_als();";

/// A text as SQL has it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn count(query: &str) -> Result<i64, pg::Error> {
    Ok(query::select_one::<i64>(Snapshot::Statement, query, &[])?.unwrap_or(0))
}

/// How many of how many are shown.
fn some(shown: usize, all: i64) -> String {
    if shown as i64 == all { format!("all {all}") } else { format!("{shown} of {}", grouped(all)) }
}

/// Where the best model errs, and what its factors say.
fn errors(asked: &mut Asked, split: &str, best: &Option<(String, i64)>) -> Result<Section, ReportError> {
    let mut section = Section { id: "errors", heading: "Errors of the best model".into(), parts: Vec::new() };
    let Some((model, version)) = best else {
        section.parts.push(missing(
            "There is no model that was judged by ratings it has not seen. See the section above.",
            "",
        ));
        return Ok(section);
    };
    let mut drawings = Vec::new();
    for by in ["customer_ratings", "movie_ratings", "rating", "month"] {
        let name =
            format!("SELECT * FROM evaluate_slices({}, {}, '{by}', {version})", quoted(model), quoted(split));
        drawings.push(asked.ask(&name, || models::error_slices(Some(model), by, split, Some(*version)))?);
    }
    let name = format!("SELECT chart_factor_map({}, {version})", quoted(model));
    let map = asked.ask(&name, || models::factor_map(Some(model), Some(*version)))?;
    let all: Vec<&Drawing> = drawings.iter().collect();
    section.parts = vec![charts(&all[..2], 320)?, charts(&all[2..], 300)?, chart(&map, 560)?];
    Ok(section)
}

/// Recommendations for three customers, with explanations.
fn recommended(asked: &mut Asked) -> Result<Section, ReportError> {
    let mut section = Section { id: "recommendations", heading: "Recommendations".into(), parts: Vec::new() };
    if crate::models::find::deployed_names()?.is_empty() {
        section.parts.push(missing(NO_MODEL, TRAIN));
        return Ok(section);
    }
    let model = crate::models::find(None, None)?;
    // The first of the customers at each quantile, of those that the model knows.
    let quantiles = "WITH known AS (SELECT c.customer_id, c.rating_count FROM @extschema@.customer_factors f
                                    JOIN @extschema@.dim_customer c USING (customer_key) WHERE f.model_id = $1 AND c.rating_count > 0)
                     SELECT min(known.customer_id)::bigint, q.ratings
                     FROM (SELECT unnest(percentile_disc(ARRAY[0.25, 0.5, 0.9]) WITHIN GROUP (ORDER BY rating_count)) AS ratings
                           FROM known) AS q
                     JOIN known ON known.rating_count = q.ratings GROUP BY q.ratings ORDER BY q.ratings";
    let arguments = [model.model_id.into()];
    let customers: Vec<(i64, i64)> = asked.ask(quantiles, || {
        query::select(Snapshot::Statement, quantiles, &arguments, |row| Ok((need!(row, 1), need!(row, 2))))
    })?;
    section.parts.push(Part::Text(format!(
        "By model {}, which answers if none is named, for customers with few, a median number of, and many ratings: the quantiles \
         of 25, 50 and 90 %. Predictions are between 1 and 5 stars. The last column names the customer's ratings that raised the \
         prediction most. A low rating can raise it, too: the customer disliked the opposite of this movie.",
        models::label(&model.name, model.version)
    )));
    let list = "SELECT rank::text, coalesce(nullif(btrim(r.title), ''), 'movie ' || r.movie_id), release_year::text, to_char(predicted_rating, 'FM0.00'),
                       array_agg(e.title ORDER BY e.place) FILTER (WHERE e.title IS NOT NULL),
                       array_agg('(' || e.rating || CASE e.rating WHEN 1 THEN ' star)' ELSE ' stars)' END ORDER BY e.place)
                           FILTER (WHERE e.title IS NOT NULL)
                FROM @extschema@.recommend($1, 5) AS r
                LEFT JOIN LATERAL (SELECT coalesce(nullif(btrim(title), ''), 'movie ' || movie_id) AS title, rating, row_number() OVER (ORDER BY contribution DESC) AS place
                                   FROM @extschema@.explain($1, r.movie_id) WHERE rating IS NOT NULL AND contribution > 0
                                   ORDER BY contribution DESC LIMIT 2) AS e ON true
                GROUP BY rank, r.movie_id, r.title, release_year, predicted_rating ORDER BY rank";
    let columns =
        [("rank", Number), ("movie", Text), ("year", Number), ("prediction", Number), ("because of", Long)];
    for (customer, count) in customers {
        let rows = asked.rows_with_list(list, &[customer.into()], 4)?;
        section.parts.push(table(
            &format!("Customer {customer}, {} ratings", grouped(count)),
            &columns,
            rows,
        ));
    }
    Ok(section)
}

/// Communities of movies, and their network.
fn communities(asked: &mut Asked, graph: Option<&str>) -> Result<Section, ReportError> {
    let mut section = Section { id: "communities", heading: "Communities".into(), parts: Vec::new() };
    let Some(name) = graph.map_or_else(network::latest, |name| Ok(Some(name.into())))? else {
        section.parts.push(missing(
            "There is no graph yet. To make one:",
            "SELECT * FROM graph_project_movies('movies', min_common => 100);",
        ));
        return Ok(section);
    };
    let largest = "SELECT community::text, to_char(size, 'FM999,999,999'), to_char(density, 'FM0.000'),
                          ARRAY(SELECT coalesce(c.title, c.id::text) FROM unnest(central_ids, central_titles) WITH ORDINALITY AS c (id, title, place)
                                ORDER BY c.place), NULL::text[]
                   FROM @extschema@.graph_communities($1, (SELECT 'stored' FROM @extschema@.graphs WHERE graph = $1 AND communities > 0), titles => 6)
                   ORDER BY size DESC, community LIMIT 10";
    let rows = asked.rows_with_list(largest, &[name.as_str().into()], 3)?;
    let call = format!("SELECT chart_network({})", quoted(&name));
    let drawing = asked.ask(&call, || network::network(Some(&name), 60, "community", "pagerank"))?;
    let columns = [("community", Number), ("nodes", Number), ("density", Number), ("most central", Long)];
    section.parts.push(chart(&drawing, 660)?);
    section.parts.push(table(
        &format!("Communities of graph {name}, the largest first, at most ten"),
        &columns,
        rows,
    ));
    Ok(section)
}

/// The queries and their times.
fn made(asked: &Asked, seconds: f64) -> Section {
    let queries: f64 = asked.times.iter().map(|(_, seconds)| seconds).sum();
    let rows = asked
        .times
        .iter()
        .map(|(query, seconds)| vec![Cell::Code(query.clone()), format!("{seconds:.2}").into()])
        .collect();
    let text = format!("{queries:.1} seconds in these queries, {:.1} in everything else.", seconds - queries);
    let parts = vec![
        Part::Text(text),
        table("Queries, in their order", &[("query", Long), ("seconds", Number)], rows),
    ];
    Section { id: "made", heading: "How this report was made".into(), parts }
}
