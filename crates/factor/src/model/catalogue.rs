//! All movies of a model, laid out so that all of them are scored at once for one customer, or for many.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use ndarray::ArrayView1;
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::memory::{Aligned, try_vec, try_with_capacity};
use crate::model::Side;
use crate::model::sample_layout::{FactorRanges, PredictionMoments, SampleLayout};
use crate::model::scoring::{BLOCK, CustomerQuery, score_block};
use crate::model::top_n::TopN;
use crate::simd::InstructionSet;

/// Customers that are scored together: with two registers for each, all sums fit into the processor's registers.
const TOGETHER: usize = 6;
/// Customers that a block of movies is scored for while it is in the first-level cache, between two checks of the cancel flag.
const CUSTOMERS_PER_CHECK: usize = 48;

/// The biases and vectors of movies, which are counted from 0. They are stored in blocks of 32 movies: first the biases of
/// all movies of a block, then their first factors, then their second factors, and so on. So a register holds the same factor of
/// several movies, and its lanes need not be added up.
///
/// The score of a movie is `base` plus its bias, and then the products of the factors are added in order. It is the same to the
/// last bit however many customers are scored together.
pub struct Catalogue {
    movies: usize,
    /// Entries of a movie's vector.
    factors: usize,
    layout: SampleLayout,
    data: Aligned<f32>,
}

/// Methods that take a movie panic if its index is not below [`Catalogue::movies`]. Methods that take a vector panic if it is shorter
/// than those of the catalogue.
impl Catalogue {
    /// Reserves memory for `movies` movies whose vectors have this layout. A movie's score is -∞ until [`Catalogue::set`] is called
    /// for it, so it is never among the best. [`Error::OutOfMemory`] if the system refuses the memory.
    pub fn empty(movies: usize, layout: SampleLayout) -> Result<Catalogue, Error> {
        let factors = layout.length();
        let length = BLOCK * (factors + 1);
        let blocks = movies.div_ceil(BLOCK);
        let mut data = Aligned::zeros(blocks.saturating_mul(length))?;
        (0..blocks).for_each(|block| data[block * length..][..BLOCK].fill(f32::NEG_INFINITY));
        Ok(Catalogue { movies, factors, layout, data })
    }

    /// The memory that `movies` movies with vectors of `factors` entries take, in bytes.
    pub fn memory(movies: usize, factors: usize) -> usize {
        movies.div_ceil(BLOCK) * BLOCK * (factors + 1) * size_of::<f32>()
    }

    /// How many movies there are.
    pub fn movies(&self) -> usize {
        self.movies
    }

    /// The layout of their vectors.
    pub fn layout(&self) -> SampleLayout {
        self.layout
    }

    /// Sets the bias and the vector of a movie. If the vector is too short, the remaining entries keep their values; if it is too
    /// long, the rest is ignored.
    pub fn set(&mut self, movie: usize, bias: f32, factors: ArrayView1<'_, f32>) {
        let place = self.place(movie);
        self.data[place] = bias;
        let factors = factors.into_iter().take(self.factors);
        factors.enumerate().for_each(|(factor, &entry)| self.data[place + (factor + 1) * BLOCK] = entry);
    }

    /// A movie's bias.
    pub fn bias(&self, movie: usize) -> f32 {
        self.data[self.place(movie)]
    }

    /// The entries of a movie's vector, in order.
    pub fn entries(&self, movie: usize) -> impl ExactSizeIterator<Item = f32> {
        let place = self.place(movie);
        (1..self.factors + 1).map(move |factor| self.data[place + factor * BLOCK])
    }

    /// A copy of a movie's vector.
    pub fn vector(&self, movie: usize) -> Result<Vec<f32>, Error> {
        let mut vector = try_with_capacity(self.factors)?;
        vector.extend(self.entries(movie));
        Ok(vector)
    }

    /// The index of a movie's bias in the data.
    fn place(&self, movie: usize) -> usize {
        assert!(movie < self.movies, "movie {movie} of {}", self.movies);
        movie / BLOCK * BLOCK * (self.factors + 1) + movie % BLOCK
    }

    /// The biases and factors of a block of movies.
    fn block(&self, block: usize) -> &[f32] {
        let length = BLOCK * (self.factors + 1);
        &self.data[block * length..][..length]
    }

    /// The score of every movie for one customer, not clamped to the scale.
    pub fn score(&self, query: CustomerQuery<'_>) -> Result<Vec<f32>, Error> {
        let instructions = InstructionSet::fastest();
        let mut scores = try_with_capacity(self.movies.next_multiple_of(BLOCK))?;
        let mut sums = [[0.0; BLOCK]; 1];
        for block in 0..self.movies.div_ceil(BLOCK) {
            score_block(instructions, self.block(block), &[query], &[f32::INFINITY], &mut sums);
            scores.extend_from_slice(&sums[0]);
        }
        scores.truncate(self.movies);
        Ok(scores)
    }

    /// [`FactorRanges::product`] of a movie's vector with the vector of every movie.
    pub fn products(&self, vector: &[f32], factors: &FactorRanges) -> Result<Vec<f32>, Error> {
        let mut products = self.zeros()?;
        factors.iter().for_each(|range| self.add_products(vector, range, &mut products));
        products.truncate(self.movies);
        Ok(products)
    }

    /// The norm of every movie's factors: the square root of [`FactorRanges::product`] of its vector with itself.
    pub fn norms(&self, factors: &FactorRanges) -> Result<Vec<f32>, Error> {
        let mut norms = self.zeros()?;
        for (sums, block) in
            norms.chunks_exact_mut(BLOCK).zip(self.data.chunks_exact(BLOCK * (self.factors + 1)))
        {
            for range in factors.iter() {
                for movies in block[BLOCK * (range.start + 1)..BLOCK * (range.end + 1)].chunks_exact(BLOCK) {
                    sums.iter_mut().zip(movies).for_each(|(sum, &entry)| *sum += entry * entry);
                }
            }
            sums.iter_mut().for_each(|sum| *sum = sum.sqrt());
        }
        norms.truncate(self.movies);
        Ok(norms)
    }

    /// [`SampleLayout::deviation`] of a customer's vector with the vector of every movie; 0 instead of `None`.
    pub fn deviations(&self, vector: &[f32]) -> Result<Vec<f32>, Error> {
        let mut moments = try_with_capacity(self.movies)?;
        moments.resize(self.movies, PredictionMoments::default());
        let mut products = self.zeros()?;
        for range in self.layout.sample_ranges() {
            products.fill(0.0);
            self.add_products(vector, range, &mut products);
            let moments = moments.iter_mut().zip(&products);
            moments.for_each(|(moments, &product)| moments.add(&self.layout, product));
        }
        // The products are not needed any more, and their memory is used for the result.
        let deviations = products.iter_mut().zip(&moments);
        deviations.for_each(|(to, moments)| *to = moments.deviation(self.layout.count()).unwrap_or_default());
        products.truncate(self.movies);
        Ok(products)
    }

    /// A zero for each movie of all blocks.
    fn zeros(&self) -> Result<Vec<f32>, Error> {
        try_vec(self.movies.next_multiple_of(BLOCK))
    }

    /// Adds to `sums` the product of a vector with the vector of every movie, over this range of entries only.
    fn add_products(&self, vector: &[f32], range: Range<usize>, sums: &mut [f32]) {
        for (sums, block) in
            sums.chunks_exact_mut(BLOCK).zip(self.data.chunks_exact(BLOCK * (self.factors + 1)))
        {
            let movies = block[BLOCK..].chunks_exact(BLOCK).skip(range.start);
            for (&entry, movies) in vector[range.clone()].iter().zip(movies) {
                sums.iter_mut().zip(movies).for_each(|(sum, &other)| *sum += entry * other);
            }
        }
    }

    /// The `n` movies with the highest scores for each customer of `rows`: a list per customer of movie and score, best first. Of
    /// equal scores, the movie with the lower index comes first. `customers` has the biases and factors of all customers.
    /// `is_left_out(customer, movie)` is called only for movies that would be among the best. Runs in rayon's current pool.
    ///
    /// [`Error::OutOfMemory`] and [`Error::Cancelled`].
    pub fn top_n(
        &self,
        n: usize,
        mean: f32,
        customers: &Side,
        rows: Range<usize>,
        is_left_out: impl Fn(usize, usize) -> bool + Sync,
        cancelled: &AtomicBool,
    ) -> Result<Vec<Vec<(i32, f32)>>, Error> {
        let instructions = InstructionSet::fastest();
        let mut lists: Vec<Vec<(i32, f32)>> = try_with_capacity(rows.len())?;
        lists.resize_with(rows.len(), Vec::new);
        let chunks =
            lists.par_chunks_mut(CUSTOMERS_PER_CHECK).zip(rows.into_par_iter().step_by(CUSTOMERS_PER_CHECK));
        chunks.try_for_each(|(lists, first)| {
            check(cancelled)?;
            let chunk = first..first + lists.len();
            let best = chunk.clone().map(|_| TopN::new(n, self.movies));
            let mut best = best.collect::<Result<Vec<_>, _>>()?;
            let queries = chunk.clone().map(|row| CustomerQuery {
                base: mean + customers.biases[row],
                // The matrix is in standard order, because `Side::zeros` makes it so.
                factors: customers.factors.row(row).to_slice().unwrap_or(&[]),
            });
            let queries = queries.collect::<Vec<_>>();
            let mut sums = [[0.0; BLOCK]; TOGETHER];
            let mut thresholds = vec![best.first().map_or(0.0, TopN::threshold); best.len()];
            for block in 0..self.movies.div_ceil(BLOCK) {
                let first = block * BLOCK;
                for from in (0..queries.len()).step_by(TOGETHER) {
                    let together = from..(from + TOGETHER).min(queries.len());
                    let above = score_block(
                        instructions,
                        self.block(block),
                        &queries[together.clone()],
                        &thresholds[together.clone()],
                        &mut sums,
                    );
                    // After the first blocks, few movies are above the threshold.
                    for ((customer, scores), mut above) in together.zip(&sums).zip(above) {
                        while above != 0 {
                            let lane = above.trailing_zeros() as usize;
                            above &= above - 1;
                            let (movie, score) = (first + lane, scores[lane]);
                            // Of equal scores, the movie that came first stays. An infinite score, which no training makes, is
                            // never listed.
                            let is_better = score > thresholds[customer] && score < f32::INFINITY;
                            if is_better && !is_left_out(chunk.start + customer, movie) {
                                best[customer].push(movie as i32, score);
                                thresholds[customer] = best[customer].threshold();
                            }
                        }
                    }
                }
            }
            lists.iter_mut().zip(best).for_each(|(list, best)| *list = best.into_sorted());
            Ok(())
        })?;
        Ok(lists)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::top_n::top_n;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_scoring_one_after_the_other(
            movies in 1usize..100, customers in 1usize..60, factors in 0usize..12, n in 0usize..110,
            entries in prop::collection::vec(-1.0f32..1.0, 100 * 13),
            customer_entries in prop::collection::vec(-1.0f32..1.0, 60 * 13),
        ) {
            // Coarse, so that there are ties.
            let entry = |at: usize| (entries[at] * 2.0).round() / 2.0;
            let layout = match factors {
                9 => SampleLayout::new(3, 1),
                _ => SampleLayout::new(1, factors),
            };
            let mut catalogue = Catalogue::empty(movies, layout).unwrap();
            let mut side = Side::zeros(customers, factors).unwrap();
            for movie in 0..movies {
                let of_movie = (0..factors).map(|factor| entry(movie * 13 + factor)).collect::<ndarray::Array1<_>>();
                catalogue.set(movie, entry(movie * 13 + 12), of_movie.view());
                prop_assert_eq!(catalogue.bias(movie), entry(movie * 13 + 12));
                prop_assert_eq!(catalogue.vector(movie).unwrap(), of_movie.to_vec());
            }
            for customer in 0..customers {
                side.biases[customer] = customer_entries[customer * 13 + 12];
                side.factors.row_mut(customer).iter_mut().zip(&customer_entries[customer * 13..]).for_each(|(to, &from)| *to = (from * 4.0).round());
            }
            let (mean, go) = (3.5, AtomicBool::new(false));
            let left_out = |customer: usize, movie: usize| (customer * 5 + movie * 3).is_multiple_of(7);
            let rows = customers / 3..customers;
            let lists = catalogue.top_n(n, mean, &side, rows.clone(), left_out, &go).unwrap();
            prop_assert_eq!(lists.len(), rows.len());
            for (customer, list) in rows.clone().zip(lists) {
                let row = side.factors.row(customer);
                let query = CustomerQuery { base: mean + side.biases[customer], factors: row.to_slice().unwrap() };
                let scores = catalogue.score(query).unwrap();
                prop_assert_eq!(scores.len(), movies);
                let ranges = FactorRanges::of(layout);
                let products = catalogue.products(query.factors, &ranges).unwrap();
                let (norms, deviations) = (catalogue.norms(&ranges).unwrap(), catalogue.deviations(query.factors).unwrap());
                for (movie, (score, product)) in scores.iter().zip(products).enumerate() {
                    let (bias, of_movie) = (catalogue.bias(movie), catalogue.vector(movie).unwrap());
                    prop_assert!((product - ranges.product(query.factors, &of_movie)).abs() < 1e-4);
                    prop_assert!((norms[movie] - ranges.product(&of_movie, &of_movie).sqrt()).abs() < 1e-4);
                    let of_movie = ArrayView1::from(&of_movie);
                    let naive = crate::model::score(mean, (side.biases[customer], row), (bias, of_movie));
                    prop_assert!((score - naive).abs() < 1e-4, "{} {}", score, naive);
                    let naive = layout.deviation(row, of_movie).unwrap_or(0.0);
                    prop_assert!((deviations[movie] - naive).abs() < 1e-3, "{} {}", deviations[movie], naive);
                }
                let candidates = scores.iter().enumerate().filter(|(movie, _)| !left_out(customer, *movie));
                prop_assert_eq!(list, top_n(n, candidates.map(|(movie, &score)| (movie as i32, score))).unwrap());
            }
            prop_assert_eq!(catalogue.top_n(n, mean, &side, rows, left_out, &AtomicBool::new(true)).unwrap_err(), Error::Cancelled);
        }
    }
}
