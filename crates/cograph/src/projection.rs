//! The projection of ratings onto movies: which movies were rated by the same customers, and how alike.
//!
//! Row by row (Gustavson 1978, "Two fast algorithms for sparse matrices"): for a movie, each of its customers' ratings of movies with
//! smaller numbers is added to the sums of the other movie. So a pair is met once. Of all pairs, nothing is kept but the best of each
//! movie.
//!
//! It is fastest if movies are numbered by their number of ratings, the largest first: then most additions go to a few sums, which
//! stay in the processor's cache.

#![allow(unsafe_code)] // a call to a function that is compiled for instructions found at run time

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use factor::RatingMatrix;
use rayon::prelude::*;

use crate::error::Error;
use crate::memory::{check, try_parallel, try_vec};
use crate::prefetch::prefetch;
use crate::top_k::{Best, Edge, Pair, edges, edges_memory};

/// How alike two movies are. `U` are the customers who rated both of them, and `n` is their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Similarity {
    /// The correlation of the residuals `e` of both movies' ratings, less the mean and damped biases, over `U`, shrunk by
    /// `(n - 1) / (n - 1 + shrinkage)` (Koren and Bell 2011, "Advances in collaborative filtering").
    Pearson,
    /// The cosine of the rows of ratings: `Σ_U r r' / √(Σ r² Σ r'²)`, where the last two sums are over all ratings of each movie.
    Cosine,
    /// `n` divided by the number of customers who rated either of them.
    Jaccard,
    /// Twice the logarithm of the likelihood ratio of "rated the one" and "rated the other" being dependent (Dunning 1993, "Accurate
    /// methods for the statistics of surprise and coincidence"). 0 if the two were rated together less often than by chance.
    LogLikelihood,
    /// `n`, or the sum of the customers' weights.
    Count,
}

impl Similarity {
    /// All of them, by their names.
    pub const ALL: [(&'static str, Similarity); 5] = [
        ("pearson", Similarity::Pearson),
        ("cosine", Similarity::Cosine),
        ("jaccard", Similarity::Jaccard),
        ("llr", Similarity::LogLikelihood),
        ("count", Similarity::Count),
    ];
}

/// What each customer counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weighting {
    /// 1.
    #[default]
    None,
    /// `1 / (ratings - 1)`, so that all pairs of a customer together count for half of the number of ratings (Newman 2001, "Scientific
    /// collaboration networks II").
    Newman,
    /// `ln(movies / ratings)`.
    InverseFrequency,
}

impl Weighting {
    /// All of them, by their names.
    pub const ALL: [(&'static str, Weighting); 3] = [
        ("none", Weighting::None),
        ("newman", Weighting::Newman),
        ("inverse_frequency", Weighting::InverseFrequency),
    ];
}

/// How movies are projected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Projection {
    /// How alike two movies are.
    pub similarity: Similarity,
    /// What each customer counts for.
    pub weighting: Weighting,
    /// Pairs with fewer common customers are left out.
    pub min_common: u32,
    /// See [`Similarity::Pearson`].
    pub shrinkage: f64,
    /// An edge is kept if it is among so many of the best of one of its ends.
    pub top_k: usize,
    /// Pairs that are less alike are left out. Whatever it is, only pairs above 0 are edges.
    pub min_similarity: f64,
}

impl Default for Projection {
    fn default() -> Projection {
        Projection {
            similarity: Similarity::Pearson,
            weighting: Weighting::None,
            min_common: 20,
            shrinkage: 100.0,
            top_k: 50,
            min_similarity: 0.0,
        }
    }
}

/// The sums over the customers whom two movies have in common: their number, and, with their weights, `Σ x y`, `Σ x²` and `Σ y²`.
type Sums = [f32; 4];

/// What is known of movies and customers before the pairs are counted.
struct Prepared<'a> {
    matrix: &'a RatingMatrix,
    projection: Projection,
    /// The weight of each customer and, at 1 to 5, the value of a rating of so many stars, less what the customer's other values are
    /// compared with.
    customers: Vec<[f32; 8]>,
    /// What is subtracted from the values of each movie.
    movies: Vec<f32>,
    /// The sum over each movie's own ratings: of squares or of weights, if the similarity needs one.
    totals: Vec<f64>,
    /// How many customers have ratings.
    rated: f64,
}

impl Projection {
    /// The edges between movies, ordered by `from` and `to`. The result does not depend on the number of threads. `on_row` is called
    /// with the number of movies that are done. Runs in rayon's current pool.
    ///
    /// [`Error::Parameter`], [`Error::OutOfMemory`], [`Error::Cancelled`].
    pub fn edges(
        &self,
        matrix: &RatingMatrix,
        cancelled: &AtomicBool,
        on_row: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Edge>, Error> {
        self.check()?;
        if matrix.by_customer.rows() > MOST_CUSTOMERS {
            let (value, range) = (matrix.by_customer.rows().to_string(), format!("at most {MOST_CUSTOMERS}"));
            return Err(Error::Parameter { name: "the number of customers", value, range });
        }
        let prepared = Prepared::new(matrix, *self, cancelled)?;
        let movies = matrix.by_movie.rows();
        // Long rows and short ones lie side by side, so threads take row by row.
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let thread = |_| {
            let mut best = Best::new(movies)?;
            let mut sums: Vec<Sums> = try_vec(movies)?;
            loop {
                let movie = next.fetch_add(1, Ordering::Relaxed);
                if movie >= movies {
                    return Ok(best);
                }
                prepared.row(movie, &mut sums, &mut best, cancelled)?;
                on_row(done.fetch_add(1, Ordering::Relaxed) + 1);
            }
        };
        let threads = (0..rayon::current_num_threads()).into_par_iter().with_max_len(1).map(thread);
        let all = threads.collect::<Result<Vec<Best>, Error>>()?;
        edges(all, self.top_k, cancelled)
    }

    /// The most memory that [`Projection::edges`] takes, in bytes, without the matrix.
    pub fn memory(&self, customers: usize, movies: usize, threads: usize) -> usize {
        let sums = movies.saturating_mul(size_of::<Sums>());
        let thread = Best::memory(movies, self.top_k).saturating_add(sums);
        thread
            .saturating_mul(threads)
            .saturating_add(edges_memory(movies, self.top_k))
            .saturating_add(customers * 32 + movies * 12)
    }

    /// [`Error::Parameter`] if a parameter is out of its range.
    pub fn check(&self) -> Result<(), Error> {
        let wrong =
            |name, value: String, range: &str| Err(Error::Parameter { name, value, range: range.into() });
        if self.top_k == 0 {
            return wrong("top_k", "0".into(), "at least 1");
        }
        if !(self.shrinkage >= 0.0 && self.shrinkage.is_finite()) {
            return wrong("shrinkage", self.shrinkage.to_string(), "at least 0");
        }
        if self.min_similarity.is_nan() {
            return wrong("min_similarity", "NaN".into(), "a number");
        }
        if self.similarity == Similarity::LogLikelihood && self.weighting != Weighting::None {
            let name = Weighting::ALL.into_iter().find(|(_, weighting)| *weighting == self.weighting);
            let name = name.map_or("", |(name, _)| name);
            return wrong("weighting", name.into(), "none if the similarity is llr");
        }
        Ok(())
    }
}

/// Where a customer's weight is. There are no ratings of no stars.
const WEIGHT: usize = 0;

/// How many customers ahead their ratings are prefetched; and how many ahead what tells where these are.
const AHEAD: usize = 4;
const FAR_AHEAD: usize = 12;

/// Common customers are counted in single precision, which is exact up to here.
const MOST_CUSTOMERS: usize = 1 << 24;

/// Average ratings that a customer is assumed to have beside its own, and a movie: see `factor::baseline`.
const DAMPING: (f64, f64) = (10.0, 25.0);

impl Prepared<'_> {
    fn new<'a>(
        matrix: &'a RatingMatrix,
        projection: Projection,
        cancelled: &AtomicBool,
    ) -> Result<Prepared<'a>, Error> {
        let (rows, columns) = (matrix.by_customer.rows(), matrix.by_movie.rows());
        let mut prepared = Prepared {
            matrix,
            projection,
            customers: Vec::new(),
            movies: Vec::new(),
            totals: Vec::new(),
            rated: matrix.by_customer.rated_rows() as f64,
        };
        let rated_movies = matrix.by_movie.rated_rows() as f64;
        let weight = |count: f64| match projection.weighting {
            Weighting::None => 1.0,
            Weighting::Newman => 1.0 / (count - 1.0).max(1.0),
            Weighting::InverseFrequency => (rated_movies / count.max(1.0)).ln(),
        };
        let is_pearson = projection.similarity == Similarity::Pearson;
        let mean = matrix.mean();
        let bias = |_: &mut (), movie: usize| {
            let (_, values) = matrix.by_movie.row(movie);
            let total = values.iter().map(|&value| f64::from(value) - mean).sum::<f64>();
            check(cancelled, movie)?;
            Ok(if is_pearson { (total / (values.len() as f64 + DAMPING.1)) as f32 } else { 0.0 })
        };
        prepared.movies = try_parallel(columns, || (), bias)?;
        let of_customer = |_: &mut (), customer: usize| {
            check(cancelled, customer)?;
            let (movies, values) = matrix.by_customer.row(customer);
            let residual = |(&movie, &value): (&u32, &u8)| {
                f64::from(value) - mean - f64::from(prepared.movies[movie as usize])
            };
            let total = movies.iter().zip(values).map(residual).sum::<f64>();
            let bias = total / (values.len() as f64 + DAMPING.0);
            let less = if is_pearson { mean + bias } else { 0.0 };
            let weight = weight(values.len() as f64);
            Ok(std::array::from_fn(|value| match value {
                WEIGHT => weight as f32,
                _ => (value as f64 - less) as f32,
            }))
        };
        prepared.customers = try_parallel(rows, || (), of_customer)?;
        let total = |_: &mut (), movie: usize| {
            check(cancelled, movie)?;
            let (customers, values) = matrix.by_movie.row(movie);
            let weight = |&customer: &u32| f64::from(prepared.customers[customer as usize][WEIGHT]);
            Ok(match projection.similarity {
                Similarity::Cosine => {
                    let square =
                        |(customer, &value): (&u32, &u8)| weight(customer) * f64::from(value).powi(2);
                    customers.iter().zip(values).map(square).sum::<f64>()
                }
                Similarity::Jaccard | Similarity::LogLikelihood => customers.iter().map(weight).sum::<f64>(),
                Similarity::Pearson | Similarity::Count => 0.0,
            })
        };
        prepared.totals = try_parallel(columns, || (), total)?;
        Ok(prepared)
    }

    /// Offers all pairs of a movie with the movies of smaller rows.
    fn row(
        &self,
        movie: usize,
        sums: &mut [Sums],
        best: &mut Best,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        self.add_up(movie, sums, cancelled)?;
        let Projection { min_common, min_similarity, top_k, .. } = self.projection;
        for (other, sums) in sums[..movie].iter_mut().enumerate() {
            let common = sums[0] as u32;
            if common >= min_common.max(1) {
                let similarity = self.similarity(movie, other, *sums) as f32;
                if similarity > 0.0 && f64::from(similarity) >= min_similarity {
                    best.offer(movie, Pair { similarity, node: other as u32, common }, top_k)?;
                    best.offer(other, Pair { similarity, node: movie as u32, common }, top_k)?;
                }
            }
            *sums = [0.0; 4];
        }
        Ok(())
    }

    /// Adds up the sums of a movie with the movies of smaller rows, by the instructions that the processor has.
    fn add_up(&self, movie: usize, sums: &mut [Sums], cancelled: &AtomicBool) -> Result<(), Error> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has these instructions.
            return unsafe { self.add_up_avx2(movie, sums, cancelled) };
        }
        self.add_up_by(movie, sums, cancelled, |sum, one, two| *sum += one * two)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn add_up_avx2(&self, movie: usize, sums: &mut [Sums], cancelled: &AtomicBool) -> Result<(), Error> {
        self.add_up_by(movie, sums, cancelled, |sum, one, two| *sum = one.mul_add(two, *sum))
    }

    /// Adds up the sums that the similarity needs. `add` adds a product.
    #[inline(always)]
    fn add_up_by(
        &self,
        movie: usize,
        sums: &mut [Sums],
        cancelled: &AtomicBool,
        add: impl Fn(&mut f32, f32, f32),
    ) -> Result<(), Error> {
        match self.projection.similarity {
            Similarity::Pearson => self.add(movie, sums, cancelled, |sums, weight, x, y| {
                // All four at once become a few vector instructions.
                let (factors, mut products) =
                    ([0.0, weight * x, 0.0, weight * y], [1.0, 0.0, weight * x * x, 0.0]);
                (0..4).for_each(|at| add(&mut products[at], factors[at], y));
                (0..4).for_each(|at| sums[at] += products[at]);
            }),
            Similarity::Cosine => self.add(movie, sums, cancelled, |sums, weight, x, y| {
                let (one, two) = ([1.0, weight * x], [1.0, y]);
                (0..2).for_each(|at| add(&mut sums[at], one[at], two[at]));
            }),
            Similarity::Jaccard | Similarity::LogLikelihood | Similarity::Count => {
                self.add(movie, sums, cancelled, |sums, weight, _, _| {
                    sums[0] += 1.0;
                    sums[1] += weight;
                })
            }
        }
    }

    /// Calls `add` with the sums of each pair of the movie with a movie of a smaller row, the weight of the customer, and both values.
    #[inline(always)]
    fn add(
        &self,
        movie: usize,
        sums: &mut [Sums],
        cancelled: &AtomicBool,
        add: impl Fn(&mut Sums, f32, f32, f32),
    ) -> Result<(), Error> {
        let (customers, values) = self.matrix.by_movie.row(movie);
        let (movies, sums) = (&self.movies[..movie], &mut sums[..movie]);
        for (at, (&customer, &value)) in customers.iter().zip(values).enumerate() {
            check(cancelled, at)?;
            if let Some(&customer) = customers.get(at + AHEAD) {
                let (others, values) = self.matrix.by_customer.row(customer as usize);
                prefetch::<_, 16>(others, 0);
                prefetch::<_, 4>(values, 0);
            }
            if let Some(&customer) = customers.get(at + FAR_AHEAD) {
                prefetch::<_, 1>(&self.customers, customer as usize);
                prefetch::<_, 1>(self.matrix.by_customer.starts(), customer as usize);
            }
            let residuals = &self.customers[customer as usize];
            let weight = residuals[WEIGHT];
            let x = residuals[usize::from(value & 7)] - self.movies[movie];
            let (others, values) = self.matrix.by_customer.row(customer as usize);
            for (&other, &value) in others.iter().zip(values) {
                let other = other as usize;
                // Not by a search, which would wait for memory.
                if other >= movie {
                    break;
                }
                let y = residuals[usize::from(value & 7)] - movies[other];
                add(&mut sums[other], weight, x, y);
            }
        }
        Ok(())
    }

    fn similarity(&self, movie: usize, other: usize, sums: Sums) -> f64 {
        let [common, xy, xx, yy] = sums.map(f64::from);
        let Projection { shrinkage, similarity, .. } = self.projection;
        let (one, two) = (self.totals[movie], self.totals[other]);
        match similarity {
            Similarity::Pearson => {
                let norm = (xx * yy).sqrt();
                let shrunk = (common - 1.0) / (common - 1.0 + shrinkage).max(f64::MIN_POSITIVE);
                if norm > 0.0 { xy / norm * shrunk } else { 0.0 }
            }
            Similarity::Cosine => {
                let norm = (one * two).sqrt();
                if norm > 0.0 { xy / norm } else { 0.0 }
            }
            Similarity::Jaccard => xy / (one + two - xy),
            Similarity::Count => xy,
            Similarity::LogLikelihood => log_likelihood(common, one, two, self.rated),
        }
    }
}

/// Twice the logarithm of the likelihood ratio, of `both` customers who rated both movies, `one` and `two` who rated each, and `all`.
fn log_likelihood(both: f64, one: f64, two: f64, all: f64) -> f64 {
    if both * all <= one * two {
        return 0.0;
    }
    let term = |count: f64, expected: f64| if count > 0.0 { count * (count / expected).ln() } else { 0.0 };
    let (not_one, not_two) = (all - one, all - two);
    let sum = term(both, one * two / all)
        + term(one - both, one * not_two / all)
        + term(two - both, not_one * two / all)
        + term(all - one - two + both, not_one * not_two / all);
    2.0 * sum
}
