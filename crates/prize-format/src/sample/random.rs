//! Numbers drawn and rounded: what the sample's parts share.

use rand::Rng;

/// Zipf's law as Mandelbrot widened it, over the ranks of `n`, with mean 1.
pub fn zipf_mandelbrot(n: u32, exponent: f64, shift: f64) -> Vec<f64> {
    let weight = |rank| ((f64::from(rank) + 0.5) / f64::from(n) + shift).powf(-exponent);
    let mean = (0..n).map(weight).sum::<f64>() / f64::from(n);
    (0..n).map(|rank| weight(rank) / mean).collect()
}

/// A number that has nothing to do with its neighbours' (the mixing is that of Steele et al. 2014, SplitMix): what is planted of a
/// customer's day or a movie's month is looked up by it, and takes no memory.
pub fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Rounds shares of a whole so that they add up to it: each share becomes the whole numbers its interval holds
/// when the shares are laid end to end, from a random start.
pub fn round_shares(shares: impl Iterator<Item = f64>, rng: &mut impl Rng) -> impl Iterator<Item = u64> {
    let mut end: f64 = rng.random();
    let mut taken = 0;
    shares.map(move |share| {
        end += share;
        let upto = end.floor() as u64;
        let whole = upto.saturating_sub(taken);
        taken = upto.max(taken);
        whole
    })
}

/// Finds where a rising function reaches a value.
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

/// Hands on `count` different numbers from `from` to below `to`, each as likely as the next.
pub fn choose(from: u32, to: u32, count: u32, rng: &mut impl Rng, mut hand_on: impl FnMut(u32)) {
    // Selection sampling (Knuth, The Art of Computer Programming, volume 2, algorithm 3.4.2 S) where many are
    // taken, drawing again what was drawn before where few are.
    let size = to - from;
    if u64::from(count) * 8 >= u64::from(size) {
        let mut missing = count;
        for number in from..to {
            if rng.random_range(0..to - number) < missing {
                hand_on(number);
                missing -= 1;
            }
        }
        return;
    }
    let mut seen = std::collections::HashSet::with_capacity(count as usize);
    while seen.len() < count as usize {
        let number = rng.random_range(from..to);
        if seen.insert(number) {
            hand_on(number);
        }
    }
}

/// Hands on `count` different numbers from `from` to below `to`, each the likelier the nearer `weight` is to 1; above 0 of all.
pub fn choose_by(
    weight: impl Fn(u32) -> f32,
    from: u32,
    to: u32,
    count: u32,
    rng: &mut impl Rng,
    mut hand_on: impl FnMut(u32),
) {
    let size = to - from;
    if count == 0 {
        return;
    }
    if u64::from(count) * 8 >= u64::from(size) {
        // Those whose exponential waiting times are shortest (Efraimidis and Spirakis 2006, "Weighted random sampling with a
        // reservoir").
        let waiting = |number| (-(1.0 - rng.random::<f32>()).ln() / weight(number), number);
        let mut waiting = (from..to).map(waiting).collect::<Vec<_>>();
        let by_time =
            |one: &(f32, u32), other: &(f32, u32)| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1));
        if count < size {
            waiting.select_nth_unstable_by(count as usize - 1, by_time);
        }
        waiting.truncate(count as usize);
        waiting.sort_unstable_by_key(|&(_, number)| number);
        return waiting.into_iter().for_each(|(_, number)| hand_on(number));
    }
    let mut seen = std::collections::HashSet::with_capacity(count as usize);
    while seen.len() < count as usize {
        let number = rng.random_range(from..to);
        if rng.random::<f32>() < weight(number) && seen.insert(number) {
            hand_on(number);
        }
    }
}
