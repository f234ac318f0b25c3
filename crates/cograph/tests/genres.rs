//! Communities of generated samples, compared with the genres that were planted.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::AtomicBool;

use cograph::{Graph, Leiden, Projection, Similarity};
use factor::{MatrixBuilder, RatingMatrix};
use prize_format::sample::{Layout, Sample};

static GO: AtomicBool = AtomicBool::new(false);

/// The ratings of a sample.
fn ratings(sample: &Sample) -> RatingMatrix {
    let folder = tempfile::tempdir().unwrap();
    Sample { layout: Layout::Combined, ..sample.clone() }.write(folder.path(), &mut |_| {}).unwrap();
    let mut builder = MatrixBuilder::default();
    let (mut movie, mut rows) = (0, HashMap::new());
    for part in 1..=4 {
        let path = folder.path().join(format!("combined_data_{part}.txt"));
        for line in std::fs::read_to_string(path).unwrap().lines() {
            if let Some(id) = line.strip_suffix(':') {
                movie = id.parse::<u32>().unwrap() - 1;
            } else {
                let mut fields = line.split(',');
                let customer = fields.next().unwrap().parse::<u32>().unwrap();
                let next = rows.len() as u32;
                let row = *rows.entry(customer).or_insert(next);
                builder.push(row, movie, fields.next().unwrap().parse().unwrap()).unwrap();
            }
        }
    }
    builder.build(rows.len(), sample.movies as usize, &GO).unwrap()
}

/// The adjusted Rand index of two partitions (Hubert and Arabie 1985, "Comparing partitions"): 1 if they are the same, 0 on average if one
/// of them is random.
fn adjusted_rand_index(one: &[u32], other: &[u32]) -> f64 {
    let pairs = |count: f64| count * (count - 1.0) / 2.0;
    let (mut both, mut ones, mut others) = (HashMap::new(), HashMap::new(), HashMap::new());
    for (one, other) in one.iter().zip(other) {
        *both.entry((one, other)).or_insert(0.0) += 1.0;
        *ones.entry(one).or_insert(0.0) += 1.0;
        *others.entry(other).or_insert(0.0) += 1.0;
    }
    let both = both.into_values().map(pairs).sum::<f64>();
    let (ones, others) =
        (ones.into_values().map(pairs).sum::<f64>(), others.into_values().map(pairs).sum::<f64>());
    let expected = ones * others / pairs(one.len() as f64);
    (both - expected) / ((ones + others) / 2.0 - expected)
}

#[test]
fn the_index_is_1_for_the_same_groups_and_about_0_for_others() {
    let groups = (0..600).map(|node| node % 5).collect::<Vec<u32>>();
    let renamed = groups.iter().map(|group| (group + 3) % 5).collect::<Vec<_>>();
    assert_eq!(adjusted_rand_index(&groups, &renamed), 1.0);
    let others = (0..600).map(|node| node / 5 % 4).collect::<Vec<u32>>();
    assert!(adjusted_rand_index(&groups, &others).abs() < 0.02);
}

#[test]
fn communities_find_the_planted_genres() {
    let sample = Sample { genres: 8, ..Sample::of(1_000_000) };
    let matrix = ratings(&sample);
    // Movies with few common customers are compared by little but noise: with `min_common: 20`, Pearson reaches 0.49.
    let bounds = [
        (Similarity::Pearson, 0.9),
        (Similarity::Cosine, 0.92),
        (Similarity::Jaccard, 0.85),
        (Similarity::LogLikelihood, 0.9),
    ];
    for (similarity, bound) in bounds {
        let projection = Projection { similarity, top_k: 20, min_common: 200, ..Projection::default() };
        let edges = projection.edges(&matrix, &GO, &|_| ()).unwrap();
        let edges = edges.iter().map(|edge| (edge.from, edge.to, edge.similarity.into())).collect::<Vec<_>>();
        let graph = Graph::new(sample.movies as usize, &edges, &GO).unwrap();
        let groups = Leiden::default().of(&graph, &GO).unwrap();
        // Movies without edges are left out.
        let (found, planted): (Vec<u32>, Vec<u32>) = (0..graph.nodes())
            .filter(|&movie| graph.degree(movie) > 0)
            .map(|movie| (groups[movie], sample.genre(movie as u32 + 1).unwrap()))
            .unzip();
        let index = adjusted_rand_index(&found, &planted);
        let communities = found.iter().max().unwrap() + 1;
        // Not by println!, which shows nothing of a test that passes.
        writeln!(
            std::io::stdout(),
            "{similarity:?}: {} movies in {communities} communities, adjusted Rand index {index:.3}, at least {bound}",
            found.len()
        )
        .unwrap();
        assert!(index >= bound, "{similarity:?}: {index:.3}, not {bound}");
    }
}
