//! The projection, compared with a plain double loop over all pairs of movies.

use std::sync::atomic::AtomicBool;

use cograph::{Edge, Error, Projection, Similarity, Weighting};
use factor::{RatingMatrix, Ratings};

static GO: AtomicBool = AtomicBool::new(false);
const CUSTOMERS: usize = 60;
const MOVIES: usize = 20;

/// A number that looks random.
fn hash(value: u64) -> u64 {
    let mixed = (value ^ (value >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
}

/// The last customer and the last movie have no ratings.
fn matrix() -> RatingMatrix {
    let mut ratings = Ratings::default();
    for customer in 0..CUSTOMERS as u32 - 1 {
        for movie in 0..MOVIES as u32 - 1 {
            let random = hash(u64::from(customer * 1000 + movie));
            if random % 100 < 15 + u64::from(movie) * 2 {
                let liked = if customer % 3 == movie % 3 { 3 } else { 1 };
                ratings.push(customer, movie, (liked + random / 100 % 3) as u8);
            }
        }
    }
    RatingMatrix::new(CUSTOMERS, MOVIES, &ratings, &GO).unwrap()
}

/// The value of a rating. `None` if there is none.
fn value(matrix: &RatingMatrix, customer: usize, movie: usize) -> Option<f64> {
    let (movies, values) = matrix.by_customer.row(customer);
    Some(values[movies.binary_search(&(movie as u32)).ok()?].into())
}

/// How alike two movies are, and how many customers they have in common, as the definitions say it.
fn naive(matrix: &RatingMatrix, projection: &Projection, one: usize, two: usize) -> (f64, u32) {
    let of = |movie: usize| {
        (0..CUSTOMERS).filter_map(move |customer| Some((customer, value(matrix, customer, movie)?)))
    };
    let mean = matrix.mean();
    let movie_bias = |movie: usize| {
        of(movie).map(|(_, value)| value - mean).sum::<f64>() / (of(movie).count() as f64 + 25.0)
    };
    let customer_bias = |customer: usize| {
        let rated =
            (0..MOVIES).filter_map(|movie| Some(value(matrix, customer, movie)? - mean - movie_bias(movie)));
        rated.clone().sum::<f64>() / (rated.count() as f64 + 10.0)
    };
    let weight = |customer: usize| {
        let count = (0..MOVIES).filter(|&movie| value(matrix, customer, movie).is_some()).count() as f64;
        match projection.weighting {
            Weighting::None => 1.0,
            Weighting::Newman => 1.0 / (count - 1.0).max(1.0),
            Weighting::InverseFrequency => ((MOVIES as f64 - 1.0) / count).ln(),
        }
    };
    let common = of(one).filter_map(|(customer, x)| Some((customer, x, value(matrix, customer, two)?)));
    let common = common.collect::<Vec<_>>();
    let n = common.len() as f64;
    let weights = |movie: usize| of(movie).map(|(customer, _)| weight(customer)).sum::<f64>();
    let shared = common.iter().map(|&(customer, ..)| weight(customer)).sum::<f64>();
    let similarity = match projection.similarity {
        Similarity::Pearson => {
            let residuals = common.iter().map(|&(customer, x, y)| {
                let less = mean + customer_bias(customer);
                (weight(customer), x - less - movie_bias(one), y - less - movie_bias(two))
            });
            let (xy, xx, yy) = residuals.fold((0.0, 0.0, 0.0), |(xy, xx, yy), (weight, x, y)| {
                (xy + weight * x * y, xx + weight * x * x, yy + weight * y * y)
            });
            xy / (xx * yy).sqrt() * (n - 1.0) / (n - 1.0 + projection.shrinkage)
        }
        Similarity::Cosine => {
            let norm = |movie: usize| of(movie).map(|(customer, x)| weight(customer) * x * x).sum::<f64>();
            let xy = common.iter().map(|&(customer, x, y)| weight(customer) * x * y).sum::<f64>();
            xy / (norm(one) * norm(two)).sqrt()
        }
        Similarity::Jaccard => shared / (weights(one) + weights(two) - shared),
        Similarity::Count => shared,
        Similarity::LogLikelihood => {
            // Entropies of the table, its rows and its columns (Dunning 1993), times the number of customers.
            let all = CUSTOMERS as f64 - 1.0;
            let (a, b) = (of(one).count() as f64, of(two).count() as f64);
            let log = |counts: &[f64]| {
                counts
                    .iter()
                    .filter(|count| **count > 0.0)
                    .map(|count| count * (count / all).ln())
                    .sum::<f64>()
            };
            let table = log(&[n, a - n, b - n, all - a - b + n]);
            let ratio = 2.0 * (table - log(&[a, all - a]) - log(&[b, all - b]));
            if n * all > a * b { ratio } else { 0.0 }
        }
    };
    (similarity, common.len() as u32)
}

fn project(projection: &Projection, threads: usize) -> Vec<Edge> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| projection.edges(&matrix(), &GO, &|_| ()).unwrap())
}

#[test]
fn edges_are_those_of_a_plain_double_loop() {
    let matrix = matrix();
    let similarities = [
        Similarity::Pearson,
        Similarity::Cosine,
        Similarity::Jaccard,
        Similarity::LogLikelihood,
        Similarity::Count,
    ];
    for similarity in similarities {
        for weighting in [Weighting::None, Weighting::Newman, Weighting::InverseFrequency] {
            if similarity == Similarity::LogLikelihood && weighting != Weighting::None {
                continue;
            }
            let projection = Projection {
                similarity,
                weighting,
                min_common: 3,
                shrinkage: 5.0,
                top_k: MOVIES,
                min_similarity: 0.01,
            };
            let found = project(&projection, 2);
            let mut expected = 0;
            for one in 0..MOVIES {
                for two in one + 1..MOVIES {
                    let (similarity, common) = naive(&matrix, &projection, one, two);
                    let edge = found.iter().find(|edge| (edge.from, edge.to) == (one as u32, two as u32));
                    // What is nearly at the bound may fall to either side.
                    if common >= 3 && similarity > 0.01 + 1e-6 {
                        expected += 1;
                        let edge =
                            edge.unwrap_or_else(|| panic!("{projection:?}: {one} and {two} are missing"));
                        let error = (f64::from(edge.similarity) - similarity).abs();
                        assert!(
                            error < 1e-5 * similarity.max(1.0),
                            "{projection:?}: {edge:?}, not {similarity}"
                        );
                        assert_eq!(edge.common, common);
                    } else {
                        assert!(edge.is_none() || similarity > 0.01 - 1e-6, "{projection:?}: {edge:?}");
                    }
                }
            }
            assert!(expected > 10, "{projection:?} has {expected} edges");
        }
    }
}

#[test]
fn an_edge_is_among_the_best_of_one_of_its_ends() {
    let all = Projection { min_common: 1, top_k: MOVIES, ..Projection::default() };
    let few = Projection { top_k: 3, ..all };
    let (all, few) = (project(&all, 1), project(&few, 1));
    let rank = |edge: &Edge, movie: u32| {
        let better =
            |other: &&Edge| (other.from == movie || other.to == movie) && other.similarity > edge.similarity;
        all.iter().filter(better).count()
    };
    for edge in &all {
        let is_best = rank(edge, edge.from) < 3 || rank(edge, edge.to) < 3;
        assert_eq!(few.contains(edge), is_best, "{edge:?}");
    }
}

#[test]
fn a_similarity_that_single_precision_cannot_hold_is_no_edge() {
    let tiny = Projection { min_common: 1, shrinkage: 1e300, ..Projection::default() };
    assert!(project(&tiny, 1).is_empty());
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let projection = Projection { min_common: 2, top_k: 5, ..Projection::default() };
    let one = project(&projection, 1);
    for threads in [2, 3, 7] {
        assert_eq!(project(&projection, threads), one);
    }
}

#[test]
fn mistakes_are_told() {
    let matrix = matrix();
    let wrong = |projection: Projection| projection.edges(&matrix, &GO, &|_| ()).unwrap_err();
    let default = Projection::default();
    assert!(matches!(wrong(Projection { top_k: 0, ..default }), Error::Parameter { name: "top_k", .. }));
    assert!(matches!(wrong(Projection { shrinkage: -1.0, ..default }), Error::Parameter { .. }));
    assert!(matches!(wrong(Projection { min_similarity: f64::NAN, ..default }), Error::Parameter { .. }));
    let weighted =
        Projection { similarity: Similarity::LogLikelihood, weighting: Weighting::Newman, ..default };
    assert!(matches!(wrong(weighted), Error::Parameter { name: "weighting", .. }));
    let cancelled = AtomicBool::new(true);
    assert_eq!(default.edges(&matrix, &cancelled, &|_| ()).unwrap_err(), Error::Cancelled);
}
