//! Compares models by the paired bootstrap (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 13 and 16).
//!
//! Customers are drawn, not ratings: the ratings of one customer resemble each other, and intervals that took them for
//! independent would be too narrow.

use std::sync::atomic::AtomicBool;

use rand::Rng;
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::memory::{try_vec, try_with_capacity};
use crate::random::{generator, hash};

/// The squared errors of some models on the same ratings, added up for each customer.
#[derive(Clone, Debug)]
pub struct CustomerErrors {
    models: usize,
    /// For each customer: the number of ratings, then the sum of squared errors of each model, in units of [`UNIT`].
    sums: Vec<u64>,
}

/// The unit of the sums, in squared stars. The sums are whole numbers, so that the order of adding changes no bit of them. There is room
/// for 65,536 ratings of one customer.
const UNIT: f64 = 1.0 / (1u64 << 44) as f64;
/// Customers drawn between two checks of the cancel flag.
const DRAWS_PER_CHECK: usize = 1 << 16;

/// How a model compares with the first one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// RMSE, in stars.
    pub rmse: f64,
    /// The interval of the RMSE.
    pub rmse_interval: (f64, f64),
    /// RMSE less that of the first model: below 0 if this one is better.
    pub difference: f64,
    /// The interval of the difference.
    pub difference_interval: (f64, f64),
    /// The chance of a difference at least as far from 0 if the models were equally good, two-sided.
    pub p_value: f64,
}

impl CustomerErrors {
    /// Sums of zero for so many customers and models. [`Error::OutOfMemory`].
    pub fn new(customers: usize, models: usize) -> Result<CustomerErrors, Error> {
        Ok(CustomerErrors { models, sums: try_vec(customers.saturating_mul(models + 1))? })
    }

    /// The memory, in bytes, of the sums and of [`CustomerErrors::compare`].
    pub fn memory(customers: usize, models: usize, resamples: usize) -> usize {
        let sums = customers.saturating_mul(models + 1).saturating_mul(size_of::<u64>());
        2 * sums + 2 * resamples.saturating_mul(models * size_of::<f64>())
    }

    /// Adds a rating of a customer, given the error of each model's prediction.
    #[inline]
    pub fn add(&mut self, customer: usize, errors: impl Iterator<Item = f64>) {
        let sums = &mut self.sums[customer * (self.models + 1)..][..self.models + 1];
        sums[0] += 1;
        for (sum, error) in sums[1..].iter_mut().zip(errors) {
            *sum = sum.saturating_add((error * error / UNIT).round() as u64);
        }
    }

    /// Compares each model with the first one. Draws as many customers as have ratings, with replacement, `resamples` times; the
    /// intervals are percentiles of these resamples. `order` has the customers in an order that does not depend on how the data
    /// were loaded; those without ratings are skipped. `None` if there are no ratings. Runs in rayon's current pool. The same
    /// errors, order and seed give the same bits.
    pub fn compare(
        &self,
        order: &[u32],
        resamples: usize,
        confidence: f64,
        seed: i64,
        cancelled: &AtomicBool,
    ) -> Result<Option<Vec<Comparison>>, Error> {
        let width = self.models + 1;
        let mut rows: Vec<f64> = try_with_capacity(order.len().saturating_mul(width))?;
        for &customer in order {
            let sums = &self.sums[customer as usize * width..][..width];
            if sums[0] > 0 {
                rows.push(sums[0] as f64);
                rows.extend(sums[1..].iter().map(|&sum| sum as f64 * UNIT));
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let customers = rows.len() / width;
        let drawn = (0..resamples).into_par_iter().map(|resample| {
            let mut rng = generator(hash(seed as u64 ^ hash(resample as u64)) as i64);
            let mut totals: Vec<f64> = try_vec(width)?;
            for draw in 0..customers {
                if draw.is_multiple_of(DRAWS_PER_CHECK) {
                    check(cancelled)?;
                }
                let row = &rows[rng.random_range(0..customers) * width..][..width];
                totals.iter_mut().zip(row).for_each(|(total, sum)| *total += sum);
            }
            let n = totals[0];
            totals[1..].iter_mut().for_each(|total| *total = (*total / n).sqrt());
            Ok(totals)
        });
        let drawn = drawn.collect::<Result<Vec<_>, Error>>()?;
        let total = |column: usize| rows.iter().skip(column).step_by(width).sum::<f64>();
        let rmse = |model: usize| (total(model + 1) / total(0)).sqrt();
        let compare = |model: usize| {
            let of = |totals: &Vec<f64>| totals[model + 1];
            let less = |totals: &Vec<f64>| totals[model + 1] - totals[1];
            let at_most = drawn.iter().filter(|totals| less(totals) <= 0.0).count();
            let at_least = drawn.iter().filter(|totals| less(totals) >= 0.0).count();
            let tail = (at_most.min(at_least) + 1) as f64 / (resamples + 1) as f64;
            Comparison {
                rmse: rmse(model),
                rmse_interval: interval(drawn.iter().map(of).collect(), confidence),
                difference: rmse(model) - rmse(0),
                difference_interval: interval(drawn.iter().map(less).collect(), confidence),
                p_value: (2.0 * tail).min(1.0),
            }
        };
        Ok(Some((0..self.models).map(compare).collect()))
    }
}

/// The interval between percentiles that holds this share of the values.
fn interval(mut values: Vec<f64>, confidence: f64) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    (percentile(&values, tail), percentile(&values, 1.0 - tail))
}

/// The percentile of sorted values, by linear interpolation. NaN if there are none.
fn percentile(values: &[f64], share: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(last);
    values[below] + part * (values[above] - values[below])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution, StandardNormal};

    static GO: AtomicBool = AtomicBool::new(false);

    fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    /// 500 customers with 1 to 20 ratings. The second model's errors are larger by a factor; the third's are those of the first.
    fn errors(factor: f64) -> (CustomerErrors, Vec<u32>) {
        let mut errors = CustomerErrors::new(600, 3).unwrap();
        let mut rng = generator(5);
        for customer in 0..500 {
            for _ in 0..1 + customer % 20 {
                let error: f64 = StandardNormal.sample(&mut rng);
                let other: f64 = StandardNormal.sample(&mut rng);
                errors.add(customer, [error, factor * (0.9 * error + 0.44 * other), error].into_iter());
            }
        }
        (errors, (0..600).collect())
    }

    #[test]
    fn a_difference_is_told_from_luck() {
        let (clear, order) = errors(1.2);
        let found = clear.compare(&order, 500, 0.95, 1, &GO).unwrap().unwrap();
        assert_eq!((found[0].difference, found[0].p_value), (0.0, 1.0));
        assert!(found[1].difference_interval.0 > 0.0 && found[1].p_value < 0.01, "{found:?}");
        assert_eq!((found[2].difference_interval, found[2].p_value), ((0.0, 0.0), 1.0));
        for one in &found {
            assert!(one.rmse_interval.0 < one.rmse && one.rmse < one.rmse_interval.1);
        }
        let (same, order) = errors(1.0);
        let found = same.compare(&order, 500, 0.95, 1, &GO).unwrap().unwrap();
        assert!(found[1].difference_interval.0 < 0.0 && found[1].difference_interval.1 > 0.0);
        assert!(found[1].p_value > 0.05, "{found:?}");
    }

    #[test]
    fn the_interval_is_as_wide_as_theory_says() {
        // Every customer has one rating, so the ratings are independent: the variance of the mean squared error is 2 / n.
        let mut errors = CustomerErrors::new(4000, 1).unwrap();
        let mut rng = generator(9);
        (0..4000).for_each(|customer| errors.add(customer, std::iter::once(StandardNormal.sample(&mut rng))));
        let order = (0..4000).collect::<Vec<_>>();
        let found = errors.compare(&order, 1000, 0.95, 1, &GO).unwrap().unwrap()[0];
        let half = (found.rmse_interval.1 - found.rmse_interval.0) / 2.0;
        let theory = 1.96 * (2.0f64 / 4000.0).sqrt() / 2.0;
        assert!((half / theory - 1.0).abs() < 0.15, "{half} {theory}");
    }

    #[test]
    fn neither_threads_nor_the_order_of_adding_change_a_bit() {
        let (one, order) = errors(1.1);
        let mut other = CustomerErrors::new(600, 3).unwrap();
        other.sums.clone_from(&one.sums);
        let run = |errors: &CustomerErrors, threads| {
            on_threads(threads, || errors.compare(&order, 50, 0.9, 3, &GO).unwrap())
        };
        assert_eq!(run(&one, 1), run(&other, 3));
        let seed = one.compare(&order, 50, 0.9, 4, &GO).unwrap();
        assert_ne!(run(&one, 1), seed);
        assert_eq!(one.compare(&order, 50, 0.9, 3, &AtomicBool::new(true)), Err(Error::Cancelled));
        assert_eq!(CustomerErrors::new(3, 2).unwrap().compare(&[0, 1, 2], 5, 0.9, 1, &GO), Ok(None));
    }
}
