//! Notices: what the user should know about a data set although it is not an error, such as which files are not read.

use std::fmt;
use std::path::PathBuf;

use crate::error::name_list::NameList;
use crate::parse::reject::Reason;
use crate::parse::title_form::TitleForm;

/// A message for the user. Its text is the `Display` form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Files or folders that seem to belong to the data set, but are not read.
    NotRead {
        /// The files.
        files: NameList,
        /// The reason, and what to do about it. It follows a colon.
        why: String,
        /// Whether data may be missing in the warehouse because of this.
        is_loss: bool,
    },
    /// Files that are not gzipped although their names end in `.gz`. They were read as plain text.
    NotGzipped {
        /// The files.
        files: NameList,
    },
    /// Files of which no line could be used, or that have no lines.
    Empty {
        /// The files.
        files: NameList,
    },
    /// Optional files that are not there.
    Absent {
        /// The files.
        files: NameList,
    },
    /// A titles file that is not in the official form, because a program has saved it. It was read in the form that it
    /// has.
    TitleForm {
        /// The file.
        path: PathBuf,
        /// Its form.
        form: TitleForm,
    },
    /// An optional file that was not loaded, because it could not be read or does not match another file.
    Skipped {
        /// The file.
        path: PathBuf,
        /// The reason, and what to do about it. It follows a colon.
        why: String,
    },
    /// An optional file of which more lines could not be used than is allowed, or all of them.
    Rejects {
        /// The file.
        path: PathBuf,
        /// The number of these lines.
        count: u64,
        /// The line number of the first of them.
        line: u64,
        /// What is wrong with it.
        reason: Reason,
        /// The first of them, shortened.
        text: String,
    },
}

impl Notice {
    /// Whether data may be missing in the warehouse. Such a notice is a warning.
    pub fn is_loss(&self) -> bool {
        match self {
            Notice::NotRead { is_loss, .. } => *is_loss,
            Notice::Empty { .. } | Notice::Skipped { .. } | Notice::Rejects { .. } => true,
            Notice::NotGzipped { .. } | Notice::Absent { .. } | Notice::TitleForm { .. } => false,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::NotRead { files, why, .. } => write!(f, "{files} {} not read: {why}", files.verb()),
            Notice::NotGzipped { files } => {
                write!(
                    f,
                    "{files} {is} not gzipped despite the ending .gz, and {is} read as plain text",
                    is = files.verb()
                )
            }
            Notice::Empty { files } => write!(f, "no line of {files} could be used"),
            Notice::Absent { files } => {
                write!(f, "{files} {} not there: everything else is loaded", files.verb())
            }
            Notice::TitleForm { path, form } => {
                write!(
                    f,
                    "\"{}\" is not in the form that Netflix published: it has {form}. It is read in that form",
                    path.display()
                )
            }
            Notice::Skipped { path, why } => {
                write!(f, "\"{}\" was skipped, everything else is loaded: {why}", path.display())
            }
            Notice::Rejects { path, count, line, reason, text } => {
                let (path, lines) = (path.display(), if *count == 1 { "line" } else { "lines" });
                write!(
                    f,
                    "{count} {lines} of \"{path}\" could not be used; the first is line {line}: {reason}: \"{text}\". \
                     Correct the file and load the folder again; everything else is loaded"
                )
            }
        }
    }
}
