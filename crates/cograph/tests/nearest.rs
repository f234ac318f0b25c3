//! Nearness of vectors, compared with a plain double loop.

use std::sync::atomic::AtomicBool;

use cograph::{Edge, Error, Nearest};
use ndarray::{Array2, ArrayView1};
use rand::{Rng, SeedableRng};

static GO: AtomicBool = AtomicBool::new(false);

/// Row 7 is zero.
fn vectors() -> Array2<f32> {
    let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(1);
    let mut vectors = Array2::from_shape_fn((150, 9), |_| rng.random::<f32>() - 0.5);
    vectors.row_mut(7).fill(0.0);
    vectors
}

fn edges(nearest: Nearest, threads: usize) -> Vec<Edge> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| nearest.edges(vectors().view(), &GO, &|_| ()).unwrap())
}

#[test]
fn edges_are_those_of_a_plain_double_loop() {
    let vectors = vectors();
    let length = |row: ArrayView1<'_, f32>| row.dot(&row).sqrt();
    let cosine = |one: usize, other: usize| {
        let (one, other) = (vectors.row(one), vectors.row(other));
        one.dot(&other) / (length(one) * length(other))
    };
    let found = edges(Nearest { top_k: 150, min_similarity: 0.3 }, 2);
    let mut expected = 0;
    for one in 0..150 {
        for other in one + 1..150 {
            let edge = found.iter().find(|edge| (edge.from, edge.to) == (one as u32, other as u32));
            let similarity = cosine(one, other);
            assert!(edge.is_none_or(|edge| (edge.similarity - similarity).abs() < 1e-5));
            assert!(edge.is_some() || similarity.is_nan() || similarity < 0.3 + 1e-5, "{one} and {other}");
            assert!(edge.is_none() || similarity > 0.3 - 1e-5, "{one} and {other}");
            expected += usize::from(edge.is_some());
        }
    }
    assert!(expected == found.len() && expected > 500, "{expected}");
}

#[test]
fn the_best_are_kept_whatever_the_number_of_threads() {
    let few = Nearest { top_k: 3, min_similarity: 0.0 };
    let (all, kept) = (edges(Nearest { top_k: 150, ..few }, 1), edges(few, 1));
    for edge in &all {
        let rank = |node: u32| {
            let of = |other: &&Edge| {
                (other.from == node || other.to == node) && other.similarity > edge.similarity
            };
            all.iter().filter(of).count()
        };
        assert_eq!(kept.contains(edge), rank(edge.from) < 3 || rank(edge.to) < 3, "{edge:?}");
    }
    for threads in [2, 5] {
        assert_eq!(edges(few, threads), kept);
    }
    let wrong = Nearest { top_k: 0, ..few }.edges(vectors().view(), &GO, &|_| ());
    assert!(matches!(wrong, Err(Error::Parameter { name: "top_k", .. })));
    let cancelled = AtomicBool::new(true);
    assert_eq!(few.edges(vectors().view(), &cancelled, &|_| ()).unwrap_err(), Error::Cancelled);
}
