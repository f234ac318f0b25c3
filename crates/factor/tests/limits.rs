//! What every algorithm promises of large data: how much memory it takes, and how soon it hears of a cancel.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use factor::{Algorithm, Error, HoldOut, MatrixBuilder, RatingMatrix, Ratings, Run, Size};
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};

static GO: AtomicBool = AtomicBool::new(false);
const THREADS: usize = 2;

/// A sparse matrix of random ratings, about as many a customer, and a tenth of them apart.
fn ratings(customers: usize, movies: usize, each: usize) -> (MatrixBuilder, Ratings) {
    let mut rng = SplitMix64::seed_from_u64(42);
    let hold_out = HoldOut::new(0.1, 1);
    let (mut builder, mut held_out) = (MatrixBuilder::default(), Ratings::default());
    for customer in 0..customers as u32 {
        for number in 0..each {
            // In another part of the movies each: no pair comes twice. The first ones are rated most.
            let place = (number as f64 + (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64) / each as f64;
            let movie = ((movies - each) as f64 * place * place) as u32 + number as u32;
            let value = 1 + (rng.next_u64() % 5) as u8;
            match hold_out.contains(customer, movie) {
                true => held_out.try_push(customer, movie, value).unwrap(),
                false => builder.push(customer, movie, value).unwrap(),
            }
        }
    }
    (builder, held_out)
}

fn pool() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().unwrap()
}

/// What the memory of is measured. Few iterations: the first has all there is.
fn measured() -> Vec<(&'static str, Value)> {
    vec![
        ("als", json!({"factors": 64, "iterations": 2})),
        ("als", json!({"factors": 64, "iterations": 2, "tolerance": 1e-9})),
        ("als", json!({"factors": 64, "iterations": 2, "implicit_weight": 0.5})),
        ("als", json!({"factors": 128, "iterations": 1, "cg_steps": 1, "implicit_weight": 0.5})),
        ("svd", json!({"factors": 64, "iterations": 2})),
        ("svd", json!({"factors": 64, "iterations": 3, "tolerance": 1e-9})),
        ("svdpp", json!({"factors": 64, "iterations": 2})),
        ("svdpp", json!({"factors": 64, "iterations": 2, "link_movies": false})),
        ("bpmf", json!({"factors": 32, "burn_in": 1, "samples": 4})),
        ("bpmf", json!({"factors": 64, "burn_in": 0, "samples": 2, "links": false})),
        ("truncated_svd", json!({"factors": 50, "iterations": 1})),
        ("truncated_svd", json!({"factors": 100, "oversampling": 60, "iterations": 0})),
        ("baseline", json!({})),
    ]
}

const CASE: &str = "FACTOR_MEMORY_CASE";

/// Trains in a process of its own, which has no other memory to its account.
#[test]
fn an_estimate_of_memory_is_what_training_takes() {
    if let Ok(case) = std::env::var(CASE) {
        return train_and_tell(case.parse().unwrap());
    }
    let mut wrong = Vec::new();
    for (number, (name, params)) in measured().into_iter().enumerate() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["an_estimate_of_memory_is_what_training_takes", "--exact", "--nocapture"])
            .env(CASE, number.to_string())
            // Large blocks are each mapped and unmapped: holes that malloc keeps below them depend on what threads do when.
            .env("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&child.stdout);
        let numbers = told.lines().find_map(|line| line.split_once("memory: ")).map(|(_, numbers)| numbers);
        let numbers = numbers.unwrap_or_else(|| panic!("{name} {params}: {told}"));
        let numbers = numbers.split(' ').map(|number| number.parse::<f64>().unwrap()).collect::<Vec<_>>();
        let share = numbers[0] / numbers[1];
        println!(
            "{name} {params}: {:.1} MB estimated, {:.1} taken: {share:.2}",
            numbers[0] / 1e6,
            numbers[1] / 1e6
        );
        if !(1.0..=1.5).contains(&share) {
            wrong.push(format!("{name} {params}: {share:.2}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn train_and_tell(case: usize) {
    let (name, params) = measured().swap_remove(case);
    pool().install(|| {
        // Little first: pages of the program, and what threads start with, are no training's.
        let mut few = params.clone();
        if name != "baseline" {
            few["factors"] = 5.into();
        }
        train((name, &few), (500, 100, 11));
        let before = status("VmRSS");
        let (algorithm, size) = train((name, &params), (100_000, 10_000, 11));
        println!("memory: {} {}", algorithm.memory(size), status("VmHWM") - before);
    });
}

/// Reads ratings and trains on them; gives how many there were.
fn train(
    (name, params): (&str, &Value),
    (customers, movies, each): (usize, usize, usize),
) -> (Algorithm, Size) {
    let (builder, held_out) = ratings(customers, movies, each);
    let size = Size { customers, movies, ratings: builder.len(), held_out: held_out.len(), threads: THREADS };
    let algorithm = Algorithm::parse(name, params).unwrap();
    let matrix = builder.build(customers, movies, &GO).unwrap();
    let run = &mut Run { held_out: &held_out, cancelled: &GO, on_iteration: &mut |_| {} };
    algorithm.train(&matrix, run).unwrap();
    (algorithm, size)
}

/// A figure of this process, in bytes.
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// Rows as the Prize has them, few ratings, and as many held out: what goes through rows is most of the work.
#[test]
fn every_algorithm_hears_of_a_cancel_at_once() {
    let (customers, movies) = (500_000, 20_000);
    let pool = pool();
    let (matrix, held_out) = pool.install(|| {
        let (builder, mut held_out) = ratings(customers, movies, 4);
        let more = held_out.iter().collect::<Vec<_>>();
        (0..6).for_each(|_| more.iter().for_each(|&(c, m, v)| held_out.try_push(c, m, v).unwrap()));
        (builder.build(customers, movies, &GO).unwrap(), held_out)
    });
    let algorithms = [
        ("als", json!({"factors": 20, "tolerance": 1e-9})),
        ("als", json!({"factors": 20, "implicit_weight": 0.5})),
        ("svd", json!({"factors": 20, "tolerance": 1e-9})),
        ("svdpp", json!({"factors": 20})),
        ("bpmf", json!({"factors": 20, "burn_in": 1, "samples": 20})),
        ("bpmf", json!({"factors": 20, "burn_in": 1, "samples": 20, "links": false})),
        ("truncated_svd", json!({"factors": 30})),
        ("baseline", json!({})),
    ];
    for (name, params) in algorithms {
        let algorithm = Algorithm::parse(name, &params).unwrap();
        for after in [20, 300, 700, 1300, 2100] {
            let late = late(&pool, &algorithm, &matrix, &held_out, Duration::from_millis(after));
            println!("{name} {params}, after {after} ms: {late:?}");
            // It is a fifth of that on a machine that does nothing else.
            assert!(late < Duration::from_secs(1), "{name} {params}, after {after} ms: {late:?}");
        }
    }
}

/// A decomposition of a wide matrix is the last that training does, after a second or so.
#[test]
fn the_last_decomposition_hears_of_a_cancel() {
    let pool = pool();
    let matrix = pool.install(|| ratings(1500, 1500, 200).0.build(1500, 1500, &GO).unwrap());
    let params = json!({"factors": 700, "oversampling": 300, "iterations": 0});
    let algorithm = Algorithm::parse("truncated_svd", &params).unwrap();
    for after in [1000, 2500, 4000] {
        let late = late(&pool, &algorithm, &matrix, &Ratings::default(), Duration::from_millis(after));
        println!("after {after} ms: {late:?}");
        assert!(late < Duration::from_secs(1), "after {after} ms: {late:?}");
    }
}

/// How long after a cancel training returns; no time where it ended before.
fn late(
    pool: &rayon::ThreadPool,
    algorithm: &Algorithm,
    matrix: &RatingMatrix,
    held_out: &Ratings,
    after: Duration,
) -> Duration {
    let (cancelled, has_ended) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let training = scope.spawn(|| {
            let result = pool.install(|| {
                let run = &mut Run { held_out, cancelled: &cancelled, on_iteration: &mut |_| {} };
                algorithm.train(matrix, run).map(|_| ())
            });
            has_ended.store(true, Ordering::Relaxed);
            (result, Instant::now())
        });
        let started = Instant::now();
        while started.elapsed() < after && !has_ended.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        cancelled.store(true, Ordering::Relaxed);
        let set = Instant::now();
        let (result, ended) = training.join().unwrap();
        assert!(matches!(result, Ok(()) | Err(Error::Cancelled)), "{result:?}");
        ended.saturating_duration_since(set)
    })
}
