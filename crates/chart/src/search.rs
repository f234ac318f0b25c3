//! The chart of a search: as a line for one parameter, as a heat map for two, as parallel axes for more.

use kuva::render::render::{Primitive, Scene, TextAnchor};

use crate::axes::{Axes, Axis};
use crate::canvas::Canvas;
use crate::frame::Frame;
use crate::shapes::{TEXT_SIZE, disc, halo, label, line};
use crate::{ink, number, text};

/// A parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// Anything else.
    Text(String),
}

impl Value {
    fn written(&self) -> String {
        match self {
            Value::Number(value) => number::significant(*value, 6),
            Value::Text(text) => text::clean(text),
        }
    }
}

/// A point of the space that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The values of the parameters that differ between trials, in the order of [`Search::parameters`].
    pub values: Vec<Value>,
    /// Its score.
    pub score: f64,
    /// Standard deviation of the folds' scores; `None` if there is one.
    pub sd: Option<f64>,
}

/// A search for the best parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What is tried: kind, algorithm, number.
    pub title: String,
    /// The name of the score.
    pub metric: String,
    /// Whether a greater score is better.
    pub more_is_better: bool,
    /// The parameters that differ between trials.
    pub parameters: Vec<String>,
    /// The trials that were judged alike.
    pub trials: Vec<Trial>,
    /// What is to be said of other trials; may be empty.
    pub note: String,
}

/// The scores of some trials.
struct Scores {
    least: f64,
    most: f64,
    more_is_better: bool,
}

impl Scores {
    fn of(search: &Search) -> Scores {
        let scores = || search.trials.iter().map(|trial| trial.score);
        let (least, most) =
            (scores().fold(f64::INFINITY, f64::min), scores().fold(f64::NEG_INFINITY, f64::max));
        Scores { least, most, more_is_better: search.more_is_better }
    }

    /// Where a score lies between the worst one, 0, and the best one, 1.
    fn goodness(&self, score: f64) -> f64 {
        let Scores { least, most, more_is_better } = *self;
        let share = if most > least { (score - least) / (most - least) } else { 1.0 };
        if more_is_better || most == least { share } else { 1.0 - share }
    }

    /// How many decimals tell scores apart.
    fn decimals(&self) -> usize {
        (number::decimals(self.most - self.least) + 1).min(5)
    }
}

impl Search {
    /// The best trial.
    fn best(&self) -> Option<&Trial> {
        let by_score = |one: &&Trial, other: &&Trial| one.score.total_cmp(&other.score);
        if self.more_is_better {
            self.trials.iter().max_by(by_score)
        } else {
            self.trials.iter().min_by(by_score)
        }
    }

    /// Whether the points of two parameters fill a heat map, for which the chart has room.
    fn is_grid(&self, canvas: &Canvas) -> bool {
        let (columns, rows) = (self.values(0).len(), self.values(1).len());
        let fits =
            20.0 * columns as f64 <= canvas.width - 100.0 && 16.0 * rows as f64 <= canvas.height - 120.0;
        fits && columns * rows <= 2 * self.trials.len()
    }

    /// The different values of a parameter, in ascending order; texts after numbers.
    fn values(&self, parameter: usize) -> Vec<Value> {
        let mut values: Vec<Value> =
            self.trials.iter().filter_map(|trial| trial.values.get(parameter).cloned()).collect();
        values.sort_by(|one, other| match (one, other) {
            (Value::Number(one), Value::Number(other)) => one.total_cmp(other),
            (Value::Text(one), Value::Text(other)) => one.cmp(other),
            (Value::Number(_), Value::Text(_)) => std::cmp::Ordering::Less,
            (Value::Text(_), Value::Number(_)) => std::cmp::Ordering::Greater,
        });
        values.dedup();
        values
    }

    /// A function that says where a value lies on an axis from 0 to 1, and the ticks there. Numbers that span more than a factor of 20 are
    /// on a logarithmic scale.
    fn scale(&self, parameter: usize) -> (impl Fn(&Value) -> f64, Vec<(f64, String)>) {
        let values = self.values(parameter);
        let numbers: Option<Vec<f64>> = values
            .iter()
            .map(|value| if let Value::Number(value) = value { Some(*value) } else { None })
            .collect();
        let ends = numbers
            .and_then(|numbers| Some((*numbers.first()?, *numbers.last()?)))
            .filter(|(from, to)| from < to);
        let is_log = ends.is_some_and(|(from, to)| from > 0.0 && to / from > 20.0);
        // Few values have a tick each. Many have ticks at equal distances.
        let between = ends.filter(|_| values.len() > 8);
        let tick_values: Vec<f64> = match between {
            Some((from, to)) => {
                let tick =
                    |at: f64| if is_log { from * (to / from).powf(at) } else { from + at * (to - from) };
                (0..5).map(|at| tick(f64::from(at) / 4.0)).collect()
            }
            None => Vec::new(),
        };
        let written: Vec<(Value, String)> = match between {
            Some(_) => {
                tick_values.iter().map(|&at| (Value::Number(at), number::significant(at, 3))).collect()
            }
            None => values.iter().map(|value| (value.clone(), value.written())).collect(),
        };
        let place = move |value: &Value| match (value, ends) {
            (Value::Number(value), Some((from, to))) if is_log => (value / from).ln() / (to / from).ln(),
            (Value::Number(value), Some((from, to))) => (value - from) / (to - from),
            _ if values.len() < 2 => 0.5,
            _ => {
                values.iter().position(|other| other == value).unwrap_or(0) as f64 / (values.len() - 1) as f64
            }
        };
        let ticks = written.into_iter().map(|(value, text)| (place(&value), text)).collect();
        (place, ticks)
    }
}

/// The chart of a search, if there is no search.
pub fn no_search(canvas: &Canvas) -> String {
    let title = "Search for the best parameters".into();
    let (subtitle, description, legend) = (String::new(), String::new(), vec![]);
    Frame { canvas: *canvas, title, subtitle, description, legend }.empty(
        "There is no search.",
        "To make one: SELECT * FROM grid_search('als', '{\"factors\": [10, 20, 50]}');",
    )
}

/// The scores of a search.
pub fn search(search: &Search, canvas: &Canvas) -> String {
    let best = search.best().map(|best| {
        let values = search
            .parameters
            .iter()
            .zip(&best.values)
            .map(|(name, value)| format!("{name} {}", value.written()));
        format!("best: {} {:.4} with {}", search.metric, best.score, values.collect::<Vec<_>>().join(", "))
    });
    let note = if search.note.is_empty() { String::new() } else { format!("; {}", search.note) };
    let best = best.unwrap_or_default() + &note;
    let frame = Frame {
        canvas: *canvas,
        title: search.title.clone(),
        subtitle: best.clone(),
        description: format!("{}; {best}", number::counted(search.trials.len(), "trial")),
        legend: vec![],
    };
    if search.trials.is_empty() {
        let message = format!("No trial of this search was judged yet{note}.");
        return frame.empty(&message, "The view searches shows how far it is.");
    }
    match search.parameters.len() {
        0 => frame.empty("This search has only one point, so there is nothing to compare.", ""),
        1 => by_one(search, frame),
        2 if search.is_grid(canvas) => heat_map(search, frame),
        _ => parallel(search, frame),
    }
}

/// A point with its standard deviation for each value of the only parameter.
fn by_one(search: &Search, frame: Frame) -> String {
    let theme = frame.canvas.theme;
    let mut trials: Vec<&Trial> = search.trials.iter().collect();
    let (place, ticks) = search.scale(0);
    trials.sort_by(|one, other| place(&one.values[0]).total_cmp(&place(&other.values[0])));
    frame.finish(|width, height| {
        let ends = trials
            .iter()
            .flat_map(|trial| [trial.score - trial.sd.unwrap_or(0.0), trial.score + trial.sd.unwrap_or(0.0)]);
        let has_sd = trials.iter().any(|trial| trial.sd.is_some());
        let kind = if has_sd { ", mean and standard deviation" } else { "" };
        let y = Axis::measure(&format!("{}{kind}", search.metric), ends);
        // The values stand at their places on an axis of our own, because they may be texts.
        let x = Axis::numbers(&search.parameters[0], -0.06, 1.06).bare();
        let mut axes = Axes::draw(theme, width, height, x, y, vec![]);
        axes.label_x(theme, &ticks);
        let points: Vec<(f64, f64)> =
            trials.iter().map(|trial| axes.at(place(&trial.values[0]), trial.score)).collect();
        for pair in points.windows(2) {
            axes.scene.add(line(theme, ink::SERIES[0], pair[0], pair[1], 2.0));
        }
        let best = search.best();
        for (trial, &(x, y)) in trials.iter().zip(&points) {
            if let Some(sd) = trial.sd {
                let (low, high) = (axes.at(0.0, trial.score - sd).1, axes.at(0.0, trial.score + sd).1);
                for (from, to) in [
                    ((x, low), (x, high)),
                    ((x - 4.0, low), (x + 4.0, low)),
                    ((x - 4.0, high), (x + 4.0, high)),
                ] {
                    axes.scene.add(line(theme, ink::SERIES[0], from, to, 1.5));
                }
            }
            let is_best = best == Some(trial);
            axes.scene.add(disc(
                theme,
                ink::SERIES[usize::from(is_best)],
                (x, y),
                if is_best { 6.0 } else { 4.5 },
            ));
        }
        axes.scene
    })
}

/// A cell for each pair of values, the lighter, the better.
fn heat_map(search: &Search, frame: Frame) -> String {
    let theme = frame.canvas.theme;
    let (columns, rows) = (search.values(0), search.values(1));
    frame.finish(|width, height| {
        let names = |values: &[Value]| {
            values.iter().map(|value| text::shorten(&value.written(), TEXT_SIZE, 0.25 * width)).collect()
        };
        let x = Axis::categories(&search.parameters[0], names(&columns));
        let y = Axis::categories(&search.parameters[1], names(&rows));
        let mut axes = Axes::draw(theme, width, height, x, y, vec![]);
        let (best, scores) = (search.best(), Scores::of(search));
        let mut outline = None;
        for trial in &search.trials {
            let place = |values: &[Value], value: &Value| {
                values.iter().position(|other| other == value).unwrap_or(0) as f64 + 1.0
            };
            let (column, row) = (place(&columns, &trial.values[0]), place(&rows, &trial.values[1]));
            let ((left, top), (right, bottom)) =
                (axes.at(column - 0.5, row + 0.5), axes.at(column + 0.5, row - 0.5));
            let (fill, ink) = ink::viridis(scores.goodness(trial.score));
            let cell = |fill: &str, stroke: &str, by: f64, border: f64| Primitive::Rect {
                x: left + by,
                y: top + by,
                width: (right - left - 2.0 * by).max(1.0),
                height: (bottom - top - 2.0 * by).max(1.0),
                fill: fill.into(),
                stroke: Some(stroke.into()),
                stroke_width: Some(border),
                opacity: None,
            };
            axes.scene.add(cell(&fill, theme.color(ink::BACKGROUND), 0.0, 1.0));
            if best == Some(trial) {
                outline = Some(cell("none", theme.color(ink::SERIES[1]), 2.0, 3.0));
            }
            let score = format!("{:.*}", scores.decimals(), trial.score);
            if text::width(&score, TEXT_SIZE) < right - left - 4.0 && bottom - top > 1.3 * TEXT_SIZE {
                let (x, y) = ((left + right) / 2.0, (top + bottom) / 2.0 + 0.35 * TEXT_SIZE);
                let Primitive::Text { x, y, content, size, anchor, rotate, bold, .. } =
                    label(theme, ink::TEXT, x, y, &score, TextAnchor::Middle)
                else {
                    continue;
                };
                axes.scene.add(Primitive::Text {
                    x,
                    y,
                    content,
                    size,
                    anchor,
                    rotate,
                    bold,
                    color: Some(ink.into()),
                });
            }
        }
        axes.scene.elements.extend(outline);
        axes.scene
    })
}

/// An axis for each parameter and one for the score, and a line across them for each trial. The better a trial, the darker in the light
/// theme its line: the best one is drawn last, in a colour of its own.
fn parallel(search: &Search, mut frame: Frame) -> String {
    let theme = frame.canvas.theme;
    frame.legend = vec![
        (ink::SERIES[1], "best trial".into()),
        (ink::SERIES[0], "best quarter".into()),
        (ink::OTHER, "other trials".into()),
    ];
    let score = search.parameters.len();
    let mut trials: Vec<&Trial> = search.trials.iter().collect();
    let scores = Scores::of(search);
    trials.sort_by(|one, other| scores.goodness(one.score).total_cmp(&scores.goodness(other.score)));
    frame.finish(|width, height| {
        let mut scene = Scene::new(width, height);
        let (side, top, bottom) = (0.09 * width, 34.0, height - 16.0);
        let x = |axis: usize| side + (width - 2.0 * side) * axis as f64 / score as f64;
        let y = |share: f64| bottom - share * (bottom - top);
        let scales: Vec<_> = (0..score).map(|parameter| search.scale(parameter)).collect();
        for (place, trial) in trials.iter().enumerate() {
            let ink = match trials.len() - place {
                1 => ink::SERIES[1],
                left if 4 * left <= trials.len() => ink::SERIES[0],
                _ => ink::OTHER,
            };
            let heights = trial.values.iter().zip(&scales).map(|(value, (at, _))| y(at(value)));
            let points: Vec<(f64, f64)> = heights
                .chain([y(scores.goodness(trial.score))])
                .enumerate()
                .map(|(axis, y)| (x(axis), y))
                .collect();
            scene.add(Primitive::PolyLine {
                points,
                stroke: theme.color(ink).into(),
                stroke_width: if place + 1 == trials.len() { 3.0 } else { 1.2 },
                stroke_dasharray: None,
            });
        }
        let mut texts = Vec::new();
        let room = (width - 2.0 * side) / score as f64 - 6.0;
        for axis in 0..=score {
            scene.add(line(theme, ink::AXIS, (x(axis), top), (x(axis), bottom), 1.5));
            let name = text::shorten(search.parameters.get(axis).unwrap_or(&search.metric), TEXT_SIZE, room);
            let anchor = if axis == 0 {
                TextAnchor::Start
            } else if axis == score {
                TextAnchor::End
            } else {
                TextAnchor::Middle
            };
            let at = if axis == 0 {
                12.0
            } else if axis == score {
                width - 12.0
            } else {
                x(axis)
            };
            texts.push(label(theme, ink::TEXT, at, 14.0, &name, anchor));
            let ticks: Vec<(f64, String)> = match scales.get(axis) {
                Some((_, ticks)) => ticks.clone(),
                None => [trials.first(), trials.last()]
                    .into_iter()
                    .flatten()
                    .map(|trial| (scores.goodness(trial.score), format!("{:.4}", trial.score)))
                    .collect(),
            };
            let mut taken: Vec<f64> = Vec::new();
            for (share, text) in ticks {
                if taken.iter().any(|other| (y(*other) - y(share)).abs() < 1.2 * TEXT_SIZE) {
                    continue;
                }
                taken.push(share);
                // Beside the line, on the side that has room.
                let (at, anchor) = if axis == score {
                    (x(axis) - 6.0, TextAnchor::End)
                } else {
                    (x(axis) + 6.0, TextAnchor::Start)
                };
                // The scores stand on the left of their axis.
                let score = if axis + 1 == score { text::width("0.0000", TEXT_SIZE) + 8.0 } else { 0.0 };
                let text = text::shorten(&text, TEXT_SIZE, room - score);
                texts.push(label(theme, ink::TEXT, at, y(share) + 0.35 * TEXT_SIZE, &text, anchor));
            }
        }
        scene.elements.extend(halo(theme, texts));
        scene
    })
}
