//! Axes with ticks, by kuva, in the colours and sizes of this crate.

use std::sync::Arc;

use kuva::plot::ScatterPlot;
use kuva::render::layout::{AxisLabelOverlap, ComputedLayout, Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, TextAnchor, render_multiple};
use kuva::render::theme::Theme as KuvaTheme;

use crate::canvas::Theme;
use crate::ink;
use crate::shapes::{TEXT_SIZE, label, line};
use crate::{number, text};

/// Writes a tick, for a value and the decimals that tell the ticks apart.
type Format = Arc<dyn Fn(f64, usize) -> String + Send + Sync>;

/// One axis.
pub struct Axis {
    label: String,
    from: f64,
    to: f64,
    is_log: bool,
    step: Option<f64>,
    format: Format,
    categories: Option<Vec<String>>,
}

impl Axis {
    /// An axis of numbers with thousands' units.
    pub fn numbers(label: &str, from: f64, to: f64) -> Axis {
        // Below a thousand, all ticks have the same decimals.
        let format: Format = Arc::new(|value, decimals| {
            if value.abs() < 1000.0 && decimals > 0 {
                number::fixed(value, decimals)
            } else {
                number::short(value)
            }
        });
        Axis { label: label.into(), from, to, is_log: false, step: None, format, categories: None }
    }

    /// An axis of an error or another measure: with as many decimals as tell its ticks apart, and a margin at both ends.
    pub fn measure(label: &str, values: impl IntoIterator<Item = f64>) -> Axis {
        let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            (from, to) = (from.min(value), to.max(value));
        }
        if from > to {
            (from, to) = (0.0, 1.0);
        }
        let margin = (0.06 * (to - from)).max(0.002 * to.abs()).max(1e-4);
        (from, to) = (from - margin, to + margin);
        let format: Format = Arc::new(number::fixed);
        Axis { format, ..Axis::numbers(label, from, to) }
    }

    /// An axis of categories: the first one is at 1.
    pub fn categories(label: &str, names: Vec<String>) -> Axis {
        let to = names.len() as f64 + 0.5;
        Axis {
            categories: Some(names.iter().map(|name| text::literal(name)).collect()),
            ..Axis::numbers(label, 0.5, to)
        }
    }

    /// The same axis on a logarithmic scale.
    pub fn log(self) -> Axis {
        Axis { is_log: true, ..self }
    }

    /// The same axis with a tick at each multiple of `step`.
    pub fn every(self, step: f64) -> Axis {
        Axis { step: Some(step), ..self }
    }

    /// The same axis without ticks: [`Axes::label_x`] writes them.
    pub fn bare(self) -> Axis {
        let all = 10.0 * (self.to - self.from);
        self.every(all).written(|_| String::new())
    }

    /// The same axis with ticks in another form.
    pub fn written(self, format: impl Fn(f64) -> String + Send + Sync + 'static) -> Axis {
        Axis { format: Arc::new(move |value, _| format(value)), ..self }
    }
}

impl Axis {
    /// The same axis with ticks at the multiples of 1, 2 or 5 times a power of ten, so that there are about `ticks` of them, unless it
    /// has a step, names or a logarithmic scale.
    fn with_step(self, ticks: f64) -> Axis {
        if self.step.is_some() || self.is_log || self.categories.is_some() {
            return self;
        }
        let least = (self.to - self.from) / ticks.clamp(3.0, 10.0);
        let power = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0].into_iter().map(|times| times * power).find(|&step| step >= least);
        self.every(step.unwrap_or(10.0 * power))
    }

    fn tick_format(&self) -> TickFormat {
        let format = self.format.clone();
        let decimals = self.step.map_or(0, |step| (-step.log10().floor()).clamp(0.0, 6.0) as usize);
        TickFormat::Custom(Arc::new(move |value| format(value, decimals)))
    }
}

/// Axes with what kuva draws between them.
pub struct Axes {
    pub scene: Scene,
    computed: ComputedLayout,
}

impl Axes {
    /// Draws plots between axes, in a scene of this size.
    pub fn draw(theme: Theme, width: f64, height: f64, x: Axis, y: Axis, plots: Vec<Plot>) -> Axes {
        // About one tick for every 80 pixels of width and 50 of height.
        let (x, y) = (x.with_step(width / 80.0), y.with_step(height / 50.0));
        let layout = || {
            let mut layout = Layout::new((x.from, x.to), (y.from, y.to))
                .with_width(width)
                .with_height(height)
                .with_theme(colors(theme))
                .with_label_size(TEXT_SIZE as u32)
                .with_tick_size(TEXT_SIZE as u32 - 1)
                .with_x_axis_min(x.from)
                .with_x_axis_max(x.to)
                .with_y_axis_min(y.from)
                .with_x_label_overlap(AxisLabelOverlap::Thin)
                .with_x_tick_format(x.tick_format())
                .with_y_tick_format(y.tick_format());
            if !x.label.is_empty() {
                layout = layout.with_x_label(text::literal(&x.label));
            }
            if !y.label.is_empty() {
                layout = layout.with_y_label(text::literal(&y.label));
            }
            if let Some(step) = x.step {
                layout = layout.with_x_tick_step(step);
            }
            if let Some(step) = y.step {
                layout = layout.with_y_tick_step(step);
            }
            if let Some(names) = &x.categories {
                layout = layout.with_x_categories(names.clone());
            }
            if let Some(names) = &y.categories {
                layout = layout.with_y_categories(names.clone());
            }
            if x.is_log {
                layout = layout.with_log_x();
            }
            if y.is_log {
                // kuva measures its own ticks here, not ours.
                let powers = (y.from.log10().floor() as i32..=y.to.log10().ceil() as i32)
                    .map(|power| (y.format)(10_f64.powi(power), 0));
                let widest = powers.map(|tick| text::width(&tick, TEXT_SIZE)).fold(0.0, f64::max);
                layout = layout.with_log_y().with_force_margins(widest + 36.0, 2.0 * TEXT_SIZE);
            }
            if y.categories.is_some() || !y.is_log {
                layout = layout.with_y_axis_max(y.to);
            }
            layout
        };
        let computed = ComputedLayout::from_layout(&layout());
        let mut plots = plots;
        if plots.is_empty() {
            // Without a plot, kuva draws no axes. This one is invisible.
            let middle = vec![((x.from + x.to) / 2.0, (y.from + y.to) / 2.0)];
            plots.push(ScatterPlot::new().with_data(middle).with_color("none").with_size(0.0).into());
        }
        Axes { scene: render_multiple(plots, layout()), computed }
    }

    /// Where a point of the data lies, in pixels.
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.computed.map_x(x), self.computed.map_y(y))
    }

    /// Writes ticks below the horizontal axis, as many as have room without touching each other or leaving the chart.
    pub fn label_x(&mut self, theme: Theme, ticks: &[(f64, String)]) {
        let (bottom, width) = (self.area().3, self.computed.width);
        let mut free = 0.0;
        for (at, text) in ticks {
            let x = self.computed.map_x(*at);
            let half = text::width(text, TEXT_SIZE) / 2.0;
            if x - half > free && x + half < width {
                self.scene.add(line(theme, ink::AXIS, (x, bottom), (x, bottom + 5.0), 1.0));
                self.scene.add(label(theme, ink::TEXT, x, bottom + 18.0, text, TextAnchor::Middle));
                free = x + half + 8.0;
            }
        }
    }

    /// The plot between the axes: left, top, right, bottom, in pixels.
    pub fn area(&self) -> (f64, f64, f64, f64) {
        let ComputedLayout { width, height, margin_left, margin_right, margin_top, margin_bottom, .. } =
            &self.computed;
        (*margin_left, *margin_top, width - margin_right, height - margin_bottom)
    }
}

fn colors(theme: Theme) -> KuvaTheme {
    KuvaTheme {
        background: theme.color(ink::BACKGROUND).into(),
        axis_color: theme.color(ink::AXIS).into(),
        tick_color: theme.color(ink::AXIS).into(),
        grid_color: theme.color(ink::GRID).into(),
        text_color: theme.color(ink::TEXT).into(),
        ..KuvaTheme::light()
    }
}
