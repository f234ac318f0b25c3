//! What whoever loads a data set should know of it, though it is no error: what was passed over, and why.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Reason, TitleForm};

/// Something to tell beside what was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Files that seem to belong to the data set, but are not read.
    NotRead {
        /// Which.
        files: Listed,
        /// Why not, and what to do: part of a sentence.
        why: String,
        /// Whether what they hold may be missing in what is loaded.
        is_loss: bool,
    },
    /// Files that were read as they are, though their names say that they are gzipped.
    NotPacked {
        /// Which.
        files: Listed,
    },
    /// Files that were read, and of which no line could be used, if they have any.
    Empty {
        /// Which.
        files: Listed,
    },
    /// Files that a data set need not have, and this one has not.
    Absent {
        /// Which.
        files: Listed,
    },
    /// A titles file that some tool has given another form, and that is read as that.
    TitleForm {
        /// Which file.
        path: PathBuf,
        /// Its form.
        form: TitleForm,
    },
    /// A file that could not be read, and that is not needed.
    LeftAside {
        /// Which file.
        path: PathBuf,
        /// Why, and what to do: a sentence.
        why: String,
    },
    /// A file that is not needed, and most of whose lines could not be used.
    Rejects {
        /// Which file.
        path: PathBuf,
        /// How many lines.
        count: u64,
        /// Number of the first of them.
        line: u64,
        /// What is wrong with it.
        reason: Reason,
        /// The line itself, shortened.
        text: String,
    },
}

impl Notice {
    /// Whether data may be missing: more than a remark.
    pub fn is_loss(&self) -> bool {
        match self {
            Notice::NotRead { is_loss, .. } => *is_loss,
            Notice::Empty { .. } | Notice::LeftAside { .. } | Notice::Rejects { .. } => true,
            Notice::NotPacked { .. } | Notice::Absent { .. } | Notice::TitleForm { .. } => false,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::NotRead { files, why, .. } => write!(f, "{files} {} not read: {why}", files.verb()),
            Notice::NotPacked { files } => {
                write!(f, "{files} {} not gzipped, and read as plain text", files.verb())
            }
            Notice::Empty { files } => write!(f, "no line that can be used is in {files}"),
            Notice::Absent { files } => {
                write!(f, "{files} {} not there: the load goes on without", files.verb())
            }
            Notice::TitleForm { path, form } => {
                write!(
                    f,
                    "\"{}\" is not as Netflix gave it out, but has {form}: it is read as that",
                    path.display()
                )
            }
            Notice::LeftAside { path, why } => {
                write!(f, "\"{}\" was left aside, all else is loaded: {why}", path.display())
            }
            Notice::Rejects { path, count, line, reason, text } => {
                let (path, lines) = (path.display(), if *count == 1 { "line" } else { "lines" });
                write!(
                    f,
                    "{count} {lines} of \"{path}\" could not be used; the first is line {line}: {reason}: \"{text}\". \
                     Mend the file and load the folder again; all else is loaded"
                )
            }
        }
    }
}

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

    fn verb(&self) -> &'static str {
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
