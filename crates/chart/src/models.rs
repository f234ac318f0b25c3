//! Charts of models: which is better, how they were trained, where they err, and what their factors say of movies.

use kuva::plot::{BarPlot, LinePlot};
use kuva::render::plots::Plot;
use kuva::render::render::TextAnchor;

use crate::axes::{Axes, Axis};
use crate::canvas::Canvas;
use crate::frame::Frame;
use crate::labels::{self, Point};
use crate::shapes::{TEXT_SIZE, disc, halo, label, line, rectangle};
use crate::{ink, number, text};

/// What trains a model.
const TRAIN: &str = "To train one: SELECT * FROM train_als();";
/// The height of the headings and the axis, and the least height of a row, in pixels.
const AROUND_ROWS: f64 = 120.0;
const ROW: f64 = 15.0;
/// The most slices that have a row of their own; more are columns.
const MOST_ROWS: usize = 14;

/// How many rows a chart has room for.
fn rows(canvas: &Canvas) -> usize {
    ((canvas.height - AROUND_ROWS) / ROW).max(2.0) as usize
}

/// A model's RMSE with its interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Name and version.
    pub model: String,
    /// RMSE, in stars.
    pub rmse: f64,
    /// The interval of the RMSE: from.
    pub low: f64,
    /// To.
    pub high: f64,
    /// Whether it was trained on some of these ratings.
    pub seen: Seen,
}

/// Whether a model was trained on some of the ratings that judge it. Its RMSE is then lower than on ratings that it has not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// It was not.
    No,
    /// It is not known.
    Unknown,
    /// It was.
    Yes,
}

impl Seen {
    fn ink(self) -> ink::Ink {
        match self {
            Seen::No => ink::SERIES[0],
            Seen::Unknown => ink::SERIES[4],
            Seen::Yes => ink::OTHER,
        }
    }

    fn note(self) -> &'static str {
        match self {
            Seen::No => "not trained on these ratings",
            Seen::Unknown => "perhaps trained on some of them",
            Seen::Yes => "trained on some of them: its RMSE is too low",
        }
    }
}

/// Models that are judged by the same ratings.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The models.
    pub models: Vec<Judged>,
    /// Which models they are, in words that follow 'RMSE of'.
    pub which: String,
    /// What the ratings are called that judge them.
    pub judged_by: String,
    /// Number of these ratings.
    pub ratings: i64,
    /// The share of the customers whose ratings they are, if it is not all of them.
    pub sample: Option<f64>,
    /// The probability of the intervals.
    pub confidence: f64,
}

/// Models by their RMSE, the best one first. Those that were trained on the ratings that judge them come last, and do not decide how far
/// the axis goes.
pub fn comparison(comparison: &Comparison, canvas: &Canvas) -> String {
    let Comparison { which, judged_by, ratings, sample, confidence, .. } = comparison;
    let all = comparison.models.len();
    let mut models: Vec<&Judged> = comparison.models.iter().collect();
    let is_last = |judged: &Judged| judged.seen == Seen::Yes;
    models.sort_by(|one, other| is_last(one).cmp(&is_last(other)).then(one.rmse.total_cmp(&other.rmse)));
    models.truncate(rows(canvas));
    let part = if models.len() < all { format!("; {} of {all} models", models.len()) } else { String::new() };
    let sample =
        sample.map_or_else(String::new, |share| format!(" of {} of the customers", number::percent(share)));
    let spoken = |judged: &&Judged| match judged.seen {
        Seen::No => format!("{} {:.4}", judged.model, judged.rmse),
        seen => format!("{} {:.4} ({})", judged.model, judged.rmse, seen.note()),
    };
    let mut frame = Frame {
        canvas: *canvas,
        title: "Models compared".into(),
        subtitle: format!(
            "RMSE of {which} on {judged_by}, {} ratings{sample}, with {} intervals; lower is better{part}",
            number::grouped(*ratings),
            number::percent(*confidence)
        ),
        description: format!("The best first: {}", models.iter().map(spoken).collect::<Vec<_>>().join(", ")),
        legend: vec![],
    };
    if models.is_empty() {
        return frame.empty("There are no models to compare.", TRAIN);
    }
    if models.iter().any(|judged| judged.seen != Seen::No) {
        let kinds = [Seen::No, Seen::Unknown, Seen::Yes].into_iter();
        let shown = kinds.filter(|&seen| models.iter().any(|judged| judged.seen == seen));
        frame.legend = shown.map(|seen| (seen.ink(), seen.note().into())).collect();
    }
    let theme = canvas.theme;
    frame.finish(|width, height| {
        let rows = models.len() as f64;
        let names =
            models.iter().rev().map(|judged| text::shorten(&judged.model, TEXT_SIZE, 0.33 * width)).collect();
        let is_scale = |judged: &&&Judged| !is_last(judged) || models.iter().all(|judged| is_last(judged));
        let ends = models.iter().filter(is_scale).flat_map(|judged| [judged.low, judged.high]);
        let x = Axis::measure("RMSE, stars", ends);
        let mut axes = Axes::draw(theme, width, height, x, Axis::categories("", names), vec![]);
        let (left, _, right, _) = axes.area();
        // Rows that are too near to each other have no room for a number above the mark.
        let has_room =
            models.len() == 1 || (axes.at(0.0, 1.0).1 - axes.at(0.0, 2.0).1).abs() >= 2.4 * TEXT_SIZE;
        for (place, judged) in models.iter().enumerate() {
            let row = rows - place as f64;
            let ink = judged.seen.ink();
            let ((low, y), (high, _), middle) =
                (axes.at(judged.low, row), axes.at(judged.high, row), axes.at(judged.rmse, row));
            let value = format!("{:.4}", judged.rmse);
            if low < left || high > right {
                // It lies beyond the axis, which is not made for it.
                let note = format!("{value}, beyond this axis");
                axes.scene.add(label(theme, ink::MUTED, left + 8.0, y + 4.0, &note, TextAnchor::Start));
                continue;
            }
            for (from, to) in
                [((low, y), (high, y)), ((low, y - 7.0), (low, y + 7.0)), ((high, y - 7.0), (high, y + 7.0))]
            {
                axes.scene.add(line(theme, ink, from, to, 2.0));
            }
            axes.scene.add(disc(theme, ink, middle, 4.5));
            if has_room {
                let half = text::width(&value, TEXT_SIZE) / 2.0;
                let x = middle.0.clamp(left + half, right - half);
                axes.scene.add(label(theme, ink::MUTED, x, y - 9.0, &value, TextAnchor::Middle));
            }
        }
        axes.scene
    })
}

/// An iteration of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct Iteration {
    /// Its number, from 1.
    pub iteration: i64,
    /// RMSE on the ratings trained on, in stars.
    pub train: f64,
    /// RMSE on ratings that were not trained on, in stars; `None` if there are none.
    pub held_out: Option<f64>,
}

/// A chart of a model, if there is no model.
pub fn no_model(title: &str, canvas: &Canvas) -> String {
    let (subtitle, description, legend) = (String::new(), String::new(), vec![]);
    Frame { canvas: *canvas, title: title.into(), subtitle, description, legend }
        .empty("There is no deployed model.", TRAIN)
}

/// A chart of errors, if there are no ratings to judge models by.
pub fn no_test_set(title: &str, canvas: &Canvas) -> String {
    let (subtitle, description, legend) = (String::new(), String::new(), vec![]);
    let remedy = "To make a test set: SELECT * FROM split_ratings('test'); then train with split => 'test', and name the split here.";
    Frame { canvas: *canvas, title: title.into(), subtitle, description, legend }
        .empty("There is no probe to judge models by.", remedy)
}

/// The RMSE of a model after each iteration of its training.
pub fn training_curve(model: &str, iterations: &[Iteration], canvas: &Canvas) -> String {
    let train: Vec<(f64, f64)> = iterations.iter().map(|row| (row.iteration as f64, row.train)).collect();
    let held_out: Vec<(f64, f64)> =
        iterations.iter().filter_map(|row| Some((row.iteration as f64, row.held_out?))).collect();
    let series = [("ratings trained on", train), ("ratings held out", held_out)];
    let spoken = |(name, curve): &(&str, Vec<(f64, f64)>)| match (curve.first(), curve.last()) {
        (Some(first), Some(last)) => Some(format!("{name}: from {:.4} to {:.4}", first.1, last.1)),
        _ => None,
    };
    let mut frame = Frame {
        canvas: *canvas,
        title: format!("Training of {}", text::clean(model)),
        subtitle: "RMSE after each iteration; lower is better".into(),
        description: format!("Lines. {}", series.iter().filter_map(spoken).collect::<Vec<_>>().join("; ")),
        legend: vec![],
    };
    if iterations.is_empty() {
        return frame.empty("This model was trained without iterations.", "");
    }
    let series: Vec<_> =
        series.into_iter().zip(ink::SERIES).filter(|((_, curve), _)| !curve.is_empty()).collect();
    frame.legend = series.iter().map(|((name, _), ink)| (*ink, name.to_string())).collect();
    let theme = canvas.theme;
    frame.finish(|width, height| {
        let y = Axis::measure(
            "RMSE, stars",
            series.iter().flat_map(|((_, curve), _)| curve.iter().map(|point| point.1)),
        );
        let last = iterations.iter().map(|row| row.iteration).max().unwrap_or(1) as f64;
        // A tick at whole iterations only.
        let step = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
            .into_iter()
            .find(|step| last / step <= 10.0)
            .unwrap_or(last / 8.0);
        let x = Axis::numbers("iteration", 0.0, last.max(2.0)).every(step);
        let mut plots: Vec<Plot> = Vec::new();
        for ((_, curve), ink) in &series {
            plots.push(
                LinePlot::new()
                    .with_data(curve.clone())
                    .with_color(theme.color(*ink))
                    .with_stroke_width(2.0)
                    .into(),
            );
        }
        let mut axes = Axes::draw(theme, width, height, x, y, plots);
        if last <= 60.0 {
            for ((_, curve), ink) in &series {
                for &(x, y) in curve {
                    let at = axes.at(x, y);
                    axes.scene.add(disc(theme, *ink, at, 3.5));
                }
            }
        }
        axes.scene
    })
}

/// The ratings of one kind, and how well a model predicts them.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Which ratings.
    pub name: String,
    /// Number of these ratings.
    pub n: i64,
    /// RMSE, in stars.
    pub rmse: f64,
}

/// The RMSE of a model on the ratings of each kind; `by` says what divides them. `sample` is the share of the customers whose ratings they
/// are, if it is not all of them.
pub fn error_slices(model: &str, by: &str, slices: &[Slice], sample: Option<f64>, canvas: &Canvas) -> String {
    let sample = sample.map_or_else(String::new, |share| {
        format!(" on ratings of {} of the customers", number::percent(share))
    });
    let spoken = |slice: &Slice| format!("{}: {:.3}", slice.name, slice.rmse);
    let mut frame = Frame {
        canvas: *canvas,
        title: format!("Errors of {} by {}", text::clean(model), text::clean(by)),
        subtitle: format!("RMSE{sample}; in brackets, the share of the test ratings; lower is better"),
        description: format!("Bars. {}", slices.iter().map(spoken).collect::<Vec<_>>().join(", ")),
        legend: vec![],
    };
    if slices.is_empty() {
        return frame.empty("There are no ratings to judge the model by.", "");
    }
    let theme = canvas.theme;
    let total: i64 = slices.iter().map(|slice| slice.n).sum();
    let most = slices.iter().map(|slice| slice.rmse).fold(0.0, f64::max);
    if slices.len() > MOST_ROWS.min(rows(canvas)) {
        frame.subtitle = format!("RMSE{sample}; lower is better");
        return frame.finish(|width, height| {
            let bars: Vec<(String, f64)> =
                slices.iter().map(|slice| (text::literal(&slice.name), slice.rmse)).collect();
            let plot = BarPlot::new().with_bars(bars).with_color(theme.color(ink::SERIES[0]));
            let y = Axis::numbers("RMSE, stars", 0.0, (1.05 * most).max(0.1));
            let x = Axis::numbers("", 0.5, slices.len() as f64 + 0.5).bare();
            let mut axes = Axes::draw(theme, width, height, x, y, vec![plot.into()]);
            let names = slices.iter().zip(1..).map(|(slice, place)| (f64::from(place), slice.name.clone()));
            axes.label_x(theme, &names.collect::<Vec<_>>());
            axes.scene
        });
    }
    frame.finish(|width, height| {
        let names =
            slices.iter().rev().map(|slice| text::shorten(&slice.name, TEXT_SIZE, 0.33 * width)).collect();
        let x = Axis::numbers("RMSE, stars", 0.0, (1.05 * most).max(0.1));
        let mut axes = Axes::draw(theme, width, height, x, Axis::categories("", names), vec![]);
        for (place, slice) in slices.iter().enumerate() {
            let row = (slices.len() - place) as f64;
            let ((left, top), (right, bottom)) = (axes.at(0.0, row + 0.36), axes.at(slice.rmse, row - 0.36));
            axes.scene.add(rectangle(theme, ink::SERIES[0], (left, top), (right, bottom)));
            let content = format!("{:.3}  ({})", slice.rmse, number::percent(slice.n as f64 / total as f64));
            if bottom - top > TEXT_SIZE {
                let y = (top + bottom) / 2.0 + 0.35 * TEXT_SIZE;
                // In the bar or, if it is too short, beside it.
                let fits = text::width(&content, TEXT_SIZE) < right - left - 12.0;
                let (ink, x) = if fits { (ink::BACKGROUND, right - 8.0) } else { (ink::TEXT, right + 6.0) };
                let anchor = if fits { TextAnchor::End } else { TextAnchor::Start };
                axes.scene.add(label(theme, ink, x, y, &content, anchor));
            }
        }
        axes.scene
    })
}

/// A movie on the map of a model's factors.
#[derive(Clone, Debug, PartialEq)]
pub struct MapMovie {
    /// What it is called.
    pub label: String,
    /// Its place on the first principal axis.
    pub x: f64,
    /// On the second one.
    pub y: f64,
    /// Number of its ratings: the best-known movies have labels.
    pub ratings: i64,
}

/// Movies by the two principal axes of a model's movie factors. `explained` is the share of the variance that each axis explains.
pub fn factor_map(model: &str, movies: &[MapMovie], explained: [f64; 2], canvas: &Canvas) -> String {
    let mut movies: Vec<&MapMovie> =
        movies.iter().filter(|movie| movie.x.is_finite() && movie.y.is_finite()).collect();
    movies.sort_by_key(|movie| std::cmp::Reverse(movie.ratings));
    let frame = Frame {
        canvas: *canvas,
        title: format!("Movies by the factors of {}", text::clean(model)),
        subtitle: format!(
            "the {} movies with the most ratings, of those that the model knows; near movies tend to please the same customers",
            number::grouped(movies.len() as i64)
        ),
        description: "Points on the two axes along which the movies' factors differ most".into(),
        legend: vec![],
    };
    if movies.is_empty() {
        return frame.empty("This model has no factors to draw.", TRAIN);
    }
    let theme = canvas.theme;
    frame.finish(|width, height| {
        let axis = |name: &str, share: f64, place: fn(&MapMovie) -> f64| {
            let label = format!("{name} axis, {} of the variance", number::percent(share));
            Axis::measure(&label, movies.iter().map(|movie| place(movie)))
        };
        let x = axis("first", explained[0], |movie| movie.x);
        let y = axis("second", explained[1], |movie| movie.y);
        let mut axes = Axes::draw(theme, width, height, x, y, vec![]);
        let points: Vec<Point> = movies
            .iter()
            .map(|movie| {
                let (x, y) = axes.at(movie.x, movie.y);
                Point { x, y, radius: 2.5, label: text::shorten(&movie.label, TEXT_SIZE, 0.3 * width) }
            })
            .collect();
        for point in &points {
            axes.scene.add(disc(theme, ink::SERIES[0], (point.x, point.y), point.radius));
        }
        let order: Vec<usize> = (0..points.len()).collect();
        let placed =
            labels::place(&points, &order, if canvas.is_narrow() { 12 } else { 40 }, TEXT_SIZE, axes.area());
        let texts = placed
            .iter()
            .map(|at| label(theme, ink::TEXT, at.x, at.y, &points[at.point].label, TextAnchor::Start));
        axes.scene.elements.extend(halo(theme, texts));
        axes.scene
    })
}
