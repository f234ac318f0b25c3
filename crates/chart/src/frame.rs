//! What surrounds a plot: the SVG element with its title and description, headings, and the legend.

use kuva::backend::svg::SvgBackend;
use kuva::render::render::{Primitive, Scene, TextAnchor};

use crate::canvas::{Canvas, Theme};
use crate::ink::{self, Ink};
use crate::shapes::{TEXT_SIZE, label, rectangle};
use crate::text;

/// The fonts of a chart: those that the reader's system uses for its own texts.
const FONTS: &str = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif";

const MARGIN: f64 = 12.0;
const TITLE_SIZE: f64 = 16.0;

/// The headings and the legend of a chart.
pub struct Frame {
    pub canvas: Canvas,
    pub title: String,
    /// The line below the title; may be empty.
    pub subtitle: String,
    /// What the chart shows, in words, for those who cannot see it.
    pub description: String,
    /// The name of each series beside its colour.
    pub legend: Vec<(Ink, String)>,
}

impl Frame {
    /// The chart: `draw` draws the plot into a scene of the given width and height.
    pub fn finish(self, draw: impl FnOnce(f64, f64) -> Scene) -> String {
        let (canvas, theme) = (self.canvas, self.canvas.theme);
        let width = canvas.width;
        let mut scene = Scene::new(width, canvas.height).with_background(None);
        let mut y = MARGIN;
        for line in text::wrap(&self.title, 1.1 * TITLE_SIZE, width - 2.0 * MARGIN, 2) {
            y += TITLE_SIZE;
            scene.add(heading(theme, MARGIN, y, &line, TITLE_SIZE, true));
            y += 5.0;
        }
        for line in text::wrap(&self.subtitle, TEXT_SIZE, width - 2.0 * MARGIN, 3) {
            y += TEXT_SIZE;
            scene.add(heading(theme, MARGIN, y, &line, TEXT_SIZE, false));
            y += 5.0;
        }
        y = self.legend_rows(&mut scene, y);
        let plot = draw(width, canvas.height - y);
        let shift = Primitive::GroupStart {
            transform: Some(format!("translate(0,{y:.0})")),
            title: None,
            extra_attrs: None,
        };
        scene.add(shift);
        // Clips have ids that kuva counts in the whole process, and all that is drawn lies in the plot anyway.
        let is_clip =
            |element: &Primitive| matches!(element, Primitive::ClipStart { .. } | Primitive::ClipEnd);
        scene.elements.extend(plot.elements.into_iter().filter(|element| !is_clip(element)));
        scene.add(Primitive::GroupEnd);
        self.document(&scene)
    }

    /// A chart without data: says so, and which statement helps.
    pub fn empty(mut self, message: &str, remedy: &str) -> String {
        let theme = self.canvas.theme;
        self.legend.clear();
        self.subtitle.clear();
        self.description = format!("{message} {remedy}");
        self.finish(|width, height| {
            let mut scene = Scene::new(width, height);
            let most = width - 2.0 * MARGIN;
            let lines = text::wrap(message, TEXT_SIZE, most, 2).into_iter().map(|line| (line, ink::TEXT));
            let remedy = text::wrap(remedy, TEXT_SIZE, most, 3).into_iter().map(|line| (line, ink::MUTED));
            for (at, (line, ink)) in lines.chain(remedy).enumerate() {
                let y = 0.4 * height + 1.6 * TEXT_SIZE * at as f64;
                scene.add(label(theme, ink, width / 2.0, y, &line, TextAnchor::Middle));
            }
            scene
        })
    }

    /// Draws the legend below `y`, and returns where it ends.
    fn legend_rows(&self, scene: &mut Scene, y: f64) -> f64 {
        if self.legend.is_empty() {
            return y + 4.0;
        }
        let (theme, swatch, most) = (self.canvas.theme, TEXT_SIZE - 2.0, self.canvas.width - 2.0 * MARGIN);
        let (mut x, mut y) = (MARGIN, y + 6.0 + TEXT_SIZE);
        // A plot needs most of the height.
        let lowest = (0.5 * self.canvas.height).max(y);
        for (place, (ink, name)) in self.legend.iter().enumerate() {
            let name = text::shorten(name, TEXT_SIZE, (most - swatch - 6.0).min(320.0));
            let width = swatch + 6.0 + text::width(&name, TEXT_SIZE);
            if x > MARGIN && x + width > most + MARGIN {
                if y + 1.5 * TEXT_SIZE > lowest {
                    let more = format!("and {} more", self.legend.len() - place);
                    let end = most + MARGIN - text::width(&more, TEXT_SIZE);
                    y += if x > end { 1.5 * TEXT_SIZE } else { 0.0 };
                    scene.add(label(
                        theme,
                        ink::MUTED,
                        if x > end { MARGIN } else { x },
                        y,
                        &more,
                        TextAnchor::Start,
                    ));
                    break;
                }
                (x, y) = (MARGIN, y + 1.5 * TEXT_SIZE);
            }
            scene.add(rectangle(theme, *ink, (x, y - swatch), (x + swatch, y)));
            scene.add(label(theme, ink::TEXT, x + swatch + 6.0, y, &name, TextAnchor::Start));
            x += width + 16.0;
        }
        y + 8.0
    }

    /// The whole document.
    fn document(&self, scene: &Scene) -> String {
        let Canvas { width, height, theme } = self.canvas;
        let drawn = SvgBackend::new().render_scene(scene);
        // kuva's own <svg> element and the comment that follows it.
        let inner = drawn.split_once("-->").map_or(drawn.as_str(), |(_, rest)| rest);
        let inner = inner.strip_suffix("</svg>").unwrap_or(inner);
        // A chart of a fixed theme must not follow the rules of other charts on the same page.
        let class = if matches!(theme, Theme::Auto | Theme::Page) {
            format!(" class=\"{}\"", ink::CLASS)
        } else {
            String::new()
        };
        let style = if theme == Theme::Auto {
            format!("<style>{}</style>", ink::dark_rules())
        } else {
            String::new()
        };
        let title = escape(&text::clean(&self.title));
        let description = escape(&text::clean(&self.description));
        let (background, text) = (theme.color(ink::BACKGROUND), theme.color(ink::TEXT));
        text::ascii(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\"{class} role=\"img\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"{FONTS}\" fill=\"{text}\">\
             <title>{title}</title><desc>{description}</desc>{style}\
             <rect width=\"{width:.0}\" height=\"{height:.0}\" fill=\"{background}\"/>{inner}</svg>"
        ))
    }
}

fn heading(theme: Theme, x: f64, y: f64, content: &str, size: f64, bold: bool) -> Primitive {
    let ink = if bold { ink::TEXT } else { ink::MUTED };
    Primitive::Text {
        x,
        y,
        content: text::literal(content),
        size: size as u32,
        anchor: TextAnchor::Start,
        rotate: None,
        bold,
        color: Some(theme.color(ink).into()),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
