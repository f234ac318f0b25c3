//! Writes each chart, of made-up numbers, as a file into a folder: `cargo run -p chart --example gallery FOLDER [WIDTH]`.

use chart::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: gallery FOLDER [WIDTH]")?;
    let width: i64 = arguments.next().map_or(Ok(760), |width| width.parse())?;
    std::fs::create_dir_all(&folder)?;
    for (name, height, draw) in charts() {
        let canvas = Canvas::new(width, height, Theme::Auto)?;
        std::fs::write(format!("{folder}/{name}.svg"), draw(&canvas))?;
    }
    Ok(())
}

/// Name, height and function of each chart.
pub fn charts() -> Vec<(&'static str, i64, Box<dyn Fn(&Canvas) -> String>)> {
    let months: Vec<Month> = (0..74)
        .map(|month| Month {
            year: 1999 + (month + 10) / 12,
            month: (month + 10) % 12 + 1,
            count: i64::from(month * month * 900 + 400),
            mean: Some(3.4 + 0.003 * f64::from(month) + 0.03 * f64::from(month % 5)),
        })
        .collect();
    let again = months.clone();
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let days: Vec<(String, i64)> =
        days.iter().zip(1..).map(|(day, at)| (day.to_string(), 10_000_000 + 500_000 * at)).collect();
    let judged = |model: &str, rmse: f64| Judged {
        model: model.into(),
        rmse,
        low: rmse - 0.001,
        high: rmse + 0.0012,
        seen: if model.starts_with('b') {
            Seen::Yes
        } else if model.starts_with('s') {
            Seen::Unknown
        } else {
            Seen::No
        },
    };
    let models = vec![
        judged("als@1", 0.9114),
        judged("svdpp@2", 0.8967),
        judged("a long name that somebody gave to a blend@12", 0.8871),
        judged("baseline@1", 0.9734),
    ];
    let curve: Vec<Iteration> = (1..=15)
        .map(|at| Iteration {
            iteration: at,
            train: 0.8 + 0.3 / at as f64,
            held_out: Some(0.9 + 0.1 / at as f64 + 0.001 * at as f64),
        })
        .collect();
    let slices: Vec<Slice> = ["0", "1 to 9", "10 to 99", "100 to 999", "1000 and more"]
        .iter()
        .zip([1.1, 1.02, 0.95, 0.9, 0.88])
        .zip([40, 3000, 51_000, 820_000, 400_000])
        .map(|((name, rmse), n)| Slice { name: name.to_string(), n, rmse })
        .collect();
    let map: Vec<MapMovie> = (0..300)
        .map(|at| MapMovie {
            label: format!("The Movie of {at} & Co."),
            x: (f64::from(at) * 0.7).sin() * f64::from(at % 17),
            y: (f64::from(at) * 1.3).cos() * f64::from(at % 11),
            ratings: i64::from(1000 - at),
        })
        .collect();
    let space = |parameters: &[&str], trials: Vec<Trial>| Search {
        title: "Search 3: grid of als".into(),
        metric: "RMSE".into(),
        more_is_better: false,
        parameters: parameters.iter().map(|name| name.to_string()).collect(),
        trials,
        note: String::new(),
    };
    let one = space(
        &["regularization"],
        [0.005, 0.01, 0.02, 0.05, 0.1, 0.2]
            .iter()
            .map(|&x: &f64| Trial {
                values: vec![Value::Number(x)],
                score: 0.88 + (x.ln() + 3.0).powi(2) / 100.0,
                sd: Some(0.004),
            })
            .collect(),
    );
    let mut cells = Vec::new();
    let mut many = Vec::new();
    for factors in [8.0, 16.0, 32.0, 64.0] {
        for regularization in [0.02, 0.045, 0.06] {
            cells.push(Trial {
                values: vec![Value::Number(factors), Value::Number(regularization)],
                score: 0.9 - factors / 1000.0 + (regularization - 0.045_f64).abs(),
                sd: None,
            });
            for kind in ["biases", "mean"] {
                let values =
                    vec![Value::Number(factors), Value::Number(regularization), Value::Text(kind.into())];
                many.push(Trial {
                    values,
                    score: 0.9 - factors / 1000.0 + if kind == "mean" { 0.01 } else { regularization / 10.0 },
                    sd: None,
                });
            }
        }
    }
    let (two, three) =
        (space(&["factors", "regularization"], cells), space(&["factors", "regularization", "kind"], many));
    let nodes: Vec<Node> = (0..60)
        .map(|at| {
            let angle = f64::from(at) * 2.399_963;
            Node {
                label: format!("The Movie of {at} & Co."),
                x: f64::from(at).sqrt() * angle.cos(),
                y: f64::from(at).sqrt() * angle.sin(),
                size: f64::from(60 - at),
                group: Some(at as usize % 8),
            }
        })
        .collect();
    let edges: Vec<Edge> = (0..60)
        .flat_map(|from| {
            [8, 13, 21].map(|step| Edge { from, to: (from + step) % 60, weight: 1.0 / step as f64 })
        })
        .collect();
    let groups: Vec<Group> = (1..=8).map(|at| Group { name: format!("{at}: The Movie of {at}") }).collect();
    let of = |models: &[Judged]| Comparison {
        models: models.to_vec(),
        which: "the deployed models".into(),
        judged_by: "the probe".into(),
        ratings: 1_408_395,
        sample: None,
        confidence: 0.95,
    };
    let crowd: Vec<Judged> =
        (0..90).map(|at| judged(&format!("candidate {at}@1"), 0.9 + f64::from(at) / 900.0)).collect();
    let all_months: Vec<Slice> = (0..73)
        .map(|at| Slice {
            name: format!("{}-{:02}", 1999 + at / 12, at % 12 + 1),
            n: 1000 + at,
            rmse: 0.9 + (at % 7) as f64 / 50.0,
        })
        .collect();
    let fine = space(
        &["learning_rate", "regularization"],
        (0..900)
            .map(|at| Trial {
                values: vec![
                    Value::Number(0.001 * f64::from(at / 30 + 1)),
                    Value::Number(0.01 * f64::from(at % 30 + 1)),
                ],
                score: 0.9 + f64::from(at % 77) / 1000.0,
                sd: None,
            })
            .collect(),
    );
    vec![
        ("comparison_many", 320, Box::new(move |canvas| comparison(&of(&crowd), canvas))),
        (
            "error_slices_many",
            320,
            Box::new(move |canvas| error_slices("als@1", "month", &all_months, None, canvas)),
        ),
        ("search_fine", 320, Box::new(move |canvas| search(&fine, canvas))),
        (
            "distribution",
            380,
            Box::new(|canvas| {
                distribution(
                    &[(1, 4_617_990), (2, 10_132_080), (3, 28_811_247), (4, 33_750_958), (5, 23_168_232)],
                    canvas,
                )
            }),
        ),
        ("by_month", 320, Box::new(move |canvas| by_month(&months, canvas))),
        ("mean_by_month", 320, Box::new(move |canvas| mean_by_month(&again, canvas))),
        ("by_weekday", 320, Box::new(move |canvas| by_weekday(&days, canvas))),
        (
            "activity",
            380,
            Box::new(|canvas| {
                let customers: Vec<(i64, i64)> =
                    (1..3000).map(|at| (at, 1_000_000 / (at * at) + 1)).collect();
                let movies: Vec<(i64, i64)> = (1..800).map(|at| (at * at, 800 / at)).collect();
                activity(&customers, &movies, canvas)
            }),
        ),
        ("comparison", 280, Box::new(move |canvas| comparison(&of(&models), canvas))),
        ("training_curve", 340, Box::new(move |canvas| training_curve("als@1", &curve, canvas))),
        (
            "error_slices",
            340,
            Box::new(move |canvas| error_slices("als@1", "customer_ratings", &slices, None, canvas)),
        ),
        ("factor_map", 520, Box::new(move |canvas| factor_map("als@1", &map, [0.12, 0.07], canvas))),
        ("search_one", 340, Box::new(move |canvas| search(&one, canvas))),
        ("search_two", 340, Box::new(move |canvas| search(&two, canvas))),
        ("search_three", 380, Box::new(move |canvas| search(&three, canvas))),
        (
            "network",
            620,
            Box::new(move |canvas| network("Graph movies", "60 movies", &nodes, &edges, &groups, canvas)),
        ),
        ("empty", 320, Box::new(|canvas| distribution(&[], canvas))),
    ]
}
