//! The kernel of stochastic gradient descent: a step for each rating of some customers and some movies.
//!
//! With a rating's error `e = r - (mean + b_u + b_i + p · q)`, its step of rate `γ` is `p += γ (e q - λ_u p)` and
//! `q += γ (e p - λ_i q)`, both of the vectors as they were before it, and the same for the biases, whose partner is 1
//! (Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems", equations 4 and 5).
//!
//! One pass through both rows goes a step and multiplies what the customer has become with the next movie: a row is in
//! a register once for both.

#![allow(unsafe_code)] // calls to functions compiled for instruction sets found at run time

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use crate::error::{Error, check};
use crate::memory::Aligned;
use crate::ratings::sparse::Sparse;
use crate::simd::InstructionSet;
#[cfg(target_arch = "x86_64")]
use crate::simd::vector::{Avx2, Avx512};
use crate::simd::vector::{Portable, Vector};

/// Numbers before a row's factors: the bias, and the 1 that is the other side's bias's partner. A customer's row begins
/// with `[b_u, 1]`, a movie's with `[1, b_i]`: the product of both is the prediction less the mean.
pub(crate) const HEAD: usize = 2;
/// Where a customer's bias stands, and a movie's 1.
pub(crate) const CUSTOMER_BIAS: usize = 0;
/// Where a movie's bias stands, and a customer's 1.
pub(crate) const MOVIE_BIAS: usize = 1;
/// The most numbers a register has.
const WIDEST: usize = 16;
/// How many customers ahead ratings are asked for, and rows.
const RATINGS_AHEAD: usize = 8;
const CUSTOMERS_AHEAD: usize = 4;
/// How many ratings ahead the movie's row is asked for.
const MOVIES_AHEAD: usize = 3;

/// Numbers that a row takes: head and factors, and zeros up to a whole cache line.
pub(crate) fn stride(factors: usize) -> usize {
    (HEAD + factors).next_multiple_of(Aligned::<f32>::LINE)
}

/// What all steps of an epoch have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub factors: usize,
    /// The mean of all ratings.
    pub mean: f32,
    /// γ: how far a step goes.
    pub rate: f32,
    /// λ of the factors of a row of weight 1.
    pub regularization: f32,
    /// λ of its bias.
    pub bias_regularization: f32,
}

/// A range of customers, or of movies, and what is learned of it.
#[derive(Debug)]
pub(crate) struct RowRange<'a> {
    pub range: Range<usize>,
    /// [`stride`] numbers each.
    pub rows: &'a mut [f32],
    /// By what λ is multiplied for each.
    pub weights: &'a [f32],
}

/// The ratings of a range of movies by a range of customers.
#[derive(Debug)]
pub(crate) struct RatingBlock<'a, 'b> {
    pub by_customer: &'a Sparse,
    pub customers: &'a mut RowRange<'b>,
    pub movies: &'a mut RowRange<'b>,
    /// How many of its ratings each customer has before those of this range. Moved behind them.
    pub cursors: &'a mut [u32],
}

/// Goes a step for each of a block's ratings, by customer and movie; gives the sum of the squared errors, each as it
/// was before its step.
pub(crate) fn descend(
    instructions: InstructionSet,
    block: RatingBlock<'_, '_>,
    pace: Pace,
    cancelled: &AtomicBool,
) -> Result<f64, Error> {
    match instructions {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` found the instruction set on this machine.
        InstructionSet::Avx512 | InstructionSet::Avx512Bf16 => unsafe {
            descend_avx512(block, pace, cancelled)
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        InstructionSet::Avx2 => unsafe { descend_avx2(block, pace, cancelled) },
        // SAFETY: every machine has this one.
        InstructionSet::Portable => unsafe { descend_with::<Portable>(block, pace, cancelled) },
    }
}
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn descend_avx512(block: RatingBlock<'_, '_>, pace: Pace, cancelled: &AtomicBool) -> Result<f64, Error> {
    // SAFETY: this function is compiled for the instruction set.
    unsafe { descend_with::<Avx512>(block, pace, cancelled) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn descend_avx2(block: RatingBlock<'_, '_>, pace: Pace, cancelled: &AtomicBool) -> Result<f64, Error> {
    // SAFETY: this function is compiled for the instruction set.
    unsafe { descend_with::<Avx2>(block, pace, cancelled) }
}

/// Goes a step for each of a block's ratings.
///
/// # Safety
///
/// The machine must have the instruction set of `V`.
#[inline(always)]
unsafe fn descend_with<V: Vector>(
    block: RatingBlock<'_, '_>,
    pace: Pace,
    cancelled: &AtomicBool,
) -> Result<f64, Error> {
    let RatingBlock { by_customer, customers, movies, cursors } = block;
    let stride = stride(pace.factors);
    let count = customers.range.len();
    let mut sum = 0.0;
    let mut next = ratings_of(by_customer, customers.range.start, &movies.range, cursors, 0);
    for place in 0..count {
        check(cancelled)?;
        let (numbers, ratings) = next;
        cursors[place] += numbers.len() as u32;
        if place + RATINGS_AHEAD < count {
            let (numbers, ratings) = by_customer.row(customers.range.start + place + RATINGS_AHEAD);
            let from = cursors[place + RATINGS_AHEAD] as usize;
            let (numbers, ratings) =
                (numbers.as_ptr().wrapping_add(from), ratings.as_ptr().wrapping_add(from));
            let row = customers.rows.as_ptr().wrapping_add((place + CUSTOMERS_AHEAD) * stride);
            // SAFETY: the caller promises the instruction set; no address is read.
            unsafe {
                V::prefetch_near(numbers.cast());
                V::prefetch_near(numbers.wrapping_add(Aligned::<f32>::LINE).cast());
                V::prefetch_near(ratings.cast());
                prefetch_row::<V>(row, stride);
            }
        }
        if place + 1 < count {
            next = ratings_of(by_customer, customers.range.start, &movies.range, cursors, place + 1);
            for &number in next.0.iter().take(MOVIES_AHEAD) {
                let row = movies.rows.as_ptr().wrapping_add((number as usize - movies.range.start) * stride);
                // SAFETY: as above.
                unsafe { prefetch_row::<V>(row, stride) };
            }
        }
        if !numbers.is_empty() {
            let (row, weight) = (&mut customers.rows[place * stride..][..stride], customers.weights[place]);
            // SAFETY: the caller promises the instruction set.
            sum += unsafe { visit::<V>(row, weight, movies, numbers, ratings, pace) };
        }
    }
    Ok(sum)
}

/// The ratings of a range of movies by the customer at a place of a range that begins with `first`.
#[inline(always)]
fn ratings_of<'a>(
    by_customer: &'a Sparse,
    first: usize,
    movies: &Range<usize>,
    cursors: &[u32],
    place: usize,
) -> (&'a [u32], &'a [u8]) {
    let Some(&from) = cursors.get(place) else { return (&[], &[]) };
    let (numbers, ratings) = by_customer.row(first + place);
    let (numbers, ratings) = (&numbers[from as usize..], &ratings[from as usize..]);
    let count = numbers.iter().take_while(|&&number| movies.contains(&(number as usize))).count();
    (&numbers[..count], &ratings[..count])
}

/// # Safety
///
/// The machine must have the instruction set of `V`.
#[inline(always)]
unsafe fn prefetch_row<V: Vector>(row: *const f32, stride: usize) {
    for line in (0..stride).step_by(Aligned::<f32>::LINE) {
        // SAFETY: the caller promises the instruction set; no address is read.
        unsafe { V::prefetch_near(row.wrapping_add(line)) };
    }
}

/// Goes a step for each rating of one customer; gives the sum of squared errors.
///
/// # Safety
///
/// The machine must have the instruction set of `V`.
#[inline(always)]
unsafe fn visit<V: Vector>(
    customer: &mut [f32],
    weight: f32,
    movies: &mut RowRange<'_>,
    numbers: &[u32],
    ratings: &[u8],
    pace: Pace,
) -> f64 {
    let stride = stride(pace.factors);
    let used = (HEAD + pace.factors).next_multiple_of(V::LANES);
    let RowRange { range, rows, weights } = movies;
    // One pointer that all rows' are made of: a reference to a part of them would end those that were made before.
    let (start, count) = (rows.as_mut_ptr(), rows.len());
    let row = |number: u32| {
        let from = (number as usize - range.start) * stride;
        assert!(from + stride <= count, "a movie that is not of the range");
        start.wrapping_add(from)
    };
    let Some(&first) = numbers.first() else { return 0.0 };
    let (p, mut q) = (customer[..stride].as_mut_ptr(), row(first));
    let (p_head, q_head) = (Head::new(CUSTOMER_BIAS, pace), Head::new(MOVIE_BIAS, pace));
    let mut squared_errors = 0.0;
    // SAFETY: the caller promises the instruction set. RowRange are `stride` numbers, whole lines, of which `used`, whole
    // registers, are gone through; that two of them may be the same one is why they are pointers.
    unsafe {
        let (one, shrink) = (V::splat(1.0), V::splat(pace.rate * pace.regularization));
        let (p_free, q_free) = (V::load(p_head.free.as_ptr()), V::load(q_head.free.as_ptr()));
        let (p_shrink, q_shrink) = (V::load(p_head.shrink.as_ptr()), V::load(q_head.shrink.as_ptr()));
        // What a step's regularisation leaves of each number. It ends at zero: a product of rate, λ and weight beyond 1 would
        // carry the number to the other side, and beyond 2 further away with each step.
        let kept = |weight: V, shrink: V| one.sub_product(weight, shrink).max(V::splat(0.0));
        let p_kept = kept(V::splat(weight), shrink);
        let p_head_kept = kept(V::splat(weight), p_shrink);
        let mut products = V::splat(0.0);
        for at in (0..used).step_by(V::LANES) {
            products = products.add_product(V::load(p.add(at)), V::load(q.add(at)));
        }
        let mut product = products.sum();
        for (place, (&number, &rating)) in numbers.iter().zip(ratings).enumerate() {
            let next = numbers.get(place + 1).map_or(q, |&number| row(number));
            if let Some(&number) = numbers.get(place + MOVIES_AHEAD) {
                prefetch_row::<V>(row(number), stride);
            }

            let error = f32::from(rating) - pace.mean - product;
            squared_errors += f64::from(error) * f64::from(error);
            let step = V::splat(pace.rate * error);
            let weight = V::splat(weights[number as usize - range.start]);
            let q_kept = kept(weight, shrink);
            let q_head_kept = kept(weight, q_shrink);

            let (p_now, q_now) = (V::load(p), V::load(q));
            let p_then = p_now.mul(p_head_kept).add_product(q_now.mul(p_free), step);
            p_then.store(p);
            q_now.mul(q_head_kept).add_product(p_now.mul(q_free), step).store(q);
            // Two sums take turns, as each waits for its last product.
            let mut sums = (V::splat(0.0), p_then.mul(V::load(next)));
            for at in (V::LANES..used).step_by(V::LANES) {
                let (p_now, q_now) = (V::load(p.add(at)), V::load(q.add(at)));
                let p_then = p_now.mul(p_kept).add_product(q_now, step);
                p_then.store(p.add(at));
                q_now.mul(q_kept).add_product(p_now, step).store(q.add(at));
                sums = (sums.1, sums.0.add_product(p_then, V::load(next.add(at))));
            }
            product = sums.0.add(sums.1).sum();
            q = next;
        }
    }
    squared_errors
}

/// How a row's first register is gone about: its bias has a λ of its own, and its 1 stays.
struct Head {
    /// 1, but 0 where the 1 is.
    free: [f32; WIDEST],
    /// γλ of each number.
    shrink: [f32; WIDEST],
}

impl Head {
    #[inline(always)]
    fn new(bias: usize, pace: Pace) -> Head {
        let (mut free, mut shrink) = ([1.0; WIDEST], [pace.rate * pace.regularization; WIDEST]);
        let constant = HEAD - 1 - bias;
        (free[constant], shrink[constant]) = (0.0, 0.0);
        shrink[bias] = pace.rate * pace.bias_regularization;
        Head { free, shrink }
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

    /// The same steps in double precision, a number at a time: rows of both sides, and the sum of squared errors.
    fn naive(
        matrix: &RatingMatrix,
        movies: Range<usize>,
        mut p: Vec<Vec<f64>>,
        mut q: Vec<Vec<f64>>,
        weights: [&[f32]; 2],
        pace: Pace,
    ) -> (Vec<Vec<f64>>, Vec<Vec<f64>>, f64) {
        let Pace { mean, rate, regularization, bias_regularization, .. } = pace;
        let [mean, rate, lambda, bias_lambda] =
            [mean, rate, regularization, bias_regularization].map(f64::from);
        let mut sum = 0.0;
        for customer in 0..CUSTOMERS {
            let (numbers, ratings) = matrix.by_customer.row(customer);
            for (&movie, &rating) in numbers.iter().zip(ratings) {
                let movie = movie as usize;
                if !movies.contains(&movie) {
                    continue;
                }
                let (p, q) = (&mut p[customer], &mut q[movie]);
                let (w, v) = (f64::from(weights[0][customer]), f64::from(weights[1][movie - movies.start]));
                let product = p[HEAD..].iter().zip(&q[HEAD..]).map(|(p, q)| p * q).sum::<f64>();
                let error = f64::from(rating) - (mean + p[0] + q[1] + product);
                sum += error * error;
                let kept = |lambda: f64, weight: f64| (1.0 - rate * lambda * weight).max(0.0);
                p[0] = kept(bias_lambda, w) * p[0] + rate * error;
                q[1] = kept(bias_lambda, v) * q[1] + rate * error;
                for (p, q) in p[HEAD..].iter_mut().zip(&mut q[HEAD..]) {
                    let old = *p;
                    *p = kept(lambda, w) * *p + rate * error * *q;
                    *q = kept(lambda, v) * *q + rate * error * old;
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
            numbers in prop::collection::vec(-0.3f32..0.3, (CUSTOMERS + MOVIES) * 132),
            weights in prop::collection::vec(1.0f32..20.0, CUSTOMERS + MOVIES),
            from in 0usize..4, to in 4usize..=MOVIES,
            // At 10, what the regularisation takes is more than there is of some rows, and of some not.
            strength in prop_oneof![Just(1.0f32), Just(10.0)],
        ) {
            let mut list = Ratings::default();
            ratings.iter().for_each(|(&(customer, movie), &rating)| list.push(customer, movie, rating));
            let go = AtomicBool::new(false);
            let matrix = RatingMatrix::new(CUSTOMERS, MOVIES, &list, &go).unwrap();
            let (regularization, bias_regularization) = (0.5 * strength, 0.3 * strength);
            let pace = Pace { factors, mean: 3.5, rate: 0.02, regularization, bias_regularization };
            let stride = stride(factors);
            let rows = |rows: usize, skipped: usize, bias: usize| {
                let mut filled = Aligned::zeros(rows * stride).unwrap();
                for (row, numbers) in filled.chunks_exact_mut(stride).zip(numbers.chunks_exact(132).skip(skipped)) {
                    row[..HEAD + factors].copy_from_slice(&numbers[..HEAD + factors]);
                    row[HEAD - 1 - bias] = 1.0;
                }
                filled
            };
            let wide = |rows: &[f32]| {
                let rows = rows.chunks_exact(stride);
                rows.map(|row| row[..HEAD + factors].iter().map(|&n| f64::from(n)).collect()).collect::<Vec<Vec<f64>>>()
            };
            let start = (rows(CUSTOMERS, 0, CUSTOMER_BIAS), rows(MOVIES, CUSTOMERS, MOVIE_BIAS));
            let of_customers = &weights[..CUSTOMERS];
            let of_movies = &weights[CUSTOMERS..][..to - from];
            let expected =
                naive(&matrix, from..to, wide(&start.0), wide(&start.1), [of_customers, of_movies], pace);
            for instructions in InstructionSet::available() {
                let (mut p, mut q) = (rows(CUSTOMERS, 0, CUSTOMER_BIAS), rows(MOVIES, CUSTOMERS, MOVIE_BIAS));
                let before = |customer| {
                    let (numbers, _) = matrix.by_customer.row(customer);
                    numbers.partition_point(|&number| (number as usize) < from) as u32
                };
                let mut cursors = (0..CUSTOMERS).map(before).collect::<Vec<_>>();
                let sum = descend(instructions,
                    RatingBlock {
                        by_customer: &matrix.by_customer,
                        customers: &mut RowRange { range: 0..CUSTOMERS, rows: &mut p, weights: of_customers },
                        movies: &mut RowRange { range: from..to, rows: &mut q[from * stride..to * stride], weights: of_movies },
                        cursors: &mut cursors,
                    },
                    pace,
                    &go,
                ).unwrap();
                prop_assert!((sum - expected.2).abs() < 1e-4 * (1.0 + sum), "{:?}: {} for {}", instructions, sum, expected.2);
                for (got, want) in wide(&p).iter().chain(&wide(&q)).zip(expected.0.iter().chain(&expected.1)) {
                    for (got, want) in got.iter().zip(want) {
                        prop_assert!((got - want).abs() < 1e-5, "{:?}: {} for {}", instructions, got, want);
                    }
                }
                for (customer, cursor) in cursors.into_iter().enumerate() {
                    let (numbers, _) = matrix.by_customer.row(customer);
                    prop_assert_eq!(cursor as usize, numbers.partition_point(|&number| (number as usize) < to));
                }
            }
        }
    }
}
