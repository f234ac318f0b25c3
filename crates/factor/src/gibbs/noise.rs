//! Random numbers of the sampler. Each row has a generator of its own, so that the number of threads changes no bit.

use rand_distr::{Distribution, Gamma, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::random::{generator, hash};

/// What a side's stream of random numbers is turned by for those that are not of a row's own noise: two of the same begin
/// alike.
const SHARED: u64 = 3;
pub(super) const OF_ROWS: u64 = 1;
pub(super) const OF_VECTORS: u64 = 2;

/// A generator of what a side's rows have in common, which no row's own begins like.
pub(super) fn shared_generator(stream: u64) -> Xoshiro256PlusPlus {
    row_generator(hash(stream ^ SHARED), 0)
}

/// A generator of a row's own, so that it is the same whichever thread comes to it.
pub(super) fn row_generator(stream: u64, row: usize) -> Xoshiro256PlusPlus {
    generator(hash(stream.wrapping_add(row as u64)) as i64)
}

pub(super) fn normal(rng: &mut Xoshiro256PlusPlus) -> f32 {
    StandardNormal.sample(rng)
}

/// A number of the gamma distribution of this shape and rate, which are positive; their quotient where they are no numbers.
pub(super) fn gamma(shape: f64, rate: f64, rng: &mut Xoshiro256PlusPlus) -> f64 {
    Gamma::new(shape, 1.0 / rate).map_or(shape / rate, |gamma| gamma.sample(rng))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

    #[test]
    fn no_random_numbers_are_used_twice() {
        for stream in [0, 4, 5, hash(7), u64::MAX] {
            let shared = shared_generator(stream).next_u64();
            for row in 0..1000 {
                for of in [stream, hash(stream ^ OF_ROWS), hash(stream ^ OF_VECTORS)] {
                    assert_ne!(row_generator(of, row).next_u64(), shared, "{stream} {row}");
                }
            }
        }
    }
}
