//! Which ratings are held out, and whether two sets of them are the same.

use crate::random::hash;

/// A share of all pairs of customer and movie, from 0 to 1, picked by a hash: whether one is held out depends on nothing but
/// itself and the seed.
#[derive(Clone, Copy, Debug)]
pub struct HoldOut {
    seed: u64,
    below: u64,
}

impl HoldOut {
    /// Holds out this share.
    pub fn new(share: f64, seed: u64) -> HoldOut {
        // The product is cut at the highest number: a share of 1 misses one pair in 2⁶⁴.
        HoldOut { seed: hash(seed), below: (share * 2f64.powi(64)) as u64 }
    }

    /// The one that training draws, whatever its algorithm and seed: what is held out from two trainings are the same ratings.
    pub fn of_training(share: f64) -> HoldOut {
        HoldOut::new(share, 42)
    }

    /// Whether a pair of the data set's own ids is held out: the same ratings are, in whatever order they were loaded.
    #[inline]
    pub fn contains(&self, customer: u32, movie: u32) -> bool {
        hash((u64::from(customer) << 32 | u64::from(movie)) ^ self.seed) < self.below
    }
}

/// Tells a set of ratings from another, whatever their order: the sum of a hash of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Adds a rating, by the data set's own ids.
    #[inline]
    pub fn add(&mut self, customer: u32, movie: u32, rating: u8) {
        let pair = hash(u64::from(customer) << 32 | u64::from(movie));
        self.0 = self.0.wrapping_add(hash(pair ^ u64::from(rating)));
    }

    /// As a number that a table can hold.
    pub fn number(self) -> i64 {
        self.0 as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_held_out_evenly() {
        let count = |share: f64, seed: u64, customers: std::ops::Range<u32>| {
            let hold_out = HoldOut::new(share, seed);
            let pairs = customers.flat_map(|customer| (0..100).map(move |movie| (customer, movie)));
            pairs.filter(|&(customer, movie)| hold_out.contains(customer, movie)).count()
        };
        assert_eq!((count(0.0, 1, 0..1000), count(1.0, 1, 0..1000)), (0, 100_000));
        for seed in 0..20 {
            assert!((9_500..10_500).contains(&count(0.1, seed, 0..1000)), "{seed}");
            assert!((100..400).contains(&count(0.025, seed, 500..600)), "{seed}");
        }
        assert_eq!(count(0.1, 42, 0..10), {
            let hold_out = HoldOut::of_training(0.1);
            let pairs = (0..10).flat_map(|customer| (0..100).map(move |movie| (customer, movie)));
            pairs.filter(|&(customer, movie)| hold_out.contains(customer, movie)).count()
        });
        let picked = |seed: u64| (0..1000).filter(move |&movie| HoldOut::new(0.1, seed).contains(7, movie));
        assert!(!picked(1).eq(picked(2)));
    }

    #[test]
    fn a_digest_tells_sets_apart_and_no_orders() {
        let of = |ratings: &[(u32, u32, u8)]| {
            let mut digest = Digest::default();
            ratings.iter().for_each(|&(customer, movie, rating)| digest.add(customer, movie, rating));
            digest
        };
        let one = [(1, 2, 3), (2, 1, 3), (7, 7, 5)];
        assert_eq!(of(&one), of(&[one[2], one[0], one[1]]));
        for other in [&one[..2], &[(1, 2, 3), (2, 1, 3), (7, 7, 4)], &[(1, 2, 3), (1, 2, 3), (7, 7, 5)], &[]]
        {
            assert_ne!(of(&one), of(other), "{other:?}");
        }
    }
}
