//! Predictions without factors: the mean, damped biases, popularity.

use std::sync::atomic::AtomicBool;

use ndarray::Axis;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::algorithm::parameter::{lenient, real};
use crate::algorithm::run::{Course, Run, Size, Trained};
pub use crate::algorithm::start::MOVIE_DAMPING;
use crate::algorithm::start::{movie_bias, ratio};
use crate::error::{Error, check};
use crate::memory::try_with_capacity;
use crate::model::{Model, Side};
use crate::ratings::Ratings;
use crate::ratings::builder::MatrixBuilder;
use crate::ratings::matrix::RatingMatrix;

/// Ratings of average kindness assumed of each customer before its own count.
pub const CUSTOMER_DAMPING: f64 = 10.0;

/// What to predict by.
///
/// | parameter | default | range | meaning |
/// | --- | --- | --- | --- |
/// | `kind` | `biases` | `mean`, `biases`, `popularity` | see [`Kind`] |
/// | `customer_damping` | 10 | 0 to 1e6 | ratings of average kindness assumed of each customer before its own count |
/// | `movie_damping` | 25 | 0 to 1e6 | the same of each movie |
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// What to predict by.
    pub kind: Kind,
    /// Ratings of average kindness assumed of each customer before its own count.
    #[serde(deserialize_with = "lenient")]
    pub customer_damping: f64,
    /// The same of each movie.
    #[serde(deserialize_with = "lenient")]
    pub movie_damping: f64,
}

/// What a baseline predicts by.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The mean of all ratings.
    Mean,
    /// The mean and the damped biases of customer and movie.
    Biases,
    /// The mean, and how often the movie was rated.
    Popularity,
}

impl Default for Params {
    fn default() -> Params {
        let (customer_damping, movie_damping) = (CUSTOMER_DAMPING, MOVIE_DAMPING);
        Params { kind: Kind::Biases, customer_damping, movie_damping }
    }
}

impl Params {
    /// Checks each parameter's range.
    pub fn check(&self) -> Result<(), Error> {
        real("customer_damping", self.customer_damping, 0.0..=1e6)?;
        real("movie_damping", self.movie_damping, 0.0..=1e6)
    }

    /// Bytes that training takes at its height, the matrix and its making included.
    pub fn memory(&self, size: Size) -> usize {
        let Size { customers, movies, ratings, held_out, threads } = size;
        let training =
            RatingMatrix::memory(customers, movies, ratings) + (customers + movies) * size_of::<f32>();
        MatrixBuilder::memory(customers, movies, ratings, threads).max(training) + Ratings::memory(held_out)
    }
}

/// Makes a model of no factors, in rayon's current pool: the same bits whatever the number of threads. One iteration is
/// reported.
pub fn train(matrix: &RatingMatrix, params: &Params, run: &mut Run<'_>) -> Result<Trained, Error> {
    params.check()?;
    let cancelled = run.cancelled;
    let mut course = Course::new(matrix, run, 1, 0.0)?;
    let mut model = match params.kind {
        Kind::Mean => mean(matrix)?,
        Kind::Biases => biases(matrix, params, cancelled)?,
        Kind::Popularity => popularity(matrix)?,
    };
    let error = model.squared_error(matrix, cancelled)?;
    course.finish(&mut model, (error / matrix.ratings() as f64).sqrt())
}

/// Draws means towards the mean of all ratings, the more so the fewer ratings each stands on:
/// `(count · mean + damping · usual) / (count + damping)`. Of `rated`, numbers of ratings and their means, one a movie.
pub fn damp_means(rated: &mut [(u64, f64)], damping: f64) {
    let all = rated.iter().map(|&(count, _)| count as f64).sum::<f64>();
    let usual = rated.iter().map(|&(count, mean)| count as f64 * mean).sum::<f64>() / all;
    for (count, mean) in rated {
        *mean = (*count as f64 * *mean + damping * usual) / (*count as f64 + damping);
    }
}

fn mean(matrix: &RatingMatrix) -> Result<Model, Error> {
    let customers = Side::zeros(matrix.by_customer.rows(), 0)?;
    let movies = Side::zeros(matrix.by_movie.rows(), 0)?;
    Ok(Model { mean: matrix.mean() as f32, customers, movies, samples: 1, links: None, prior: None })
}

/// Damped biases, movies first (Koren 2010, "Factor in the neighbors", section 2.1): a model of no factors.
pub(crate) fn biases(matrix: &RatingMatrix, params: &Params, cancelled: &AtomicBool) -> Result<Model, Error> {
    let mut model = mean(matrix)?;
    let Model { customers, movies, .. } = &mut model;
    movies.biases.axis_iter_mut(Axis(0)).into_par_iter().enumerate().try_for_each(|(movie, mut bias)| {
        check(cancelled)?;
        bias.fill(movie_bias(matrix, movie, params.movie_damping));
        Ok(())
    })?;
    let biases = customers.biases.axis_iter_mut(Axis(0)).into_par_iter().enumerate();
    biases.try_for_each(|(customer, mut bias)| {
        check(cancelled)?;
        let (others, values) = matrix.by_customer.row(customer);
        let rest = |(&movie, &value): (&u32, &u8)| {
            f64::from(value) - matrix.mean() - f64::from(movies.biases[movie as usize])
        };
        let above = others.iter().zip(values).map(rest).sum::<f64>();
        bias.fill(ratio(above, values.len() as f64 + params.customer_damping));
        Ok(())
    })?;
    Ok(model)
}

/// How much better a movie is taken to be than one with fewer ratings, at least, in stars: four times the distance of two
/// numbers of single precision from 4 to 8, so that the order survives in the sum with the mean. Over 17,770 movies that is
/// 0.03 stars in all.
const LEAST_STEP: f32 = 4.0 / (1 << 21) as f32;

/// Predicts by the logarithm of a movie's number of ratings, by linear regression over all ratings: whatever they say, a
/// movie with more ratings comes before one with fewer, and movies with as many are equal.
fn popularity(matrix: &RatingMatrix) -> Result<Model, Error> {
    let mut model = mean(matrix)?;
    let rated = || (0..matrix.by_movie.rows()).filter(|&movie| matrix.by_movie.count(movie) > 0);
    let weight = |movie: usize| matrix.by_movie.count(movie) as f64;
    let all = matrix.ratings() as f64;
    let usual = rated().map(|movie| weight(movie) * weight(movie).ln()).sum::<f64>() / all;
    let (mut products, mut squares) = (0.0, 0.0);
    for movie in rated() {
        let (off, count) = (weight(movie).ln() - usual, weight(movie));
        products += off * count * f64::from(movie_bias(matrix, movie, 0.0));
        squares += off * off * count;
    }
    let slope = f64::from(ratio(products, squares)).max(0.0);
    let mut order: Vec<(usize, usize)> = try_with_capacity(matrix.by_movie.rows())?;
    order.extend(rated().map(|movie| (matrix.by_movie.count(movie), movie)));
    order.sort_unstable();
    let mut below = None::<(usize, f32)>;
    for (count, movie) in order {
        let expected = (slope * ((count as f64).ln() - usual)) as f32;
        let bias = match below {
            Some((fewer, bias)) if count > fewer => expected.max(bias + LEAST_STEP),
            Some((_, bias)) => bias,
            None => expected,
        };
        model.movies.biases[movie] = bias;
        below = Some((count, bias));
    }
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratings::Ratings;

    static GO: AtomicBool = AtomicBool::new(false);

    fn made(matrix: &RatingMatrix, kind: Kind) -> Trained {
        let held_out = Ratings::default();
        let run = &mut Run { held_out: &held_out, cancelled: &GO, on_iteration: &mut |_| {} };
        train(matrix, &Params { kind, ..Params::default() }, run).unwrap()
    }

    #[test]
    fn few_ratings_move_a_bias_little() {
        let mut ratings = Ratings::default();
        for customer in 0..100 {
            ratings.push(customer, 0, 3);
        }
        ratings.push(0, 1, 5);
        let matrix = RatingMatrix::new(100, 3, &ratings, &GO).unwrap();
        let model = made(&matrix, Kind::Biases).model;
        let mean = 305.0 / 101.0;
        assert!((model.mean - mean).abs() < 1e-6);
        assert!((model.movies.biases[1] - (5.0 - mean) / 26.0).abs() < 1e-6);
        assert_eq!(model.movies.biases[2], 0.0);
        // Customer 50 gave the first movie, its 3 stars alone; customer 0 the other one 5, too.
        let first = (300.0 - 100.0 * mean) / 125.0;
        let usual = (3.0 - mean - first) / 11.0;
        assert!((model.customers.biases[50] - usual).abs() < 1e-6);
        let both = (3.0 - mean - first + 5.0 - mean - (5.0 - mean) / 26.0) / 12.0;
        assert!((model.customers.biases[0] - both).abs() < 1e-6);
        assert!((model.predict(50, 2) - (mean + usual)).abs() < 1e-6);
        // Of 6 ratings, 3 in the mean: drawn towards that as by 3 more.
        let mut damped = [(1, 5.0), (5, 2.6), (0, 0.0)];
        damp_means(&mut damped, 3.0);
        let expected = [(5.0 + 9.0) / 4.0, (13.0 + 9.0) / 8.0, 3.0];
        damped
            .iter()
            .zip(expected)
            .for_each(|((_, one), other)| assert!((one - other).abs() < 1e-12, "{one}"));
        damp_means(&mut [], 3.0);
    }

    #[test]
    fn more_ratings_are_ranked_higher_however_few_they_are_more() {
        let mut ratings = Ratings::default();
        // Two movies have the same number, and what is rated more often is not liked better.
        for (movie, count) in [20_001, 20_002, 20_003, 20_003, 2, 0].into_iter().enumerate() {
            (0..count).for_each(|customer| ratings.push(customer, movie as u32, 3 + (customer % 2) as u8));
        }
        let matrix = RatingMatrix::new(20_003, 6, &ratings, &GO).unwrap();
        let model = made(&matrix, Kind::Popularity).model;
        let score = |movie: usize| model.score(0, movie);
        assert!(score(4) < score(0) && score(0) < score(1) && score(1) < score(2), "{}", model.movies.biases);
        assert_eq!(score(2), score(3));
        assert!(score(2) - score(0) < 1e-4);
    }

    #[test]
    fn the_mean_is_the_mean_and_the_popular_come_first() {
        let mut ratings = Ratings::default();
        // The more often a movie was rated, the worse, but for the last.
        (0..40u32).for_each(|customer| ratings.push(customer, 0, 2));
        (0..10u32).for_each(|customer| ratings.push(customer, 1, 4));
        (0..2u32).for_each(|customer| ratings.push(customer, 2, 5));
        let matrix = RatingMatrix::new(40, 4, &ratings, &GO).unwrap();
        let Trained { model, iteration } = made(&matrix, Kind::Mean);
        let mean = 130.0 / 52.0;
        assert!((model.predict(3, 1) - mean).abs() < 1e-6);
        let error = (40.0 * 0.25 + 10.0 * 2.25 + 2.0 * 6.25) / 52.0f64;
        assert!((iteration.train_rmse - error.sqrt()).abs() < 1e-6);
        let biases = made(&matrix, Kind::Popularity).model.movies.biases;
        assert!(biases[0] > biases[1] && biases[1] > biases[2] && biases[3] == 0.0, "{biases}");
        let turned = |movie: u32| [5, 3, 1][movie as usize];
        let mut liked = Ratings::default();
        ratings.iter().for_each(|(customer, movie, _)| liked.push(customer, movie, turned(movie)));
        let matrix = RatingMatrix::new(40, 4, &liked, &GO).unwrap();
        let (popular, mean) = (made(&matrix, Kind::Popularity), made(&matrix, Kind::Mean));
        assert!(popular.iteration.train_rmse < mean.iteration.train_rmse / 3.0);
    }
}
