//! The RMSE of algorithms on the test ratings of data sets of different shapes. It shows whether the default parameters are good
//! for all of them.
//!
//! `cargo bench -p factor --bench defaults -- DATA [ALGORITHM JSON]...`. Without algorithms, all of them run with their defaults,
//! and bpmf also without links.
//!
//! | DATA | what it is |
//! | --- | --- |
//! | `dense` | artificial: 2,900 customers rated 84 % of 99 movies; another 10,000 customers gave one rating each |
//! | `planted:RATINGS` | artificial: the numbers of ratings per customer and per movie follow power laws, as in `prize-sample` |
//! | a folder with u1.base | MovieLens 100K: the mean of the five folds |
//! | a folder with training_set | a folder of `prize-sample`; its probe is the test |
//!
//! The artificial ratings come from planted factors, and who rated what tells nothing. Links cannot help there, and must do no harm.

#![allow(missing_docs)]

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use factor::{Algorithm, Callbacks, HoldOut, Iteration, RatingMatrix, Ratings, TrainingData};
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};

/// Ratings to train on and to test by.
type Split = (Ratings, Ratings);

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let data = args.next().unwrap_or_else(|| "dense".into());
    let args = args.collect::<Vec<_>>();
    let splits = match data.split_once(':') {
        _ if data == "dense" => vec![dense()],
        Some(("planted", ratings)) => vec![planted(ratings.parse().expect("a number of ratings"))],
        _ if Path::new(&data).join("u1.base").exists() => {
            (1..=5).map(|fold| movielens(&data, fold)).collect()
        }
        _ => vec![prize(&data)],
    };
    let matrices = splits.iter().map(|(train, test)| matrix(train, test)).collect::<Vec<_>>();
    for (matrix, (_, test)) in matrices.iter().zip(&splits).take(1) {
        let (customers, movies) = (matrix.by_customer.rows(), matrix.by_movie.rows());
        println!("{} ratings of {customers} x {movies}, {} held out", matrix.ratings(), test.len());
    }
    let asked = args.chunks(2).map(|pair| {
        let params = pair.get(1).map_or("{}", |text| text);
        Algorithm::parse(&pair[0], &serde_json::from_str::<Value>(params).expect("JSON")).expect("parameters")
    });
    let asked = asked.collect::<Vec<_>>();
    for algorithm in if asked.is_empty() { all() } else { asked } {
        let started = Instant::now();
        let mut errors = Vec::new();
        let mut curve: Vec<f64> = vec![0.0; algorithm.iterations()];
        for (matrix, (_, test)) in matrices.iter().zip(&splits) {
            let on_iteration = &mut |iteration: Iteration| {
                curve[iteration.number - 1] += iteration.held_out_rmse.unwrap_or(f64::NAN);
            };
            let callbacks = &mut Callbacks { cancelled: &AtomicBool::new(false), on_iteration };
            let trained = algorithm.train(TrainingData::new(matrix, test), callbacks).expect("it trains");
            errors.push(trained.iteration.held_out_rmse.unwrap_or(f64::NAN));
        }
        let folds = errors.len() as f64;
        let lowest = (1..).zip(&curve).min_by(|a, b| a.1.total_cmp(b.1));
        let (at, lowest) = lowest.map_or((0, f64::NAN), |(at, sum)| (at, sum / folds));
        let mean = errors.iter().sum::<f64>() / folds;
        let seconds = started.elapsed().as_secs_f64();
        let first = if folds > 1.0 { format!(" (first {:.4})", errors[0]) } else { String::new() };
        println!(
            "{mean:.5}{first}, lowest {lowest:.5} after {at}, {seconds:.1} s: {} {}",
            algorithm.name(),
            changed(&algorithm)
        );
    }
}

/// The parameters that differ from their defaults.
fn changed(algorithm: &Algorithm) -> Value {
    let default = Algorithm::parse(algorithm.name(), &json!({})).expect("defaults are valid").params();
    let params = algorithm.params();
    let differ = params.as_object().into_iter().flatten().filter(|&(name, value)| default[name] != *value);
    Value::Object(differ.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn all() -> Vec<Algorithm> {
    let params = [
        ("baseline", json!({})),
        ("als", json!({})),
        ("svd", json!({})),
        ("svdpp", json!({})),
        ("bpmf", json!({})),
        ("bpmf", json!({"links": false})),
    ];
    params.map(|(name, params)| Algorithm::parse(name, &params).expect("valid")).into()
}

fn matrix(train: &Ratings, test: &Ratings) -> RatingMatrix {
    let most = |of: fn(&Ratings) -> &Vec<u32>| {
        of(train).iter().chain(of(test)).max().map_or(0, |&id| id as usize + 1)
    };
    let (customers, movies) = (most(|list| &list.customers), most(|list| &list.movies));
    RatingMatrix::new(customers, movies, train, &AtomicBool::new(false)).expect("a matrix")
}

/// The rating that each customer would give each movie, from planted factors as in `prize-sample`.
struct Truth {
    rng: Xoshiro256PlusPlus,
    customers: Vec<[f32; FACTORS + 1]>,
    movies: Vec<[f32; FACTORS + 1]>,
}

const FACTORS: usize = 10;

impl Truth {
    fn new(customers: usize, movies: usize) -> Truth {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(42);
        let harmonic = (1..=FACTORS).map(|d| 1.0 / d as f32).sum::<f32>();
        let mut plant = |bias: f32| -> [f32; FACTORS + 1] {
            std::array::from_fn(|d| {
                let scale = if d == FACTORS {
                    bias
                } else {
                    (0.54f32.powi(2) / harmonic / (d + 1) as f32).powf(0.25)
                };
                let normal: f32 = StandardNormal.sample(&mut rng);
                scale * normal
            })
        };
        let (customers, movies) =
            ((0..customers).map(|_| plant(0.42)).collect(), (0..movies).map(|_| plant(0.48)).collect());
        Truth { customers, movies, rng }
    }

    fn stars(&mut self, customer: usize, movie: usize) -> u8 {
        let (p, q) = (&self.customers[customer], &self.movies[movie]);
        let taste = p[..FACTORS].iter().zip(q).map(|(p, q)| p * q).sum::<f32>();
        let noise: f32 = StandardNormal.sample(&mut self.rng);
        (3.55 + p[FACTORS] + q[FACTORS] + taste + 0.79 * noise).round().clamp(1.0, 5.0) as u8
    }
}

fn dense() -> Split {
    let (eager, once, movies) = (2900, 10_000, 99);
    let mut truth = Truth::new(eager + once, movies);
    let mut split = Split::default();
    let hold_out = HoldOut::new(0.1, 7);
    for customer in 0..eager + once {
        let only = truth.rng.random_range(0..movies);
        for movie in 0..movies {
            let rates = if customer < eager { truth.rng.random_bool(0.84) } else { movie == only };
            if rates {
                let stars = truth.stars(customer, movie);
                let held = customer < eager && hold_out.contains(customer as u32, movie as u32);
                let list = if held { &mut split.1 } else { &mut split.0 };
                list.push(customer as u32, movie as u32, stars);
            }
        }
    }
    split
}

/// Who rates what is drawn by two power laws; a few ratings of each customer are held out.
fn planted(ratings: usize) -> Split {
    let (customers, movies) = (ratings / 209, (ratings / 270).min(17_770));
    let mut truth = Truth::new(customers, movies);
    let law = |n: usize, exponent: f64, shift: f64| {
        let mut sum = 0.0;
        (0..n)
            .map(|rank| {
                sum += ((rank as f64 + 0.5) / n as f64 + shift).powf(-exponent);
                sum
            })
            .collect::<Vec<_>>()
    };
    let (of_customers, of_movies) = (law(customers, 0.9, 0.002), law(movies, 1.3, 0.01));
    let (mut seen, mut counts, mut split) = (HashSet::new(), vec![0; customers], Split::default());
    while seen.len() < ratings {
        let mut draw = |law: &[f64]| {
            let at = truth.rng.random_range(0.0..law[law.len() - 1]);
            law.partition_point(|&sum| sum < at)
        };
        let (customer, movie) = (draw(&of_customers), draw(&of_movies));
        if seen.insert((customer, movie)) {
            let stars = truth.stars(customer, movie);
            counts[customer] += 1;
            let list = if counts[customer] % 20 == 3 && counts[customer] < 100 {
                &mut split.1
            } else {
                &mut split.0
            };
            list.push(customer as u32, movie as u32, stars);
        }
    }
    split
}

fn movielens(folder: &str, fold: usize) -> Split {
    let read = |kind: &str| {
        let text = std::fs::read_to_string(format!("{folder}/u{fold}.{kind}")).expect("a fold");
        let mut list = Ratings::default();
        for line in text.lines() {
            let fields =
                line.split('\t').map(|field| field.parse::<u32>().expect("a number")).collect::<Vec<_>>();
            list.push(fields[0] - 1, fields[1] - 1, fields[2] as u8);
        }
        list
    };
    (read("base"), read("test"))
}

fn prize(folder: &str) -> Split {
    let mut probe = HashSet::new();
    let mut movie = 0;
    for line in std::fs::read_to_string(format!("{folder}/probe.txt")).expect("a probe").lines() {
        match line.strip_suffix(':') {
            Some(id) => movie = id.parse::<u32>().expect("a movie"),
            None => drop(probe.insert((line.parse::<u32>().expect("a customer"), movie))),
        }
    }
    let mut split = Split::default();
    let mut customers = std::collections::HashMap::new();
    let mut files = std::fs::read_dir(format!("{folder}/training_set"))
        .expect("a folder")
        .map(|file| file.expect("a file").path())
        .collect::<Vec<_>>();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(file).expect("a movie's ratings");
        let mut lines = text.lines();
        let movie =
            lines.next().and_then(|line| line.strip_suffix(':')?.parse::<u32>().ok()).expect("a movie");
        for line in lines {
            let (customer, rest) = line.split_once(',').expect("a rating");
            let customer = customer.parse::<u32>().expect("a customer");
            let next = customers.len() as u32;
            let row = *customers.entry(customer).or_insert(next);
            let list = if probe.contains(&(customer, movie)) { &mut split.1 } else { &mut split.0 };
            list.push(row, movie - 1, rest.as_bytes()[0] - b'0');
        }
    }
    split
}
