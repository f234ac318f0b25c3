//! The sample's movies: how often each is rated, and since when.

use rand::Rng;
use rand::seq::SliceRandom;

use super::calendar::first_day;
use super::random::{round_shares, solve, zipf_mandelbrot};
use super::settings::Sample;

pub struct Movie {
    pub id: u32,
    /// Counted from 0, in id order.
    pub index: usize,
    /// The year of its release, where known.
    pub release_year: Option<u32>,
    /// No rating is older, counted as days are.
    pub released: u32,
    pub ratings: u64,
    pub probe: u64,
    pub qualifying: u64,
    /// How well it is known: the logarithm of its ratings, less the mean and over the standard deviation of all movies'.
    pub fame: f32,
}

pub fn movies(sample: &Sample, qualifying: u64, probe: u64, rng: &mut impl Rng) -> Vec<Movie> {
    let mut popularity = zipf_mandelbrot(sample.movies, 2.0, 0.027);
    popularity.shuffle(rng);
    // A movie is rated by half of all customers at most, and by one at least.
    let most = f64::from(sample.customers) * 0.5;
    let share = |scale: f64, popularity: f64| (most * -(-scale * popularity / most).exp_m1()).max(1.0);
    let total = (sample.ratings + qualifying) as f64;
    let scale = solve(total, |scale| popularity.iter().map(|&p| share(scale, p)).sum());
    let shares = popularity.iter().map(|&p| share(scale, p)).collect::<Vec<_>>();
    // Beyond the total where that gives each movie less than its one rating.
    let total = shares.iter().sum::<f64>();
    let mut split = |whole: u64| {
        let mut parts =
            round_shares(shares.iter().map(|share| share * whole as f64 / total), rng).collect::<Vec<_>>();
        // Sums of floating-point numbers may be one short.
        let missing = whole.saturating_sub(parts.iter().sum());
        parts.iter_mut().take(missing as usize).for_each(|part| *part += 1);
        parts
    };
    let (ratings, qualifying, probe) = (split(sample.ratings), split(qualifying), split(probe));
    let known = shares.iter().map(|share| share.ln()).collect::<Vec<_>>();
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let variance = known.iter().map(|known| (known - mean).powi(2)).sum::<f64>() / known.len() as f64;
    let movie = |index: usize| {
        // Half of the movies are younger than eight years, and 7 in 17,770 have no year.
        let release_year = 2005 - (-(rng.random::<f64>()).ln() * 11.5).min(109.0) as u32;
        Movie {
            id: index as u32 + 1,
            index,
            release_year: (rng.random_range(0..2500) != 0 && index != 5).then_some(release_year),
            released: first_day(release_year),
            ratings: ratings[index],
            probe: probe[index].min(ratings[index]),
            qualifying: qualifying[index],
            fame: ((known[index] - mean) / variance.sqrt().max(f64::MIN_POSITIVE)) as f32,
        }
    };
    (0..sample.movies as usize).map(movie).collect()
}
