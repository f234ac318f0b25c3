//! Random choices, and the functions that the sample needs.

use rand::Rng;

/// The weights of `n` ranks by the Zipf-Mandelbrot law, divided by their mean.
pub fn zipf_mandelbrot(n: u32, exponent: f64, shift: f64) -> Vec<f64> {
    let weight = |rank| ((f64::from(rank) + 0.5) / f64::from(n) + shift).powf(-exponent);
    let mean = (0..n).map(weight).sum::<f64>() / f64::from(n);
    (0..n).map(|rank| weight(rank) / mean).collect()
}

/// A hash of an integer, by the mixing function of SplitMix (Steele, Lea and Flood 2014). It gives each customer and
/// day a random value that takes no memory.
pub fn hash(integer: u64) -> u64 {
    let mut mixed = integer.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Rounds shares to integers. The sum of the integers is the sum of the shares, rounded up or down. The shares are
/// placed end to end as intervals from a random start on, and each becomes the count of integers in its interval.
pub fn round_shares(shares: impl Iterator<Item = f64>, rng: &mut impl Rng) -> impl Iterator<Item = u64> {
    let mut end: f64 = rng.random();
    let mut taken = 0;
    shares.map(move |share| {
        end += share;
        let up_to = end.floor() as u64;
        let rounded = up_to.saturating_sub(taken);
        taken = up_to.max(taken);
        rounded
    })
}

/// Finds the argument at which an increasing function has a value, by bisection.
pub fn solve(value: f64, function: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e-6);
    while function(high) < value && high < 1e12 {
        (low, high) = (high, high * 4.0);
    }
    while high - low > 1e-12 * high {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if function(middle) < value { low = middle } else { high = middle }
    }
    high
}

/// Draws `count` different integers from `from` to `to - 1` with the same probability, and calls `take` with each.
pub fn choose(from: u32, to: u32, count: u32, rng: &mut impl Rng, mut take: impl FnMut(u32)) {
    // Where many are drawn: selection sampling (Knuth, The Art of Computer Programming, volume 2, algorithm 3.4.2 S).
    // Where few are drawn: an integer that was drawn before is drawn again.
    let size = to - from;
    if u64::from(count) * 8 >= u64::from(size) {
        let mut missing = count;
        for integer in from..to {
            if rng.random_range(0..to - integer) < missing {
                take(integer);
                missing -= 1;
            }
        }
        return;
    }
    let mut seen = std::collections::HashSet::with_capacity(count as usize);
    while seen.len() < count as usize {
        let integer = rng.random_range(from..to);
        if seen.insert(integer) {
            take(integer);
        }
    }
}

/// Draws `count` different integers from `from` to `to - 1` with probabilities that increase with `weight`, and calls
/// `take` with each. The weights are above 0 and at most 1.
pub fn choose_weighted(
    weight: impl Fn(u32) -> f32,
    from: u32,
    to: u32,
    count: u32,
    rng: &mut impl Rng,
    mut take: impl FnMut(u32),
) {
    let size = to - from;
    if count == 0 {
        return;
    }
    if u64::from(count) * 8 >= u64::from(size) {
        // Those with the shortest exponential waiting times (Efraimidis and Spirakis 2006, "Weighted random sampling
        // with a reservoir").
        let waiting = |integer| (-(1.0 - rng.random::<f32>()).ln() / weight(integer), integer);
        let mut waiting = (from..to).map(waiting).collect::<Vec<_>>();
        let by_time =
            |one: &(f32, u32), other: &(f32, u32)| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1));
        if count < size {
            waiting.select_nth_unstable_by(count as usize - 1, by_time);
        }
        waiting.truncate(count as usize);
        waiting.sort_unstable_by_key(|&(_, integer)| integer);
        return waiting.into_iter().for_each(|(_, integer)| take(integer));
    }
    let mut seen = std::collections::HashSet::with_capacity(count as usize);
    while seen.len() < count as usize {
        let integer = rng.random_range(from..to);
        if rng.random::<f32>() < weight(integer) && seen.insert(integer) {
            take(integer);
        }
    }
}
