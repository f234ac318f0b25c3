//! The chart of a network.

use kuva::render::render::{Primitive, Scene, TextAnchor};

use crate::canvas::Canvas;
use crate::frame::Frame;
use crate::ink::{self, Ink};
use crate::labels::{self, Point};
use crate::shapes::{TEXT_SIZE, disc, halo, label, line};
use crate::{number, text};

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is called.
    pub label: String,
    /// Where it lies: the unit does not matter, because the drawing is scaled to the chart.
    pub x: f64,
    /// Where it lies.
    pub y: f64,
    /// How important it is, 0 or more: the area of its disc.
    pub size: f64,
    /// The place of its group in the list of groups; `None` if it belongs to none.
    pub group: Option<usize>,
}

/// Nodes of one colour.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What the legend says of it.
    pub name: String,
}

/// An edge between two nodes, by their places in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// One end.
    pub from: usize,
    /// The other end.
    pub to: usize,
    /// Weight, above 0: the stronger, the wider the line.
    pub weight: f64,
}

/// The radius of the largest node, in pixels.
const RADIUS: f64 = 13.0;

/// A network. The first six groups have colours of their own. `heading` and `subtitle` say what it shows.
pub fn network(
    heading: &str,
    subtitle: &str,
    nodes: &[Node],
    edges: &[Edge],
    groups: &[Group],
    canvas: &Canvas,
) -> String {
    let colors = groups.len().min(ink::SERIES.len());
    let legend = ink::SERIES.into_iter().zip(groups).map(|(ink, group)| (ink, text::clean(&group.name)));
    let others =
        nodes.iter().any(|node| node.group.is_none_or(|group| group >= colors)) && !groups.is_empty();
    let frame = Frame {
        canvas: *canvas,
        title: heading.into(),
        subtitle: subtitle.into(),
        description: format!(
            "A network of {} and {}",
            number::counted(nodes.len(), "node"),
            number::counted(edges.len(), "edge")
        ),
        legend: legend.chain(others.then(|| (ink::OTHER, "others, or none".into()))).collect(),
    };
    if nodes.is_empty() {
        return frame
            .empty("There is no graph.", "To make one: SELECT * FROM graph_project_movies('movies');");
    }
    let theme = canvas.theme;
    frame.finish(|width, height| {
        let mut scene = Scene::new(width, height);
        let margin = RADIUS + 18.0;
        let x = fit(nodes.iter().map(|node| node.x), margin, width - margin);
        let y = fit(nodes.iter().map(|node| node.y), margin, height - margin);
        let most = nodes.iter().map(|node| node.size).fold(0.0, f64::max);
        let shrink = if canvas.is_narrow() { 0.7 } else { 1.0 };
        let radius = |node: &Node| {
            let share = if most > 0.0 { (node.size / most).clamp(0.0, 1.0) } else { 1.0 };
            shrink * (3.0 + (RADIUS - 3.0) * share.sqrt())
        };
        let color = |node: &Node| {
            node.group.filter(|&group| group < colors).map_or(ink::OTHER, |group| ink::SERIES[group])
        };
        let points: Vec<Point> = nodes
            .iter()
            .map(|node| Point {
                x: x(node.x),
                y: y(node.y),
                radius: radius(node),
                label: text::shorten(&node.label, TEXT_SIZE, 0.4 * width),
            })
            .collect();
        let strongest = edges.iter().map(|edge| edge.weight).fold(0.0, f64::max);
        for edge in edges {
            let same = nodes[edge.from].group == nodes[edge.to].group && nodes[edge.from].group.is_some();
            let stroke: Ink = if same { color(&nodes[edge.from]) } else { ink::OTHER };
            let width = if strongest > 0.0 { 0.6 + 1.6 * edge.weight / strongest } else { 1.0 };
            let [from, to] = [edge.from, edge.to].map(|node| (points[node].x, points[node].y));
            scene.add(Primitive::GroupStart {
                transform: None,
                title: None,
                extra_attrs: Some("opacity=\"0.35\"".into()),
            });
            scene.add(line(theme, stroke, from, to, width));
            scene.add(Primitive::GroupEnd);
        }
        // Small nodes over large ones.
        let mut order: Vec<usize> = (0..nodes.len()).collect();
        order.sort_by(|&one, &other| nodes[other].size.total_cmp(&nodes[one].size).then(one.cmp(&other)));
        for &node in &order {
            let Point { x, y, radius, .. } = points[node];
            scene.add(disc(theme, color(&nodes[node]), (x, y), radius));
        }
        let most = if canvas.is_narrow() { 12 } else { 36 };
        let placed = labels::place(&points, &order, most, TEXT_SIZE, (4.0, 4.0, width - 4.0, height - 4.0));
        let texts = placed
            .iter()
            .map(|at| label(theme, ink::TEXT, at.x, at.y, &points[at.point].label, TextAnchor::Start));
        scene.elements.extend(halo(theme, texts));
        scene
    })
}

/// A function that scales values to a range of pixels; one value alone lies in its middle.
fn fit(values: impl Iterator<Item = f64>, from: f64, to: f64) -> impl Fn(f64) -> f64 {
    let (least, most) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)));
    move |value| {
        if most > least { from + (value - least) / (most - least) * (to - from) } else { (from + to) / 2.0 }
    }
}
