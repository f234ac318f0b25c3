//! Which ratings are held out of training, and a digest that tells whether two sets of ratings are the same.

use crate::random::hash;

/// A share of all pairs of customer and movie, picked by a hash. Whether a pair is held out depends only on the pair and on
/// the seed.
#[derive(Clone, Copy, Debug)]
pub struct HoldOut {
    seed: u64,
    /// Pairs whose hash is below this are held out.
    threshold: u64,
}

impl HoldOut {
    /// Holds out this share of all pairs, from 0 to 1.
    pub fn new(share: f64, seed: u64) -> HoldOut {
        HoldOut { seed: hash(seed), threshold: HoldOut::threshold(share) }
    }

    /// The number that this share of all hashes is below.
    pub(super) fn threshold(share: f64) -> u64 {
        // The conversion saturates at the largest u64. A share of 1 therefore misses one hash in 2⁶⁴.
        (share * 2f64.powi(64)) as u64
    }

    /// The hold-out that every training uses, whatever its algorithm and seed. Two trainings with the same share hold out the
    /// same ratings.
    pub fn of_training(share: f64) -> HoldOut {
        HoldOut::new(share, 42)
    }

    /// Whether a pair is held out. `customer` and `movie` are the data set's own ids, so that the same ratings are held out
    /// whatever order they were loaded in.
    #[inline]
    pub fn contains(&self, customer: u32, movie: u32) -> bool {
        hash((u64::from(customer) << 32 | u64::from(movie)) ^ self.seed) < self.threshold
    }
}

/// A digest of a set of ratings: the sum of a hash of each rating, so that their order makes no difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Adds a rating. `customer` and `movie` are the data set's own ids.
    #[inline]
    pub fn add(&mut self, customer: u32, movie: u32, rating: u8) {
        let pair = hash(u64::from(customer) << 32 | u64::from(movie));
        self.0 = self.0.wrapping_add(hash(pair ^ u64::from(rating)));
    }

    /// Adds the ratings of another digest.
    pub fn add_all(&mut self, others: Digest) {
        self.0 = self.0.wrapping_add(others.0);
    }

    /// The digest as a signed integer, which SQL has a type for.
    pub fn to_i64(self) -> i64 {
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
    fn a_digest_differs_between_sets_and_not_between_orders() {
        let of = |ratings: &[(u32, u32, u8)]| {
            let mut digest = Digest::default();
            ratings.iter().for_each(|&(customer, movie, rating)| digest.add(customer, movie, rating));
            digest
        };
        let one = [(1, 2, 3), (2, 1, 3), (7, 7, 5)];
        assert_eq!(of(&one), of(&[one[2], one[0], one[1]]));
        let mut sum = of(&one[..1]);
        sum.add_all(of(&one[1..]));
        assert_eq!(of(&one), sum);
        for other in [&one[..2], &[(1, 2, 3), (2, 1, 3), (7, 7, 4)], &[(1, 2, 3), (1, 2, 3), (7, 7, 5)], &[]]
        {
            assert_ne!(of(&one), of(other), "{other:?}");
        }
    }
}
