//! The speed of a sweep of alternating least squares, or of an epoch of stochastic gradient descent, in ratings per second and as
//! a share of the processor's peak.
//!
//! `cargo bench -p factor --bench sweep -- [als|svd] [FACTORS] [CUSTOMERS] [THREADS]`, by default als, 50, 48,000 and all
//! cores. The ratings are artificial. Their numbers per customer and per movie follow power laws, as in the Prize's data, with
//! some 100 ratings per customer, which is half of the Prize's.

#![allow(missing_docs, unsafe_code)] // calls to functions compiled for instruction sets found at run time

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use factor::{Algorithm, Callbacks, Iteration, MatrixBuilder, RatingMatrix, Ratings, TrainingData, als, svd};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const MOVIES: usize = 17_770;

fn main() {
    let args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect::<Vec<_>>();
    let sizes = args.iter().filter_map(|arg| arg.parse().ok()).collect::<Vec<usize>>();
    let size = |place: usize, default| sizes.get(place).copied().unwrap_or(default);
    let is_svd = args.first().is_some_and(|algorithm| algorithm == "svd");
    let factors = size(0, 50);
    let matrix = matrix(size(1, 48_000));
    let threads = size(2, std::thread::available_parallelism().map_or(1, usize::from));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
    let peak = threads as f64 * peak();

    let mut ended = Vec::new();
    let mut rmse = 0.0;
    pool.install(|| {
        let on_iteration = &mut |iteration: Iteration| {
            ended.push(iteration.elapsed);
            rmse = iteration.train_rmse;
        };
        let (held_out, cancelled) = (Ratings::default(), AtomicBool::new(false));
        let algorithm = match is_svd {
            true => Algorithm::Svd(svd::Params { factors, iterations: 5, ..svd::Params::default() }),
            false => Algorithm::Als(als::Params { factors, iterations: 5, ..als::Params::default() }),
        };
        let callbacks = &mut Callbacks { cancelled: &cancelled, on_iteration };
        algorithm.train(TrainingData::new(&matrix, &held_out), callbacks)
    })
    .expect("the matrix can be factorised");
    // The first sweep is left out, because the system gives the memory while it runs.
    let sweep = ended.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(Duration::ZERO).as_secs_f64();
    let ratings = matrix.ratings() as f64;
    // Per rating, both halves of a sweep of least squares add the outer product of a vector of factors and a 1. A step of gradient
    // descent shrinks both rows, adds a multiple of the other row to each, and computes a scalar product.
    let flop = ratings * if is_svd { 8 * (factors + 2) } else { 2 * factors * (factors + 1) } as f64;
    println!(
        "{}, {factors} factors, {threads} threads: {sweep:.3} s a sweep, {:.1} million ratings a second, {:.1} GFLOP/s, {:.0} % of {peak:.0}; RMSE {rmse:.5}",
        if is_svd { "svd" } else { "als" },
        ratings / sweep / 1e6,
        flop / sweep / 1e9,
        flop / sweep / 1e7 / peak
    );
}

fn matrix(customers: usize) -> RatingMatrix {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(42);
    // A list in which each movie stands in proportion to a power of its rank.
    let mut picks = (0..MOVIES as u32)
        .flat_map(|movie| {
            let weight = ((f64::from(movie) + 0.5) / MOVIES as f64 + 0.005).powf(-1.1);
            std::iter::repeat_n(movie, (8.0 * weight).ceil() as usize)
        })
        .collect::<Vec<_>>();
    picks.shuffle(&mut rng);
    let mut ratings = MatrixBuilder::default();
    let mut seen = vec![u32::MAX; MOVIES];
    for customer in 0..customers as u32 {
        let rank: f64 = rng.random();
        let wanted = (25.0 * (rank + 0.002).powf(-0.9)).min(6000.0) as usize;
        for _ in 0..wanted {
            let movie = picks[rng.random_range(0..picks.len())];
            if seen[movie as usize] != customer {
                seen[movie as usize] = customer;
                let taste = (customer % 7).abs_diff(movie % 7).min(4) as f64;
                let value = (5.0 - taste + rng.random_range(-1.0..1.0)).round().clamp(1.0, 5.0) as u8;
                ratings.push(customer, movie, value).expect("there is memory");
            }
        }
    }
    let started = Instant::now();
    let matrix = ratings.build(customers, MOVIES, &AtomicBool::new(false)).expect("within bounds");
    let (ratings, seconds) = (matrix.ratings(), started.elapsed().as_secs_f64());
    println!("{ratings} ratings sorted into a matrix, on all threads: {seconds:.3} s");
    matrix
}

/// The peak of one thread that only multiplies and adds in registers, in GFLOP/s: the best of some tries.
fn peak() -> f64 {
    (0..20).map(|_| multiply()).fold(f64::NAN, f64::max)
}

fn multiply() -> f64 {
    const ROUNDS: usize = 4_000_000;
    let started = Instant::now();
    #[cfg(target_arch = "x86_64")]
    let flop_per_round = {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: found on this machine.
            unsafe { multiply_avx512(ROUNDS) }
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: found on this machine.
            unsafe { multiply_avx2(ROUNDS) }
        } else {
            return f64::NAN;
        }
    };
    #[cfg(not(target_arch = "x86_64"))]
    return f64::NAN;
    ROUNDS as f64 * flop_per_round as f64 / started.elapsed().as_secs_f64() / 1e9
}

const CHAINS: usize = 12;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn multiply_avx512(rounds: usize) -> usize {
    use std::arch::x86_64::*;
    let factor = _mm512_set1_ps(std::hint::black_box(0.5));
    let mut sums = [_mm512_set1_ps(1.0); CHAINS];
    for _ in 0..rounds {
        sums.iter_mut().for_each(|sum| *sum = _mm512_fmadd_ps(*sum, factor, factor));
    }
    std::hint::black_box(sums);
    CHAINS * 2 * 16
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn multiply_avx2(rounds: usize) -> usize {
    use std::arch::x86_64::*;
    let factor = _mm256_set1_ps(std::hint::black_box(0.5));
    let mut sums = [_mm256_set1_ps(1.0); CHAINS];
    for _ in 0..rounds {
        sums.iter_mut().for_each(|sum| *sum = _mm256_fmadd_ps(*sum, factor, factor));
    }
    std::hint::black_box(sums);
    CHAINS * 2 * 8
}
