//! What customers give: planted biases, factors and drift, noise, and rounding to whole stars.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::population::{DAYS, Movie};

const FACTORS: usize = 10;
const MEAN: f32 = 3.55;
const CUSTOMER_BIAS: f32 = 0.42;
const MOVIE_BIAS: f32 = 0.48;
/// The standard deviation of what the factors add.
const TASTE: f32 = 0.54;
const NOISE: f32 = 0.79;
/// How much kinder the last day's ratings are than the first day's.
const DRIFT: f32 = 0.15;

pub struct Truth {
    customers: Vec<Planted>,
    movies: Vec<Planted>,
}

struct Planted {
    factors: [f32; FACTORS],
    bias: f32,
}

impl Truth {
    pub fn new(customers: u32, movies: &[Movie], rng: &mut impl Rng) -> Truth {
        // Later factors matter less: the variance of the d-th falls as 1/d.
        let harmonic = (1..=FACTORS).map(|d| 1.0 / d as f32).sum::<f32>();
        let deviation: [f32; FACTORS] =
            std::array::from_fn(|d| (TASTE * TASTE / harmonic / (d + 1) as f32).powf(0.25));
        let mut plant = |bias: f32| {
            let mut normal = || -> f32 { StandardNormal.sample(rng) };
            Planted { factors: std::array::from_fn(|d| deviation[d] * normal()), bias: bias * normal() }
        };
        Truth {
            customers: (0..customers).map(|_| plant(CUSTOMER_BIAS)).collect(),
            movies: movies.iter().map(|_| plant(MOVIE_BIAS)).collect(),
        }
    }

    /// What the customer would give the movie on that day, before noise and rounding.
    pub fn score(&self, customer: u32, movie: usize, day: u32) -> f32 {
        let (customer, movie) = (&self.customers[customer as usize], &self.movies[movie]);
        let taste = customer.factors.iter().zip(&movie.factors).map(|(p, q)| p * q).sum::<f32>();
        let drift = DRIFT * (day as f32 / DAYS as f32 - 0.5);
        MEAN + customer.bias + movie.bias + taste + drift
    }

    /// The stars given, 1 to 5.
    pub fn rating(&self, score: f32, rng: &mut impl Rng) -> u8 {
        let noise: f32 = StandardNormal.sample(rng);
        (score + NOISE * noise).round().clamp(1.0, 5.0) as u8
    }
}
