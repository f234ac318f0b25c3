//! Rows of the other side, gathered so that their products are summed up with everything in registers and the first cache.

#![allow(unsafe_code)] // vector registers

use std::ops::Range;

use crate::least_squares::packed::{PackedSide, bf16};
use crate::least_squares::products::{Added, AddedPairs, Sum, add_products};
use crate::least_squares::row::Observed;
use crate::memory::Aligned;
use crate::simd::vector::{PairVector, Vector};

/// Rows of floats gathered before they are multiplied: at 64 numbers a row they fill half of a 32 KB L1 cache.
pub(crate) const GATHERED: usize = 64;
/// How many ratings ahead rows are asked for.
pub(crate) const AHEAD: usize = 64;

/// How rows are gathered to be multiplied.
pub(crate) trait Form<V: Vector> {
    /// How many at a time.
    const GATHERED: usize;

    /// Adds up the products of some ratings' rows.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set of `V`, with pairs' products if it is they; both rooms are as large as `Scratch`
    /// makes them.
    unsafe fn add_products(
        row: &Observed<'_>,
        ratings: Range<usize>,
        gathered: &mut [f32],
        sum: Sum,
        gram: &mut [f32],
    );

    /// Makes a target of the places that it was gathered in.
    fn join_targets(gram: &mut [f32], stride: usize, target: usize);
}

/// As floats, one after the other.
pub(crate) struct Floats;

impl<V: Vector> Form<V> for Floats {
    const GATHERED: usize = GATHERED;

    #[inline(always)]
    unsafe fn add_products(
        row: &Observed<'_>,
        ratings: Range<usize>,
        gathered: &mut [f32],
        sum: Sum,
        gram: &mut [f32],
    ) {
        let PackedSide { factors, stride, .. } = *row.others;
        let count = ratings.len();
        // SAFETY: as the caller promises.
        unsafe {
            gather::<V>(row, ratings, gathered);
            let used = (0, factors + 2);
            add_products::<V, Added>(sum, gathered.as_ptr(), count, stride, used, gram.as_mut_ptr());
        }
    }

    #[inline(always)]
    fn join_targets(_: &mut [f32], _: usize, _: usize) {}
}

/// In bfloat16, as they are packed, two in the place of one. A target is rounded to such a number, and what that leaves of it
/// to a second one behind it, whose products are put to the first one's at the end: together they are as exact as the
/// factors.
pub(crate) struct Pairs;

impl<V: PairVector> Form<V> for Pairs {
    const GATHERED: usize = 2 * GATHERED;

    #[inline(always)]
    unsafe fn add_products(
        row: &Observed<'_>,
        ratings: Range<usize>,
        gathered: &mut [f32],
        sum: Sum,
        gram: &mut [f32],
    ) {
        let PackedSide { factors, stride, .. } = *row.others;
        let pairs = ratings.len().div_ceil(2);
        // SAFETY: as the caller promises; there are two more places behind a row's factors and its 1 than the bias takes.
        unsafe {
            gather_pairs::<V>(row, ratings, gathered);
            let used = (0, factors + 3);
            add_products::<V, AddedPairs>(sum, gathered.as_ptr(), pairs, stride, used, gram.as_mut_ptr());
        }
    }

    #[inline(always)]
    fn join_targets(gram: &mut [f32], stride: usize, target: usize) {
        for row in 0..target {
            gram[row * stride + target] += gram[row * stride + target + 1];
        }
        let rest = target + 1;
        gram[target * stride + target] += 2.0 * gram[target * stride + rest] + gram[rest * stride + rest];
    }
}

/// Copies the rows rated into pairs, one behind the other, each rating's target into the two places behind the 1. The last of
/// an odd number is paired with zeros.
///
/// # Safety
///
/// The machine has the instruction set of `V`; `gathered` has room for half as many rows.
#[inline(always)]
unsafe fn gather_pairs<V: PairVector>(row: &Observed<'_>, ratings: Range<usize>, gathered: &mut [f32]) {
    let Observed { others, numbers, .. } = *row;
    let PackedSide { factors, stride, .. } = *others;
    for (place, first) in ratings.clone().step_by(2).enumerate() {
        let pair = &mut gathered[place * stride..][..stride];
        let one = others.row(numbers[first] as usize);
        let mut targets = [split(target(row, one, first)), (0, 0)];
        if first + 1 < ratings.end {
            let other = others.row(numbers[first + 1] as usize);
            targets[1] = split(target(row, other, first + 1));
            // SAFETY: rows of whole registers; the caller promises the instruction set.
            unsafe {
                fetch_ahead::<V>(row, first);
                fetch_ahead::<V>(row, first + 1);
                for column in (0..stride).step_by(V::LANES) {
                    let both = V::load_pairs(one.as_ptr().add(column), other.as_ptr().add(column));
                    both.store(pair.as_mut_ptr().add(column));
                }
            }
        } else {
            pair.iter_mut().zip(one).for_each(|(pair, &number)| *pair = f32::from_bits(u32::from(number)));
        }
        // Where the biases were.
        pair[stride - 2..].fill(0.0);
        let together = |first: u16, second: u16| f32::from_bits(u32::from(first) | u32::from(second) << 16);
        pair[factors + 1] = together(targets[0].0, targets[1].0);
        pair[factors + 2] = together(targets[0].1, targets[1].1);
    }
}

/// A number as the sum of two in bfloat16, to some 16 bits.
#[inline(always)]
fn split(number: f32) -> (u16, u16) {
    let most = bf16(number);
    (most, bf16(number - f32::from_bits(u32::from(most) << 16)))
}

/// What a rating leaves to be explained by its row's unknowns.
#[inline(always)]
fn target(row: &Observed<'_>, other: &[u16], rating: usize) -> f32 {
    f32::from(row.ratings[rating]) - row.mean - row.others.bias(other)
}

/// Asks for the row that is gathered [`AHEAD`] ratings later.
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[inline(always)]
unsafe fn fetch_ahead<V: Vector>(row: &Observed<'_>, rating: usize) {
    let PackedSide { stride, ref data, .. } = *row.others;
    if let Some(&ahead) = row.ahead.get(rating) {
        let ahead = data.as_ptr().wrapping_add(ahead as usize * stride);
        for line in (0..stride).step_by(Aligned::<u16>::LINE) {
            // SAFETY: as the caller promises.
            unsafe { V::prefetch(ahead.wrapping_add(line)) };
        }
    }
}

/// Copies the rows rated one behind the other, each rating's target in the bias's place.
///
/// # Safety
///
/// The machine has the instruction set of `V`; `gathered` has room for as many rows.
#[inline(always)]
pub(crate) unsafe fn gather<V: Vector>(row: &Observed<'_>, ratings: Range<usize>, gathered: &mut [f32]) {
    let Observed { others, numbers, .. } = *row;
    let PackedSide { factors, stride, .. } = *others;
    for (place, rating) in ratings.enumerate() {
        let other = others.row(numbers[rating] as usize);
        let z = &mut gathered[place * stride..][..stride];
        // SAFETY: rows of whole registers; the caller promises the instruction set.
        unsafe {
            fetch_ahead::<V>(row, rating);
            for column in (0..stride).step_by(V::LANES) {
                V::load_bf16(other.as_ptr().add(column)).store(z.as_mut_ptr().add(column));
            }
        }
        z[factors + 1] = target(row, other, rating);
        z[stride - 2..].fill(0.0);
    }
}
