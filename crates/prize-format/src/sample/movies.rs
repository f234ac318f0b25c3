//! The movies of a sample: how many ratings each has, and from which day on.

use rand::Rng;
use rand::seq::SliceRandom;

use super::calendar::first_day;
use super::random::{round_shares, solve, zipf_mandelbrot};
use super::settings::Sample;

pub struct Movie {
    pub id: u32,
    /// Its index in the order of ids, from 0.
    pub index: usize,
    /// The release year in the titles file, if it is there.
    pub release_year: Option<u32>,
    /// The first day on which it can be rated.
    pub first_day: u32,
    /// The number of its ratings in the training set, including the probe's.
    pub ratings: u64,
    /// The number of its pairs in the probe.
    pub probe: u64,
    /// The number of its pairs in the qualifying set.
    pub qualifying: u64,
    /// The logarithm of its number of ratings, standardised over all movies (mean 0, standard deviation 1).
    pub fame: f32,
}

/// Makes the movies, in the order of ids.
pub fn movies(sample: &Sample, qualifying: u64, probe: u64, rng: &mut impl Rng) -> Vec<Movie> {
    let mut popularity = zipf_mandelbrot(sample.movies, 2.0, 0.027);
    popularity.shuffle(rng);
    // At most half of all customers rate a movie, and at least one.
    let max_ratings = f64::from(sample.customers) * 0.5;
    let share =
        |scale: f64, popularity: f64| (max_ratings * -(-scale * popularity / max_ratings).exp_m1()).max(1.0);
    let total = (sample.ratings + qualifying) as f64;
    let scale = solve(total, |scale| popularity.iter().map(|&p| share(scale, p)).sum());
    let shares = popularity.iter().map(|&p| share(scale, p)).collect::<Vec<_>>();
    // More than the wanted total, if the wanted total would give some movies less than one rating.
    let total = shares.iter().sum::<f64>();
    let mut split = |whole: u64| {
        let mut counts =
            round_shares(shares.iter().map(|share| share * whole as f64 / total), rng).collect::<Vec<_>>();
        // The sum may be one too small, because of floating-point rounding.
        let missing = whole.saturating_sub(counts.iter().sum());
        counts.iter_mut().take(missing as usize).for_each(|count| *count += 1);
        counts
    };
    let (ratings, qualifying, probe) = (split(sample.ratings), split(qualifying), split(probe));
    let logs = shares.iter().map(|share| share.ln()).collect::<Vec<_>>();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / logs.len() as f64;
    let movie = |index: usize| {
        // Half of the movies are at most eight years old. About 7 of 17,770 have no year.
        let release_year = 2005 - (-(rng.random::<f64>()).ln() * 11.5).min(109.0) as u32;
        Movie {
            id: index as u32 + 1,
            index,
            release_year: (rng.random_range(0..2500) != 0 && index != 5).then_some(release_year),
            first_day: first_day(release_year),
            ratings: ratings[index],
            probe: probe[index].min(ratings[index]),
            qualifying: qualifying[index],
            fame: ((logs[index] - mean) / variance.sqrt().max(f64::MIN_POSITIVE)) as f32,
        }
    };
    (0..sample.movies as usize).map(movie).collect()
}
