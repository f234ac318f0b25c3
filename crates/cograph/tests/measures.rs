//! Measures of small graphs from the literature, compared with what NetworkX and igraph say (`fixtures/measures.py`).

use std::sync::atomic::AtomicBool;

use cograph::{
    Betweenness, Graph, PageRank, clustering, components, core_number, eigenvector, modularity, nearness,
    transitivity,
};
use serde_json::Value;

static GO: AtomicBool = AtomicBool::new(false);

fn fixture() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/measures.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// The graph of a fixture, with its weights or with weights of 1.
fn graph(of: &Value, is_weighted: bool) -> Graph {
    let edges = of["edges"].as_array().unwrap().iter().map(|edge| {
        let edge = numbers(edge);
        (edge[0] as u32, edge[1] as u32, if is_weighted { edge[2] } else { 1.0 })
    });
    Graph::new(of["nodes"].as_u64().unwrap() as usize, &edges.collect::<Vec<_>>(), &GO).unwrap()
}

fn assert_close(case: &str, found: impl IntoIterator<Item = f64>, expected: &Value) {
    let (found, expected) = (found.into_iter().collect::<Vec<_>>(), numbers(expected));
    assert_eq!(found.len(), expected.len(), "{case}");
    for (node, (one, other)) in found.iter().zip(&expected).enumerate() {
        assert!((one - other).abs() < 1e-6, "{case}: node {node}: {one}, not {other}");
    }
}

#[test]
fn measures_are_those_of_networkx_and_igraph() {
    let fixture = fixture();
    for (name, of) in fixture.as_object().unwrap() {
        for (weights, is_weighted) in [("unweighted", false), ("weighted", true)] {
            let (graph, expected) = (graph(of, is_weighted), &of[weights]);
            let case = |measure: &str| format!("{measure} of {name}, {weights}");
            let check = |measure: &str, found: Vec<f64>| {
                assert_close(&case(measure), found, &expected[measure]);
            };
            let nodes = graph.nodes();
            check("strength", (0..nodes).map(|node| graph.strength(node)).collect());
            let exact = PageRank { max_iter: 1000, tol: 1e-12, ..PageRank::default() };
            let ranks = exact.of(&graph, None, &GO).unwrap();
            assert!((ranks.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{}", case("pagerank"));
            check("pagerank", ranks);
            let personal = (0..nodes).map(|node| 1.0 + (node % 3) as f64).collect::<Vec<_>>();
            check("personalized", exact.of(&graph, Some(&personal), &GO).unwrap());
            for (measure, is_normalized) in [("betweenness", true), ("betweenness_raw", false)] {
                let betweenness = Betweenness { is_weighted, is_normalized, ..Betweenness::default() };
                let found = betweenness.of(&graph, &GO, &|_| ()).unwrap();
                check(measure, found.iter().map(|of| of.betweenness).collect());
            }
            let nearness = nearness(&graph, is_weighted, &GO, &|_| ()).unwrap();
            check("closeness", nearness.iter().map(|of| of.closeness).collect());
            check("harmonic", nearness.iter().map(|of| of.harmonic).collect());
            check("eigenvector", eigenvector(&graph, 10_000, 1e-12, &GO).unwrap());
            let clustered = clustering(&graph, is_weighted, &GO).unwrap();
            check("clustering", clustered.iter().map(|of| of.coefficient).collect());
        }
        let graph = graph(of, false);
        let (plain, clustered) = (&of["plain"], clustering(&graph, false, &GO).unwrap());
        assert_close(name, clustered.iter().map(|of| of.triangles as f64), &plain["triangles"]);
        assert!((transitivity(&graph, &clustered) - plain["transitivity"].as_f64().unwrap()).abs() < 1e-12);
        let cores = core_number(&graph, &GO).unwrap();
        assert_close(name, cores.into_iter().map(f64::from), &plain["core_number"]);
        let components = components(&graph, &GO).unwrap();
        assert_close(name, components.into_iter().map(f64::from), &plain["component"]);
    }
}

#[test]
fn modularity_is_that_of_networkx() {
    for (name, of) in fixture().as_object().unwrap() {
        let groups = (0..of["nodes"].as_u64().unwrap()).map(|node| node as u32 % 3).collect::<Vec<_>>();
        let expected = |of: &Value| of.as_f64().unwrap();
        let close = |one: f64, other: f64| assert!((one - other).abs() < 1e-9, "{name}: {one}, not {other}");
        close(
            modularity(&graph(of, false), &groups, 1.0).unwrap(),
            expected(&of["modularity"]["unweighted"]),
        );
        close(modularity(&graph(of, true), &groups, 1.0).unwrap(), expected(&of["modularity"]["weighted"]));
        close(modularity(&graph(of, true), &groups, 1.5).unwrap(), expected(&of["modularity"]["resolution"]));
    }
}

/// A ring of cliques, with weights that look random: many paths, and some long ones.
fn cliques(size: u32, count: u32) -> Vec<(u32, u32, f64)> {
    let mut edges = Vec::new();
    for clique in 0..count {
        let first = clique * size;
        for one in first..first + size {
            (one + 1..first + size)
                .for_each(|other| edges.push((one, other, 1.0 + f64::from(one * other % 7))));
        }
        edges.push((first, (first + size) % (size * count), 2.0));
    }
    edges
}

fn in_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn labels_and_threads_change_nothing() {
    let edges = cliques(5, 8);
    let nodes = 40;
    let graph = Graph::new(nodes, &edges, &GO).unwrap();
    // The same graph, with other numbers and its edges in another order.
    let moved = |node: u32| (node * 7 + 3) % nodes as u32;
    let mut others =
        edges.iter().map(|&(one, two, weight)| (moved(two), moved(one), weight)).collect::<Vec<_>>();
    others.reverse();
    let other = Graph::new(nodes, &others, &GO).unwrap();
    let exact = Betweenness { is_normalized: true, ..Betweenness::default() };
    let weighted = Betweenness { is_weighted: true, ..exact };
    let all = |graph: &Graph| {
        let between = |betweenness: Betweenness| {
            betweenness
                .of(graph, &GO, &|_| ())
                .unwrap()
                .into_iter()
                .map(|of| of.betweenness)
                .collect::<Vec<_>>()
        };
        let near = nearness(graph, true, &GO, &|_| ()).unwrap();
        let clustered = clustering(graph, true, &GO).unwrap();
        vec![
            PageRank::default().of(graph, None, &GO).unwrap(),
            between(exact),
            between(weighted),
            near.iter().map(|of| of.closeness).collect(),
            near.iter().map(|of| of.harmonic).collect(),
            eigenvector(graph, 100_000, 1e-11, &GO).unwrap(),
            clustered.iter().map(|of| of.coefficient).collect(),
            core_number(graph, &GO).unwrap().into_iter().map(f64::from).collect(),
            components(graph, &GO).unwrap().into_iter().map(f64::from).collect(),
        ]
    };
    let found = in_threads(1, || all(&graph));
    for threads in [2, 5] {
        assert_eq!(in_threads(threads, || all(&graph)), found);
    }
    for (measure, (one, two)) in found.iter().zip(all(&other)).enumerate() {
        for (node, value) in one.iter().enumerate() {
            let same = two[moved(node as u32) as usize];
            assert!((value - same).abs() < 1e-9, "measure {measure}, node {node}: {value} {same}");
        }
    }
}

#[test]
fn sampled_sources_estimate_betweenness_within_their_error() {
    let graph = Graph::new(200, &cliques(10, 20), &GO).unwrap();
    let exact = Betweenness { is_normalized: true, ..Betweenness::default() };
    let truth = exact.of(&graph, &GO, &|_| ()).unwrap();
    let (mut within, mut all) = (0, 0);
    for seed in 0..20 {
        let sampled = Betweenness { k: Some(50), seed, ..exact }.of(&graph, &GO, &|_| ()).unwrap();
        for (found, truth) in sampled.iter().zip(&truth).filter(|(_, truth)| truth.betweenness > 0.01) {
            all += 1;
            within += u32::from((found.betweenness - truth.betweenness).abs() < 2.0 * found.standard_error);
        }
    }
    let share = f64::from(within) / f64::from(all);
    assert!((0.9..=1.0).contains(&share), "{share}");
    let every = Betweenness { k: Some(200), ..exact }.of(&graph, &GO, &|_| ()).unwrap();
    for (found, truth) in every.iter().zip(&truth) {
        assert!((found.betweenness - truth.betweenness).abs() < 1e-12 && found.standard_error < 1e-9);
    }
    let one = Betweenness { k: Some(1), ..exact }.of(&graph, &GO, &|_| ()).unwrap();
    assert!(one.iter().all(|of| of.standard_error.is_nan()));
    assert!(Betweenness { k: Some(0), ..exact }.of(&graph, &GO, &|_| ()).is_err());
    assert!(Betweenness { k: Some(201), ..exact }.of(&graph, &GO, &|_| ()).is_err());
}

#[test]
fn graphs_without_edges_or_nodes_have_answers() {
    for nodes in [0, 1, 2, 5] {
        let graph = Graph::new(nodes, &[], &GO).unwrap();
        let ranks = PageRank::default().of(&graph, None, &GO).unwrap();
        assert!(ranks.iter().all(|rank| (rank - 1.0 / nodes as f64).abs() < 1e-12));
        let between = Betweenness::default().of(&graph, &GO, &|_| ()).unwrap();
        assert!(between.iter().all(|of| of.betweenness == 0.0 && of.standard_error == 0.0));
        assert!(nearness(&graph, true, &GO, &|_| ()).unwrap().iter().all(|of| of.closeness == 0.0));
        assert!(clustering(&graph, true, &GO).unwrap().iter().all(|of| of.coefficient == 0.0));
        assert_eq!(core_number(&graph, &GO).unwrap(), vec![0; nodes]);
        assert_eq!(components(&graph, &GO).unwrap(), (0..nodes as u32).collect::<Vec<_>>());
        assert_eq!(modularity(&graph, &vec![0; nodes], 1.0).unwrap(), 0.0);
    }
}

#[test]
fn edges_are_merged_and_wrong_weights_are_refused() {
    let edges = [(0, 1, 1.0), (1, 0, 0.5), (2, 2, 9.0), (1, 2, 3.0)];
    let graph = Graph::new(3, &edges, &GO).unwrap();
    assert_eq!(graph.edges(), 2);
    assert_eq!(graph.all_edges().collect::<Vec<_>>(), [(0, 1, 1.5), (1, 2, 3.0)]);
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Graph::new(2, &[(0, 1, weight)], &GO).is_err());
    }
    // Merged, or added up by a node, these would be infinite.
    for huge in [[(0, 1, 1e308), (1, 0, 1e308)], [(0, 1, 1e308), (1, 2, 1e308)]] {
        assert_eq!(Graph::new(3, &huge, &GO), Err(cograph::Error::Weights));
    }
    let stopped = AtomicBool::new(true);
    assert!(Graph::new(3, &edges, &stopped).is_err());
    assert!(matches!(eigenvector(&graph, 1, 1e-12, &GO), Err(cograph::Error::NotConverged { .. })));
    assert!(PageRank::default().of(&graph, Some(&[0.0, 0.0, 0.0]), &GO).is_err());
}

#[test]
fn a_backbone_keeps_what_is_stronger_than_chance() {
    // A star: one strong edge, and nine weak ones.
    let edges = (1..=10).map(|leaf| (0, leaf, if leaf == 1 { 30.0 } else { 1.0 })).collect::<Vec<_>>();
    let graph = Graph::new(11, &edges, &GO).unwrap();
    let kept = cograph::is_backbone(&graph, 0.05).unwrap().collect::<Vec<_>>();
    // (1 - 30/39)^9 is far below 0.05, (1 - 1/39)^9 is 0.79. Leaves have a single edge, and so no say.
    assert_eq!(kept.iter().filter(|kept| **kept).count(), 1);
    assert!(kept[0]);
}

#[test]
fn closeness_by_bits_is_that_of_one_search_after_the_other() {
    // More nodes than are searched at once, and two components.
    let ring = cliques(10, 70);
    let path = (700..720).map(|node| (node, node + 1, 1.0));
    let edges = ring.iter().map(|&(one, other, _)| (one, other, 1.0)).chain(path).collect::<Vec<_>>();
    let graph = Graph::new(722, &edges, &GO).unwrap();
    let by_bits = nearness(&graph, false, &GO, &|_| ()).unwrap();
    for (node, (one, other)) in by_bits.iter().zip(nearness(&graph, true, &GO, &|_| ()).unwrap()).enumerate()
    {
        let is_close = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(is_close(one.closeness, other.closeness), "node {node}: {one:?}, not {other:?}");
        assert!(is_close(one.harmonic, other.harmonic), "node {node}: {one:?}, not {other:?}");
    }
    for threads in [1, 3] {
        assert_eq!(in_threads(threads, || nearness(&graph, false, &GO, &|_| ()).unwrap()), by_bits);
    }
}

/// Nodes on a line.
fn path(nodes: u32) -> Graph {
    let edges = (1..nodes).map(|node| (node - 1, node, 1.0)).collect::<Vec<_>>();
    Graph::new(nodes as usize, &edges, &GO).unwrap()
}

#[test]
fn long_paths_are_measured_as_short_ones_are() {
    // Of a path, both measures are known. The second one is searched from one node after the other.
    for nodes in [50, 500] {
        let graph = path(nodes);
        let betweenness = Betweenness { is_normalized: false, ..Betweenness::default() };
        let between = betweenness.of(&graph, &GO, &|_| ()).unwrap();
        let near = nearness(&graph, false, &GO, &|_| ()).unwrap();
        for node in 0..nodes {
            let (left, right) = (f64::from(node), f64::from(nodes - 1 - node));
            assert!((between[node as usize].betweenness - left * right).abs() < 1e-6, "{node} of {nodes}");
            let distances = left * (left + 1.0) / 2.0 + right * (right + 1.0) / 2.0;
            let closeness = (left + right) / distances;
            assert!((near[node as usize].closeness - closeness).abs() < 1e-12, "{node} of {nodes}");
        }
    }
}

#[test]
fn sums_over_many_nodes_do_not_depend_on_threads() {
    // More nodes than one thread adds up.
    let graph = Graph::new(20_000, &cliques(10, 2000), &GO).unwrap();
    let all = || {
        let ranks = PageRank::default().of(&graph, None, &GO).unwrap();
        (ranks, eigenvector(&graph, 1000, 1e-5, &GO).unwrap())
    };
    let found = in_threads(1, all);
    assert_eq!(in_threads(2, all), found);
    assert_eq!(in_threads(5, all), found);
}

#[test]
fn an_edge_that_is_too_short_to_matter_is_on_paths_all_the_same() {
    // From node 0 it is as far to node 2 as to node 1, in floating-point numbers.
    let graph = Graph::new(3, &[(0, 1, 1.0), (1, 2, 1e17)], &GO).unwrap();
    let weighted = Betweenness { is_weighted: true, is_normalized: true, ..Betweenness::default() };
    let between = weighted.of(&graph, &GO, &|_| ()).unwrap();
    assert_eq!(between.iter().map(|of| of.betweenness).collect::<Vec<_>>(), [0.0, 1.0, 0.0]);
    // Three tiny weights are a whole triangle.
    let tiny = Graph::new(3, &[(0, 1, 1e-110), (1, 2, 1e-110), (0, 2, 1e-110)], &GO).unwrap();
    assert!(clustering(&tiny, true, &GO).unwrap().iter().all(|of| (of.coefficient - 1.0).abs() < 1e-12));
}
