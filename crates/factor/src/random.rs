//! Random numbers that depend on a seed alone, and never on threads or on the order of work.

/// The generator that a seed stands for.
pub(crate) fn generator(seed: i64) -> rand_xoshiro::Xoshiro256PlusPlus {
    rand::SeedableRng::seed_from_u64(seed as u64)
}

/// Scatters numbers that follow each other (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
pub(crate) fn hash(number: u64) -> u64 {
    let mut hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
