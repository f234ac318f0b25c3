//! Whether `judging.txt` goes with `qualifying.txt`: line by line, as its lines name no customers.

use std::fmt;

/// Where the lines of a text stand that name a movie, and where the text ends.
#[derive(Default)]
pub struct Steps {
    /// Number of the line, and the movie.
    pub movies: Vec<(u64, u32)>,
    /// Number of the last line that is not blank.
    pub last: u64,
}

/// What stands on a line, as far as two texts can agree about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `id:`
    Movie(u32),
    /// Something about the movie above it.
    Pair,
    /// Nothing: the text has ended.
    End,
}

impl Steps {
    /// The first line on which two texts are out of step, and what stands there in this one and in the other.
    pub fn differ(&self, other: &Steps) -> Option<(u64, Step, Step)> {
        let same = self.movies.iter().zip(&other.movies).take_while(|(one, other)| one == other).count();
        let next = |steps: &Steps| steps.movies.get(same).map(|&(line, _)| line);
        let ends = (self.last != other.last).then(|| self.last.min(other.last) + 1);
        let line = [next(self), next(other), ends].into_iter().flatten().min()?;
        Some((line, self.at(line), other.at(line)))
    }

    fn at(&self, line: u64) -> Step {
        match self.movies.binary_search_by_key(&line, |&(line, _)| line) {
            Ok(at) => Step::Movie(self.movies[at].1),
            Err(_) if line <= self.last => Step::Pair,
            Err(_) => Step::End,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Movie(id) => write!(f, "\"{id}:\""),
            Step::Pair => f.write_str("a line about a customer"),
            Step::End => f.write_str("the end of the file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn steps(lines: &[Option<u32>]) -> Steps {
        let movies = lines.iter().zip(1..).filter_map(|(movie, line)| Some((line, (*movie)?)));
        Steps { movies: movies.collect(), last: lines.len() as u64 }
    }

    proptest! {
        #[test]
        fn the_first_line_that_differs_is_named(
            one in prop::collection::vec(prop::option::of(1u32..3), 0..12),
            change in prop::collection::vec(prop::option::of(1u32..3), 0..3), at in 0usize..12,
        ) {
            let mut other = one.clone();
            let end = (at + change.len() / 2).min(one.len());
            other.splice(at.min(one.len())..end.max(at.min(one.len())), change);
            let step = |lines: &[Option<u32>], at: usize| match lines.get(at) {
                Some(Some(movie)) => Step::Movie(*movie),
                Some(None) => Step::Pair,
                None => Step::End,
            };
            let first = (0..one.len().max(other.len())).find(|&at| one.get(at) != other.get(at));
            let wanted = first.map(|at| (at as u64 + 1, step(&one, at), step(&other, at)));
            prop_assert_eq!(steps(&one).differ(&steps(&other)), wanted);
        }
    }
}
