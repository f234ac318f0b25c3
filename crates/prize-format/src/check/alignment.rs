//! Checks whether the lines of `judging.txt` match those of `qualifying.txt`. The lines of `judging.txt` name no
//! customers, so each can only be paired with the line that has the same line number.

use std::fmt;

/// The `id:` lines of a text, and its length.
#[derive(Default)]
pub struct MovieLines {
    /// The line number and the movie of each `id:` line.
    pub movies: Vec<(u64, u32)>,
    /// The line number of the last line that is not blank.
    pub last_line: u64,
}

/// What a line is, as far as it must be the same in both texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineRole {
    /// A line `id:`.
    Movie(u32),
    /// A line about a customer.
    Customer,
    /// The text has ended before.
    End,
}

impl MovieLines {
    /// The number of the first line that differs, and what it is in this text and in the other.
    pub fn first_difference(&self, other: &MovieLines) -> Option<(u64, LineRole, LineRole)> {
        let same = self.movies.iter().zip(&other.movies).take_while(|(one, other)| one == other).count();
        let next = |lines: &MovieLines| lines.movies.get(same).map(|&(line, _)| line);
        let after_end = (self.last_line != other.last_line).then(|| self.last_line.min(other.last_line) + 1);
        let line = [next(self), next(other), after_end].into_iter().flatten().min()?;
        Some((line, self.role_of(line), other.role_of(line)))
    }

    fn role_of(&self, line: u64) -> LineRole {
        match self.movies.binary_search_by_key(&line, |&(line, _)| line) {
            Ok(index) => LineRole::Movie(self.movies[index].1),
            Err(_) if line <= self.last_line => LineRole::Customer,
            Err(_) => LineRole::End,
        }
    }
}

impl fmt::Display for LineRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineRole::Movie(id) => write!(f, "\"{id}:\""),
            LineRole::Customer => f.write_str("a line about a customer"),
            LineRole::End => f.write_str("the end of the file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines of a text: `None` is a line about a customer.
    fn movie_lines(lines: &[Option<u32>]) -> MovieLines {
        let movies = lines.iter().zip(1..).filter_map(|(movie, line)| Some((line, (*movie)?)));
        MovieLines { movies: movies.collect(), last_line: lines.len() as u64 }
    }

    proptest! {
        #[test]
        fn the_first_line_that_differs_is_found(
            one in prop::collection::vec(prop::option::of(1u32..3), 0..12),
            change in prop::collection::vec(prop::option::of(1u32..3), 0..3), at in 0usize..12,
        ) {
            let mut other = one.clone();
            let end = (at + change.len() / 2).min(one.len());
            other.splice(at.min(one.len())..end.max(at.min(one.len())), change);
            let role = |lines: &[Option<u32>], at: usize| match lines.get(at) {
                Some(Some(movie)) => LineRole::Movie(*movie),
                Some(None) => LineRole::Customer,
                None => LineRole::End,
            };
            let first = (0..one.len().max(other.len())).find(|&at| one.get(at) != other.get(at));
            let wanted = first.map(|at| (at as u64 + 1, role(&one, at), role(&other, at)));
            prop_assert_eq!(movie_lines(&one).first_difference(&movie_lines(&other)), wanted);
        }
    }
}
