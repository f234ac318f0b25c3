//! The drawing of small graphs.

use std::sync::atomic::AtomicBool;

use cograph::{Error, Graph, layout, strongest};
use proptest::prelude::*;

fn distance(one: (f64, f64), other: (f64, f64)) -> f64 {
    ((one.0 - other.0).powi(2) + (one.1 - other.1).powi(2)).sqrt()
}

#[test]
fn groups_lie_apart() {
    // Three cliques of eight nodes with one edge between each two.
    let mut edges = Vec::new();
    for group in 0..3 {
        for one in 0..8 {
            edges.extend((one + 1..8).map(|other| (8 * group + one, 8 * group + other, 1.0)));
        }
        edges.push((8 * group, (8 * group + 9) % 24, 1.0));
    }
    let places =
        layout(&Graph::new(24, &edges, &AtomicBool::new(false)).unwrap(), &AtomicBool::new(false)).unwrap();
    let mean = |same: bool| {
        let pairs = (0..24).flat_map(|one| (0..one).map(move |other| (one, other)));
        let distances: Vec<f64> = pairs
            .filter(|(one, other)| (one / 8 == other / 8) == same)
            .map(|(one, other)| distance(places[one], places[other]))
            .collect();
        distances.iter().sum::<f64>() / distances.len() as f64
    };
    assert!(mean(false) > 2.0 * mean(true), "{} {}", mean(false), mean(true));
}

#[test]
fn the_layout_can_be_cancelled() {
    let graph = Graph::new(3, &[(0, 1, 1.0), (1, 2, 1.0)], &AtomicBool::new(false)).unwrap();
    assert!(matches!(layout(&graph, &AtomicBool::new(true)), Err(Error::Cancelled)));
}

#[test]
fn the_strongest_edges_of_each_node_stay() {
    let edges = [(1, 2, 5.0), (1, 3, 4.0), (1, 4, 3.0), (3, 4, 1.0), (2, 4, 3.0)];
    assert_eq!(strongest(&edges, 1).unwrap(), [(1, 2, 5.0), (1, 3, 4.0), (1, 4, 3.0)]);
    assert_eq!(strongest(&edges, 9).unwrap(), edges);
    assert_eq!(strongest(&[], 3).unwrap(), []);
    // The edge that connects two triangles is not the strongest one of either end.
    let triangles =
        [(1, 2, 3.0), (1, 3, 3.0), (2, 3, 3.0), (3, 4, 1.0), (4, 5, 3.0), (4, 6, 3.0), (5, 6, 3.0)];
    assert!(strongest(&triangles, 1).unwrap().contains(&(3, 4, 1.0)));
}

proptest! {
    #[test]
    fn places_are_finite_and_the_same_again(edges in prop::collection::vec((0u32..30, 0u32..30, 1e-9f64..1e9), 0..80)) {
        let graph = Graph::new(30, &edges, &AtomicBool::new(false)).unwrap();
        let places = layout(&graph, &AtomicBool::new(false)).unwrap();
        prop_assert!(places.iter().all(|(x, y)| x.is_finite() && y.is_finite()));
        prop_assert_eq!(places, layout(&graph, &AtomicBool::new(false)).unwrap());
    }
}
