//! The ratings that a customer is found by, and what each of them leaves to be explained.

use crate::error::Error;
use crate::memory::try_with_capacity;

/// Ratings, and what the model knows of their movies. Room for all of them is reserved before the first.
#[derive(Clone, Debug, Default)]
pub struct Rated {
    pub(super) factors: usize,
    links: usize,
    ratings: Vec<f32>,
    biases: Vec<f32>,
    /// Vectors one behind the other: of each movie its factors and, where the model has them, its links.
    vectors: Vec<f32>,
}

impl Rated {
    /// Room for so many ratings of movies with so many factors, and with as many [`crate::Model::links`] or none, or
    /// [`Error::OutOfMemory`].
    pub fn with_room(ratings: usize, factors: usize, has_links: bool) -> Result<Rated, Error> {
        let links = if has_links { factors } else { 0 };
        Ok(Rated {
            factors,
            links,
            ratings: try_with_capacity(ratings)?,
            biases: try_with_capacity(ratings)?,
            vectors: try_with_capacity(ratings.saturating_mul(factors + links))?,
        })
    }

    /// Bytes that so many take.
    pub fn memory(ratings: usize, factors: usize, has_links: bool) -> usize {
        ratings * (2 + factors * (1 + usize::from(has_links))) * size_of::<f32>()
    }

    /// Adds a rating in stars, which may be any number, of a movie of this bias, these factors and these links. What is missing
    /// of a vector is zero. [`Error::OutOfMemory`] where there is no room for more than was reserved.
    pub fn push(
        &mut self,
        rating: f32,
        bias: f32,
        factors: impl IntoIterator<Item = f32>,
        links: &[f32],
    ) -> Result<(), Error> {
        let more = self.factors + self.links;
        let failed = |_| Error::OutOfMemory { bytes: (more + 2) * size_of::<f32>() };
        self.ratings.try_reserve(1).map_err(failed)?;
        self.biases.try_reserve(1).map_err(failed)?;
        self.vectors.try_reserve(more).map_err(failed)?;
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

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ratings.is_empty()
    }

    /// Each rating, its movie's bias, factors and links.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (f32, f32, &[f32], &[f32])> {
        let length = self.factors + self.links;
        let rows = self.ratings.iter().zip(&self.biases).enumerate();
        rows.map(move |(row, (&rating, &bias))| {
            let (factors, links) = self.vectors[row * length..][..length].split_at(self.factors);
            (rating, bias, factors, links)
        })
    }
}

/// A rating's part in the right-hand side: `(rating - mean - bias of the movie - offset) · [factors, 1] + weight · links`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Targets {
    pub mean: f32,
    pub offset: f64,
    pub weight: f64,
}

impl Targets {
    pub fn of_mean(mean: f32) -> Targets {
        Targets { mean, offset: 0.0, weight: 0.0 }
    }

    pub fn of(&self, rating: f32, bias: f32) -> f64 {
        f64::from(rating) - f64::from(self.mean) - f64::from(bias) - self.offset
    }
}
