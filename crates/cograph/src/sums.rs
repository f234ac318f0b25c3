//! Sums whose rounding does not depend on the number of threads.

use rayon::prelude::*;

/// Elements that are added by one thread. The size decides the rounding.
const BLOCK: usize = 4096;

/// The sum of what `of` returns for each element and its index: sums of blocks, added in order.
pub(crate) fn sum(values: &[f64], of: impl Fn(usize, f64) -> f64 + Sync) -> f64 {
    let block = |(block, values): (usize, &[f64])| {
        values.iter().enumerate().map(|(at, &value)| of(block * BLOCK + at, value)).sum::<f64>()
    };
    let sums = values.par_chunks(BLOCK).enumerate().map(block).collect::<Vec<_>>();
    sums.into_iter().sum()
}
