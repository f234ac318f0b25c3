//! What customers give: planted biases, factors and drift, noise, and rounding to whole stars.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::calendar::DAYS;
use super::movies::Movie;
use super::random::scatter;
use super::settings::{Form, Sample};

const FACTORS: usize = 10;
const CUSTOMER_BIAS: f32 = 0.42;
const MOVIE_BIAS: f32 = 0.48;
/// The standard deviation of what the factors add.
const TASTE: f32 = 0.54;
/// How much kinder the last day's ratings are than the first day's.
const DRIFT: f32 = 0.15;

/// The mean of all scores: where people rate what they like, those that are given are higher.
const PLAIN_MEAN: f32 = 3.55;
const LIFELIKE_MEAN: f32 = 3.25;
const NOISE: f32 = 0.79;
/// How much likelier a customer rates a movie for each star that taste adds: the slope of a logistic curve.
const SELECTION: f32 = 2.5;
/// The standard deviation of a customer's mood on a day.
const MOOD: f32 = 0.3;
/// That of how a movie is liked in one of so many parts of all days.
const RISE: f32 = 0.12;
const PARTS: u32 = 30;
/// The correlation between how well a movie is known and how well it is liked.
const FAME: f32 = 0.3;

pub struct Truth {
    customers: Vec<Planted>,
    movies: Vec<Planted>,
    form: Form,
    seed: u64,
}

struct Planted {
    factors: [f32; FACTORS],
    bias: f32,
}

impl Truth {
    pub fn new(sample: &Sample, movies: &[Movie], rng: &mut impl Rng) -> Truth {
        // Later factors matter less: the variance of the d-th falls as 1/d.
        let harmonic = (1..=FACTORS).map(|d| 1.0 / d as f32).sum::<f32>();
        let deviation: [f32; FACTORS] =
            std::array::from_fn(|d| (TASTE * TASTE / harmonic / (d + 1) as f32).powf(0.25));
        let mut plant = |bias: f32| {
            let mut normal = || -> f32 { StandardNormal.sample(rng) };
            Planted { factors: std::array::from_fn(|d| deviation[d] * normal()), bias: bias * normal() }
        };
        let customers = (0..sample.customers).map(|_| plant(CUSTOMER_BIAS)).collect();
        let mut movies_planted = movies.iter().map(|_| plant(MOVIE_BIAS)).collect::<Vec<_>>();
        if sample.form == Form::Lifelike {
            for (planted, movie) in movies_planted.iter_mut().zip(movies) {
                planted.bias = (1.0 - FAME * FAME).sqrt() * planted.bias + FAME * MOVIE_BIAS * movie.fame;
            }
        }
        Truth { customers, movies: movies_planted, form: sample.form, seed: sample.seed }
    }

    /// What a customer's taste adds to a movie's score.
    fn taste(&self, customer: u32, movie: usize) -> f32 {
        let (customer, movie) = (&self.customers[customer as usize], &self.movies[movie]);
        customer.factors.iter().zip(&movie.factors).map(|(p, q)| p * q).sum()
    }

    /// How likely a customer is to rate a movie beside others of the same activity, from 0 to 1; `None` where all are as likely.
    pub fn interest(&self, movie: usize) -> Option<impl Fn(u32) -> f32> {
        let interest = move |customer| 1.0 / (1.0 + (-SELECTION * self.taste(customer, movie)).exp());
        (self.form == Form::Lifelike).then_some(interest)
    }

    /// What the customer would give the movie on that day, before noise and rounding.
    pub fn score(&self, customer: u32, movie: usize, day: u32) -> f32 {
        let biases = self.customers[customer as usize].bias + self.movies[movie].bias;
        let drift = DRIFT * (day as f32 / DAYS as f32 - 0.5);
        let lasting = biases + self.taste(customer, movie) + drift;
        match self.form {
            Form::Plain => PLAIN_MEAN + lasting,
            Form::Lifelike => {
                let mood = MOOD * self.planted_at(MOODS, u64::from(customer), day);
                let rise = RISE * self.planted_at(RISES, movie as u64, day * PARTS / DAYS);
                LIFELIKE_MEAN + lasting + mood + rise
            }
        }
    }

    /// A standard normal number for a customer or movie at a time.
    fn planted_at(&self, of: u64, who: u64, when: u32) -> f32 {
        let bits = scatter(scatter(scatter(self.seed ^ of) ^ who) ^ u64::from(when));
        // The transform of Box and Muller (1958).
        let uniform = |bits: u64| (bits as u32 as f32 + 1.0) / 2f32.powi(32);
        (-2.0 * uniform(bits >> 32).ln()).sqrt() * (std::f32::consts::TAU * uniform(bits)).cos()
    }

    /// The stars given, 1 to 5.
    pub fn rating(&self, score: f32, rng: &mut impl Rng) -> u8 {
        let noise: f32 = StandardNormal.sample(rng);
        (score + NOISE * noise).round().clamp(1.0, 5.0) as u8
    }

    /// The best prediction of the stars that a score leads to: of a plain form, as it always was, the score cut to the scale; of a
    /// lifelike one their mean, which is 1 and the chances of more than 1, 2, 3 and 4 stars.
    pub fn predicted(&self, score: f32) -> f32 {
        match self.form {
            Form::Plain => score.clamp(1.0, 5.0),
            Form::Lifelike => {
                let more_than = |stars: u8| normal_below((score - f32::from(stars) - 0.5) / NOISE);
                1.0 + (1..=4).map(more_than).sum::<f32>()
            }
        }
    }
}

/// What the numbers of [`Truth::planted_at`] are for.
const MOODS: u64 = 1 << 40;
const RISES: u64 = 2 << 40;

/// The chance that a standard normal number is below this one, to within 1e-7 (Abramowitz and Stegun 1964, formula 26.2.17).
fn normal_below(x: f32) -> f32 {
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
    use crate::sample::population::Population;

    fn planted(form: Form) -> (Population, Truth, Xoshiro256PlusPlus) {
        let sample = Sample { form, ..Sample::of(100_000) };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let population = Population::new(&sample, 2800, 1400, &mut rng);
        let truth = Truth::new(&sample, &population.movies, &mut rng);
        (population, truth, rng)
    }

    /// Mean over all ratings.
    fn mean_taste(form: Form) -> f32 {
        let (population, truth, mut rng) = planted(form);
        let (mut sum, mut count, mut drawn) = (0.0, 0, Vec::new());
        for movie in &population.movies {
            population.draw(movie, &truth, &mut rng, &mut drawn);
            sum += drawn.iter().map(|pair| truth.taste(pair.customer, movie.index)).sum::<f32>();
            count += drawn.len();
        }
        sum / count as f32
    }

    #[test]
    fn people_rate_what_they_like() {
        assert!(mean_taste(Form::Plain).abs() < 0.02);
        assert!(mean_taste(Form::Lifelike) > 0.15);
    }

    #[test]
    fn a_prediction_is_the_mean_of_what_is_given() {
        let (_, truth, mut rng) = planted(Form::Lifelike);
        for score in [0.2, 1.0, 2.4, 3.5, 4.1, 4.9, 6.0] {
            let stars = (0..100_000).map(|_| f64::from(truth.rating(score, &mut rng))).sum::<f64>() / 1e5;
            let predicted = truth.predicted(score);
            assert!((stars - f64::from(predicted)).abs() < 0.015, "{score}: {stars}, {predicted}");
        }
    }

    #[test]
    fn days_have_moods_and_movies_rise() {
        let (_, truth, _) = planted(Form::Lifelike);
        let spread = |numbers: Vec<f32>| {
            let mean = numbers.iter().sum::<f32>() / numbers.len() as f32;
            (mean, (numbers.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / numbers.len() as f32).sqrt())
        };
        let (mean, deviation) =
            spread((0..20_000).map(|at| truth.planted_at(MOODS, at % 100, at as u32 / 100)).collect());
        assert!(mean.abs() < 0.03 && (0.97..1.03).contains(&deviation), "{mean} {deviation}");
        // Of one day there is one mood; the part of all days that a movie rises in goes on for weeks.
        assert_eq!(truth.score(3, 5, 700), truth.score(3, 5, 700));
        let differs = |one: u32, other: u32| (truth.score(3, 5, one) - truth.score(3, 5, other)).abs() > 1e-3;
        assert!(differs(700, 701) && differs(100, 1800));
    }
}
