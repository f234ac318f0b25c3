//! The ratings that trials are trained on and judged by, in memory.

use std::sync::atomic::AtomicBool;

use factor::{
    Algorithm, Dated, Digest, MatrixBuilder, Part, RatingMatrix, Size, Sparse, SplitKind, SplitRule,
    Splitter, is_sampled,
};

use super::error::SearchError;
use crate::pg::snapshot::Snapshot;
use crate::pg::{memory, threads};
use crate::warehouse::dimension::MatrixRow;
use crate::warehouse::ratings::{self, Ids};
use crate::warehouse::split::{Divider, Split};
use crate::warehouse::unfinished;

/// How the ratings are divided.
#[derive(Clone, Debug)]
pub enum Division {
    /// Into so many folds by a seed. Each fold is the test set once. The probe is outside.
    Folds(usize, i64),
    /// As a split does.
    Split(Split),
}

impl Division {
    /// The split that tells which ratings are inside.
    fn split(&self) -> Split {
        match self {
            &Division::Folds(folds, seed) => Split {
                label: "folds".into(),
                rule: SplitRule { kind: SplitKind::Folds { folds }, seed, include_probe: false },
                fold: 0,
                second_half: false,
            },
            Division::Split(split) => split.clone(),
        }
    }
}

/// The ratings of a division.
pub struct Data {
    /// All ratings that are inside.
    pub matrix: RatingMatrix,
    /// Of all of them, and of those that the test set of the split has.
    digests: (Digest, Digest),
    ids: Ids,
    tests: Tests,
    seed: i64,
}

/// Which ratings are test ratings.
enum Tests {
    /// Those of the fold that is asked for.
    Folds(Splitter),
    /// The entries of this matrix.
    Matrix(Sparse),
}

/// What to declare the memory for.
#[derive(Clone, Copy)]
pub struct Needs<'a> {
    pub what: &'static str,
    /// The algorithms that will be trained, one at a time.
    pub algorithms: &'a [Algorithm],
    pub threads: usize,
}

impl Needs<'_> {
    /// The most memory, in bytes, with so many ratings.
    fn memory(&self, size: ratings::Size) -> usize {
        let ratings::Size { customers, movies, ratings } = size;
        let held_out = 0;
        let of = |algorithm: &Algorithm| {
            algorithm.memory(Size { customers, movies, ratings, held_out, threads: self.threads })
        };
        let training = self.algorithms.iter().map(of).max().unwrap_or(0);
        // All ratings beside those of a trial, which `training` counts.
        training
            .saturating_add(MatrixBuilder::memory(customers, movies, ratings, self.threads))
            .saturating_add(RatingMatrix::divide_memory(customers, movies, ratings))
    }
}

impl Data {
    /// Reads the ratings. `seed` is that of [`Data::part`]'s samples. `on_progress` is called with how many are read, and of how many.
    pub fn read(
        division: &Division,
        seed: i64,
        needs: Needs<'_>,
        mut on_progress: impl FnMut(usize, usize),
    ) -> Result<Data, SearchError> {
        /// Ratings read between two reports.
        const RATINGS_PER_REPORT: usize = 64 * 1024;
        unfinished::refuse_in_load_or_restore(needs.what)?;
        let size = ratings::size(Snapshot::Transaction)?;
        memory::declare(needs.what, needs.memory(size))?;
        let ids = Ids::read()?;
        let split = division.split();
        let divider = Divider::new(needs.what, &split, &ids, size, Snapshot::Transaction)?;
        let (mut all, mut test) = (MatrixBuilder::default(), MatrixBuilder::default());
        let mut digests = (Digest::default(), Digest::default());
        let (mut customers, mut movies, mut read) = (size.customers, size.movies, 0);
        ratings::read(Snapshot::Transaction, |rated| {
            read += 1;
            if read % RATINGS_PER_REPORT == 0 {
                on_progress(read, size.ratings);
                if read > size.ratings {
                    let size = ratings::Size { customers, movies, ratings: read };
                    memory::recheck(needs.what, needs.memory(size))?;
                }
            }
            let part = divider.part(&ids, &rated);
            if part == Part::Outside {
                return Ok(());
            }
            customers = customers.max(rated.customer.index() + 1);
            movies = movies.max(rated.movie.index() + 1);
            ids.digest(&rated, &mut digests.0);
            if part == Part::Test && matches!(division, Division::Split(_)) {
                ids.digest(&rated, &mut digests.1);
                test.push(rated.customer.0, rated.movie.0, rated.rating)?;
            }
            Ok(all.push(rated.customer.0, rated.movie.0, rated.rating)?)
        })?;
        if all.is_empty() {
            return Err(factor::Error::NoRatings.into());
        }
        if let Division::Folds(folds, _) = *division
            && folds > all.len()
        {
            return Err(SearchError::MoreFolds { folds, ratings: all.len() });
        }
        if let Division::Split(split) = division
            && (test.is_empty() || test.len() == all.len())
        {
            return Err(SearchError::EmptySide(split.label.clone()));
        }
        let build = |cancelled: &AtomicBool, _: &mut (dyn FnMut(()) + Send)| {
            Ok::<_, factor::Error>((
                all.build(customers, movies, cancelled)?,
                test.build_by_customer(customers, movies, cancelled)?,
            ))
        };
        let (matrix, test) = threads::run(needs.threads, build, |()| {})??;
        let tests = match division {
            Division::Folds(..) => Tests::Folds(Splitter::new(split.rule, 0)),
            Division::Split(_) => Tests::Matrix(test),
        };
        Ok(Data { matrix, digests, ids, tests, seed })
    }

    /// Tells whether two searches had the same ratings, divided in the same way.
    pub fn digest(&self) -> i64 {
        let (all, test) = self.digests;
        all.to_i64() ^ test.to_i64().rotate_left(1)
    }

    /// What a rating is for in a fold, counted from 0, if only this share of the customers takes part.
    #[inline]
    pub fn part(&self, fold: usize, sample: f64, customer: usize, movie: u32) -> Part {
        let (customer_id, movie_id) = self.ids.of(MatrixRow(customer as u32), MatrixRow(movie));
        if sample < 1.0 && !is_sampled(sample, self.seed, customer_id) {
            return Part::Outside;
        }
        let is_test = match &self.tests {
            Tests::Folds(splitter) => {
                splitter.fold(Dated { customer_id, movie_id, day: 0, is_probe: false }) == Some(fold)
            }
            Tests::Matrix(test) => test.row(customer).0.binary_search(&movie).is_ok(),
        };
        if is_test { Part::Test } else { Part::Train }
    }
}
