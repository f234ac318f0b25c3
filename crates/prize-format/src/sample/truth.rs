//! The planted truth: the score of a customer for a movie on a day (biases, factors and drift), and the rating that
//! comes from it with noise and rounding.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::calendar::DAYS;
use super::movies::Movie;
use super::random::hash;
use super::settings::{Realism, Sample};

/// The number of factors. Each genre has an axis of its own or the opposite of one, so there are at most twice as many genres.
const FACTORS: usize = 10;
/// The standard deviation of the customers' biases.
const CUSTOMER_BIAS: f32 = 0.42;
/// The standard deviation of the movies' biases.
const MOVIE_BIAS: f32 = 0.48;
/// The standard deviation of the product of a customer's and a movie's factors.
const FACTOR_PRODUCT: f32 = 0.54;
/// How much higher scores are on the last day than on the first.
const DRIFT: f32 = 0.15;

/// The mean score over all pairs. A lifelike sample has a lower one, because customers rate movies that they like,
/// which raises the mean of the ratings.
const PLAIN_MEAN: f32 = 3.55;
const LIFELIKE_MEAN: f32 = 3.25;
/// The standard deviation of the noise.
const NOISE: f32 = 0.79;
/// How much the log odds that a customer rates a movie grow with each star that the factors add to the score.
const SELECTION: f32 = 2.5;
/// The standard deviation of a customer's mood on a day. The mood is added to the score.
const MOOD: f32 = 0.3;
/// The standard deviation of how much better or worse a movie is liked in one period. It is added to the score.
const TREND: f32 = 0.12;
/// The number of periods into which all days are divided.
const PERIODS: u32 = 30;
/// The correlation between a movie's fame (the logarithm of its number of ratings) and its bias.
const FAME: f32 = 0.3;

/// The share of the variance of the movies' factors that is due to their genres, if there are genres.
const GENRE: f32 = 0.7;

/// The planted biases and factors.
pub struct Truth {
    customers: Vec<Planted>,
    movies: Vec<Planted>,
    realism: Realism,
    seed: u64,
}

/// What is planted for a customer or a movie.
struct Planted {
    factors: [f32; FACTORS],
    bias: f32,
}

/// Moves the factors of movies towards the center of their genre. A center lies on the axis of one factor, so that customers like or
/// dislike each genre independently of the others. Genres beyond the number of factors are the opposites of the first ones.
fn plant_genres(sample: &Sample, movies: &[Movie], deviation: &[f32; FACTORS], planted: &mut [Planted]) {
    for (planted, movie) in planted.iter_mut().zip(movies) {
        let genre = sample.genre(movie.id).unwrap_or_default() as usize;
        planted.factors.iter_mut().for_each(|factor| *factor *= (1.0 - GENRE).sqrt());
        let (axis, sign) = (genre % FACTORS, if genre < FACTORS { 1.0 } else { -1.0 });
        // A product with the customers' factors of this axis has the same variance for each genre.
        planted.factors[axis] += sign * GENRE.sqrt() * FACTOR_PRODUCT / deviation[axis];
    }
}

impl Truth {
    pub fn new(sample: &Sample, movies: &[Movie], rng: &mut impl Rng) -> Truth {
        // The variance of the d-th factor product is proportional to 1/d, and all of them add up to FACTOR_PRODUCT
        // squared.
        let harmonic = (1..=FACTORS).map(|d| 1.0 / d as f32).sum::<f32>();
        let deviation: [f32; FACTORS] =
            std::array::from_fn(|d| (FACTOR_PRODUCT * FACTOR_PRODUCT / harmonic / (d + 1) as f32).powf(0.25));
        let mut plant = |bias: f32| {
            let mut normal = || -> f32 { StandardNormal.sample(rng) };
            Planted { factors: std::array::from_fn(|d| deviation[d] * normal()), bias: bias * normal() }
        };
        let customers = (0..sample.customers).map(|_| plant(CUSTOMER_BIAS)).collect();
        let mut movies_planted = movies.iter().map(|_| plant(MOVIE_BIAS)).collect::<Vec<_>>();
        if sample.genres > 0 {
            plant_genres(sample, movies, &deviation, &mut movies_planted);
        }
        if sample.realism == Realism::Lifelike {
            for (planted, movie) in movies_planted.iter_mut().zip(movies) {
                planted.bias = (1.0 - FAME * FAME).sqrt() * planted.bias + FAME * MOVIE_BIAS * movie.fame;
            }
        }
        Truth { customers, movies: movies_planted, realism: sample.realism, seed: sample.seed }
    }

    /// What the factors add to the score of a customer for a movie.
    pub(super) fn factor_product(&self, customer: u32, movie: usize) -> f32 {
        let (customer, movie) = (&self.customers[customer as usize], &self.movies[movie]);
        customer.factors.iter().zip(&movie.factors).map(|(p, q)| p * q).sum()
    }

    /// The weight of a customer among the customers who may rate a movie, from 0 to 1. `None` if all have the same
    /// weight.
    pub fn interest(&self, movie: usize) -> Option<impl Fn(u32) -> f32> {
        let interest =
            move |customer| 1.0 / (1.0 + (-SELECTION * self.factor_product(customer, movie)).exp());
        (self.realism == Realism::Lifelike).then_some(interest)
    }

    /// The score of a customer for a movie on a day: the rating before noise and rounding.
    pub fn score(&self, customer: u32, movie: usize, day: u32) -> f32 {
        let biases = self.customers[customer as usize].bias + self.movies[movie].bias;
        let drift = DRIFT * (day as f32 / DAYS as f32 - 0.5);
        let plain_score = biases + self.factor_product(customer, movie) + drift;
        match self.realism {
            Realism::Plain => PLAIN_MEAN + plain_score,
            Realism::Lifelike => {
                let mood = MOOD * self.normal_for(MOODS, u64::from(customer), day);
                let trend = TREND * self.normal_for(TRENDS, movie as u64, day * PERIODS / DAYS);
                LIFELIKE_MEAN + plain_score + mood + trend
            }
        }
    }

    /// A standard normal number for a customer or a movie (`index`) in a period or on a day (`time`). The same
    /// arguments always give the same number. `purpose` is [`MOODS`] or [`TRENDS`].
    fn normal_for(&self, purpose: u64, index: u64, time: u32) -> f32 {
        let bits = hash(hash(hash(self.seed ^ purpose) ^ index) ^ u64::from(time));
        // The Box-Muller transform (Box and Muller 1958).
        let uniform = |bits: u64| (bits as u32 as f32 + 1.0) / 2f32.powi(32);
        (-2.0 * uniform(bits >> 32).ln()).sqrt() * (std::f32::consts::TAU * uniform(bits)).cos()
    }

    /// Draws the rating for a score: adds noise, and rounds to 1 to 5.
    pub fn rating(&self, score: f32, rng: &mut impl Rng) -> u8 {
        let noise: f32 = StandardNormal.sample(rng);
        (score + NOISE * noise).round().clamp(1.0, 5.0) as u8
    }

    /// The prediction from a score that the sample's RMSE is computed with. For a lifelike sample, that is the expected rating: 1
    /// plus the
    /// probabilities of more than 1, 2, 3 and 4 stars. For a plain sample, it is the score limited to 1 to 5, because
    /// earlier versions printed that.
    pub fn best_prediction(&self, score: f32) -> f32 {
        match self.realism {
            Realism::Plain => score.clamp(1.0, 5.0),
            Realism::Lifelike => {
                let more_than = |stars: u8| normal_distribution((score - f32::from(stars) - 0.5) / NOISE);
                1.0 + (1..=4).map(more_than).sum::<f32>()
            }
        }
    }
}

/// The purposes of the numbers of [`Truth::normal_for`].
const MOODS: u64 = 1 << 40;
const TRENDS: u64 = 2 << 40;

/// The probability that a standard normal number is below `x`, to within 1e-7 (Abramowitz and Stegun 1964, formula
/// 26.2.17).
fn normal_distribution(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let polynomial = [1.330_274_4, -1.821_256, 1.781_477_9, -0.356_563_78, 0.319_381_54]
        .into_iter()
        .fold(0.0, |sum: f32, coefficient| (sum + coefficient) * t);
    let above = (-0.5 * x * x).exp() / std::f32::consts::TAU.sqrt() * polynomial;
    if x < 0.0 { above } else { 1.0 - above }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::sample::movies::movies;

    fn lifelike() -> (Truth, Xoshiro256PlusPlus) {
        let sample = Sample { realism: Realism::Lifelike, ..Sample::of(100_000) };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let movies = movies(&sample, 2800, 1400, &mut rng);
        (Truth::new(&sample, &movies, &mut rng), rng)
    }

    #[test]
    fn the_best_prediction_is_the_mean_rating() {
        let (truth, mut rng) = lifelike();
        for score in [0.2, 1.0, 2.4, 3.5, 4.1, 4.9, 6.0] {
            let stars = (0..100_000).map(|_| f64::from(truth.rating(score, &mut rng))).sum::<f64>() / 1e5;
            let predicted = truth.best_prediction(score);
            assert!((stars - f64::from(predicted)).abs() < 0.015, "{score}: {stars}, {predicted}");
        }
    }

    #[test]
    fn moods_change_daily_and_trends_by_period() {
        let (truth, _) = lifelike();
        let spread = |numbers: Vec<f32>| {
            let mean = numbers.iter().sum::<f32>() / numbers.len() as f32;
            (mean, (numbers.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / numbers.len() as f32).sqrt())
        };
        let (mean, deviation) =
            spread((0..20_000).map(|at| truth.normal_for(MOODS, at % 100, at as u32 / 100)).collect());
        assert!(mean.abs() < 0.03 && (0.97..1.03).contains(&deviation), "{mean} {deviation}");
        // The same day has the same mood. Another day or another period gives another score.
        assert_eq!(truth.score(3, 5, 700), truth.score(3, 5, 700));
        let differs = |one: u32, other: u32| (truth.score(3, 5, one) - truth.score(3, 5, other)).abs() > 1e-3;
        assert!(differs(700, 701) && differs(100, 1800));
    }
}
