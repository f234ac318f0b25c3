//! Random values that depend on a seed alone, never on the number of threads or on the order of work.

/// The random number generator of a seed.
pub(crate) fn generator(seed: i64) -> rand_xoshiro::Xoshiro256PlusPlus {
    rand::SeedableRng::seed_from_u64(seed as u64)
}

/// A hash of an integer that spreads consecutive inputs evenly over all outputs: SplitMix64 (Steele, Lea and Flood 2014,
/// "Fast splittable pseudorandom number generators").
pub(crate) fn hash(value: u64) -> u64 {
    let mut hash = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
