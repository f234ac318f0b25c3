//! What every algorithm promises for large data: how much memory it takes, and how soon it stops after a cancel.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use factor::{
    Algorithm, Callbacks, Error, HoldOut, MatrixBuilder, RatingMatrix, Ratings, Size, TrainingData,
};
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};

static GO: AtomicBool = AtomicBool::new(false);
const THREADS: usize = 2;

/// Random ratings, about `each` per customer, of which a tenth is held out.
fn ratings(customers: usize, movies: usize, each: usize) -> (MatrixBuilder, Ratings) {
    let mut rng = SplitMix64::seed_from_u64(42);
    let hold_out = HoldOut::new(0.1, 1);
    let (mut builder, mut held_out) = (MatrixBuilder::default(), Ratings::default());
    for customer in 0..customers as u32 {
        for rating in 0..each {
            // Each rating is of another part of the movies, so that no pair comes twice. The first movies have most ratings.
            let place = (rating as f64 + (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64) / each as f64;
            let movie = ((movies - each) as f64 * place * place) as u32 + rating as u32;
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

/// The trainings whose memory is measured. They have few iterations, because the first one already takes all memory.
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

/// Each training runs in a process of its own, so that its peak memory can be read from the system.
#[test]
fn an_estimate_of_memory_is_what_training_takes() {
    if let Ok(case) = std::env::var(CASE) {
        return train_and_print(case.parse().unwrap());
    }
    let mut wrong = Vec::new();
    for (case, (name, params)) in measured().into_iter().enumerate() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["an_estimate_of_memory_is_what_training_takes", "--exact", "--nocapture"])
            .env(CASE, case.to_string())
            // Large blocks are mapped and unmapped one by one. Otherwise malloc keeps holes between them, whose size depends on the
            // timing of threads.
            .env("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&child.stdout);
        let bytes = output.lines().find_map(|line| line.split_once("memory: ")).map(|(_, bytes)| bytes);
        let bytes = bytes.unwrap_or_else(|| panic!("{name} {params}: {output}"));
        let bytes = bytes.split(' ').map(|bytes| bytes.parse::<f64>().unwrap()).collect::<Vec<_>>();
        let share = bytes[0] / bytes[1];
        println!(
            "{name} {params}: {:.1} MB estimated, {:.1} taken: {share:.2}",
            bytes[0] / 1e6,
            bytes[1] / 1e6
        );
        if !(1.0..=1.5).contains(&share) {
            wrong.push(format!("{name} {params}: {share:.2}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn train_and_print(case: usize) {
    let (name, params) = measured().swap_remove(case);
    pool().install(|| {
        // A small training first, so that the pages of the program and the memory of new threads are not counted.
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

/// Trains on random ratings. Returns the algorithm and the size of the data.
fn train(
    (name, params): (&str, &Value),
    (customers, movies, each): (usize, usize, usize),
) -> (Algorithm, Size) {
    let (builder, held_out) = ratings(customers, movies, each);
    let size = Size { customers, movies, ratings: builder.len(), held_out: held_out.len(), threads: THREADS };
    let algorithm = Algorithm::parse(name, params).unwrap();
    let matrix = builder.build(customers, movies, &GO).unwrap();
    let callbacks = &mut Callbacks { cancelled: &GO, on_iteration: &mut |_| {} };
    algorithm.train(TrainingData::new(&matrix, &held_out), callbacks).unwrap();
    (algorithm, size)
}

/// A line of this process's `/proc/self/status`, in bytes.
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// The Prize's number of rows with few ratings, and as many held-out ratings: most of the work is loops over rows.
#[test]
fn every_algorithm_stops_soon_after_a_cancel() {
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
            // On an idle machine, it is a fifth of that.
            assert!(late < Duration::from_secs(1), "{name} {params}, after {after} ms: {late:?}");
        }
    }
}

/// After a second or so, training decomposes a wide matrix, which is its last step.
#[test]
fn the_last_decomposition_stops_soon_after_a_cancel() {
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

/// The time from a cancel to the end of the training. Zero if the training ended before.
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
                let callbacks = &mut Callbacks { cancelled: &cancelled, on_iteration: &mut |_| {} };
                algorithm.train(TrainingData::new(matrix, held_out), callbacks).map(|_| ())
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
