//! The ratings of a customer who is folded in, and their part of the right-hand side.

use std::ops::Range;

use crate::error::Error;
use crate::memory::try_with_capacity;

/// The ratings of one customer, and what the model knows of the rated movies. Memory for all ratings is reserved before the
/// first one is added.
#[derive(Clone, Debug, Default)]
pub struct CustomerRatings {
    /// Length of each movie's vector.
    pub(super) factors: usize,
    /// Length of each movie's links; 0 if the model has none.
    links: usize,
    ratings: Vec<f32>,
    biases: Vec<f32>,
    /// For each movie, its factors and then its links.
    vectors: Vec<f32>,
}

impl CustomerRatings {
    /// Reserves memory for `ratings` ratings of movies that have `factors` factors. With `has_links`, each movie also has `factors`
    /// entries of [`crate::Model::links`]. [`Error::OutOfMemory`] if the system refuses the memory.
    pub fn with_capacity(ratings: usize, factors: usize, has_links: bool) -> Result<CustomerRatings, Error> {
        let links = if has_links { factors } else { 0 };
        Ok(CustomerRatings {
            factors,
            links,
            ratings: try_with_capacity(ratings)?,
            biases: try_with_capacity(ratings)?,
            vectors: try_with_capacity(ratings.saturating_mul(factors + links))?,
        })
    }

    /// The memory that `ratings` ratings take, in bytes.
    pub fn memory(ratings: usize, factors: usize, has_links: bool) -> usize {
        ratings * (2 + factors * (1 + usize::from(has_links))) * size_of::<f32>()
    }

    /// Adds a rating of a movie with this bias, these factors and these links. The rating is in stars and may be any number.
    /// Missing entries of a vector are zero. [`Error::OutOfMemory`] if more memory is needed than was reserved, and the system
    /// refuses it.
    pub fn push(
        &mut self,
        rating: f32,
        bias: f32,
        factors: impl IntoIterator<Item = f32>,
        links: &[f32],
    ) -> Result<(), Error> {
        let entries = self.factors + self.links;
        let failed = |_| Error::OutOfMemory { bytes: (entries + 2) * size_of::<f32>() };
        self.ratings.try_reserve(1).map_err(failed)?;
        self.biases.try_reserve(1).map_err(failed)?;
        self.vectors.try_reserve(entries).map_err(failed)?;
        self.ratings.push(rating);
        self.biases.push(bias);
        let zeros = || std::iter::repeat(0.0);
        self.vectors.extend(factors.into_iter().chain(zeros()).take(self.factors));
        self.vectors.extend(links.iter().copied().chain(zeros()).take(self.links));
        Ok(())
    }

    /// How many ratings there are.
    pub fn len(&self) -> usize {
        self.ratings.len()
    }

    /// Whether there are no ratings.
    pub fn is_empty(&self) -> bool {
        self.ratings.is_empty()
    }

    /// The ratings of the movies that a part of a blend knows, with what that part knows of them, and the places of these ratings among
    /// all. `entries` are the part's entries in a movie's vector: `factors` factors come first, and the bias last.
    pub(in crate::algorithm) fn of_part(
        &self,
        entries: Range<usize>,
        factors: usize,
        has_links: bool,
    ) -> Result<(CustomerRatings, Vec<u32>), Error> {
        let mut own = CustomerRatings::with_capacity(self.len(), factors, has_links)?;
        let mut places = try_with_capacity(self.len())?;
        for (place, (rating, _, vector, links)) in self.iter().enumerate() {
            let vector = &vector[entries.clone()];
            // A movie that the part does not know is all zeros, but for the logarithm of its number of ratings.
            let bias = vector.last().copied().unwrap_or(0.0);
            if bias == 0.0 && vector[..factors].iter().all(|&entry| entry == 0.0) {
                continue;
            }
            let links = links.get(entries.start..entries.start + factors).unwrap_or_default();
            own.push(rating, bias, vector[..factors].iter().copied(), links)?;
            places.push(place as u32);
        }
        Ok((own, places))
    }

    /// For each rating: the rating, and the movie's bias, factors and links.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (f32, f32, &[f32], &[f32])> {
        let length = self.factors + self.links;
        let rows = self.ratings.iter().zip(&self.biases).enumerate();
        rows.map(move |(row, (&rating, &bias))| {
            let (factors, links) = self.vectors[row * length..][..length].split_at(self.factors);
            (rating, bias, factors, links)
        })
    }
}

/// How a rating enters the right-hand side of the customer's system: it adds `target · [factors, 1] + link_weight · links` of
/// the movie, where the target is `rating - mean - movie's bias - customer_bias`.
#[derive(Clone, Copy, Debug)]
pub(in crate::algorithm) struct Targets {
    pub mean: f32,
    /// The customer's bias, if it is known before the factors.
    pub customer_bias: f64,
    pub link_weight: f64,
}

impl Targets {
    pub fn of_mean(mean: f32) -> Targets {
        Targets { mean, customer_bias: 0.0, link_weight: 0.0 }
    }

    pub fn of(&self, rating: f32, bias: f32) -> f64 {
        f64::from(rating) - f64::from(self.mean) - f64::from(bias) - self.customer_bias
    }
}
