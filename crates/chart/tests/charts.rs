//! Every chart, of usual, hostile and odd data, at every size.

use chart::*;
use proptest::prelude::*;

#[path = "../examples/gallery.rs"]
#[allow(dead_code)]
mod gallery;

const SVG: &str = "http://www.w3.org/2000/svg";

/// Parses a chart, and checks what holds of every one.
fn check(svg: &str, canvas: (i64, i64)) -> Vec<String> {
    assert!(svg.is_ascii());
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    let root = document.root_element();
    assert!(root.has_tag_name((SVG, "svg")));
    assert_eq!(root.attribute("role"), Some("img"));
    assert_eq!(root.attribute("width"), Some(canvas.0.to_string().as_str()));
    assert_eq!(root.attribute("height"), Some(canvas.1.to_string().as_str()));
    assert_eq!(root.attribute("viewBox"), Some(format!("0 0 {} {}", canvas.0, canvas.1).as_str()));
    let child = |name: &'static str| {
        root.children().find(|node| node.has_tag_name((SVG, name))).and_then(|node| node.text()).unwrap_or("")
    };
    assert!(!child("title").is_empty() && !child("desc").is_empty());
    let mut texts = Vec::new();
    for node in root.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        let known = [
            "svg", "title", "desc", "style", "defs", "g", "rect", "circle", "line", "path", "polyline",
            "text",
        ];
        assert!(known.contains(&name), "{name}");
        for attribute in node.attributes() {
            assert!(
                !attribute.name().starts_with("on") && attribute.name() != "id" && attribute.name() != "href"
            );
            let numeric =
                ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d", "width", "height", "points"];
            if numeric.contains(&attribute.name()) {
                assert!(
                    !attribute.value().contains("NaN") && !attribute.value().contains("inf"),
                    "{name} {attribute:?}"
                );
            }
        }
        if name == "text" {
            texts.push(node.text().unwrap_or("").to_string());
        }
    }
    texts
}

#[test]
fn charts_are_documents_of_any_size() {
    let sizes = [(320, 240), (340, 320), (760, 400), (4000, 4000)];
    for (name, _, draw) in gallery::charts() {
        for (width, height) in sizes {
            let canvas = Canvas::new(width, height, Theme::Auto).unwrap();
            let svg = draw(&canvas);
            check(&svg, (width, height));
            assert_eq!(svg, draw(&canvas), "{name}: the same data, the same bytes");
        }
    }
}

/// The colours of a document.
fn colors(svg: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let attributes = document.descendants().flat_map(|node| {
        node.attributes().map(|a| (a.name().to_string(), a.value().to_string())).collect::<Vec<_>>()
    });
    attributes
        .filter(|(name, value)| (name == "fill" || name == "stroke") && value != "none")
        .map(|(_, value)| value)
        .collect()
}

/// Every colour of the light theme has one in the dark theme, apart from the cells of a heat map, which stay, and no colour of the light
/// theme is left in the dark one.
#[test]
fn the_themes_have_a_colour_for_each_other() {
    for (name, height, draw) in gallery::charts().into_iter().filter(|(name, ..)| *name != "search_two") {
        let of = |theme| draw(&Canvas::new(760, height, theme).unwrap());
        let rules = of(Theme::Auto);
        let (light, dark) = (colors(&of(Theme::Light)), colors(&of(Theme::Dark)));
        assert_eq!(light.len(), dark.len());
        for (light, dark) in light.iter().zip(&dark) {
            assert_ne!(light, dark, "{name}");
            let scope = ".netflix-chart";
            let rule = format!(
                "{scope} [fill=\"{light}\"]{{fill:{dark}}}{scope} [stroke=\"{light}\"]{{stroke:{dark}}}"
            );
            assert!(rules.contains(&rule), "{name}: {rule}");
        }
    }
}

#[test]
fn sizes_and_themes_are_checked() {
    assert_eq!(
        Canvas::new(319, 400, Theme::Auto).unwrap_err().to_string(),
        "width must be from 320 to 4000 pixels, not 319"
    );
    assert!(Canvas::new(400, 4001, Theme::Auto).is_err());
    assert_eq!(Theme::named("blue"), Err(Error::Theme("blue".into())));
    assert!(Theme::NAMES.iter().all(|name| Theme::named(name).is_ok()));
}

/// Strings that have broken charts.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,250}",
        Just("<script>alert(1)</script>".to_string()),
        Just("]]></svg>".to_string()),
        Just("$x^2$ \\$ $$".to_string()),
        Just("&amp; &#x0; \u{0} \u{b} \u{fffe}".to_string()),
        Just("\u{202e}\u{5e9}\u{5dc}\u{5d5}\u{5dd}".to_string()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_names_and_numbers_make_a_document(
        models in prop::collection::vec((names(), 0.0f64..3.0, 0.0f64..1.0, any::<bool>()), 0..20),
        nodes in prop::collection::vec((names(), -1e6f64..1e6, -1e6f64..1e6, 0.0f64..1.0, prop::option::of(0usize..9)), 0..30),
        slices in prop::collection::vec((names(), 0i64..1_000_000, 0.0f64..4.0), 0..30),
        counts in prop::collection::vec((1i64..6, 0i64..2_000_000_000), 0..6),
        trials in prop::collection::vec((0.0f64..1e6, names(), any::<bool>(), 0.0f64..4.0, prop::option::of(0.0f64..1.0)), 0..20),
        parameters in 0usize..4,
        size in (320i64..1200, 240i64..900),
    ) {
        let canvas = Canvas::new(size.0, size.1, Theme::Auto).unwrap();
        let judged: Vec<Judged> = models.iter().map(|(model, rmse, width, is_trained_on)| Judged { model: model.clone(), rmse: *rmse, low: rmse - width, high: rmse + width, seen: if *is_trained_on { Seen::Yes } else { Seen::Unknown }, }).collect();
        let judged = Comparison { models: judged, which: "all".into(), judged_by: "the probe".into(), ratings: 10, sample: Some(0.3), confidence: 0.95 };
        check(&comparison(&judged, &canvas), size);
        let edges: Vec<Edge> = (1..nodes.len()).map(|to| Edge { from: to / 2, to, weight: to as f64 }).collect();
        let groups: Vec<Group> = nodes.iter().take(9).map(|node| Group { name: node.0.clone() }).collect();
        let graph: Vec<Node> = nodes.iter().map(|(label, x, y, size, group)| Node { label: label.clone(), x: *x, y: *y, size: *size, group: *group }).collect();
        check(&network(&nodes.first().map_or("graph".into(), |node| format!("Graph {}", node.0)), "", &graph, &edges, &groups, &canvas), size);
        let map: Vec<MapMovie> = nodes.iter().map(|(label, x, y, ..)| MapMovie { label: label.clone(), x: *x, y: *y, ratings: 3 }).collect();
        check(&factor_map("model", &map, [0.3, 0.2], &canvas), size);
        let slices: Vec<Slice> = slices.iter().map(|(name, n, rmse)| Slice { name: name.clone(), n: *n, rmse: *rmse }).collect();
        check(&error_slices("model", "rating", &slices, None, &canvas), size);
        check(&distribution(&counts, &canvas), size);
        let trials = trials.iter().map(|(number, text, is_text, score, sd)| Trial {
            values: (0..parameters).map(|at| if *is_text && at == 1 { Value::Text(text.clone()) } else { Value::Number(number / (at + 1) as f64) }).collect(),
            score: *score,
            sd: *sd,
        }).collect();
        let parameters = (0..parameters).map(|at| format!("parameter {at}")).collect();
        check(&search(&Search { title: "Search".into(), metric: "RMSE".into(), more_is_better: false, parameters, trials, note: String::new() }, &canvas), size);
    }

    #[test]
    fn any_months_make_a_document(
        months in prop::collection::vec((1990i32..2030, 1i32..13, 1i32..8, 1i32..6, 1i64..1_000_000), 0..40),
        size in (320i64..1200, 240i64..900),
    ) {
        let canvas = Canvas::new(size.0, size.1, Theme::Auto).unwrap();
        let counts: Vec<Count> = months.iter().map(|&(year, month, day_of_week, stars, count)| Count { year, month, day_of_week, stars, count }).collect();
        let months = months_of(&counts);
        check(&by_month(&months, &canvas), size);
        check(&mean_by_month(&months, &canvas), size);
        check(&by_weekday(&weekdays(&counts), &canvas), size);
        let total: i64 = counts.iter().map(|row| row.count).sum();
        prop_assert_eq!(months.iter().map(|month| month.count).sum::<i64>(), total);
        prop_assert_eq!(stars(&counts).iter().map(|row| row.1).sum::<i64>(), total);
        prop_assert_eq!(weekdays(&counts).iter().map(|row| row.1).sum::<i64>(), total);
    }
}

fn months_of(counts: &[Count]) -> Vec<Month> {
    months(counts)
}

/// What a chart says is what the data say.
#[test]
fn charts_say_what_the_data_say() {
    let canvas = Canvas::new(760, 400, Theme::Auto).unwrap();
    let texts = check(&distribution(&[(1, 25), (2, 75)], &canvas), (760, 400));
    for text in ["100 ratings, mean 1.75 stars", "25 %", "75 %"] {
        assert!(texts.iter().any(|other| other == text), "{text}: {texts:?}");
    }
    // The tops of the columns are as the numbers: the axis begins at 0.
    let svg = distribution(&[(1, 100), (2, 50)], &canvas);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let path = document.descendants().filter(|node| node.attribute("fill") == Some("#0072b2"));
    let heights: Vec<f64> = path.filter_map(|node| node.attribute("height")?.parse().ok()).collect();
    assert_eq!(heights.len(), 2, "{svg}");
    assert!((heights[0] / heights[1] - 2.0).abs() < 0.01, "{heights:?}");
    let trial = |factors: f64, score| Trial { values: vec![Value::Number(factors)], score, sd: Some(0.01) };
    let of = |more_is_better| Search {
        title: "Search".into(),
        metric: "NDCG".into(),
        more_is_better,
        parameters: vec!["factors".into()],
        trials: vec![trial(10.0, 0.3), trial(20.0, 0.5)],
        note: String::new(),
    };
    assert!(search(&of(true), &canvas).contains("best: NDCG 0.5000 with factors 20"));
    assert!(search(&of(false), &canvas).contains("best: NDCG 0.3000 with factors 10"));
}

/// A month without ratings lies between its neighbours.
#[test]
fn months_have_no_gaps() {
    let count = |year, month, stars| Count { year, month, day_of_week: 1, stars, count: 2 };
    let found = months_of(&[count(2003, 11, 5), count(2003, 11, 4), count(2004, 1, 1)]);
    let expected = [(2003, 11, 4, Some(4.5)), (2003, 12, 0, None), (2004, 1, 2, Some(1.0))];
    assert_eq!(found, expected.map(|(year, month, count, mean)| Month { year, month, count, mean }));
}

#[test]
fn the_report_is_one_page_with_escaped_texts() {
    use chart::page::{Cell, Column, Part, Report, Section, Table};
    let bad = "<script>alert(1)</script> & \"q\" \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{1f600}";
    let table = Table {
        caption: bad.into(),
        columns: vec![(bad.into(), Column::Text), ("n".into(), Column::Number)],
        rows: vec![vec![bad.into(), Cell::List(vec![(bad.into(), bad.into())])]],
    };
    let report = Report {
        title: bad.into(),
        subtitle: bad.into(),
        figures: vec![(bad.into(), bad.into())],
        sections: vec![Section {
            id: "one",
            heading: bad.into(),
            parts: vec![
                Part::Heading(bad.into()),
                Part::Text(bad.into()),
                Part::Table(table),
                Part::Missing { message: bad.into(), statement: bad.into() },
            ],
        }],
    };
    let html = report.html();
    assert!(html.starts_with("<!DOCTYPE html>") && html.is_ascii());
    assert!(!html.contains("<script") && html.matches("&lt;script&gt;").count() >= 9);
    assert_eq!(html, report.html());
    assert!(html.contains("<bdi>") && html.contains("scope=\"col\"") && html.contains("<section id=\"one\""));
}
