//! A list of names for a message: the first few, and the number of the others.

use std::fmt;
use std::path::Path;

/// Names of files or folders. Only the first few are kept, because there may be as many files as movies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameList {
    first: Vec<String>,
    count: usize,
}

impl NameList {
    /// The number of names that are kept.
    const KEPT: usize = 5;

    /// Adds a name.
    pub fn add(&mut self, name: impl Into<String>) {
        self.count += 1;
        if self.first.len() < NameList::KEPT {
            self.first.push(name.into());
        }
    }

    /// `is` or `are`, for a sentence about them.
    pub(crate) fn verb(&self) -> &'static str {
        if self.count == 1 { "is" } else { "are" }
    }

    /// The number of names that were added.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether no name was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> FromIterator<&'a Path> for NameList {
    fn from_iter<I: IntoIterator<Item = &'a Path>>(paths: I) -> NameList {
        let mut list = NameList::default();
        paths.into_iter().for_each(|path| list.add(path.to_string_lossy()));
        list
    }
}

impl fmt::Display for NameList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.first.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
        let others = self.count - self.first.len();
        match (names.as_slice(), others) {
            (names, 1..) => write!(f, "{} and {others} more", names.join(", ")),
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
        let shown = |n: usize| {
            let mut list = NameList::default();
            (1..=n).for_each(|n| list.add(n.to_string()));
            list.to_string()
        };
        assert_eq!(shown(1), "\"1\"");
        assert_eq!(shown(3), "\"1\", \"2\" and \"3\"");
        assert_eq!(shown(5), "\"1\", \"2\", \"3\", \"4\" and \"5\"");
        assert_eq!(shown(17770), "\"1\", \"2\", \"3\", \"4\", \"5\" and 17765 more");
    }
}
