//! What whoever loads a data set should know of it, though it is no error: what was passed over, and why.

use std::fmt;
use std::path::PathBuf;

use crate::error::name_list::Listed;
use crate::parse::reject::Reason;
use crate::parse::title_form::TitleForm;

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
