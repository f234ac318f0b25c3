//! Compares the estimates of training times with the real times, for each algorithm.
//!
//! `cargo bench -p factor --bench estimate -- [CUSTOMERS]`. By default there are 100,000 customers, with 20 random ratings each.

#![allow(missing_docs)]

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use factor::{Algorithm, Callbacks, MatrixBuilder, Ratings, Size, TrainingData};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::json;

const MOVIES: usize = 10_000;
const EACH: usize = 20;

fn main() {
    let customers = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(100_000);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
    let (cancelled, held_out) = (AtomicBool::new(false), Ratings::default());
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(42);
    let mut builder = MatrixBuilder::default();
    for customer in 0..customers as u32 {
        for rating in 0..EACH {
            let place = (rating as f64 + rng.random::<f64>()) / EACH as f64;
            let movie = ((MOVIES - EACH) as f64 * place * place) as usize + rating;
            builder.push(customer, movie as u32, rng.random_range(1..=5)).expect("there is memory");
        }
    }
    let size = Size { customers, movies: MOVIES, ratings: builder.len(), held_out: 0, threads };
    let matrix = pool.install(|| builder.build(customers, MOVIES, &cancelled)).expect("within bounds");
    println!("| algorithm | estimated s | taken s | quotient |\n| --- | ---: | ---: | ---: |");
    let cases = [
        ("als", json!({"iterations": 5})),
        ("als", json!({"iterations": 2, "factors": 256})),
        ("als", json!({"iterations": 5, "implicit_weight": 1})),
        ("als", json!({"iterations": 5, "factors": 128, "cg_steps": 3})),
        ("svd", json!({})),
        ("svdpp", json!({"iterations": 5})),
        ("bpmf", json!({"burn_in": 2, "samples": 10})),
        ("bpmf", json!({"burn_in": 2, "samples": 10, "links": false})),
        ("bpmf", json!({"burn_in": 1, "samples": 3, "factors": 100})),
        ("truncated_svd", json!({})),
        ("truncated_svd", json!({"factors": 300, "iterations": 1})),
        ("baseline", json!({})),
    ];
    for (name, params) in cases {
        let algorithm = Algorithm::parse(name, &params).expect("parameters are in range");
        pool.install(|| {
            let estimated = algorithm.estimate(size, &cancelled).expect("there is memory").as_secs_f64();
            let started = Instant::now();
            let callbacks = &mut Callbacks { cancelled: &cancelled, on_iteration: &mut |_| {} };
            let data = TrainingData::new(&matrix, &held_out);
            algorithm.train(data, callbacks).expect("the matrix can be factorised");
            let taken = started.elapsed().as_secs_f64();
            println!("| {name} `{params}` | {estimated:.2} | {taken:.2} | {:.2} |", estimated / taken);
        });
    }
}
