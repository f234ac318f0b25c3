//! The kernel of stochastic gradient descent: one step for each rating of some customers and some movies.
//!
//! A rating has the error `e = r - (mean + b_u + b_i + p · q)`. Its step, with learning rate `γ` and regularisation `λ`, is
//!
//! ```text
//! p += γ (e q - λ p)        q += γ (e p - λ q)
//! b_u += γ (e - λ_b b_u)    b_i += γ (e - λ_b b_i)
//! ```
//!
//! where the right-hand sides take p and q as they were before the step (Koren, Bell and Volinsky 2009, "Matrix factorization
//! techniques for recommender systems", equations 4 and 5). λ and λ_b are multiplied by a weight of the customer or movie.
//!
//! One pass through both rows makes a step and also multiplies the new p by the next movie's q, so that each value is loaded
//! into a register once for both.

#![allow(unsafe_code)] // kernels compiled for instruction sets found at run time

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use crate::error::{Error, check};
use crate::memory::Aligned;
use crate::ratings::sparse::Sparse;
use crate::simd::vector::Vector;
use crate::simd::{InstructionSet, Kernel};

/// Where the factors of a row begin. A customer's row is `[b_u, 1, factors]` and a movie's is `[1, b_i, factors]`. The product
/// of both is the prediction less the mean.
pub(crate) const FIRST_FACTOR: usize = 2;
/// Where a customer's bias stands, and a movie's 1.
pub(crate) const CUSTOMER_BIAS: usize = 0;
/// Where a movie's bias stands, and a customer's 1.
pub(crate) const MOVIE_BIAS: usize = 1;
/// The most lanes of any register.
const MOST_LANES: usize = 16;
/// How many customers ahead the ratings are prefetched.
const PREFETCH_RATINGS: usize = 8;
/// How many customers ahead the row is prefetched.
const PREFETCH_CUSTOMERS: usize = 4;
/// How many ratings ahead the movie's row is prefetched.
const PREFETCH_MOVIES: usize = 3;

/// Values of a row: bias, 1, factors, and zeros up to a whole number of cache lines.
pub(crate) fn stride(factors: usize) -> usize {
    (FIRST_FACTOR + factors).next_multiple_of(Aligned::<f32>::LINE)
}

/// What all steps of an epoch have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepParams {
    pub factors: usize,
    /// The mean of all ratings.
    pub mean: f32,
    /// γ.
    pub learning_rate: f32,
    /// λ of the factors of a row of weight 1.
    pub regularization: f32,
    /// λ_b of the bias of a row of weight 1.
    pub bias_regularization: f32,
}

/// A range of customers or of movies, with their rows.
#[derive(Debug)]
pub(crate) struct RowRange<'a> {
    pub range: Range<usize>,
    /// [`stride`] values for each row of the range.
    pub rows: &'a mut [f32],
    /// For each row of the range, the weight that multiplies λ and λ_b.
    pub weights: &'a [f32],
}

/// The ratings of a range of movies by a range of customers.
#[derive(Debug)]
pub(crate) struct RatingBlock<'a, 'b> {
    pub by_customer: &'a Sparse,
    pub customers: &'a mut RowRange<'b>,
    pub movies: &'a mut RowRange<'b>,
    /// For each customer of the range, how many of its ratings are of movies before the range. The kernel advances it to the
    /// end of the range.
    pub cursors: &'a mut [u32],
    pub cancelled: &'a AtomicBool,
}

/// Makes a step for each rating of a block, by customer and then by movie. Returns the sum of squared errors, each as it was
/// before its step, or [`Error::Cancelled`].
pub(crate) fn descend(
    instructions: InstructionSet,
    mut block: RatingBlock<'_, '_>,
    params: &StepParams,
) -> Result<f64, Error> {
    instructions.run(Descend { block: &mut block, params })
}

/// The arguments of [`descend`].
struct Descend<'a, 'b, 'c> {
    block: &'c mut RatingBlock<'a, 'b>,
    params: &'c StepParams,
}

impl Kernel for Descend<'_, '_, '_> {
    type Output = Result<f64, Error>;

    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> Result<f64, Error> {
        // SAFETY: as the caller promises.
        unsafe { descend_with::<V>(self.block, self.params) }
    }
}

/// [`descend`] with registers of type `V`.
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[inline(always)]
unsafe fn descend_with<V: Vector>(
    block: &mut RatingBlock<'_, '_>,
    params: &StepParams,
) -> Result<f64, Error> {
    let params = *params;
    let RatingBlock { by_customer, customers, movies, cursors, cancelled } = block;
    let stride = stride(params.factors);
    let count = customers.range.len();
    let mut sum = 0.0;
    let mut next = ratings_of(by_customer, customers.range.start, &movies.range, cursors, 0);
    for index in 0..count {
        check(cancelled)?;
        let (columns, ratings) = next;
        cursors[index] += columns.len() as u32;
        if index + PREFETCH_RATINGS < count {
            let (columns, ratings) = by_customer.row(customers.range.start + index + PREFETCH_RATINGS);
            let from = cursors[index + PREFETCH_RATINGS] as usize;
            let (columns, ratings) =
                (columns.as_ptr().wrapping_add(from), ratings.as_ptr().wrapping_add(from));
            let row = customers.rows.as_ptr().wrapping_add((index + PREFETCH_CUSTOMERS) * stride);
            // SAFETY: the caller promises the instruction set. A prefetch reads no memory.
            unsafe {
                V::prefetch_near(columns.cast());
                V::prefetch_near(columns.wrapping_add(Aligned::<f32>::LINE).cast());
                V::prefetch_near(ratings.cast());
                prefetch_row::<V>(row, stride);
            }
        }
        if index + 1 < count {
            next = ratings_of(by_customer, customers.range.start, &movies.range, cursors, index + 1);
            for &movie in next.0.iter().take(PREFETCH_MOVIES) {
                let row = movies.rows.as_ptr().wrapping_add((movie as usize - movies.range.start) * stride);
                // SAFETY: as above.
                unsafe { prefetch_row::<V>(row, stride) };
            }
        }
        if !columns.is_empty() {
            let (row, weight) = (&mut customers.rows[index * stride..][..stride], customers.weights[index]);
            // SAFETY: the caller promises the instruction set.
            sum += unsafe { step_customer::<V>(row, weight, movies, columns, ratings, params) };
        }
    }
    Ok(sum)
}

/// The ratings of a range of movies by one customer: column indices and values. The customer is the one at `index` of the range
/// that begins with customer `first`.
#[inline(always)]
fn ratings_of<'a>(
    by_customer: &'a Sparse,
    first: usize,
    movies: &Range<usize>,
    cursors: &[u32],
    index: usize,
) -> (&'a [u32], &'a [u8]) {
    let Some(&from) = cursors.get(index) else { return (&[], &[]) };
    let (columns, ratings) = by_customer.row(first + index);
    let (columns, ratings) = (&columns[from as usize..], &ratings[from as usize..]);
    let count = columns.iter().take_while(|&&movie| movies.contains(&(movie as usize))).count();
    (&columns[..count], &ratings[..count])
}

/// Prefetches a row of `stride` values.
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[inline(always)]
unsafe fn prefetch_row<V: Vector>(row: *const f32, stride: usize) {
    for line in (0..stride).step_by(Aligned::<f32>::LINE) {
        // SAFETY: the caller promises the instruction set. A prefetch reads no memory.
        unsafe { V::prefetch_near(row.wrapping_add(line)) };
    }
}

/// Makes a step for each of one customer's ratings, and returns the sum of squared errors. `columns` are the rated movies.
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[inline(always)]
unsafe fn step_customer<V: Vector>(
    customer: &mut [f32],
    weight: f32,
    movies: &mut RowRange<'_>,
    columns: &[u32],
    ratings: &[u8],
    params: StepParams,
) -> f64 {
    let stride = stride(params.factors);
    let used = (FIRST_FACTOR + params.factors).next_multiple_of(V::LANES);
    let RowRange { range, rows, weights } = movies;
    // All pointers to rows derive from this one. A new reference to a part of `rows` would invalidate the pointers before it.
    let (start, len) = (rows.as_mut_ptr(), rows.len());
    let row = |movie: u32| {
        let from = (movie as usize - range.start) * stride;
        assert!(from + stride <= len, "a movie outside the range");
        start.wrapping_add(from)
    };
    let Some(&first) = columns.first() else { return 0.0 };
    let (p, mut q) = (customer[..stride].as_mut_ptr(), row(first));
    let (p_first, q_first) =
        (FirstRegister::new(CUSTOMER_BIAS, params), FirstRegister::new(MOVIE_BIAS, params));
    let mut squared_errors = 0.0;
    // SAFETY: the caller promises the instruction set. Each row has `stride` values, whole cache lines, of which `used`, whole
    // registers, are read and written. Two movies' rows may be the same one, and therefore they are pointers.
    unsafe {
        let (one, gamma_lambda) = (V::splat(1.0), V::splat(params.learning_rate * params.regularization));
        let (p_mask, q_mask) = (V::load(p_first.mask.as_ptr()), V::load(q_first.mask.as_ptr()));
        let (p_gamma_lambda, q_gamma_lambda) =
            (V::load(p_first.gamma_lambda.as_ptr()), V::load(q_first.gamma_lambda.as_ptr()));
        // What regularisation leaves of a value: max(1 - weight γλ, 0). With weight γλ above 1, a value would change its sign;
        // above 2, it would grow with each step.
        let decay = |weight: V, gamma_lambda: V| one.sub_product(weight, gamma_lambda).max(V::splat(0.0));
        let p_decay = decay(V::splat(weight), gamma_lambda);
        let p_first_decay = decay(V::splat(weight), p_gamma_lambda);
        let mut products = V::splat(0.0);
        for at in (0..used).step_by(V::LANES) {
            products = products.add_product(V::load(p.add(at)), V::load(q.add(at)));
        }
        let mut product = products.sum();
        for (index, (&movie, &rating)) in columns.iter().zip(ratings).enumerate() {
            let next = columns.get(index + 1).map_or(q, |&movie| row(movie));
            if let Some(&movie) = columns.get(index + PREFETCH_MOVIES) {
                prefetch_row::<V>(row(movie), stride);
            }

            let error = f32::from(rating) - params.mean - product;
            squared_errors += f64::from(error) * f64::from(error);
            let step = V::splat(params.learning_rate * error);
            let weight = V::splat(weights[movie as usize - range.start]);
            let q_decay = decay(weight, gamma_lambda);
            let q_first_decay = decay(weight, q_gamma_lambda);

            let (old_p, old_q) = (V::load(p), V::load(q));
            let new_p = old_p.mul(p_first_decay).add_product(old_q.mul(p_mask), step);
            new_p.store(p);
            old_q.mul(q_first_decay).add_product(old_p.mul(q_mask), step).store(q);
            // Two sums, used alternately, because each addition waits for the one before in the same sum.
            let mut sums = (V::splat(0.0), new_p.mul(V::load(next)));
            for at in (V::LANES..used).step_by(V::LANES) {
                let (old_p, old_q) = (V::load(p.add(at)), V::load(q.add(at)));
                let new_p = old_p.mul(p_decay).add_product(old_q, step);
                new_p.store(p.add(at));
                old_q.mul(q_decay).add_product(old_p, step).store(q.add(at));
                sums = (sums.1, sums.0.add_product(new_p, V::load(next.add(at))));
            }
            product = sums.0.add(sums.1).sum();
            q = next;
        }
    }
    squared_errors
}

/// Constants for the first register of a row, where the bias has a λ of its own and the 1 must not change.
struct FirstRegister {
    /// 0 for the row's 1, else 1.
    mask: [f32; MOST_LANES],
    /// γλ of each value; 0 for the row's 1.
    gamma_lambda: [f32; MOST_LANES],
}

impl FirstRegister {
    /// For rows whose bias stands at index `bias`.
    #[inline(always)]
    fn new(bias: usize, params: StepParams) -> FirstRegister {
        let mut mask = [1.0; MOST_LANES];
        let mut gamma_lambda = [params.learning_rate * params.regularization; MOST_LANES];
        let one = FIRST_FACTOR - 1 - bias;
        (mask[one], gamma_lambda[one]) = (0.0, 0.0);
        gamma_lambda[bias] = params.learning_rate * params.bias_regularization;
        FirstRegister { mask, gamma_lambda }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratings::Ratings;
    use crate::ratings::matrix::RatingMatrix;
    use proptest::prelude::*;

    const CUSTOMERS: usize = 12;
    const MOVIES: usize = 10;

    /// The same steps in double precision, one value at a time. Returns the rows of customers and of movies, and the sum of
    /// squared errors.
    fn naive(
        matrix: &RatingMatrix,
        movies: Range<usize>,
        mut p: Vec<Vec<f64>>,
        mut q: Vec<Vec<f64>>,
        weights: [&[f32]; 2],
        params: StepParams,
    ) -> (Vec<Vec<f64>>, Vec<Vec<f64>>, f64) {
        let StepParams { mean, learning_rate, regularization, bias_regularization, .. } = params;
        let [mean, rate, lambda, bias_lambda] =
            [mean, learning_rate, regularization, bias_regularization].map(f64::from);
        let mut sum = 0.0;
        for customer in 0..CUSTOMERS {
            let (columns, ratings) = matrix.by_customer.row(customer);
            for (&movie, &rating) in columns.iter().zip(ratings) {
                let movie = movie as usize;
                if !movies.contains(&movie) {
                    continue;
                }
                let (p, q) = (&mut p[customer], &mut q[movie]);
                let (w, v) = (f64::from(weights[0][customer]), f64::from(weights[1][movie - movies.start]));
                let product =
                    p[FIRST_FACTOR..].iter().zip(&q[FIRST_FACTOR..]).map(|(p, q)| p * q).sum::<f64>();
                let error = f64::from(rating) - (mean + p[0] + q[1] + product);
                sum += error * error;
                let decay = |lambda: f64, weight: f64| (1.0 - rate * lambda * weight).max(0.0);
                p[0] = decay(bias_lambda, w) * p[0] + rate * error;
                q[1] = decay(bias_lambda, v) * q[1] + rate * error;
                for (p, q) in p[FIRST_FACTOR..].iter_mut().zip(&mut q[FIRST_FACTOR..]) {
                    let old = *p;
                    *p = decay(lambda, w) * *p + rate * error * *q;
                    *q = decay(lambda, v) * *q + rate * error * old;
                }
            }
        }
        (p, q, sum)
    }

    proptest! {
        #[test]
        fn every_kernel_agrees_with_the_naive_steps(
            factors in prop_oneof![1usize..40, Just(50), Just(62), Just(63), Just(130)],
            ratings in prop::collection::btree_map((0..CUSTOMERS as u32, 0..MOVIES as u32), 1u8..=5, 1..80),
            values in prop::collection::vec(-0.3f32..0.3, (CUSTOMERS + MOVIES) * 132),
            weights in prop::collection::vec(1.0f32..20.0, CUSTOMERS + MOVIES),
            from in 0usize..4, to in 4usize..=MOVIES,
            // With 10, regularisation would change the sign of some rows, and not of others.
            strength in prop_oneof![Just(1.0f32), Just(10.0)],
        ) {
            let mut list = Ratings::default();
            ratings.iter().for_each(|(&(customer, movie), &rating)| list.push(customer, movie, rating));
            let go = AtomicBool::new(false);
            let matrix = RatingMatrix::new(CUSTOMERS, MOVIES, &list, &go).unwrap();
            let (regularization, bias_regularization) = (0.5 * strength, 0.3 * strength);
            let params = StepParams { factors, mean: 3.5, learning_rate: 0.02, regularization, bias_regularization };
            let stride = stride(factors);
            let rows = |rows: usize, skipped: usize, bias: usize| {
                let mut filled = Aligned::zeros(rows * stride).unwrap();
                for (row, values) in filled.chunks_exact_mut(stride).zip(values.chunks_exact(132).skip(skipped)) {
                    row[..FIRST_FACTOR + factors].copy_from_slice(&values[..FIRST_FACTOR + factors]);
                    row[FIRST_FACTOR - 1 - bias] = 1.0;
                }
                filled
            };
            let wide = |rows: &[f32]| {
                let rows = rows.chunks_exact(stride);
                rows.map(|row| row[..FIRST_FACTOR + factors].iter().map(|&n| f64::from(n)).collect()).collect::<Vec<Vec<f64>>>()
            };
            let start = (rows(CUSTOMERS, 0, CUSTOMER_BIAS), rows(MOVIES, CUSTOMERS, MOVIE_BIAS));
            let of_customers = &weights[..CUSTOMERS];
            let of_movies = &weights[CUSTOMERS..][..to - from];
            let expected =
                naive(&matrix, from..to, wide(&start.0), wide(&start.1), [of_customers, of_movies], params);
            for instructions in InstructionSet::available() {
                let (mut p, mut q) = (rows(CUSTOMERS, 0, CUSTOMER_BIAS), rows(MOVIES, CUSTOMERS, MOVIE_BIAS));
                let before = |customer| {
                    let (columns, _) = matrix.by_customer.row(customer);
                    columns.partition_point(|&movie| (movie as usize) < from) as u32
                };
                let mut cursors = (0..CUSTOMERS).map(before).collect::<Vec<_>>();
                let sum = descend(instructions,
                    RatingBlock {
                        by_customer: &matrix.by_customer,
                        customers: &mut RowRange { range: 0..CUSTOMERS, rows: &mut p, weights: of_customers },
                        movies: &mut RowRange { range: from..to, rows: &mut q[from * stride..to * stride], weights: of_movies },
                        cursors: &mut cursors,
                        cancelled: &go,
                    },
                    &params,
                ).unwrap();
                prop_assert!((sum - expected.2).abs() < 1e-4 * (1.0 + sum), "{:?}: {} for {}", instructions, sum, expected.2);
                for (got, want) in wide(&p).iter().chain(&wide(&q)).zip(expected.0.iter().chain(&expected.1)) {
                    for (got, want) in got.iter().zip(want) {
                        prop_assert!((got - want).abs() < 1e-5, "{:?}: {} for {}", instructions, got, want);
                    }
                }
                for (customer, cursor) in cursors.into_iter().enumerate() {
                    let (columns, _) = matrix.by_customer.row(customer);
                    prop_assert_eq!(cursor as usize, columns.partition_point(|&movie| (movie as usize) < to));
                }
            }
        }
    }
}
