//! Products of vectors with themselves, summed up: the part of every least-squares method that takes the time.

#![allow(unsafe_code)] // vector registers
#![allow(clippy::needless_range_loop)] // so the compiler keeps each sum in its register

use crate::simd::vector::{PairVector, Vector};

/// What becomes of a product.
///
/// # Safety
///
/// Its function may be called only where the machine has the instruction set of `V`.
pub(crate) trait Product<V> {
    unsafe fn take(sum: V, one: V, other: V) -> V;
}

/// It is added.
pub(crate) struct Added;

/// It is taken away.
pub(crate) struct Subtracted;

/// The products of two bfloat16 numbers in each lane are added: each `z` is two vectors, as [`PairVector::load_pairs`]
/// lays them out.
pub(crate) struct AddedPairs;

impl<V: Vector> Product<V> for Added {
    #[inline(always)]
    unsafe fn take(sum: V, one: V, other: V) -> V {
        // SAFETY: as the caller promises; and so below.
        unsafe { sum.add_product(one, other) }
    }
}

impl<V: Vector> Product<V> for Subtracted {
    #[inline(always)]
    unsafe fn take(sum: V, one: V, other: V) -> V {
        // SAFETY: as above.
        unsafe { sum.sub_product(one, other) }
    }
}

impl<V: PairVector> Product<V> for AddedPairs {
    #[inline(always)]
    unsafe fn take(sum: V, one: V, other: V) -> V {
        // SAFETY: as above.
        unsafe { sum.add_pair_product(one, other) }
    }
}

/// What sums begin with.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sum {
    /// Nothing.
    Fresh,
    /// What stands there.
    Kept,
}

/// Rows that are gone through together where there are registers enough, half as many where not.
pub(crate) const ROWS: usize = 8;

/// Numbers beyond the last row's end that may be touched: of the vectors read, of the matrix written to.
pub(crate) const MARGIN: usize = 16;

/// Sums up `z zᵀ`, as `P` says, over `count` vectors `z` that stand `stride` numbers apart, into the upper triangle of a square matrix
/// whose rows are as far apart, from row and column `from` up to `used`. What stands below the diagonal, or from `used`
/// on, may be overwritten.
///
/// Tiles of four rows and two registers stay in registers while all vectors pass: eight sums, as many as have to be under
/// way where a processor begins two a cycle and each takes four. With 32 registers it is eight rows: products of pairs
/// take six cycles, and each unaligned load, which costs two, serves twice as many rows. A row's registers begin at the diagonal, wherever that
/// is, so that few of them hold what is not wanted.
///
/// # Safety
///
/// The machine has the instruction set of `V`. Both pointers are to `stride` numbers a row, of which the matrix has
/// `stride` rows, and [`MARGIN`] more; no vector is a row that is written to. `stride` is a multiple of the register's
/// lanes and of [`ROWS`], `from` of [`ROWS`]; `used` is at most `stride`.
#[inline(always)]
pub(crate) unsafe fn add_products<V: Vector, P: Product<V>>(
    sum: Sum,
    z: *const f32,
    count: usize,
    stride: usize,
    (from, used): (usize, usize),
    matrix: *mut f32,
) {
    // SAFETY: as the caller promises.
    unsafe {
        if V::REGISTERS < 32 {
            add_tiles::<V, P, { ROWS / 2 }>(sum, z, count, stride, (from, used), matrix);
        } else {
            add_tiles::<V, P, ROWS>(sum, z, count, stride, (from, used), matrix);
        }
    }
}

/// # Safety
///
/// As for [`add_products`].
#[inline(always)]
unsafe fn add_tiles<V: Vector, P: Product<V>, const HEIGHT: usize>(
    sum: Sum,
    z: *const f32,
    count: usize,
    stride: usize,
    (from, used): (usize, usize),
    matrix: *mut f32,
) {
    for top in (from..used).step_by(HEIGHT) {
        let mut left = top;
        while left < used {
            let tile = Tile { z, count, stride, top, left, matrix };
            let is_single = left + V::LANES >= used;
            // SAFETY: as the caller promises. What a row's last tile writes beyond its end is below the next row's
            // diagonal.
            unsafe {
                match (sum, is_single) {
                    (Sum::Fresh, false) => tile.add::<V, P, HEIGHT, 2, 1, true>(),
                    (Sum::Kept, false) => tile.add::<V, P, HEIGHT, 2, 1, false>(),
                    (Sum::Fresh, true) => tile.add::<V, P, HEIGHT, 1, 2, true>(),
                    (Sum::Kept, true) => tile.add::<V, P, HEIGHT, 1, 2, false>(),
                }
            }
            left += 2 * V::LANES;
        }
    }
}

struct Tile {
    z: *const f32,
    count: usize,
    stride: usize,
    top: usize,
    left: usize,
    matrix: *mut f32,
}

impl Tile {
    /// Adds `WIDTH` registers of each row, in `SUMS` sums that vectors take turns at.
    ///
    /// # Safety
    ///
    /// As for [`add_products`].
    #[inline(always)]
    unsafe fn add<
        V: Vector,
        P: Product<V>,
        const HEIGHT: usize,
        const WIDTH: usize,
        const SUMS: usize,
        const IS_FRESH: bool,
    >(
        self,
    ) {
        let Tile { z, count, stride, top, left, matrix } = self;
        // SAFETY: as the caller promises.
        unsafe {
            let place =
                |row: usize, column: usize| matrix.add((top + row) * stride + left + column * V::LANES);
            let mut sums = [[[V::splat(0.0); WIDTH]; HEIGHT]; SUMS];
            if !IS_FRESH {
                for row in 0..HEIGHT {
                    for column in 0..WIDTH {
                        sums[0][row][column] = V::load(place(row, column));
                    }
                }
            }
            let (mut down, mut across) = (z.add(top), z.add(left));
            let mut rest = count;
            while rest >= SUMS {
                for turn in 0..SUMS {
                    Self::add_vector::<V, P, HEIGHT, WIDTH>(&mut sums[turn], down, across);
                    (down, across) = (down.add(stride), across.add(stride));
                }
                rest -= SUMS;
            }
            if rest > 0 {
                Self::add_vector::<V, P, HEIGHT, WIDTH>(&mut sums[0], down, across);
            }
            for row in 0..HEIGHT {
                for column in 0..WIDTH {
                    let mut sum = sums[0][row][column];
                    for turn in 1..SUMS {
                        sum = sum.add(sums[turn][row][column]);
                    }
                    sum.store(place(row, column));
                }
            }
        }
    }

    /// # Safety
    ///
    /// As for [`add_products`].
    #[inline(always)]
    unsafe fn add_vector<V: Vector, P: Product<V>, const HEIGHT: usize, const WIDTH: usize>(
        sums: &mut [[V; WIDTH]; HEIGHT],
        down: *const f32,
        across: *const f32,
    ) {
        // SAFETY: as the caller promises.
        unsafe {
            let mut right = [V::splat(0.0); WIDTH];
            for column in 0..WIDTH {
                right[column] = V::load(across.add(column * V::LANES));
            }
            for row in 0..HEIGHT {
                let factor = V::splat(*down.add(row));
                for column in 0..WIDTH {
                    sums[row][column] = P::take(sums[row][column], factor, right[column]);
                }
            }
        }
    }
}
