//! All movies of a model, laid out to be scored at once for a customer, or for many.

#![allow(unsafe_code)] // vector registers

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use ndarray::ArrayView1;
use rayon::prelude::*;

use crate::error::{Error, check};
use crate::memory::{Aligned, try_vec, try_with_capacity};
use crate::model::Side;
use crate::model::samples::{Samples, Spread};
use crate::model::top_n::Best;
use crate::simd::InstructionSet;
#[cfg(target_arch = "x86_64")]
use crate::simd::vector::{Avx2, Avx512};
use crate::simd::vector::{Portable, Vector};

/// Movies side by side in a block: a multiple of two registers of any kind.
const BLOCK: usize = 32;
/// Customers scored together: with two registers a customer, as many sums as registers hold.
const TOGETHER: usize = 6;
/// Customers that a block of movies is scored for while it is in the first cache, between two checks of the cancel flag.
const CUSTOMERS_PER_CHECK: usize = 48;

/// Biases and factors of movies, numbered from 0. Block by block, the bias of each of its movies, and then one factor of
/// each after the other: whole registers of movies are scored without their lanes ever meeting.
///
/// A movie's score for a customer is the same to the last bit however many customers are scored with it: bias plus `base`,
/// and then the products of the factors in order.
pub struct Catalogue {
    movies: usize,
    /// Entries of a movie's vector.
    factors: usize,
    samples: Samples,
    data: Aligned<f32>,
}

/// What movies are scored for: where a score starts (the mean and the customer's bias), and the customer's factors.
#[derive(Clone, Copy, Debug)]
pub struct Taste<'a> {
    /// Added to each movie's bias.
    pub base: f32,
    /// As many as the movies have.
    pub factors: &'a [f32],
}

impl Catalogue {
    /// Room for as many movies, whose vectors are laid out so. Until one is put in its place its score is -∞: it is never among
    /// the best.
    pub fn empty(movies: usize, samples: Samples) -> Result<Catalogue, Error> {
        let factors = samples.length();
        let length = BLOCK * (factors + 1);
        let blocks = movies.div_ceil(BLOCK);
        let mut data = Aligned::zeros(blocks.saturating_mul(length))?;
        (0..blocks).for_each(|block| data[block * length..][..BLOCK].fill(f32::NEG_INFINITY));
        Ok(Catalogue { movies, factors, samples, data })
    }

    /// Bytes that as many movies take.
    pub fn memory(movies: usize, factors: usize) -> usize {
        movies.div_ceil(BLOCK) * BLOCK * (factors + 1) * size_of::<f32>()
    }

    /// How many movies there are.
    pub fn movies(&self) -> usize {
        self.movies
    }

    /// How their vectors are laid out.
    pub fn samples(&self) -> Samples {
        self.samples
    }

    /// Puts a movie in its place. Of another number of factors, those that are missing stay as they are.
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

    /// A movie's vector, entry by entry.
    pub fn entries(&self, movie: usize) -> impl ExactSizeIterator<Item = f32> {
        let place = self.place(movie);
        (1..self.factors + 1).map(move |factor| self.data[place + factor * BLOCK])
    }

    /// A movie's vector.
    pub fn vector(&self, movie: usize) -> Result<Vec<f32>, Error> {
        let mut vector = try_with_capacity(self.factors)?;
        vector.extend(self.entries(movie));
        Ok(vector)
    }

    /// Where a movie's bias is.
    fn place(&self, movie: usize) -> usize {
        assert!(movie < self.movies, "movie {movie} of {}", self.movies);
        movie / BLOCK * BLOCK * (self.factors + 1) + movie % BLOCK
    }

    /// Scores every movie: one number each.
    pub fn score(&self, taste: Taste<'_>) -> Result<Vec<f32>, Error> {
        let instructions = InstructionSet::fastest();
        let mut scores = try_with_capacity(self.movies.next_multiple_of(BLOCK))?;
        let mut sums = [[0.0; BLOCK]; 1];
        for block in 0..self.movies.div_ceil(BLOCK) {
            self.score_block(instructions, block, &[taste], &[f32::INFINITY], &mut sums);
            scores.extend_from_slice(&sums[0]);
        }
        scores.truncate(self.movies);
        Ok(scores)
    }

    /// [`Samples::product`] of a movie's vector and every movie's.
    pub fn products(&self, vector: &[f32]) -> Result<Vec<f32>, Error> {
        let mut products = self.sums()?;
        self.samples.vectors().for_each(|of| self.add_products(vector, of, &mut products));
        products.truncate(self.movies);
        Ok(products)
    }

    /// The length of every movie's factors: the root of [`Samples::product`] with itself.
    pub fn norms(&self) -> Result<Vec<f32>, Error> {
        let mut norms = self.sums()?;
        for (sums, block) in
            norms.chunks_exact_mut(BLOCK).zip(self.data.chunks_exact(BLOCK * (self.factors + 1)))
        {
            for of in self.samples.vectors() {
                for movies in block[BLOCK * (of.start + 1)..BLOCK * (of.end + 1)].chunks_exact(BLOCK) {
                    sums.iter_mut().zip(movies).for_each(|(sum, &entry)| *sum += entry * entry);
                }
            }
            sums.iter_mut().for_each(|sum| *sum = sum.sqrt());
        }
        norms.truncate(self.movies);
        Ok(norms)
    }

    /// [`Samples::deviation`] of a customer's vector and every movie's; 0 where there is none.
    pub fn deviations(&self, vector: &[f32]) -> Result<Vec<f32>, Error> {
        let mut spreads = try_with_capacity(self.movies)?;
        spreads.resize(self.movies, Spread::default());
        let mut products = self.sums()?;
        for part in self.samples.parts() {
            products.fill(0.0);
            self.add_products(vector, part, &mut products);
            let spreads = spreads.iter_mut().zip(&products);
            spreads.for_each(|(spread, &product)| spread.add(&self.samples, product));
        }
        let deviations = products.iter_mut().zip(&spreads);
        deviations.for_each(|(to, spread)| *to = spread.deviation(self.samples.count()).unwrap_or_default());
        products.truncate(self.movies);
        Ok(products)
    }

    /// A zero for each movie of all blocks.
    fn sums(&self) -> Result<Vec<f32>, Error> {
        try_vec(self.movies.next_multiple_of(BLOCK))
    }

    /// Adds every movie's product with a vector over some of the entries.
    fn add_products(&self, vector: &[f32], of: Range<usize>, sums: &mut [f32]) {
        for (sums, block) in
            sums.chunks_exact_mut(BLOCK).zip(self.data.chunks_exact(BLOCK * (self.factors + 1)))
        {
            let movies = block[BLOCK..].chunks_exact(BLOCK).skip(of.start);
            for (&entry, movies) in vector[of.clone()].iter().zip(movies) {
                sums.iter_mut().zip(movies).for_each(|(sum, &other)| *sum += entry * other);
            }
        }
    }

    /// The `n` movies that each customer would like best: number and score, best first, ties by the smaller number. In
    /// rayon's current pool. `customers` has a row a customer, of which `rows` are asked for; `is_left_out(customer,
    /// movie)` is asked of those alone that would be among the best.
    pub fn best(
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
        let turns =
            lists.par_chunks_mut(CUSTOMERS_PER_CHECK).zip(rows.into_par_iter().step_by(CUSTOMERS_PER_CHECK));
        turns.try_for_each(|(lists, first)| {
            check(cancelled)?;
            let turn = first..first + lists.len();
            let best = turn.clone().map(|_| Best::new(n, self.movies));
            let mut best = best.collect::<Result<Vec<_>, _>>()?;
            let tastes = turn.clone().map(|row| Taste {
                base: mean + customers.biases[row],
                // They are in standard order, as `zeros` makes them.
                factors: customers.factors.row(row).to_slice().unwrap_or(&[]),
            });
            let tastes = tastes.collect::<Vec<_>>();
            let mut sums = [[0.0; BLOCK]; TOGETHER];
            let mut thresholds = vec![best.first().map_or(0.0, Best::threshold); best.len()];
            for block in 0..self.movies.div_ceil(BLOCK) {
                let first = block * BLOCK;
                for from in (0..tastes.len()).step_by(TOGETHER) {
                    let together = from..(from + TOGETHER).min(tastes.len());
                    let worth = self.score_block(
                        instructions,
                        block,
                        &tastes[together.clone()],
                        &thresholds[together.clone()],
                        &mut sums,
                    );
                    // Few are worth a look, once the first have been listed.
                    for ((customer, scores), mut worth) in together.zip(&sums).zip(worth) {
                        while worth != 0 {
                            let lane = worth.trailing_zeros() as usize;
                            worth &= worth - 1;
                            let (movie, score) = (first + lane, scores[lane]);
                            // Of equals, the one that came first stays. An infinite score, which no training makes, is never
                            // listed.
                            let is_worth = score > thresholds[customer] && score < f32::INFINITY;
                            if is_worth && !is_left_out(turn.start + customer, movie) {
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

    /// Scores a block's movies for some customers, no more than there are sums. Gives for each a bit a movie, the first
    /// movie's the lowest: whether its score is above the customer's threshold.
    fn score_block<const ROWS: usize>(
        &self,
        instructions: InstructionSet,
        block: usize,
        tastes: &[Taste<'_>],
        thresholds: &[f32],
        sums: &mut [[f32; BLOCK]; ROWS],
    ) -> [u32; ROWS] {
        let length = BLOCK * (self.factors + 1);
        let movies = &self.data[block * length..][..length];
        // The last customers stand in for those that are missing.
        let Some(last) = tastes.len().checked_sub(1) else { return [0; ROWS] };
        let tastes: [Taste<'_>; ROWS] = std::array::from_fn(|row| tastes[row.min(last)]);
        let thresholds: [f32; ROWS] = std::array::from_fn(|row| thresholds[row.min(last)]);
        assert!(tastes.iter().all(|taste| taste.factors.len() == self.factors));
        match instructions {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` found the instruction set on this machine; the block is whole, and each customer has as
            // many factors as its movies.
            InstructionSet::Avx512 | InstructionSet::Avx512Bf16 => unsafe {
                score_avx512(movies, &tastes, &thresholds, sums)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            InstructionSet::Avx2 => unsafe { score_avx2(movies, &tastes, &thresholds, sums) },
            // SAFETY: as above; every machine has this one.
            InstructionSet::Portable => unsafe {
                score::<Portable, ROWS>(movies, &tastes, &thresholds, sums)
            },
        }
    }
}

/// # Safety
///
/// As for [`score`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn score_avx512<const ROWS: usize>(
    movies: &[f32],
    tastes: &[Taste<'_>; ROWS],
    thresholds: &[f32; ROWS],
    sums: &mut [[f32; BLOCK]; ROWS],
) -> [u32; ROWS] {
    // SAFETY: as the caller promises.
    unsafe { score::<Avx512, ROWS>(movies, tastes, thresholds, sums) }
}

/// # Safety
///
/// As for [`score`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn score_avx2<const ROWS: usize>(
    movies: &[f32],
    tastes: &[Taste<'_>; ROWS],
    thresholds: &[f32; ROWS],
    sums: &mut [[f32; BLOCK]; ROWS],
) -> [u32; ROWS] {
    // SAFETY: as the caller promises.
    unsafe { score::<Avx2, ROWS>(movies, tastes, thresholds, sums) }
}

/// # Safety
///
/// The machine has the instruction set of `V`; `movies` is a block, of as many factors as each customer has.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // so the compiler keeps each sum in its register
unsafe fn score<V: Vector, const ROWS: usize>(
    movies: &[f32],
    tastes: &[Taste<'_>; ROWS],
    thresholds: &[f32; ROWS],
    sums: &mut [[f32; BLOCK]; ROWS],
) -> [u32; ROWS] {
    let factors = movies.len() / BLOCK - 1;
    let mut worth = [0; ROWS];
    for left in (0..BLOCK).step_by(2 * V::LANES) {
        // SAFETY: as the caller promises; two registers from `left` on are within a block's width.
        unsafe {
            let mut at = movies.as_ptr().add(left);
            let biases = [V::load(at), V::load(at.add(V::LANES))];
            let mut registers = [[V::splat(0.0); 2]; ROWS];
            for row in 0..ROWS {
                let base = V::splat(tastes[row].base);
                registers[row] = [biases[0].add(base), biases[1].add(base)];
            }
            for factor in 0..factors {
                at = at.add(BLOCK);
                let entries = [V::load(at), V::load(at.add(V::LANES))];
                for row in 0..ROWS {
                    let taste = V::splat(*tastes[row].factors.as_ptr().add(factor));
                    for half in 0..2 {
                        registers[row][half] = registers[row][half].add_product(taste, entries[half]);
                    }
                }
            }
            for row in 0..ROWS {
                let threshold = V::splat(thresholds[row]);
                for half in 0..2 {
                    let first = left + half * V::LANES;
                    worth[row] |= registers[row][half].above(threshold) << first;
                    registers[row][half].store(sums[row].as_mut_ptr().add(first));
                }
            }
        }
    }
    worth
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
            tastes in prop::collection::vec(-1.0f32..1.0, 60 * 13),
        ) {
            // Coarse, so that there are ties.
            let entry = |at: usize| (entries[at] * 2.0).round() / 2.0;
            let samples = match factors {
                9 => Samples::new(3, 1),
                _ => Samples::new(1, factors),
            };
            let mut catalogue = Catalogue::empty(movies, samples).unwrap();
            let mut side = Side::zeros(customers, factors).unwrap();
            for movie in 0..movies {
                let of_movie = (0..factors).map(|factor| entry(movie * 13 + factor)).collect::<ndarray::Array1<_>>();
                catalogue.set(movie, entry(movie * 13 + 12), of_movie.view());
                prop_assert_eq!(catalogue.bias(movie), entry(movie * 13 + 12));
                prop_assert_eq!(catalogue.vector(movie).unwrap(), of_movie.to_vec());
            }
            for customer in 0..customers {
                side.biases[customer] = tastes[customer * 13 + 12];
                side.factors.row_mut(customer).iter_mut().zip(&tastes[customer * 13..]).for_each(|(to, &from)| *to = (from * 4.0).round());
            }
            let (mean, go) = (3.5, AtomicBool::new(false));
            let left_out = |customer: usize, movie: usize| (customer * 5 + movie * 3).is_multiple_of(7);
            let rows = customers / 3..customers;
            let lists = catalogue.best(n, mean, &side, rows.clone(), left_out, &go).unwrap();
            prop_assert_eq!(lists.len(), rows.len());
            for (customer, list) in rows.clone().zip(lists) {
                let row = side.factors.row(customer);
                let taste = Taste { base: mean + side.biases[customer], factors: row.to_slice().unwrap() };
                let scores = catalogue.score(taste).unwrap();
                prop_assert_eq!(scores.len(), movies);
                let products = catalogue.products(taste.factors).unwrap();
                let (norms, deviations) = (catalogue.norms().unwrap(), catalogue.deviations(taste.factors).unwrap());
                for (movie, (score, product)) in scores.iter().zip(products).enumerate() {
                    let (bias, of_movie) = (catalogue.bias(movie), catalogue.vector(movie).unwrap());
                    prop_assert!((product - samples.product(taste.factors, &of_movie)).abs() < 1e-4);
                    prop_assert!((norms[movie] - samples.product(&of_movie, &of_movie).sqrt()).abs() < 1e-4);
                    let of_movie = ArrayView1::from(&of_movie);
                    let naive = crate::model::score(mean, (side.biases[customer], row), (bias, of_movie));
                    prop_assert!((score - naive).abs() < 1e-4, "{} {}", score, naive);
                    let naive = samples.deviation(row, of_movie).unwrap_or(0.0);
                    prop_assert!((deviations[movie] - naive).abs() < 1e-3, "{} {}", deviations[movie], naive);
                }
                let candidates = scores.iter().enumerate().filter(|(movie, _)| !left_out(customer, *movie));
                prop_assert_eq!(list, top_n(n, candidates.map(|(movie, &score)| (movie as i32, score))).unwrap());
            }
            prop_assert_eq!(catalogue.best(n, mean, &side, rows, left_out, &AtomicBool::new(true)).unwrap_err(), Error::Cancelled);
        }
    }
}
