//! Products of vectors with themselves, summed up: the part of every least-squares method that takes the time.

#![allow(unsafe_code)] // vector registers
#![allow(clippy::needless_range_loop)] // so the compiler keeps each sum in its register

use crate::vector::Vector;

/// What a tile's sums begin with, and which way products count.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sum {
    /// With nothing.
    Fresh,
    /// With what stands there, and are added to it.
    Add,
    /// With what stands there, and are taken from it.
    Subtract,
}

/// Rows that are gone through together.
pub(crate) const ROWS: usize = 4;

/// Numbers beyond the last row's end that may be touched: of the vectors read, of the matrix written to.
pub(crate) const MARGIN: usize = 16;

/// Sums up `z zᵀ` over `count` vectors `z` that stand `stride` numbers apart, into the upper triangle of a square matrix
/// whose rows are as far apart, from row and column `from` up to `used`. What stands below the diagonal, or from `used`
/// on, may be overwritten.
///
/// Tiles of four rows and two registers stay in registers while all vectors pass: eight sums, as many as have to be under
/// way where a processor begins two a cycle and each takes four. A row's registers begin at the diagonal, wherever that
/// is, so that few of them hold what is not wanted.
///
/// # Safety
///
/// The machine has the instruction set of `V`. Both pointers are to `stride` numbers a row, of which the matrix has
/// `stride` rows, and [`MARGIN`] more; no vector is a row that is written to. `stride` is a multiple of the register's
/// lanes and of [`ROWS`], `from` of [`ROWS`]; `used` is at most `stride`.
#[inline(always)]
pub(crate) unsafe fn add_products<V: Vector>(
    sum: Sum,
    z: *const f32,
    count: usize,
    stride: usize,
    (from, used): (usize, usize),
    matrix: *mut f32,
) {
    for top in (from..used).step_by(ROWS) {
        let mut left = top;
        while left < used {
            let tile = Tile { z, count, stride, top, left, matrix };
            let is_single = left + V::LANES >= used;
            // SAFETY: as the caller promises. What a row's last tile writes beyond its end is below the next row's
            // diagonal.
            unsafe {
                match (sum, is_single) {
                    (Sum::Fresh, false) => tile.add::<V, 2, 1, FRESH>(),
                    (Sum::Add, false) => tile.add::<V, 2, 1, ADD>(),
                    (Sum::Subtract, false) => tile.add::<V, 2, 1, SUBTRACT>(),
                    (Sum::Fresh, true) => tile.add::<V, 1, 2, FRESH>(),
                    (Sum::Add, true) => tile.add::<V, 1, 2, ADD>(),
                    (Sum::Subtract, true) => tile.add::<V, 1, 2, SUBTRACT>(),
                }
            }
            left += 2 * V::LANES;
        }
    }
}

const FRESH: u8 = 0;
const ADD: u8 = 1;
const SUBTRACT: u8 = 2;

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
    unsafe fn add<V: Vector, const WIDTH: usize, const SUMS: usize, const SUM: u8>(self) {
        let Tile { z, count, stride, top, left, matrix } = self;
        // SAFETY: as the caller promises.
        unsafe {
            let place =
                |row: usize, column: usize| matrix.add((top + row) * stride + left + column * V::LANES);
            let mut sums = [[[V::splat(0.0); WIDTH]; ROWS]; SUMS];
            if SUM != FRESH {
                for row in 0..ROWS {
                    for column in 0..WIDTH {
                        sums[0][row][column] = V::load(place(row, column));
                    }
                }
            }
            let (mut down, mut across) = (z.add(top), z.add(left));
            let mut rest = count;
            while rest >= SUMS {
                for turn in 0..SUMS {
                    Self::add_vector::<V, WIDTH, SUM>(&mut sums[turn], down, across);
                    (down, across) = (down.add(stride), across.add(stride));
                }
                rest -= SUMS;
            }
            if rest > 0 {
                Self::add_vector::<V, WIDTH, SUM>(&mut sums[0], down, across);
            }
            for row in 0..ROWS {
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
    unsafe fn add_vector<V: Vector, const WIDTH: usize, const SUM: u8>(
        sums: &mut [[V; WIDTH]; ROWS],
        down: *const f32,
        across: *const f32,
    ) {
        // SAFETY: as the caller promises.
        unsafe {
            let mut right = [V::splat(0.0); WIDTH];
            for column in 0..WIDTH {
                right[column] = V::load(across.add(column * V::LANES));
            }
            for row in 0..ROWS {
                let factor = V::splat(*down.add(row));
                for column in 0..WIDTH {
                    let sum = sums[row][column];
                    sums[row][column] = match SUM {
                        SUBTRACT => sum.sub_product(factor, right[column]),
                        _ => sum.add_product(factor, right[column]),
                    };
                }
            }
        }
    }
}
