//! Sums of outer products `Σ z zᵀ`, which take most of the time of alternating least squares.

#![allow(unsafe_code)] // vector registers
#![allow(clippy::needless_range_loop)] // indices, so that the compiler keeps each sum in its register

use crate::simd::vector::{PairVector, Vector};

/// How a product changes a sum.
///
/// # Safety
///
/// The function may be called only where the machine has the instruction set of `V`.
pub(crate) trait Update<V> {
    unsafe fn apply(sum: V, a: V, b: V) -> V;
}

/// `sum + a · b`.
pub(crate) struct Added;

/// `sum - a · b`.
pub(crate) struct Subtracted;

/// `sum +` both products of the pairs of bfloat16 values in each lane. Each `z` is two vectors, in the layout of
/// [`PairVector::load_pairs`].
pub(crate) struct AddedPairs;

impl<V: Vector> Update<V> for Added {
    #[inline(always)]
    unsafe fn apply(sum: V, a: V, b: V) -> V {
        // SAFETY: as the caller promises.
        unsafe { sum.add_product(a, b) }
    }
}

impl<V: Vector> Update<V> for Subtracted {
    #[inline(always)]
    unsafe fn apply(sum: V, a: V, b: V) -> V {
        // SAFETY: as above.
        unsafe { sum.sub_product(a, b) }
    }
}

impl<V: PairVector> Update<V> for AddedPairs {
    #[inline(always)]
    unsafe fn apply(sum: V, a: V, b: V) -> V {
        // SAFETY: as above.
        unsafe { sum.add_pair_product(a, b) }
    }
}

/// What the sums begin with.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Initial {
    /// Zeros. What the matrix holds is overwritten.
    Zero,
    /// The values that the matrix holds.
    Current,
}

/// Rows of a tile if the processor has 32 registers; half as many if it has 16.
pub(crate) const TILE_ROWS: usize = 8;

/// Values behind the end of the last row that may be read (of the vectors) or overwritten (of the matrix).
pub(crate) const MARGIN: usize = 16;

/// Adds `z zᵀ` to the upper triangle of a square matrix, or subtracts it, as `U` says, for `count` vectors `z`.
///
/// Vectors begin `stride` values apart, and so do the rows of the matrix. Only rows and columns `from..used` are computed.
/// What stands below the diagonal, or from column `used` on, may be overwritten.
///
/// The matrix is computed in tiles of some rows and two registers. A tile's sums stay in registers while all vectors pass. A
/// tile has four rows if there are 16 registers. That makes eight sums, and a processor needs eight to be busy: it begins two
/// products a cycle, and each takes four cycles. A tile has eight rows if there are 32 registers, because products of pairs
/// take six cycles, and because each unaligned load, which takes two cycles, then serves twice as many rows. A row's registers
/// begin at the tile's diagonal, wherever that is, so that few lanes are computed in vain.
///
/// # Safety
///
/// The machine has the instruction set of `V`. Both pointers are to rows of `stride` values, with [`MARGIN`] more values after
/// the last row; the matrix has `stride` rows. No vector is a row that is written to. `stride` is a multiple of the register's
/// lanes and of [`TILE_ROWS`], `from` is a multiple of [`TILE_ROWS`], and `used` is at most `stride`.
#[inline(always)]
pub(crate) unsafe fn add_products<V: Vector, U: Update<V>>(
    initial: Initial,
    z: *const f32,
    count: usize,
    stride: usize,
    (from, used): (usize, usize),
    matrix: *mut f32,
) {
    // SAFETY: as the caller promises.
    unsafe {
        if V::REGISTERS < 32 {
            add_tiles::<V, U, { TILE_ROWS / 2 }>(initial, z, count, stride, (from, used), matrix);
        } else {
            add_tiles::<V, U, TILE_ROWS>(initial, z, count, stride, (from, used), matrix);
        }
    }
}

/// [`add_products`] in tiles of `HEIGHT` rows.
///
/// # Safety
///
/// As for [`add_products`].
#[inline(always)]
unsafe fn add_tiles<V: Vector, U: Update<V>, const HEIGHT: usize>(
    initial: Initial,
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
            // SAFETY: as the caller promises. What a row's last tile writes behind the row's end is below the
            // diagonal of the next row.
            unsafe {
                match (initial, is_single) {
                    (Initial::Zero, false) => tile.add::<V, U, HEIGHT, 2, 1, true>(),
                    (Initial::Current, false) => tile.add::<V, U, HEIGHT, 2, 1, false>(),
                    (Initial::Zero, true) => tile.add::<V, U, HEIGHT, 1, 2, true>(),
                    (Initial::Current, true) => tile.add::<V, U, HEIGHT, 1, 2, false>(),
                }
            }
            left += 2 * V::LANES;
        }
    }
}

/// A tile of the matrix, with the arguments of [`add_products`].
struct Tile {
    z: *const f32,
    count: usize,
    stride: usize,
    /// First row.
    top: usize,
    /// First column.
    left: usize,
    matrix: *mut f32,
}

impl Tile {
    /// Computes `HEIGHT` rows of `WIDTH` registers. Each is the total of `SUMS` sums, to which consecutive vectors are added
    /// alternately: a narrow tile would otherwise have too few independent sums.
    ///
    /// # Safety
    ///
    /// As for [`add_products`].
    #[inline(always)]
    unsafe fn add<
        V: Vector,
        U: Update<V>,
        const HEIGHT: usize,
        const WIDTH: usize,
        const SUMS: usize,
        const IS_ZERO: bool,
    >(
        self,
    ) {
        let Tile { z, count, stride, top, left, matrix } = self;
        // SAFETY: as the caller promises.
        unsafe {
            let at = |row: usize, column: usize| matrix.add((top + row) * stride + left + column * V::LANES);
            let mut sums = [[[V::splat(0.0); WIDTH]; HEIGHT]; SUMS];
            if !IS_ZERO {
                for row in 0..HEIGHT {
                    for column in 0..WIDTH {
                        sums[0][row][column] = V::load(at(row, column));
                    }
                }
            }
            let (mut down, mut across) = (z.add(top), z.add(left));
            let mut remaining = count;
            while remaining >= SUMS {
                for index in 0..SUMS {
                    Self::add_vector::<V, U, HEIGHT, WIDTH>(&mut sums[index], down, across);
                    (down, across) = (down.add(stride), across.add(stride));
                }
                remaining -= SUMS;
            }
            if remaining > 0 {
                Self::add_vector::<V, U, HEIGHT, WIDTH>(&mut sums[0], down, across);
            }
            for row in 0..HEIGHT {
                for column in 0..WIDTH {
                    let mut sum = sums[0][row][column];
                    for index in 1..SUMS {
                        sum = sum.add(sums[index][row][column]);
                    }
                    sum.store(at(row, column));
                }
            }
        }
    }

    /// Adds the products of one vector to the tile's sums. `down` points to the vector's values at the tile's rows, `across` to
    /// those at its columns.
    ///
    /// # Safety
    ///
    /// As for [`add_products`].
    #[inline(always)]
    unsafe fn add_vector<V: Vector, U: Update<V>, const HEIGHT: usize, const WIDTH: usize>(
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
                    sums[row][column] = U::apply(sums[row][column], factor, right[column]);
                }
            }
        }
    }
}
