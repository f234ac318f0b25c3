//! How good top-n lists are: metrics of information retrieval, and how the lists spread over the catalogue.
//!
//! The metrics of one customer's list are those of Manning, Raghavan and Schütze 2008, "Introduction to Information Retrieval",
//! chapter 8, and for NDCG of Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques". They agree with
//! the Python library ranx.

use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::error::{Error, check};
use crate::memory::{try_vec, try_with_capacity};
use crate::model::catalogue::Catalogue;
use crate::model::sample_layout::SampleLayout;
use crate::model::{Model, Side};
use crate::rows::ROWS_PER_CHECK;

/// What a relevant movie counts in NDCG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gain {
    /// 1.
    Binary,
    /// Its rating.
    Rating,
}

/// The metrics of one customer's list of at most k movies. All are from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ListMetrics {
    /// Relevant movies in the list, divided by k.
    pub precision: f64,
    /// Relevant movies in the list, divided by all relevant movies.
    pub recall: f64,
    /// 1 if there is a relevant movie in the list.
    pub hit: f64,
    /// 1 divided by the rank of the first relevant movie; 0 if there is none.
    pub reciprocal_rank: f64,
    /// The sum, over the ranks of relevant movies, of the precision up to that rank, divided by all relevant movies.
    pub average_precision: f64,
    /// `Σ gain / log2(rank + 1)`, divided by the same sum of the best possible list.
    pub ndcg: f64,
}

impl ListMetrics {
    /// Judges a list, best first. `relevant` has the customer's relevant movies and their ratings, sorted by movie. All metrics are
    /// 0 if it is empty. The list has at most `k` movies.
    pub fn of(list: &[u32], relevant: &[(u32, u8)], k: usize, gain: Gain) -> ListMetrics {
        if relevant.is_empty() || k == 0 {
            return ListMetrics::default();
        }
        let gain = |rating: u8| match gain {
            Gain::Binary => 1.0,
            Gain::Rating => f64::from(rating),
        };
        let discount = |place: usize| (place as f64 + 2.0).log2();
        let mut metrics = ListMetrics::default();
        let (mut hits, mut dcg) = (0.0, 0.0);
        for (place, movie) in list.iter().take(k).enumerate() {
            let Ok(found) = relevant.binary_search_by_key(movie, |&(movie, _)| movie) else { continue };
            hits += 1.0;
            if metrics.hit == 0.0 {
                metrics.hit = 1.0;
                metrics.reciprocal_rank = 1.0 / (place as f64 + 1.0);
            }
            metrics.average_precision += hits / (place as f64 + 1.0);
            dcg += gain(relevant[found].1) / discount(place);
        }
        let mut gains = relevant.iter().map(|&(_, rating)| gain(rating)).collect::<Vec<_>>();
        gains.sort_by(|one, other| other.total_cmp(one));
        let ideal = gains.iter().take(k).enumerate().map(|(place, gain)| gain / discount(place)).sum::<f64>();
        metrics.precision = hits / k as f64;
        metrics.recall = hits / relevant.len() as f64;
        metrics.average_precision /= relevant.len() as f64;
        metrics.ndcg = dcg / ideal;
        metrics
    }

    fn values(&self) -> [f64; 6] {
        let ListMetrics { precision, recall, hit, reciprocal_rank, average_precision, ndcg } = *self;
        [precision, recall, hit, reciprocal_rank, average_precision, ndcg]
    }
}

/// A mean over customers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error: the standard deviation over customers, divided by the root of their number. NaN for one customer.
    pub standard_error: f64,
}

/// The metrics of the lists of many customers.
#[derive(Clone, Debug, PartialEq)]
pub struct RankingMetrics {
    /// Mean of [`ListMetrics::precision`].
    pub precision: Estimate,
    /// Mean of [`ListMetrics::recall`].
    pub recall: Estimate,
    /// Mean of [`ListMetrics::hit`].
    pub hit_rate: Estimate,
    /// Mean of [`ListMetrics::reciprocal_rank`].
    pub mrr: Estimate,
    /// Mean of [`ListMetrics::average_precision`].
    pub map: Estimate,
    /// Mean of [`ListMetrics::ndcg`].
    pub ndcg: Estimate,
    /// Candidates that are in at least one list, divided by all candidates.
    pub coverage: f64,
    /// Mean over all entries of all lists of `-log2(ratings of the movie / customers)`, in bits.
    pub novelty: f64,
    /// Mean over all entries of all lists of the movie's number of training ratings.
    pub popularity: f64,
    /// Gini coefficient of how often each candidate is in a list: 0 if all are listed equally often, near 1 if always the same few
    /// are.
    pub gini: f64,
}

/// What the lists are judged against.
#[derive(Clone, Copy, Debug)]
pub struct Catalog<'a> {
    /// For each movie, its number of training ratings.
    pub ratings: &'a [u64],
    /// For each movie, whether it can be in a list.
    pub is_candidate: &'a [bool],
    /// How many customers have training ratings.
    pub customers: u64,
}

impl RankingMetrics {
    /// Judges the lists of all customers. `relevant` has each customer's relevant movies, as in [`ListMetrics::of`]; no list may
    /// be without any. Runs in rayon's current pool. [`Error::OutOfMemory`] and [`Error::Cancelled`].
    pub fn of<L: AsRef<[u32]> + Sync, R: AsRef<[(u32, u8)]> + Sync>(
        lists: &[L],
        relevant: &[R],
        k: usize,
        gain: Gain,
        catalog: Catalog<'_>,
        cancelled: &AtomicBool,
    ) -> Result<RankingMetrics, Error> {
        let mut values: Vec<[f64; 6]> = try_with_capacity(lists.len())?;
        values.resize(lists.len(), [0.0; 6]);
        let judged = lists.par_iter().zip(relevant).zip(&mut values).with_min_len(1024);
        judged.try_for_each(|((list, relevant), values)| {
            check(cancelled)?;
            *values = ListMetrics::of(list.as_ref(), relevant.as_ref(), k, gain).values();
            Ok(())
        })?;
        let mut listed: Vec<u64> = try_vec(catalog.ratings.len())?;
        for (place, list) in lists.iter().enumerate() {
            if place.is_multiple_of(4096) {
                check(cancelled)?;
            }
            list.as_ref().iter().for_each(|&movie| listed[movie as usize] += 1);
        }
        // Summed up in the order of the customers and of the movies, so that the number of threads changes no bit.
        let [precision, recall, hit_rate, mrr, map, ndcg] =
            std::array::from_fn(|metric| estimate(&values, metric));
        let entries = listed.iter().sum::<u64>() as f64;
        let mean = |of: &dyn Fn(u64) -> f64| {
            let weighted = listed.iter().zip(catalog.ratings).filter(|(listed, _)| **listed > 0);
            weighted.map(|(&listed, &ratings)| listed as f64 * of(ratings)).sum::<f64>() / entries
        };
        let mut counts: Vec<u64> = try_with_capacity(listed.len())?;
        counts
            .extend(listed.iter().zip(catalog.is_candidate).filter(|(_, is)| **is).map(|(&count, _)| count));
        let covered = counts.iter().filter(|&&count| count > 0).count();
        let customers = catalog.customers as f64;
        Ok(RankingMetrics {
            precision,
            recall,
            hit_rate,
            mrr,
            map,
            ndcg,
            coverage: covered as f64 / counts.len() as f64,
            novelty: mean(&|ratings| -(ratings.max(1) as f64 / customers).log2()),
            popularity: mean(&|ratings| ratings as f64),
            gini: gini(counts),
        })
    }
}

fn estimate(values: &[[f64; 6]], metric: usize) -> Estimate {
    let n = values.len() as f64;
    let mean = values.iter().map(|values| values[metric]).sum::<f64>() / n;
    let squares = values.iter().map(|values| (values[metric] - mean).powi(2)).sum::<f64>();
    Estimate { mean, standard_error: (squares / (n - 1.0) / n).sqrt() }
}

/// `Σ (2 i - n - 1) x_i / (n Σ x)` of the counts in ascending order, `i` from 1.
fn gini(mut counts: Vec<u64>) -> f64 {
    counts.sort_unstable();
    let n = counts.len() as f64;
    let total = counts.iter().sum::<u64>() as f64;
    let weighted = counts.iter().enumerate().map(|(at, &count)| (2.0 * at as f64 + 1.0 - n) * count as f64);
    weighted.sum::<f64>() / (n * total)
}

/// Lists from an order of movies that is the same for everybody: for each customer, the first `k` without those that
/// `is_left_out(customer, movie)` names. Runs in rayon's current pool. [`Error::Cancelled`].
pub fn same_for_all(
    order: &[u32],
    k: usize,
    customers: usize,
    is_left_out: impl Fn(usize, u32) -> bool + Sync,
    cancelled: &AtomicBool,
) -> Result<Vec<Vec<u32>>, Error> {
    let list = |customer: usize| {
        check(cancelled)?;
        Ok(order.iter().copied().filter(|&movie| !is_left_out(customer, movie)).take(k).collect())
    };
    (0..customers).into_par_iter().with_min_len(1024).map(list).collect()
}

/// Customers whose lists are made between two reports.
const CUSTOMERS_PER_REPORT: usize = 8192;

/// The `k` movies with the highest predictions for each customer, best first, without those that `is_left_out(customer, movie)` names.
/// `customers` are rows of the model. `report` is called with the number of lists that are made. Runs in rayon's current pool.
/// [`Error::OutOfMemory`] and [`Error::Cancelled`].
pub fn recommend(
    model: &Model,
    customers: &[u32],
    is_candidate: &[bool],
    k: usize,
    is_left_out: impl Fn(u32, u32) -> bool + Sync,
    cancelled: &AtomicBool,
    report: &mut (dyn FnMut(usize) + Send),
) -> Result<Vec<Vec<u32>>, Error> {
    let factors = model.movies.factors.ncols();
    let layout = SampleLayout::of_row_length(model.samples, factors);
    let mut catalogue = Catalogue::empty(model.movies.biases.len(), layout)?;
    // The score of a movie that is not set is below all others, so it is in no list.
    for (movie, _) in is_candidate.iter().enumerate().filter(|(_, is)| **is) {
        if let Some((bias, factors)) = model.movies.row(movie) {
            catalogue.set(movie, bias, factors);
        }
    }
    let mut side = Side::zeros(customers.len(), factors)?;
    for (at, &row) in customers.iter().enumerate() {
        if at.is_multiple_of(ROWS_PER_CHECK) {
            check(cancelled)?;
        }
        if let Some((bias, factors)) = model.customers.row(row as usize) {
            side.biases[at] = bias;
            side.factors.row_mut(at).assign(&factors);
        }
    }
    let is_left_out = |at: usize, movie: usize| is_left_out(customers[at], movie as u32);
    let mut lists: Vec<Vec<u32>> = try_with_capacity(customers.len())?;
    for from in (0..customers.len()).step_by(CUSTOMERS_PER_REPORT) {
        let rows = from..(from + CUSTOMERS_PER_REPORT).min(customers.len());
        let best = catalogue.top_n(k, model.mean, &side, rows.clone(), is_left_out, cancelled)?;
        lists.extend(best.into_iter().map(|list| list.into_iter().map(|(movie, _)| movie as u32).collect()));
        report(rows.end);
    }
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    static GO: AtomicBool = AtomicBool::new(false);

    #[test]
    fn agrees_with_a_list_judged_by_hand() {
        let relevant = [(2, 4), (5, 5), (9, 4)];
        let found = ListMetrics::of(&[7, 5, 1, 2], &relevant, 4, Gain::Binary);
        assert_eq!((found.precision, found.hit, found.reciprocal_rank), (0.5, 1.0, 0.5));
        assert!((found.recall - 2.0 / 3.0).abs() < 1e-15);
        assert!((found.average_precision - (0.5 + 0.5) / 3.0).abs() < 1e-15);
        let log = |rank: f64| (rank + 1.0).log2();
        let ideal = 1.0 + 1.0 / log(2.0) + 1.0 / log(3.0);
        assert!((found.ndcg - (1.0 / log(2.0) + 1.0 / log(4.0)) / ideal).abs() < 1e-15);
        let graded = ListMetrics::of(&[7, 5, 1, 2], &relevant, 4, Gain::Rating).ndcg;
        let ideal = 5.0 + 4.0 / log(2.0) + 4.0 / log(3.0);
        assert!((graded - (5.0 / log(2.0) + 4.0 / log(4.0)) / ideal).abs() < 1e-15);
        assert_eq!(ListMetrics::of(&[1], &[], 4, Gain::Binary), ListMetrics::default());
        assert_eq!(ListMetrics::of(&[], &relevant, 4, Gain::Binary), ListMetrics::default());
    }

    #[test]
    fn lists_that_are_all_the_same_cover_little() {
        let lists = vec![vec![0u32, 1]; 10];
        let relevant = vec![vec![(0u32, 5u8)]; 10];
        let (ratings, candidates) = ([8, 4, 2, 0], [true, true, true, false]);
        let catalog = Catalog { ratings: &ratings, is_candidate: &candidates, customers: 16 };
        let found = RankingMetrics::of(&lists, &relevant, 2, Gain::Binary, catalog, &GO).unwrap();
        assert!((found.coverage - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!((found.popularity, found.novelty), (6.0, 1.5));
        // Counts 0, 10, 10: (-2 · 0 + 0 · 10 + 2 · 10) / (3 · 20).
        assert!((found.gini - 1.0 / 3.0).abs() < 1e-15);
        assert_eq!(found.ndcg, Estimate { mean: 1.0, standard_error: 0.0 });
        let stopped = RankingMetrics::of(&lists, &relevant, 2, Gain::Binary, catalog, &AtomicBool::new(true));
        assert_eq!(stopped.unwrap_err(), Error::Cancelled);
    }

    #[test]
    fn an_order_for_everybody_skips_what_is_left_out() {
        let lists = |k| same_for_all(&[4, 2, 0, 1], k, 2, |customer, movie| customer == 1 && movie == 2, &GO);
        assert_eq!(lists(2).unwrap(), [[4, 2], [4, 0]]);
        assert_eq!(lists(5).unwrap(), [vec![4, 2, 0, 1], vec![4, 0, 1]]);
        let stopped = same_for_all(&[4], 1, 1, |_, _| false, &AtomicBool::new(true));
        assert_eq!(stopped, Err(Error::Cancelled));
    }

    proptest! {
        #[test]
        fn metrics_are_shares(
            list in Just((0..30u32).collect::<Vec<_>>()).prop_shuffle(),
            relevant in prop::collection::btree_map(0u32..40, 4u8..=5, 1..20), k in 1usize..30,
        ) {
            let relevant = relevant.into_iter().collect::<Vec<_>>();
            for gain in [Gain::Binary, Gain::Rating] {
                let found = ListMetrics::of(&list[..k], &relevant, k, gain);
                for value in found.values() {
                    prop_assert!((0.0..=1.0 + 1e-12).contains(&value), "{:?}", found);
                }
                // The best list of all has the largest NDCG.
                let mut best = relevant.clone();
                best.sort_by_key(|&(_, rating)| std::cmp::Reverse(rating));
                let best = best.iter().map(|&(movie, _)| movie).take(k).collect::<Vec<_>>();
                prop_assert!((ListMetrics::of(&best, &relevant, k, gain).ndcg - 1.0).abs() < 1e-12);
            }
        }
    }
}
