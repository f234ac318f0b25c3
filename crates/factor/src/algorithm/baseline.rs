//! Predictions without factors: the mean, damped biases, or popularity.

use std::sync::atomic::AtomicBool;

use ndarray::Axis;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::algorithm::cost::FETCH;
use crate::algorithm::fold_in::FoldIn;
use crate::algorithm::fold_in::context::FoldInContext;
use crate::algorithm::fold_in::customer_ratings::{CustomerRatings, Targets};
use crate::algorithm::fold_in::folded_in::{FoldedIn, project};
use crate::algorithm::parameter::{ParameterType, parameters};
use crate::algorithm::start::{movie_bias, ratio};
use crate::algorithm::trainer::Trainer;
use crate::algorithm::training::{Callbacks, Size, Trained, TrainingData, TrainingLoop};
use crate::error::{Error, check};
use crate::memory::try_with_capacity;
use crate::model::{Model, Side};
use crate::ratings::matrix::RatingMatrix;
use crate::ratings::sparse::Sparse;

parameters! {
    /// What predictions are based on.
    kind: Kind = Kind::Biases, ["mean", "biases", "popularity"];
    /// Average ratings that each customer is assumed to have beside its own. A larger value pulls the biases of customers with few
    /// ratings harder towards 0.
    customer_damping: f64 = 5.0, 0.0..=1e6;
    /// The same for each movie.
    movie_damping: f64 = 10.0, 0.0..=1e6;
    /// How often the biases of all movies, and then those of all customers, are computed from each other.
    iterations: usize = 5, 1..=1000;
}

/// What a baseline predicts by.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The mean of all ratings.
    Mean,
    /// The mean and the damped biases of customer and movie.
    Biases,
    /// The mean, and the number of ratings of the movie.
    Popularity,
}

impl ParameterType for Kind {}

impl Trainer for Params {
    fn factors(&self) -> usize {
        0
    }

    fn iterations(&self) -> usize {
        match self.kind {
            Kind::Biases => self.iterations,
            Kind::Mean | Kind::Popularity => 1,
        }
    }

    fn seed(&self) -> Option<i64> {
        None
    }

    fn memory(&self, size: Size) -> usize {
        (size.customers + size.movies) * size_of::<f32>()
    }

    fn work(&self, size: Size) -> f64 {
        // Each sweep reads the ratings by movie and by customer, and once more for their errors.
        3.0 * self.iterations() as f64 * size.ratings as f64 * FETCH
    }

    fn shortened(&self, _size: Size) -> Box<dyn Trainer> {
        Box::new(Params { iterations: 1, ..self.clone() })
    }

    fn train(&self, data: TrainingData<'_>, callbacks: &mut Callbacks<'_>) -> Result<Trained, Error> {
        let (matrix, cancelled) = (data.matrix, callbacks.cancelled);
        let mut training = TrainingLoop::new(data, callbacks, self.iterations(), 0.0)?;
        let mut model = match self.kind {
            Kind::Mean | Kind::Biases => mean(matrix)?,
            Kind::Popularity => popularity(matrix)?,
        };
        loop {
            if self.kind == Kind::Biases {
                self.sweep(&mut model, matrix, cancelled)?;
            }
            let squared_error = model.squared_error(matrix, cancelled)?;
            if let Some(trained) = training.iterate(&mut model, squared_error)? {
                return Ok(trained);
            }
        }
    }
}

impl FoldIn for Params {
    fn fold_in(
        &self,
        mean: f32,
        ratings: &CustomerRatings,
        _context: &FoldInContext,
        _check: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<FoldedIn, Error> {
        let damping = match self.kind {
            Kind::Biases => Some(self.customer_damping),
            Kind::Mean | Kind::Popularity => None,
        };
        project(ratings, Targets::of_mean(mean), damping, &[])
    }
}

/// Replaces the mean rating of each movie by its damped mean, `(count · mean + damping · overall) / (count + damping)`, where
/// `overall` is the mean of all ratings. `movies` has the number of ratings and the mean rating of each movie.
pub fn damp_means(movies: &mut [(u64, f64)], damping: f64) {
    let ratings = movies.iter().map(|&(count, _)| count as f64).sum::<f64>();
    let overall = movies.iter().map(|&(count, mean)| count as f64 * mean).sum::<f64>() / ratings;
    for (count, mean) in movies {
        *mean = (*count as f64 * *mean + damping * overall) / (*count as f64 + damping);
    }
}

/// The mean of all ratings, as a model without factors.
fn mean(matrix: &RatingMatrix) -> Result<Model, Error> {
    let customers = Side::zeros(matrix.by_customer.rows(), 0)?;
    let movies = Side::zeros(matrix.by_movie.rows(), 0)?;
    Ok(Model { mean: matrix.mean() as f32, customers, movies, samples: 1, links: None, prior: None })
}

impl Params {
    /// Computes the biases of the movies from those of the customers, and then those of the customers from these.
    ///
    /// This minimises the squared errors and, for each bias, its square times the damping (Koren 2010, "Factor in the neighbors", section
    /// 2.1). The first sweep, in which the customers' biases are 0, gives the damped means that the same section has.
    fn sweep(&self, model: &mut Model, matrix: &RatingMatrix, cancelled: &AtomicBool) -> Result<(), Error> {
        let Model { customers, movies, .. } = model;
        let mean = matrix.mean();
        update(movies, &matrix.by_movie, customers, mean, self.movie_damping, cancelled)?;
        update(customers, &matrix.by_customer, movies, mean, self.customer_damping, cancelled)
    }
}

/// The biases of one side: `Σ (rating - mean - the other's bias) / (count + damping)`.
fn update(
    side: &mut Side,
    ratings: &Sparse,
    others: &Side,
    mean: f64,
    damping: f64,
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    let biases = side.biases.axis_iter_mut(Axis(0)).into_par_iter().enumerate();
    biases.try_for_each(|(row, mut bias)| {
        check(cancelled)?;
        let (columns, values) = ratings.row(row);
        let residual = |(&column, &value): (&u32, &u8)| {
            f64::from(value) - mean - f64::from(others.biases[column as usize])
        };
        let residuals = columns.iter().zip(values).map(residual).sum::<f64>();
        bias.fill(ratio(residuals, values.len() as f64 + damping));
        Ok(())
    })
}

/// Damped means as biases, as a model without factors: those of movies, and then those of customers.
pub(crate) fn biases(matrix: &RatingMatrix, cancelled: &AtomicBool) -> Result<Model, Error> {
    let mut model = mean(matrix)?;
    Params::default().sweep(&mut model, matrix, cancelled)?;
    Ok(model)
}

/// Least difference between the biases of two movies with different numbers of ratings, in stars. It is four times the distance
/// between neighbouring single-precision numbers from 4 to 8, so that the order is not lost when the mean is added. Over 17,770
/// movies that makes 0.03 stars.
const LEAST_STEP: f32 = 4.0 / (1 << 21) as f32;

/// Linear regression of the ratings on the logarithm of the movie's number of ratings. A movie with more ratings always has a
/// larger bias than one with fewer, whatever the regression says, and movies with equally many ratings have the same bias.
fn popularity(matrix: &RatingMatrix) -> Result<Model, Error> {
    let mut model = mean(matrix)?;
    let rated = || (0..matrix.by_movie.rows()).filter(|&movie| matrix.by_movie.count(movie) > 0);
    let weight = |movie: usize| matrix.by_movie.count(movie) as f64;
    let all = matrix.ratings() as f64;
    let mean_log = rated().map(|movie| weight(movie) * weight(movie).ln()).sum::<f64>() / all;
    let (mut products, mut squares) = (0.0, 0.0);
    for movie in rated() {
        let (difference, count) = (weight(movie).ln() - mean_log, weight(movie));
        products += difference * count * f64::from(movie_bias(matrix, movie, 0.0));
        squares += difference * difference * count;
    }
    let slope = f64::from(ratio(products, squares)).max(0.0);
    let mut order: Vec<(usize, usize)> = try_with_capacity(matrix.by_movie.rows())?;
    order.extend(rated().map(|movie| (matrix.by_movie.count(movie), movie)));
    order.sort_unstable();
    let mut previous = None::<(usize, f32)>;
    for (count, movie) in order {
        let expected = (slope * ((count as f64).ln() - mean_log)) as f32;
        let bias = match previous {
            Some((fewer, bias)) if count > fewer => expected.max(bias + LEAST_STEP),
            Some((_, bias)) => bias,
            None => expected,
        };
        model.movies.biases[movie] = bias;
        previous = Some((count, bias));
    }
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratings::Ratings;

    static GO: AtomicBool = AtomicBool::new(false);

    fn trained(matrix: &RatingMatrix, kind: Kind) -> Trained {
        let held_out = Ratings::default();
        let callbacks = &mut Callbacks { cancelled: &GO, on_iteration: &mut |_| {} };
        let params = Params { kind, customer_damping: 10.0, movie_damping: 25.0, iterations: 1 };
        params.train(TrainingData::new(matrix, &held_out), callbacks).unwrap()
    }

    #[test]
    fn a_bias_of_few_ratings_is_near_zero() {
        let mut ratings = Ratings::default();
        for customer in 0..100 {
            ratings.push(customer, 0, 3);
        }
        ratings.push(0, 1, 5);
        let matrix = RatingMatrix::new(100, 3, &ratings, &GO).unwrap();
        let model = trained(&matrix, Kind::Biases).model;
        let mean = 305.0 / 101.0;
        assert!((model.mean - mean).abs() < 1e-6);
        assert!((model.movies.biases[1] - (5.0 - mean) / 26.0).abs() < 1e-6);
        assert_eq!(model.movies.biases[2], 0.0);
        // Customer 50 gave 3 stars to the first movie. Customer 0 also gave 5 stars to the second one.
        let first = (300.0 - 100.0 * mean) / 125.0;
        let only = (3.0 - mean - first) / 11.0;
        assert!((model.customers.biases[50] - only).abs() < 1e-6);
        let both = (3.0 - mean - first + 5.0 - mean - (5.0 - mean) / 26.0) / 12.0;
        assert!((model.customers.biases[0] - both).abs() < 1e-6);
        assert!((model.predict(50, 2) - (mean + only)).abs() < 1e-6);
        // The mean of all 6 ratings is 3, and each movie has 3 more of them.
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
    fn many_sweeps_reach_the_least_squares_solution() {
        let mut ratings = Ratings::default();
        for (customer, movie, rating) in [(0, 0, 5), (0, 1, 3), (1, 1, 1), (2, 0, 4), (2, 2, 2), (3, 2, 5)] {
            ratings.push(customer, movie, rating);
        }
        let matrix = RatingMatrix::new(4, 3, &ratings, &GO).unwrap();
        let params =
            Params { customer_damping: 2.0, movie_damping: 3.0, iterations: 200, ..Params::default() };
        let callbacks = &mut Callbacks { cancelled: &GO, on_iteration: &mut |_| {} };
        let none = Ratings::default();
        let Model { customers, movies, .. } =
            params.train(TrainingData::new(&matrix, &none), callbacks).unwrap().model;
        // The derivatives by each bias are 0.
        let gradient = |is_of: &dyn Fn(u32, u32) -> bool, bias: f32, damping: f64| {
            let residuals = ratings.iter().filter(|&(customer, movie, _)| is_of(customer, movie));
            let residuals = residuals.map(|(customer, movie, rating)| {
                let biases = customers.biases[customer as usize] + movies.biases[movie as usize];
                f64::from(rating) - matrix.mean() - f64::from(biases)
            });
            residuals.sum::<f64>() - damping * f64::from(bias)
        };
        for customer in 0..4u32 {
            let slope = gradient(&|of, _| of == customer, customers.biases[customer as usize], 2.0);
            assert!(slope.abs() < 1e-5, "customer {customer}: {slope}");
        }
        for movie in 0..3u32 {
            let slope = gradient(&|_, of| of == movie, movies.biases[movie as usize], 3.0);
            assert!(slope.abs() < 1e-5, "movie {movie}: {slope}");
        }
    }

    #[test]
    fn one_more_rating_ranks_a_movie_higher() {
        let mut ratings = Ratings::default();
        // Two movies have the same number of ratings. The mean rating does not depend on the number.
        for (movie, count) in [20_001, 20_002, 20_003, 20_003, 2, 0].into_iter().enumerate() {
            (0..count).for_each(|customer| ratings.push(customer, movie as u32, 3 + (customer % 2) as u8));
        }
        let matrix = RatingMatrix::new(20_003, 6, &ratings, &GO).unwrap();
        let model = trained(&matrix, Kind::Popularity).model;
        let score = |movie: usize| model.score(0, movie);
        assert!(score(4) < score(0) && score(0) < score(1) && score(1) < score(2), "{}", model.movies.biases);
        assert_eq!(score(2), score(3));
        assert!(score(2) - score(0) < 1e-4);
    }

    #[test]
    fn the_mean_is_that_of_all_ratings_and_popular_movies_come_first() {
        let mut ratings = Ratings::default();
        // Movies with more ratings have a lower mean. The last one has no ratings.
        (0..40u32).for_each(|customer| ratings.push(customer, 0, 2));
        (0..10u32).for_each(|customer| ratings.push(customer, 1, 4));
        (0..2u32).for_each(|customer| ratings.push(customer, 2, 5));
        let matrix = RatingMatrix::new(40, 4, &ratings, &GO).unwrap();
        let Trained { model, iteration, .. } = trained(&matrix, Kind::Mean);
        let mean = 130.0 / 52.0;
        assert!((model.predict(3, 1) - mean).abs() < 1e-6);
        let error = (40.0 * 0.25 + 10.0 * 2.25 + 2.0 * 6.25) / 52.0f64;
        assert!((iteration.train_rmse - error.sqrt()).abs() < 1e-6);
        let biases = trained(&matrix, Kind::Popularity).model.movies.biases;
        assert!(biases[0] > biases[1] && biases[1] > biases[2] && biases[3] == 0.0, "{biases}");
        let stars = |movie: u32| [5, 3, 1][movie as usize];
        let mut liked = Ratings::default();
        ratings.iter().for_each(|(customer, movie, _)| liked.push(customer, movie, stars(movie)));
        let matrix = RatingMatrix::new(40, 4, &liked, &GO).unwrap();
        let (popular, mean) = (trained(&matrix, Kind::Popularity), trained(&matrix, Kind::Mean));
        assert!(popular.iteration.train_rmse < mean.iteration.train_rmse / 3.0);
    }
}
