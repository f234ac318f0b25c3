//! A list of names in a sentence.

use std::fmt;
use std::path::Path;

/// A list of names of which a reader sees the first few, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    first: Vec<String>,
    count: usize,
}

impl Listed {
    /// How many names are kept: there may be as many files as movies.
    const KEPT: usize = 5;

    /// Adds a name.
    pub fn add(&mut self, name: impl Into<String>) {
        self.count += 1;
        if self.first.len() < Listed::KEPT {
            self.first.push(name.into());
        }
    }

    pub(crate) fn verb(&self) -> &'static str {
        if self.count == 1 { "is" } else { "are" }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> FromIterator<&'a Path> for Listed {
    fn from_iter<I: IntoIterator<Item = &'a Path>>(paths: I) -> Listed {
        let mut listed = Listed::default();
        paths.into_iter().for_each(|path| listed.add(path.to_string_lossy()));
        listed
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.first.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
        let more = self.count - self.first.len();
        match (names.as_slice(), more) {
            (names, 1..) => write!(f, "{} and {more} more", names.join(", ")),
            ([], 0) => Ok(()),
            ([only], 0) => f.write_str(only),
            ([head @ .., last], 0) => write!(f, "{} and {last}", head.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_the_first_and_counts_the_rest() {
        let listed = |n: usize| {
            let mut listed = Listed::default();
            (1..=n).for_each(|n| listed.add(n.to_string()));
            listed.to_string()
        };
        assert_eq!(listed(1), "\"1\"");
        assert_eq!(listed(3), "\"1\", \"2\" and \"3\"");
        assert_eq!(listed(5), "\"1\", \"2\", \"3\", \"4\" and \"5\"");
        assert_eq!(listed(17770), "\"1\", \"2\", \"3\", \"4\", \"5\" and 17765 more");
    }
}
