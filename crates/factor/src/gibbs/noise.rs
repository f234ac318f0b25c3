//! Random values of the sampler. Each row has a generator of its own, so that the number of threads changes no bit.
//!
//! A sweep has a `stream`, an integer, for each side. Row `i` of the side draws from the generator `(stream, i)`.

use rand_distr::{Distribution, Gamma, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::random::{generator, hash};

/// Values that make further streams of a side's stream, by `hash(stream ^ value)`: for the hyperparameters, for the noise that
/// is added to the rows when the link is sampled, and for the noise of its vectors. They must differ: the same stream gives
/// the same random values.
const HYPERPARAMETERS: u64 = 3;
pub(super) const LINK_ROWS: u64 = 1;
pub(super) const LINK_VECTORS: u64 = 2;

/// The generator for a side's hyperparameters.
pub(super) fn hyperparameter_generator(stream: u64) -> Xoshiro256PlusPlus {
    row_generator(hash(stream ^ HYPERPARAMETERS), 0)
}

/// The generator for one row.
pub(super) fn row_generator(stream: u64, row: usize) -> Xoshiro256PlusPlus {
    generator(hash(stream.wrapping_add(row as u64)) as i64)
}

/// A sample of the standard normal distribution.
pub(super) fn normal(rng: &mut Xoshiro256PlusPlus) -> f32 {
    StandardNormal.sample(rng)
}

/// A sample of the gamma distribution. Where shape or rate are invalid (NaN, or not positive), the result is `shape / rate`.
pub(super) fn gamma(shape: f64, rate: f64, rng: &mut Xoshiro256PlusPlus) -> f64 {
    Gamma::new(shape, 1.0 / rate).map_or(shape / rate, |gamma| gamma.sample(rng))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

    #[test]
    fn no_random_values_are_used_twice() {
        for stream in [0, 4, 5, hash(7), u64::MAX] {
            let shared = hyperparameter_generator(stream).next_u64();
            for row in 0..1000 {
                for of in [stream, hash(stream ^ LINK_ROWS), hash(stream ^ LINK_VECTORS)] {
                    assert_ne!(row_generator(of, row).next_u64(), shared, "{stream} {row}");
                }
            }
        }
    }
}
