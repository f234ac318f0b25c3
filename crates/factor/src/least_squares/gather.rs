//! Gathers the vectors `z` of a row's ratings, a batch at a time, and adds up their products.
//!
//! The rated rows of the other side are scattered over memory. A batch is copied into a small buffer that stays in the
//! first-level cache, while the products are summed up in registers.

#![allow(unsafe_code)] // vector registers

use std::ops::Range;

use crate::least_squares::packed::{PackedSide, bf16};
use crate::least_squares::products::{Added, AddedPairs, Initial, add_products};
use crate::least_squares::row::RowSystem;
use crate::memory::Aligned;
use crate::simd::vector::{PairVector, Vector};

/// Vectors of floats in a batch. With 64 values each, they fill half of a first-level cache of 32 KB.
pub(crate) const BATCH: usize = 64;
/// How many ratings ahead a row of the other side is prefetched.
pub(crate) const PREFETCH_DISTANCE: usize = 64;

/// The format that the vectors `z = [factors, 1, t]` of a batch are gathered in.
pub(crate) trait BatchFormat<V: Vector> {
    /// Vectors in a batch.
    const BATCH: usize;

    /// Adds `z zᵀ` of some of the row's ratings, one batch at most, to `gram`.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set of `V`, with the products of pairs if the format needs them. `gathered` and `gram`
    /// are as large as `Scratch` makes them.
    unsafe fn add_products(
        system: &RowSystem<'_>,
        ratings: Range<usize>,
        gathered: &mut [f32],
        initial: Initial,
        gram: &mut [f32],
    );

    /// Turns the rows and columns of `gram` that the format uses for the target into one, at index `target`.
    fn merge_targets(gram: &mut [f32], stride: usize, target: usize);
}

/// Single precision, one vector after the other.
pub(crate) struct Floats;

impl<V: Vector> BatchFormat<V> for Floats {
    const BATCH: usize = BATCH;

    #[inline(always)]
    unsafe fn add_products(
        system: &RowSystem<'_>,
        ratings: Range<usize>,
        gathered: &mut [f32],
        initial: Initial,
        gram: &mut [f32],
    ) {
        let PackedSide { factors, stride, .. } = *system.others;
        let count = ratings.len();
        // SAFETY: as the caller promises.
        unsafe {
            gather::<V>(system, ratings, gathered);
            let used = (0, factors + 2);
            add_products::<V, Added>(initial, gathered.as_ptr(), count, stride, used, gram.as_mut_ptr());
        }
    }

    #[inline(always)]
    fn merge_targets(_: &mut [f32], _: usize, _: usize) {}
}

/// Pairs of vectors in bfloat16, as they are packed: two of them in the place of one.
///
/// The target is the sum of two bfloat16 values, in two places: `z = [factors, 1, t₁, t₂]`. [`BatchFormat::merge_targets`]
/// adds up the products of both at the end. So the target keeps 16 significant bits, not 8.
pub(crate) struct Pairs;

impl<V: PairVector> BatchFormat<V> for Pairs {
    const BATCH: usize = 2 * BATCH;

    #[inline(always)]
    unsafe fn add_products(
        system: &RowSystem<'_>,
        ratings: Range<usize>,
        gathered: &mut [f32],
        initial: Initial,
        gram: &mut [f32],
    ) {
        let PackedSide { factors, stride, .. } = *system.others;
        let pairs = ratings.len().div_ceil(2);
        // SAFETY: as the caller promises. `stride` is at least factors + 4.
        unsafe {
            gather_pairs::<V>(system, ratings, gathered);
            let used = (0, factors + 3);
            add_products::<V, AddedPairs>(initial, gathered.as_ptr(), pairs, stride, used, gram.as_mut_ptr());
        }
    }

    #[inline(always)]
    fn merge_targets(gram: &mut [f32], stride: usize, target: usize) {
        for row in 0..target {
            gram[row * stride + target] += gram[row * stride + target + 1];
        }
        let rest = target + 1;
        gram[target * stride + target] += 2.0 * gram[target * stride + rest] + gram[rest * stride + rest];
    }
}

/// Gathers the vectors `z` of some ratings in pairs, one pair after the other. The last vector of an odd number is paired with
/// zeros.
///
/// # Safety
///
/// The machine has the instruction set of `V`; `gathered` has room for half as many vectors, rounded up.
#[inline(always)]
unsafe fn gather_pairs<V: PairVector>(system: &RowSystem<'_>, ratings: Range<usize>, gathered: &mut [f32]) {
    let RowSystem { others, columns, .. } = *system;
    let PackedSide { factors, stride, .. } = *others;
    for (place, rating) in ratings.clone().step_by(2).enumerate() {
        let pair = &mut gathered[place * stride..][..stride];
        let first = others.row(columns[rating] as usize);
        let mut targets = [split_bf16(system.target(rating, first)), (0, 0)];
        if rating + 1 < ratings.end {
            let second = others.row(columns[rating + 1] as usize);
            targets[1] = split_bf16(system.target(rating + 1, second));
            // SAFETY: rows are whole registers; the caller promises the instruction set.
            unsafe {
                prefetch::<V>(system, rating);
                prefetch::<V>(system, rating + 1);
                for column in (0..stride).step_by(V::LANES) {
                    let both = V::load_pairs(first.as_ptr().add(column), second.as_ptr().add(column));
                    both.store(pair.as_mut_ptr().add(column));
                }
            }
        } else {
            pair.iter_mut().zip(first).for_each(|(pair, &value)| *pair = f32::from_bits(u32::from(value)));
        }
        // The packed rows' biases are here.
        pair[stride - 2..].fill(0.0);
        let as_pair = |first: u16, second: u16| f32::from_bits(u32::from(first) | u32::from(second) << 16);
        pair[factors + 1] = as_pair(targets[0].0, targets[1].0);
        pair[factors + 2] = as_pair(targets[0].1, targets[1].1);
    }
}

/// A value as the sum of two bfloat16 values, which together have about 16 significant bits.
#[inline(always)]
fn split_bf16(value: f32) -> (u16, u16) {
    let high = bf16(value);
    (high, bf16(value - f32::from_bits(u32::from(high) << 16)))
}

/// Prefetches the row of the other side that is gathered [`PREFETCH_DISTANCE`] ratings later.
///
/// # Safety
///
/// The machine has the instruction set of `V`.
#[inline(always)]
unsafe fn prefetch<V: Vector>(system: &RowSystem<'_>, rating: usize) {
    let PackedSide { stride, ref data, .. } = *system.others;
    if let Some(&column) = system.prefetch.get(rating) {
        let row = data.as_ptr().wrapping_add(column as usize * stride);
        for line in (0..stride).step_by(Aligned::<u16>::LINE) {
            // SAFETY: as the caller promises.
            unsafe { V::prefetch(row.wrapping_add(line)) };
        }
    }
}

/// Gathers the vectors `z = [factors, 1, t, zeros]` of some ratings, one after the other.
///
/// # Safety
///
/// The machine has the instruction set of `V`; `gathered` has room for as many vectors.
#[inline(always)]
pub(crate) unsafe fn gather<V: Vector>(system: &RowSystem<'_>, ratings: Range<usize>, gathered: &mut [f32]) {
    let RowSystem { others, columns, .. } = *system;
    let PackedSide { factors, stride, .. } = *others;
    for (place, rating) in ratings.enumerate() {
        let other = others.row(columns[rating] as usize);
        let z = &mut gathered[place * stride..][..stride];
        // SAFETY: rows are whole registers; the caller promises the instruction set.
        unsafe {
            prefetch::<V>(system, rating);
            for column in (0..stride).step_by(V::LANES) {
                V::load_bf16(other.as_ptr().add(column)).store(z.as_mut_ptr().add(column));
            }
        }
        z[factors + 1] = system.target(rating, other);
        // The packed row's bias is here.
        z[stride - 2..].fill(0.0);
    }
}
