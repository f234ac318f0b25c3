//! Communities: on small graphs from the literature, whose best partitions are known, and on graphs with planted groups.

use std::sync::atomic::AtomicBool;

use cograph::{Error, Graph, Leiden, components, label_propagation, modularity, number_by_size, profiles};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::Value;

static GO: AtomicBool = AtomicBool::new(false);

/// A graph of `fixtures/measures.json`.
fn fixture(name: &str, is_weighted: bool) -> Graph {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/measures.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let edges = all[name]["edges"].as_array().unwrap().iter().map(|edge| {
        let number = |at: usize| edge[at].as_f64().unwrap();
        (number(0) as u32, number(1) as u32, if is_weighted { number(2) } else { 1.0 })
    });
    Graph::new(all[name]["nodes"].as_u64().unwrap() as usize, &edges.collect::<Vec<_>>(), &GO).unwrap()
}

/// A ring of cliques.
fn cliques(size: u32, count: u32) -> Graph {
    let mut edges = Vec::new();
    for first in (0..count).map(|clique| clique * size) {
        for one in first..first + size {
            edges.extend((one + 1..first + size).map(|other| (one, other, 1.0)));
        }
        edges.push((first, (first + size) % (size * count), 0.5));
    }
    Graph::new((size * count) as usize, &edges, &GO).unwrap()
}

/// Groups of 50 nodes. Within a group, `within` of all pairs are edges; between groups, `between` are.
fn planted(groups: u32, within: f64, between: f64, seed: u64) -> Graph {
    let (mut rng, nodes) = (Xoshiro256PlusPlus::seed_from_u64(seed), groups * 50);
    let mut edges = Vec::new();
    for one in 0..nodes {
        for other in one + 1..nodes {
            let share = if one / 50 == other / 50 { within } else { between };
            if rng.random::<f64>() < share {
                edges.push((one, other, 0.5 + rng.random::<f64>()));
            }
        }
    }
    Graph::new(nodes as usize, &edges, &GO).unwrap()
}

fn leiden(graph: &Graph, seed: u64) -> Vec<u32> {
    Leiden { seed, ..Leiden::default() }.of(graph, &GO).unwrap()
}

/// Whether every group is connected: the components of the edges within groups are the groups.
fn is_connected(graph: &Graph, groups: &[u32]) -> bool {
    let within = graph.all_edges().filter(|&(from, to, _)| groups[from] == groups[to]);
    let within = within.map(|(from, to, weight)| (from as u32, to as u32, weight)).collect::<Vec<_>>();
    components(&Graph::new(graph.nodes(), &within, &GO).unwrap(), &GO).unwrap() == groups
}

#[test]
fn leiden_reaches_the_known_optimum_with_every_seed() {
    // Of karate: Brandes et al. 2008, "On modularity clustering". The others are the best that 10,000 runs have found.
    let best = [
        ("karate", false, 0.419_789_61),
        ("karate", true, 0.444_903_58),
        ("miserables", false, 0.560_008_37),
        ("miserables", true, 0.566_687_98),
        ("davis", false, 0.336_005_55),
        ("florentine", false, 0.398_75),
    ];
    for (name, is_weighted, optimum) in best {
        let graph = fixture(name, is_weighted);
        for seed in 0..50 {
            let groups = leiden(&graph, seed);
            let found = modularity(&graph, &groups, 1.0).unwrap();
            assert!((found - optimum).abs() < 1e-8, "{name}, seed {seed}: {found}, not {optimum}");
            assert!(is_connected(&graph, &groups), "{name}, seed {seed}");
        }
    }
}

#[test]
fn leiden_finds_planted_groups_and_its_communities_are_connected() {
    for seed in 0..5 {
        let graph = planted(8, 0.3, 0.01, seed);
        let groups = leiden(&graph, seed);
        assert!((0..400).all(|node| groups[node] == groups[node / 50 * 50]), "seed {seed}: {groups:?}");
        // Hardly any structure: the communities are anything, but connected.
        let sparse = planted(8, 0.03, 0.01, seed);
        for resolution in [0.5, 1.0, 3.0] {
            let groups = Leiden { resolution, seed, ..Leiden::default() }.of(&sparse, &GO).unwrap();
            assert!(is_connected(&sparse, &groups), "seed {seed}, resolution {resolution}");
        }
    }
}

#[test]
fn louvain_is_nearly_as_good() {
    let graph = planted(8, 0.06, 0.01, 7);
    let louvain = Leiden { refines: false, ..Leiden::default() }.of(&graph, &GO).unwrap();
    let (one, other) =
        (modularity(&graph, &louvain, 1.0).unwrap(), modularity(&graph, &leiden(&graph, 42), 1.0).unwrap());
    assert!(one > other - 0.05 && other >= one - 1e-9, "Louvain {one}, Leiden {other}");
    let karate = fixture("karate", false);
    let louvain = Leiden { refines: false, ..Leiden::default() }.of(&karate, &GO).unwrap();
    assert!(modularity(&karate, &louvain, 1.0).unwrap() > 0.41);
}

#[test]
fn a_higher_resolution_gives_more_communities() {
    let graph = fixture("miserables", true);
    let count = |resolution| {
        let groups = Leiden { resolution, ..Leiden::default() }.of(&graph, &GO).unwrap();
        *groups.iter().max().unwrap() + 1
    };
    assert_eq!(count(0.0), 1);
    assert!(count(1.0) < count(3.0));
    for resolution in [-1.0, f64::NAN, f64::INFINITY] {
        let wrong = Leiden { resolution, ..Leiden::default() }.of(&graph, &GO).unwrap_err();
        assert!(matches!(wrong, Error::Parameter { name: "resolution", .. }));
    }
}

#[test]
fn communities_do_not_depend_on_threads_or_on_the_order_of_edges() {
    let graph = planted(8, 0.1, 0.01, 3);
    let in_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| leiden(&graph, 5))
    };
    let groups = in_threads(1);
    assert_eq!(in_threads(2), groups);
    assert_eq!(in_threads(5), groups);
    let mut edges =
        graph.all_edges().map(|(from, to, weight)| (to as u32, from as u32, weight)).collect::<Vec<_>>();
    edges.reverse();
    assert_eq!(leiden(&Graph::new(graph.nodes(), &edges, &GO).unwrap(), 5), groups);
    // The largest comes first.
    let mut renumbered = groups.clone();
    number_by_size(&mut renumbered).unwrap();
    assert_eq!(renumbered, groups);
    // With other numbers, the groups are the same, if they are as clear as these.
    let (graph, groups) = (planted(8, 0.3, 0.01, 3), leiden(&planted(8, 0.3, 0.01, 3), 5));
    let moved = |node: u32| node * 7 % 400;
    let edges = graph.all_edges().map(|(from, to, weight)| (moved(from as u32), moved(to as u32), weight));
    let others = leiden(&Graph::new(graph.nodes(), &edges.collect::<Vec<_>>(), &GO).unwrap(), 5);
    for one in 0..400 {
        for other in [0, 17, 50, 399] {
            let is_together = others[moved(one) as usize] == others[moved(other) as usize];
            assert_eq!(groups[one as usize] == groups[other as usize], is_together, "{one} and {other}");
        }
    }
}

#[test]
fn communities_of_nothing() {
    let none = Graph::new(0, &[], &GO).unwrap();
    assert!(leiden(&none, 1).is_empty());
    let lonely = Graph::new(3, &[], &GO).unwrap();
    assert_eq!(leiden(&lonely, 1), [0, 1, 2]);
    assert_eq!(label_propagation(&lonely, &GO).unwrap(), [0, 1, 2]);
    let cancelled = AtomicBool::new(true);
    let stopped = Leiden::default().of(&cliques(5, 8), &cancelled);
    assert_eq!(stopped.unwrap_err(), Error::Cancelled);
}

#[test]
fn propagated_labels_find_cliques() {
    let graph = cliques(5, 8);
    let groups = label_propagation(&graph, &GO).unwrap();
    assert!((0..40).all(|node| groups[node] == groups[node / 5 * 5]), "{groups:?}");
    assert!(groups[0] == 0 && modularity(&graph, &groups, 1.0).unwrap() > 0.7);
}

#[test]
fn profiles_tell_what_a_group_is_like() {
    // A triangle and a pair, joined by an edge of weight 2; and a node of its own.
    let edges = [(0, 1, 1.0), (1, 2, 1.0), (0, 2, 3.0), (2, 3, 2.0), (3, 4, 4.0)];
    let graph = Graph::new(6, &edges, &GO).unwrap();
    let found = profiles(&graph, &[0, 0, 0, 1, 1, 2], 2, &GO).unwrap();
    let facts = found.iter().map(|of| (of.size, of.edges, of.density, of.conductance)).collect::<Vec<_>>();
    // The strengths of the triangle are 4 + 2 + 6, those of the pair 6 + 4: 2 / 10 leaves the smaller side.
    assert_eq!(facts, [(3, 3, 1.0, 0.2), (2, 1, 1.0, 0.2), (1, 0, 0.0, 0.0)]);
    // Both 0 and 2 have a weight of 4 within the triangle.
    let central = found.iter().map(|of| of.central.clone()).collect::<Vec<_>>();
    assert_eq!(central, [vec![0, 2], vec![3, 4], vec![5]]);
}
