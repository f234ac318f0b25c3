//! Where the labels of points go, so that none overlaps another label, another point, or the edge.

use crate::text;

/// A point that would have a label.
pub struct Point {
    /// Its centre and radius, in pixels.
    pub x: f64,
    pub y: f64,
    pub radius: f64,
    /// Its label, as it is to be written.
    pub label: String,
}

/// A label that has a place: the point it belongs to, and the left end of its baseline.
pub struct Placed {
    pub point: usize,
    pub x: f64,
    pub y: f64,
}

/// A box: left, top, right, bottom.
type Box = (f64, f64, f64, f64);

/// Places labels for the points of `order`, at most `most` of them: those that come first have the first choice. A label that finds no
/// free place is left out. Points that are not in `order` have no label, but no label covers them.
pub fn place(points: &[Point], order: &[usize], most: usize, size: f64, within: Box) -> Vec<Placed> {
    let overlap =
        |one: &Box, other: &Box| one.0 < other.2 && other.0 < one.2 && one.1 < other.3 && other.1 < one.3;
    let disc = |point: &Point| {
        let reach = point.radius + 1.0;
        (point.x - reach, point.y - reach, point.x + reach, point.y + reach)
    };
    let discs: Vec<Box> = points.iter().map(disc).collect();
    let mut taken: Vec<Box> = Vec::new();
    let mut placed = Vec::new();
    for &point in order {
        if placed.len() == most {
            break;
        }
        let Point { x, y, radius, label } = &points[point];
        let (width, gap) = (text::width(label, size), radius + 4.0);
        let (middle, diagonal) = (x - width / 2.0, 0.7 * gap);
        // Left ends and vertical centres of the candidates, the best ones first.
        let centers = [
            (x + gap, *y),
            (x - gap - width, *y),
            (middle, y - gap - 0.5 * size),
            (middle, y + gap + 0.5 * size),
            (x + diagonal, y - diagonal - 0.5 * size),
            (x + diagonal, y + diagonal + 0.5 * size),
            (x - diagonal - width, y - diagonal - 0.5 * size),
            (x - diagonal - width, y + diagonal + 0.5 * size),
        ];
        let free = centers.iter().find_map(|&(left, center)| {
            let area = (left - 2.0, center - 0.62 * size, left + width + 2.0, center + 0.62 * size);
            let is_within =
                area.0 >= within.0 && area.1 >= within.1 && area.2 <= within.2 && area.3 <= within.3;
            let is_free = !taken.iter().any(|other| overlap(&area, other))
                && !discs.iter().enumerate().any(|(other, disc)| other != point && overlap(&area, disc));
            (is_within && is_free).then_some((left, center, area))
        });
        if let Some((left, center, area)) = free {
            taken.push(area);
            placed.push(Placed { point, x: left, y: center + 0.35 * size });
        }
    }
    placed
}
