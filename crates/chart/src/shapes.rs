//! The shapes that charts are drawn with, in the colours of a theme. Places are in pixels.

use kuva::render::render::{Primitive, TextAnchor};

use crate::canvas::Theme;
use crate::ink::{self, Ink};
use crate::text;

/// The size of all texts but the title.
pub const TEXT_SIZE: f64 = 12.0;

/// A text in the plot.
pub fn label(theme: Theme, ink: Ink, x: f64, y: f64, content: &str, anchor: TextAnchor) -> Primitive {
    let color = Some(theme.color(ink).into());
    let content = text::literal(content);
    Primitive::Text { x, y, content, size: TEXT_SIZE as u32, anchor, rotate: None, bold: false, color }
}

/// Labels over lines and points: a border in the colour of the background makes them readable.
pub fn halo(theme: Theme, texts: impl IntoIterator<Item = Primitive>) -> Vec<Primitive> {
    let border = theme.color(ink::BACKGROUND);
    let attributes =
        format!("stroke=\"{border}\" stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\"");
    let start = Primitive::GroupStart { transform: None, title: None, extra_attrs: Some(attributes) };
    [start].into_iter().chain(texts).chain([Primitive::GroupEnd]).collect()
}

/// A line between two points, in pixels.
pub fn line(theme: Theme, ink: Ink, from: (f64, f64), to: (f64, f64), width: f64) -> Primitive {
    let stroke = theme.color(ink).into();
    Primitive::Line {
        x1: from.0,
        y1: from.1,
        x2: to.0,
        y2: to.1,
        stroke,
        stroke_width: width,
        stroke_dasharray: None,
    }
}

/// A filled rectangle between two corners, in pixels.
pub fn rectangle(theme: Theme, ink: Ink, (left, top): (f64, f64), (right, bottom): (f64, f64)) -> Primitive {
    Primitive::Rect {
        x: left,
        y: top,
        width: (right - left).max(0.0),
        height: (bottom - top).max(0.0),
        fill: theme.color(ink).into(),
        stroke: None,
        stroke_width: None,
        opacity: None,
    }
}

/// A disc with a border in the colour of the background.
pub fn disc(theme: Theme, ink: Ink, (cx, cy): (f64, f64), r: f64) -> Primitive {
    let (fill, stroke) = (theme.color(ink).into(), Some(theme.color(ink::BACKGROUND).into()));
    Primitive::Circle { cx, cy, r, fill, fill_opacity: None, stroke, stroke_width: Some(1.0) }
}
