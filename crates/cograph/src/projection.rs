//! The projection of ratings onto movies: which movies were rated by the same customers, and how alike.
//!
//! Row by row (Gustavson 1978, "Two fast algorithms for sparse matrices"): for a movie, each of its customers' other ratings is added
//! to the sums of the other movie. A pair is met once, from the movie with the smaller number. Of all pairs, nothing is kept but the
//! best of each movie.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use factor::RatingMatrix;
use rayon::prelude::*;

use crate::error::Error;
use crate::memory::{check, try_vec, try_with_capacity};

/// How alike two movies are. `U` are the customers who rated both of them, and `n` is their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Similarity {
    /// The correlation of the residuals `e` of both movies' ratings, less the mean and damped biases, over `U`, shrunk by
    /// `(n - 1) / (n - 1 + shrinkage)` (Koren 2008, "Factorization meets the neighborhood", section 2.2).
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

/// An edge between two movies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// The movie with the smaller row.
    pub from: u32,
    /// The other one.
    pub to: u32,
    /// How alike they are.
    pub similarity: f32,
    /// How many customers rated both.
    pub common: u32,
}

/// The sums over the customers whom two movies have in common: their number, and, with their weights, `Σ x y`, `Σ x²` and `Σ y²`.
type Sums = [f32; 4];

/// What is known of movies and customers before the pairs are counted.
struct Prepared<'a> {
    matrix: &'a RatingMatrix,
    projection: Projection,
    /// The value of each possible rating of a customer, less what the customer's other values are compared with.
    customers: Vec<[f32; 6]>,
    /// What is subtracted from the values of each movie.
    movies: Vec<f32>,
    /// The weight of each customer.
    weights: Vec<f32>,
    /// The sum over each movie's own ratings: of squares or of weights.
    totals: Vec<f64>,
    /// How many customers have ratings.
    rated: f64,
}

/// The best pairs of every movie that one thread has met.
struct Best {
    /// For each movie at most `top_k` pairs, the worst one first once there are so many.
    pairs: Vec<std::collections::BinaryHeap<std::cmp::Reverse<Pair>>>,
}

/// Another movie, how alike it is, and how many customers both have. The order is total: of equally alike movies, the one with the
/// smaller row is better.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pair {
    similarity: f32,
    movie: u32,
    common: u32,
}

impl Eq for Pair {}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Pair) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pair {
    fn cmp(&self, other: &Pair) -> std::cmp::Ordering {
        self.similarity.total_cmp(&other.similarity).then(other.movie.cmp(&self.movie))
    }
}

impl Best {
    fn new(movies: usize) -> Result<Best, Error> {
        let mut pairs = try_with_capacity(movies)?;
        pairs.resize_with(movies, Default::default);
        Ok(Best { pairs })
    }

    /// Keeps a pair if it is among the best of the movie.
    #[inline]
    fn offer(&mut self, movie: usize, pair: Pair, top_k: usize) {
        let best = &mut self.pairs[movie];
        if best.len() < top_k {
            best.push(std::cmp::Reverse(pair));
        } else if let Some(mut worst) = best.peek_mut()
            && pair > worst.0
        {
            *worst = std::cmp::Reverse(pair);
        }
    }

    /// The best of both.
    fn merge(mut self, other: Best, top_k: usize) -> Best {
        for (movie, pairs) in other.pairs.into_iter().enumerate() {
            pairs.into_iter().for_each(|pair| self.offer(movie, pair.0, top_k));
        }
        self
    }
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
        let prepared = Prepared::new(matrix, *self)?;
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
        let best = all.into_iter().reduce(|one, other| one.merge(other, self.top_k));
        let mut edges = Vec::new();
        for (movie, pairs) in best.into_iter().flat_map(|best| best.pairs).enumerate() {
            let failed = |_| Error::OutOfMemory { bytes: pairs.len() * size_of::<Edge>() };
            edges.try_reserve(pairs.len()).map_err(failed)?;
            edges.extend(pairs.into_iter().map(
                |std::cmp::Reverse(Pair { similarity, movie: other, common })| {
                    let (from, to) = ((movie as u32).min(other), (movie as u32).max(other));
                    Edge { from, to, similarity, common }
                },
            ));
        }
        edges.sort_unstable_by_key(|edge| (edge.from, edge.to));
        edges.dedup_by_key(|edge| (edge.from, edge.to));
        Ok(edges)
    }

    /// The most memory that [`Projection::edges`] takes, in bytes, without the matrix.
    pub fn memory(&self, customers: usize, movies: usize, threads: usize) -> usize {
        let pairs = movies.saturating_mul(self.top_k.min(movies)).saturating_mul(size_of::<Pair>() + 4);
        let thread = pairs
            .saturating_add(movies * (size_of::<Sums>() + size_of::<std::collections::BinaryHeap<Pair>>()));
        let edges = movies.saturating_mul(self.top_k.min(movies)).saturating_mul(size_of::<Edge>());
        thread.saturating_mul(threads).saturating_add(edges).saturating_add(customers * 28 + movies * 12)
    }

    fn check(&self) -> Result<(), Error> {
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
            return wrong("weighting", format!("{:?}", self.weighting), "none, where the similarity is llr");
        }
        Ok(())
    }
}

/// Average ratings that a customer is assumed to have beside its own, and a movie: see `factor::baseline`.
const DAMPING: (f64, f64) = (10.0, 25.0);

impl Prepared<'_> {
    fn new(matrix: &RatingMatrix, projection: Projection) -> Result<Prepared<'_>, Error> {
        let (rows, columns) = (matrix.by_customer.rows(), matrix.by_movie.rows());
        let mut prepared = Prepared {
            matrix,
            projection,
            customers: try_with_capacity(rows)?,
            movies: try_with_capacity(columns)?,
            weights: try_with_capacity(rows)?,
            totals: try_with_capacity(columns)?,
            rated: matrix.by_customer.rated_rows() as f64,
        };
        let rated_movies = matrix.by_movie.rated_rows() as f64;
        prepared.weights.extend((0..rows).map(|row| {
            let count = matrix.by_customer.count(row) as f64;
            match projection.weighting {
                Weighting::None => 1.0,
                Weighting::Newman => (1.0 / (count - 1.0).max(1.0)) as f32,
                Weighting::InverseFrequency => (rated_movies / count.max(1.0)).ln() as f32,
            }
        }));
        let is_pearson = projection.similarity == Similarity::Pearson;
        let mean = matrix.mean();
        prepared.movies.extend((0..columns).map(|movie| {
            let (_, values) = matrix.by_movie.row(movie);
            let total = values.iter().map(|&value| f64::from(value) - mean).sum::<f64>();
            if is_pearson { (total / (values.len() as f64 + DAMPING.1)) as f32 } else { 0.0 }
        }));
        for customer in 0..rows {
            let (movies, values) = matrix.by_customer.row(customer);
            let residual = |(&movie, &value): (&u32, &u8)| {
                f64::from(value) - mean - f64::from(prepared.movies[movie as usize])
            };
            let total = movies.iter().zip(values).map(residual).sum::<f64>();
            let bias = total / (values.len() as f64 + DAMPING.0);
            let less = if is_pearson { mean + bias } else { 0.0 };
            prepared.customers.push(std::array::from_fn(|value| (value as f64 - less) as f32));
        }
        for movie in 0..columns {
            let (customers, values) = matrix.by_movie.row(movie);
            let weight = |&customer: &u32| f64::from(prepared.weights[customer as usize]);
            let total = match projection.similarity {
                Similarity::Cosine => {
                    let square =
                        |(customer, &value): (&u32, &u8)| weight(customer) * f64::from(value).powi(2);
                    customers.iter().zip(values).map(square).sum::<f64>()
                }
                _ => customers.iter().map(weight).sum::<f64>(),
            };
            prepared.totals.push(total);
        }
        Ok(prepared)
    }

    /// Offers all pairs of a movie with the movies of larger rows.
    fn row(
        &self,
        movie: usize,
        sums: &mut [Sums],
        best: &mut Best,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        match self.projection.similarity {
            Similarity::Pearson => self.add(movie, sums, cancelled, |sums, weight, x, y| {
                sums[0] += 1.0;
                sums[1] += weight * x * y;
                sums[2] += weight * x * x;
                sums[3] += weight * y * y;
            })?,
            Similarity::Cosine => self.add(movie, sums, cancelled, |sums, weight, x, y| {
                sums[0] += 1.0;
                sums[1] += weight * x * y;
            })?,
            Similarity::Jaccard | Similarity::LogLikelihood | Similarity::Count => {
                self.add(movie, sums, cancelled, |sums, weight, _, _| {
                    sums[0] += 1.0;
                    sums[1] += weight;
                })?
            }
        }
        let Projection { min_common, min_similarity, top_k, .. } = self.projection;
        for (other, sums) in sums.iter_mut().enumerate().skip(movie + 1) {
            let common = sums[0] as u32;
            if common >= min_common.max(1) {
                let similarity = self.similarity(movie, other, *sums);
                if similarity > 0.0 && similarity >= min_similarity {
                    let similarity = similarity as f32;
                    best.offer(movie, Pair { similarity, movie: other as u32, common }, top_k);
                    best.offer(other, Pair { similarity, movie: movie as u32, common }, top_k);
                }
            }
            *sums = [0.0; 4];
        }
        Ok(())
    }

    /// Adds up the sums of a movie with the movies of larger rows.
    #[inline(always)]
    fn add(
        &self,
        movie: usize,
        sums: &mut [Sums],
        cancelled: &AtomicBool,
        add: impl Fn(&mut Sums, f32, f32, f32),
    ) -> Result<(), Error> {
        let (customers, values) = self.matrix.by_movie.row(movie);
        for (at, (&customer, &value)) in customers.iter().zip(values).enumerate() {
            check(cancelled, at)?;
            let residuals = &self.customers[customer as usize];
            let weight = self.weights[customer as usize];
            let x = residuals[usize::from(value)] - self.movies[movie];
            let (others, other_values) = self.matrix.by_customer.row(customer as usize);
            let first = others.partition_point(|&other| other as usize <= movie);
            for (&other, &value) in others[first..].iter().zip(&other_values[first..]) {
                let y = residuals[usize::from(value)] - self.movies[other as usize];
                add(&mut sums[other as usize], weight, x, y);
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
