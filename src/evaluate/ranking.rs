//! Judges lists of recommendations instead of predictions: `evaluate_ranking`.

use std::sync::atomic::AtomicBool;

use factor::{
    Catalog, Catalogue, Gain, MatrixBuilder, Part, RankingMetrics, Sparse, is_sampled, recommend,
    same_for_all,
};

use super::error::EvaluateError;
use super::judged::{Judged, Loaded, RANKING, Warehouse, note_sample, warn_if_trained_on};
use crate::models::ModelRow;
use crate::pg::{guc, memory, threads};
use crate::warehouse;
use crate::warehouse::ratings;

/// How lists are judged.
pub struct Rules {
    pub k: usize,
    /// Ratings from this one on make a movie relevant.
    pub relevant: f64,
    pub gain: Gain,
    /// The share of the customers whose lists are judged.
    pub sample: f64,
    pub seed: i64,
}

/// The arguments of `evaluate_ranking`, checked.
impl Rules {
    pub fn new(
        k: i64,
        relevant: f64,
        gain: &str,
        sample: Option<f64>,
        seed: i64,
    ) -> Result<Rules, EvaluateError> {
        let wrong = |name, value: String, range: &str| {
            Err(EvaluateError::Argument { name, value, range: range.into() })
        };
        let gain = match gain {
            "binary" => Gain::Binary,
            "rating" => Gain::Rating,
            other => return wrong("gain", format!("'{other}'"), "'binary' or 'rating'"),
        };
        let sample = sample.unwrap_or(1.0);
        if !(sample > 0.0 && sample <= 1.0) {
            return wrong("sample", sample.to_string(), "above 0 and at most 1");
        }
        if !(1.0..=5.0).contains(&relevant) {
            return wrong("relevant", relevant.to_string(), "from 1 to 5");
        }
        match usize::try_from(k) {
            Ok(k) if k > 0 => Ok(Rules { k, relevant, gain, sample, seed }),
            _ => wrong("k", k.to_string(), "at least 1"),
        }
    }
}

/// Lists of one kind, judged.
pub struct Ranking {
    /// The model's name, or the rule that makes the same list for everybody.
    pub name: String,
    /// The model's version.
    pub version: Option<i32>,
    pub metrics: RankingMetrics,
    pub is_trained_on: Option<bool>,
}

/// The rankings, and what they have in common.
pub struct Rankings {
    pub rankings: Vec<Ranking>,
    /// Customers whose lists are judged.
    pub customers: usize,
    /// Customers with test ratings, but none of a relevant movie. They are left out.
    pub without_relevant: usize,
    pub sample: Option<f64>,
}

/// Damping of the movies' biases in the ranking by biases, in ratings.
const DAMPING: f64 = 25.0;

/// Judges the lists of a model, of most popular movies, and of movies with the highest biases.
pub fn rank(row: ModelRow, judged: &Judged, rules: &Rules) -> Result<Rankings, EvaluateError> {
    let Judged::Test(split) = judged else { return Err(EvaluateError::NoTestSet(judged.label().into())) };
    let warehouse = Warehouse::open()?;
    let size = warehouse.size;
    memory::declare("evaluate_ranking", bytes(&row, &size, rules))?;
    let model = Loaded::read(row, &size)?;
    let is_candidate = model.known_movies();
    let candidates = is_candidate.iter().filter(|is| **is).count();
    if rules.k > candidates {
        let range = format!("at most the number of movies that the model knows, {candidates}");
        return Err(EvaluateError::Argument { name: "k", value: rules.k.to_string(), range });
    }
    let data = TestSet::read(&warehouse, judged, &model, rules)?;
    let TestSet { customers, relevant, .. } = &data;
    if customers.is_empty() {
        return Err(match data.without_relevant {
            0 => EvaluateError::EmptySplit(split.label.clone()),
            _ => EvaluateError::NothingRelevant { split: split.label.clone(), relevant: rules.relevant },
        });
    }
    warn_if_trained_on(judged, &model.row, data.is_trained_on);
    note_sample(judged);
    warehouse.progress.enter(&RANKING);
    let catalog = Catalog { ratings: &data.movie_ratings, is_candidate, customers: data.training_customers };
    let metrics = threads::run(
        guc::threads(),
        |cancelled, report: &mut (dyn FnMut(usize) + Send)| {
            let judge = |lists: &[Vec<u32>]| {
                RankingMetrics::of(lists, relevant, rules.k, rules.gain, catalog, cancelled)
            };
            let has_seen = |row, movie| data.has_seen(row, movie);
            let lists =
                recommend(&model.model, customers, is_candidate, rules.k, has_seen, cancelled, report)?;
            let of_model = judge(&lists)?;
            let popular = judge(&data.by_order(
                rules.k,
                |movie| data.movie_ratings[movie] as f64,
                is_candidate,
                cancelled,
            )?)?;
            let biases =
                judge(&data.by_order(rules.k, |movie| data.bias(movie), is_candidate, cancelled)?)?;
            Ok::<_, factor::Error>([of_model, popular, biases])
        },
        |done| warehouse.progress.update(done as u64, customers.len() as u64, done as u64),
    )??;
    let [of_model, popular, biases] = metrics;
    let rule = |name: &str, metrics| Ranking {
        name: name.into(),
        version: None,
        metrics,
        is_trained_on: Some(false),
    };
    let of_model = Ranking {
        name: model.row.name,
        version: Some(model.row.version),
        metrics: of_model,
        is_trained_on: data.is_trained_on,
    };
    let sample = judged.sample().unwrap_or(1.0) * rules.sample;
    Ok(Rankings {
        rankings: vec![of_model, rule("most popular", popular), rule("highest bias", biases)],
        customers: customers.len(),
        without_relevant: data.without_relevant,
        sample: (sample < 1.0).then_some(sample),
    })
}

/// The memory, in bytes, that ranking takes.
fn bytes(row: &ModelRow, size: &ratings::Size, rules: &Rules) -> usize {
    let customers = size.customers;
    let vector = (row.factors + 1) * size_of::<f32>();
    let seen = MatrixBuilder::memory(customers, size.movies, size.ratings, guc::threads());
    let lists = customers
        .saturating_mul(rules.k.min(size.movies))
        .saturating_mul(size_of::<(i32, f32)>() + size_of::<u32>());
    Loaded::memory(row, size)
        .saturating_add(customers * vector + Catalogue::memory(size.movies, row.factors))
        .saturating_add(seen)
        .saturating_add(lists)
}

/// The test set, and what the training ratings say of the movies.
struct TestSet {
    /// Rows of the customers with relevant movies, in the order of their ids.
    customers: Vec<u32>,
    /// Their relevant movies and ratings, sorted by movie.
    relevant: Vec<Vec<(u32, u8)>>,
    /// All ratings outside the test set, by customer: movies that are not recommended again.
    seen: Sparse,
    /// Training ratings of each movie, and their sum.
    movie_ratings: Vec<u64>,
    movie_totals: Vec<u64>,
    mean: f64,
    training_customers: u64,
    without_relevant: usize,
    is_trained_on: Option<bool>,
}

impl TestSet {
    fn read(
        warehouse: &Warehouse,
        judged: &Judged,
        model: &Loaded,
        rules: &Rules,
    ) -> Result<TestSet, EvaluateError> {
        let size = warehouse.size;
        let ids = &warehouse.ids;
        let in_sample = |row| {
            rules.sample >= 1.0 || {
                let (customer_id, _) = ids.of(row, crate::warehouse::dimension::MatrixRow(0));
                is_sampled(rules.sample, rules.seed, customer_id)
            }
        };
        let (mut movie_ratings, mut movie_totals) =
            (memory::filled(0u64, size.movies)?, memory::filled(0u64, size.movies)?);
        let (mut is_test, mut is_training) =
            (memory::filled(false, size.customers)?, memory::filled(false, size.customers)?);
        let mut relevant = Vec::new();
        let mut seen = MatrixBuilder::default();
        let read = warehouse.read(
            "evaluate_ranking",
            judged,
            &[&model.row],
            |rated| {
                let row = rated.customer;
                if row.index() < size.customers && rated.movie.index() < size.movies && in_sample(row) {
                    is_test[row.index()] = true;
                    if f64::from(rated.rating) >= rules.relevant {
                        memory::push(&mut relevant, (row.0, rated.movie.0, rated.rating))?;
                    }
                }
                Ok(())
            },
            |rated, part| {
                let (customer, movie) = (rated.customer, rated.movie);
                if customer.index() < size.customers && movie.index() < size.movies {
                    if part == Part::Train {
                        movie_ratings[movie.index()] += 1;
                        movie_totals[movie.index()] += u64::from(rated.rating);
                        is_training[customer.index()] = true;
                    }
                    if in_sample(customer) {
                        seen.push(customer.0, movie.0, rated.rating)?;
                    }
                }
                Ok::<_, warehouse::Error>(())
            },
        )?;
        let build = |cancelled: &AtomicBool, _: &mut (dyn FnMut(()) + Send)| {
            seen.build_by_customer(size.customers, size.movies, cancelled)
        };
        let seen = threads::run(guc::threads(), build, |()| {})??;
        relevant.sort_unstable();
        let mut lists = memory::filled(Vec::new(), size.customers)?;
        for (customer, movie, rating) in relevant {
            memory::push::<(u32, u8)>(&mut lists[customer as usize], (movie, rating))?;
        }
        let (mut customers, mut relevant, mut without_relevant) = (Vec::new(), Vec::new(), 0);
        for row in ids.customers_by_id()?.into_iter().filter(|&row| is_test.get(row as usize) == Some(&true))
        {
            match std::mem::take(&mut lists[row as usize]) {
                list if list.is_empty() => without_relevant += 1,
                list => {
                    memory::push(&mut customers, row)?;
                    memory::push(&mut relevant, list)?;
                }
            }
        }
        let (all, total) = (movie_ratings.iter().sum::<u64>(), movie_totals.iter().sum::<u64>());
        Ok(TestSet {
            customers,
            relevant,
            seen,
            movie_ratings,
            movie_totals,
            mean: total as f64 / all.max(1) as f64,
            training_customers: is_training.iter().filter(|is| **is).count() as u64,
            without_relevant,
            is_trained_on: read.first().copied().flatten(),
        })
    }

    fn has_seen(&self, row: u32, movie: u32) -> bool {
        self.seen.row(row as usize).0.binary_search(&movie).is_ok()
    }

    /// A movie's damped bias.
    fn bias(&self, movie: usize) -> f64 {
        let count = self.movie_ratings[movie] as f64;
        (self.movie_totals[movie] as f64 - count * self.mean) / (count + DAMPING)
    }

    /// For each customer, the first `k` candidates in descending order of a value that a movie has for everybody.
    fn by_order(
        &self,
        k: usize,
        value: impl Fn(usize) -> f64,
        is_candidate: &[bool],
        cancelled: &AtomicBool,
    ) -> Result<Vec<Vec<u32>>, factor::Error> {
        let mut order = (0..self.movie_ratings.len() as u32).collect::<Vec<_>>();
        order.retain(|&movie| is_candidate[movie as usize]);
        order.sort_by(|&one, &other| value(other as usize).total_cmp(&value(one as usize)));
        same_for_all(
            &order,
            k,
            self.customers.len(),
            |at, movie| self.has_seen(self.customers[at], movie),
            cancelled,
        )
    }
}
