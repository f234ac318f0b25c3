//! Charts of the ratings: how many stars, when, and how many by each customer and of each movie.

use std::collections::BTreeMap;

use kuva::plot::{BarPlot, LinePlot};
use kuva::render::plots::Plot;
use kuva::render::render::TextAnchor;

use crate::axes::{Axes, Axis};
use crate::canvas::Canvas;
use crate::frame::Frame;
use crate::shapes::{TEXT_SIZE, disc, label};
use crate::{ink, number, text};

/// What loads ratings.
const LOAD: &str = "To load some: SELECT * FROM netflix_load('/data');";
const NO_RATINGS: &str = "There are no ratings.";

/// How many ratings there are of each kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    /// Year.
    pub year: i32,
    /// Month of the year, 1 to 12.
    pub month: i32,
    /// Day of the week, 1 (Monday) to 7 (Sunday).
    pub day_of_week: i32,
    /// 1 to 5 stars.
    pub stars: i32,
    /// Number of ratings.
    pub count: i64,
}

/// Ratings by stars: 1 to 5, and how many.
pub fn stars(counts: &[Count]) -> Vec<(i64, i64)> {
    let of = |stars| counts.iter().filter(|row| row.stars == stars).map(|row| row.count).sum();
    (1..=5).map(|stars| (i64::from(stars), of(stars))).collect()
}

/// Ratings by weekday.
pub fn weekdays(counts: &[Count]) -> Vec<(String, i64)> {
    let of = |day| counts.iter().filter(|row| row.day_of_week == day).map(|row| row.count).sum();
    let names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    (1..).zip(names).map(|(day, name)| (name.into(), of(day))).collect()
}

/// Ratings by month, from the first month with ratings to the last one.
pub fn months(counts: &[Count]) -> Vec<Month> {
    let number = |row: &Count| 12 * row.year + row.month - 1;
    let mut months: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
    for row in counts {
        let (count, sum) = months.entry(number(row)).or_default();
        *count += row.count;
        *sum += row.count * i64::from(row.stars);
    }
    let (Some((&first, _)), Some((&last, _))) = (months.first_key_value(), months.last_key_value()) else {
        return Vec::new();
    };
    (first..=last)
        .map(|number| {
            let (count, sum) = months.get(&number).copied().unwrap_or_default();
            let mean = (count > 0).then(|| sum as f64 / count as f64);
            Month { year: number.div_euclid(12), month: number.rem_euclid(12) + 1, count, mean }
        })
        .collect()
}

/// The ratings of a month.
#[derive(Clone, Debug, PartialEq)]
pub struct Month {
    /// Year.
    pub year: i32,
    /// Month of the year, 1 to 12.
    pub month: i32,
    /// Number of ratings.
    pub count: i64,
    /// Mean of these ratings, in stars; `None` if there are none.
    pub mean: Option<f64>,
}

impl Month {
    /// Months since the year 0: the place on the axis of time.
    fn number(&self) -> f64 {
        f64::from(12 * self.year + self.month - 1)
    }
}

/// How often each number of stars was given: `(stars, number of ratings)`.
pub fn distribution(counts: &[(i64, i64)], canvas: &Canvas) -> String {
    let total: i64 = counts.iter().map(|(_, count)| count).sum();
    let stars: f64 = counts.iter().map(|&(stars, count)| stars as f64 * count as f64).sum();
    let mean = stars / total as f64;
    let share = |count: i64| number::percent(count as f64 / total as f64);
    let spoken = |&(stars, count): &(i64, i64)| format!("{stars}: {}", share(count));
    let frame = Frame {
        canvas: *canvas,
        title: "Ratings by stars".into(),
        subtitle: format!("{} ratings, mean {mean:.2} stars", number::grouped(total)),
        description: format!("Bars: {}", counts.iter().map(spoken).collect::<Vec<_>>().join(", ")),
        legend: vec![],
    };
    if total == 0 {
        return frame.empty(NO_RATINGS, LOAD);
    }
    let bars = counts.iter().map(|&(stars, count)| (stars.to_string(), count, share(count))).collect();
    columns(frame, "stars", bars)
}

/// Ratings by weekday: `(name of the day, number of ratings)`, in the order to show.
pub fn by_weekday(counts: &[(String, i64)], canvas: &Canvas) -> String {
    let total: i64 = counts.iter().map(|(_, count)| count).sum();
    let share = |count: i64| number::percent(count as f64 / total as f64);
    let spoken = |(day, count): &(String, i64)| format!("{day}: {}", share(*count));
    let frame = Frame {
        canvas: *canvas,
        title: "Ratings by weekday".into(),
        subtitle: format!("{} ratings", number::grouped(total)),
        description: format!("Bars: {}", counts.iter().map(spoken).collect::<Vec<_>>().join(", ")),
        legend: vec![],
    };
    if total == 0 {
        return frame.empty(NO_RATINGS, LOAD);
    }
    let name = |day: &String| if canvas.is_narrow() { day.chars().take(3).collect() } else { day.clone() };
    let bars = counts.iter().map(|(day, count)| (name(day), *count, share(*count))).collect();
    columns(frame, "", bars)
}

/// Columns from 0, each with a text above it: `(name, number of ratings, text)`.
fn columns(frame: Frame, axis: &str, bars: Vec<(String, i64, String)>) -> String {
    let theme = frame.canvas.theme;
    frame.finish(|width, height| {
        let most = bars.iter().map(|&(_, count, _)| count).max().unwrap_or(0) as f64;
        let values = bars.iter().map(|(name, count, _)| (text::literal(name), *count as f64));
        let plot =
            BarPlot::new().with_bars(values.collect::<Vec<_>>()).with_color(theme.color(ink::SERIES[0]));
        let names = bars.iter().map(|(name, ..)| name.clone()).collect();
        let x = Axis::categories(axis, names);
        let mut axes = Axes::draw(
            theme,
            width,
            height,
            x,
            Axis::numbers("ratings", 0.0, 1.12 * most),
            vec![plot.into()],
        );
        for (place, (_, count, above)) in bars.iter().enumerate() {
            let (x, y) = axes.at(place as f64 + 1.0, *count as f64);
            axes.scene.add(label(theme, ink::MUTED, x, y - 5.0, above, TextAnchor::Middle));
        }
        axes.scene
    })
}

/// Number of ratings of each month.
pub fn by_month(months: &[Month], canvas: &Canvas) -> String {
    let total: i64 = months.iter().map(|month| month.count).sum();
    let frame = Frame {
        canvas: *canvas,
        title: "Ratings by month".into(),
        subtitle: format!("{} ratings{}", number::grouped(total), span(months)),
        description: match months.iter().max_by_key(|month| month.count) {
            Some(most) => format!("Line. Most ratings: {} in {}", number::grouped(most.count), name(most)),
            None => String::new(),
        },
        legend: vec![],
    };
    if total == 0 {
        return frame.empty(NO_RATINGS, LOAD);
    }
    let theme = canvas.theme;
    frame.finish(|width, height| {
        let most = months.iter().map(|month| month.count).max().unwrap_or(0) as f64;
        let line = LinePlot::new()
            .with_data(months.iter().map(|month| (month.number(), month.count as f64)).collect::<Vec<_>>())
            .with_color(theme.color(ink::SERIES[0]))
            .with_stroke_width(2.0)
            .with_fill()
            .with_fill_opacity(0.2);
        let y = Axis::numbers("ratings", 0.0, 1.05 * most);
        Axes::draw(theme, width, height, time(months, width), y, vec![line.into()]).scene
    })
}

/// Mean rating of each month that has ratings.
pub fn mean_by_month(months: &[Month], canvas: &Canvas) -> String {
    let means: Vec<(f64, f64)> =
        months.iter().filter_map(|month| Some((month.number(), month.mean?))).collect();
    let spoken = |month: Option<&Month>| match month {
        Some(month @ Month { mean: Some(mean), .. }) => format!("{mean:.2} in {}", name(month)),
        _ => String::new(),
    };
    let rated = || months.iter().filter(|month| month.mean.is_some());
    let frame = Frame {
        canvas: *canvas,
        title: "Mean rating by month".into(),
        subtitle: format!("mean of each month's ratings{}", span(months)),
        description: format!("Line from {} to {}", spoken(rated().next()), spoken(rated().next_back())),
        legend: vec![],
    };
    if means.is_empty() {
        return frame.empty(NO_RATINGS, LOAD);
    }
    let theme = canvas.theme;
    frame.finish(|width, height| {
        let y = Axis::measure("stars", means.iter().map(|&(_, mean)| mean));
        // A line for each run of months that have ratings.
        let runs: Vec<&[(f64, f64)]> = means.chunk_by(|one, other| other.0 - one.0 < 1.5).collect();
        let line = |run: &&[(f64, f64)]| {
            let line = LinePlot::new().with_data(run.to_vec());
            line.with_color(theme.color(ink::SERIES[0])).with_stroke_width(2.0).into()
        };
        let mut axes =
            Axes::draw(theme, width, height, time(months, width), y, runs.iter().map(line).collect());
        for run in runs.iter().filter(|run| run.len() == 1) {
            let at = axes.at(run[0].0, run[0].1);
            axes.scene.add(disc(theme, ink::SERIES[0], at, 2.5));
        }
        axes.scene
    })
}

/// How many ratings customers have given and movies have got, on logarithmic scales: the share that has at least so many. Each list
/// is `(number of ratings, how many customers or movies have exactly so many)`.
pub fn activity(customers: &[(i64, i64)], movies: &[(i64, i64)], canvas: &Canvas) -> String {
    let series = [("customers", at_least(customers)), ("movies", at_least(movies))];
    let spoken = |name, counts| {
        format!("half of the {name} have at least {} ratings", number::grouped(median(counts)))
    };
    let mut frame = Frame {
        canvas: *canvas,
        title: "Ratings by customer and by movie".into(),
        subtitle: "share that has at least this many ratings".into(),
        description: format!(
            "Two falling lines: {}, {}",
            spoken("customers", customers),
            spoken("movies", movies)
        ),
        legend: vec![],
    };
    if series.iter().all(|(_, curve)| curve.is_empty()) {
        return frame.empty(NO_RATINGS, LOAD);
    }
    frame.legend = ink::SERIES.into_iter().zip(series.iter().map(|(name, _)| name.to_string())).collect();
    let theme = canvas.theme;
    frame.finish(|width, height| {
        let points = || series.iter().flat_map(|(_, curve)| curve);
        let most = points().map(|point| point.0).fold(10.0, f64::max);
        let least = points().map(|point| point.1).fold(1.0, f64::min);
        let plots: Vec<Plot> = series
            .iter()
            .zip(ink::SERIES)
            .filter(|((_, curve), _)| !curve.is_empty())
            .map(|((_, curve), ink)| {
                LinePlot::new()
                    .with_data(curve.clone())
                    .with_color(theme.color(ink))
                    .with_stroke_width(2.0)
                    .into()
            })
            .collect();
        let x = Axis::numbers("ratings", 1.0, most).log();
        let y = Axis::numbers("share", least.min(0.1), 1.0).log().written(number::percent);
        Axes::draw(theme, width, height, x, y, plots).scene
    })
}

/// The number of ratings that half of the customers or movies have at least, of those that have any.
fn median(counts: &[(i64, i64)]) -> i64 {
    let mut counts: Vec<(i64, i64)> = counts.iter().copied().filter(|&(ratings, _)| ratings > 0).collect();
    counts.sort_unstable();
    let mut left: i64 = counts.iter().map(|&(_, number)| number).sum();
    let half = (left + 1) / 2;
    let mut median = 0;
    for (ratings, number) in counts {
        if left < half {
            break;
        }
        median = ratings;
        left -= number;
    }
    median
}

/// The share that has at least so many ratings, at about 150 points that are equally far from each other on a logarithmic axis.
fn at_least(counts: &[(i64, i64)]) -> Vec<(f64, f64)> {
    let mut counts: Vec<(i64, i64)> = counts.iter().copied().filter(|&(ratings, _)| ratings > 0).collect();
    counts.sort_unstable();
    let total: i64 = counts.iter().map(|&(_, number)| number).sum();
    let most = counts.last().map_or(1, |&(ratings, _)| ratings) as f64;
    let step = most.ln() / 150.0;
    let (mut curve, mut left, mut next) = (Vec::new(), total, f64::NEG_INFINITY);
    for (place, &(ratings, number)) in counts.iter().enumerate() {
        let x = (ratings as f64).ln();
        if x >= next || place + 1 == counts.len() {
            curve.push((ratings as f64, left as f64 / total as f64));
            next = x + step;
        }
        left -= number;
    }
    curve
}

/// The axis of time, with ticks at the beginnings of years, quarters or months.
fn time(months: &[Month], width: f64) -> Axis {
    let first = months.first().map_or(0.0, Month::number);
    let last = months.last().map_or(0.0, Month::number).max(first + 1.0);
    // As many labels as fit, with as much space between them.
    let most = (width / (8.0 * TEXT_SIZE)).max(2.0);
    let step = [1.0, 3.0, 6.0, 12.0, 24.0, 60.0, 120.0, 240.0]
        .into_iter()
        .find(|step| (last - first) / step <= most);
    Axis::numbers("", first, last).every(step.unwrap_or(600.0)).written(|number| {
        let (year, month) = ((number / 12.0).floor(), number.rem_euclid(12.0) as usize);
        if month == 0 { format!("{year}") } else { format!("{} {year}", MONTHS[month]) }
    })
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn name(month: &Month) -> String {
    format!("{} {}", MONTHS[(month.month - 1).rem_euclid(12) as usize], month.year)
}

/// From when to when, for a subtitle.
fn span(months: &[Month]) -> String {
    match (months.first(), months.last()) {
        (Some(first), Some(last)) if first != last => format!(", {} to {}", name(first), name(last)),
        (Some(only), _) => format!(", {}", name(only)),
        _ => String::new(),
    }
}
